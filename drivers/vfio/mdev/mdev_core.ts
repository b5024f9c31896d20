// SPDX-License-Identifier: GPL-2.0-only
/** Mediated devices: their parents, their creation and removal. */
import { atomic_dec, atomic_inc, atomic_read, atomic_set } from "#linux/atomic.ts";
import {
  bus_register,
  bus_unregister,
  type class_compat,
  class_compat_create_link,
  class_compat_register,
  class_compat_remove_link,
  class_compat_unregister,
  dev_dbg,
  dev_info,
  dev_set_name,
  dev_warn,
  type device,
  device_add,
  device_del,
  device_driver_attach,
  device_for_each_child,
  device_initialize,
  put_device,
} from "#linux/device.ts";
import { EAGAIN, EEXIST, ENODEV, ENOMEM, EUSERS } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { KOBJ_CHANGE, kobject_get, kobject_put, kobject_uevent_env } from "#linux/kobject.ts";
import { list_add, list_del, list_for_each_entry, LIST_HEAD } from "#linux/list.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import {
  mdev_device,
  type mdev_driver,
  type mdev_parent,
  type mdev_type,
  type mdev_types,
  to_mdev_device,
} from "#linux/mdev.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { down_read_trylock, down_write, init_rwsem, up_read, up_write } from "#linux/rwsem.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { memset } from "#linux/string.ts";
import { sizeof, type Sleeps } from "#linux/types.ts";
import { guid_copy, guid_equal, type guid_t } from "#linux/uuid.ts";
import {
  mdev_bus_type,
  mdev_create_sysfs_files,
  mdev_device_groups,
  mdev_remove_sysfs_files,
  parent_create_sysfs_files,
  parent_remove_sysfs_files,
} from "./mdev_private.ts";

const { per_boot, module_init, module_exit, EXPORT_SYMBOL, MODULE_LICENSE, MODULE_VERSION } = kbuild(import.meta.url);

const s = per_boot(() => ({
  mdev_bus_compat_class: null as class_compat | null,
  mdev_list: LIST_HEAD(),
  mdev_list_lock: DEFINE_MUTEX("mdev_list_lock"),
}));

/** Context: may sleep; the parent's unreg_sem held, either way. */
function* mdev_device_remove_common(mdev: mdev_device): Sleeps {
  const parent = mdev.type!.parent!;

  yield* mdev_remove_sysfs_files(mdev);
  yield* device_del(mdev.dev);
  lockdep_assert_held(parent.unreg_sem);
  // Balances device_initialize()
  yield* put_device(mdev.dev);
}

function* mdev_device_remove_cb(dev: device, _data: object | null): Sleeps<number> {
  if (dev.bus === mdev_bus_type()) yield* mdev_device_remove_common(to_mdev_device(dev));
  return 0;
}

/**
 * Makes a device a parent of mdevs: user space can create them from here on.
 * @parent: overwritten; @dev: the caller holds a reference until mdev_unregister_parent() is back;
 * @mdev_driver: bound to what is created; @types: kinds of mdevs, @nr_types of them
 * @return 0 or errno. Context: may sleep. Source: drivers/vfio/mdev/mdev_core.c
 */
export function* mdev_register_parent(
  parent: mdev_parent,
  dev: device,
  mdev_driver: mdev_driver,
  types: mdev_types,
  nr_types: number,
): Sleeps<number> {
  const envp = ["MDEV_STATE=registered"];

  memset(parent, 0, sizeof(parent));
  init_rwsem(parent.unreg_sem);
  parent.dev = dev;
  parent.mdev_driver = mdev_driver;
  parent.types = types;
  parent.nr_types = nr_types;
  atomic_set(parent.available_instances, mdev_driver.max_instances);

  let ret = yield* parent_create_sysfs_files(parent);
  if (ret) return ret;

  ret = yield* class_compat_create_link(s.mdev_bus_compat_class!, dev, null);
  if (ret) dev_warn(dev, "Failed to create compatibility class link\n");

  dev_info(dev, "MDEV: Registered\n");
  yield* kobject_uevent_env(dev.kobj, KOBJ_CHANGE, envp);
  return 0;
}
EXPORT_SYMBOL(mdev_register_parent);

/**
 * Removes all mdevs of a parent, and the possibility to create some. Waits for those that are in use.
 * Context: may sleep, for as long as user space likes. Source: drivers/vfio/mdev/mdev_core.c
 */
export function* mdev_unregister_parent(parent: mdev_parent): Sleeps {
  const envp = ["MDEV_STATE=unregistered"];

  dev_info(parent.dev, "MDEV: Unregistering\n");

  yield* down_write(parent.unreg_sem);
  yield* class_compat_remove_link(s.mdev_bus_compat_class!, parent.dev!, null);
  yield* device_for_each_child(parent.dev!, null, mdev_device_remove_cb);
  yield* parent_remove_sysfs_files(parent);
  up_write(parent.unreg_sem);

  yield* kobject_uevent_env(parent.dev!.kobj, KOBJ_CHANGE, envp);
}
EXPORT_SYMBOL(mdev_unregister_parent);

