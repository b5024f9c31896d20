// SPDX-License-Identifier: GPL-2.0-only
/** Buses: who is on them, and the files to bind by hand. Source: drivers/base/bus.c */
import {
  bus_attribute,
  BUS_ATTR_RW,
  BUS_ATTR_WO,
  type bus_type,
  dev_name,
  device,
  device_attach,
  device_driver_attach,
  device_lock,
  device_match_devt,
  device_match_name,
  device_register,
  device_release_driver,
  device_unlock,
  device_unregister,
  driver_attach,
  driver_attribute,
  DRIVER_ATTR_IGNORE_LOCKDEP,
  DRIVER_ATTR_WO,
  driver_create_file,
  driver_remove_file,
  dev_set_name,
  device_add_groups,
  type device_driver,
  device_remove_groups,
  get_device,
  put_device,
  subsys_interface,
} from "#linux/device.ts";
import { EINVAL, EIO, ENODEV, ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import type { dev_t } from "#linux/kdev_t.ts";
import {
  klist_add_tail,
  klist_del,
  klist_init,
  klist_iter,
  klist_iter_exit,
  klist_iter_init_node,
  klist_next,
  type klist_node,
  klist_node_attached,
  klist_remove,
} from "#linux/klist.ts";
import {
  get_ktype,
  type kobj_type,
  type kobject,
  kobject_init_and_add,
  kobject_put,
  kobject_set_name,
  kobject_synth_uevent,
  type kset,
  kset_create_and_add,
  kset_get,
  kset_put,
  kset_register,
  type kset_uevent_ops,
  kset_unregister,
} from "#linux/kobject.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init } from "#linux/list.ts";
import { lock_class_key, lockdep_set_class } from "#linux/lockdep.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  BLOCKING_INIT_NOTIFIER_HEAD,
  blocking_notifier_chain_register,
  blocking_notifier_chain_unregister,
  type notifier_block,
} from "#linux/notifier.ts";
import { printk } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  type attribute,
  type attribute_groups,
  type sysfs_buf,
  sysfs_create_file,
  sysfs_create_groups,
  sysfs_create_link,
  sysfs_emit,
  type sysfs_ops,
  sysfs_remove_file,
  sysfs_remove_groups,
  sysfs_remove_link,
  type sysfs_result,
} from "#linux/sysfs.ts";
import { container_of, type Sleeps } from "#linux/types.ts";
import {
  driver_match_device,
  driver_private,
  subsys_private,
  to_device_private_bus,
  to_driver,
  to_subsys_private,
} from "./base.ts";
import { type device_matcher, type device_walker, devices_kset, virtual_device_parent } from "./core.ts";
import { device_driver_detach, device_initial_probe, driver_detach } from "./dd.ts";
import { driver_add_groups, driver_remove_groups } from "./driver.ts";
import { module_add_driver, module_remove_driver } from "./module.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const LOGLEVEL_ERR = 3;

const s = per_boot(() => ({
  /** /sys/bus */
  bus_kset: null as kset | null,
  /** /sys/devices/system */
  system_kset: null as kset | null,
}));

function bus_get(bus: bus_type | null): bus_type | null {
  if (!bus) return null;
  kset_get(bus.p!.subsys);
  return bus;
}
function* bus_put(bus: bus_type | null): Sleeps {
  if (bus) yield* kset_put(bus.p!.subsys);
}

function drv_attr_show(kobj: kobject, attr: attribute, buf: sysfs_buf): sysfs_result {
  const drv_attr = container_of(attr, driver_attribute, "attr");
  return drv_attr.show ? drv_attr.show(to_driver(kobj).driver!, buf) : -EIO;
}
function drv_attr_store(kobj: kobject, attr: attribute, buf: string, count: number): sysfs_result {
  const drv_attr = container_of(attr, driver_attribute, "attr");
  return drv_attr.store ? drv_attr.store(to_driver(kobj).driver!, buf, count) : -EIO;
}
const driver_sysfs_ops: sysfs_ops = { show: drv_attr_show, store: drv_attr_store };

