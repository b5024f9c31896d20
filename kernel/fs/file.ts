// SPDX-License-Identifier: GPL-2.0-only
/** File descriptors. A table belongs to one process with one thread, so nobody else can be in it and no lock is taken. */
import { atomic_dec_and_test, atomic_read, atomic_set } from "#linux/atomic.ts";
import { BUG_ON } from "#linux/bug.ts";
import { ERR_PTR } from "#linux/err.ts";
import { EBADF, EINVAL, EMFILE, EBUSY, ENOMEM } from "#linux/errno.ts";
import { O_CLOEXEC } from "#linux/fcntl.ts";
import { files_struct } from "#linux/fdtable.ts";
import type { fd } from "#linux/file.ts";
import { file_count, type file, FMODE_ATOMIC_POS, FMODE_PATH, get_file } from "#linux/fs.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { rlimit } from "#linux/sched/signal.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { S_IFDIR, S_IFMT } from "#linux/stat.ts";
import { RLIMIT_NOFILE } from "#uapi/linux/resource.ts";
import { kbuild } from "../modpost.ts";
import { cond_resched } from "../sched/core.ts";
import { current, type task_struct } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { fput } from "./file_table.ts";
import { filp_close } from "./open.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

export const FDPUT_FPUT = 1;
export const FDPUT_POS_UNLOCK = 2;
const SYSCTL_NR_OPEN = 1024 * 1024;

const FILES: unique symbol = Symbol("files");

/** The table of a process; null for kernel threads and for who has exited. */
export function files_of(t: task_struct): files_struct | null {
  const files = t.attached.get(FILES);
  return files instanceof files_struct ? files : null;
}
/** current->files, which C dereferences without asking. */
export function current_files(): files_struct {
  return files_of(current())!;
}
export function set_files(t: task_struct, files: files_struct): void {
  t.attached.set(FILES, files);
}
/** @return an empty table, or ERR_PTR(-ENOMEM) */
export function new_files(): files_struct {
  const files = kzalloc(files_struct, GFP_KERNEL);
  if (!files) return ERR_PTR(-ENOMEM);
  atomic_set(files.count, 1);
  return files;
}

/** A copy of the table, for a child: the same open files, each with one more reference. @return it or ERR_PTR. Source: fs/file.c */
export function dup_fd(oldf: files_struct): files_struct {
  const newf = kzalloc(files_struct, GFP_KERNEL);
  if (!newf) return ERR_PTR(-ENOMEM);
  atomic_set(newf.count, 1);
  newf.fd = oldf.fd.map((f) => f && get_file(f));
  newf.open_fds = newf.fd.map((f) => f !== null);
  newf.close_on_exec = [...oldf.close_on_exec];
  return newf;
}

function* close_files(files: files_struct): Sleeps {
  for (let i = 0; i < files.fd.length; i++) {
    const f = files.fd[i];
    if (!f) continue;
    files.fd[i] = null;
    yield* filp_close(f, files);
    yield* cond_resched();
  }
}
/** Closes everything, lowest descriptor first. Context: the task's own exit, may sleep. Source: fs/file.c */
export function* exit_files(t: task_struct): Sleeps {
  const files = files_of(t);
  if (!files) return;
  t.attached.delete(FILES);
  if (!atomic_dec_and_test(files.count)) return;
  yield* close_files(files);
  kfree(files);
}

function alloc_fd(start: number, end: number, flags: number): number {
  const files = current_files();
  let fd = Math.max(start, files.next_fd);
  while (files.open_fds[fd]) fd++;
  if (fd >= end || fd >= SYSCTL_NR_OPEN) return -EMFILE;
  while (files.fd.length <= fd) files.fd.push(null);
  if (start <= files.next_fd) files.next_fd = fd + 1;
  files.open_fds[fd] = true;
  files.close_on_exec[fd] = (flags & O_CLOEXEC) !== 0;
  return fd;
}
function nofile(): number {
  return Number(rlimit(RLIMIT_NOFILE));
}

/**
 * Takes the lowest free descriptor. It is not open until fd_install().
 * @flags: O_CLOEXEC matters. @return the descriptor or -EMFILE. Context: process. Source: fs/file.c
 */
export function get_unused_fd_flags(flags: number): number {
  return alloc_fd(0, nofile(), flags);
}
EXPORT_SYMBOL(get_unused_fd_flags);

function __put_unused_fd(files: files_struct, fd: number): void {
  files.open_fds[fd] = false;
  if (fd < files.next_fd) files.next_fd = fd;
}
/** Gives back what get_unused_fd_flags() took. Context: process. Source: fs/file.c */
export function put_unused_fd(fd: number): void {
  __put_unused_fd(current_files(), fd);
}
EXPORT_SYMBOL(put_unused_fd);

