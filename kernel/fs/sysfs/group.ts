// SPDX-License-Identifier: GPL-2.0-only
/** Groups of attributes. Source: fs/sysfs/group.c */
import { WARN, WARN_ON } from "#linux/bug.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EEXIST, EINVAL, ENOENT } from "#linux/errno.ts";
import type { kernfs_node } from "#linux/kernfs.ts";
import { type kobject, kobject_name } from "#linux/kobject.ts";
import { S_IRUGO, S_IRWXU, S_IXUGO } from "#linux/stat.ts";
import type { Sleeps } from "#linux/types.ts";
import { pr_warn } from "../../printk.ts";
import type { attribute_group, attribute_groups } from "./attribute.ts";
import { sysfs_warn_dup } from "./dir.ts";
import { sysfs_add_bin_file_mode, sysfs_add_file_mode } from "./file.ts";
import {
  kernfs_create_dir,
  kernfs_find_and_get,
  kernfs_get,
  kernfs_put,
  kernfs_remove,
  kernfs_remove_by_name,
} from "./kernfs_dir.ts";
import { sysfs_do_create_link_sd } from "./symlink.ts";

/** The members of an array that a null ends. */
function up_to_null<T extends object>(array: readonly (T | null)[] | undefined): T[] {
  const found: T[] = [];
  for (const x of array ?? []) {
    if (x === null) break;
    found.push(x);
  }
  return found;
}

function* remove_files(parent: kernfs_node, grp: attribute_group): Sleeps {
  for (const attr of up_to_null(grp.attrs)) yield* kernfs_remove_by_name(parent, attr.name!);
  for (const battr of up_to_null(grp.bin_attrs)) yield* kernfs_remove_by_name(parent, battr.attr.name!);
}

function* create_files(parent: kernfs_node, kobj: kobject, grp: attribute_group, update: boolean): Sleeps<number> {
  let error = 0;
  for (const [i, attr] of up_to_null(grp.attrs).entries()) {
    let mode = attr.mode;
    if (update) yield* kernfs_remove_by_name(parent, attr.name!);
    if (grp.is_visible) {
      mode = grp.is_visible(kobj, attr, i);
      if (!mode) continue;
    }
    WARN((mode & ~0o664) !== 0, "Attribute %s: Invalid permissions 0%o\n", attr.name, mode);
    error = yield* sysfs_add_file_mode(parent, attr, mode & 0o664);
    if (error) break;
  }
  if (error) {
    yield* remove_files(parent, grp);
    return error;
  }
  for (const [i, battr] of up_to_null(grp.bin_attrs).entries()) {
    let mode = battr.attr.mode;
    if (update) yield* kernfs_remove_by_name(parent, battr.attr.name!);
    if (grp.is_bin_visible) {
      mode = grp.is_bin_visible(kobj, battr, i);
      if (!mode) continue;
    }
    WARN((mode & ~0o664) !== 0, "Attribute %s: Invalid permissions 0%o\n", battr.attr.name, mode);
    error = yield* sysfs_add_bin_file_mode(parent, battr, mode & 0o664);
    if (error) break;
  }
  if (error) yield* remove_files(parent, grp);
  return error;
}

function* internal_create_group(kobj: kobject, update: boolean, grp: attribute_group): Sleeps<number> {
  if (WARN_ON(!kobj || (!update && !kobj.sd))) return -EINVAL;
  // Updates may happen before the object is there.
  if (!kobj.sd) return -EINVAL;
  if (!grp.attrs && !grp.bin_attrs) {
    WARN(true, "sysfs: (bin_)attrs not set by subsystem for group: %s/%s\n", kobj.name, grp.name ?? "");
    return -EINVAL;
  }
  let kn = kobj.sd;
  if (grp.name) {
    if (update) {
      const found = yield* kernfs_find_and_get(kobj.sd, grp.name);
      if (!found) {
        pr_warn("Can't update unknown attr grp name: %s/%s\n", kobj.name, grp.name);
        return -EINVAL;
      }
      kn = found;
    } else {
      kn = yield* kernfs_create_dir(kobj.sd, grp.name, S_IRWXU | S_IRUGO | S_IXUGO, kobj);
      if (IS_ERR(kn)) {
        if (PTR_ERR(kn) === -EEXIST) sysfs_warn_dup(kobj.sd, grp.name);
        return PTR_ERR(kn);
      }
    }
  }
  kernfs_get(kn);
  const error = yield* create_files(kn, kobj, grp, update);
  if (error && grp.name) yield* kernfs_remove(kn);
  kernfs_put(kn);
  if (grp.name && update) kernfs_put(kn);
  return error;
}

