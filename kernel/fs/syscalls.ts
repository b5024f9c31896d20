// SPDX-License-Identifier: GPL-2.0-only
/** The system calls of a user process. They return what the kernel returns: a value, or a negative errno. */
import { EBADF, EINVAL, ENOENT, ENOTDIR, EPERM, ERESTARTNOHAND } from "#linux/errno.ts";
import { close_fd, current_files, get_close_on_exec, set_close_on_exec } from "#linux/fdtable.ts";
import {
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_GETFD,
  F_GETFL,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  O_CLOEXEC,
  O_NONBLOCK,
} from "#linux/fcntl.ts";
import type { dir_entry } from "#linux/fs.ts";
import { SIGKILL, SIGSTOP } from "#linux/signal.ts";
import { CAP_SYS_MODULE, capable } from "#linux/capability.ts";
import { delete_module, finit_module, modprobe } from "#linux/module.ts";
import { S_IFLNK, S_IFMT } from "#linux/stat.ts";
import { RLIM_NLIMITS } from "#uapi/linux/resource.ts";
import { commit_creds, current_euid } from "../cred.ts";
import { kernel_wait4 } from "../exit.ts";
import { ksys_reboot } from "../reboot.ts";
import { set_current_state } from "../sched/core.ts";
import { current, TASK_INTERRUPTIBLE, type waits_for } from "../sched/task.ts";
import { ready_int, type Sleeps } from "../sched/types.ts";
import { kill_pid, SIG_DFL, SIG_IGN, signal_of, signal_pending } from "../signal.ts";
import { clock } from "../time/clock.ts";
import { do_eventfd } from "./eventfd.ts";
import { f_dupfd, fdget, fdput, ksys_dup, ksys_dup3 } from "./file.ts";
import { schedule_hrtimeout } from "./hrtimeout.ts";
import { ksys_ioctl } from "./ioctl.ts";
import { ksys_mmap, ksys_munmap } from "./mmap.ts";
import { is_dir, link_target, list_dir, path_lookup } from "./namei.ts";
import { do_sys_open } from "./open.ts";
import { process_base, type signal_handler } from "./process_base.ts";
import { ksys_lseek, ksys_pread64, ksys_pwrite64, ksys_read, ksys_write } from "./read_write.ts";
import { do_sys_poll, type pollfd } from "./select.ts";

export interface stat {
  /** 0 or errno. */
  ret: number;
  mode: number;
  rdev: number;
}

function* do_stat(path: string, follow: boolean, st: stat): Sleeps<number> {
  const at = yield* path_lookup(path, follow);
  if (typeof at === "number") return at;
  st.mode = at.entry.mode;
  st.rdev = at.entry.rdev;
  return 0;
}
function* do_readlink(path: string, out: { value: string }): Sleeps<number> {
  const at = yield* path_lookup(path, false);
  if (typeof at === "number") return at;
  const text = (at.entry.mode & S_IFMT) === S_IFLNK ? yield* link_target(at) : -EINVAL;
  if (typeof text === "number") return text;
  out.value = text;
  return text.length;
}
function* do_getdents(path: string, out: dir_entry[]): Sleeps<number> {
  const at = yield* path_lookup(path, true);
  if (typeof at === "number") return at;
  if (!is_dir(at.entry)) return -ENOTDIR;
  out.push(...(yield* list_dir(at)));
  return out.length;
}

const SLEEPING: waits_for = { wchan: "hrtimer_nanosleep", what: "time to pass" };
function* do_nanosleep(end_ns: number): Sleeps<number> {
  for (;;) {
    set_current_state(TASK_INTERRUPTIBLE);
    if (!(yield* schedule_hrtimeout(end_ns, SLEEPING))) return 0;
    // C restarts with what is left, through a restart block.
    if (signal_pending(current())) return -ERESTARTNOHAND;
  }
}

