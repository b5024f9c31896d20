// SPDX-License-Identifier: GPL-2.0-only
/**
 * The graphics device as GVT-g sees it: one Skylake with a global GTT, fences and four engines. What of drivers/gpu/drm/i915/i915_drv.h and
 * the headers below it (gt/intel_gt_types.h, gt/intel_gtt.h, gt/intel_engine_types.h) GVT-g's life cycle looks at; nothing is drawn.
 */
import type { dentry } from "#linux/debugfs.ts";
import { dev_get_drvdata, dev_info, type device } from "#linux/device.ts";
import { list_head } from "#linux/list.ts";
import { mutex } from "#linux/mutex.ts";
import { array, bool, embed, int, type kbuf, opaque, ptr, str, struct, u32, u64 } from "#linux/types.ts";
import type { intel_gvt } from "./gvt/gvt.ts";

export const I915_NUM_ENGINES = 4;
export const I915_MAX_PORTS = 5;
export const PORT_B = 1;
export const PORT_D = 3;
/** What lies behind which BAR. */
export const GTTMMADR_BAR = 0;
export const GTT_APERTURE_BAR = 2;

/** The drm.debug of these is off. */
export const drm_dbg = (_drm: drm_device, _fmt: string): void => {};
export const drm_info = (drm: drm_device, fmt: string): void => dev_info(drm.dev, `[drm] ${fmt}`);

export class drm_device extends struct("drm_device", {
  dev: ptr<device>(),
  /** primary->debugfs_root in C. */
  debugfs_root: ptr<dentry>(),
}) {}

/** A piece of the global GTT that somebody has. */
export class drm_mm_node extends struct("drm_mm_node", {
  node_list: embed(() => list_head),
  start: opaque(() => 0),
  size: opaque(() => 0),
  allocated: bool(),
}) {}

export class i915_fence_reg extends struct("i915_fence_reg", { id: int(), reserved: bool() }) {}

export class i915_ggtt extends struct("i915_ggtt", {
  /** vm.mutex, vm.mm and vm.total in C. */
  vm_mutex: embed(() => mutex),
  vm_mm: embed(() => list_head),
  vm_total: opaque(() => 0),
  /** How much of it the CPU can see, in bytes, and where. */
  mappable_end: opaque(() => 0),
  gmadr_start: u64(),
  num_fences: u32(),
  fence_regs: array(
    32,
    embed(() => i915_fence_reg),
  ),
}) {}

export class intel_engine_cs extends struct("intel_engine_cs", { id: int(), name: str(), gt: ptr<intel_gt>() }) {}

class intel_gt_base extends struct("intel_gt", {
  i915: ptr<drm_i915_private>(),
  ggtt: embed(() => i915_ggtt),
  engine: array(
    I915_NUM_ENGINES,
    embed(() => intel_engine_cs),
  ),
}) {}
export class intel_gt extends intel_gt_base {}

export class i915_virtual_gpu extends struct("i915_virtual_gpu", {
  /** What the device looks like before anybody has touched it. */
  initial_mmio: ptr<kbuf>(),
  initial_cfg_space: ptr<kbuf>(),
  entry: embed(() => list_head),
}) {}

/** What the module was loaded with, as each device keeps it. */
export class i915_params extends struct("i915_params", { enable_gvt: bool() }) {}

class drm_i915_private_base extends struct("drm_i915_private", {
  drm: embed(() => drm_device),
  params: embed(() => i915_params),
  gt0: embed(() => intel_gt),
  gvt: ptr<intel_gvt>(),
  vgpu: embed(() => i915_virtual_gpu),
  graphics_ver: int(),
}) {}
export class drm_i915_private extends drm_i915_private_base {}

/** @inline */
export const to_gt = (i915: drm_i915_private): intel_gt => i915.gt0;

/** @inline */
export function kdev_to_i915(kdev: device): drm_i915_private | null {
  return dev_get_drvdata<drm_i915_private>(kdev);
}
/** @inline */
export const IS_BROADWELL = (i915: drm_i915_private): boolean => i915.graphics_ver === 8;
/** The one that is here; it is not told from the other devices of its generation. @inline */
export const IS_SKYLAKE = (i915: drm_i915_private): boolean => i915.graphics_ver === 9;