function driver_release(kobj: kobject): void {
  kfree(to_driver(kobj));
}
const driver_ktype: kobj_type = { sysfs_ops: driver_sysfs_ops, release: driver_release };

function bus_attr_show(kobj: kobject, attr: attribute, buf: sysfs_buf): sysfs_result {
  const bus_attr = container_of(attr, bus_attribute, "attr");
  return bus_attr.show ? bus_attr.show(to_subsys_private(kobj).bus!, buf) : -EIO;
}
function bus_attr_store(kobj: kobject, attr: attribute, buf: string, count: number): sysfs_result {
  const bus_attr = container_of(attr, bus_attribute, "attr");
  return bus_attr.store ? bus_attr.store(to_subsys_private(kobj).bus!, buf, count) : -EIO;
}
const bus_sysfs_ops: sysfs_ops = { show: bus_attr_show, store: bus_attr_store };

/** A file in /sys/bus/NAME. @return 0 or -errno. May sleep */
export function* bus_create_file(bus: bus_type | null, attr: bus_attribute): Sleeps<number> {
  if (!bus_get(bus)) return -EINVAL;
  const error = yield* sysfs_create_file(bus!.p!.subsys.kobj, attr.attr);
  yield* bus_put(bus);
  return error;
}
EXPORT_SYMBOL_GPL(bus_create_file);
export function* bus_remove_file(bus: bus_type | null, attr: bus_attribute): Sleeps {
  if (!bus_get(bus)) return;
  yield* sysfs_remove_file(bus!.p!.subsys.kobj, attr.attr);
  yield* bus_put(bus);
}
EXPORT_SYMBOL_GPL(bus_remove_file);

function bus_release(kobj: kobject): void {
  const priv = to_subsys_private(kobj);
  const bus = priv.bus!;
  kfree(priv);
  bus.p = null;
}
const bus_ktype: kobj_type = { sysfs_ops: bus_sysfs_ops, release: bus_release };

function bus_uevent_filter(kobj: kobject): boolean {
  return get_ktype(kobj) === bus_ktype;
}
const bus_uevent_ops: kset_uevent_ops = { filter: bus_uevent_filter };

function* unbind_store(drv: device_driver, buf: string, count: number): Sleeps<number> {
  const bus = bus_get(drv.bus);
  let err = -ENODEV;
  const dev = yield* bus_find_device_by_name(bus, null, buf);
  if (dev && dev.driver === drv) {
    yield* device_driver_detach(dev);
    err = count;
  }
  yield* put_device(dev);
  yield* bus_put(bus);
  return err;
}
const driver_attr_unbind = DRIVER_ATTR_IGNORE_LOCKDEP("unbind", 0o200, null, unbind_store);

function* bind_store(drv: device_driver, buf: string, count: number): Sleeps<number> {
  const bus = bus_get(drv.bus);
  let err = -ENODEV;
  const dev = yield* bus_find_device_by_name(bus, null, buf);
  if (dev && (yield* driver_match_device(drv, dev))) {
    err = yield* device_driver_attach(drv, dev);
    if (!err) err = count;
  }
  yield* put_device(dev);
  yield* bus_put(bus);
  return err;
}
const driver_attr_bind = DRIVER_ATTR_IGNORE_LOCKDEP("bind", 0o200, null, bind_store);

function drivers_autoprobe_show(bus: bus_type, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", bus.p!.drivers_autoprobe);
}
function drivers_autoprobe_store(bus: bus_type, buf: string, count: number): number {
  bus.p!.drivers_autoprobe = !buf.startsWith("0");
  return count;
}
function* drivers_probe_store(bus: bus_type, buf: string, count: number): Sleeps<number> {
  let err = -EINVAL;
  const dev = yield* bus_find_device_by_name(bus, null, buf);
  if (!dev) return -ENODEV;
  if ((yield* bus_rescan_devices_helper(dev, null)) === 0) err = count;
  yield* put_device(dev);
  return err;
}

