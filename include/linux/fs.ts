// SPDX-License-Identifier: GPL-2.0-only
// dup: inodes, open files, file operations
import { type module, module_put, try_module_get } from "#linux/module.ts";
import { atomic_inc, atomic_read, atomic_t } from "#linux/atomic.ts";
import { BUG_ON } from "#linux/bug.ts";
import type { cdev } from "#linux/cdev.ts";
import type { cred } from "#linux/cred.ts";
import { MAJOR, MINOR } from "#linux/kdev_t.ts";
import { list_head } from "#linux/list.ts";
import type { vm_area_struct } from "#linux/mm.ts";
import { mutex } from "#linux/mutex.ts";
import type { poll_table } from "#linux/poll.ts";
import type { seq_file } from "#linux/seq_file.ts";
import { spinlock_t } from "#linux/spinlock.ts";
import { callback_head } from "#linux/task_work.ts";
import { embed, fn, ptr, s64, type Sleeps, str, struct, u16, u32, ulong } from "#linux/types.ts";

export const FMODE_READ = 0x1;
export const FMODE_WRITE = 0x2;
export const FMODE_LSEEK = 0x4;
export const FMODE_PREAD = 0x8;
export const FMODE_PWRITE = 0x10;
export const FMODE_EXCL = 0x80;
export const FMODE_UNSIGNED_OFFSET = 0x2000;
export const FMODE_PATH = 0x4000;
export const FMODE_ATOMIC_POS = 0x8000;
export const FMODE_WRITER = 0x10000;
export const FMODE_CAN_READ = 0x20000;
export const FMODE_CAN_WRITE = 0x40000;
export const FMODE_OPENED = 0x80000;
export const FMODE_STREAM = 0x200000;
export const FMODE_NOWAIT = 0x8000000;

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const SEEK_MAX = SEEK_HOLE;

/** INT_MAX & PAGE_MASK: what one read or write transfers at most, in bytes. */
export const MAX_RW_COUNT = 0x7ffff000;
export const OFFSET_MAX = 0x7fffffffffffffffn;

export const CHRDEV_MAJOR_MAX = 512;
/** Dynamic majors come from 254 down to this one first, and then from the second range. */
export const CHRDEV_MAJOR_DYN_END = 234;
export const CHRDEV_MAJOR_DYN_EXT_START = 511;
export const CHRDEV_MAJOR_DYN_EXT_END = 384;

/** `loff_t *`: where a read or write is in the file, in bytes; the callee moves it on. */
export interface loff_ptr {
  value: bigint;
}

/** A function pointer may be of either colour; whoever calls it waits with either(). */
type may_sleep<T> = Sleeps<T> | T;

/**
 * What can be done with an open file. User addresses and the argument of an ioctl are bigint, lengths are bytes, results
 * are those of C: negative errno, or a count. What is missing is NULL.
 */
export interface file_operations {
  readonly owner?: module | null;
  readonly llseek?: (file: file, offset: bigint, whence: number) => may_sleep<bigint>;
  readonly read?: (file: file, buf: bigint, count: number, ppos: loff_ptr) => may_sleep<number>;
  readonly write?: (file: file, buf: bigint, count: number, ppos: loff_ptr) => may_sleep<number>;
  readonly poll?: (file: file, wait: poll_table | null) => may_sleep<number>;
  readonly unlocked_ioctl?: (file: file, cmd: number, arg: bigint) => may_sleep<number>;
  readonly compat_ioctl?: (file: file, cmd: number, arg: bigint) => may_sleep<number>;
  readonly mmap?: (file: file, vma: vm_area_struct) => may_sleep<number>;
  readonly open?: (inode: inode, file: file) => may_sleep<number>;
  readonly flush?: (file: file, id: object | null) => may_sleep<number>;
  readonly release?: (inode: inode, file: file) => may_sleep<number>;
  readonly show_fdinfo?: (m: seq_file, file: file) => Sleeps;
}

export class address_space extends struct("address_space", {
  host: ptr<inode>(),
}) {}

export class inode extends struct("inode", {
  i_mode: u16(),
  i_uid: u32(),
  i_gid: u32(),
  i_fop: ptr<file_operations>(),
  i_mapping: ptr<address_space>(),
  i_ino: ulong(),
  i_rdev: u32(),
  i_size: s64(),
  i_count: embed(() => atomic_t),
  i_data: embed(() => address_space),
  i_devices: embed(() => list_head),
  i_cdev: ptr<cdev>(),
  i_private: ptr<object>(),
  /** Stands for evict_inode() of the superblock: i_private goes. */
  $evict: fn<(inode: inode) => void>(),
}) {}

export class file extends struct("file", {
  f_rcuhead: embed(() => callback_head),
  /** Stands for f_path: what /proc/PID/fd shows, an absolute path or the name of an anonymous file. */
  $path: str(),
  f_inode: ptr<inode>(),
  f_op: ptr<file_operations>(),
  f_lock: embed(() => spinlock_t),
  f_count: embed(() => atomic_t),
  f_flags: u32(),
  f_mode: u32(),
  f_pos_lock: embed(() => mutex),
  f_pos: s64(),
  f_cred: ptr<cred>(),
  private_data: ptr<object>(),
  f_mapping: ptr<address_space>(),
}) {}

/** One more reference of an open file; fput() drops it. Any context. Source: include/linux/fs.h */
export function get_file(f: file): file {
  atomic_inc(f.f_count);
  return f;
}
export function file_count(f: file): number {
  return atomic_read(f.f_count);
}
export function file_inode(f: file): inode | null {
  return f.f_inode;
}
export function iminor(i: inode): number {
  return MINOR(i.i_rdev);
}
export function imajor(i: inode): number {
  return MAJOR(i.i_rdev);
}

/** A reference of the module that owns the operations. @return them, or NULL if the module is on its way out. Any context. */
export function fops_get(fops: file_operations | null): file_operations | null {
  return fops && try_module_get(fops.owner ?? null) ? fops : null;
}
export function fops_put(fops: file_operations | null): void {
  if (fops) module_put(fops.owner ?? null);
}
/** Only for open(): the file goes on with operations that the caller holds a reference of. */
export function replace_fops(f: file, fops: file_operations | null): void {
  fops_put(f.f_op);
  BUG_ON(!(f.f_op = fops));
}

export { either } from "../../kernel/sched/either.ts";
export { ihold, iput, new_inode } from "../../kernel/fs/inode.ts";
export { filp_close, filp_open, nonseekable_open, stream_open } from "../../kernel/fs/open.ts";
export {
  default_llseek,
  fixed_size_llseek,
  generic_file_llseek,
  no_llseek,
  no_seek_end_llseek,
  noop_llseek,
  rw_verify_area,
  vfs_llseek,
  vfs_read,
  vfs_setpos,
  vfs_write,
} from "../../kernel/fs/read_write.ts";
export { compat_ptr_ioctl, vfs_ioctl } from "../../kernel/fs/ioctl.ts";
export { simple_open, simple_read_from_buffer, simple_write_to_buffer } from "../../kernel/fs/libfs.ts";
export {
  __register_chrdev,
  __unregister_chrdev,
  register_chrdev,
  unregister_chrdev,
} from "../../kernel/fs/char_dev.ts";
export {
  alloc_chrdev_region,
  register_chrdev_region,
  unregister_chrdev_region,
} from "../../kernel/fs/chrdev_region.ts";
export { type dir_entry, type filesystem_root, register_filesystem_root } from "../../kernel/fs/namei.ts";
