// SPDX-License-Identifier: GPL-2.0-only
/** ioctl(2). Of the commands that belong to every file, those of descriptors and FIONBIO are here; FIOASYNC is not. */
import { compat_ptr } from "#linux/compat.ts";
import { EBADF, ENOIOCTLCMD, ENOTTY } from "#linux/errno.ts";
import { O_NONBLOCK } from "#linux/fcntl.ts";
import type { file } from "#linux/fs.ts";
import { FIOCLEX, FIONBIO, FIONCLEX, FIOQSIZE } from "#linux/ioctl.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import { kbuf } from "#linux/types.ts";
import { copy_from_user } from "#linux/uaccess.ts";
import { EFAULT } from "#linux/errno.ts";
import { kbuild } from "../modpost.ts";
import { either } from "../sched/either.ts";
import { ready_int, type Sleeps } from "../sched/types.ts";
import { fdget, fdput, set_close_on_exec } from "./file.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

/** @arg: as user space passed it. @return the driver's answer, -ENOTTY if it has none. Context: may sleep. Source: fs/ioctl.c */
export function* vfs_ioctl(filp: file, cmd: number, arg: bigint): Sleeps<number> {
  if (!filp.f_op!.unlocked_ioctl) return -ENOTTY;
  const error = yield* either(filp.f_op!.unlocked_ioctl(filp, cmd, arg));
  return error === -ENOIOCTLCMD ? -ENOTTY : error;
}
EXPORT_SYMBOL(vfs_ioctl);

function* ioctl_fionbio(filp: file, argp: bigint): Sleeps<number> {
  const on = new kbuf(4);
  if (yield* copy_from_user(on, argp, 4)) return -EFAULT;
  yield* spin_lock(filp.f_lock);
  // Zero is zero in either byte order.
  if (on.$bytes.some((b) => b !== 0)) filp.f_flags |= O_NONBLOCK;
  else filp.f_flags &= ~O_NONBLOCK;
  spin_unlock(filp.f_lock);
  return 0;
}

function* do_vfs_ioctl(filp: file, fd: number, cmd: number, arg: bigint): Sleeps<number> {
  switch (cmd) {
    case FIOCLEX:
      set_close_on_exec(fd, true);
      return 0;
    case FIONCLEX:
      set_close_on_exec(fd, false);
      return 0;
    case FIONBIO:
      return yield* ioctl_fionbio(filp, arg);
    case FIOQSIZE:
      return -ENOTTY;
    default:
      return -ENOIOCTLCMD;
  }
}

export function* ksys_ioctl(fd: number, cmd: number, arg: bigint): Sleeps<number> {
  const f = fdget(fd);
  if (!f.file) return -EBADF;
  let error = yield* do_vfs_ioctl(f.file, fd, cmd, arg);
  if (error === -ENOIOCTLCMD) error = yield* vfs_ioctl(f.file, cmd, arg);
  fdput(f);
  return error;
}

/** For compat_ioctl of drivers whose arguments are pointers or nothing. Source: fs/ioctl.c */
export function compat_ptr_ioctl(file: file, cmd: number, arg: bigint): Sleeps<number> {
  if (!file.f_op!.unlocked_ioctl) return ready_int(-ENOIOCTLCMD);
  return either(file.f_op!.unlocked_ioctl(file, cmd, compat_ptr(arg)));
}
EXPORT_SYMBOL(compat_ptr_ioctl);
