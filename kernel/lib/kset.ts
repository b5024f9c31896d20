// SPDX-License-Identifier: GPL-2.0-only
/** ksets: kobjects that list others. Source: lib/kobject.c */
import { EINVAL } from "#linux/errno.ts";
import { type kobj_type, KOBJ_ADD, kobject, kset, type kset_uevent_ops } from "#linux/kobject.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "#linux/spinlock.ts";
import { container_of, type Sleeps } from "#linux/types.ts";
import { pr_err } from "../printk.ts";
import {
  kobj_sysfs_ops,
  kobject_add_internal,
  kobject_del,
  kobject_get_unless_zero,
  kobject_init_internal,
  kobject_put,
  kobject_set_name,
} from "./kobject.ts";
import { kobject_uevent } from "./kobject_uevent.ts";

/** Any context. */
export function kset_init(k: kset): void {
  kobject_init_internal(k.kobj);
  INIT_LIST_HEAD(k.list);
  spin_lock_init(k.list_lock, "&k->list_lock");
}

/** Puts a kset whose kobject has a name and a type into sysfs and announces it. @return 0 or -errno. May sleep */
export function* kset_register(k: kset | null): Sleeps<number> {
  if (!k) return -EINVAL;
  if (!k.kobj.ktype) {
    pr_err("must have a ktype to be initialized properly!\n");
    return -EINVAL;
  }
  kset_init(k);
  const err = yield* kobject_add_internal(k.kobj);
  if (err) return err;
  yield* kobject_uevent(k.kobj, KOBJ_ADD);
  return 0;
}

/** May sleep. */
export function* kset_unregister(k: kset | null): Sleeps {
  if (!k) return;
  yield* kobject_del(k.kobj);
  yield* kobject_put(k.kobj);
}

/** @return the member of that name with a reference, unless it is being released; null. Never sleeps */
export function* kset_find_obj(of: kset, name: string): Sleeps<kobject | null> {
  let ret: kobject | null = null;
  yield* spin_lock(of.list_lock);
  for (let at = of.list.next!; at !== of.list; at = at.next!) {
    const k = container_of(at, kobject, "entry");
    if (k.name === name) {
      ret = kobject_get_unless_zero(k);
      break;
    }
  }
  spin_unlock(of.list_lock);
  return ret;
}

function kset_release(kobj: kobject): void {
  kfree(container_of(kobj, kset, "kobj"));
}
const kset_ktype: kobj_type = {
  get sysfs_ops() {
    return kobj_sysfs_ops;
  },
  release: kset_release,
};

/** A kset of its own, freed with its last reference. @return null without memory or if it cannot be added. May sleep */
export function* kset_create_and_add(
  name: string,
  uevent_ops: kset_uevent_ops | null,
  parent_kobj: kobject | null,
): Sleeps<kset | null> {
  const k = kzalloc(kset, GFP_KERNEL);
  if (!k) return null;
  if (kobject_set_name(k.kobj, "%s", name)) {
    kfree(k);
    return null;
  }
  k.uevent_ops = uevent_ops;
  k.kobj.parent = parent_kobj;
  // No kset of its own, so that it goes when nobody uses it.
  k.kobj.ktype = kset_ktype;
  k.kobj.kset = null;
  const error = yield* kset_register(k);
  if (error) {
    // Its name is not freed: Linux 6.1 forgets it here.
    kfree(k);
    return null;
  }
  return k;
}
