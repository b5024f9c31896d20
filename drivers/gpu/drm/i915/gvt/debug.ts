// SPDX-License-Identifier: GPL-2.0-only
/** What GVT-g logs. Port of drivers/gpu/drm/i915/gvt/debug.h. */
import { IS_ERR_OR_NULL } from "#linux/err.ts";
import { pr_debug, pr_err, type printf_arg } from "#linux/printk.ts";
import type { intel_vgpu } from "./gvt.ts";

export function gvt_err(fmt: string, ...args: readonly printf_arg[]): void {
  pr_err(`gvt: ${fmt}`, ...args);
}
/** C takes the variable `vgpu` of the function that it stands in. */
export function gvt_vgpu_err(vgpu: intel_vgpu | null, fmt: string, ...args: readonly printf_arg[]): void {
  if (IS_ERR_OR_NULL(vgpu)) pr_err(`gvt: ${fmt}`, ...args);
  else pr_err(`gvt: vgpu %d: ${fmt}`, vgpu!.id, ...args);
}
export function gvt_dbg_core(fmt: string, ...args: readonly printf_arg[]): void {
  pr_debug(`gvt: core: ${fmt}`, ...args);
}
