// SPDX-License-Identifier: GPL-2.0-only
/** User processes: what tests and scenarios are written with. A program is a generator that makes system calls. */
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { O_RDONLY, O_WRONLY } from "#linux/fcntl.ts";
import { dup_fd, files_of } from "#linux/fdtable.ts";
import { EPOLLIN } from "#linux/poll.ts";
import { SIGKILL } from "#linux/signal.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "#linux/stat.ts";
import { commit_creds, copy_creds } from "../cred.ts";
import { byte_order } from "../lib/bytestruct.ts";
import { user_touch } from "../mm/memory.ts";
import { mm_alloc, set_task_mm, task_mm, user_read, user_write } from "../mm/mm_struct.ts";
import { create_task } from "../sched/core.ts";
import { current, type task_struct } from "../sched/task.ts";
import { ready_int, type Sleeps } from "../sched/types.ts";
import { copy_signal } from "../signal.ts";
import { new_files, set_files } from "./file.ts";
import { dup_mm, ksys_mmap_fixed, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from "./mmap.ts";
import type { pollfd } from "./select.ts";
import { syscalls } from "./syscalls.ts";

// What a process finds there when it starts.
import "./console.ts";
import "./debugfs.ts";
import "../mm/kmemleak_debugfs.ts";
import "./devtmpfs.ts";
import "./mem.ts";
import "./misc.ts";
import "./proc.ts";
import "./sysfs_root.ts";

export type { pollfd } from "./select.ts";
export type { stat } from "./syscalls.ts";
export type { signal_handler } from "./process_base.ts";
export { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE } from "./mmap.ts";
export { WNOHANG } from "../exit.ts";

/** What the process does; when it returns, the process exits with status 0. */
export type program = (u: user_process) => Sleeps;

export interface process_options {
  /** Default 0, root. */
  readonly uid?: number;
  /** May wait for ever without being reported. */
  readonly daemon?: boolean;
}

const SCRATCH = 64 * 1024;

/** Text as bytes and back: every character is one byte. */
function to_bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}
function to_text(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += String.fromCharCode(b);
  return text;
}

export class user_process extends syscalls {
  #scratch = 0n;
  #scratch_size = 0;

  /** The life of a process that was not forked. */
  *$main(body: program): Sleeps {
    const t = this.task;
    const files = new_files();
    if (IS_ERR(files)) {
      // As execve(2) kills what it can no longer give back to its caller.
      this.exit_code = SIGKILL;
      return;
    }
    set_files(t, files);
    set_task_mm(t, mm_alloc());
    yield* this.run_program(body(this));
  }
  /** That of a child: memory and files are there already. */
  *$child_main(body: program): Sleeps {
    yield* this.run_program(body(this));
  }

  /**
   * fork(2): a child with copies of memory and descriptors, which runs another program than its parent.
   * @body: its program. @return its pid, or errno
   */
  fork(body: program, options: process_options = {}): Sleeps<number> {
    const child = new user_process();
    child.#scratch = this.#scratch;
    child.#scratch_size = this.#scratch_size;
    child.handlers.push(...this.handlers);
    return this.syscall(() => ready_int(copy_process(current(), child, body, options)), "fork");
  }

  // What follows is a C library: made of system calls and of the program's own memory.

