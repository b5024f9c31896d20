// SPDX-License-Identifier: GPL-2.0-only
/**
 * Devices: their life, their place in sysfs, their words in the log. Source: drivers/base/core.c
 *
 * Not here: device links, firmware nodes, system sleep, managed resources (devm_*),
 * namespaces, online and offline.
 */
import { WARN, WARN_ON_ONCE, WARN_ONCE } from "#linux/bug.ts";
import { READ_ONCE } from "#linux/compiler.ts";
import {
  BUS_NOTIFY_ADD_DEVICE,
  BUS_NOTIFY_DEL_DEVICE,
  BUS_NOTIFY_REMOVED_DEVICE,
  type class_,
  class_find_device_by_devt,
  class_interface,
  dev_bus_name,
  dev_name,
  dev_set_drvdata,
  device,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  device_attribute,
  device_lock,
  device_lock_assert,
  device_unlock,
  type umode_ptr,
} from "#linux/device.ts";
import { devtmpfs_create_node, devtmpfs_delete_node } from "#linux/device/devtmpfs.ts";
import { ERR_PTR, IS_ERR, IS_ERR_OR_NULL, PTR_ERR } from "#linux/err.ts";
import { EINVAL, EIO, ENODEV, ENOMEM, EPROBE_DEFER } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { format_dev_t, MAJOR, MINOR, type dev_t } from "#linux/kdev_t.ts";
import {
  klist_add_tail,
  klist_del,
  klist_init,
  klist_iter,
  klist_iter_exit,
  klist_iter_init,
  klist_next,
  type klist_node,
  klist_prev,
  klist_remove,
} from "#linux/klist.ts";
import {
  add_uevent_var,
  get_ktype,
  KOBJ_ADD,
  KOBJ_REMOVE,
  kobj_sysfs_ops,
  type kobj_type,
  kobj_uevent_env,
  kobject,
  kobject_add,
  kobject_create_and_add,
  kobject_del,
  kobject_get,
  kobject_init,
  kobject_move,
  kobject_put,
  kobject_rename,
  kobject_set_name,
  kobject_synth_uevent,
  kobject_uevent,
  kobject_warn,
  type kset,
  kset_create_and_add,
  type kset_uevent_ops,
  kset_unregister,
} from "#linux/kobject.ts";
import { kref_read } from "#linux/kref.ts";
import { INIT_LIST_HEAD, list_del_init, list_empty, list_move, list_move_tail } from "#linux/list.ts";
import { lockdep_set_novalidate_class } from "#linux/lockdep.ts";
import { type module, module_kobj } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { blocking_notifier_call_chain } from "#linux/notifier.ts";
import { pm_runtime_barrier, pm_runtime_get_noresume, pm_runtime_remove } from "#linux/pm_runtime.ts";
import { printk, type printf_arg } from "#linux/printk.ts";
import { sprintf } from "#linux/kernel.ts";
import {
  __ratelimit,
  DEFAULT_RATELIMIT_BURST,
  DEFAULT_RATELIMIT_INTERVAL,
  DEFINE_RATELIMIT_STATE,
  type ratelimit_state,
} from "#linux/ratelimit.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kstrdup, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "#linux/spinlock.ts";
import { S_IRUGO, S_IWUGO } from "#linux/stat.ts";
import {
  type attribute,
  type attribute_groups,
  type bin_attribute,
  type sysfs_buf,
  sysfs_create_bin_file,
  sysfs_create_file,
  sysfs_create_groups,
  sysfs_create_link,
  sysfs_delete_link,
  sysfs_emit,
  sysfs_emit_at,
  type sysfs_ops,
  SYSFS_PAGE_SIZE,
  sysfs_remove_bin_file,
  sysfs_remove_file,
  sysfs_remove_file_self,
  sysfs_remove_groups,
  sysfs_remove_link,
  sysfs_rename_link,
  sysfs_streq,
} from "#linux/sysfs.ts";
import { container_of, embed, ptr, ready_int, type Sleeps, struct } from "#linux/types.ts";
import { device_private, to_device_private_parent } from "./base.ts";
import { bus_add_device, bus_probe_device, bus_remove_device } from "./bus.ts";
import { device_pm_init } from "./power/power.ts";
import { dpm_sysfs_add, dpm_sysfs_remove } from "./power/sysfs.ts";
import { device_block_probing, driver_deferred_probe_del, wait_for_device_probe } from "./dd.ts";
import { devres_release_all } from "./devres.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => {
  const gdp_mutex = new mutex();
  mutex_init(gdp_mutex, "gdp_mutex");
  return {
    devices_kset: null as kset | null,
    dev_kobj: null as kobject | null,
    sysfs_dev_block_kobj: null as kobject | null,
    sysfs_dev_char_kobj: null as kobject | null,
    virtual_dir: null as kobject | null,
    gdp_mutex,
    ratelimits: new Map<string, ratelimit_state>(),
  };
});

/** The kset of /sys/devices: every device is in its list, in the order of registration. */
export const devices_kset = (): kset | null => s.devices_kset;
/** /sys/dev/char */
export const sysfs_dev_char_kobj = (): kobject | null => s.sysfs_dev_char_kobj;

/** Who speaks for a device: its driver, else its bus or class, else "". Any context. */
export function dev_driver_string(dev: device): string | null {
  const drv = READ_ONCE(dev, "driver");
  return drv ? drv.name : dev_bus_name(dev);
}
EXPORT_SYMBOL(dev_driver_string);

