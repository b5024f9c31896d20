// SPDX-License-Identifier: GPL-2.0-only
/** Character devices: their numbers, and what opening one of their nodes does. */
import { cdev } from "#linux/cdev.ts";
import { type device, device_add, device_del } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EBUSY, ENOMEM, ENXIO } from "#linux/errno.ts";
import { type file, type file_operations, fops_get, inode, noop_llseek, replace_fops } from "#linux/fs.ts";
import { core_initcall } from "#linux/init.ts";
import { type dev_t, MAJOR, MINOR, MKDEV } from "#linux/kdev_t.ts";
import {
  type kobj_type,
  type kobject,
  kobject_get,
  kobject_get_unless_zero,
  kobject_init,
  kobject_put,
  kobject_set_name,
} from "#linux/kobject.ts";
import { INIT_LIST_HEAD, list_add, list_del_init, list_empty } from "#linux/list.ts";
import { module_put, request_module, try_module_get } from "#linux/module.ts";
import { mutex_init } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock, spinlock_t } from "#linux/spinlock.ts";
import { container_of } from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import { zero_struct } from "../lib/struct_copy.ts";
import { kbuild } from "../modpost.ts";
import { WARN_ON } from "../panic.ts";
import { either } from "../sched/either.ts";
import { ready, type Sleeps, type Spins } from "../sched/types.ts";
import { __register_chrdev_region, __unregister_chrdev_region, chrdevs_lock } from "./chrdev_region.ts";
import { kobj_lookup, kobj_map, type kobj_map_domain, kobj_map_init, kobj_unmap } from "./kobj_map.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  cdev_map: null as kobj_map_domain | null,
  cdev_lock: new spinlock_t(),
}));

/** A region and a cdev for it in one. @major: 0 for a free one, which is then returned. Context: may sleep. Source: fs/char_dev.c */
export function* __register_chrdev(
  major: number,
  baseminor: number,
  count: number,
  name: string,
  fops: file_operations,
): Sleeps<number> {
  const cd = yield* __register_chrdev_region(major, baseminor, count, name);
  if (IS_ERR(cd)) return PTR_ERR(cd);
  let err = -ENOMEM;
  out2: {
    const cdev = cdev_alloc();
    if (!cdev) break out2;
    out: {
      cdev.owner = fops.owner ?? null;
      cdev.ops = fops;
      kobject_set_name(cdev.kobj, "%s", name);
      err = yield* cdev_add(cdev, MKDEV(cd.major, baseminor), count);
      if (err) break out;
      cd.cdev = cdev;
      return major ? 0 : cd.major;
    }
    yield* kobject_put(cdev.kobj);
  }
  kfree(yield* __unregister_chrdev_region(cd.major, baseminor, count));
  return err;
}
EXPORT_SYMBOL(__register_chrdev);
export function register_chrdev(major: number, name: string, fops: file_operations): Sleeps<number> {
  return __register_chrdev(major, 0, 256, name, fops);
}

export function* __unregister_chrdev(major: number, baseminor: number, count: number, name: string): Sleeps {
  const cd = yield* __unregister_chrdev_region(major, baseminor, count);
  if (cd?.cdev) yield* cdev_del(cd.cdev);
  kfree(cd);
}
EXPORT_SYMBOL(__unregister_chrdev);
export function unregister_chrdev(major: number, name: string): Sleeps {
  return __unregister_chrdev(major, 0, 256, name);
}

function cdev_get(p: cdev): kobject | null {
  const owner = p.owner;
  if (owner && !try_module_get(owner)) return null;
  const kobj = kobject_get_unless_zero(p.kobj);
  if (!kobj) module_put(owner);
  return kobj;
}
/** Drops the reference, and that of the module, that an open took. Context: may sleep. Source: fs/char_dev.c */
export function* cdev_put(p: cdev | null): Sleeps {
  if (!p) return;
  const owner = p.owner;
  yield* kobject_put(p.kobj);
  module_put(owner);
}

function* chrdev_open(inode: inode, filp: file): Sleeps<number> {
  let new_: cdev | null = null;
  let ret = 0;
  yield* spin_lock(s.cdev_lock);
  let p = inode.i_cdev;
  if (!p) {
    spin_unlock(s.cdev_lock);
    const kobj = yield* kobj_lookup(s.cdev_map!, inode.i_rdev);
    if (!kobj) return -ENXIO;
    new_ = container_of(kobj, cdev, "kobj");
    yield* spin_lock(s.cdev_lock);
    // Another open may have been faster.
    p = inode.i_cdev;
    if (!p) {
      inode.i_cdev = p = new_;
      list_add(inode.i_devices, p.list);
      new_ = null;
    } else if (!cdev_get(p)) ret = -ENXIO;
  } else if (!cdev_get(p)) ret = -ENXIO;
  spin_unlock(s.cdev_lock);
  yield* cdev_put(new_);
  if (ret) return ret;

  ret = -ENXIO;
  out_cdev_put: {
    const fops = fops_get(p.ops);
    if (!fops) break out_cdev_put;
    replace_fops(filp, fops);
    if (filp.f_op!.open) {
      ret = yield* either(filp.f_op!.open(inode, filp));
      if (ret) break out_cdev_put;
    }
    return 0;
  }
  yield* cdev_put(p);
  return ret;
}