/** Files of a group, in a directory of their own if the group has a name. @return 0 or -errno: then none is left. May sleep */
export function sysfs_create_group(kobj: kobject, grp: attribute_group): Sleeps<number> {
  return internal_create_group(kobj, false, grp);
}

function* internal_create_groups(kobj: kobject, update: boolean, groups: attribute_groups | null): Sleeps<number> {
  const all = up_to_null(groups ?? undefined);
  for (const [i, grp] of all.entries()) {
    const error = yield* internal_create_group(kobj, update, grp);
    if (!error) continue;
    for (const done of all.slice(0, i).reverse()) yield* sysfs_remove_group(kobj, done);
    return error;
  }
  return 0;
}

/** All the groups or none. @return 0 or -errno. May sleep */
export function sysfs_create_groups(kobj: kobject, groups: attribute_groups | null): Sleeps<number> {
  return internal_create_groups(kobj, false, groups);
}
/** Asks is_visible() again. @return 0 or -errno. May sleep */
export function sysfs_update_groups(kobj: kobject, groups: attribute_groups | null): Sleeps<number> {
  return internal_create_groups(kobj, true, groups);
}
export function sysfs_update_group(kobj: kobject, grp: attribute_group): Sleeps<number> {
  return internal_create_group(kobj, true, grp);
}

/** Removes the files of a group. May sleep. */
export function* sysfs_remove_group(kobj: kobject, grp: attribute_group): Sleeps {
  const parent = kobj.sd;
  let kn: kernfs_node | null = parent;
  if (grp.name) {
    kn = yield* kernfs_find_and_get(parent!, grp.name);
    if (!kn) {
      WARN(true, "sysfs group '%s' not found for kobject '%s'\n", grp.name, kobject_name(kobj));
      return;
    }
  } else kernfs_get(kn);
  yield* remove_files(kn!, grp);
  if (grp.name) yield* kernfs_remove(kn);
  kernfs_put(kn);
}
export function* sysfs_remove_groups(kobj: kobject, groups: attribute_groups | null): Sleeps {
  for (const grp of up_to_null(groups ?? undefined)) yield* sysfs_remove_group(kobj, grp);
}

/** Adds the files of a group to a named group that is there. @return 0, -ENOENT, or another -errno. May sleep */
export function* sysfs_merge_group(kobj: kobject, grp: attribute_group): Sleeps<number> {
  const parent = yield* kernfs_find_and_get(kobj.sd!, grp.name!);
  if (!parent) return -ENOENT;
  const attrs = up_to_null(grp.attrs);
  let error = 0;
  for (const [i, attr] of attrs.entries()) {
    error = yield* sysfs_add_file_mode(parent, attr, attr.mode);
    if (!error) continue;
    // The one that failed too: if its name was taken, what had it before is gone.
    for (const done of attrs.slice(0, i + 1).reverse()) yield* kernfs_remove_by_name(parent, done.name!);
    break;
  }
  kernfs_put(parent);
  return error;
}
export function* sysfs_unmerge_group(kobj: kobject, grp: attribute_group): Sleeps {
  const parent = yield* kernfs_find_and_get(kobj.sd!, grp.name!);
  if (!parent) return;
  for (const attr of up_to_null(grp.attrs)) yield* kernfs_remove_by_name(parent, attr.name!);
  kernfs_put(parent);
}

/** @return 0, -ENOENT, or another -errno. May sleep */
export function* sysfs_add_link_to_group(kobj: kobject, group: string, target: kobject, name: string): Sleeps<number> {
  const parent = yield* kernfs_find_and_get(kobj.sd!, group);
  if (!parent) return -ENOENT;
  const error = yield* sysfs_do_create_link_sd(parent, target, name, true);
  kernfs_put(parent);
  return error;
}
export function* sysfs_remove_link_from_group(kobj: kobject, group: string, name: string): Sleeps {
  const parent = yield* kernfs_find_and_get(kobj.sd!, group);
  if (!parent) return;
  yield* kernfs_remove_by_name(parent, name);
  kernfs_put(parent);
}