function* next_device(i: klist_iter): Sleeps<device | null> {
  const n = yield* klist_next(i);
  return n ? to_device_private_bus(n).device : null;
}

/**
 * Calls `fn` for each device of a bus, in the order in which they were added, until it returns something.
 * @start: begin behind this one, or null. @return what fn returned, 0, or -EINVAL without a bus. May sleep
 */
export function* bus_for_each_dev<T>(
  bus: bus_type | null,
  start: device | null,
  data: T,
  fn: device_walker<T>,
): Sleeps<number> {
  if (!bus?.p) return -EINVAL;
  const i = new klist_iter();
  let error = 0;
  klist_iter_init_node(bus.p.klist_devices, i, start ? start.p!.knode_bus : null);
  for (let dev; !error && (dev = yield* next_device(i));) error = yield* either(fn(dev, data));
  yield* klist_iter_exit(i);
  return error;
}
EXPORT_SYMBOL_GPL(bus_for_each_dev);

/** @return the first device that matches, with a reference; null. May sleep */
export function* bus_find_device<T>(
  bus: bus_type | null,
  start: device | null,
  data: T,
  match: device_matcher<T>,
): Sleeps<device | null> {
  if (!bus?.p) return null;
  const i = new klist_iter();
  let dev: device | null;
  klist_iter_init_node(bus.p.klist_devices, i, start ? start.p!.knode_bus : null);
  while ((dev = yield* next_device(i))) if (match(dev, data) && get_device(dev)) break;
  yield* klist_iter_exit(i);
  return dev;
}
EXPORT_SYMBOL_GPL(bus_find_device);
/** The same by name; a newline at the end of it does not count. */
export function bus_find_device_by_name(
  bus: bus_type | null,
  start: device | null,
  name: string,
): Sleeps<device | null> {
  return bus_find_device(bus, start, name, device_match_name);
}
EXPORT_SYMBOL_GPL(bus_find_device_by_name);
export function bus_find_device_by_devt(bus: bus_type | null, devt: dev_t): Sleeps<device | null> {
  return bus_find_device(bus, null, devt, device_match_devt);
}
EXPORT_SYMBOL_GPL(bus_find_device_by_devt);
const any_device = (_dev: device, _data: null): boolean => true;
export function bus_find_next_device(bus: bus_type | null, cur: device | null): Sleeps<device | null> {
  return bus_find_device(bus, cur, null, any_device);
}
EXPORT_SYMBOL_GPL(bus_find_next_device);

function* next_driver(i: klist_iter): Sleeps<device_driver | null> {
  const n = yield* klist_next(i);
  return n ? container_of(n, driver_private, "knode_bus").driver : null;
}

/** Calls `fn` for each driver of a bus until it returns something. @return that, 0, or -EINVAL. May sleep */
export function* bus_for_each_drv<T>(
  bus: bus_type | null,
  start: device_driver | null,
  data: T,
  fn: (drv: device_driver, data: T) => Sleeps<number> | number,
): Sleeps<number> {
  if (!bus) return -EINVAL;
  const i = new klist_iter();
  let error = 0;
  klist_iter_init_node(bus.p!.klist_drivers, i, start ? start.p!.knode_bus : null);
  for (let drv; (drv = yield* next_driver(i)) && !error;) error = yield* either(fn(drv, data));
  yield* klist_iter_exit(i);
  return error;
}
EXPORT_SYMBOL_GPL(bus_for_each_drv);

