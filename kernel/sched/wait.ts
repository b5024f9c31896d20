// SPDX-License-Identifier: GPL-2.0-only
/**
 * Wait queues. Who waits puts an entry on the queue; waking calls each entry's function under the queue's lock, which
 * for most wakes a task and for some does anything.
 * Source: kernel/sched/wait.c, include/linux/wait.h. Without bookmarks: a long queue is walked in one go.
 */
import { wait_queue_entry, wait_queue_head } from "../../include/linux/wait.ts";
import { ERESTARTSYS } from "../../include/linux/errno.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { name_of_member } from "../locking/debug_locks.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore, SPINLOCK_MAGIC } from "../locking/spinlock.ts";
import { point, set_current_state, signal_pending_state, slow, take_point, try_to_wake_up } from "./core.ts";
import { current, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_RUNNING, type task_struct, type waits_for } from "./task.ts";
import { schedule_timeout } from "./timeout.ts";
import { READY, ready_int, type Sleeps, type Spins } from "./types.ts";

/**
 * What waking does to one entry. Called with the queue's lock held and interrupts off. @mode: task states to wake.
 * @key: for poll, the events. @return whether it took the wake-up; negative stops the walk
 */
export type wait_queue_func = (entry: wait_queue_entry, mode: number, flags: number, key: unknown) => Spins<number>;

export const WQ_FLAG_EXCLUSIVE = 0x01;
export const WQ_FLAG_WOKEN = 0x02;
export const WQ_FLAG_PRIORITY = 0x20;

/** @name: of its lock's class, if not that of the struct it lies in */
export function init_waitqueue_head(wq: wait_queue_head, name = name_of_member(wq, "wq")): void {
  spin_lock_init(wq.lock, name);
  wq.head = [];
}
/** A static queue, initialised. @name: of the variable */
export function DECLARE_WAIT_QUEUE_HEAD(name: string): wait_queue_head {
  const wq = new wait_queue_head();
  init_waitqueue_head(wq, name);
  return wq;
}
export function init_waitqueue_entry(entry: wait_queue_entry, t: task_struct): void {
  entry.flags = 0;
  entry.priv = t;
  entry.func = default_wake_function;
}
export function init_waitqueue_func_entry(entry: wait_queue_entry, func: wait_queue_func): void {
  entry.flags = 0;
  entry.priv = null;
  entry.func = func;
}
/** An entry on the stack for the current task. @func: what waking it does */
export function DEFINE_WAIT_FUNC(func: wait_queue_func): wait_queue_entry {
  const entry = new wait_queue_entry();
  entry.priv = current();
  entry.func = func;
  return entry;
}
export function DEFINE_WAIT(): wait_queue_entry {
  return DEFINE_WAIT_FUNC(autoremove_wake_function);
}
export function init_wait(entry: wait_queue_entry): void {
  entry.priv = current();
  entry.func = autoremove_wake_function;
  entry.entry = null;
  entry.flags = 0;
}
/** Whether anybody waits. Without the lock: the caller knows why that is enough. */
export function waitqueue_active(wq: wait_queue_head): boolean {
  return wq.head.length > 0;
}

/** Puts an entry at the head of the queue, whose lock is held. */
export function __add_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): void {
  // Behind those that are to be asked first of all.
  const at = entry.flags & WQ_FLAG_PRIORITY ? 0 : wq.head.findIndex((e) => !(e.flags & WQ_FLAG_PRIORITY));
  wq.head.splice(at < 0 ? wq.head.length : at, 0, entry);
  entry.entry = wq;
}
export function __add_wait_queue_entry_tail(wq: wait_queue_head, entry: wait_queue_entry): void {
  wq.head.push(entry);
  entry.entry = wq;
}
export function __remove_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): void {
  const at = wq.head.indexOf(entry);
  if (at >= 0) wq.head.splice(at, 1);
  entry.entry = null;
}

/** Nobody can be in the middle of something that the lock protects. */
function unlocked(wq: wait_queue_head): boolean {
  return wq.lock.owner === null && wq.lock.magic === SPINLOCK_MAGIC;
}
type list_operation = (wq: wait_queue_head, entry: wait_queue_entry) => void;
function* locked_operation(wq: wait_queue_head, entry: wait_queue_entry, op: list_operation): Spins {
  yield* take_point();
  const flags = yield* spin_lock_irqsave(wq.lock);
  op(wq, entry);
  yield* spin_unlock_irqrestore(wq.lock, flags);
}
function with_lock(what: string, wq: wait_queue_head, entry: wait_queue_entry, op: list_operation): Spins {
  if (point() || !unlocked(wq)) return slow(what, locked_operation(wq, entry, op));
  kcsan_acquire(wq.lock);
  op(wq, entry);
  kcsan_release(wq.lock);
  return READY;
}