function* dev_attr_show(kobj: kobject, attr: attribute, buf: sysfs_buf): Sleeps<number> {
  const dev_attr = container_of(attr, device_attribute, "attr");
  const dev = kobj_to_dev(kobj);
  let ret = -EIO;
  if (dev_attr.show) ret = yield* either(dev_attr.show(dev, dev_attr, buf));
  if (ret >= SYSFS_PAGE_SIZE) printk(LOGLEVEL_DEFAULT, "dev_attr_show: %s returned bad count\n", dev_attr.show!.name);
  return ret;
}
function* dev_attr_store(kobj: kobject, attr: attribute, buf: string, count: number): Sleeps<number> {
  const dev_attr = container_of(attr, device_attribute, "attr");
  const dev = kobj_to_dev(kobj);
  let ret = -EIO;
  if (dev_attr.store) ret = yield* either(dev_attr.store(dev, dev_attr, buf, count));
  return ret;
}
const dev_sysfs_ops: sysfs_ops = { show: dev_attr_show, store: dev_attr_store };
const LOGLEVEL_DEFAULT = 4;

/** The device around a kobject; its first member, so that NULL gives NULL. */
export function kobj_to_dev(kobj: kobject): device {
  return container_of(kobj, device, "kobj");
}

function* device_release(kobj: kobject): Sleeps {
  const dev = kobj_to_dev(kobj);
  const p = dev.p;
  // Of devices that were driven without a driver.
  yield* devres_release_all(dev);
  if (dev.release) yield* either(dev.release(dev));
  else if (dev.type?.release) yield* either(dev.type.release(dev));
  else if (dev.class?.dev_release) yield* either(dev.class.dev_release(dev));
  else {
    const what = sprintf(
      "Device '%s' does not have a release() function, it is broken and must be fixed.",
      dev_name(dev),
    );
    kobject_warn("device", what, what + " See Documentation/core-api/kobject.rst.");
  }
  if (p) kfree(p);
}

const device_ktype: kobj_type = { release: device_release, sysfs_ops: dev_sysfs_ops };

function dev_uevent_filter(kobj: kobject): boolean {
  if (get_ktype(kobj) !== device_ktype) return false;
  const dev = kobj_to_dev(kobj);
  return dev.bus !== null || dev.class !== null;
}
function dev_uevent_name(kobj: kobject): string | null {
  const dev = kobj_to_dev(kobj);
  if (dev.bus) return dev.bus.name;
  return dev.class ? dev.class.name : null;
}
function dev_uevent(kobj: kobject, env: kobj_uevent_env): number {
  const dev = kobj_to_dev(kobj);
  let retval = 0;
  if (MAJOR(dev.devt)) {
    const mode: umode_ptr = { value: 0 };
    add_uevent_var(env, "MAJOR=%u", MAJOR(dev.devt));
    add_uevent_var(env, "MINOR=%u", MINOR(dev.devt));
    const name = device_get_devnode(dev, mode);
    if (name) {
      add_uevent_var(env, "DEVNAME=%s", name);
      if (mode.value) add_uevent_var(env, "DEVMODE=%#o", mode.value & 0o777);
    }
  }
  if (dev.type?.name) add_uevent_var(env, "DEVTYPE=%s", dev.type.name);
  if (dev.driver) add_uevent_var(env, "DRIVER=%s", dev.driver.name);
  if (dev.bus?.uevent) retval = dev.bus.uevent(dev, env);
  if (dev.class?.dev_uevent) retval = dev.class.dev_uevent(dev, env);
  if (dev.type?.uevent) retval = dev.type.uevent(dev, env);
  return retval;
}
const device_uevent_ops: kset_uevent_ops = { filter: dev_uevent_filter, name: dev_uevent_name, uevent: dev_uevent };

function* uevent_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  let top_kobj = dev.kobj;
  while (!top_kobj.kset && top_kobj.parent) top_kobj = top_kobj.parent;
  const ops = top_kobj.kset?.uevent_ops;
  if (!ops?.uevent) return 0;
  if (ops.filter && !ops.filter(dev.kobj)) return 0;
  const env = kzalloc(kobj_uevent_env, GFP_KERNEL);
  if (!env) return -ENOMEM;
  let len = 0;
  // Against really_probe(), which sets and clears dev.driver.
  yield* device_lock(dev);
  const retval = ops.uevent(dev.kobj, env);
  device_unlock(dev);
  if (!retval) for (const v of env.envp) len += sysfs_emit_at(buf, len, "%s\n", v);
  kfree(env);
  return len;
}
function* uevent_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const rc = yield* kobject_synth_uevent(dev.kobj, buf, count);
  if (rc) {
    dev_err(dev, "uevent: failed to send synthetic uevent: %d\n", rc);
    return rc;
  }
  return count;
}
const dev_attr_uevent = DEVICE_ATTR_RW("uevent", uevent_show, uevent_store);

/** @return 0 or -errno: then none of them is there. May sleep */
export function device_add_groups(dev: device, groups: attribute_groups | null): Sleeps<number> {
  return sysfs_create_groups(dev.kobj, groups);
}
EXPORT_SYMBOL_GPL(device_add_groups);
export function device_remove_groups(dev: device, groups: attribute_groups | null): Sleeps {
  return sysfs_remove_groups(dev.kobj, groups);
}
EXPORT_SYMBOL_GPL(device_remove_groups);