/** Files, links and the list of the bus, for device_add(). @return 0 or -errno. May sleep */
export function* bus_add_device(dev: device): Sleeps<number> {
  const bus = bus_get(dev.bus);
  if (!bus) return 0;
  const p = bus.p!;
  let error: number;
  out_put: {
    error = yield* device_add_groups(dev, bus.dev_groups);
    if (error) break out_put;
    out_groups: {
      error = yield* sysfs_create_link(p.devices_kset!.kobj, dev.kobj, dev_name(dev)!);
      if (error) break out_groups;
      out_subsys: {
        error = yield* sysfs_create_link(dev.kobj, p.subsys.kobj, "subsystem");
        if (error) break out_subsys;
        yield* klist_add_tail(dev.p!.knode_bus, p.klist_devices);
        return 0;
      }
      yield* sysfs_remove_link(p.devices_kset!.kobj, dev_name(dev)!);
    }
    yield* device_remove_groups(dev, bus.dev_groups);
  }
  yield* bus_put(dev.bus);
  return error;
}

/** Lets the drivers of the bus have a new device. May sleep. */
export function* bus_probe_device(dev: device): Sleeps {
  const bus = dev.bus;
  if (!bus) return;
  if (bus.p!.drivers_autoprobe) yield* device_initial_probe(dev);
  const p = bus.p!;
  yield* mutex_lock(p.mutex);
  for (let at = p.interfaces.next!; at !== p.interfaces; at = at.next!) {
    const sif = container_of(at, subsys_interface, "node");
    if (sif.add_dev) yield* either(sif.add_dev(dev, sif));
  }
  mutex_unlock(p.mutex);
}

/** Takes a device off its bus and away from its driver. May sleep. */
export function* bus_remove_device(dev: device): Sleeps {
  const bus = dev.bus;
  if (!bus) return;
  const p = bus.p!;
  yield* mutex_lock(p.mutex);
  for (let at = p.interfaces.next!; at !== p.interfaces; at = at.next!) {
    const sif = container_of(at, subsys_interface, "node");
    if (sif.remove_dev) yield* either(sif.remove_dev(dev, sif));
  }
  mutex_unlock(p.mutex);

  yield* sysfs_remove_link(dev.kobj, "subsystem");
  yield* sysfs_remove_link(p.devices_kset!.kobj, dev_name(dev)!);
  yield* device_remove_groups(dev, bus.dev_groups);
  if (klist_node_attached(dev.p!.knode_bus)) yield* klist_del(dev.p!.knode_bus);
  yield* device_release_driver(dev);
  yield* bus_put(dev.bus);
}

function* add_bind_files(drv: device_driver): Sleeps<number> {
  let ret = yield* driver_create_file(drv, driver_attr_unbind);
  if (ret === 0) {
    ret = yield* driver_create_file(drv, driver_attr_bind);
    if (ret) yield* driver_remove_file(drv, driver_attr_unbind);
  }
  return ret;
}
function* remove_bind_files(drv: device_driver): Sleeps {
  yield* driver_remove_file(drv, driver_attr_bind);
  yield* driver_remove_file(drv, driver_attr_unbind);
}

const bus_attr_drivers_probe = BUS_ATTR_WO("drivers_probe", drivers_probe_store);
const bus_attr_drivers_autoprobe = BUS_ATTR_RW("drivers_autoprobe", drivers_autoprobe_show, drivers_autoprobe_store);

function* add_probe_files(bus: bus_type): Sleeps<number> {
  let retval = yield* bus_create_file(bus, bus_attr_drivers_probe);
  if (retval) return retval;
  retval = yield* bus_create_file(bus, bus_attr_drivers_autoprobe);
  if (retval) yield* bus_remove_file(bus, bus_attr_drivers_probe);
  return retval;
}
function* remove_probe_files(bus: bus_type): Sleeps {
  yield* bus_remove_file(bus, bus_attr_drivers_autoprobe);
  yield* bus_remove_file(bus, bus_attr_drivers_probe);
}

function* uevent_store(drv: device_driver, buf: string, count: number): Sleeps<number> {
  const rc = yield* kobject_synth_uevent(drv.p!.kobj, buf, count);
  return rc ? rc : count;
}
const driver_attr_uevent = DRIVER_ATTR_WO("uevent", uevent_store);