/** Opens the descriptor to user space; the caller's reference goes with it. Context: process. Source: fs/file.c */
export function fd_install(fd: number, f: file): void {
  const files = current_files();
  BUG_ON(!!files.fd[fd]);
  files.fd[fd] = f;
}
EXPORT_SYMBOL(fd_install);

function pick_file(files: files_struct, fd: number): file | null {
  const f = files.fd[fd] ?? null;
  if (f) {
    files.fd[fd] = null;
    __put_unused_fd(files, fd);
  }
  return f;
}
/** @return what flush() gave, or -EBADF. Context: process, may sleep. Source: fs/file.c */
export function* close_fd(fd: number): Sleeps<number> {
  const files = current_files();
  const f = pick_file(files, fd);
  if (!f) return -EBADF;
  return yield* filp_close(f, files);
}
EXPORT_SYMBOL(close_fd);

function __fget(files: files_struct | null, fd: number, mask: number): file | null {
  const f = files?.fd[fd] ?? null;
  return f && !(f.f_mode & mask) ? get_file(f) : null;
}
/** @return the file with one more reference, or NULL. Context: process. Source: fs/file.c */
export function fget(fd: number): file | null {
  return __fget(current_files(), fd, FMODE_PATH);
}
EXPORT_SYMBOL(fget);
export function fget_raw(fd: number): file | null {
  return __fget(current_files(), fd, 0);
}
EXPORT_SYMBOL(fget_raw);
export function fget_task(t: task_struct, fd: number): file | null {
  return __fget(files_of(t), fd, 0);
}

/** For the length of a system call: takes a reference only if the table is shared. Give back with fdput(). Source: fs/file.c */
export function fdget(fd: number): fd {
  const files = current_files();
  if (atomic_read(files.count) !== 1) {
    const f = __fget(files, fd, FMODE_PATH);
    return { file: f, flags: f ? FDPUT_FPUT : 0 };
  }
  const f = files.fd[fd] ?? null;
  return { file: f && !(f.f_mode & FMODE_PATH) ? f : null, flags: 0 };
}
export function fdput(f: fd): void {
  if (f.flags & FDPUT_FPUT) fput(f.file!);
}
function file_needs_f_pos_lock(f: file): boolean {
  return (f.f_mode & FMODE_ATOMIC_POS) !== 0 && (file_count(f) > 1 || (f.f_inode!.i_mode & S_IFMT) === S_IFDIR);
}
/** fdget() for who moves the file's position. Context: may sleep. Source: fs/file.c */
export function* fdget_pos(fd: number): Sleeps<fd> {
  const f = fdget(fd);
  if (!f.file || !file_needs_f_pos_lock(f.file)) return f;
  yield* mutex_lock(f.file.f_pos_lock);
  return { file: f.file, flags: f.flags | FDPUT_POS_UNLOCK };
}
export function fdput_pos(f: fd): void {
  if (f.flags & FDPUT_POS_UNLOCK) mutex_unlock(f.file!.f_pos_lock);
  fdput(f);
}

export function set_close_on_exec(fd: number, on: boolean): void {
  current_files().close_on_exec[fd] = on;
}
export function get_close_on_exec(fd: number): boolean {
  return current_files().close_on_exec[fd] ?? false;
}

/** A new descriptor of the current process for @f, which gets one more reference. @return it or errno. Source: fs/file.c */
export function receive_fd(f: file, o_flags: number): number {
  const new_fd = get_unused_fd_flags(o_flags);
  if (new_fd < 0) return new_fd;
  fd_install(new_fd, get_file(f));
  return new_fd;
}
export function f_dupfd(from: number, f: file, flags: number): number {
  if (from >= nofile()) return -EINVAL;
  const fd = alloc_fd(from, nofile(), flags);
  if (fd >= 0) fd_install(fd, get_file(f));
  return fd;
}
export function ksys_dup(fildes: number): number {
  const f = fget_raw(fildes);
  if (!f) return -EBADF;
  const ret = get_unused_fd_flags(0);
  if (ret >= 0) fd_install(ret, f);
  else fput(f);
  return ret;
}
/** dup3(2). @return @newfd or errno. Context: process, may sleep. Source: fs/file.c */
export function* ksys_dup3(oldfd: number, newfd: number, flags: number): Sleeps<number> {
  const files = current_files();
  if (flags & ~O_CLOEXEC || oldfd === newfd) return -EINVAL;
  if (newfd >= nofile()) return -EBADF;
  const f = files.fd[oldfd] ?? null;
  if (!f || newfd >= SYSCTL_NR_OPEN) return -EBADF;
  while (files.fd.length <= newfd) files.fd.push(null);
  const tofree = files.fd[newfd];
  if (!tofree && files.open_fds[newfd]) return -EBUSY;
  files.fd[newfd] = get_file(f);
  files.open_fds[newfd] = true;
  files.close_on_exec[newfd] = (flags & O_CLOEXEC) !== 0;
  if (tofree) yield* filp_close(tofree, files);
  return newfd;
}
