// SPDX-License-Identifier: GPL-2.0-only
/** Drivers. Source: drivers/base/driver.c */
import { WARN } from "#linux/bug.ts";
import {
  type bus_type,
  type device,
  type device_driver,
  device_lock,
  device_match_name,
  device_unlock,
  type driver_attribute,
  get_device,
} from "#linux/device.ts";
import { EBUSY, EINVAL, ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { klist_iter, klist_iter_exit, klist_iter_init_node, klist_next } from "#linux/klist.ts";
import { KOBJ_ADD, kobject_put, kobject_uevent, kset_find_obj } from "#linux/kobject.ts";
import { pr_err, pr_warn } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kstrndup } from "#linux/slab.ts";
import {
  type attribute_groups,
  sysfs_create_file,
  sysfs_create_groups,
  SYSFS_PAGE_SIZE,
  sysfs_remove_file,
  sysfs_remove_groups,
} from "#linux/sysfs.ts";
import { ready_int, type Sleeps } from "#linux/types.ts";
import { to_device_private_driver, to_driver } from "./base.ts";
import { bus_add_driver, bus_remove_driver } from "./bus.ts";
import type { device_matcher, device_walker } from "./core.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

function* next_device(i: klist_iter): Sleeps<device | null> {
  const n = yield* klist_next(i);
  return n ? to_device_private_driver(n).device : null;
}

/**
 * Stores what was written to a driver_override file. @override: where C has a char **: reads and sets the member
 * @return 0, -EINVAL if it is too long, -ENOMEM. May sleep
 */
export function* driver_set_override(
  dev: device,
  override: { value: string | null } | null,
  text: string | null,
  len: number,
): Sleeps<number> {
  if (!override || text === null) return -EINVAL;
  // One less than a page, for the newline that the show function adds.
  if (len >= SYSFS_PAGE_SIZE - 1) return -EINVAL;
  // User space may have sent NULs.
  const nul = text.indexOf("\0");
  const given = nul < 0 ? text : text.slice(0, nul);
  if (given === "") {
    yield* device_lock(dev);
    override.value = null;
    device_unlock(dev);
    return 0;
  }
  const cp = given.indexOf("\n");
  const new_ = kstrndup(given, cp < 0 ? given.length : cp, GFP_KERNEL);
  if (new_ === null) return -ENOMEM;
  yield* device_lock(dev);
  override.value = cp === 0 ? null : new_;
  device_unlock(dev);
  return 0;
}
EXPORT_SYMBOL_GPL(driver_set_override);

/** Calls `fn` for each device of a driver until it returns something. @return that, 0, or -EINVAL. May sleep */
export function* driver_for_each_device<T>(
  drv: device_driver | null,
  start: device | null,
  data: T,
  fn: device_walker<T>,
): Sleeps<number> {
  if (!drv) return -EINVAL;
  const i = new klist_iter();
  let error = 0;
  klist_iter_init_node(drv.p!.klist_devices, i, start ? start.p!.knode_driver : null);
  for (let dev; !error && (dev = yield* next_device(i));) error = yield* either(fn(dev, data));
  yield* klist_iter_exit(i);
  return error;
}
EXPORT_SYMBOL_GPL(driver_for_each_device);

/** @return the first device of a driver that matches, with a reference; null. May sleep */
export function* driver_find_device<T>(
  drv: device_driver | null,
  start: device | null,
  data: T,
  match: device_matcher<T>,
): Sleeps<device | null> {
  if (!drv?.p) return null;
  const i = new klist_iter();
  let dev: device | null;
  klist_iter_init_node(drv.p.klist_devices, i, start ? start.p!.knode_driver : null);
  while ((dev = yield* next_device(i))) if (match(dev, data) && get_device(dev)) break;
  yield* klist_iter_exit(i);
  return dev;
}
EXPORT_SYMBOL_GPL(driver_find_device);
export function driver_find_device_by_name(drv: device_driver | null, name: string): Sleeps<device | null> {
  return driver_find_device(drv, null, name, device_match_name);
}
EXPORT_SYMBOL_GPL(driver_find_device_by_name);

/** A file in the directory of a driver. @return 0 or -errno. May sleep */
export function driver_create_file(drv: device_driver | null, attr: driver_attribute): Sleeps<number> {
  return drv ? sysfs_create_file(drv.p!.kobj, attr.attr) : ready_int(-EINVAL);
}
EXPORT_SYMBOL_GPL(driver_create_file);
export function* driver_remove_file(drv: device_driver | null, attr: driver_attribute): Sleeps {
  if (drv) yield* sysfs_remove_file(drv.p!.kobj, attr.attr);
}
EXPORT_SYMBOL_GPL(driver_remove_file);

export function driver_add_groups(drv: device_driver, groups: attribute_groups | null): Sleeps<number> {
  return sysfs_create_groups(drv.p!.kobj, groups);
}
export function driver_remove_groups(drv: device_driver, groups: attribute_groups | null): Sleeps {
  return sysfs_remove_groups(drv.p!.kobj, groups);
}

/** Puts a driver onto its bus. @return 0, -EINVAL for a bus that is not registered, -EBUSY for a name that is taken, -errno. May sleep */
export function* driver_register(drv: device_driver): Sleeps<number> {
  const bus = drv.bus!;
  if (!bus.p) {
    pr_err(
      "Driver '%s' was unable to register with bus_type '%s' because the bus was not initialized.\n",
      drv.name,
      bus.name,
    );
    return -EINVAL;
  }
  if ((bus.probe && drv.probe) || (bus.remove && drv.remove) || (bus.shutdown && drv.shutdown))
    pr_warn("Driver '%s' needs updating - please use bus_type methods\n", drv.name);

  if (yield* driver_find(drv.name!, bus)) {
    pr_err("Error: Driver '%s' is already registered, aborting...\n", drv.name);
    return -EBUSY;
  }
  let ret = yield* bus_add_driver(drv);
  if (ret) return ret;
  ret = yield* driver_add_groups(drv, drv.groups);
  if (ret) {
    yield* bus_remove_driver(drv);
    return ret;
  }
  yield* kobject_uevent(drv.p!.kobj, KOBJ_ADD);
  return ret;
}
EXPORT_SYMBOL_GPL(driver_register);

/** Takes a driver from its devices and off its bus. May sleep. */
export function* driver_unregister(drv: device_driver | null): Sleeps {
  if (!drv?.p) {
    WARN(true, "Unexpected driver unregister!\n");
    return;
  }
  yield* driver_remove_groups(drv, drv.groups);
  yield* bus_remove_driver(drv);
}
EXPORT_SYMBOL_GPL(driver_unregister);

/** @return the driver, without a reference; null. May sleep */
export function* driver_find(name: string, bus: bus_type): Sleeps<device_driver | null> {
  const k = yield* kset_find_obj(bus.p!.drivers_kset!, name);
  if (!k) return null;
  yield* kobject_put(k);
  return to_driver(k).driver;
}
EXPORT_SYMBOL_GPL(driver_find);