/** Puts a driver onto its bus and lets it have the devices that match. @return 0 or -errno. May sleep */
export function* bus_add_driver(drv: device_driver): Sleeps<number> {
  const bus = bus_get(drv.bus);
  if (!bus) return -EINVAL;
  let error: number;
  out_put_bus: {
    const priv = kzalloc(driver_private, GFP_KERNEL);
    if (!priv) {
      error = -ENOMEM;
      break out_put_bus;
    }
    klist_init(priv.klist_devices, null, null);
    priv.driver = drv;
    drv.p = priv;
    priv.kobj.kset = bus.p!.drivers_kset;
    out_unregister: {
      error = yield* kobject_init_and_add(priv.kobj, driver_ktype, null, "%s", drv.name);
      if (error) break out_unregister;
      yield* klist_add_tail(priv.knode_bus, bus.p!.klist_drivers);
      out_del_list: {
        if (drv.bus!.p!.drivers_autoprobe) {
          error = yield* driver_attach(drv);
          if (error) break out_del_list;
        }
        yield* module_add_driver(drv.owner, drv);
        error = yield* driver_create_file(drv, driver_attr_uevent);
        if (error) printk(LOGLEVEL_ERR, "%s: uevent attr (%s) failed\n", "bus_add_driver", drv.name);
        error = yield* driver_add_groups(drv, bus.drv_groups);
        if (error) printk(LOGLEVEL_ERR, "%s: driver_add_groups(%s) failed\n", "bus_add_driver", drv.name);
        if (!drv.suppress_bind_attrs) {
          error = yield* add_bind_files(drv);
          if (error) printk(LOGLEVEL_ERR, "%s: add_bind_files(%s) failed\n", "bus_add_driver", drv.name);
        }
        return 0;
      }
      yield* klist_del(priv.knode_bus);
    }
    yield* kobject_put(priv.kobj);
    drv.p = null;
  }
  yield* bus_put(bus);
  return error;
}

/** Takes a driver away from its devices and off its bus. May sleep. */
export function* bus_remove_driver(drv: device_driver): Sleeps {
  if (!drv.bus) return;
  if (!drv.suppress_bind_attrs) yield* remove_bind_files(drv);
  yield* driver_remove_groups(drv, drv.bus.drv_groups);
  yield* driver_remove_file(drv, driver_attr_uevent);
  yield* klist_remove(drv.p!.knode_bus);
  yield* driver_detach(drv);
  yield* module_remove_driver(drv);
  yield* kobject_put(drv.p!.kobj);
  yield* bus_put(drv.bus);
}

function* bus_rescan_devices_helper(dev: device, _data: null): Sleeps<number> {
  let ret = 0;
  if (!dev.driver) {
    if (dev.parent && dev.bus!.need_parent_lock) yield* device_lock(dev.parent);
    ret = yield* device_attach(dev);
    if (dev.parent && dev.bus!.need_parent_lock) device_unlock(dev.parent);
  }
  return ret < 0 ? ret : 0;
}
/** Lets drivers have the devices that have none. @return 0 or -errno. May sleep */
export function bus_rescan_devices(bus: bus_type): Sleeps<number> {
  return bus_for_each_dev(bus, null, null, bus_rescan_devices_helper);
}
EXPORT_SYMBOL_GPL(bus_rescan_devices);
/** Takes a device from its driver and looks for one again. @return 0 or -errno. May sleep */
export function* device_reprobe(dev: device): Sleeps<number> {
  if (dev.driver) yield* device_driver_detach(dev);
  return yield* bus_rescan_devices_helper(dev, null);
}
EXPORT_SYMBOL_GPL(device_reprobe);

function bus_add_groups(bus: bus_type, groups: attribute_groups | null): Sleeps<number> {
  return sysfs_create_groups(bus.p!.subsys.kobj, groups);
}
function bus_remove_groups(bus: bus_type, groups: attribute_groups | null): Sleeps {
  return sysfs_remove_groups(bus.p!.subsys.kobj, groups);
}

function klist_devices_get(n: klist_node): void {
  get_device(to_device_private_bus(n).device);
}
function klist_devices_put(n: klist_node): Sleeps {
  return put_device(to_device_private_bus(n).device);
}