function* do_fcntl(fd: number, cmd: number, arg: number): Sleeps<number> {
  const f = fdget(fd);
  if (!f.file) return -EBADF;
  let err = -EINVAL;
  switch (cmd) {
    case F_DUPFD:
      err = f_dupfd(arg, f.file, 0);
      break;
    case F_DUPFD_CLOEXEC:
      err = f_dupfd(arg, f.file, O_CLOEXEC);
      break;
    case F_GETFD:
      err = get_close_on_exec(fd) ? FD_CLOEXEC : 0;
      break;
    case F_SETFD:
      err = 0;
      set_close_on_exec(fd, (arg & FD_CLOEXEC) !== 0);
      break;
    case F_GETFL:
      err = f.file.f_flags;
      break;
    case F_SETFL:
      err = 0;
      f.file.f_flags = (f.file.f_flags & ~O_NONBLOCK) | (arg & O_NONBLOCK);
      break;
  }
  fdput(f);
  return err;
}

function do_setuid(uid: number): number {
  if (current_euid() !== 0 && current_euid() !== uid) return -EPERM;
  commit_creds(current(), uid);
  return 0;
}
function do_setrlimit(limit: number, value: bigint): number {
  const sig = signal_of(current());
  if (limit < 0 || limit >= RLIM_NLIMITS || !sig) return -EINVAL;
  sig.rlim[limit] = value;
  return 0;
}
function do_sigaction(signr: number, handler: number, flags: number): number {
  if (signr < 1 || signr > 64 || signr === SIGKILL || signr === SIGSTOP) return -EINVAL;
  signal_of(current())!.action.set(signr, { handler, flags });
  return 0;
}

/** Addresses are bigint, lengths are bytes. Context of every method: the process's own program. */
export abstract class syscalls extends process_base {
  /** @flags: O_ flags */
  open(path: string, flags: number): Sleeps<number> {
    return this.syscall(() => do_sys_open(path, flags), "open");
  }
  close(fd: number): Sleeps<number> {
    return this.syscall(() => close_fd(fd), "close");
  }
  read(fd: number, addr: bigint, len: number): Sleeps<number> {
    return this.syscall(() => ksys_read(fd, addr, len), "read");
  }
  write(fd: number, addr: bigint, len: number): Sleeps<number> {
    return this.syscall(() => ksys_write(fd, addr, len), "write");
  }
  /** @off: bytes; a number or a bigint, taken as a signed 64-bit value */
  pread(fd: number, addr: bigint, len: number, off: bigint | number): Sleeps<number> {
    return this.syscall(() => ksys_pread64(fd, addr, len, BigInt(off)), "pread");
  }
  pwrite(fd: number, addr: bigint, len: number, off: bigint | number): Sleeps<number> {
    return this.syscall(() => ksys_pwrite64(fd, addr, len, BigInt(off)), "pwrite");
  }
  lseek(fd: number, off: bigint | number, whence: number): Sleeps<bigint> {
    return this.syscall(() => ksys_lseek(fd, BigInt(off), whence), "lseek");
  }
  ioctl(fd: number, cmd: number, arg: bigint | number = 0): Sleeps<number> {
    return this.syscall(() => ksys_ioctl(fd, cmd >>> 0, BigInt.asUintN(64, BigInt(arg))), "ioctl");
  }
  dup(fd: number): Sleeps<number> {
    return this.syscall(() => ready_int(ksys_dup(fd)), "dup");
  }
  dup3(oldfd: number, newfd: number, flags: number): Sleeps<number> {
    return this.syscall(() => ksys_dup3(oldfd, newfd, flags), "dup3");
  }
  fcntl(fd: number, cmd: number, arg = 0): Sleeps<number> {
    return this.syscall(() => do_fcntl(fd, cmd, arg), "fcntl");
  }
  /** @return the address or errno */
  mmap(len: number, prot: number, flags: number, fd = -1, off: bigint | number = 0): Sleeps<bigint> {
    return this.syscall(() => ksys_mmap(len, prot, flags, fd, BigInt(off)), "mmap");
  }
  munmap(addr: bigint, len: number): Sleeps<number> {
    return this.syscall(() => ksys_munmap(addr, len), "munmap");
  }
  /** @flags: EFD_ flags */
  eventfd(initval: number, flags = 0): Sleeps<number> {
    return this.syscall(() => ready_int(do_eventfd(initval, flags)), "eventfd");
  }
  /** @fds: `revents` is set; @timeout_ms: negative for ever. @return number of files with something to tell */
  poll(fds: readonly pollfd[], timeout_ms: number): Sleeps<number> {
    return this.syscall(() => do_sys_poll(fds, timeout_ms), "poll");
  }

