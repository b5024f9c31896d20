// SPDX-License-Identifier: GPL-2.0-only
/** What only the driver core touches. Source: drivers/base/base.h */
import type { bus_type, class_, device, device_driver } from "#linux/device.ts";
import { kobject, kset } from "#linux/kobject.ts";
import { klist, klist_node } from "#linux/klist.ts";
import { list_head } from "#linux/list.ts";
import { mutex } from "#linux/mutex.ts";
import { blocking_notifier_head } from "#linux/notifier.ts";
import { bool, container_of, embed, ptr, type Sleeps, str, struct } from "#linux/types.ts";
import type { module_kobject } from "#linux/module.ts";
import { either } from "#linux/sched.ts";

/** The driver core's part of a bus or a class. */
export class subsys_private extends struct("subsys_private", {
  subsys: embed(() => kset),
  devices_kset: ptr<kset>(),
  interfaces: embed(() => list_head),
  mutex: embed(() => mutex),

  drivers_kset: ptr<kset>(),
  klist_devices: embed(() => klist),
  klist_drivers: embed(() => klist),
  bus_notifier: embed(() => blocking_notifier_head),
  drivers_autoprobe: bool(),
  bus: ptr<bus_type>(),

  glue_dirs: embed(() => kset),
  class: ptr<class_>(),
}) {}
export const to_subsys_private = (obj: kobject): subsys_private =>
  container_of(container_of(obj, kset, "kobj"), subsys_private, "subsys");

export class driver_private extends struct("driver_private", {
  kobj: embed(() => kobject),
  klist_devices: embed(() => klist),
  knode_bus: embed(() => klist_node),
  mkobj: ptr<module_kobject>(),
  driver: ptr<device_driver>(),
}) {}
export const to_driver = (obj: kobject): driver_private => container_of(obj, driver_private, "kobj");

export class device_private extends struct("device_private", {
  klist_children: embed(() => klist),
  knode_parent: embed(() => klist_node),
  knode_driver: embed(() => klist_node),
  knode_bus: embed(() => klist_node),
  knode_class: embed(() => klist_node),
  deferred_probe: embed(() => list_head),
  async_driver: ptr<device_driver>(),
  deferred_probe_reason: str(),
  device: ptr<device>(),
  dead: bool(),
}) {}
export const to_device_private_parent = (n: klist_node): device_private =>
  container_of(n, device_private, "knode_parent");
export const to_device_private_driver = (n: klist_node): device_private =>
  container_of(n, device_private, "knode_driver");
export const to_device_private_bus = (n: klist_node): device_private => container_of(n, device_private, "knode_bus");
export const to_device_private_class = (n: klist_node): device_private =>
  container_of(n, device_private, "knode_class");

/** @return what the bus says: above 0 for a match, 0, -EPROBE_DEFER or another -errno; without a match() everything matches. May sleep */
export function* driver_match_device(drv: device_driver, dev: device): Sleeps<number> {
  const match = drv.bus!.match;
  return match ? yield* either(match(dev, drv)) : 1;
}