function* bus_uevent_store(bus: bus_type, buf: string, count: number): Sleeps<number> {
  const rc = yield* kobject_synth_uevent(bus.p!.subsys.kobj, buf, count);
  return rc ? rc : count;
}
const bus_attr_uevent = BUS_ATTR_WO("uevent", bus_uevent_store);

/** Makes /sys/bus/NAME and all that belongs to it. @return 0 or -errno. May sleep */
export function* bus_register(bus: bus_type): Sleeps<number> {
  const priv = kzalloc(subsys_private, GFP_KERNEL);
  if (!priv) return -ENOMEM;
  priv.bus = bus;
  bus.p = priv;
  BLOCKING_INIT_NOTIFIER_HEAD(priv.bus_notifier);

  let retval: number;
  out: {
    retval = kobject_set_name(priv.subsys.kobj, "%s", bus.name);
    if (retval) break out;
    priv.subsys.kobj.kset = s.bus_kset;
    priv.subsys.kobj.ktype = bus_ktype;
    priv.drivers_autoprobe = true;
    retval = yield* kset_register(priv.subsys);
    if (retval) break out;

    bus_uevent_fail: {
      retval = yield* bus_create_file(bus, bus_attr_uevent);
      if (retval) break bus_uevent_fail;
      bus_devices_fail: {
        priv.devices_kset = yield* kset_create_and_add("devices", null, priv.subsys.kobj);
        if (!priv.devices_kset) {
          retval = -ENOMEM;
          break bus_devices_fail;
        }
        bus_drivers_fail: {
          priv.drivers_kset = yield* kset_create_and_add("drivers", null, priv.subsys.kobj);
          if (!priv.drivers_kset) {
            retval = -ENOMEM;
            break bus_drivers_fail;
          }
          INIT_LIST_HEAD(priv.interfaces);
          mutex_init(priv.mutex, "subsys mutex");
          // A class of locks per bus, as lock_key of struct bus_type makes it.
          lockdep_set_class(priv.mutex, new lock_class_key());
          klist_init(priv.klist_devices, klist_devices_get, klist_devices_put);
          klist_init(priv.klist_drivers, null, null);
          bus_probe_files_fail: {
            retval = yield* add_probe_files(bus);
            if (retval) break bus_probe_files_fail;
            retval = yield* bus_add_groups(bus, bus.bus_groups);
            if (!retval) return 0;
            yield* remove_probe_files(bus);
          }
          yield* kset_unregister(priv.drivers_kset);
        }
        yield* kset_unregister(priv.devices_kset);
      }
      yield* bus_remove_file(bus, bus_attr_uevent);
    }
    yield* kset_unregister(priv.subsys);
    // Which has freed it.
    bus.p = null;
  }
  if (bus.p) kfree(bus.p);
  bus.p = null;
  return retval;
}
EXPORT_SYMBOL_GPL(bus_register);

/** May sleep. */
export function* bus_unregister(bus: bus_type): Sleeps {
  if (bus.dev_root) yield* device_unregister(bus.dev_root);
  yield* bus_remove_groups(bus, bus.bus_groups);
  yield* remove_probe_files(bus);
  yield* kset_unregister(bus.p!.drivers_kset);
  yield* kset_unregister(bus.p!.devices_kset);
  yield* bus_remove_file(bus, bus_attr_uevent);
  yield* kset_unregister(bus.p!.subsys);
}
EXPORT_SYMBOL_GPL(bus_unregister);

/** @return 0. May sleep */
export function bus_register_notifier(bus: bus_type, nb: notifier_block): Sleeps<number> {
  return blocking_notifier_chain_register(bus.p!.bus_notifier, nb);
}
EXPORT_SYMBOL_GPL(bus_register_notifier);
/** @return 0 or -ENOENT. May sleep */
export function bus_unregister_notifier(bus: bus_type, nb: notifier_block): Sleeps<number> {
  return blocking_notifier_chain_unregister(bus.p!.bus_notifier, nb);
}
EXPORT_SYMBOL_GPL(bus_unregister_notifier);

