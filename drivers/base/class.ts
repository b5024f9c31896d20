// SPDX-License-Identifier: GPL-2.0-only
/** Classes of devices. Source: drivers/base/class.c */
import { WARN } from "#linux/bug.ts";
import {
  class_,
  class_attribute,
  class_dev_iter,
  type class_interface,
  dev_name,
  type device,
  device_match_devt,
  device_match_name,
  type device_type,
  get_device,
  put_device,
} from "#linux/device.ts";
import { ERR_PTR, IS_ERR_OR_NULL } from "#linux/err.ts";
import { EINVAL, EIO, ENODEV, ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import type { dev_t } from "#linux/kdev_t.ts";
import { klist_init, klist_iter_exit, klist_iter_init_node, klist_next, type klist_node } from "#linux/klist.ts";
import {
  type kobj_type,
  type kobject,
  kobject_create_and_add,
  kobject_del,
  kobject_put,
  kobject_set_name,
  type kset,
  kset_create_and_add,
  kset_get,
  kset_init,
  kset_put,
  kset_register,
  kset_unregister,
} from "#linux/kobject.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init } from "#linux/list.ts";
import type { module } from "#linux/module.ts";
import { lock_class_key, lockdep_set_class } from "#linux/lockdep.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import {
  type attribute,
  type sysfs_buf,
  sysfs_create_file,
  sysfs_create_groups,
  sysfs_create_link,
  type sysfs_ops,
  sysfs_remove_file,
  sysfs_remove_groups,
  sysfs_remove_link,
  type sysfs_result,
} from "#linux/sysfs.ts";
import { container_of, ptr, ready_int, type Sleeps, struct } from "#linux/types.ts";
import { subsys_private, to_device_private_class, to_subsys_private } from "./base.ts";
import { type device_matcher, type device_walker, sysfs_dev_char_kobj } from "./core.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  /** /sys/class */
  class_kset: null as kset | null,
}));

function class_attr_show(kobj: kobject, attr: attribute, buf: sysfs_buf): sysfs_result {
  const a = container_of(attr, class_attribute, "attr");
  return a.show ? a.show(to_subsys_private(kobj).class!, a, buf) : -EIO;
}
function class_attr_store(kobj: kobject, attr: attribute, buf: string, count: number): sysfs_result {
  const a = container_of(attr, class_attribute, "attr");
  return a.store ? a.store(to_subsys_private(kobj).class!, a, buf, count) : -EIO;
}
const class_sysfs_ops: sysfs_ops = { show: class_attr_show, store: class_attr_store };

function* class_release(kobj: kobject): Sleeps {
  const cp = to_subsys_private(kobj);
  const cls = cp.class!;
  if (cls.class_release) yield* either(cls.class_release(cls));
  kfree(cp);
}
const class_ktype: kobj_type = { sysfs_ops: class_sysfs_ops, release: class_release };

/** A file in /sys/class/NAME. @return 0 or -errno. May sleep */
export function class_create_file(cls: class_ | null, attr: class_attribute): Sleeps<number> {
  return cls ? sysfs_create_file(cls.p!.subsys.kobj, attr.attr) : ready_int(-EINVAL);
}
EXPORT_SYMBOL_GPL(class_create_file);
export function* class_remove_file(cls: class_ | null, attr: class_attribute): Sleeps {
  if (cls) yield* sysfs_remove_file(cls.p!.subsys.kobj, attr.attr);
}
EXPORT_SYMBOL_GPL(class_remove_file);

function class_get(cls: class_ | null): class_ | null {
  if (cls) kset_get(cls.p!.subsys);
  return cls;
}
function* class_put(cls: class_ | null): Sleeps {
  if (cls) yield* kset_put(cls.p!.subsys);
}

function klist_class_dev_get(n: klist_node): void {
  get_device(to_device_private_class(n).device);
}
function klist_class_dev_put(n: klist_node): Sleeps {
  return put_device(to_device_private_class(n).device);
}

