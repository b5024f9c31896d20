// SPDX-License-Identifier: GPL-2.0-only
/** Attribute files. Source: fs/sysfs/file.c. Preallocated buffers, mmap of binary files, owners other than root and poll are not here. */
import { WARN, WARN_ON, WARN_ON_ONCE } from "#linux/bug.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EEXIST, EFBIG, EINVAL, EIO, ENOENT } from "#linux/errno.ts";
import type { kernfs_node, kernfs_open_file, kernfs_ops } from "#linux/kernfs.ts";
import { type kobject, kobject_get, kobject_name, kobject_put } from "#linux/kobject.ts";
import { lock_class_key } from "#linux/lockdep.ts";
import { printk } from "../../printk.ts";
import { S_IALLUGO } from "#linux/stat.ts";
import type { kbuf, Sleeps } from "#linux/types.ts";
import { either } from "../../sched/either.ts";
import { type attribute, type bin_attribute, type sysfs_buf, type sysfs_ops, SYSFS_PAGE_SIZE } from "./attribute.ts";
import { sysfs_warn_dup } from "./dir.ts";
import {
  kernfs_break_active_protection,
  kernfs_find_and_get,
  kernfs_get,
  kernfs_put,
  kernfs_remove_by_name,
  kernfs_remove_self,
  kernfs_unbreak_active_protection,
} from "./kernfs_dir.ts";
import { kernfs_create_file } from "./kernfs_file.ts";

const LOGLEVEL_DEFAULT = 4;

/** skey of struct attribute: all files made from one attribute are one class of locks. Identities only, so they may outlive a boot. */
const skeys = new WeakMap<attribute, lock_class_key>();
function key_of(attr: attribute): lock_class_key | null {
  if (attr.ignore_lockdep) return null;
  const key = skeys.get(attr) ?? new lock_class_key();
  skeys.set(attr, key);
  return key;
}

/** The kobject whose directory a node lies in. */
function kobj_of(kn: kernfs_node): kobject {
  return kn.parent!.priv as kobject; // a directory's priv is its kobject, see sysfs_create_dir()
}
function sysfs_file_ops(kn: kernfs_node): sysfs_ops | null {
  const kobj = kobj_of(kn);
  return kobj.ktype ? (kobj.ktype.sysfs_ops ?? null) : null;
}

function* sysfs_kf_seq_show(of: kernfs_open_file, buf: sysfs_buf): Sleeps<number> {
  const kn = of.kn!;
  const ops = sysfs_file_ops(kn)!;
  if (WARN_ON_ONCE(!ops.show)) return -EINVAL;
  let count = yield* either(ops.show!(kobj_of(kn), kn.priv as attribute, buf));
  if (count >= SYSFS_PAGE_SIZE) {
    printk(LOGLEVEL_DEFAULT, "fill_read_buffer: %s returned bad count\n", ops.show!.name);
    count = SYSFS_PAGE_SIZE - 1;
  }
  return count;
}

function* sysfs_kf_write(of: kernfs_open_file, buf: string, count: number): Sleeps<number> {
  const kn = of.kn!;
  if (!count) return 0;
  return yield* either(sysfs_file_ops(kn)!.store!(kobj_of(kn), kn.priv as attribute, buf, count));
}

function* sysfs_kf_bin_read(of: kernfs_open_file, buf: kbuf, count: number, pos: number): Sleeps<number> {
  const battr = of.kn!.priv as bin_attribute;
  const size = Number(of.kn!.size);
  if (!count) return 0;
  if (size) {
    if (pos >= size) return 0;
    if (pos + count > size) count = size - pos;
  }
  if (!battr.read) return -EIO;
  return yield* either(battr.read(kobj_of(of.kn!), battr, buf, pos, count));
}
function* sysfs_kf_bin_write(of: kernfs_open_file, buf: kbuf, count: number, pos: number): Sleeps<number> {
  const battr = of.kn!.priv as bin_attribute;
  const size = Number(of.kn!.size);
  if (size) {
    if (size <= pos) return -EFBIG;
    count = Math.min(count, size - pos);
  }
  if (!count) return 0;
  if (!battr.write) return -EIO;
  return yield* either(battr.write(kobj_of(of.kn!), battr, buf, pos, count));
}