  /** Fresh memory, zeroed. @n: bytes. @return its address, or errno */
  alloc(n: number): Sleeps<bigint> {
    return this.mmap(n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  }
  /** The same at a place where nothing is yet. @return its address or errno */
  alloc_at(addr: bigint, n: number, prot = PROT_READ | PROT_WRITE): Sleeps<bigint> {
    return this.syscall(() => ksys_mmap_fixed(addr, n, prot), "mmap");
  }
  /** Memory that the next such call uses again. */
  private *scratch(n: number): Sleeps<bigint> {
    if (n > this.#scratch_size) {
      this.#scratch_size = Math.max(SCRATCH, n);
      this.#scratch = yield* this.alloc(this.#scratch_size);
    }
    return this.#scratch;
  }

  /** The program reads its memory. @throws where it would get SIGSEGV */
  peek(addr: bigint, n: number): Uint8Array {
    return user_read(this.mm, addr, n);
  }
  poke(addr: bigint, bytes: Uint8Array): void {
    user_write(this.mm, addr, bytes);
  }
  /** As peek(), for memory that a driver has mapped, which may fault. @return ret: 0 or -EFAULT */
  *load_bytes(addr: bigint, n: number): Sleeps<{ ret: number; bytes: Uint8Array }> {
    const bytes = new Uint8Array(n);
    const ret = yield* this.syscall(() => user_touch(this.mm, addr, bytes, false));
    return { ret, bytes };
  }
  store_bytes(addr: bigint, bytes: Uint8Array): Sleeps<number> {
    return this.syscall(() => user_touch(this.mm, addr, bytes, true));
  }
  peek_u32(addr: bigint): number {
    return new DataView(this.peek(addr, 4).buffer).getUint32(0, byte_order.little_endian);
  }
  poke_u32(addr: bigint, v: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, v, byte_order.little_endian);
    this.poke(addr, bytes);
  }
  peek_u64(addr: bigint): bigint {
    return new DataView(this.peek(addr, 8).buffer).getBigUint64(0, byte_order.little_endian);
  }
  poke_u64(addr: bigint, v: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, v), byte_order.little_endian);
    this.poke(addr, bytes);
  }
  /** Memory with @text and a NUL in it. @return its address */
  *string(text: string): Sleeps<bigint> {
    const addr = yield* this.alloc(text.length + 1);
    this.poke(addr, to_bytes(`${text}\0`));
    return addr;
  }

  *write_bytes(fd: number, bytes: Uint8Array): Sleeps<number> {
    const addr = yield* this.scratch(bytes.length);
    this.poke(addr, bytes);
    return yield* this.write(fd, addr, bytes.length);
  }
  *read_bytes(fd: number, n: number): Sleeps<{ ret: number; bytes: Uint8Array }> {
    const addr = yield* this.scratch(n);
    const ret = yield* this.read(fd, addr, n);
    return { ret, bytes: this.peek(addr, Math.max(0, ret)) };
  }
  *pwrite_bytes(fd: number, bytes: Uint8Array, off: bigint | number): Sleeps<number> {
    const addr = yield* this.scratch(bytes.length);
    this.poke(addr, bytes);
    return yield* this.pwrite(fd, addr, bytes.length, off);
  }
  /** @return what pread() gave, and the bytes that came */
  *pread_bytes(fd: number, n: number, off: bigint | number): Sleeps<{ ret: number; bytes: Uint8Array }> {
    const addr = yield* this.scratch(n);
    const ret = yield* this.pread(fd, addr, n, off);
    return { ret, bytes: this.peek(addr, Math.max(0, ret)) };
  }
  /** ioctl() on a copy of @bytes. @return the answer, and the buffer as it is afterwards */
  *ioctl_bytes(fd: number, cmd: number, bytes: Uint8Array): Sleeps<{ ret: number; bytes: Uint8Array }> {
    const addr = yield* this.scratch(bytes.length);
    this.poke(addr, bytes);
    const ret = yield* this.ioctl(fd, cmd, addr);
    return { ret, bytes: this.peek(addr, bytes.length) };
  }

  /** open, one write, close. @return what write() gave, or open() if that failed */
  *sysfs_write(path: string, text: string): Sleeps<number> {
    const fd = yield* this.open(path, O_WRONLY);
    if (fd < 0) return fd;
    const ret = yield* this.write_bytes(fd, to_bytes(text));
    yield* this.close(fd);
    return ret;
  }
  /** open, one read, close. @return what read() gave, or open() if that failed, and the text */
  *sysfs_read(path: string): Sleeps<{ ret: number; text: string }> {
    const fd = yield* this.open(path, O_RDONLY);
    if (fd < 0) return { ret: fd, text: "" };
    const { ret, bytes } = yield* this.read_bytes(fd, SCRATCH);
    yield* this.close(fd);
    return { ret, text: to_text(bytes) };
  }
  /** Names in a directory, sorted: with "/" behind directories and "@" behind links; without those that begin with a dot. */
  *ls(path: string): Sleeps<{ ret: number; names: string[] }> {
    const { ret, entries } = yield* this.getdents(path);
    if (ret < 0) return { ret, names: [] };
    const mark = (mode: number): string => ((mode & S_IFMT) === S_IFDIR ? "/" : (mode & S_IFMT) === S_IFLNK ? "@" : "");
    const names = entries.filter((e) => !e.name.startsWith(".")).map((e) => e.name + mark(e.mode));
    return { ret: names.length, names: names.sort() };
  }
  /** poll, then read. @return the counter, 0 if it was 0 for that long, or errno */
  *eventfd_read(fd: number, timeout_ms = 0): Sleeps<bigint> {
    const pfd: pollfd = { fd, events: EPOLLIN, revents: 0 };
    const n = yield* this.poll([pfd], timeout_ms);
    if (n <= 0) return BigInt(n);
    const addr = yield* this.scratch(8);
    const ret = yield* this.read(fd, addr, 8);
    return ret < 0 ? BigInt(ret) : this.peek_u64(addr);
  }
  *eventfd_write(fd: number, n: bigint | number): Sleeps<number> {
    const addr = yield* this.scratch(8);
    this.poke_u64(addr, BigInt(n));
    return yield* this.write(fd, addr, 8);
  }
}

function copy_process(parent: task_struct, child: user_process, body: program, options: process_options): number {
  const files = dup_fd(files_of(parent)!);
  if (IS_ERR(files)) return PTR_ERR(files);
  const mm = dup_mm(task_mm(parent)!);
  const t = create_task(parent.comm, child.$child_main(body), 0, options.daemon ?? parent.daemon);
  child.$task = t;
  set_files(t, files);
  set_task_mm(t, mm);
  copy_creds(parent, t);
  copy_signal(parent, t);
  return t.pid;
}

/**
 * Starts a process from outside the machine; run() then runs it. It is nobody's child.
 * @comm: name of the task; @body: its program
 * @return the process; exit_code is null until it has ended
 */
export function run_user(comm: string, body: program, options: process_options = {}): user_process {
  const u = new user_process();
  const t = create_task(comm, u.$main(body), 0, options.daemon ?? false);
  u.$task = t;
  copy_signal(null, t);
  commit_creds(t, options.uid ?? 0);
  return u;
}
