// SPDX-License-Identifier: GPL-2.0-only
/** Of drivers/gpu/drm/i915/gvt/handlers.c, the table of attributes of registers. Registers and their handlers are not here: all are without any. */
import { ENOMEM } from "#linux/errno.ts";
import { vfree, vzalloc } from "#linux/vmalloc.ts";
import type { intel_gvt } from "./gvt.ts";

export function intel_gvt_clean_mmio_info(gvt: intel_gvt): void {
  vfree(gvt.mmio.mmio_attribute);
  gvt.mmio.mmio_attribute = null;
}

/** @return 0 or -ENOMEM. May sleep. */
export function intel_gvt_setup_mmio_info(gvt: intel_gvt): number {
  const size = (gvt.device_info.mmio_size / 4) * 2;

  gvt.mmio.mmio_attribute = vzalloc(size);
  if (!gvt.mmio.mmio_attribute) return -ENOMEM;

  return 0;
}
