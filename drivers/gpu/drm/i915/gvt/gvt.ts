// SPDX-License-Identifier: GPL-2.0-only
/**
 * What GVT-g keeps for a device and for each of its virtual GPUs. Port of drivers/gpu/drm/i915/gvt/gvt.h, and of display.h, gtt.h, scheduler.h
 * and sched_policy.h, as far as their life cycle goes: what is emulated for a guest has no members yet.
 */
import { atomic_t } from "#linux/atomic.ts";
import type { dentry } from "#linux/debugfs.ts";
import type { eventfd_ctx } from "#linux/eventfd.ts";
import { DECLARE_HASHTABLE } from "#linux/hashtable.ts";
import { idr } from "#linux/idr.ts";
import { kvm_page_track_notifier_node } from "#linux/kvm_host.ts";
import { list_head } from "#linux/list.ts";
import { mdev_parent, mdev_type } from "#linux/mdev.ts";
import { type page, PAGE_SHIFT } from "#linux/mm.ts";
import { mutex } from "#linux/mutex.ts";
import { PCI_CFG_SPACE_EXP_SIZE } from "#linux/pci.ts";
import { rb_root } from "#linux/rbtree.ts";
import type { task_struct } from "#linux/sched.ts";
import type { kmem_cache } from "#linux/slab.ts";
import { spinlock_t } from "#linux/spinlock.ts";
import {
  array,
  bool,
  bytes,
  bytestruct,
  embed,
  int,
  type kbuf,
  opaque,
  ptr,
  str,
  struct,
  type struct_array,
  u32,
  u8,
  ulong,
} from "#linux/types.ts";
import { vfio_device } from "#linux/vfio.ts";
import { wait_queue_head } from "#linux/wait.ts";
import {
  drm_mm_node,
  type i915_fence_reg,
  type i915_ggtt,
  I915_MAX_PORTS,
  I915_NUM_ENGINES,
  type intel_gt,
} from "../i915_drv.ts";
import type { vfio_region } from "./kvmgt.ts";

export const GVT_MAX_VGPU = 8;

export class intel_gvt_device_info extends struct("intel_gvt_device_info", {
  max_support_vgpus: u32(),
  cfg_space_size: u32(),
  mmio_size: u32(),
  mmio_bar: u32(),
  msi_cap_offset: ulong(),
  gtt_start_offset: u32(),
  gtt_entry_size: u32(),
  gtt_entry_size_shift: u32(),
  gmadr_bytes_in_cmd: int(),
  max_surface_size: u32(),
}) {}

/** Graphics memory of a vGPU: below the aperture, which the CPU sees, and above it. Bytes. */
export class intel_vgpu_gm extends struct("intel_vgpu_gm", {
  aperture_sz: opaque(() => 0),
  hidden_sz: opaque(() => 0),
  low_gm_node: embed(() => drm_mm_node),
  high_gm_node: embed(() => drm_mm_node),
}) {}

export const INTEL_GVT_MAX_NUM_FENCES = 32;

export class intel_vgpu_fence extends struct("intel_vgpu_fence", {
  regs: array(INTEL_GVT_MAX_NUM_FENCES, ptr<i915_fence_reg>()),
  base: u32(),
  size: u32(),
}) {}

export class intel_vgpu_mmio extends struct("intel_vgpu_mmio", { vreg: ptr<kbuf>() }) {}

export const INTEL_GVT_MAX_BAR_NUM = 4;

export class intel_vgpu_pci_bar extends struct("intel_vgpu_pci_bar", { size: opaque(() => 0), tracked: bool() }) {}

export class cfg_space_bytes extends bytestruct("virtual_cfg_space", { all: bytes(PCI_CFG_SPACE_EXP_SIZE) }) {}
export class intel_vgpu_cfg_space extends struct("intel_vgpu_cfg_space", {
  virtual_cfg_space: embed(() => cfg_space_bytes),
  bar: array(
    INTEL_GVT_MAX_BAR_NUM,
    embed(() => intel_vgpu_pci_bar),
  ),
  pmcsr_off: u32(),
}) {}