/** Puts an entry on the queue. Any context. */
export function add_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): Spins {
  entry.flags &= ~WQ_FLAG_EXCLUSIVE;
  return with_lock("add_wait_queue", wq, entry, __add_wait_queue);
}
export function add_wait_queue_exclusive(wq: wait_queue_head, entry: wait_queue_entry): Spins {
  entry.flags |= WQ_FLAG_EXCLUSIVE;
  return with_lock("add_wait_queue_exclusive", wq, entry, __add_wait_queue_entry_tail);
}
export function add_wait_queue_priority(wq: wait_queue_head, entry: wait_queue_entry): Spins {
  entry.flags |= WQ_FLAG_EXCLUSIVE | WQ_FLAG_PRIORITY;
  return with_lock("add_wait_queue_priority", wq, entry, __add_wait_queue);
}
/** Takes an entry off the queue; its function does not run any more when this is done. Any context. */
export function remove_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): Spins {
  return with_lock("remove_wait_queue", wq, entry, __remove_wait_queue);
}

/** @return 1 if the task was woken */
function wake_task(entry: wait_queue_entry, mode: number): number {
  const t = entry.priv;
  return t && try_to_wake_up(t, mode) ? 1 : 0;
}
function wake_and_remove(entry: wait_queue_entry, mode: number): number {
  const woken = wake_task(entry, mode);
  const wq = entry.entry;
  if (woken && wq instanceof wait_queue_head) __remove_wait_queue(wq, entry);
  return woken;
}
export function default_wake_function(
  entry: wait_queue_entry,
  mode: number,
  _flags: number,
  _key: unknown,
): Spins<number> {
  return ready_int(wake_task(entry, mode));
}
/** Wakes the task and takes the entry off the queue. */
export function autoremove_wake_function(
  entry: wait_queue_entry,
  mode: number,
  _flags: number,
  _key: unknown,
): Spins<number> {
  return ready_int(wake_and_remove(entry, mode));
}
export function woken_wake_function(entry: wait_queue_entry, mode: number, flags: number, key: unknown): Spins<number> {
  entry.flags |= WQ_FLAG_WOKEN;
  return default_wake_function(entry, mode, flags, key);
}
/** Functions that only wake a task: waking through them takes no lock of their own. */
function only_wakes(entry: wait_queue_entry): boolean {
  return entry.func === autoremove_wake_function || entry.func === default_wake_function;
}

function* wake_up_common(wq: wait_queue_head, mode: number, nr_exclusive: number, key: unknown): Spins {
  let left = nr_exclusive;
  for (const entry of [...wq.head]) {
    if (entry.entry !== wq) continue;
    const { flags } = entry;
    const ret = yield* entry.func!(entry, mode, 0, key);
    if (ret < 0) break;
    if (ret && flags & WQ_FLAG_EXCLUSIVE && !--left) break;
  }
}
function wake_up_tasks(wq: wait_queue_head, mode: number, nr_exclusive: number): void {
  let left = nr_exclusive;
  for (const entry of [...wq.head]) {
    const { flags } = entry;
    const ret = entry.func === autoremove_wake_function ? wake_and_remove(entry, mode) : wake_task(entry, mode);
    if (ret && flags & WQ_FLAG_EXCLUSIVE && !--left) break;
  }
}
function* wake_up_slow(wq: wait_queue_head, mode: number, nr_exclusive: number, key: unknown): Spins {
  yield* take_point();
  const flags = yield* spin_lock_irqsave(wq.lock);
  yield* wake_up_common(wq, mode, nr_exclusive, key);
  yield* spin_unlock_irqrestore(wq.lock, flags);
}

/**
 * Wakes everybody who waits without being exclusive, and the first `nr_exclusive` of those who are; 0 is all. Any context.
 * @mode: task states to wake. @key: handed to the entries' functions
 */
