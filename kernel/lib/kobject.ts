// SPDX-License-Identifier: GPL-2.0-only
/** kobjects: a reference count, a name, a parent and a directory in sysfs. Namespaces and owners are not here. Source: lib/kobject.c */
import { EEXIST, EINVAL, EIO, ENOENT, ENOMEM } from "#linux/errno.ts";
import { kernfs_get, kernfs_put } from "#linux/kernfs.ts";
import { type kobj_type, KOBJ_MOVE, KOBJ_REMOVE, kobject, kobject_name, kset_get, kset_put } from "#linux/kobject.ts";
import { type kref, kref_get, kref_get_unless_zero, kref_init, kref_put } from "#linux/kref.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init } from "#linux/list.ts";
import { type gfp_t, GFP_KERNEL, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import type { attribute, sysfs_buf, sysfs_ops, sysfs_result } from "#linux/sysfs.ts";
import { container_of, type kbuf, READY, ready_int, type Sleeps, type Spins } from "#linux/types.ts";
import { sysfs_create_dir, sysfs_move_dir, sysfs_remove_dir, sysfs_rename_dir } from "../fs/sysfs/dir.ts";
import { sysfs_create_groups, sysfs_remove_groups } from "../fs/sysfs/group.ts";
import { kobj_attribute } from "../fs/sysfs/attribute.ts";
import { pr_err, pr_warn } from "../printk.ts";
import { either } from "../sched/either.ts";
import {
  delay_kobject_release,
  kobject_err,
  kobject_not_initialized,
  kobject_release_is_delayed,
  kobject_warn,
} from "./kobject_debug.ts";
import { kobject_uevent, kobject_uevent_env } from "./kobject_uevent.ts";
import { type printf_arg, sprintf } from "./vsprintf.ts";

function* create_dir(kobj: kobject): Sleeps<number> {
  let error = yield* sysfs_create_dir(kobj);
  if (error) return error;
  if (kobj.ktype) {
    error = yield* sysfs_create_groups(kobj, kobj.ktype.default_groups ?? null);
    if (error) {
      yield* sysfs_remove_dir(kobj);
      return error;
    }
  }
  // An ancestor that goes away may take the directory with it; it has to last as long as the kobject.
  kernfs_get(kobj.sd);
  return 0;
}

/** @return the path below /sys, null if a name is missing. Any context */
export function kobject_path(kobj: kobject): string | null {
  let path = "";
  for (let at: kobject | null = kobj; at; at = at.parent) {
    const name = kobject_name(at);
    if (name === null) return null;
    path = `/${name}${path}`;
  }
  return path;
}

/**
 * The path with the memory it takes. May sleep, depending on `gfp`.
 * @return null without memory or if a name is missing; free `memory` with kfree()
 */
export function kobject_get_path(kobj: kobject, gfp: gfp_t): { readonly path: string; readonly memory: kbuf } | null {
  const path = kobject_path(kobj);
  if (path === null) return null;
  const memory = kzalloc(path.length + 1, gfp);
  return memory ? { path, memory } : null;
}

function* kobj_kset_join(kobj: kobject): Spins {
  if (!kobj.kset) return;
  kset_get(kobj.kset);
  yield* spin_lock(kobj.kset.list_lock);
  list_add_tail(kobj.entry, kobj.kset.list);
  spin_unlock(kobj.kset.list_lock);
}
function* kobj_kset_leave(kobj: kobject): Sleeps {
  if (!kobj.kset) return;
  yield* spin_lock(kobj.kset.list_lock);
  list_del_init(kobj.entry);
  spin_unlock(kobj.kset.list_lock);
  yield* kset_put(kobj.kset);
}

export function kobject_init_internal(kobj: kobject | null): void {
  if (!kobj) return;
  kref_init(kobj.kref);
  INIT_LIST_HEAD(kobj.entry);
  kobj.state_in_sysfs = false;
  kobj.state_add_uevent_sent = false;
  kobj.state_remove_uevent_sent = false;
  kobj.state_initialized = true;
}

export function* kobject_add_internal(kobj: kobject | null): Sleeps<number> {
  if (!kobj) return -ENOENT;
  if (!kobj.name) {
    const line = sprintf("kobject: (%p): attempted to be registered with empty name!", kobj);
    kobject_warn("kobject", "kobject: attempted to be registered with empty name!", line);
    return -EINVAL;
  }
  let parent = kobject_get(kobj.parent);
  // Joins its kset, which is its parent as well if it has none.
  if (kobj.kset) {
    if (!parent) parent = kobject_get(kobj.kset.kobj);
    yield* kobj_kset_join(kobj);
    kobj.parent = parent;
  }
  const error = yield* create_dir(kobj);
  if (error) {
    yield* kobj_kset_leave(kobj);
    yield* kobject_put(parent);
    kobj.parent = null;
    if (error === -EEXIST)
      pr_err(
        "%s failed for %s with -EEXIST, don't try to register things with the same name in the same directory.\n",
        "kobject_add_internal",
        kobject_name(kobj),
      );
    else
      pr_err(
        "%s failed for %s (error: %d parent: %s)\n",
        "kobject_add_internal",
        kobject_name(kobj),
        error,
        parent ? kobject_name(parent) : "'none'",
      );
  } else kobj.state_in_sysfs = true;
  return error;
}

/** Names that vmlinux has as constants and gives as they are: nothing is allocated for them. What modules have as constants is copied. */
const KERNEL_RODATA = new Set(
  "bus class dev block char system virtual devices drivers kernel module holders iommu_groups".split(" "),
);

/**
 * Gives a kobject its name, a copy that is freed with it; "/" becomes "!". Only before kobject_add(). May sleep.
 * @fmt: null leaves a name that is there. @return 0 or -ENOMEM
 */
export function kobject_set_name(kobj: kobject, fmt: string | null, ...args: readonly printf_arg[]): number {
  if (kobj.name !== null && fmt === null) return 0;
  const name = sprintf(fmt ?? "", ...args);
  let memory: kbuf | null = null;
  if (!KERNEL_RODATA.has(name)) {
    memory = kmalloc(name.length + 1, GFP_KERNEL);
    if (!memory) return -ENOMEM;
  }
  if (kobj.$name) kfree(kobj.$name);
  kobj.$name = memory;
  kobj.name = name.replaceAll("/", "!");
  return 0;
}

/** Makes a kobject usable: one reference, no name yet. From here on only kobject_put() gets rid of it. Any context. */
export function kobject_init(kobj: kobject | null, ktype: kobj_type | null): void {
  if (!kobj || !ktype) {
    const what = kobj ? "must have a ktype to be initialized properly!" : "invalid kobject pointer!";
    kobject_err(`kobject: ${what}`, sprintf("kobject (%p): %s", kobj, what));
    return;
  }
  if (kobj.state_initialized)
    kobject_err(
      "kobject: tried to init an initialized object, something is seriously wrong.",
      sprintf("kobject (%p): tried to init an initialized object, something is seriously wrong.", kobj),
    );
  kobject_init_internal(kobj);
  kobj.ktype = ktype;
}

function kobject_add_varg(
  kobj: kobject,
  parent: kobject | null,
  fmt: string | null,
  args: readonly printf_arg[],
): Sleeps<number> {
  const retval = kobject_set_name(kobj, fmt, ...args);
  if (retval) {
    pr_err("kobject: can not set name properly!\n");
    return ready_int(retval);
  }
  kobj.parent = parent;
  return kobject_add_internal(kobj);
}

/**
 * Puts a kobject into sysfs. On an error the caller still has to kobject_put() it, for the name. May sleep.
 * @parent: null takes its kset's. @fmt: null if it has a name. @return 0, -EEXIST, -ENOMEM, -ENOENT, -EINVAL
 */
export function kobject_add(
  kobj: kobject | null,
  parent: kobject | null,
  fmt: string | null,
  ...args: readonly printf_arg[]
): Sleeps<number> {
  if (!kobj) return ready_int(-EINVAL);
  if (!kobj.state_initialized) {
    const name = sprintf("%s", kobj.name);
    kobject_err(
      `kobject '${name}': tried to add an uninitialized object, something is seriously wrong.`,
      sprintf("kobject '%s' (%p): tried to add an uninitialized object, something is seriously wrong.", name, kobj),
    );
    return ready_int(-EINVAL);
  }
  return kobject_add_varg(kobj, parent, fmt, args);
}

/** kobject_init() and kobject_add(). May sleep. @return as kobject_add() */
export function kobject_init_and_add(
  kobj: kobject,
  ktype: kobj_type | null,
  parent: kobject | null,
  fmt: string | null,
  ...args: readonly printf_arg[]
): Sleeps<number> {
  kobject_init(kobj, ktype);
  return kobject_add_varg(kobj, parent, fmt, args);
}

function* renamed(kobj: kobject, change: Sleeps<number>): Sleeps<number> {
  const devpath = kobject_get_path(kobj, GFP_KERNEL);
  if (!devpath) return -ENOMEM;
  let error = -ENOMEM;
  const devpath_string = kmalloc(devpath.path.length + 15, GFP_KERNEL);
  if (devpath_string) {
    error = yield* change;
    if (!error) yield* kobject_uevent_env(kobj, KOBJ_MOVE, [`DEVPATH_OLD=${devpath.path}`]);
    kfree(devpath_string);
  }
  kfree(devpath.memory);
  return error;
}

function* rename_dir(kobj: kobject, new_name: string): Sleeps<number> {
  const memory = kmalloc(new_name.length + 1, GFP_KERNEL);
  if (!memory) return -ENOMEM;
  const error = yield* sysfs_rename_dir(kobj, new_name);
  if (error) {
    kfree(memory);
    return error;
  }
  if (kobj.$name) kfree(kobj.$name);
  kobj.$name = memory;
  kobj.name = new_name;
  return 0;
}

/** @return 0 or -errno. May sleep */
export function* kobject_rename(kobj: kobject, new_name: string): Sleeps<number> {
  if (!kobject_get(kobj)) return -EINVAL;
  const error = kobj.parent ? yield* renamed(kobj, rename_dir(kobj, new_name)) : -EINVAL;
  yield* kobject_put(kobj);
  return error;
}

function* move_dir(kobj: kobject, to: { parent: kobject | null }): Sleeps<number> {
  const error = yield* sysfs_move_dir(kobj, to.parent);
  if (error) return error;
  const old_parent = kobj.parent;
  kobj.parent = to.parent;
  to.parent = null;
  yield* kobject_put(old_parent);
  return 0;
}

/** Moves a kobject below another parent, or its kset's. @return 0 or -errno. May sleep */
export function* kobject_move(kobj: kobject, new_parent: kobject | null): Sleeps<number> {
  if (!kobject_get(kobj)) return -EINVAL;
  const to = { parent: kobject_get(new_parent) };
  if (!to.parent && kobj.kset) to.parent = kobject_get(kobj.kset.kobj);
  const error = yield* renamed(kobj, move_dir(kobj, to));
  yield* kobject_put(to.parent);
  yield* kobject_put(kobj);
  return error;
}

function* __kobject_del(kobj: kobject): Sleeps {
  const sd = kobj.sd;
  if (kobj.ktype) yield* sysfs_remove_groups(kobj, kobj.ktype.default_groups ?? null);
  // Who has announced it and forgot to say that it goes.
  if (kobj.state_add_uevent_sent && !kobj.state_remove_uevent_sent) yield* kobject_uevent(kobj, KOBJ_REMOVE);
  yield* sysfs_remove_dir(kobj);
  kernfs_put(sd);
  kobj.state_in_sysfs = false;
  yield* kobj_kset_leave(kobj);
  kobj.parent = null;
}

/** Takes a kobject out of sysfs; its references stay. May sleep. */
export function* kobject_del(kobj: kobject | null): Sleeps {
  if (!kobj) return;
  const parent = kobj.parent;
  yield* __kobject_del(kobj);
  yield* kobject_put(parent);
}

/** One reference more. Any context. @return its argument */
export function kobject_get(kobj: kobject): kobject;
export function kobject_get(kobj: kobject | null): kobject | null;
export function kobject_get(kobj: kobject | null): kobject | null {
  if (kobj) {
    if (!kobj.state_initialized) kobject_not_initialized(kobj, "get");
    kref_get(kobj.kref);
  }
  return kobj;
}
/** One reference more unless it is already being released. Any context. @return null then */
export function kobject_get_unless_zero(kobj: kobject | null): kobject | null {
  return kobj && kref_get_unless_zero(kobj.kref) ? kobj : null;
}

function* kobject_cleanup(kobj: kobject): Sleeps {
  let parent = kobj.parent;
  const t = kobj.ktype;
  const name = kobj.$name;
  if (kobj.state_in_sysfs) yield* __kobject_del(kobj);
  else parent = null;
  if (t?.release) yield* either(t.release(kobj));
  if (name) kfree(name);
  yield* kobject_put(parent);
}

function kobject_release(ref: kref): Sleeps {
  const kobj = container_of(ref, kobject, "kref");
  if (!kobject_release_is_delayed()) return kobject_cleanup(kobj);
  delay_kobject_release(kobj, kobject_cleanup);
  return READY;
}

/** One reference less; the last one releases the kobject, as its type says. May sleep. */
export function* kobject_put(kobj: kobject | null): Sleeps {
  if (!kobj) return;
  if (!kobj.state_initialized) kobject_not_initialized(kobj, "put");
  yield* kref_put(kobj.kref, kobject_release);
}

function dynamic_kobj_release(kobj: kobject): void {
  kfree(kobj);
}
function kobj_attr_show(kobj: kobject, attr: attribute, buf: sysfs_buf): sysfs_result {
  const kattr = container_of(attr, kobj_attribute, "attr");
  return kattr.show ? kattr.show(kobj, kattr, buf) : -EIO;
}
function kobj_attr_store(kobj: kobject, attr: attribute, buf: string, count: number): sysfs_result {
  const kattr = container_of(attr, kobj_attribute, "attr");
  return kattr.store ? kattr.store(kobj, kattr, buf, count) : -EIO;
}
export const kobj_sysfs_ops: sysfs_ops = { show: kobj_attr_show, store: kobj_attr_store };
const dynamic_kobj_ktype: kobj_type = { release: dynamic_kobj_release, sysfs_ops: kobj_sysfs_ops };

/** A kobject that is only a directory. @return null without memory or if it cannot be added. May sleep */
export function* kobject_create_and_add(name: string, parent: kobject | null): Sleeps<kobject | null> {
  const kobj = kzalloc(kobject, GFP_KERNEL);
  if (!kobj) return null;
  kobject_init(kobj, dynamic_kobj_ktype);
  const retval = yield* kobject_add(kobj, parent, "%s", name);
  if (!retval) return kobj;
  pr_warn("%s: kobject_add error: %d\n", "kobject_create_and_add", retval);
  yield* kobject_put(kobj);
  return null;
}