/** An inode of the device goes away. Source: fs/char_dev.c */
export function* cd_forget(inode: inode): Spins {
  yield* spin_lock(s.cdev_lock);
  list_del_init(inode.i_devices);
  inode.i_cdev = null;
  inode.i_mapping = inode.i_data;
  spin_unlock(s.cdev_lock);
}
function* cdev_purge(cdev: cdev): Spins {
  yield* spin_lock(s.cdev_lock);
  while (!list_empty(cdev.list)) {
    const at = container_of(cdev.list.next, inode, "i_devices");
    list_del_init(at.i_devices);
    at.i_cdev = null;
  }
  spin_unlock(s.cdev_lock);
}

/** What the inode of a node starts with: it only finds out who the real operations belong to. */
export const def_chr_fops: file_operations = { open: chrdev_open, llseek: noop_llseek };

function exact_match(dev: dev_t, data: object | null): Sleeps<kobject | null> {
  return ready(data instanceof cdev ? data.kobj : null);
}
function exact_lock(dev: dev_t, data: object | null): number {
  return data instanceof cdev && cdev_get(data) ? 0 : -1;
}

/**
 * Makes the device live: from here on it can be opened.
 * @dev: its first number; @count: how many. @return 0 or errno. Context: may sleep. Source: fs/char_dev.c
 */
export function* cdev_add(p: cdev, dev: dev_t, count: number): Sleeps<number> {
  p.dev = dev;
  p.count = count;
  // WHITEOUT_DEV
  if (WARN_ON(dev === 0)) return -EBUSY;
  const error = yield* kobj_map(s.cdev_map!, dev, count, null, exact_match, exact_lock, p);
  if (error) return error;
  kobject_get(p.kobj.parent);
  return 0;
}
EXPORT_SYMBOL(cdev_add);

/** The parent's memory lasts as long as the cdev; before cdev_add(). Any context. Source: fs/char_dev.c */
export function cdev_set_parent(p: cdev, kobj: kobject): void {
  WARN_ON(!kobj.state_initialized);
  p.kobj.parent = kobj;
}
EXPORT_SYMBOL(cdev_set_parent);

/**
 * cdev_add() with the device's number and the device as parent, then device_add(). Without a number only the latter.
 * @return 0 or errno; the device may have been opened even on error. Context: may sleep. Source: fs/char_dev.c
 */
export function* cdev_device_add(cdev: cdev, dev: device): Sleeps<number> {
  if (dev.devt) {
    cdev_set_parent(cdev, dev.kobj);
    const rc = yield* cdev_add(cdev, dev.devt, 1);
    if (rc) return rc;
  }
  const rc = yield* device_add(dev);
  if (rc && dev.devt) yield* cdev_del(cdev);
  return rc;
}
EXPORT_SYMBOL(cdev_device_add);

/** The inverse. What is open stays open. Context: may sleep. Source: fs/char_dev.c */
export function* cdev_device_del(cdev: cdev, dev: device): Sleeps {
  yield* device_del(dev);
  if (dev.devt) yield* cdev_del(cdev);
}
EXPORT_SYMBOL(cdev_device_del);

/** No more opens; what is open stays. Drops the first reference. Context: may sleep. Source: fs/char_dev.c */
export function* cdev_del(p: cdev): Sleeps {
  yield* kobj_unmap(s.cdev_map!, p.dev, p.count);
  yield* kobject_put(p.kobj);
}
EXPORT_SYMBOL(cdev_del);

function* cdev_default_release(kobj: kobject): Sleeps {
  const p = container_of(kobj, cdev, "kobj");
  const parent = kobj.parent;
  yield* cdev_purge(p);
  yield* kobject_put(parent);
}
function* cdev_dynamic_release(kobj: kobject): Sleeps {
  const p = container_of(kobj, cdev, "kobj");
  const parent = kobj.parent;
  yield* cdev_purge(p);
  kfree(p);
  yield* kobject_put(parent);
}
const ktype_cdev_default: kobj_type = { release: cdev_default_release };
const ktype_cdev_dynamic: kobj_type = { release: cdev_dynamic_release };

export function cdev_alloc(): cdev | null {
  const p = kzalloc(cdev, GFP_KERNEL);
  if (p) {
    INIT_LIST_HEAD(p.list);
    kobject_init(p.kobj, ktype_cdev_dynamic);
  }
  return p;
}
EXPORT_SYMBOL(cdev_alloc);

/** For a cdev inside another struct. Any context. Source: fs/char_dev.c */
export function cdev_init(cdev: cdev, fops: file_operations): void {
  zero_struct(cdev);
  INIT_LIST_HEAD(cdev.list);
  kobject_init(cdev.kobj, ktype_cdev_default);
  cdev.ops = fops;
}
EXPORT_SYMBOL(cdev_init);

function* base_probe(dev: dev_t, data: object | null): Sleeps<kobject | null> {
  if ((yield* request_module("char-major-%d-%d", MAJOR(dev), MINOR(dev))) > 0)
    yield* request_module("char-major-%d", MAJOR(dev));
  return null;
}

function chrdev_init(): number {
  const lock = chrdevs_lock();
  mutex_init(lock, "chrdevs_lock");
  spin_lock_init(s.cdev_lock, "cdev_lock");
  s.cdev_map = kobj_map_init(base_probe, lock);
  return 0;
}
core_initcall(chrdev_init);
