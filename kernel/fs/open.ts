// SPDX-License-Identifier: GPL-2.0-only
/** open and close. Files cannot be created: the trees that are here are the kernel's own. */
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENODEV, ENOENT, ENOTDIR } from "#linux/errno.ts";
import {
  __O_SYNC,
  __O_TMPFILE,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_DSYNC,
  O_EXCL,
  O_LARGEFILE,
  O_NOCTTY,
  O_NOFOLLOW,
  O_PATH,
  O_PATH_FLAGS,
  O_TRUNC,
  VALID_OPEN_FLAGS,
} from "#linux/fcntl.ts";
import {
  type file,
  file_count,
  type file_operations,
  FMODE_ATOMIC_POS,
  FMODE_CAN_READ,
  FMODE_CAN_WRITE,
  FMODE_LSEEK,
  FMODE_OPENED,
  FMODE_PATH,
  FMODE_PREAD,
  FMODE_PWRITE,
  FMODE_READ,
  FMODE_STREAM,
  FMODE_WRITE,
  fops_get,
  fops_put,
  type inode,
  iput,
} from "#linux/fs.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "#linux/stat.ts";
import { kbuild } from "../modpost.ts";
import { pr_err } from "../printk.ts";
import { WARN_ON, WARN_ON_ONCE } from "../panic.ts";
import { either } from "../sched/either.ts";
import type { Sleeps } from "../sched/types.ts";
import { fd_install, get_unused_fd_flags, put_unused_fd } from "./file.ts";
import { alloc_empty_file, fput } from "./file_table.ts";
import { inode_permission, is_dir, MAY_READ, MAY_WRITE, path_lookup } from "./namei.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

const EMPTY_FOPS: file_operations = {};

/** @inode: the caller's reference goes to the file if this succeeds */
function* do_dentry_open(f: file, inode: inode): Sleeps<number> {
  f.f_inode = inode;
  f.f_mapping = inode.i_mapping;
  if (f.f_flags & O_PATH) {
    f.f_mode = FMODE_PATH | FMODE_OPENED;
    f.f_op = EMPTY_FOPS;
    return 0;
  }
  let error: number;
  cleanup_all: {
    const type = inode.i_mode & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR) f.f_mode |= FMODE_ATOMIC_POS;
    f.f_op = fops_get(inode.i_fop);
    if (WARN_ON(!f.f_op)) {
      error = -ENODEV;
      break cleanup_all;
    }
    f.f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
    // open() may replace the operations, so they are read anew below.
    if (f.f_op!.open) {
      error = yield* either(f.f_op!.open(inode, f));
      if (error) break cleanup_all;
    }
    f.f_mode |= FMODE_OPENED;
    if (f.f_mode & FMODE_READ && f.f_op!.read) f.f_mode |= FMODE_CAN_READ;
    if (f.f_mode & FMODE_WRITE && f.f_op!.write) f.f_mode |= FMODE_CAN_WRITE;
    if (f.f_mode & FMODE_LSEEK && !f.f_op!.llseek) f.f_mode &= ~FMODE_LSEEK;
    f.f_flags &= ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
    return 0;
  }
  if (WARN_ON_ONCE(error > 0)) error = -EINVAL;
  fops_put(f.f_op);
  f.f_inode = null;
  return error;
}

const acc_mode_of = (flags: number): number =>
  ({ 0: MAY_READ, 1: MAY_WRITE, 2: MAY_READ | MAY_WRITE })[flags & O_ACCMODE] ?? MAY_READ | MAY_WRITE;

/** @f: an empty file, which becomes the open one. @return 0 or errno */
function* path_openat(f: file, path: string, flags: number): Sleeps<number> {
  const at = yield* path_lookup(path, !(flags & O_NOFOLLOW));
  if (typeof at === "number") return at === -ENOENT && flags & O_CREAT ? -EACCES : at;
  if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
  if (flags & O_DIRECTORY && !is_dir(at.entry)) return -ENOTDIR;
  if (flags & O_CREAT && is_dir(at.entry)) return -EISDIR;
  const acc_mode = flags & O_PATH ? 0 : acc_mode_of(flags) | (flags & O_TRUNC ? MAY_WRITE : 0);
  if ((at.entry.mode & S_IFMT) === S_IFLNK && !(flags & O_PATH)) return -ELOOP;
  if (is_dir(at.entry) && acc_mode & MAY_WRITE) return -EISDIR;
  const error = acc_mode ? inode_permission(at.entry.mode, acc_mode) : 0;
  if (error) return error;
  // A directory that only a mount stands in has no inode of its own.
  if (!at.root) return -EACCES;
  const inode = yield* at.root.get_inode(at.relative, at.entry);
  if (IS_ERR(inode)) return PTR_ERR(inode);
  f.$path = at.path;
  const ret = yield* do_dentry_open(f, inode);
  if (ret) yield* iput(inode);
  return ret;
}

/**
 * @path: absolute; @flags: O_ flags
 * @return an open file or ERR_PTR. Context: process, may sleep. Source: fs/open.c
 */
export function* filp_open(path: string, flags: number): Sleeps<file> {
  const f = alloc_empty_file(flags & ~O_CLOEXEC);
  if (IS_ERR(f)) return f;
  const error = yield* path_openat(f, path, flags);
  if (!error) return f;
  fput(f);
  return ERR_PTR(error);
}
EXPORT_SYMBOL(filp_open);

/** openat(2). @return a descriptor or errno. Context: process, may sleep. Source: fs/open.c */
export function* do_sys_open(path: string, user_flags: number): Sleeps<number> {
  let flags = (user_flags | O_LARGEFILE) & VALID_OPEN_FLAGS;
  if (flags & O_PATH) flags &= O_PATH_FLAGS;
  if ((flags & (O_DIRECTORY | O_CREAT)) === (O_DIRECTORY | O_CREAT)) return -EINVAL;
  if (flags & __O_TMPFILE && (!(flags & O_DIRECTORY) || !(acc_mode_of(flags) & MAY_WRITE))) return -EINVAL;
  if (flags & __O_SYNC) flags |= O_DSYNC;
  const fd = get_unused_fd_flags(flags);
  if (fd < 0) return fd;
  const f = yield* filp_open(path, flags);
  if (IS_ERR(f)) {
    put_unused_fd(fd);
    return PTR_ERR(f);
  }
  fd_install(fd, f);
  return fd;
}

/**
 * Closes one use of a file: flush() now, release() when the last reference is gone.
 * @id: the table that it was in. @return what flush() gave. Context: process, may sleep. Source: fs/open.c
 */
export function* filp_close(f: file, id: object | null): Sleeps<number> {
  if (file_count(f) === 0) {
    pr_err("VFS: Close: file count is 0 (f_op=%s)\n", f.f_op?.open?.name ?? "");
    return 0;
  }
  const retval = f.f_op!.flush ? yield* either(f.f_op!.flush(f, id)) : 0;
  fput(f);
  return retval;
}
EXPORT_SYMBOL(filp_close);

/** For open(): no lseek, pread or pwrite. Source: fs/open.c */
export function nonseekable_open(_inode: inode, f: file): number {
  f.f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE);
  return 0;
}
EXPORT_SYMBOL(nonseekable_open);

/** For open(): no position at all. Source: fs/open.c */
export function stream_open(_inode: inode, f: file): number {
  f.f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_ATOMIC_POS);
  f.f_mode |= FMODE_STREAM;
  return 0;
}
EXPORT_SYMBOL(stream_open);