const sysfs_file_kfops_empty: kernfs_ops = {};
const sysfs_file_kfops_ro: kernfs_ops = { seq_show: sysfs_kf_seq_show };
const sysfs_file_kfops_wo: kernfs_ops = { write: sysfs_kf_write };
const sysfs_file_kfops_rw: kernfs_ops = { seq_show: sysfs_kf_seq_show, write: sysfs_kf_write };
const sysfs_bin_kfops_ro: kernfs_ops = { bin_read: sysfs_kf_bin_read };
const sysfs_bin_kfops_wo: kernfs_ops = { bin_write: sysfs_kf_bin_write };
const sysfs_bin_kfops_rw: kernfs_ops = { bin_read: sysfs_kf_bin_read, bin_write: sysfs_kf_bin_write };

/** @return 0, -EINVAL if the kobject's type has no operations, -EEXIST, -ENOMEM, -ENOENT. May sleep */
export function* sysfs_add_file_mode(parent: kernfs_node, attr: attribute, mode: number): Sleeps<number> {
  const kobj = parent.priv as kobject;
  const ops = kobj.ktype!.sysfs_ops;
  // Every kobject with an attribute needs a type.
  if (WARN(!ops, "missing sysfs attribute operations for kobject: %s\n", kobject_name(kobj)) || !ops) return -EINVAL;
  const kfops =
    ops.show && ops.store
      ? sysfs_file_kfops_rw
      : ops.show
        ? sysfs_file_kfops_ro
        : ops.store
          ? sysfs_file_kfops_wo
          : sysfs_file_kfops_empty;
  const kn = yield* kernfs_create_file(
    parent,
    attr.name!,
    mode & 0o777,
    BigInt(SYSFS_PAGE_SIZE),
    kfops,
    attr,
    key_of(attr),
  );
  if (IS_ERR(kn)) {
    if (PTR_ERR(kn) === -EEXIST) sysfs_warn_dup(parent, attr.name!);
    return PTR_ERR(kn);
  }
  return 0;
}

export function* sysfs_add_bin_file_mode(parent: kernfs_node, battr: bin_attribute, mode: number): Sleeps<number> {
  const ops =
    battr.read && battr.write
      ? sysfs_bin_kfops_rw
      : battr.read
        ? sysfs_bin_kfops_ro
        : battr.write
          ? sysfs_bin_kfops_wo
          : sysfs_file_kfops_empty;
  const kn = yield* kernfs_create_file(
    parent,
    battr.attr.name!,
    mode & 0o777,
    battr.size,
    ops,
    battr,
    key_of(battr.attr),
  );
  if (IS_ERR(kn)) {
    if (PTR_ERR(kn) === -EEXIST) sysfs_warn_dup(parent, battr.attr.name!);
    return PTR_ERR(kn);
  }
  return 0;
}

/** An attribute file in the directory of a kobject. @return 0 or -errno. May sleep */
export function* sysfs_create_file(kobj: kobject, attr: attribute): Sleeps<number> {
  if (WARN_ON(!kobj || !kobj.sd || !attr)) return -EINVAL;
  return yield* sysfs_add_file_mode(kobj.sd!, attr, attr.mode);
}
/** All of them or none. @return 0 or -errno. May sleep */
export function* sysfs_create_files(kobj: kobject, attrs: readonly attribute[]): Sleeps<number> {
  for (const [i, attr] of attrs.entries()) {
    const err = yield* sysfs_create_file(kobj, attr);
    if (!err) continue;
    // The one that failed too: if its name was taken, what had it before is gone.
    for (const done of attrs.slice(0, i + 1).reverse()) yield* sysfs_remove_file(kobj, done);
    return err;
  }
  return 0;
}