export function bus_get_kset(bus: bus_type): kset {
  return bus.p!.subsys;
}
EXPORT_SYMBOL_GPL(bus_get_kset);

/** Has `sif` told of every device of a subsystem, those that are there first. @return 0, -ENODEV, -EINVAL. May sleep */
export function* subsys_interface_register(sif: subsys_interface | null): Sleeps<number> {
  if (!sif?.subsys) return -ENODEV;
  const subsys = bus_get(sif.subsys);
  if (!subsys) return -EINVAL;
  const p = subsys.p!;
  yield* mutex_lock(p.mutex);
  list_add_tail(sif.node, p.interfaces);
  if (sif.add_dev) {
    const i = new klist_iter();
    klist_iter_init_node(p.klist_devices, i, null);
    for (let dev; (dev = yield* next_device(i));) yield* either(sif.add_dev(dev, sif));
    yield* klist_iter_exit(i);
  }
  mutex_unlock(p.mutex);
  return 0;
}
EXPORT_SYMBOL_GPL(subsys_interface_register);
export function* subsys_interface_unregister(sif: subsys_interface | null): Sleeps {
  if (!sif?.subsys) return;
  const subsys = sif.subsys;
  const p = subsys.p!;
  yield* mutex_lock(p.mutex);
  list_del_init(sif.node);
  if (sif.remove_dev) {
    const i = new klist_iter();
    klist_iter_init_node(p.klist_devices, i, null);
    for (let dev; (dev = yield* next_device(i));) yield* either(sif.remove_dev(dev, sif));
    yield* klist_iter_exit(i);
  }
  mutex_unlock(p.mutex);
  yield* bus_put(subsys);
}
EXPORT_SYMBOL_GPL(subsys_interface_unregister);

function system_root_device_release(dev: device): void {
  kfree(dev);
}
function* subsys_register(
  subsys: bus_type,
  groups: attribute_groups | null,
  parent_of_root: kobject | null,
): Sleeps<number> {
  let err = yield* bus_register(subsys);
  if (err < 0) return err;
  err_dev: {
    let dev = kzalloc(device, GFP_KERNEL);
    if (!dev) {
      err = -ENOMEM;
      break err_dev;
    }
    err_name: {
      err = dev_set_name(dev, "%s", subsys.name);
      if (err < 0) break err_name;
      dev.kobj.parent = parent_of_root;
      dev.groups = groups;
      dev.release = system_root_device_release;
      err = yield* device_register(dev);
      if (err >= 0) {
        subsys.dev_root = dev;
        return 0;
      }
      yield* put_device(dev);
      dev = null;
    }
    if (dev) kfree(dev);
  }
  yield* bus_unregister(subsys);
  return err;
}
/** A bus below /sys/devices/system. @return 0 or -errno. May sleep */
export function subsys_system_register(subsys: bus_type, groups: attribute_groups | null): Sleeps<number> {
  return subsys_register(subsys, groups, s.system_kset!.kobj);
}
EXPORT_SYMBOL_GPL(subsys_system_register);
/** A bus below /sys/devices/virtual. @return 0 or -errno. May sleep */
export function* subsys_virtual_register(subsys: bus_type, groups: attribute_groups | null): Sleeps<number> {
  const virtual_dir = yield* virtual_device_parent();
  if (!virtual_dir) return -ENOMEM;
  return yield* subsys_register(subsys, groups, virtual_dir);
}
EXPORT_SYMBOL_GPL(subsys_virtual_register);

/** /sys/bus and /sys/devices/system. */
export function* buses_init(): Sleeps<number> {
  s.bus_kset = yield* kset_create_and_add("bus", bus_uevent_ops, null);
  if (!s.bus_kset) return -ENOMEM;
  s.system_kset = yield* kset_create_and_add("system", null, devices_kset()!.kobj);
  return s.system_kset ? 0 : -ENOMEM;
}
