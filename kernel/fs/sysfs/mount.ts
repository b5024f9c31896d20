// SPDX-License-Identifier: GPL-2.0-only
/**
 * sysfs as user space sees it: paths, reading, writing, links. For the file system layer, and for tests.
 * Paths are relative to /sys, with or without a slash in front; links in them are followed. Source: fs/sysfs/mount.c, fs/kernfs/*.c
 */
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EINVAL, EISDIR, ENOENT } from "#linux/errno.ts";
import {
  KERNFS_DIR,
  KERNFS_FILE,
  KERNFS_LINK,
  type kernfs_node,
  type kernfs_open_file,
  kernfs_type,
} from "#linux/kernfs.ts";
import { down_read, up_read } from "#linux/rwsem.ts";
import type { kbuf, Sleeps } from "#linux/types.ts";
import { sysfs_buf, SYSFS_PAGE_SIZE } from "./attribute.ts";
import { sysfs_root_kn } from "./dir.ts";
import { kernfs_active, kernfs_children, kernfs_find, kernfs_get, kernfs_put } from "./kernfs_dir.ts";
import {
  FMODE_READ,
  FMODE_WRITE,
  kernfs_fop_bin,
  kernfs_fop_open,
  kernfs_fop_read,
  kernfs_fop_release,
  kernfs_fop_write,
  kernfs_get_target_path,
} from "./kernfs_file.ts";

/** kernfs_rwsem held. @follow: whether a link at the end is followed */
function walk(path: string, follow: boolean): kernfs_node | null {
  let at: kernfs_node | null = sysfs_root_kn();
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  for (const [i, name] of names.entries()) {
    if (kernfs_type(at) !== KERNFS_DIR) return null;
    const next: kernfs_node | null = name === ".." ? (at.parent ?? at) : kernfs_find(at, name);
    // What is being removed is invisible from here on.
    if (!next || !kernfs_active(next)) return null;
    const link: boolean = kernfs_type(next) === KERNFS_LINK && (follow || i < names.length - 1);
    at = link ? next.target_kn! : next;
  }
  return at;
}

/** @return the node at a path with a reference, which kernfs_put() drops; null if there is none. May sleep */
export function* sysfs_lookup(path: string, follow = true): Sleeps<kernfs_node | null> {
  const { kernfs_rwsem } = sysfs_root_kn().$root!;
  yield* down_read(kernfs_rwsem);
  const kn = walk(path, follow);
  kernfs_get(kn);
  up_read(kernfs_rwsem);
  return kn;
}

/**
 * Opens a file. @f_mode: FMODE_READ and FMODE_WRITE
 * @return the open file, which sysfs_release() closes; ERR_PTR(-ENODEV, -EACCES, -ENOMEM, -EISDIR, -EINVAL). May sleep
 */
export function* sysfs_open_file(kn: kernfs_node, f_mode: number): Sleeps<kernfs_open_file> {
  if (kernfs_type(kn) === KERNFS_DIR) return ERR_PTR(-EISDIR);
  if (kernfs_type(kn) !== KERNFS_FILE) return ERR_PTR(-EINVAL);
  return yield* kernfs_fop_open(kn, f_mode);
}
/** Any context. */
export function sysfs_release(of: kernfs_open_file): void {
  kernfs_fop_release(of);
}

/** @to: gets the text. @return characters read, 0 at the end, -errno. May sleep */
export function sysfs_read(of: kernfs_open_file, to: sysfs_buf, count: number, pos: number): Sleeps<number> {
  return kernfs_fop_read(of, to, count, pos);
}
/** @return characters written, or the error of store(); -ENODEV for a file that is gone. May sleep */
export function sysfs_write(of: kernfs_open_file, text: string, pos = 0): Sleeps<number> {
  return kernfs_fop_write(of, text, pos);
}
/** Binary files. */
export function sysfs_read_bin(of: kernfs_open_file, to: kbuf, count: number, pos: number): Sleeps<number> {
  return kernfs_fop_bin(of, to, count, pos, false);
}
export function sysfs_write_bin(of: kernfs_open_file, from: kbuf, count: number, pos: number): Sleeps<number> {
  return kernfs_fop_bin(of, from, count, pos, true);
}

/** @return where a link leads, relative to its directory; null if it is none. May sleep */
export function* sysfs_readlink(path: string): Sleeps<string | null> {
  const kn = yield* sysfs_lookup(path, false);
  let target: string | null = null;
  if (kn && kernfs_type(kn) === KERNFS_LINK && kn.parent) {
    const { kernfs_rwsem } = kn.$root!;
    yield* down_read(kernfs_rwsem);
    target = kernfs_get_target_path(kn.parent, kn.target_kn!);
    up_read(kernfs_rwsem);
  }
  kernfs_put(kn);
  return target;
}

/** @return names in a directory, sorted; null if it is none. May sleep */
export function* sysfs_list(path: string): Sleeps<string[] | null> {
  const kn = yield* sysfs_lookup(path);
  let names: string[] | null = null;
  if (kn && kernfs_type(kn) === KERNFS_DIR) {
    const { kernfs_rwsem } = kn.$root!;
    yield* down_read(kernfs_rwsem);
    names = kernfs_children(kn)
      .filter(kernfs_active)
      .map((child) => child.name ?? "");
    up_read(kernfs_rwsem);
    names.sort();
  }
  kernfs_put(kn);
  return names;
}

/** open(2), write(2), close(2). @return what write(2) returned, or the error of open(2). May sleep */
export function* sysfs_write_path(path: string, text: string): Sleeps<number> {
  const kn = yield* sysfs_lookup(path);
  if (!kn) return -ENOENT;
  const of = yield* sysfs_open_file(kn, FMODE_WRITE);
  kernfs_put(kn);
  if (IS_ERR(of)) return PTR_ERR(of);
  const ret = yield* sysfs_write(of, text);
  sysfs_release(of);
  return ret;
}
/** open(2), read(2), close(2). @return the text, or -errno. May sleep */
export function* sysfs_read_path(path: string): Sleeps<string | number> {
  const kn = yield* sysfs_lookup(path);
  if (!kn) return -ENOENT;
  const of = yield* sysfs_open_file(kn, FMODE_READ);
  kernfs_put(kn);
  if (IS_ERR(of)) return PTR_ERR(of);
  const to = new sysfs_buf();
  const ret = yield* sysfs_read(of, to, SYSFS_PAGE_SIZE, 0);
  sysfs_release(of);
  return ret < 0 ? ret : to.text;
}
