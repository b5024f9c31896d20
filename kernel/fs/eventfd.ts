// SPDX-License-Identifier: GPL-2.0-only
/** eventfd: a counter that user space reads, writes and polls, and that the kernel adds to. */
import { READ_ONCE } from "#linux/compiler.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EAGAIN, EBADF, EFAULT, EINVAL, ENOMEM, ERESTARTSYS } from "#linux/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "#linux/fcntl.ts";
import { type file, type file_operations, FMODE_NOWAIT, type inode, type loff_ptr, noop_llseek } from "#linux/fs.ts";
import { ida, ida_alloc, ida_free, ida_init } from "#linux/idr.ts";
import { early_initcall } from "#linux/init.ts";
import { kref, kref_get, kref_init } from "#linux/kref.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, poll_wait, type poll_table } from "#linux/poll.ts";
import { refcount_dec_and_test } from "#linux/refcount.ts";
import { seq_printf, type seq_file } from "#linux/seq_file.ts";
import { GFP_KERNEL, kfree, kmalloc } from "#linux/slab.ts";
import { spin_lock_irq, spin_lock_irqsave, spin_unlock_irq, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { b64, bytestruct, embed, int, struct, u32, u64 } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import {
  __add_wait_queue,
  __remove_wait_queue,
  init_waitqueue_entry,
  init_waitqueue_head,
  wait_queue_entry_t,
  wait_queue_head_t,
  waitqueue_active,
  wake_up_locked_poll,
  wake_up_poll,
} from "#linux/wait.ts";
import { EFD_SEMAPHORE } from "#uapi/linux/eventfd.ts";
import { per_boot } from "../boot.ts";
import { kbuild } from "../modpost.ts";
import { WARN_ON_ONCE } from "../panic.ts";
import { schedule, set_current_state } from "../sched/core.ts";
import { current, TASK_INTERRUPTIBLE, TASK_RUNNING, type waits_for } from "../sched/task.ts";
import type { Sleeps, Spins } from "../sched/types.ts";
import { signal_pending } from "../signal.ts";
import { anon_inode_getfile } from "./anon_inodes.ts";
import { fd_install, fdget, fdput, fget, get_unused_fd_flags, put_unused_fd } from "./file.ts";
import { fput } from "./file_table.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const EFD_SHARED_FCNTL_FLAGS = O_CLOEXEC | O_NONBLOCK;
const ULLONG_MAX = 0xffffffffffffffffn;

export class eventfd_ctx extends struct("eventfd_ctx", {
  kref: embed(() => kref),
  /** Its lock protects `count`. */
  wqh: embed(() => wait_queue_head_t),
  count: u64(),
  flags: u32(),
  id: int(),
}) {}

class u64_bytes extends bytestruct("u64", { v: b64() }) {}

const s = per_boot(() => ({ eventfd_ida: new ida() }));

function eventfd_init(): number {
  ida_init(s.eventfd_ida);
  return 0;
}
early_initcall(eventfd_init);

/** The task is inside a wake-up of an eventfd: one that woke another from there would recurse. */
const IN_EVENTFD: unique symbol = Symbol("in_eventfd");
function in_eventfd(on: boolean): void {
  const t = current();
  if (on) t.attached.set(IN_EVENTFD, t);
  else t.attached.delete(IN_EVENTFD);
}
/** Whether eventfd_signal() may be called here, or has to be put off. Any context. Source: include/linux/eventfd.h */
export function eventfd_signal_allowed(): boolean {
  return !current().attached.has(IN_EVENTFD);
}

/** eventfd_signal() that tells pollers @mask (EPOLL bits) as well. Source: fs/eventfd.c */
export function* eventfd_signal_mask(ctx: eventfd_ctx, n: bigint | number, mask: number): Spins<bigint> {
  let add = BigInt.asUintN(64, BigInt(n));
  if (WARN_ON_ONCE(!eventfd_signal_allowed())) return 0n;
  const flags = yield* spin_lock_irqsave(ctx.wqh.lock);
  in_eventfd(true);
  if (ULLONG_MAX - ctx.count < add) add = ULLONG_MAX - ctx.count;
  ctx.count += add;
  if (waitqueue_active(ctx.wqh)) yield* wake_up_locked_poll(ctx.wqh, EPOLLIN | mask);
  in_eventfd(false);
  yield* spin_unlock_irqrestore(ctx.wqh.lock, flags);
  return add;
}

/**
 * Adds @n to the counter and wakes who waits for it. At the largest value it stays, and poll says EPOLLERR.
 * @return what was added, less than @n on overflow. Any context; calls wake functions with interrupts off.
 * Source: fs/eventfd.c
 */
export function eventfd_signal(ctx: eventfd_ctx, n: bigint | number): Spins<bigint> {
  return eventfd_signal_mask(ctx, n, 0);
}
EXPORT_SYMBOL_GPL(eventfd_signal);

function eventfd_free_ctx(ctx: eventfd_ctx): void {
  if (ctx.id >= 0) ida_free(s.eventfd_ida, ctx.id);
  kfree(ctx);
}
/** Drops a reference of eventfd_ctx_fdget() or _fileget(). Any context. Source: fs/eventfd.c */
export function eventfd_ctx_put(ctx: eventfd_ctx): void {
  if (refcount_dec_and_test(ctx.kref.refcount)) eventfd_free_ctx(ctx);
}
EXPORT_SYMBOL_GPL(eventfd_ctx_put);

function ctx_of(file: file): eventfd_ctx {
  return file.private_data as eventfd_ctx;
}
function* eventfd_release(inode: inode, file: file): Sleeps<number> {
  const ctx = ctx_of(file);
  yield* wake_up_poll(ctx.wqh, EPOLLHUP);
  eventfd_ctx_put(ctx);
  return 0;
}

function* eventfd_poll(file: file, wait: poll_table | null): Spins<number> {
  const ctx = ctx_of(file);
  let events = 0;
  yield* poll_wait(file, ctx.wqh, wait);
  // Read without the lock: poll_wait() took and dropped it, and a change from there on wakes the poller.
  const count = READ_ONCE(ctx, "count");
  if (count > 0n) events |= EPOLLIN;
  if (count === ULLONG_MAX) events |= EPOLLERR;
  if (ULLONG_MAX - 1n > count) events |= EPOLLOUT;
  return events;
}

/** Takes the count, or one of it, and leaves what it took in @cnt. Context: ctx.wqh.lock held. Source: fs/eventfd.c */
export function eventfd_ctx_do_read(ctx: eventfd_ctx, cnt: { value: bigint }): void {
  lockdep_assert_held(ctx.wqh.lock);
  cnt.value = ctx.flags & EFD_SEMAPHORE && ctx.count ? 1n : ctx.count;
  ctx.count -= cnt.value;
}
EXPORT_SYMBOL_GPL(eventfd_ctx_do_read);

/**
 * Takes the count and the entry off the queue in one step.
 * @cnt: the count is left there. @return 0, or -EAGAIN if it was 0. Any context. Source: fs/eventfd.c
 */
export function* eventfd_ctx_remove_wait_queue(
  ctx: eventfd_ctx,
  wait: wait_queue_entry_t,
  cnt: { value: bigint },
): Spins<number> {
  const flags = yield* spin_lock_irqsave(ctx.wqh.lock);
  eventfd_ctx_do_read(ctx, cnt);
  __remove_wait_queue(ctx.wqh, wait);
  if (cnt.value !== 0n && waitqueue_active(ctx.wqh)) yield* wake_up_locked_poll(ctx.wqh, EPOLLOUT);
  yield* spin_unlock_irqrestore(ctx.wqh.lock, flags);
  return cnt.value !== 0n ? 0 : -EAGAIN;
}
EXPORT_SYMBOL_GPL(eventfd_ctx_remove_wait_queue);

const READING: waits_for = { wchan: "eventfd_read", what: "an eventfd" };
const WRITING: waits_for = { wchan: "eventfd_write", what: "room in an eventfd" };

/** Waits, with the queue's lock held on entry and exit, until `holds`. @return 0 or -ERESTARTSYS */
function* wait_locked(ctx: eventfd_ctx, holds: () => boolean, why: waits_for): Sleeps<number> {
  const wait = new wait_queue_entry_t();
  init_waitqueue_entry(wait, current());
  __add_wait_queue(ctx.wqh, wait);
  let ret = 0;
  for (;;) {
    set_current_state(TASK_INTERRUPTIBLE);
    if (holds()) break;
    if (signal_pending(current())) {
      ret = -ERESTARTSYS;
      break;
    }
    yield* spin_unlock_irq(ctx.wqh.lock);
    yield* schedule(why);
    yield* spin_lock_irq(ctx.wqh.lock);
  }
  __remove_wait_queue(ctx.wqh, wait);
  set_current_state(TASK_RUNNING);
  return ret;
}

function* eventfd_read(file: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const ctx = ctx_of(file);
  const ucnt = new u64_bytes();
  const taken = { value: 0n };
  if (count < 8) return -EINVAL;
  yield* spin_lock_irq(ctx.wqh.lock);
  if (!ctx.count) {
    if (file.f_flags & O_NONBLOCK) {
      yield* spin_unlock_irq(ctx.wqh.lock);
      return -EAGAIN;
    }
    const ret = yield* wait_locked(ctx, () => ctx.count !== 0n, READING);
    if (ret) {
      yield* spin_unlock_irq(ctx.wqh.lock);
      return ret;
    }
  }
  eventfd_ctx_do_read(ctx, taken);
  ucnt.v = taken.value;
  in_eventfd(true);
  if (waitqueue_active(ctx.wqh)) yield* wake_up_locked_poll(ctx.wqh, EPOLLOUT);
  in_eventfd(false);
  yield* spin_unlock_irq(ctx.wqh.lock);
  if (yield* copy_to_user(buf, ucnt, 8)) return -EFAULT;
  return 8;
}

function* eventfd_write(file: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const ctx = ctx_of(file);
  const bytes = new u64_bytes();
  if (count < 8) return -EINVAL;
  if (yield* copy_from_user(bytes, buf, 8)) return -EFAULT;
  const ucnt = bytes.v;
  if (ucnt === ULLONG_MAX) return -EINVAL;
  yield* spin_lock_irq(ctx.wqh.lock);
  let res = -EAGAIN;
  if (ULLONG_MAX - ctx.count > ucnt) res = 8;
  else if (!(file.f_flags & O_NONBLOCK))
    res = (yield* wait_locked(ctx, () => ULLONG_MAX - ctx.count > ucnt, WRITING)) || 8;
  if (res > 0) {
    ctx.count += ucnt;
    in_eventfd(true);
    if (waitqueue_active(ctx.wqh)) yield* wake_up_locked_poll(ctx.wqh, EPOLLIN);
    in_eventfd(false);
  }
  yield* spin_unlock_irq(ctx.wqh.lock);
  return res;
}

function* eventfd_show_fdinfo(m: seq_file, f: file): Sleeps {
  const ctx = ctx_of(f);
  yield* spin_lock_irq(ctx.wqh.lock);
  seq_printf(m, "eventfd-count: %16llx\n", ctx.count);
  yield* spin_unlock_irq(ctx.wqh.lock);
  seq_printf(m, "eventfd-id: %d\n", ctx.id);
}

const eventfd_fops: file_operations = {
  show_fdinfo: eventfd_show_fdinfo,
  release: eventfd_release,
  poll: eventfd_poll,
  read: eventfd_read,
  write: eventfd_write,
  llseek: noop_llseek,
};

/** @return the file with one more reference; ERR_PTR -EBADF, or -EINVAL if it is no eventfd. Context: process. Source: fs/eventfd.c */
export function eventfd_fget(fd: number): file {
  const file = fget(fd);
  if (!file) return ERR_PTR(-EBADF);
  if (file.f_op !== eventfd_fops) {
    fput(file);
    return ERR_PTR(-EINVAL);
  }
  return file;
}
EXPORT_SYMBOL_GPL(eventfd_fget);

/** @return the context with one more reference, or ERR_PTR as above. Context: process. Source: fs/eventfd.c */
export function eventfd_ctx_fdget(fd: number): eventfd_ctx {
  const f = fdget(fd);
  if (!f.file) return ERR_PTR(-EBADF);
  const ctx = eventfd_ctx_fileget(f.file);
  fdput(f);
  return ctx;
}
EXPORT_SYMBOL_GPL(eventfd_ctx_fdget);

export function eventfd_ctx_fileget(file: file): eventfd_ctx {
  if (file.f_op !== eventfd_fops) return ERR_PTR(-EINVAL);
  const ctx = ctx_of(file);
  kref_get(ctx.kref);
  return ctx;
}
EXPORT_SYMBOL_GPL(eventfd_ctx_fileget);

/** eventfd2(2). @return a descriptor or errno. Context: process. Source: fs/eventfd.c */
export function do_eventfd(count: number, user_flags: number): number {
  let flags = user_flags;
  if (flags & ~(EFD_SHARED_FCNTL_FLAGS | EFD_SEMAPHORE)) return -EINVAL;
  const ctx = kmalloc(eventfd_ctx, GFP_KERNEL);
  if (!ctx) return -ENOMEM;
  kref_init(ctx.kref);
  init_waitqueue_head(ctx.wqh);
  ctx.count = BigInt(count >>> 0);
  ctx.flags = flags;
  ctx.id = ida_alloc(s.eventfd_ida, GFP_KERNEL);
  let fd: number;
  err: {
    flags = (flags & EFD_SHARED_FCNTL_FLAGS) | O_RDWR;
    fd = get_unused_fd_flags(flags);
    if (fd < 0) break err;
    const file = anon_inode_getfile("[eventfd]", eventfd_fops, ctx, flags);
    if (IS_ERR(file)) {
      put_unused_fd(fd);
      fd = PTR_ERR(file);
      break err;
    }
    file.f_mode |= FMODE_NOWAIT;
    fd_install(fd, file);
    return fd;
  }
  eventfd_free_ctx(ctx);
  return fd;
}
