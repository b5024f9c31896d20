// SPDX-License-Identifier: GPL-2.0-only
// dup: the VFIO API for drivers
import { completion } from "#linux/completion.ts";
import { device, put_device } from "#linux/device.ts";
import { EINVAL } from "#linux/errno.ts";
import type { eventfd_ctx } from "#linux/eventfd.ts";
import type { file, loff_ptr } from "#linux/fs.ts";
import type { iova_bitmap } from "#linux/iova_bitmap.ts";
import type { kvm } from "#linux/kvm_host.ts";
import { list_head } from "#linux/list.ts";
import type { page, vm_area_struct } from "#linux/mm.ts";
import { mutex } from "#linux/mutex.ts";
import { poll_table } from "#linux/poll.ts";
import type { rb_root_cached } from "#linux/rbtree.ts";
import { refcount_t } from "#linux/refcount.ts";
import {
  container_of,
  embed,
  fn,
  type kbuf,
  type kobj_memory,
  offsetof,
  opaque,
  ptr,
  type Sleeps,
  type Spins,
  struct,
  u32,
} from "#linux/types.ts";
import { wait_queue_entry_t } from "#linux/wait.ts";
import { work_struct } from "#linux/workqueue.ts";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  type vfio_device_mig_state,
} from "#uapi/linux/vfio.ts";
import { PAGE_SIZE } from "../../kernel/mm/page_size.ts";
import type { vfio_group } from "../../drivers/vfio/vfio.ts";
import { _vfio_alloc_device } from "../../drivers/vfio/vfio_main.ts";

/** Where a function leaves a second result: `T *` as an argument. */
export interface out<T> {
  value: T;
}

/** Devices that share one lock around open_device() and close_device(). */
export class vfio_device_set extends struct("vfio_device_set", {
  set_id: ptr<kobj_memory>(),
  lock: embed(() => mutex),
  device_list: embed(() => list_head),
  device_count: u32(),
}) {}

export class vfio_device extends struct("vfio_device", {
  dev: ptr<device>(),
  ops: ptr<vfio_device_ops>(),
  /** These two are set before the device is registered and stay. */
  mig_ops: ptr<vfio_migration_ops>(),
  log_ops: ptr<vfio_log_ops>(),
  group: ptr<vfio_group>(),
  dev_set: ptr<vfio_device_set>(),
  dev_set_list: embed(() => list_head),
  migration_flags: u32(),
  /** Valid in open_device(): a driver that wants it takes a reference there. */
  kvm: ptr<kvm>(),

  /** From here on the core's own. */
  index: u32(),
  /** Its count is the life of the memory. */
  device: embed(() => device),
  /** Its count is the registration: one of the register call, one of each user. */
  refcount: embed(() => refcount_t),
  open_count: u32(),
  comp: embed(() => completion),
  group_next: embed(() => list_head),
  iommu_entry: embed(() => list_head),
}) {}

/** A callback may be of either colour. */
type may_sleep<T> = Sleeps<T> | T;

/**
 * Callbacks of a VFIO driver. Those that are missing are NULL.
 * `arg` of ioctl and `arg` of device_feature are user addresses; match gives 0 for no, positive for a match, or an errno.
 */
export interface vfio_device_ops {
  readonly name?: string;
  readonly init?: (vdev: vfio_device) => may_sleep<number>;
  readonly release?: (vdev: vfio_device) => may_sleep<void>;
  readonly open_device?: (vdev: vfio_device) => may_sleep<number>;
  readonly close_device?: (vdev: vfio_device) => may_sleep<void>;
  readonly read?: (vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr) => may_sleep<number>;
  readonly write?: (vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr) => may_sleep<number>;
  readonly ioctl?: (vdev: vfio_device, cmd: number, arg: bigint) => may_sleep<number>;
  readonly mmap?: (vdev: vfio_device, vma: vm_area_struct) => may_sleep<number>;
  readonly request?: (vdev: vfio_device, count: number) => may_sleep<void>;
  readonly match?: (vdev: vfio_device, buf: string) => may_sleep<number>;
  readonly dma_unmap?: (vdev: vfio_device, iova: bigint, length: bigint) => may_sleep<void>;
  readonly device_feature?: (vdev: vfio_device, flags: number, arg: bigint, argsz: number) => may_sleep<number>;
}

export interface vfio_migration_ops {
  /** The file, if any, is where the state's data is read or written; ERR_PTR on error. */
  readonly migration_set_state?: (device: vfio_device, new_state: vfio_device_mig_state) => Sleeps<file | null>;
  readonly migration_get_state?: (device: vfio_device, curr_state: out<vfio_device_mig_state>) => may_sleep<number>;
}

/** The core keeps no state of logging: a driver copes with any order of these. */
export interface vfio_log_ops {
  readonly log_start?: (
    device: vfio_device,
    ranges: rb_root_cached,
    nnodes: number,
    page_size: out<bigint>,
  ) => may_sleep<number>;
  readonly log_stop?: (device: vfio_device) => may_sleep<number>;
  readonly log_read_and_clear?: (
    device: vfio_device,
    iova: bigint,
    length: bigint,
    dirty: iova_bitmap,
  ) => may_sleep<number>;
}

