// SPDX-License-Identifier: GPL-2.0-only
/** Directories of kobjects in sysfs. Source: fs/sysfs/dir.c, fs/sysfs/mount.c */
import { WARN_ON, WARN_ON_ONCE } from "#linux/bug.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EEXIST, EINVAL, ENOENT } from "#linux/errno.ts";
import { KERNFS_DIR, type kernfs_node, type kernfs_root, kernfs_type } from "#linux/kernfs.ts";
import type { kobject } from "#linux/kobject.ts";
import { spin_lock, spin_lock_init, spin_unlock, spinlock_t } from "#linux/spinlock.ts";
import type { Sleeps } from "#linux/types.ts";
import { per_boot } from "../../boot.ts";
import { report, where_we_are } from "../../panic.ts";
import { LOGLEVEL_WARNING } from "../../printk.ts";
import {
  kernfs_create_dir,
  kernfs_create_root,
  kernfs_get,
  kernfs_path,
  kernfs_put,
  kernfs_remove,
  kernfs_rename,
} from "./kernfs_dir.ts";

const s = per_boot(() => {
  const symlink_target_lock = new spinlock_t();
  spin_lock_init(symlink_target_lock, "sysfs_symlink_target_lock");
  return { root: null as kernfs_root | null, symlink_target_lock };
});

/** Guards kobject.sd against symlinks that are being made to it. */
export function sysfs_symlink_target_lock(): spinlock_t {
  return s.symlink_target_lock;
}

/** The root of sysfs, there from its first use on: nothing has to be initialised before it. */
export function sysfs_root_kn(): kernfs_node {
  s.root ??= kernfs_create_root(null);
  return s.root!.kn!;
}

/** Says that a name is taken. Any context. */
export function sysfs_warn_dup(parent: kernfs_node, name: string): void {
  const path = kernfs_path(parent);
  const title = `sysfs: cannot create duplicate filename '${path === "/" ? "" : path}/${name}'`;
  report({ checker: "kobject", title, text: `${title}\n${where_we_are()}`, level: LOGLEVEL_WARNING });
}

/** The directory of a kobject, below its parent's or at the root. @return 0 or -errno. May sleep */
export function* sysfs_create_dir(kobj: kobject): Sleeps<number> {
  if (WARN_ON(!kobj)) return -EINVAL;
  const parent = kobj.parent ? kobj.parent.sd : sysfs_root_kn();
  if (!parent) return -ENOENT;
  const kn = yield* kernfs_create_dir(parent, kobj.name!, 0o755, kobj);
  if (IS_ERR(kn)) {
    if (PTR_ERR(kn) === -EEXIST) sysfs_warn_dup(parent, kobj.name!);
    return PTR_ERR(kn);
  }
  kobj.sd = kn;
  return 0;
}

/** Removes it and everything in it, waiting for operations in progress. May sleep. */
export function* sysfs_remove_dir(kobj: kobject): Sleeps {
  const kn = kobj.sd;
  yield* spin_lock(s.symlink_target_lock);
  kobj.sd = null;
  spin_unlock(s.symlink_target_lock);
  if (kn) {
    WARN_ON_ONCE(kernfs_type(kn) !== KERNFS_DIR);
    yield* kernfs_remove(kn);
  }
}

/** @return 0 or -errno. May sleep */
export function* sysfs_rename_dir(kobj: kobject, new_name: string): Sleeps<number> {
  const sd = kobj.sd!;
  const parent = sd.parent!;
  kernfs_get(parent);
  const ret = yield* kernfs_rename(sd, parent, new_name);
  kernfs_put(parent);
  return ret;
}

/** @return 0 or -errno. May sleep */
export function sysfs_move_dir(kobj: kobject, new_parent_kobj: kobject | null): Sleeps<number> {
  const kn = kobj.sd!;
  return kernfs_rename(kn, new_parent_kobj?.sd ?? sysfs_root_kn(), kn.name!);
}