export class intel_vgpu_opregion extends struct("intel_vgpu_opregion", { mapped: bool(), va: ptr<kbuf>() }) {}

export const GVT_DP_B = 2;
export const GVT_DP_D = 4;
export const GVT_EDID_1024_768 = 0;
export const GVT_EDID_1920_1200 = 1;
export const GVT_EDID_NUM = 2;
export const EDID_SIZE = 128;
export const DPCD_SIZE = 0x700;

export class intel_vgpu_edid_data extends struct("intel_vgpu_edid_data", {
  data_valid: bool(),
  edid_block: embed(() => edid_bytes),
}) {}
export class edid_bytes extends bytestruct("edid_block", { all: bytes(EDID_SIZE) }) {}
export class intel_vgpu_dpcd_data extends struct("intel_vgpu_dpcd_data", {
  data_valid: bool(),
  data: array(DPCD_SIZE, u8()),
}) {}

export class intel_vgpu_port extends struct("intel_vgpu_port", {
  edid: ptr<intel_vgpu_edid_data>(),
  dpcd: ptr<intel_vgpu_dpcd_data>(),
  type: int(),
  id: int(),
  vrefresh_k: u32(),
}) {}
export class intel_vgpu_display extends struct("intel_vgpu_display", {
  ports: array(
    I915_MAX_PORTS,
    embed(() => intel_vgpu_port),
  ),
  port_num: int(),
}) {}

export class vgpu_sched_ctl extends struct("vgpu_sched_ctl", { weight: int() }) {}

export class intel_vgpu_mm extends struct("intel_vgpu_mm", {
  vgpu: ptr<intel_vgpu>(),
  virtual_ggtt: ptr<kbuf>(),
  host_ggtt_aperture: ptr<kbuf>(),
  host_ggtt_hidden: ptr<kbuf>(),
}) {}
export class intel_vgpu_scratch_pt extends struct("intel_vgpu_scratch_pt", { page: ptr<page>(), page_mfn: ulong() }) {}
/** GTT_TYPE_PPGTT_PTE_PT to GTT_TYPE_MAX: a table for each level. */
export const NR_SCRATCH_PT = 4;
export class intel_vgpu_gtt extends struct("intel_vgpu_gtt", {
  ggtt_mm: ptr<intel_vgpu_mm>(),
  scratch_pt: array(
    NR_SCRATCH_PT,
    embed(() => intel_vgpu_scratch_pt),
  ),
}) {}

export class intel_vgpu_submission extends struct("intel_vgpu_submission", {
  workload_q_head: array(
    I915_NUM_ENGINES,
    embed(() => list_head),
  ),
  workloads: ptr<kmem_cache>(),
  running_workload_num: embed(() => atomic_t),
  virtual_submission_interface: int(),
  active: bool(),
}) {}

export const KVMGT_DEBUGFS_FILENAME = "kvmgt_nr_cache_entries";