function* mdev_device_release(dev: device): Sleeps {
  const mdev = to_mdev_device(dev);
  const parent = mdev.type!.parent!;

  yield* mutex_lock(s.mdev_list_lock);
  list_del(mdev.next);
  if (!parent.mdev_driver!.get_available) atomic_inc(parent.available_instances);
  mutex_unlock(s.mdev_list_lock);

  // Pairs with the get in mdev_device_create()
  yield* kobject_put(mdev.type!.kobj);

  dev_dbg(mdev.dev, "MDEV: destroying\n");
  kfree(mdev);
}

/**
 * Creates an mdev of a type and binds it to the parent's driver.
 * @return 0; -EEXIST if the uuid is taken, anywhere; -EUSERS if there is no instance left; -ENODEV if the parent is going;
 * -ENOMEM; what adding or binding it gives. Context: may sleep.
 */
export function* mdev_device_create(type: mdev_type, uuid: guid_t): Sleeps<number> {
  const parent = type.parent!;
  const drv = parent.mdev_driver!;

  yield* mutex_lock(s.mdev_list_lock);

  for (const tmp of list_for_each_entry(s.mdev_list, mdev_device, "next")) {
    if (guid_equal(tmp.uuid, uuid)) {
      mutex_unlock(s.mdev_list_lock);
      return -EEXIST;
    }
  }

  if (!drv.get_available) {
    // Read and decremented in two steps: whoever changes it has mdev_list_lock.
    if (!atomic_read(parent.available_instances)) {
      mutex_unlock(s.mdev_list_lock);
      return -EUSERS;
    }
    atomic_dec(parent.available_instances);
  }

  const mdev = kzalloc(mdev_device, GFP_KERNEL);
  if (!mdev) {
    mutex_unlock(s.mdev_list_lock);
    return -ENOMEM;
  }

  device_initialize(mdev.dev);
  mdev.dev.parent = parent.dev;
  mdev.dev.bus = mdev_bus_type();
  mdev.dev.release = mdev_device_release;
  mdev.dev.groups = mdev_device_groups;
  mdev.type = type;
  // Pairs with the put in mdev_device_release()
  kobject_get(type.kobj);

  guid_copy(mdev.uuid, uuid);
  list_add(mdev.next, s.mdev_list);
  mutex_unlock(s.mdev_list_lock);

  let ret;
  out_put_device: {
    ret = dev_set_name(mdev.dev, "%pUl", uuid);
    if (ret) break out_put_device;

    // Taken for writing: the parent is being unregistered
    if (!down_read_trylock(parent.unreg_sem)) {
      ret = -ENODEV;
      break out_put_device;
    }

    out_unlock: {
      ret = yield* device_add(mdev.dev);
      if (ret) break out_unlock;

      out_del: {
        ret = yield* device_driver_attach(drv.driver, mdev.dev);
        if (ret) break out_del;

        ret = yield* mdev_create_sysfs_files(mdev);
        if (ret) break out_del;

        mdev.active = true;
        dev_dbg(mdev.dev, "MDEV: created\n");
        up_read(parent.unreg_sem);

        return 0;
      }
      yield* device_del(mdev.dev);
    }
    up_read(parent.unreg_sem);
  }
  yield* put_device(mdev.dev);
  return ret;
}

/**
 * Removes an mdev. Waits while it is in use.
 * @return 0; -ENODEV if it is gone or the parent is going; -EAGAIN if somebody else removes it or it is not ready yet.
 * Context: may sleep.
 */
export function* mdev_device_remove(mdev: mdev_device): Sleeps<number> {
  const parent = mdev.type!.parent!;
  let found = false;

  yield* mutex_lock(s.mdev_list_lock);
  for (const tmp of list_for_each_entry(s.mdev_list, mdev_device, "next")) {
    if (tmp === mdev) {
      found = true;
      break;
    }
  }

  if (!found) {
    mutex_unlock(s.mdev_list_lock);
    return -ENODEV;
  }

  if (!mdev.active) {
    mutex_unlock(s.mdev_list_lock);
    return -EAGAIN;
  }

  mdev.active = false;
  mutex_unlock(s.mdev_list_lock);

  // Taken for writing: the parent is being unregistered
  if (!down_read_trylock(parent.unreg_sem)) return -ENODEV;

  yield* mdev_device_remove_common(mdev);
  up_read(parent.unreg_sem);
  return 0;
}

function* mdev_init(): Sleeps<number> {
  const ret = yield* bus_register(mdev_bus_type());
  if (ret) return ret;

  s.mdev_bus_compat_class = yield* class_compat_register("mdev_bus");
  if (!s.mdev_bus_compat_class) {
    yield* bus_unregister(mdev_bus_type());
    return -ENOMEM;
  }

  return 0;
}

function* mdev_exit(): Sleeps {
  yield* class_compat_unregister(s.mdev_bus_compat_class!);
  yield* bus_unregister(mdev_bus_type());
}

// subsys_initcall() in C: of a module, that is the same
module_init(mdev_init);
module_exit(mdev_exit);

MODULE_VERSION("0.1");
MODULE_LICENSE("GPL v2");
