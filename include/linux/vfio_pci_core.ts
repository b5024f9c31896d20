// SPDX-License-Identifier: GPL-2.0-only
// dup: what drivers for variants of vfio-pci build on
import type { eventfd_ctx } from "#linux/eventfd.ts";
import type { iomem } from "#linux/io.ts";
import { list_head } from "#linux/list.ts";
import type { loff_ptr } from "#linux/fs.ts";
import type { vm_area_struct } from "#linux/mm.ts";
import { mutex } from "#linux/mutex.ts";
import { notifier_block } from "#linux/notifier.ts";
import { PCI_STD_NUM_BARS, type pci_dev, type pci_saved_state } from "#linux/pci.ts";
import { rw_semaphore } from "#linux/rwsem.ts";
import { spinlock_t } from "#linux/spinlock.ts";
import {
  array,
  bool,
  embed,
  int,
  type kbuf,
  opaque,
  ptr,
  type Sleeps,
  struct,
  type struct_array,
  u16,
  u32,
  u8,
} from "#linux/types.ts";
import { vfio_device, type vfio_info_cap } from "#linux/vfio.ts";
import type { vfio_pci_vf_token } from "../../drivers/vfio/pci/vfio_pci_core.ts";
import type { vfio_pci_irq_ctx } from "../../drivers/vfio/pci/vfio_pci_intrs.ts";
import type { perm_bits } from "../../drivers/vfio/pci/vfio_pci_config.ts";

export const VFIO_PCI_OFFSET_SHIFT = 40;
export const VFIO_PCI_OFFSET_TO_INDEX = (off: bigint): number =>
  Number(BigInt.asUintN(32, off >> BigInt(VFIO_PCI_OFFSET_SHIFT)));
export const VFIO_PCI_INDEX_TO_OFFSET = (index: number): bigint => BigInt(index) << BigInt(VFIO_PCI_OFFSET_SHIFT);
export const VFIO_PCI_OFFSET_MASK = (1n << BigInt(VFIO_PCI_OFFSET_SHIFT)) - 1n;

/** A callback may be of either colour. */
type may_sleep<T> = Sleeps<T> | T;

/** What a region that a driver adds can do. */
export interface vfio_pci_regops {
  readonly rw: (
    vdev: vfio_pci_core_device,
    buf: bigint,
    count: number,
    ppos: loff_ptr,
    iswrite: boolean,
  ) => may_sleep<number>;
  readonly release: (vdev: vfio_pci_core_device, region: vfio_pci_region) => may_sleep<void>;
  readonly mmap?: (vdev: vfio_pci_core_device, region: vfio_pci_region, vma: vm_area_struct) => may_sleep<number>;
  readonly add_capability?: (
    vdev: vfio_pci_core_device,
    region: vfio_pci_region,
    caps: vfio_info_cap,
  ) => may_sleep<number>;
}

export class vfio_pci_region extends struct("vfio_pci_region", {
  type: u32(),
  subtype: u32(),
  ops: opaque<vfio_pci_regops | null>(() => null),
  data: ptr<object>(),
  /** Bytes. */
  size: opaque(() => 0n),
  flags: u32(),
}) {}

class vfio_pci_core_device_base extends struct("vfio_pci_core_device", {
  vdev: embed(() => vfio_device),
  pdev: ptr<pci_dev>(),
  /** What is mapped, by BAR. */
  barmap: array(PCI_STD_NUM_BARS, ptr<iomem>()),
  bar_mmap_supported: array(PCI_STD_NUM_BARS, bool()),
  /** For each byte of configuration space: the capability that it belongs to. */
  pci_config_map: ptr<kbuf>(),
  /** Configuration space as user space sees it. */
  vconfig: ptr<kbuf>(),
  msi_perm: ptr<perm_bits>(),
  irqlock: embed(() => spinlock_t),
  igate: embed(() => mutex),
  ctx: ptr<struct_array<vfio_pci_irq_ctx>>(),
  num_ctx: int(),
  irq_type: int(),
  num_regions: int(),
  region: ptr<struct_array<vfio_pci_region>>(),
  msi_qmax: u8(),
  msix_bar: u8(),
  msix_size: u16(),
  msix_offset: u32(),
  rbar: array(7, u32()),
  pci_2_3: bool(),
  virq_disabled: bool(),
  reset_works: bool(),
  extended_caps: bool(),
  bardirty: bool(),
  has_vga: bool(),
  needs_reset: bool(),
  nointx: bool(),
  needs_pm_restore: bool(),
  pm_intx_masked: bool(),
  pm_runtime_engaged: bool(),
  pci_saved_state: ptr<pci_saved_state>(),
  pm_save: ptr<pci_saved_state>(),
  ioeventfds_nr: int(),
  err_trigger: ptr<eventfd_ctx>(),
  req_trigger: ptr<eventfd_ctx>(),
  pm_wake_eventfd_ctx: ptr<eventfd_ctx>(),
  dummy_resources_list: embed(() => list_head),
  ioeventfds_lock: embed(() => mutex),
  ioeventfds_list: embed(() => list_head),
  vf_token: ptr<vfio_pci_vf_token>(),
  sriov_pfs_item: embed(() => list_head),
  sriov_pf_core_dev: ptr<vfio_pci_core_device>(),
  nb: embed(() => notifier_block),
  vma_lock: embed(() => mutex),
  vma_list: embed(() => list_head),
  memory_lock: embed(() => rw_semaphore),
}) {}
export class vfio_pci_core_device extends vfio_pci_core_device_base {}

export {
  vfio_pci_core_aer_err_detected,
  vfio_pci_core_close_device,
  vfio_pci_core_disable,
  vfio_pci_core_enable,
  vfio_pci_core_err_handlers,
  vfio_pci_core_finish_enable,
  vfio_pci_core_init_dev,
  vfio_pci_core_ioctl,
  vfio_pci_core_ioctl_feature,
  vfio_pci_core_match,
  vfio_pci_core_mmap,
  vfio_pci_core_read,
  vfio_pci_core_register_dev_region,
  vfio_pci_core_register_device,
  vfio_pci_core_release_dev,
  vfio_pci_core_request,
  vfio_pci_core_set_params,
  vfio_pci_core_sriov_configure,
  vfio_pci_core_unregister_device,
  vfio_pci_core_write,
} from "../../drivers/vfio/pci/vfio_pci_core.ts";