export function __wake_up(wq: wait_queue_head, mode: number, nr_exclusive: number, key: unknown): Spins {
  if (point() || !unlocked(wq) || !wq.head.every(only_wakes))
    return slow("wake_up", wake_up_slow(wq, mode, nr_exclusive, key));
  kcsan_acquire(wq.lock);
  wake_up_tasks(wq, mode, nr_exclusive);
  kcsan_release(wq.lock);
  return READY;
}
/** __wake_up() for who holds the queue's lock. */
export function __wake_up_locked_key(wq: wait_queue_head, mode: number, key: unknown): Spins {
  return wake_up_common(wq, mode, 1, key);
}
export const wake_up = (wq: wait_queue_head): Spins => __wake_up(wq, TASK_NORMAL, 1, null);
export const wake_up_nr = (wq: wait_queue_head, nr: number): Spins => __wake_up(wq, TASK_NORMAL, nr, null);
export const wake_up_all = (wq: wait_queue_head): Spins => __wake_up(wq, TASK_NORMAL, 0, null);
export const wake_up_interruptible = (wq: wait_queue_head): Spins => __wake_up(wq, TASK_INTERRUPTIBLE, 1, null);
export const wake_up_interruptible_all = (wq: wait_queue_head): Spins => __wake_up(wq, TASK_INTERRUPTIBLE, 0, null);
/** @events: EPOLL… */
export const wake_up_poll = (wq: wait_queue_head, events: number): Spins => __wake_up(wq, TASK_NORMAL, 1, events);
export const wake_up_interruptible_poll = (wq: wait_queue_head, events: number): Spins =>
  __wake_up(wq, TASK_INTERRUPTIBLE, 1, events);
export const wake_up_locked = (wq: wait_queue_head): Spins => __wake_up_locked_key(wq, TASK_NORMAL, null);
export const wake_up_locked_poll = (wq: wait_queue_head, events: number): Spins =>
  __wake_up_locked_key(wq, TASK_NORMAL, events);

function queue_entry(wq: wait_queue_head, entry: wait_queue_entry): void {
  if (entry.entry !== null) return;
  if (entry.flags & WQ_FLAG_EXCLUSIVE) __add_wait_queue_entry_tail(wq, entry);
  else __add_wait_queue(wq, entry);
}
/** Puts the entry on the queue if it is on none, and sets the current task's state. Then test, then schedule(). */
export function* prepare_to_wait(wq: wait_queue_head, entry: wait_queue_entry, state: number): Spins {
  entry.flags &= ~WQ_FLAG_EXCLUSIVE;
  yield* with_lock("prepare_to_wait", wq, entry, queue_entry);
  // No point lies between this and what C does under the lock: a waker sees both or neither.
  set_current_state(state);
}
export function* prepare_to_wait_exclusive(wq: wait_queue_head, entry: wait_queue_entry, state: number): Spins {
  entry.flags |= WQ_FLAG_EXCLUSIVE;
  yield* with_lock("prepare_to_wait_exclusive", wq, entry, queue_entry);
  set_current_state(state);
}
/** @return -ERESTARTSYS, with the entry off the queue, if a signal is pending that ends a wait in `state`; else 0 */
export function* prepare_to_wait_event(wq: wait_queue_head, entry: wait_queue_entry, state: number): Spins<number> {
  if (signal_pending_state(state, current())) {
    yield* with_lock("prepare_to_wait_event", wq, entry, __remove_wait_queue);
    return -ERESTARTSYS;
  }
  yield* with_lock("prepare_to_wait_event", wq, entry, queue_entry);
  set_current_state(state);
  return 0;
}
/** The wait is over: the task runs on, the entry leaves the queue. */
export function finish_wait(wq: wait_queue_head, entry: wait_queue_entry): Spins {
  set_current_state(TASK_RUNNING);
  return entry.entry === null ? READY : with_lock("finish_wait", wq, entry, __remove_wait_queue);
}

/** Sleeps until woken_wake_function() was called for the entry. @return jiffies left. May sleep. */
export function* wait_woken(entry: wait_queue_entry, mode: number, timeout: number): Sleeps<number> {
  let left = timeout;
  set_current_state(mode);
  const why: waits_for = { wchan: "wait_woken", what: "a wait queue" };
  if (!(entry.flags & WQ_FLAG_WOKEN)) left = yield* schedule_timeout(left, why);
  set_current_state(TASK_RUNNING);
  entry.flags &= ~WQ_FLAG_WOKEN;
  return left;
}