/** Makes /sys/class/NAME. @return 0 or -errno. May sleep */
export function* class_register(cls: class_): Sleeps<number> {
  const cp = kzalloc(subsys_private, GFP_KERNEL);
  if (!cp) return -ENOMEM;
  klist_init(cp.klist_devices, klist_class_dev_get, klist_class_dev_put);
  INIT_LIST_HEAD(cp.interfaces);
  kset_init(cp.glue_dirs);
  mutex_init(cp.mutex, "subsys mutex");
  lockdep_set_class(cp.mutex, new lock_class_key());
  let error = kobject_set_name(cp.subsys.kobj, "%s", cls.name);
  if (error) {
    kfree(cp);
    return error;
  }
  if (!cls.dev_kobj) cls.dev_kobj = sysfs_dev_char_kobj();
  cp.subsys.kobj.kset = s.class_kset;
  cp.subsys.kobj.ktype = class_ktype;
  cp.class = cls;
  cls.p = cp;

  error = yield* kset_register(cp.subsys);
  if (error) {
    // Its name is not freed: Linux 6.1 forgets it here.
    kfree(cp);
    return error;
  }
  class_get(cls);
  error = yield* sysfs_create_groups(cp.subsys.kobj, cls.class_groups);
  yield* class_put(cls);
  if (error) {
    yield* kobject_del(cp.subsys.kobj);
    if (cp.subsys.kobj.$name) kfree(cp.subsys.kobj.$name);
    kfree(cp);
  }
  return error;
}
EXPORT_SYMBOL_GPL(class_register);

/** May sleep. */
export function* class_unregister(cls: class_): Sleeps {
  yield* sysfs_remove_groups(cls.p!.subsys.kobj, cls.class_groups);
  yield* kset_unregister(cls.p!.subsys);
}
EXPORT_SYMBOL_GPL(class_unregister);

function class_create_release(cls: class_): void {
  kfree(cls);
}

/** A class of its own, which class_destroy() gets rid of. @owner: THIS_MODULE. @return ERR_PTR() on an error. May sleep */
export function* class_create(owner: module | null, name: string): Sleeps<class_> {
  const cls = kzalloc(class_, GFP_KERNEL);
  if (!cls) return ERR_PTR(-ENOMEM);
  cls.name = name;
  cls.owner = owner;
  cls.class_release = class_create_release;
  const retval = yield* class_register(cls);
  if (!retval) return cls;
  kfree(cls);
  return ERR_PTR(retval);
}
EXPORT_SYMBOL_GPL(class_create);
/** May sleep. */
export function* class_destroy(cls: class_ | null): Sleeps {
  if (IS_ERR_OR_NULL(cls)) return;
  yield* class_unregister(cls!);
}
EXPORT_SYMBOL_GPL(class_destroy);

/** Begins a walk over the devices of a class. @start: behind this one. @type: only these */
export function class_dev_iter_init(
  iter: class_dev_iter,
  cls: class_,
  start: device | null,
  type: device_type | null,
): void {
  klist_iter_init_node(cls.p!.klist_devices, iter.ki, start ? start.p!.knode_class : null);
  iter.type = type;
}
EXPORT_SYMBOL_GPL(class_dev_iter_init);
export function* class_dev_iter_next(iter: class_dev_iter): Sleeps<device | null> {
  for (;;) {
    const knode = yield* klist_next(iter.ki);
    if (!knode) return null;
    const dev = to_device_private_class(knode).device!;
    if (!iter.type || iter.type === dev.type) return dev;
  }
}
EXPORT_SYMBOL_GPL(class_dev_iter_next);
export function class_dev_iter_exit(iter: class_dev_iter): Sleeps {
  return klist_iter_exit(iter.ki);
}
EXPORT_SYMBOL_GPL(class_dev_iter_exit);

/** Calls `fn` for each device of a class until it returns something. @return that, 0, or -EINVAL. May sleep */
export function* class_for_each_device<T>(
  cls: class_ | null,
  start: device | null,
  data: T,
  fn: device_walker<T>,
): Sleeps<number> {
  if (!cls) return -EINVAL;
  if (!cls.p) {
    WARN(true, "%s called for class '%s' before it was initialized", "class_for_each_device", cls.name);
    return -EINVAL;
  }
  const iter = new class_dev_iter();
  let error = 0;
  class_dev_iter_init(iter, cls, start, null);
  for (let dev; (dev = yield* class_dev_iter_next(iter));) {
    error = yield* either(fn(dev, data));
    if (error) break;
  }
  yield* class_dev_iter_exit(iter);
  return error;
}
EXPORT_SYMBOL_GPL(class_for_each_device);