function* group_dir(kobj: kobject, group: string | null): Sleeps<kernfs_node | null> {
  if (group !== null) return yield* kernfs_find_and_get(kobj.sd!, group);
  kernfs_get(kobj.sd);
  return kobj.sd;
}

/** @return 0, -ENOENT if there is no such group, or another -errno. May sleep */
export function* sysfs_add_file_to_group(kobj: kobject, attr: attribute, group: string | null): Sleeps<number> {
  const parent = yield* group_dir(kobj, group);
  if (!parent) return -ENOENT;
  const error = yield* sysfs_add_file_mode(parent, attr, attr.mode);
  kernfs_put(parent);
  return error;
}
export function* sysfs_remove_file_from_group(kobj: kobject, attr: attribute, group: string | null): Sleeps {
  const parent = yield* group_dir(kobj, group);
  if (parent) {
    yield* kernfs_remove_by_name(parent, attr.name!);
    kernfs_put(parent);
  }
}

/** @return 0 or -ENOENT. May sleep */
export function* sysfs_chmod_file(kobj: kobject, attr: attribute, mode: number): Sleeps<number> {
  const kn = yield* kernfs_find_and_get(kobj.sd!, attr.name!);
  if (!kn) return -ENOENT;
  kn.mode = (mode & S_IALLUGO) | (kn.mode & ~S_IALLUGO);
  kernfs_put(kn);
  return 0;
}

/** Tells those who poll the file; nobody can here, so that only the look-ups of it are left. May sleep. */
export function* sysfs_notify(kobj: kobject, dir: string | null, attr: string | null): Sleeps {
  let kn = kobj.sd;
  if (kn && dir) kn = yield* kernfs_find_and_get(kn, dir);
  else kernfs_get(kn);
  if (kn && attr) {
    const file = yield* kernfs_find_and_get(kn, attr);
    kernfs_put(kn);
    kn = file;
  }
  kernfs_put(kn);
}

/** For a store() that waits for its own file's removal by somebody else. @return the node to hand back, or null. May sleep */
export function* sysfs_break_active_protection(kobj: kobject, attr: attribute): Sleeps<kernfs_node | null> {
  kobject_get(kobj);
  const kn = yield* kernfs_find_and_get(kobj.sd!, attr.name!);
  if (kn) yield* kernfs_break_active_protection(kn);
  else yield* kobject_put(kobj);
  return kn;
}
export function* sysfs_unbreak_active_protection(kn: kernfs_node): Sleeps {
  const kobj = kobj_of(kn);
  kernfs_unbreak_active_protection(kn);
  kernfs_put(kn);
  yield* kobject_put(kobj);
}

/** Removes a file, waiting for reads and writes of it that are in progress. May sleep. */
export function* sysfs_remove_file(kobj: kobject, attr: attribute): Sleeps {
  yield* kernfs_remove_by_name(kobj.sd, attr.name!);
}
/** Removes a file from within its own store(). @return whether this call did it. May sleep */
export function* sysfs_remove_file_self(kobj: kobject, attr: attribute): Sleeps<boolean> {
  const kn = yield* kernfs_find_and_get(kobj.sd!, attr.name!);
  if (WARN_ON_ONCE(!kn) || !kn) return false;
  const ret = yield* kernfs_remove_self(kn);
  kernfs_put(kn);
  return ret;
}
export function* sysfs_remove_files(kobj: kobject, attrs: readonly attribute[]): Sleeps {
  for (const attr of attrs) yield* sysfs_remove_file(kobj, attr);
}

/** @return 0 or -errno. May sleep */
export function* sysfs_create_bin_file(kobj: kobject, battr: bin_attribute): Sleeps<number> {
  if (WARN_ON(!kobj || !kobj.sd || !battr)) return -EINVAL;
  return yield* sysfs_add_bin_file_mode(kobj.sd!, battr, battr.attr.mode);
}
export function* sysfs_remove_bin_file(kobj: kobject, battr: bin_attribute): Sleeps {
  yield* kernfs_remove_by_name(kobj.sd, battr.attr.name!);
}
