// SPDX-License-Identifier: GPL-2.0-only
/** Links between kobjects in sysfs. Source: fs/sysfs/symlink.c */
import { WARN_ON } from "#linux/bug.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EEXIST, EFAULT, EINVAL, ENOENT } from "#linux/errno.ts";
import { KERNFS_LINK, type kernfs_node, kernfs_type } from "#linux/kernfs.ts";
import type { kobject } from "#linux/kobject.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import { ready_int, type Sleeps } from "#linux/types.ts";
import { sysfs_root_kn, sysfs_symlink_target_lock, sysfs_warn_dup } from "./dir.ts";
import { kernfs_find_and_get, kernfs_get, kernfs_put, kernfs_remove_by_name, kernfs_rename } from "./kernfs_dir.ts";
import { kernfs_create_link } from "./kernfs_file.ts";

export function* sysfs_do_create_link_sd(
  parent: kernfs_node | null,
  target_kobj: kobject,
  name: string,
  warn: boolean,
): Sleeps<number> {
  if (WARN_ON(!name || !parent)) return -EINVAL;
  let target: kernfs_node | null = null;
  yield* spin_lock(sysfs_symlink_target_lock());
  if (target_kobj.sd) {
    target = target_kobj.sd;
    kernfs_get(target);
  }
  spin_unlock(sysfs_symlink_target_lock());
  if (!target) return -ENOENT;
  const kn = yield* kernfs_create_link(parent!, name, target);
  kernfs_put(target);
  if (!IS_ERR(kn)) return 0;
  if (warn && PTR_ERR(kn) === -EEXIST) sysfs_warn_dup(parent!, name);
  return PTR_ERR(kn);
}

function sysfs_do_create_link(kobj: kobject | null, target: kobject, name: string, warn: boolean): Sleeps<number> {
  const parent = kobj ? kobj.sd : sysfs_root_kn();
  return parent ? sysfs_do_create_link_sd(parent, target, name, warn) : ready_int(-EFAULT);
}

/** A link to `target` in the directory of `kobj` (null: the root). @return 0, -EEXIST, -ENOENT (target gone), -EFAULT, -ENOMEM. May sleep */
export function sysfs_create_link(kobj: kobject | null, target: kobject, name: string): Sleeps<number> {
  return sysfs_do_create_link(kobj, target, name, true);
}
/** The same without a word about a name that is taken. */
export function sysfs_create_link_nowarn(kobj: kobject | null, target: kobject, name: string): Sleeps<number> {
  return sysfs_do_create_link(kobj, target, name, false);
}

/** Removes a link. May sleep. */
export function* sysfs_remove_link(kobj: kobject | null, name: string): Sleeps {
  yield* kernfs_remove_by_name(kobj ? kobj.sd : sysfs_root_kn(), name);
}
/** Removes a link whose target may be gone; `targ` would only tell the namespace. May sleep. */
export function* sysfs_delete_link(kobj: kobject, targ: kobject, name: string): Sleeps {
  yield* spin_lock(sysfs_symlink_target_lock());
  spin_unlock(sysfs_symlink_target_lock());
  yield* kernfs_remove_by_name(kobj.sd, name);
}

/** @return 0, -ENOENT, -EINVAL if it is no link to `targ`, -EEXIST. May sleep */
export function* sysfs_rename_link(kobj: kobject | null, targ: kobject, old: string, new_: string): Sleeps<number> {
  const parent = kobj ? kobj.sd! : sysfs_root_kn();
  let result = -ENOENT;
  const kn = yield* kernfs_find_and_get(parent, old);
  out: {
    if (!kn) break out;
    result = -EINVAL;
    if (kernfs_type(kn) !== KERNFS_LINK || kn.target_kn!.priv !== targ) break out;
    result = yield* kernfs_rename(kn, parent, new_);
  }
  kernfs_put(kn);
  return result;
}
