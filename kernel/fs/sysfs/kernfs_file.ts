// SPDX-License-Identifier: GPL-2.0-only
/**
 * Files and links of the tree: making them, and what open, read, write and close do. Source: fs/kernfs/{file,symlink}.c
 *
 * Of seq_file only what one show() per file needs is here. kernfs_open_node, poll, mmap and release of C's kernfs_ops are not.
 */
import { ERR_PTR } from "#linux/err.ts";
import { EACCES, EINVAL, ENODEV, ENOMEM } from "#linux/errno.ts";
import {
  KERNFS_FILE,
  KERNFS_HAS_SEQ_SHOW,
  KERNFS_LINK,
  KERNFS_LOCKDEP,
  type kernfs_node,
  kernfs_open_file,
  type kernfs_ops,
} from "#linux/kernfs.ts";
import { type lock_class_key, lockdep_init_map } from "#linux/lockdep.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { S_IALLUGO, S_IFLNK, S_IFREG, S_IRUGO, S_IWUGO } from "#linux/stat.ts";
import type { kbuf, Sleeps } from "#linux/types.ts";
import { sysfs_buf, SYSFS_PAGE_SIZE } from "./attribute.ts";
import {
  kernfs_add_one,
  kernfs_get,
  kernfs_get_active,
  kernfs_new_node,
  kernfs_put,
  kernfs_put_active,
} from "./kernfs_dir.ts";

export const FMODE_READ = 0x1;
export const FMODE_WRITE = 0x2;

/** @return the file, ERR_PTR(-ENOMEM, -EEXIST, -ENOENT). @size: what stat() shows. @key: class of its active references, null to have them unchecked. May sleep */
export function* kernfs_create_file(
  parent: kernfs_node,
  name: string,
  mode: number,
  size: bigint,
  ops: kernfs_ops,
  priv: object | null,
  key: lock_class_key | null,
): Sleeps<kernfs_node> {
  const kn = kernfs_new_node(parent, name, (mode & S_IALLUGO) | S_IFREG, KERNFS_FILE);
  if (!kn) return ERR_PTR(-ENOMEM);
  kn.ops = ops;
  kn.size = size;
  kn.priv = priv;
  if (key) {
    lockdep_init_map(kn.dep_map, kn, "kn->active", key);
    kn.flags |= KERNFS_LOCKDEP;
  }
  if (ops.seq_show) kn.flags |= KERNFS_HAS_SEQ_SHOW;
  const rc = yield* kernfs_add_one(kn);
  if (!rc) return kn;
  kernfs_put(kn);
  return ERR_PTR(rc);
}

/** @return the link, which holds a reference on its target; ERR_PTR(-ENOMEM, -EEXIST, -ENOENT). May sleep */
export function* kernfs_create_link(parent: kernfs_node, name: string, target: kernfs_node): Sleeps<kernfs_node> {
  const kn = kernfs_new_node(parent, name, S_IFLNK | 0o777, KERNFS_LINK);
  if (!kn) return ERR_PTR(-ENOMEM);
  kn.target_kn = target;
  kernfs_get(target);
  const error = yield* kernfs_add_one(kn);
  if (!error) return kn;
  kernfs_put(kn);
  return ERR_PTR(error);
}

/** What readlink() gives: the way from the directory of the link to its target. kernfs_rwsem held */
export function kernfs_get_target_path(parent: kernfs_node, target: kernfs_node): string {
  let up = "";
  let base = parent;
  while (base.parent) {
    let kn = target.parent!;
    while (kn.parent && base !== kn) kn = kn.parent;
    if (base === kn) break;
    up += "../";
    base = base.parent;
  }
  const down: string[] = [];
  for (let kn = target; kn.parent && kn !== base; kn = kn.parent) down.unshift(kn.name ?? "");
  return up + down.join("/");
}

/**
 * Opens a file. @f_mode: FMODE_READ and FMODE_WRITE
 * @return ERR_PTR(-ENODEV) if it is being removed, -EACCES if it has no such operation or permission, -ENOMEM. May sleep
 */
export function* kernfs_fop_open(kn: kernfs_node, f_mode: number): Sleeps<kernfs_open_file> {
  if (!kernfs_get_active(kn)) return ERR_PTR(-ENODEV);
  let error = -EACCES;
  err_out: {
    const ops = kn.ops!;
    const has_read = ops.seq_show || ops.bin_read;
    const has_write = ops.write || ops.bin_write;
    if (f_mode & FMODE_WRITE && (!(kn.mode & S_IWUGO) || !has_write)) break err_out;
    if (f_mode & FMODE_READ && (!(kn.mode & S_IRUGO) || !has_read)) break err_out;
    error = -ENOMEM;
    const of = kzalloc(kernfs_open_file, GFP_KERNEL);
    if (!of) break err_out;
    mutex_init(of.mutex, "&of->mutex");
    // The inode holds it in C.
    kernfs_get(kn);
    of.kn = kn;
    of.f_mode = f_mode;
    yield* kernfs_put_active(kn);
    return of;
  }
  yield* kernfs_put_active(kn);
  return ERR_PTR(error);
}