function* device_add_attrs(dev: device): Sleeps<number> {
  const cls = dev.class;
  const type = dev.type;
  let error: number;
  if (cls) {
    error = yield* device_add_groups(dev, cls.dev_groups);
    if (error) return error;
  }
  err_remove_class_groups: {
    err_remove_type_groups: {
      if (type) {
        error = yield* device_add_groups(dev, type.groups ?? null);
        if (error) break err_remove_class_groups;
      }
      error = yield* device_add_groups(dev, dev.groups);
      if (error) break err_remove_type_groups;
      return 0;
    }
    if (type) yield* device_remove_groups(dev, type.groups ?? null);
  }
  if (cls) yield* device_remove_groups(dev, cls.dev_groups);
  return error;
}
function* device_remove_attrs(dev: device): Sleeps {
  yield* device_remove_groups(dev, dev.groups);
  if (dev.type) yield* device_remove_groups(dev, dev.type.groups ?? null);
  if (dev.class) yield* device_remove_groups(dev, dev.class.dev_groups);
}

function dev_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%s\n", format_dev_t(dev.devt));
}
const dev_attr_dev = DEVICE_ATTR_RO("dev", dev_show);

function* devices_kset_move_before(deva: device, devb: device): Sleeps {
  if (!s.devices_kset) return;
  yield* spin_lock(s.devices_kset.list_lock);
  list_move_tail(deva.kobj.entry, devb.kobj.entry);
  spin_unlock(s.devices_kset.list_lock);
}
function* devices_kset_move_after(deva: device, devb: device): Sleeps {
  if (!s.devices_kset) return;
  yield* spin_lock(s.devices_kset.list_lock);
  list_move(deva.kobj.entry, devb.kobj.entry);
  spin_unlock(s.devices_kset.list_lock);
}
export function* devices_kset_move_last(dev: device): Sleeps {
  if (!s.devices_kset) return;
  yield* spin_lock(s.devices_kset.list_lock);
  list_move_tail(dev.kobj.entry, s.devices_kset.list);
  spin_unlock(s.devices_kset.list_lock);
}

/** An attribute file of a device. @return 0 or -errno. May sleep */
export function* device_create_file(dev: device | null, attr: device_attribute): Sleeps<number> {
  if (!dev) return 0;
  WARN(
    (attr.attr.mode & S_IWUGO) !== 0 && !attr.store,
    "Attribute %s: write permission without 'store'\n",
    attr.attr.name,
  );
  WARN(
    (attr.attr.mode & S_IRUGO) !== 0 && !attr.show,
    "Attribute %s: read permission without 'show'\n",
    attr.attr.name,
  );
  return yield* sysfs_create_file(dev.kobj, attr.attr);
}
EXPORT_SYMBOL_GPL(device_create_file);
/** Removes it, waiting for reads and writes in progress. May sleep. */
export function* device_remove_file(dev: device | null, attr: device_attribute): Sleeps {
  if (dev) yield* sysfs_remove_file(dev.kobj, attr.attr);
}
EXPORT_SYMBOL_GPL(device_remove_file);
/** Removes it from within its own store(). @return whether this call did it. May sleep */
export function device_remove_file_self(dev: device | null, attr: device_attribute): Sleeps<boolean> {
  return dev ? sysfs_remove_file_self(dev.kobj, attr.attr) : either(false);
}
EXPORT_SYMBOL_GPL(device_remove_file_self);
export function device_create_bin_file(dev: device | null, attr: bin_attribute): Sleeps<number> {
  return dev ? sysfs_create_bin_file(dev.kobj, attr) : ready_int(-EINVAL);
}
EXPORT_SYMBOL_GPL(device_create_bin_file);
export function* device_remove_bin_file(dev: device | null, attr: bin_attribute): Sleeps {
  if (dev) yield* sysfs_remove_bin_file(dev.kobj, attr);
}
EXPORT_SYMBOL_GPL(device_remove_bin_file);

function klist_children_get(n: klist_node): void {
  get_device(to_device_private_parent(n).device);
}
function klist_children_put(n: klist_node): Sleeps {
  return put_device(to_device_private_parent(n).device);
}

/**
 * Makes a device usable: one reference, no name, not in sysfs. From here on only put_device() gets rid of it. Any context.
 */
export function device_initialize(dev: device): void {
  dev.kobj.kset = s.devices_kset;
  kobject_init(dev.kobj, device_ktype);
  mutex_init(dev.mutex, "&dev->mutex");
  lockdep_set_novalidate_class(dev.mutex);
  spin_lock_init(dev.devres_lock);
  INIT_LIST_HEAD(dev.devres_head);
  device_pm_init(dev);
}
EXPORT_SYMBOL_GPL(device_initialize);

/** /sys/devices/virtual, from its first use on. */
export function* virtual_device_parent(): Sleeps<kobject | null> {
  if (!s.virtual_dir) s.virtual_dir = yield* kobject_create_and_add("virtual", s.devices_kset!.kobj);
  return s.virtual_dir;
}

class class_dir extends struct("class_dir", { kobj: embed(() => kobject), class: ptr<class_>() }) {}
function class_dir_release(kobj: kobject): void {
  kfree(container_of(kobj, class_dir, "kobj"));
}
const class_dir_ktype: kobj_type = {
  release: class_dir_release,
  get sysfs_ops() {
    return kobj_sysfs_ops;
  },
};

function* class_dir_create_and_add(cls: class_, parent_kobj: kobject | null): Sleeps<kobject> {
  const dir = kzalloc(class_dir, GFP_KERNEL);
  if (!dir) return ERR_PTR(-ENOMEM);
  dir.class = cls;
  kobject_init(dir.kobj, class_dir_ktype);
  dir.kobj.kset = cls.p!.glue_dirs;
  const retval = yield* kobject_add(dir.kobj, parent_kobj, "%s", cls.name);
  if (retval < 0) {
    yield* kobject_put(dir.kobj);
    return ERR_PTR(retval);
  }
  return dir.kobj;
}