/** @return the first device of a class that matches, with a reference; null. May sleep */
export function* class_find_device<T>(
  cls: class_ | null,
  start: device | null,
  data: T,
  match: device_matcher<T>,
): Sleeps<device | null> {
  if (!cls) return null;
  if (!cls.p) {
    WARN(true, "%s called for class '%s' before it was initialized", "class_find_device", cls.name);
    return null;
  }
  const iter = new class_dev_iter();
  let dev: device | null;
  class_dev_iter_init(iter, cls, start, null);
  while ((dev = yield* class_dev_iter_next(iter))) {
    if (!match(dev, data)) continue;
    get_device(dev);
    break;
  }
  yield* class_dev_iter_exit(iter);
  return dev;
}
EXPORT_SYMBOL_GPL(class_find_device);
export function class_find_device_by_name(cls: class_ | null, name: string): Sleeps<device | null> {
  return class_find_device(cls, null, name, device_match_name);
}
EXPORT_SYMBOL_GPL(class_find_device_by_name);
export function class_find_device_by_devt(cls: class_ | null, devt: dev_t): Sleeps<device | null> {
  return class_find_device(cls, null, devt, device_match_devt);
}
EXPORT_SYMBOL_GPL(class_find_device_by_devt);

/** Has `class_intf` told of every device of a class, those that are there first. @return 0, -ENODEV, -EINVAL. May sleep */
export function* class_interface_register(class_intf: class_interface | null): Sleeps<number> {
  if (!class_intf?.class) return -ENODEV;
  const parent = class_get(class_intf.class);
  if (!parent) return -EINVAL;
  const p = parent.p!;
  yield* mutex_lock(p.mutex);
  list_add_tail(class_intf.node, p.interfaces);
  if (class_intf.add_dev) {
    const iter = new class_dev_iter();
    class_dev_iter_init(iter, parent, null, null);
    for (let dev; (dev = yield* class_dev_iter_next(iter));) yield* either(class_intf.add_dev(dev, class_intf));
    yield* class_dev_iter_exit(iter);
  }
  mutex_unlock(p.mutex);
  return 0;
}
EXPORT_SYMBOL_GPL(class_interface_register);
export function* class_interface_unregister(class_intf: class_interface): Sleeps {
  const parent = class_intf.class;
  if (!parent) return;
  const p = parent.p!;
  yield* mutex_lock(p.mutex);
  list_del_init(class_intf.node);
  if (class_intf.remove_dev) {
    const iter = new class_dev_iter();
    class_dev_iter_init(iter, parent, null, null);
    for (let dev; (dev = yield* class_dev_iter_next(iter));) yield* either(class_intf.remove_dev(dev, class_intf));
    yield* class_dev_iter_exit(iter);
  }
  mutex_unlock(p.mutex);
  yield* class_put(parent);
}
EXPORT_SYMBOL_GPL(class_interface_unregister);

/** A directory in /sys/class that is no class any more. */
export class class_compat extends struct("class_compat", { kobj: ptr<kobject>() }) {}

/** @return null without memory or if the name is taken. May sleep */
export function* class_compat_register(name: string): Sleeps<class_compat | null> {
  const cls = kmalloc(class_compat, GFP_KERNEL);
  if (!cls) return null;
  cls.kobj = yield* kobject_create_and_add(name, s.class_kset!.kobj);
  if (cls.kobj) return cls;
  kfree(cls);
  return null;
}
EXPORT_SYMBOL_GPL(class_compat_register);
/** May sleep. */
export function* class_compat_unregister(cls: class_compat): Sleeps {
  yield* kobject_put(cls.kobj);
  kfree(cls);
}
EXPORT_SYMBOL_GPL(class_compat_unregister);
/** @device_link: what a link named "device" goes to, or null. @return 0 or -errno. May sleep */
export function* class_compat_create_link(cls: class_compat, dev: device, device_link: device | null): Sleeps<number> {
  let error = yield* sysfs_create_link(cls.kobj, dev.kobj, dev_name(dev)!);
  if (error) return error;
  if (device_link) {
    error = yield* sysfs_create_link(dev.kobj, device_link.kobj, "device");
    if (error) yield* sysfs_remove_link(cls.kobj, dev_name(dev)!);
  }
  return error;
}
EXPORT_SYMBOL_GPL(class_compat_create_link);
export function* class_compat_remove_link(cls: class_compat, dev: device, device_link: device | null): Sleeps {
  if (device_link) yield* sysfs_remove_link(dev.kobj, "device");
  yield* sysfs_remove_link(cls.kobj, dev_name(dev)!);
}
EXPORT_SYMBOL_GPL(class_compat_remove_link);

/** /sys/class. */
export function* classes_init(): Sleeps<number> {
  s.class_kset = yield* kset_create_and_add("class", null, null);
  return s.class_kset ? 0 : -ENOMEM;
}
