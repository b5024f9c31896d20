// SPDX-License-Identifier: GPL-2.0-only
/** What the files of the VFIO platform drivers share. Source: drivers/vfio/platform/vfio_platform_private.h */
import type { device } from "#linux/device.ts";
import type { eventfd_ctx } from "#linux/eventfd.ts";
import type { iomem } from "#linux/io.ts";
import type { resource } from "#linux/ioport.ts";
import { list_head } from "#linux/list.ts";
import type { module } from "#linux/module.ts";
import { mutex } from "#linux/mutex.ts";
import { spinlock_t } from "#linux/spinlock.ts";
import {
  bool,
  embed,
  fn,
  int,
  opaque,
  ptr,
  type Sleeps,
  str,
  struct,
  type struct_array,
  u32,
  u64,
} from "#linux/types.ts";
import { vfio_device, type virqfd } from "#linux/vfio.ts";

export const VFIO_PLATFORM_OFFSET_SHIFT = 40n;
export const VFIO_PLATFORM_OFFSET_MASK = (1n << VFIO_PLATFORM_OFFSET_SHIFT) - 1n;

/** Assigned to an unsigned int in C. */
export const VFIO_PLATFORM_OFFSET_TO_INDEX = (off: bigint): number =>
  Number(BigInt.asUintN(32, off >> VFIO_PLATFORM_OFFSET_SHIFT));

export const VFIO_PLATFORM_INDEX_TO_OFFSET = (index: number): bigint => BigInt(index) << VFIO_PLATFORM_OFFSET_SHIFT;

export class vfio_platform_irq extends struct("vfio_platform_irq", {
  flags: u32(),
  count: u32(),
  hwirq: int(),
  /** ERR_PTR if nobody could be asked for the interrupt. */
  name: opaque<string | null>(() => null),
  trigger: ptr<eventfd_ctx>(),
  masked: bool(),
  lock: embed(() => spinlock_t),
  unmask: ptr<virqfd>(),
  mask: ptr<virqfd>(),
}) {}

export class vfio_platform_region extends struct("vfio_platform_region", {
  addr: u64(),
  size: u64(),
  flags: u32(),
  type: u32(),
  ioaddr: ptr<iomem>(),
}) {}
export const VFIO_PLATFORM_REGION_TYPE_MMIO = 1;
export const VFIO_PLATFORM_REGION_TYPE_PIO = 2;

export type vfio_platform_reset_fn_t = (vdev: vfio_platform_device) => Sleeps<number> | number;

class vfio_platform_device_base extends struct("vfio_platform_device", {
  vdev: embed(() => vfio_device),
  regions: ptr<struct_array<vfio_platform_region>>(),
  num_regions: u32(),
  irqs: ptr<struct_array<vfio_platform_irq>>(),
  num_irqs: u32(),
  igate: embed(() => mutex),
  compat: str(),
  acpihid: str(),
  reset_module: ptr<module>(),
  device: ptr<device>(),

  /** From here on for the driver of the bus to fill. */
  opaque: ptr<object>(),
  name: str(),
  flags: u32(),
  get_resource: fn<(vdev: vfio_platform_device, i: number) => resource | null>(),
  get_irq: fn<(vdev: vfio_platform_device, i: number) => number>(),
  of_reset: fn<vfio_platform_reset_fn_t>(),

  reset_required: bool(),
}) {}
export class vfio_platform_device extends vfio_platform_device_base {}

/** What vfio_platform_register_reset() of C makes a static of the module: here the module has one itself. */
export class vfio_platform_reset_node extends struct("vfio_platform_reset_node", {
  link: embed(() => list_head),
  compat: str(),
  owner: ptr<module>(),
  of_reset: fn<vfio_platform_reset_fn_t>(),
}) {}

export {
  __vfio_platform_register_reset,
  vfio_platform_close_device,
  vfio_platform_init_common,
  vfio_platform_ioctl,
  vfio_platform_mmap,
  vfio_platform_open_device,
  vfio_platform_read,
  vfio_platform_release_common,
  vfio_platform_unregister_reset,
  vfio_platform_write,
} from "./vfio_platform_common.ts";
export {
  vfio_platform_irq_cleanup,
  vfio_platform_irq_init,
  vfio_platform_set_irqs_ioctl,
} from "./vfio_platform_irq.ts";