function* get_device_parent(dev: device, parent: device | null): Sleeps<kobject | null> {
  if (dev.class) {
    let kobj: kobject | null = null;
    let parent_kobj: kobject | null;
    // A class device without a parent is "virtual"; one below a device of no class gets a directory of the class in between.
    if (parent === null) parent_kobj = yield* virtual_device_parent();
    else if (parent.class) return parent.kobj;
    else parent_kobj = parent.kobj;

    yield* mutex_lock(s.gdp_mutex);
    const { glue_dirs } = dev.class.p!;
    yield* spin_lock(glue_dirs.list_lock);
    for (let at = glue_dirs.list.next!; at !== glue_dirs.list; at = at.next!) {
      const k = container_of(at, kobject, "entry");
      if (k.parent === parent_kobj) {
        kobj = kobject_get(k);
        break;
      }
    }
    spin_unlock(glue_dirs.list_lock);
    if (!kobj) kobj = yield* class_dir_create_and_add(dev.class, parent_kobj);
    mutex_unlock(s.gdp_mutex);
    return kobj;
  }
  if (!parent && dev.bus?.dev_root) return dev.bus.dev_root.kobj;
  return parent ? parent.kobj : null;
}

function live_in_glue_dir(kobj: kobject | null, dev: device): boolean {
  return kobj !== null && dev.class !== null && kobj.kset === dev.class.p!.glue_dirs;
}
function kobject_has_children(kobj: kobject): boolean {
  WARN_ON_ONCE(kref_read(kobj.kref) === 0);
  return kobj.sd !== null && kobj.sd.subdirs > 0;
}
function* cleanup_glue_dir(dev: device, glue_dir: kobject | null): Sleeps {
  if (!live_in_glue_dir(glue_dir, dev)) return;
  yield* mutex_lock(s.gdp_mutex);
  // Another device may have found the directory and not be in it yet: its reference tells.
  const ref = kref_read(glue_dir!.kref);
  if (!kobject_has_children(glue_dir!) && ref - 1 === 0) yield* kobject_del(glue_dir);
  yield* kobject_put(glue_dir);
  mutex_unlock(s.gdp_mutex);
}

function* device_add_class_symlinks(dev: device): Sleeps<number> {
  if (!dev.class) return 0;
  let error = yield* sysfs_create_link(dev.kobj, dev.class.p!.subsys.kobj, "subsystem");
  out_devnode: {
    if (error) break out_devnode;
    out_subsys: {
      if (dev.parent) {
        error = yield* sysfs_create_link(dev.kobj, dev.parent.kobj, "device");
        if (error) break out_subsys;
      }
      error = yield* sysfs_create_link(dev.class.p!.subsys.kobj, dev.kobj, dev_name(dev)!);
      if (!error) return 0;
      yield* sysfs_remove_link(dev.kobj, "device");
    }
    yield* sysfs_remove_link(dev.kobj, "subsystem");
  }
  return error;
}
function* device_remove_class_symlinks(dev: device): Sleeps {
  if (!dev.class) return;
  if (dev.parent) yield* sysfs_remove_link(dev.kobj, "device");
  yield* sysfs_remove_link(dev.kobj, "subsystem");
  yield* sysfs_delete_link(dev.class.p!.subsys.kobj, dev.kobj, dev_name(dev)!);
}

/** Gives a device its name, before device_add(). Memory is allocated. @return 0 or -ENOMEM */
export function dev_set_name(dev: device, fmt: string | null, ...args: readonly printf_arg[]): number {
  return kobject_set_name(dev.kobj, fmt, ...args);
}
EXPORT_SYMBOL_GPL(dev_set_name);

function device_to_dev_kobj(dev: device): kobject | null {
  return dev.class ? dev.class.dev_kobj : s.sysfs_dev_char_kobj;
}
function* device_create_sys_dev_entry(dev: device): Sleeps<number> {
  const kobj = device_to_dev_kobj(dev);
  return kobj ? yield* sysfs_create_link(kobj, dev.kobj, format_dev_t(dev.devt)) : 0;
}
function* device_remove_sys_dev_entry(dev: device): Sleeps {
  const kobj = device_to_dev_kobj(dev);
  if (kobj) yield* sysfs_remove_link(kobj, format_dev_t(dev.devt));
}

function device_private_init(dev: device): number {
  dev.p = kzalloc(device_private, GFP_KERNEL);
  if (!dev.p) return -ENOMEM;
  dev.p.device = dev;
  klist_init(dev.p.klist_children, klist_children_get, klist_children_put);
  INIT_LIST_HEAD(dev.p.deferred_probe);
  return 0;
}

/**
 * Puts an initialised and named device into sysfs, onto its bus and into its class, and lets drivers probe it.
 * If it fails, put_device() is still to be called; nothing else is. Never call it twice for one device. May sleep.
 * @return 0, -EINVAL without a name, -EEXIST, -ENOMEM, …
 */
