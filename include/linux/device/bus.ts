// SPDX-License-Identifier: GPL-2.0-only
// dup: buses
import { bool, embed, fn, opaque, ptr, type Sleeps, str, struct } from "../types.ts";
import type { attribute_groups } from "../sysfs.ts";
import type { kobj_uevent_env } from "../kobject.ts";
import type { dev_pm_ops } from "../pm.ts";
import type { device } from "../device.ts";
import type { device_driver } from "./driver.ts";
import type { iommu_ops } from "../iommu.ts";
import type { subsys_private } from "../../../drivers/base/base.ts";
import { list_head } from "../list.ts";

export class bus_type extends struct("bus_type", {
  name: str(),
  dev_name: str(),
  dev_root: ptr<device>(),
  bus_groups: opaque<attribute_groups | null>(() => null),
  dev_groups: opaque<attribute_groups | null>(() => null),
  drv_groups: opaque<attribute_groups | null>(() => null),

  match: fn<(dev: device, drv: device_driver) => Sleeps<number> | number>(),
  uevent: fn<(dev: device, env: kobj_uevent_env) => number>(),
  probe: fn<(dev: device) => Sleeps<number> | number>(),
  sync_state: fn<(dev: device) => Sleeps | void>(),
  remove: fn<(dev: device) => Sleeps | void>(),
  shutdown: fn<(dev: device) => Sleeps | void>(),

  online: fn<(dev: device) => Sleeps<number> | number>(),
  offline: fn<(dev: device) => Sleeps<number> | number>(),

  num_vf: fn<(dev: device) => number>(),

  dma_configure: fn<(dev: device) => Sleeps<number> | number>(),
  dma_cleanup: fn<(dev: device) => Sleeps | void>(),

  pm: opaque<dev_pm_ops | null>(() => null),
  iommu_ops: ptr<iommu_ops>(),

  p: ptr<subsys_private>(),
  need_parent_lock: bool(),
}) {}

export class subsys_interface extends struct("subsys_interface", {
  name: str(),
  subsys: ptr<bus_type>(),
  node: embed(() => list_head),
  add_dev: fn<(dev: device, sif: subsys_interface) => Sleeps<number> | number>(),
  remove_dev: fn<(dev: device, sif: subsys_interface) => Sleeps | void>(),
}) {}

export const BUS_NOTIFY_ADD_DEVICE = 1;
export const BUS_NOTIFY_DEL_DEVICE = 2;
export const BUS_NOTIFY_REMOVED_DEVICE = 3;
export const BUS_NOTIFY_BIND_DRIVER = 4;
export const BUS_NOTIFY_BOUND_DRIVER = 5;
export const BUS_NOTIFY_UNBIND_DRIVER = 6;
export const BUS_NOTIFY_UNBOUND_DRIVER = 7;
export const BUS_NOTIFY_DRIVER_NOT_BOUND = 8;

export { bus_attribute, BUS_ATTR_RO, BUS_ATTR_RW, BUS_ATTR_WO } from "../../../kernel/fs/sysfs/attribute.ts";
export {
  bus_create_file,
  bus_find_device,
  bus_find_device_by_devt,
  bus_find_device_by_name,
  bus_find_next_device,
  bus_for_each_dev,
  bus_for_each_drv,
  bus_get_kset,
  bus_register,
  bus_register_notifier,
  bus_remove_file,
  bus_rescan_devices,
  bus_unregister,
  bus_unregister_notifier,
  device_reprobe,
  subsys_interface_register,
  subsys_interface_unregister,
  subsys_system_register,
  subsys_virtual_register,
} from "../../../drivers/base/bus.ts";
