// SPDX-License-Identifier: GPL-2.0-only
/** Port of drivers/gpu/drm/i915/gvt/debugfs.c without mmio_diff, scan_nonprivbb and num_tracked_mmio. */
import { debugfs_create_bool, debugfs_create_dir, debugfs_remove } from "#linux/debugfs.ts";
import { sprintf } from "#linux/kernel.ts";
import type { intel_gvt, intel_vgpu } from "./gvt.ts";

/** May sleep. */
export function intel_gvt_debugfs_add_vgpu(vgpu: intel_vgpu): void {
  const name = sprintf("vgpu%d", vgpu.id);
  vgpu.debugfs = debugfs_create_dir(name, vgpu.gvt!.debugfs_root);

  debugfs_create_bool("active", 0o444, vgpu.debugfs, vgpu, "active");
}

/** May sleep. */
export function intel_gvt_debugfs_remove_vgpu(vgpu: intel_vgpu): void {
  const gvt = vgpu.gvt!;

  if (gvt.gt!.i915!.drm.debugfs_root && gvt.debugfs_root) {
    debugfs_remove(vgpu.debugfs);
    vgpu.debugfs = null;
  }
}

/** May sleep. */
export function intel_gvt_debugfs_init(gvt: intel_gvt): void {
  gvt.debugfs_root = debugfs_create_dir("gvt", gvt.gt!.i915!.drm.debugfs_root);
}

/** May sleep. */
export function intel_gvt_debugfs_clean(gvt: intel_gvt): void {
  if (gvt.gt!.i915!.drm.debugfs_root) {
    debugfs_remove(gvt.debugfs_root);
    gvt.debugfs_root = null;
  }
}