export function* device_add(dev: device | null): Sleeps<number> {
  let error = -EINVAL;
  done: {
    dev = get_device(dev);
    if (!dev) break done;
    if (!dev.p) {
      error = device_private_init(dev);
      if (error) break done;
    }
    if (dev.init_name) {
      dev_set_name(dev, "%s", dev.init_name);
      dev.init_name = null;
    }
    if (!dev_name(dev) && dev.bus?.dev_name) dev_set_name(dev, "%s%u", dev.bus.dev_name, dev.id);

    name_error: {
      if (!dev_name(dev)) {
        error = -EINVAL;
        break name_error;
      }
      const parent = get_device(dev.parent);
      let glue_dir: kobject | null = null;
      const kobj = yield* get_device_parent(dev, parent);
      parent_error: {
        if (IS_ERR(kobj)) {
          error = PTR_ERR(kobj);
          break parent_error;
        }
        if (kobj) dev.kobj.parent = kobj;

        Error: {
          error = yield* kobject_add(dev.kobj, dev.kobj.parent, null);
          if (error) {
            glue_dir = kobj;
            break Error;
          }
          attrError: {
            error = yield* device_create_file(dev, dev_attr_uevent);
            if (error) break attrError;
            SymlinkError: {
              error = yield* device_add_class_symlinks(dev);
              if (error) break SymlinkError;
              AttrsError: {
                error = yield* device_add_attrs(dev);
                if (error) break AttrsError;
                BusError: {
                  error = yield* bus_add_device(dev);
                  if (error) break BusError;
                  DPMError: {
                    error = yield* dpm_sysfs_add(dev);
                    if (error) break DPMError;
                    DevAttrError: {
                      SysEntryError: {
                        if (MAJOR(dev.devt)) {
                          error = yield* device_create_file(dev, dev_attr_dev);
                          if (error) break DevAttrError;
                          error = yield* device_create_sys_dev_entry(dev);
                          if (error) break SysEntryError;
                          const mode: umode_ptr = { value: 0 };
                          yield* devtmpfs_create_node(device_get_devnode(dev, mode) ?? "", dev.devt, mode.value);
                        }
                        yield* device_is_there(dev, parent);
                        break done;
                      }
                      if (MAJOR(dev.devt)) yield* device_remove_file(dev, dev_attr_dev);
                    }
                    yield* pm_runtime_remove(dev);
                    yield* dpm_sysfs_remove(dev);
                  }
                  dev.driver = null;
                  yield* bus_remove_device(dev);
                }
                yield* device_remove_attrs(dev);
              }
              yield* device_remove_class_symlinks(dev);
            }
            yield* device_remove_file(dev, dev_attr_uevent);
          }
          yield* kobject_uevent(dev.kobj, KOBJ_REMOVE);
          glue_dir = dev.kobj.parent;
          yield* kobject_del(dev.kobj);
        }
        yield* cleanup_glue_dir(dev, glue_dir);
      }
      yield* put_device(parent);
    }
    if (dev.p) kfree(dev.p);
    dev.p = null;
  }
  yield* put_device(dev);
  return error;
}
EXPORT_SYMBOL_GPL(device_add);

/** The part of device_add() that cannot fail. */
function* device_is_there(dev: device, parent: device | null): Sleeps {
  if (dev.bus) yield* blocking_notifier_call_chain(dev.bus.p!.bus_notifier, BUS_NOTIFY_ADD_DEVICE, dev);
  yield* kobject_uevent(dev.kobj, KOBJ_ADD);
  yield* bus_probe_device(dev);
  if (parent) yield* klist_add_tail(dev.p!.knode_parent, parent.p!.klist_children);
  if (dev.class) {
    const cls = dev.class.p!;
    yield* mutex_lock(cls.mutex);
    yield* klist_add_tail(dev.p!.knode_class, cls.klist_devices);
    for (let at = cls.interfaces.next!; at !== cls.interfaces; at = at.next!) {
      const intf = container_of(at, class_interface, "node");
      if (intf.add_dev) yield* either(intf.add_dev(dev, intf));
    }
    mutex_unlock(cls.mutex);
  }
}

/** device_initialize() and device_add(). May sleep. @return as device_add(): put_device() on an error, never kfree() */
export function device_register(dev: device): Sleeps<number> {
  device_initialize(dev);
  return device_add(dev);
}
EXPORT_SYMBOL_GPL(device_register);

/** One reference more; NULL gives NULL. Any context. */
export function get_device(dev: device): device;
export function get_device(dev: device | null): device | null;
export function get_device(dev: device | null): device | null {
  return dev ? kobj_to_dev(kobject_get(dev.kobj)) : null;
}
EXPORT_SYMBOL_GPL(get_device);

/** One reference less; the last one calls the release function. May sleep. */
export function* put_device(dev: device | null): Sleeps {
  if (dev) yield* kobject_put(dev.kobj);
}
EXPORT_SYMBOL_GPL(put_device);

/** Marks a device as going: no driver gets it any more. device_lock held. @return false if it was already */
export function kill_device(dev: device): boolean {
  device_lock_assert(dev);
  if (dev.p!.dead) return false;
  dev.p!.dead = true;
  return true;
}
EXPORT_SYMBOL_GPL(kill_device);

/** Undoes device_add(): the driver is removed, the device leaves sysfs; its references stay. May sleep. */
export function* device_del(dev: device): Sleeps {
  const parent = dev.parent;
  yield* device_lock(dev);
  kill_device(dev);
  device_unlock(dev);

  if (dev.bus) yield* blocking_notifier_call_chain(dev.bus.p!.bus_notifier, BUS_NOTIFY_DEL_DEVICE, dev);
  yield* dpm_sysfs_remove(dev);
  if (parent) yield* klist_del(dev.p!.knode_parent);
  if (MAJOR(dev.devt)) {
    yield* devtmpfs_delete_node(device_get_devnode(dev, null) ?? "", dev.devt);
    yield* device_remove_sys_dev_entry(dev);
    yield* device_remove_file(dev, dev_attr_dev);
  }
  if (dev.class) {
    yield* device_remove_class_symlinks(dev);
    const cls = dev.class.p!;
    yield* mutex_lock(cls.mutex);
    for (let at = cls.interfaces.next!; at !== cls.interfaces; at = at.next!) {
      const intf = container_of(at, class_interface, "node");
      if (intf.remove_dev) yield* either(intf.remove_dev(dev, intf));
    }
    yield* klist_del(dev.p!.knode_class);
    mutex_unlock(cls.mutex);
  }
  yield* device_remove_file(dev, dev_attr_uevent);
  yield* device_remove_attrs(dev);
  yield* bus_remove_device(dev);
  yield* pm_runtime_remove(dev);
  yield* driver_deferred_probe_del(dev);

  if (dev.bus) yield* blocking_notifier_call_chain(dev.bus.p!.bus_notifier, BUS_NOTIFY_REMOVED_DEVICE, dev);
  yield* kobject_uevent(dev.kobj, KOBJ_REMOVE);
  const glue_dir = dev.kobj.parent;
  yield* kobject_del(dev.kobj);
  yield* cleanup_glue_dir(dev, glue_dir);
  yield* put_device(parent);
}
EXPORT_SYMBOL_GPL(device_del);

