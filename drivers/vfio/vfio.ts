// SPDX-License-Identifier: GPL-2.0-only
/** What the files of the VFIO core share: groups, and the drivers of IOMMU back ends. */
import { cdev } from "#linux/cdev.ts";
import { device } from "#linux/device.ts";
import type { file } from "#linux/fs.ts";
import type { iommu_domain, iommu_group } from "#linux/iommu.ts";
import type { kvm } from "#linux/kvm_host.ts";
import { list_head } from "#linux/list.ts";
import type { module } from "#linux/module.ts";
import { mutex } from "#linux/mutex.ts";
import { blocking_notifier_head } from "#linux/notifier.ts";
import { refcount_t } from "#linux/refcount.ts";
import { type byte_memory, embed, ptr, type Sleeps, struct, u32 } from "#linux/types.ts";
import type { page_pointers, vfio_device } from "#linux/vfio.ts";
import type { vfio_container } from "./container.ts";

export type vfio_group_type = number;
/** A device behind a real IOMMU. */
export const VFIO_IOMMU = 0;
/** A virtual device: its group exists only because user space expects one. */
export const VFIO_EMULATED_IOMMU = 1;
/** A real device without an IOMMU: nothing protects the host from it. */
export const VFIO_NO_IOMMU = 2;

export class vfio_group extends struct("vfio_group", {
  dev: embed(() => device),
  cdev: embed(() => cdev),
  /** While it is not zero a driver is bound in the group, and iommu_group is valid. */
  drivers: embed(() => refcount_t),
  container_users: u32(),
  iommu_group: ptr<iommu_group>(),
  container: ptr<vfio_container>(),
  device_list: embed(() => list_head),
  device_lock: embed(() => mutex),
  vfio_next: embed(() => list_head),
  container_next: embed(() => list_head),
  type: u32(),
  group_lock: embed(() => mutex),
  kvm: ptr<kvm>(),
  opened_file: ptr<file>(),
  notifier: embed(() => blocking_notifier_head),
}) {}

/** Events for a back end's notify(). */
export type vfio_iommu_notify_type = number;
export const VFIO_IOMMU_CONTAINER_CLOSE = 0;

/** A callback may be of either colour. */
type may_sleep<T> = Sleeps<T> | T;

/** Callbacks of an IOMMU back end. `iommu_data` is what open() gave. Those that are missing are NULL. */
export interface vfio_iommu_driver_ops {
  readonly name?: string;
  readonly owner: module | null;
  readonly open: (arg: bigint) => Sleeps<object | null>;
  readonly release: (iommu_data: object | null) => may_sleep<void>;
  readonly ioctl: (iommu_data: object | null, cmd: number, arg: bigint) => may_sleep<number>;
  readonly attach_group: (
    iommu_data: object | null,
    group: iommu_group | null,
    type: vfio_group_type,
  ) => may_sleep<number>;
  readonly detach_group: (iommu_data: object | null, group: iommu_group | null) => may_sleep<void>;
  readonly pin_pages?: (
    iommu_data: object | null,
    group: iommu_group | null,
    user_iova: bigint,
    npage: number,
    prot: number,
    pages: page_pointers | null,
  ) => may_sleep<number>;
  readonly unpin_pages?: (iommu_data: object | null, user_iova: bigint, npage: number) => may_sleep<void>;
  readonly register_device?: (iommu_data: object | null, vdev: vfio_device) => may_sleep<void>;
  readonly unregister_device?: (iommu_data: object | null, vdev: vfio_device) => may_sleep<void>;
  readonly dma_rw?: (
    iommu_data: object | null,
    user_iova: bigint,
    data: byte_memory,
    count: number,
    write: boolean,
  ) => may_sleep<number>;
  readonly group_iommu_domain?: (iommu_data: object | null, group: iommu_group | null) => Sleeps<iommu_domain>;
  readonly notify?: (iommu_data: object | null, event: vfio_iommu_notify_type) => may_sleep<void>;
}

export class vfio_iommu_driver extends struct("vfio_iommu_driver", {
  ops: ptr<vfio_iommu_driver_ops>(),
  vfio_next: embed(() => list_head),
}) {}

export {
  vfio_container_attach_group,
  vfio_container_cleanup,
  vfio_container_from_file,
  vfio_container_init,
  vfio_container_ioctl_check_extension,
  vfio_device_assign_container,
  vfio_device_container_register,
  vfio_device_container_unregister,
  vfio_device_unassign_container,
  vfio_group_detach_container,
  vfio_register_iommu_driver,
  vfio_unregister_iommu_driver,
} from "./container.ts";
export { vfio_assert_device_open } from "./vfio_main.ts";

/** CONFIG_VFIO_NOIOMMU is off. */
export const vfio_noiommu: boolean = false;