/** Closes a file. Any context that may free memory. */
export function kernfs_fop_release(of: kernfs_open_file): void {
  const kn = of.kn;
  if (of.$buf) kfree(of.$buf);
  kfree(of);
  kernfs_put(kn);
}

/** One pass of seq_read_iter() over a file that has one record. */
function* kernfs_seq_read(of: kernfs_open_file, to: sysfs_buf, count: number, pos: number): Sleeps<number> {
  if (pos === 0) {
    of.$shown = false;
    of.$text = null;
    of.$from = 0;
  }
  if (!of.$buf) {
    of.$buf = kzalloc(SYSFS_PAGE_SIZE, GFP_KERNEL);
    if (!of.$buf) return -ENOMEM;
  }
  if (of.$text === null || of.$from >= of.$text.length) {
    yield* mutex_lock(of.mutex);
    if (!kernfs_get_active(of.kn)) {
      mutex_unlock(of.mutex);
      return -ENODEV;
    }
    let error = 0;
    if (!of.$shown) {
      const page = new sysfs_buf();
      error = yield* of.kn!.ops!.seq_show!(of, page);
      of.$text = page.text.slice(0, Math.max(0, error));
      of.$from = 0;
      if (error >= 0) of.$shown = true;
    }
    yield* kernfs_put_active(of.kn);
    mutex_unlock(of.mutex);
    if (error < 0) {
      of.$text = null;
      return error;
    }
  }
  const text = (of.$text ?? "").slice(of.$from, of.$from + count);
  of.$from += text.length;
  return to.write(0, text);
}

/**
 * read(2) of a text file. @to: filled from its beginning; @count: how much may be read; @pos: file position, 0 asks show() again
 * @return characters read, 0 at the end, -ENODEV once removed, -ENOMEM, -EINVAL, or show()'s error. May sleep
 */
export function* kernfs_fop_read(of: kernfs_open_file, to: sysfs_buf, count: number, pos: number): Sleeps<number> {
  if (of.kn!.flags & KERNFS_HAS_SEQ_SHOW) return yield* kernfs_seq_read(of, to, count, pos);
  return -EINVAL;
}

/**
 * write(2) of a text file. @text: what user space wrote; only the first page of it is taken
 * @return what store() returns, -ENODEV once removed, -ENOMEM, -EINVAL. May sleep
 */
export function* kernfs_fop_write(of: kernfs_open_file, text: string, pos: number): Sleeps<number> {
  let len = Math.min(text.length, SYSFS_PAGE_SIZE);
  const buf = kzalloc(len + 1, GFP_KERNEL);
  if (!buf) return -ENOMEM;
  out_free: {
    yield* mutex_lock(of.mutex);
    if (!kernfs_get_active(of.kn)) {
      mutex_unlock(of.mutex);
      len = -ENODEV;
      break out_free;
    }
    const ops = of.kn!.ops!;
    len = ops.write ? yield* ops.write(of, text.slice(0, len), len, pos) : -EINVAL;
    yield* kernfs_put_active(of.kn);
    mutex_unlock(of.mutex);
  }
  kfree(buf);
  return len;
}

/** read(2) and write(2) of a binary file: at most a page, in a buffer of the kernel. May sleep. @return as above */
export function* kernfs_fop_bin(
  of: kernfs_open_file,
  user: kbuf,
  count: number,
  pos: number,
  write: boolean,
): Sleeps<number> {
  let len = Math.min(count, SYSFS_PAGE_SIZE);
  const buf = kzalloc(len + 1, GFP_KERNEL);
  if (!buf) return -ENOMEM;
  if (write) buf.$bytes.set(user.$bytes.subarray(0, len));
  out_free: {
    yield* mutex_lock(of.mutex);
    if (!kernfs_get_active(of.kn)) {
      mutex_unlock(of.mutex);
      len = -ENODEV;
      break out_free;
    }
    const op = write ? of.kn!.ops!.bin_write : of.kn!.ops!.bin_read;
    len = op ? yield* op(of, buf, len, pos) : -EINVAL;
    yield* kernfs_put_active(of.kn);
    mutex_unlock(of.mutex);
    if (!write && len > 0) user.$bytes.set(buf.$bytes.subarray(0, len));
  }
  kfree(buf);
  return len;
}