/** device_del() and put_device(). May sleep. */
export function* device_unregister(dev: device): Sleeps {
  yield* device_del(dev);
  yield* put_device(dev);
}
EXPORT_SYMBOL_GPL(device_unregister);

function* prev_device(i: klist_iter): Sleeps<device | null> {
  const n = yield* klist_prev(i);
  return n ? to_device_private_parent(n).device : null;
}
function* next_device(i: klist_iter): Sleeps<device | null> {
  const n = yield* klist_next(i);
  return n ? to_device_private_parent(n).device : null;
}

/** Name of the device node below /dev. @mode: set if somebody wants other permissions. Any context */
export function device_get_devnode(dev: device, mode: umode_ptr | null): string | null {
  return dev.type?.devnode?.(dev, mode) ?? dev.class?.devnode?.(dev, mode) ?? dev_name(dev)!.replaceAll("!", "/");
}

/** What is called for each device of a walk; other than 0 ends it. */
export type device_walker<T> = (dev: device, data: T) => Sleeps<number> | number;
/** What decides whether a device is the one. */
export type device_matcher<T> = (dev: device, data: T) => number | boolean;

/** Calls `fn` for each child, oldest first, until it returns something. @return that, or 0. May sleep */
export function* device_for_each_child<T>(parent: device, data: T, fn: device_walker<T>): Sleeps<number> {
  if (!parent.p) return 0;
  const i = new klist_iter();
  let error = 0;
  klist_iter_init(parent.p.klist_children, i);
  for (let child; !error && (child = yield* next_device(i));) error = yield* either(fn(child, data));
  yield* klist_iter_exit(i);
  return error;
}
EXPORT_SYMBOL_GPL(device_for_each_child);
/** The same, youngest first. */
export function* device_for_each_child_reverse<T>(parent: device, data: T, fn: device_walker<T>): Sleeps<number> {
  if (!parent.p) return 0;
  const i = new klist_iter();
  let error = 0;
  klist_iter_init(parent.p.klist_children, i);
  for (let child; (child = yield* prev_device(i)) && !error;) error = yield* either(fn(child, data));
  yield* klist_iter_exit(i);
  return error;
}
EXPORT_SYMBOL_GPL(device_for_each_child_reverse);

/** @return the first child that matches, with a reference; null. May sleep */
export function* device_find_child<T>(parent: device | null, data: T, match: device_matcher<T>): Sleeps<device | null> {
  if (!parent) return null;
  const i = new klist_iter();
  let child: device | null;
  klist_iter_init(parent.p!.klist_children, i);
  while ((child = yield* next_device(i))) if (match(child, data) && get_device(child)) break;
  yield* klist_iter_exit(i);
  return child;
}
EXPORT_SYMBOL_GPL(device_find_child);
const child_has_name = (dev: device, name: string): boolean => sysfs_streq(dev_name(dev) ?? "", name);
export function device_find_child_by_name(parent: device | null, name: string): Sleeps<device | null> {
  return device_find_child(parent, name, child_has_name);
}
EXPORT_SYMBOL_GPL(device_find_child_by_name);
export function device_find_any_child(parent: device | null): Sleeps<device | null> {
  return device_find_child(parent, null, device_match_any);
}
EXPORT_SYMBOL_GPL(device_find_any_child);

/** /sys/devices and /sys/dev. */
export function* devices_init(): Sleeps<number> {
  s.devices_kset = yield* kset_create_and_add("devices", device_uevent_ops, null);
  if (!s.devices_kset) return -ENOMEM;
  dev_kobj_err: {
    s.dev_kobj = yield* kobject_create_and_add("dev", null);
    if (!s.dev_kobj) break dev_kobj_err;
    block_kobj_err: {
      s.sysfs_dev_block_kobj = yield* kobject_create_and_add("block", s.dev_kobj);
      if (!s.sysfs_dev_block_kobj) break block_kobj_err;
      s.sysfs_dev_char_kobj = yield* kobject_create_and_add("char", s.dev_kobj);
      if (s.sysfs_dev_char_kobj) return 0;
      yield* kobject_put(s.sysfs_dev_block_kobj);
    }
    yield* kobject_put(s.dev_kobj);
  }
  yield* kset_unregister(s.devices_kset);
  return -ENOMEM;
}

class root_device extends struct("root_device", { dev: embed(() => device), owner: ptr<module>() }) {}
function root_device_release(dev: device): void {
  kfree(container_of(dev, root_device, "dev"));
}