class intel_vgpu_base extends struct("intel_vgpu", {
  vfio_device: embed(() => vfio_device),
  gvt: ptr<intel_gvt>(),
  vgpu_lock: embed(() => mutex),
  id: int(),
  active: bool(),
  attached: bool(),
  pv_notified: bool(),
  failsafe: bool(),
  resetting_eng: u32(),

  /** These two are protected by sched_lock, not by vgpu_lock. */
  sched_data: ptr<vgpu_sched_data>(),
  sched_ctl: embed(() => vgpu_sched_ctl),

  fence: embed(() => intel_vgpu_fence),
  gm: embed(() => intel_vgpu_gm),
  cfg_space: embed(() => intel_vgpu_cfg_space),
  mmio: embed(() => intel_vgpu_mmio),
  gtt: embed(() => intel_vgpu_gtt),
  opregion: embed(() => intel_vgpu_opregion),
  display: embed(() => intel_vgpu_display),
  submission: embed(() => intel_vgpu_submission),
  d3_entered: bool(),

  debugfs: ptr<dentry>(),

  dmabuf_obj_list_head: embed(() => list_head),
  dmabuf_lock: embed(() => mutex),
  object_idr: embed(() => idr),

  region: ptr<struct_array<vfio_region>>(),
  num_regions: int(),
  msi_trigger: ptr<eventfd_ctx>(),

  /** What is pinned and mapped for it, by guest page and by address. */
  gfn_cache: embed(() => rb_root),
  dma_addr_cache: embed(() => rb_root),
  nr_cache_entries: opaque(() => 0),
  cache_lock: embed(() => mutex),

  released: embed(() => atomic_t),

  track_node: embed(() => kvm_page_track_notifier_node),
  ptable: DECLARE_HASHTABLE(18),
}) {}
export class intel_vgpu extends intel_vgpu_base {}

export class vgpu_sched_data extends struct("vgpu_sched_data", {
  lru_list: embed(() => list_head),
  vgpu: ptr<intel_vgpu>(),
  active: bool(),
  sched_ctl: embed(() => vgpu_sched_ctl),
}) {}
export class gvt_sched_data extends struct("gvt_sched_data", {
  gvt: ptr<intel_gvt>(),
  lru_runq_head: embed(() => list_head),
}) {}

/** What host and vGPUs have taken, in bytes and fences. */
export class intel_gvt_gm extends struct("intel_gvt_gm", {
  vgpu_allocated_low_gm_size: opaque(() => 0),
  vgpu_allocated_high_gm_size: opaque(() => 0),
}) {}
export class intel_gvt_fence extends struct("intel_gvt_fence", { vgpu_allocated_fence_num: opaque(() => 0) }) {}

export class intel_gvt_mmio extends struct("intel_gvt_mmio", { mmio_attribute: ptr<kbuf>() }) {}
export class intel_gvt_firmware extends struct("intel_gvt_firmware", {
  cfg_space: ptr<kbuf>(),
  mmio: ptr<kbuf>(),
  firmware_loaded: bool(),
}) {}

export interface intel_vgpu_config {
  /** Bytes, and fences. */
  readonly low_mm: number;
  readonly high_mm: number;
  readonly fence: number;
  /** 1 to 16: share of the device when others want it too. */
  readonly weight: number;
  readonly edid: number;
  readonly name: string;
}
export class intel_vgpu_type extends struct("intel_vgpu_type", {
  type: embed(() => mdev_type),
  name: str(),
  conf: ptr<intel_vgpu_config>(),
}) {}

export class intel_gvt_gtt extends struct("intel_gvt_gtt", {
  ppgtt_mm_lock: embed(() => mutex),
  ppgtt_mm_lru_list_head: embed(() => list_head),
  scratch_page: ptr<page>(),
  scratch_mfn: ulong(),
}) {}

export class intel_gvt_workload_scheduler extends struct("intel_gvt_workload_scheduler", {
  current_vgpu: ptr<intel_vgpu>(),
  next_vgpu: ptr<intel_vgpu>(),
  need_reschedule: bool(),
  mmio_context_lock: embed(() => spinlock_t),
  workload_complete_wq: embed(() => wait_queue_head),
  thread: array(I915_NUM_ENGINES, ptr<task_struct>()),
  waitq: array(
    I915_NUM_ENGINES,
    embed(() => wait_queue_head),
  ),
  sched_data: ptr<gvt_sched_data>(),
}) {}