  *stat(path: string): Sleeps<stat> {
    const st: stat = { ret: 0, mode: 0, rdev: 0 };
    st.ret = yield* this.syscall(() => do_stat(path, true, st), "stat");
    return st;
  }
  *lstat(path: string): Sleeps<stat> {
    const st: stat = { ret: 0, mode: 0, rdev: 0 };
    st.ret = yield* this.syscall(() => do_stat(path, false, st), "lstat");
    return st;
  }
  *readlink(path: string): Sleeps<{ ret: number; text: string }> {
    const out = { value: "" };
    const ret = yield* this.syscall(() => do_readlink(path, out), "readlink");
    return { ret, text: out.value };
  }
  /** opendir, readdir and closedir in one, without "." and "..". @return the entries in the order in which the tree has them */
  *getdents(path: string): Sleeps<{ ret: number; entries: readonly dir_entry[] }> {
    const entries: dir_entry[] = [];
    const ret = yield* this.syscall(() => do_getdents(path, entries), "getdents");
    return { ret, entries };
  }

  getpid(): Sleeps<number> {
    return this.syscall(() => ready_int(this.pid), "getpid");
  }
  setuid(uid: number): Sleeps<number> {
    return this.syscall(() => ready_int(do_setuid(uid)), "setuid");
  }
  /** Soft and hard limit in one. @limit: RLIMIT_ number */
  setrlimit(limit: number, value: bigint): Sleeps<number> {
    return this.syscall(() => ready_int(do_setrlimit(limit, value)), "setrlimit");
  }
  kill(pid: number, signr: number): Sleeps<number> {
    return this.syscall(() => ready_int(kill_pid(pid, signr, 0)), "kill");
  }
  /** @handler: a function of the program, or what the kernel does instead; @flags: SA_RESTART or 0 */
  sigaction(signr: number, handler: signal_handler | "default" | "ignore", flags = 0): Sleeps<number> {
    let number = handler === "ignore" ? SIG_IGN : SIG_DFL;
    if (typeof handler === "function") number = this.handlers.push(handler) + 1;
    return this.syscall(() => ready_int(do_sigaction(signr, number, flags)), "sigaction");
  }
  /** @pid: a child, or -1 for any; @options: WNOHANG or 0. @return ret: the pid, 0 or errno; status: its exit code */
  *waitpid(pid: number, options = 0): Sleeps<{ ret: number; status: number }> {
    const status = { value: 0 };
    const ret = yield* this.syscall(() => kernel_wait4(pid, status, options), "waitpid");
    return { ret, status: status.value };
  }
  /** nanosleep(2). @return 0 or -EINTR */
  sleep_ms(ms: number): Sleeps<number> {
    const end_ns = clock.ns + ms * 1_000_000;
    return this.syscall(() => do_nanosleep(end_ns), "sleep_ms");
  }

  /** @name: of the module, without ".ko"; @args: its parameters, like "a=1 b=2" */
  finit_module(name: string, args = ""): Sleeps<number> {
    return this.syscall(() => (capable(CAP_SYS_MODULE) ? finit_module(name, args) : ready_int(-EPERM)), "finit_module");
  }
  delete_module(name: string, flags = 0): Sleeps<number> {
    return this.syscall(
      () => (capable(CAP_SYS_MODULE) ? delete_module(name, flags) : ready_int(-EPERM)),
      "delete_module",
    );
  }
  /** As the program of that name does: what the module needs first, then the module itself. */
  modprobe(name: string): Sleeps<number> {
    return this.syscall(() => (capable(CAP_SYS_MODULE) ? modprobe(name) : ready_int(-EPERM)), "modprobe");
  }
  /** @cmd: LINUX_REBOOT_CMD_. The machine stops: it returns on error only */
  reboot(cmd: number): Sleeps<number> {
    return this.syscall(() => ksys_reboot(cmd), "reboot");
  }

  /** Whether a descriptor is open; no system call. */
  is_open(fd: number): boolean {
    return !!current_files().fd[fd];
  }
  /** Whether the path leads to anything; links are followed. */
  *exists(path: string): Sleeps<boolean> {
    return (yield* this.stat(path)).ret !== -ENOENT;
  }
}
