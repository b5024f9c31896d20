// SPDX-License-Identifier: GPL-2.0-only
/** The firmware's pages of a vGPU. Port of drivers/gpu/drm/i915/gvt/opregion.c: memory and header; the VBT in it and requests to it are left out. */
import { ENOMEM } from "#linux/errno.ts";
import { __get_free_pages, free_pages } from "#linux/gfp.ts";
import { get_order } from "#linux/mm.ts";
import { GFP_KERNEL } from "#linux/slab.ts";
import { set_byte_at, set_u32_at } from "#linux/string.ts";
import { gvt_dbg_core, gvt_err } from "./debug.ts";
import type { intel_vgpu } from "./gvt.ts";

const INTEL_GVT_OPREGION_SIZE = 0x2000;
const INTEL_GVT_OPREGION_CLID = 0x1ac;
const MBOX_VBT = 1 << 3;

/** @return 0 or -ENOMEM. May sleep. */
export function intel_vgpu_init_opregion(vgpu: intel_vgpu): number {
  gvt_dbg_core("init vgpu%d opregion\n", vgpu.id);
  const buf = __get_free_pages(GFP_KERNEL, get_order(INTEL_GVT_OPREGION_SIZE));
  vgpu.opregion.va = buf;
  if (!buf) {
    gvt_err("fail to get memory for vgpu virt opregion\n");
    return -ENOMEM;
  }

  for (const [i, c] of [..."IntelGraphicsMem"].entries()) set_byte_at(buf, i, c.charCodeAt(0));
  set_u32_at(buf, 16, 0x8);
  set_u32_at(buf, 20, 0x02000000);
  set_u32_at(buf, 88, MBOX_VBT);

  // The lid is open
  set_byte_at(buf, INTEL_GVT_OPREGION_CLID, 0x3);

  return 0;
}

export function intel_vgpu_clean_opregion(vgpu: intel_vgpu): void {
  gvt_dbg_core("vgpu%d: clean vgpu opregion\n", vgpu.id);

  if (!vgpu.opregion.va) return;

  free_pages(vgpu.opregion.va, get_order(INTEL_GVT_OPREGION_SIZE));

  vgpu.opregion.va = null;
}