class intel_gvt_base extends struct("intel_gvt", {
  /** Around everything that has no lock of its own. */
  lock: embed(() => mutex),
  sched_lock: embed(() => mutex),

  gt: ptr<intel_gt>(),
  vgpu_idr: embed(() => idr),

  device_info: embed(() => intel_gvt_device_info),
  gm: embed(() => intel_gvt_gm),
  fence: embed(() => intel_gvt_fence),
  mmio: embed(() => intel_gvt_mmio),
  firmware: embed(() => intel_gvt_firmware),
  gtt: embed(() => intel_gvt_gtt),
  scheduler: embed(() => intel_gvt_workload_scheduler),
  parent: embed(() => mdev_parent),
  mdev_types: ptr<struct_array<mdev_type | null>>(),
  types: ptr<struct_array<intel_vgpu_type>>(),
  num_types: u32(),
  idle_vgpu: ptr<intel_vgpu>(),

  service_thread: ptr<task_struct>(),
  service_thread_wq: embed(() => wait_queue_head),
  /** Bits of INTEL_GVT_REQUEST_…. */
  service_request: ulong(),

  debugfs_root: ptr<dentry>(),
}) {}
export class intel_gvt extends intel_gvt_base {}

export const INTEL_GVT_REQUEST_SCHED = 0;
export const INTEL_GVT_REQUEST_EVENT_SCHED = 1;
export const INTEL_GVT_REQUEST_EMULATE_VBLANK = 2;

export const MB_TO_BYTES = (mb: number): number => mb * 2 ** 20;
export const BYTES_TO_MB = (b: number): number => Math.floor(b / 2 ** 20);

export const HOST_LOW_GM_SIZE = MB_TO_BYTES(128);
export const HOST_HIGH_GM_SIZE = MB_TO_BYTES(384);
export const HOST_FENCE = 4;

export const gvt_to_ggtt = (gvt: intel_gvt): i915_ggtt => gvt.gt!.ggtt;
export const gvt_aperture_sz = (gvt: intel_gvt): number => gvt_to_ggtt(gvt).mappable_end;
export const gvt_aperture_pa_base = (gvt: intel_gvt): bigint => gvt_to_ggtt(gvt).gmadr_start;
export const gvt_ggtt_gm_sz = (gvt: intel_gvt): number => gvt_to_ggtt(gvt).vm_total;
export const gvt_ggtt_sz = (gvt: intel_gvt): number => (gvt_ggtt_gm_sz(gvt) / 2 ** PAGE_SHIFT) * 8;
export const gvt_hidden_sz = (gvt: intel_gvt): number => gvt_ggtt_gm_sz(gvt) - gvt_aperture_sz(gvt);
export const gvt_aperture_gmadr_base = (_gvt: intel_gvt): number => 0;
export const gvt_aperture_gmadr_end = (gvt: intel_gvt): number => gvt_aperture_sz(gvt) - 1;
export const gvt_hidden_gmadr_base = (gvt: intel_gvt): number => gvt_aperture_sz(gvt);
export const gvt_hidden_gmadr_end = (gvt: intel_gvt): number => gvt_hidden_gmadr_base(gvt) + gvt_hidden_sz(gvt) - 1;
export const gvt_fence_sz = (gvt: intel_gvt): number => gvt_to_ggtt(gvt).num_fences;

export const vgpu_aperture_offset = (vgpu: intel_vgpu): number => vgpu.gm.low_gm_node.start;
export const vgpu_hidden_offset = (vgpu: intel_vgpu): number => vgpu.gm.high_gm_node.start;
export const vgpu_aperture_sz = (vgpu: intel_vgpu): number => vgpu.gm.aperture_sz;
export const vgpu_hidden_sz = (vgpu: intel_vgpu): number => vgpu.gm.hidden_sz;
export const vgpu_fence_sz = (vgpu: intel_vgpu): number => vgpu.fence.size;

export const intel_vgpu_port_of = (vgpu: intel_vgpu, port: number): intel_vgpu_port => vgpu.display.ports.at(port);

export function vgpu_edid_str(id: number): string {
  return ["1024x768", "1920x1200"][id] ?? "";
}
export function vgpu_edid_xres(id: number): number {
  return [1024, 1920][id] ?? 0;
}
export function vgpu_edid_yres(id: number): number {
  return [768, 1200][id] ?? 0;
}
