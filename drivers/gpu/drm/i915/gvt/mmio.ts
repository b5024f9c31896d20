// SPDX-License-Identifier: GPL-2.0-only
/** The registers of a vGPU, as memory. Port of drivers/gpu/drm/i915/gvt/mmio.c; intel_vgpu_emulate_mmio_read and _write are not there yet. */
import { ENOMEM, ENOTTY } from "#linux/errno.ts";
import { memcpy } from "#linux/string.ts";
import type { byte_memory } from "#linux/types.ts";
import { vfree, vzalloc } from "#linux/vmalloc.ts";
import { gvt_vgpu_err } from "./debug.ts";
import type { intel_vgpu } from "./gvt.ts";

const GVT_GEN8_MMIO_RESET_OFFSET = 0x44200;

/** @return -ENOTTY: what a register does is not emulated */
export function intel_vgpu_emulate_mmio_read(
  vgpu: intel_vgpu,
  pa: bigint,
  _p_data: byte_memory,
  _bytes: number,
): number {
  gvt_vgpu_err(vgpu, "reads of registers (0x%llx) are not emulated here\n", pa);
  return -ENOTTY;
}
/** @return -ENOTTY */
export function intel_vgpu_emulate_mmio_write(
  vgpu: intel_vgpu,
  pa: bigint,
  _p_data: byte_memory,
  _bytes: number,
): number {
  gvt_vgpu_err(vgpu, "writes to registers (0x%llx) are not emulated here\n", pa);
  return -ENOTTY;
}

/** @dmlr: of the whole device, and not only of its engines. The few registers that C then changes are not known here. */
export function intel_vgpu_reset_mmio(vgpu: intel_vgpu, dmlr: boolean): void {
  const gvt = vgpu.gvt!;

  memcpy(vgpu.mmio.vreg!, gvt.firmware.mmio!, dmlr ? gvt.device_info.mmio_size : GVT_GEN8_MMIO_RESET_OFFSET);
}

/** @return 0 or -ENOMEM. May sleep. */
export function intel_vgpu_init_mmio(vgpu: intel_vgpu): number {
  vgpu.mmio.vreg = vzalloc(vgpu.gvt!.device_info.mmio_size);
  if (!vgpu.mmio.vreg) return -ENOMEM;

  intel_vgpu_reset_mmio(vgpu, true);

  return 0;
}

export function intel_vgpu_clean_mmio(vgpu: intel_vgpu): void {
  vfree(vgpu.mmio.vreg);
  vgpu.mmio.vreg = null;
}
