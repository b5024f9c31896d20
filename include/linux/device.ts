// SPDX-License-Identifier: GPL-2.0-only
// dup: devices; without device links and system sleep
import { bool, embed, fn, opaque, ptr, type Sleeps, str, struct, u32, u64, ulong } from "./types.ts";
export {
  DEVICE_ATTR,
  DEVICE_ATTR_ADMIN_RW,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  DEVICE_ATTR_WO,
  device_attribute,
  type device_show,
  type device_store,
} from "../../kernel/fs/sysfs/attribute.ts";
import type { attribute_groups } from "./sysfs.ts";
import { type kobj_uevent_env, kobject, kobject_name } from "./kobject.ts";
import { lockdep_assert_held } from "./lockdep.ts";
import { mutex, mutex_is_locked, mutex_lock, mutex_lock_interruptible, mutex_trylock, mutex_unlock } from "./mutex.ts";
import type { dev_iommu, iommu_group } from "./iommu.ts";
import type { irq_domain } from "./irqdomain.ts";
import { list_head } from "./list.ts";
import type { device_node } from "./of.ts";
import { dev_pm_info, type dev_pm_ops } from "./pm.ts";
import { spinlock_t } from "./spinlock.ts";
import type { bus_type } from "./device/bus.ts";
import type { class_ } from "./device/class.ts";
import type { device_driver } from "./device/driver.ts";
import type { device_private } from "../../drivers/base/base.ts";

/** `umode_t *` */
export interface umode_ptr {
  value: number;
}

export interface device_type {
  readonly name?: string;
  readonly groups?: attribute_groups;
  readonly uevent?: (dev: device, env: kobj_uevent_env) => number;
  readonly devnode?: (dev: device, mode: umode_ptr | null) => string | null;
  readonly release?: (dev: device) => Sleeps | void;
  readonly pm?: dev_pm_ops;
}

export class device_dma_parameters extends struct("device_dma_parameters", {
  max_segment_size: u32(),
  min_align_mask: u32(),
  segment_boundary_mask: ulong(),
}) {}

/** Where the message-signalled interrupts of a device come from. */
export class dev_msi_info extends struct("dev_msi_info", {
  domain: ptr<irq_domain>(),
  data: ptr<object>(),
}) {}

export class device extends struct("device", {
  kobj: embed(() => kobject),
  parent: ptr<device>(),

  p: ptr<device_private>(),

  init_name: str(),
  type: opaque<device_type | null>(() => null),

  bus: ptr<bus_type>(),
  driver: ptr<device_driver>(),
  platform_data: ptr<object>(),
  driver_data: ptr<object>(),
  mutex: embed(() => mutex),

  power: embed(() => dev_pm_info),

  msi: embed(() => dev_msi_info),
  dma_ops: ptr<object>(),
  dma_mask: ptr<{ value: bigint }>(),
  coherent_dma_mask: u64(),
  bus_dma_limit: u64(),
  dma_parms: ptr<device_dma_parameters>(),

  of_node: ptr<device_node>(),

  devt: u32(),
  id: u32(),

  devres_lock: embed(() => spinlock_t),
  devres_head: embed(() => list_head),

  class: ptr<class_>(),
  groups: opaque<attribute_groups | null>(() => null),

  release: fn<(dev: device) => Sleeps | void>(),
  iommu_group: ptr<iommu_group>(),
  iommu: ptr<dev_iommu>(),

  offline_disabled: bool(),
  offline: bool(),
  state_synced: bool(),
  can_match: bool(),
}) {}

/** The name; the one it will get if it is not set yet. Any context. */
export const dev_name = (dev: device): string | null => dev.init_name ?? kobject_name(dev.kobj);
/** Name of the bus or class, or "". */
export const dev_bus_name = (dev: device): string | null => (dev.bus ? dev.bus.name : dev.class ? dev.class.name : "");

/** What the driver has stored, which only it knows the type of. Any context. */
export const dev_get_drvdata = <T extends object>(dev: device): T | null => dev.driver_data as T | null;
export const dev_set_drvdata = (dev: device, data: object | null): void => {
  dev.driver_data = data;
};
export const dev_get_platdata = <T extends object>(dev: device): T | null => dev.platform_data as T | null;

/** device_add() has been called and device_del() has not. Any context. */
export const device_is_registered = (dev: device): boolean => dev.kobj.state_in_sysfs;
export const dev_set_uevent_suppress = (dev: device, val: boolean): void => {
  dev.kobj.uevent_suppress = val;
};
export const dev_get_uevent_suppress = (dev: device): boolean => dev.kobj.uevent_suppress;

export const dev_get_msi_domain = (dev: device): irq_domain | null => dev.msi.domain;
export const dev_set_msi_domain = (dev: device, d: irq_domain | null): void => {
  dev.msi.domain = d;
};
/** No memory nodes: NUMA_NO_NODE. */
export const dev_to_node = (_dev: device): number => -1;

export const device_lock = (dev: device): Sleeps => mutex_lock(dev.mutex);
export const device_lock_interruptible = (dev: device): Sleeps<number> => mutex_lock_interruptible(dev.mutex);
export const device_trylock = (dev: device): boolean => Boolean(mutex_trylock(dev.mutex));
export const device_unlock = (dev: device): void => mutex_unlock(dev.mutex);
export const device_lock_assert = (dev: device): void => lockdep_assert_held(dev.mutex);
export const device_is_locked = (dev: device): boolean => mutex_is_locked(dev.mutex);

export {
  _dev_printk,
  dev_alert,
  dev_crit,
  dev_dbg,
  dev_driver_string,
  dev_emerg,
  dev_err,
  dev_err_probe,
  dev_err_ratelimited,
  dev_info,
  dev_info_ratelimited,
  dev_notice,
  dev_notice_ratelimited,
  dev_set_name,
  dev_warn,
  dev_WARN,
  dev_WARN_ONCE,
  dev_warn_ratelimited,
  device_add,
  device_add_groups,
  device_create,
  device_create_bin_file,
  device_create_file,
  device_create_with_groups,
  device_del,
  device_destroy,
  device_find_any_child,
  device_find_child,
  device_find_child_by_name,
  device_for_each_child,
  device_for_each_child_reverse,
  device_get_devnode,
  device_initialize,
  device_match_any,
  device_match_devt,
  device_match_name,
  device_move,
  device_register,
  device_remove_bin_file,
  device_remove_file,
  device_remove_file_self,
  device_remove_groups,
  device_rename,
  device_shutdown,
  device_unregister,
  DPM_ORDER_DEV_AFTER_PARENT,
  DPM_ORDER_DEV_LAST,
  DPM_ORDER_NONE,
  DPM_ORDER_PARENT_BEFORE_DEV,
  get_device,
  kill_device,
  kobj_to_dev,
  put_device,
  root_device_register,
  root_device_unregister,
} from "../../drivers/base/core.ts";
export {
  device_attach,
  device_bind_driver,
  device_driver_attach,
  device_is_bound,
  device_release_driver,
  driver_attach,
} from "../../drivers/base/dd.ts";
export {
  devm_kcalloc,
  devm_kfree,
  devm_kmalloc,
  devm_kmalloc_array,
  devm_kzalloc,
  devres_add,
  devres_alloc,
  devres_destroy,
  devres_find,
  devres_free,
  devres_release,
  devres_remove,
  type dr_match_t,
  type dr_release_t,
} from "../../drivers/base/devres.ts";
export * from "./device/bus.ts";
export * from "./device/class.ts";
export * from "./device/driver.ts";
// Linked in with everything that has devices.
import "../../drivers/base/init.ts";