/** A device directly below /sys/devices. @owner: THIS_MODULE. @return ERR_PTR() on an error. May sleep */
export function* root_device_register(name: string, owner: module | null): Sleeps<device> {
  let err = -ENOMEM;
  const root = kzalloc(root_device, GFP_KERNEL);
  if (!root) return ERR_PTR(err);
  err = dev_set_name(root.dev, "%s", name);
  if (err) {
    kfree(root);
    return ERR_PTR(err);
  }
  root.dev.release = root_device_release;
  err = yield* device_register(root.dev);
  if (err) {
    yield* put_device(root.dev);
    return ERR_PTR(err);
  }
  if (owner) {
    err = yield* sysfs_create_link(root.dev.kobj, module_kobj(owner), "module");
    if (err) {
      yield* device_unregister(root.dev);
      return ERR_PTR(err);
    }
    root.owner = owner;
  }
  return root.dev;
}
EXPORT_SYMBOL_GPL(root_device_register);
export function* root_device_unregister(dev: device): Sleeps {
  const root = container_of(dev, root_device, "dev");
  if (root.owner) yield* sysfs_remove_link(root.dev.kobj, "module");
  yield* device_unregister(dev);
}
EXPORT_SYMBOL_GPL(root_device_unregister);

function device_create_release(dev: device): void {
  kfree(dev);
}

/** A device of a class, which device_destroy() gets rid of. @return ERR_PTR(-ENODEV) without a class, another ERR_PTR(). May sleep */
export function* device_create_with_groups(
  cls: class_ | null,
  parent: device | null,
  devt: dev_t,
  drvdata: object | null,
  groups: attribute_groups | null,
  fmt: string,
  ...args: readonly printf_arg[]
): Sleeps<device> {
  let dev: device | null = null;
  let retval = -ENODEV;
  error: {
    if (IS_ERR_OR_NULL(cls)) break error;
    dev = kzalloc(device, GFP_KERNEL);
    if (!dev) {
      retval = -ENOMEM;
      break error;
    }
    device_initialize(dev);
    dev.devt = devt;
    dev.class = cls;
    dev.parent = parent;
    dev.groups = groups;
    dev.release = device_create_release;
    dev_set_drvdata(dev, drvdata);
    retval = kobject_set_name(dev.kobj, fmt, ...args);
    if (retval) break error;
    retval = yield* device_add(dev);
    if (retval) break error;
    return dev;
  }
  yield* put_device(dev);
  return ERR_PTR(retval);
}
EXPORT_SYMBOL_GPL(device_create_with_groups);
export function device_create(
  cls: class_ | null,
  parent: device | null,
  devt: dev_t,
  drvdata: object | null,
  fmt: string,
  ...args: readonly printf_arg[]
): Sleeps<device> {
  return device_create_with_groups(cls, parent, devt, drvdata, null, fmt, ...args);
}
EXPORT_SYMBOL_GPL(device_create);
/** Gets rid of what device_create() made. May sleep. */
export function* device_destroy(cls: class_, devt: dev_t): Sleeps {
  const dev = yield* class_find_device_by_devt(cls, devt);
  if (dev) {
    yield* put_device(dev);
    yield* device_unregister(dev);
  }
}
EXPORT_SYMBOL_GPL(device_destroy);

/** @return 0 or -errno. May sleep */
export function* device_rename(dev: device, new_name: string): Sleeps<number> {
  if (!get_device(dev)) return -EINVAL;
  let error = -ENOMEM;
  const old_device_name = kstrdup(dev_name(dev), GFP_KERNEL);
  out: {
    if (old_device_name === null) break out;
    if (dev.class) {
      error = yield* sysfs_rename_link(dev.class.p!.subsys.kobj, dev.kobj, old_device_name, new_name);
      if (error) break out;
    }
    error = yield* kobject_rename(dev.kobj, new_name);
  }
  yield* put_device(dev);
  return error;
}
EXPORT_SYMBOL_GPL(device_rename);

function* device_move_class_links(dev: device, old_parent: device | null, new_parent: device | null): Sleeps<number> {
  if (old_parent) yield* sysfs_remove_link(dev.kobj, "device");
  return new_parent ? yield* sysfs_create_link(dev.kobj, new_parent.kobj, "device") : 0;
}

export const DPM_ORDER_NONE = 0;
export const DPM_ORDER_DEV_AFTER_PARENT = 1;
export const DPM_ORDER_PARENT_BEFORE_DEV = 2;
export const DPM_ORDER_DEV_LAST = 3;

/** Moves a device below another parent. @dpm_order: what becomes of the order of shutdown. @return 0 or -errno. May sleep */
export function* device_move(dev: device, new_parent: device | null, dpm_order: number): Sleeps<number> {
  if (!get_device(dev)) return -EINVAL;
  let error: number;
  out: {
    new_parent = get_device(new_parent);
    const new_parent_kobj = yield* get_device_parent(dev, new_parent);
    if (IS_ERR(new_parent_kobj)) {
      error = PTR_ERR(new_parent_kobj);
      yield* put_device(new_parent);
      break out;
    }
    error = yield* kobject_move(dev.kobj, new_parent_kobj);
    if (error) {
      yield* cleanup_glue_dir(dev, new_parent_kobj);
      yield* put_device(new_parent);
      break out;
    }
    const old_parent = dev.parent;
    dev.parent = new_parent;
    if (old_parent) yield* klist_remove(dev.p!.knode_parent);
    if (new_parent) yield* klist_add_tail(dev.p!.knode_parent, new_parent.p!.klist_children);

    if (dev.class) {
      error = yield* device_move_class_links(dev, old_parent, new_parent);
      if (error) {
        yield* device_move_class_links(dev, new_parent, old_parent);
        if (!(yield* kobject_move(dev.kobj, old_parent!.kobj))) {
          if (new_parent) yield* klist_remove(dev.p!.knode_parent);
          dev.parent = old_parent;
          if (old_parent) yield* klist_add_tail(dev.p!.knode_parent, old_parent.p!.klist_children);
        }
        yield* cleanup_glue_dir(dev, new_parent_kobj);
        yield* put_device(new_parent);
        break out;
      }
    }
    if (dpm_order === DPM_ORDER_DEV_AFTER_PARENT) yield* devices_kset_move_after(dev, new_parent!);
    else if (dpm_order === DPM_ORDER_PARENT_BEFORE_DEV) yield* devices_kset_move_before(new_parent!, dev);
    else if (dpm_order === DPM_ORDER_DEV_LAST) yield* devices_kset_move_last(dev);
    yield* put_device(old_parent);
  }
  yield* put_device(dev);
  return error;
}
EXPORT_SYMBOL_GPL(device_move);