/**
 * Checks what user space passed to VFIO_DEVICE_FEATURE, for a driver's device_feature().
 * @flags: argument of device_feature(); @argsz: the same, bytes; @supported_ops: GET and SET bits that the feature has;
 * @minsz: least size of its data, bytes
 * @return 1 if the get or set is to be done, else what to answer (0 for a probe, -EINVAL). Any context.
 * Source: include/linux/vfio.h
 */
export function vfio_check_feature(flags: number, argsz: number, supported_ops: number, minsz: number): number {
  if (flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET) & ~supported_ops) return -EINVAL;
  if (flags & VFIO_DEVICE_FEATURE_PROBE) return 0;
  if (!(flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET))) return -EINVAL;
  if (argsz < minsz) return -EINVAL;
  return 1;
}

/** Names of the members of T that are vfio_devices. */
type vfio_device_in<T> = { [K in keyof T]: T[K] extends vfio_device ? K : never }[keyof T] & string;

/**
 * Allocates a driver's struct and initialises the vfio_device in it, which has to be its first member.
 * @dev_struct: class of the driver's struct; @member: name of its vfio_device; @dev: the parent; @ops: the driver's callbacks
 * @return the struct or ERR_PTR. Context: may sleep. Drop it with vfio_put_device().
 * Source: include/linux/vfio.h
 */
export function* vfio_alloc_device<T extends kobj_memory, K extends vfio_device_in<T>>(
  dev_struct: new () => T,
  member: K,
  dev: device | null,
  ops: vfio_device_ops,
): Sleeps<T> {
  BUILD_BUG_ON_ZERO(offsetof(dev_struct, member));
  const vdev = yield* _vfio_alloc_device(dev_struct, dev, ops);
  return container_of(vdev as T[K], dev_struct, member);
}
/** What C refuses to compile can only be refused at the call here. */
function BUILD_BUG_ON_ZERO(offset: number): void {
  if (offset !== 0) throw new TypeError("BUILD_BUG_ON failed: the vfio_device is not the first member");
}

/** Drops a reference of the memory. Context: may sleep. Source: include/linux/vfio.h */
export function vfio_put_device(device: vfio_device): Sleeps {
  return put_device(device.device);
}

export {
  _vfio_alloc_device,
  vfio_assign_device_set,
  vfio_device_set_open_count,
  vfio_file_enforced_coherent,
  vfio_file_has_dev,
  vfio_file_iommu_group,
  vfio_file_is_group,
  vfio_file_set_kvm,
  vfio_free_device,
  vfio_info_add_capability,
  vfio_info_cap_add,
  vfio_info_cap_shift,
  vfio_init_device,
  vfio_mig_get_next_state,
  vfio_register_emulated_iommu_dev,
  vfio_register_group_dev,
  vfio_set_irqs_validate_and_prepare,
  vfio_unregister_group_dev,
} from "../../drivers/vfio/vfio_main.ts";

/** As many as page numbers fit in a page. */
export const VFIO_PIN_PAGES_MAX_ENTRIES = PAGE_SIZE / 8;

/** `struct page **`: an array of page pointers, or a place inside one. */
export interface page_pointers {
  at(i: number): page | null;
  set(i: number, v: page | null): void;
}
/** `&pages[first]` */
export class page_pointers_at implements page_pointers {
  readonly pages: page_pointers;
  readonly first: number;
  constructor(pages: page_pointers, first: number) {
    this.pages = pages;
    this.first = first;
  }
  at(i: number): page | null {
    return this.pages.at(this.first + i);
  }
  set(i: number, v: page | null): void {
    this.pages.set(this.first + i, v);
  }
}

export { vfio_dma_rw, vfio_pin_pages, vfio_unpin_pages } from "../../drivers/vfio/container.ts";

/** A chain of capabilities in the making. */
export class vfio_info_cap extends struct("vfio_info_cap", {
  buf: ptr<kbuf>(),
  size: opaque(() => 0),
}) {}

/** Member that points to a virqfd: `struct virqfd **`. */
export interface virqfd_pointer {
  value: virqfd | null;
}
export class virqfd extends struct("virqfd", {
  opaque: ptr<object>(),
  eventfd: ptr<eventfd_ctx>(),
  handler: fn<(opaque: object | null, data: object | null) => Spins<number>>(),
  thread: fn<(opaque: object | null, data: object | null) => Sleeps | void>(),
  data: ptr<object>(),
  inject: embed(() => work_struct),
  wait: embed(() => wait_queue_entry_t),
  pt: embed(() => poll_table),
  shutdown: embed(() => work_struct),
  flush_inject: embed(() => work_struct),
  pvirqfd: ptr<virqfd_pointer>(),
}) {}

export { vfio_virqfd_disable, vfio_virqfd_enable, vfio_virqfd_flush_thread } from "../../drivers/vfio/virqfd.ts";
