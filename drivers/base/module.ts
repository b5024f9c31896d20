// SPDX-License-Identifier: GPL-2.0-only
/** Links between drivers and the modules they are in. Source: drivers/base/module.c */
import type { device_driver } from "#linux/device.ts";
import { kbuild } from "#linux/export.ts";
import { kobject_create_and_add, kobject_put, kset_find_obj } from "#linux/kobject.ts";
import { type module, module_kobject, module_kobject_of, module_kset } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kasprintf } from "#linux/slab.ts";
import { sysfs_create_link, sysfs_remove_link } from "#linux/sysfs.ts";
import { container_of, type Sleeps } from "#linux/types.ts";

const { per_boot } = kbuild(import.meta.url);

const s = per_boot(() => {
  const drivers_dir_mutex = new mutex();
  mutex_init(drivers_dir_mutex, "drivers_dir_mutex");
  return { drivers_dir_mutex };
});

function make_driver_name(drv: device_driver): string | null {
  return kasprintf(GFP_KERNEL, "%s:%s", drv.bus!.name, drv.name);
}

function* module_create_drivers_dir(mk: module_kobject): Sleeps {
  yield* mutex_lock(s.drivers_dir_mutex);
  if (!mk.drivers_dir) mk.drivers_dir = yield* kobject_create_and_add("drivers", mk.kobj);
  mutex_unlock(s.drivers_dir_mutex);
}

/** Errors do not count: the links are only there to look at. May sleep. */
export function* module_add_driver(mod: module | null, drv: device_driver): Sleeps {
  let mk: module_kobject | null = null;
  if (mod) mk = module_kobject_of(mod);
  else if (drv.mod_name) {
    const kset = module_kset();
    const mkobj = kset ? yield* kset_find_obj(kset, drv.mod_name) : null;
    if (mkobj) {
      mk = container_of(mkobj, module_kobject, "kobj");
      drv.p!.mkobj = mk;
      yield* kobject_put(mkobj);
    }
  }
  if (!mk) return;
  yield* sysfs_create_link(drv.p!.kobj, mk.kobj, "module");
  const driver_name = make_driver_name(drv);
  if (driver_name === null) return;
  yield* module_create_drivers_dir(mk);
  yield* sysfs_create_link(mk.drivers_dir, drv.p!.kobj, driver_name);
}

/** May sleep. */
export function* module_remove_driver(drv: device_driver): Sleeps {
  yield* sysfs_remove_link(drv.p!.kobj, "module");
  const mk = drv.owner ? module_kobject_of(drv.owner) : drv.p!.mkobj;
  if (!mk?.drivers_dir) return;
  const driver_name = make_driver_name(drv);
  if (driver_name !== null) yield* sysfs_remove_link(mk.drivers_dir, driver_name);
}