/** Calls the shutdown function of every device, youngest first. Process context, at reboot. May sleep. */
export function* device_shutdown(): Sleeps {
  yield* wait_for_device_probe();
  yield* device_block_probing();
  const kset = s.devices_kset!;
  yield* spin_lock(kset.list_lock);
  // Devices may still be unplugged meanwhile: one at a time, from the end.
  while (!list_empty(kset.list)) {
    const dev = kobj_to_dev(container_of(kset.list.prev, kobject, "entry"));
    // The parent too, whose lock is taken.
    const parent = get_device(dev.parent);
    get_device(dev);
    // Off the list, in case its shutdown function leaves it there.
    list_del_init(dev.kobj.entry);
    spin_unlock(kset.list_lock);

    if (parent) yield* device_lock(parent);
    yield* device_lock(dev);

    pm_runtime_get_noresume(dev);
    yield* pm_runtime_barrier(dev);

    if (dev.class?.shutdown_pre) yield* either(dev.class.shutdown_pre(dev));
    if (dev.bus?.shutdown) yield* either(dev.bus.shutdown(dev));
    else if (dev.driver?.shutdown) yield* either(dev.driver.shutdown(dev));
    device_unlock(dev);
    if (parent) device_unlock(parent);

    yield* put_device(dev);
    yield* put_device(parent);
    yield* spin_lock(kset.list_lock);
  }
  spin_unlock(kset.list_lock);
}

/** Logs a line of a device, with the prefix that all of them have. Any context. @dev: null says so */
export function _dev_printk(level: number, dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  if (dev) printk(level, "%s %s: " + fmt, dev_driver_string(dev), dev_name(dev), ...args);
  else printk(level, "(NULL device *): " + fmt, ...args);
}
EXPORT_SYMBOL(_dev_printk);

export function dev_emerg(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(0, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_emerg);
export function dev_alert(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(1, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_alert);
export function dev_crit(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(2, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_crit);
export function dev_err(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(3, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_err);
export function dev_warn(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(4, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_warn);
export function dev_notice(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(5, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_notice);
export function dev_info(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  _dev_printk(6, dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_info);
/** Compiled out of a kernel without dynamic debug, as here: the arguments are evaluated and dropped. */
export function dev_dbg(_dev: device | null, _fmt: string, ..._args: readonly printf_arg[]): void {}
EXPORT_SYMBOL(dev_dbg);

/** One state for each format, where C has one for each place. */
function ratelimited(func: string, fmt: string): boolean {
  const key = `${func} ${fmt}`;
  const rs = s.ratelimits.get(key) ?? DEFINE_RATELIMIT_STATE(DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);
  s.ratelimits.set(key, rs);
  return __ratelimit(rs) !== 0;
}
export function dev_err_ratelimited(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  if (ratelimited("dev_err_ratelimited", fmt)) dev_err(dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_err_ratelimited);
export function dev_warn_ratelimited(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  if (ratelimited("dev_warn_ratelimited", fmt)) dev_warn(dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_warn_ratelimited);
export function dev_notice_ratelimited(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  if (ratelimited("dev_notice_ratelimited", fmt)) dev_notice(dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_notice_ratelimited);
export function dev_info_ratelimited(dev: device | null, fmt: string, ...args: readonly printf_arg[]): void {
  if (ratelimited("dev_info_ratelimited", fmt)) dev_info(dev, fmt, ...args);
}
EXPORT_SYMBOL(dev_info_ratelimited);
export function dev_WARN(dev: device, fmt: string, ...args: readonly printf_arg[]): void {
  WARN(true, "%s %s: " + fmt, dev_driver_string(dev), dev_name(dev), ...args);
}
EXPORT_SYMBOL(dev_WARN);
export function dev_WARN_ONCE(dev: device, condition: boolean, fmt: string, ...args: readonly printf_arg[]): boolean {
  return WARN_ONCE(condition, "%s %s: " + fmt, dev_driver_string(dev), dev_name(dev), ...args);
}
EXPORT_SYMBOL(dev_WARN_ONCE);
/** Logs why a probe fails, unless it is only deferred. @return err */
export function dev_err_probe(dev: device, err: number, fmt: string, ...args: readonly printf_arg[]): number {
  if (err !== -EPROBE_DEFER) dev_err(dev, "error %pe: " + fmt, ERR_PTR<object>(err), ...args);
  return err;
}
EXPORT_SYMBOL_GPL(dev_err_probe);

export function device_match_name(dev: device, name: string): boolean {
  return sysfs_streq(dev_name(dev) ?? "", name);
}
EXPORT_SYMBOL_GPL(device_match_name);
export function device_match_devt(dev: device, devt: dev_t): boolean {
  return dev.devt === devt;
}
EXPORT_SYMBOL_GPL(device_match_devt);
export function device_match_any(_dev: device, _unused: unknown): boolean {
  return true;
}
EXPORT_SYMBOL_GPL(device_match_any);
