// SPDX-License-Identifier: GPL-2.0-only
/**
 * Completions: "this has happened", counted. Source: kernel/sched/completion.c, kernel/sched/swait.c.
 * The queue's spinlock is never met held, as nothing under it can be interrupted here; only its magic number is looked
 * at, which tells a completion that was never initialised.
 */
import { completion, type swait_queue_head } from "../../include/linux/completion.ts";
import { ERESTARTSYS } from "../../include/linux/errno.ts";
import { checkers } from "../checkers.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { bad_access } from "../lib/err_ptr.ts";
import { name_of_member } from "../locking/debug_locks.ts";
import { spin_bad_magic, spin_lock_init, SPINLOCK_MAGIC } from "../locking/spinlock.ts";
import { on_stack } from "../mm/stack.ts";
import { report, where_we_are } from "../panic.ts";
import { MAX_SCHEDULE_TIMEOUT } from "../time/clock.ts";
import { traced } from "../trace/emitter.ts";
import { trace_completion } from "../trace/events.ts";
import { point, set_current_state, signal_pending_state, slow, take_point, wake_up_process } from "./core.ts";
import { might_sleep } from "./debug.ts";
import {
  current,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_RUNNING,
  type task_struct,
  TASK_UNINTERRUPTIBLE,
} from "./task.ts";
import { schedule_timeout } from "./timeout.ts";
import { READY, ready, ready_int, type Sleeps } from "./types.ts";

const UINT_MAX = 0xffffffff;

const names_of = (tasks: readonly task_struct[]): string => tasks.map((t) => `${t.comm}/${t.pid}`).join(", ");

/** Linux says nothing in these cases: the words are this project's own. */
function misused(how: string, detail: string): void {
  if (!checkers.on) return;
  const title = `completion: ${how}`;
  report({ checker: "completion", title, text: [title, detail, where_we_are()].join("\n") });
}

/**
 * Makes `x` a completion that has not happened. @name: if not that of the struct it lies in
 * Linux says nothing when somebody is waiting on it at that time: they are lost. Here it is reported.
 */
export function init_completion(x: completion, name = name_of_member(x, "x")): void {
  const { task_list } = x.wait;
  if (task_list.length > 0)
    misused(
      "initialised while somebody waits for it",
      `${x.wait.lock.dep_map.name} was initialised again, and ${names_of(task_list)} will not be woken`,
    );
  x.done = 0;
  spin_lock_init(x.wait.lock, name);
  x.wait.task_list = [];
  x.wait.woken = [];
}
/**
 * Has not happened any more. Who waits goes on waiting; whoever was told already and has not run since is told in vain, which
 * is reported.
 */
export function reinit_completion(x: completion): void {
  const told = x.wait.woken;
  if (x.done > 0 && told.length > 0)
    misused(
      "reinitialised before who was woken has seen it",
      `${x.wait.lock.dep_map.name} was reinitialised, and ${names_of(told)} will wait on`,
    );
  x.done = 0;
}
/** A static completion, initialised. @name: of the variable */
export function DECLARE_COMPLETION(name: string): completion {
  const x = new completion();
  init_completion(x, name);
  return x;
}
/** `using done = DECLARE_COMPLETION_ONSTACK()`: gone at the end of the block. */
export function DECLARE_COMPLETION_ONSTACK(name = "done"): completion & Disposable {
  const x = on_stack(completion);
  init_completion(x, name);
  return x;
}

/** What the first use of a completion of zeros runs into: a lock without magic, then a list head of NULL pointers. */
function check_queue(q: swait_queue_head): void {
  if (q.lock.magic === SPINLOCK_MAGIC) return;
  spin_bad_magic(q.lock);
  bad_access.fault(8n, "list_head.prev", true);
}

function wake_first(q: swait_queue_head): boolean {
  const t = q.task_list.shift();
  if (!t) return false;
  q.woken.push(t);
  wake_up_process(t);
  return true;
}

/** Lets one waiter go on, the first or the next to come. Any context. */
export function complete(x: completion): void {
  check_queue(x.wait);
  if (traced.kernel) trace_completion("complete", x, x.done > 0);
  if (x.done !== UINT_MAX) x.done++;
  wake_first(x.wait);
  kcsan_release(x);
}
/** Lets all waiters go on, those to come as well, until reinit_completion(), before which it is of no use again. Any context. */
export function complete_all(x: completion): void {
  check_queue(x.wait);
  if (traced.kernel) trace_completion("complete", x, x.done > 0);
  if (x.done === UINT_MAX)
    misused(
      "complete_all() of what is complete for all",
      `${x.wait.lock.dep_map.name} was not reinitialised in between`,
    );
  x.done = UINT_MAX;
  while (wake_first(x.wait));
  kcsan_release(x);
}

function consume(x: completion): void {
  if (x.done !== UINT_MAX) x.done--;
  kcsan_acquire(x);
}

/** @return jiffies left, at least 1; 0 if the time is up; -ERESTARTSYS */
function* wait_slow(x: completion, timeout: number, state: number, wchan: string): Sleeps<number> {
  yield* take_point();
  check_queue(x.wait);
  const me = current();
  let left = timeout;
  if (!x.done) {
    const why = { wchan, what: `completion ${x.wait.lock.dep_map.name}` };
    do {
      if (signal_pending_state(state, me)) {
        left = -ERESTARTSYS;
        break;
      }
      if (!x.wait.task_list.includes(me)) x.wait.task_list.push(me);
      set_current_state(state);
      left = yield* schedule_timeout(left, why);
      const woken = x.wait.woken.indexOf(me);
      if (woken >= 0) x.wait.woken.splice(woken, 1);
    } while (!x.done && left);
    set_current_state(TASK_RUNNING);
    const at = x.wait.task_list.indexOf(me);
    if (at >= 0) x.wait.task_list.splice(at, 1);
    if (!x.done) return left;
  }
  consume(x);
  return left || 1;
}
function* wait_void(path: Sleeps<number>): Sleeps {
  yield* path;
}
function* wait_for_zero(path: Sleeps<number>): Sleeps<number> {
  const left = yield* path;
  return left === -ERESTARTSYS ? left : 0;
}

/** @return null if it had happened already */
function wait_for_common(x: completion, timeout: number, state: number, wchan: string): Sleeps<number> | null {
  might_sleep();
  if (traced.kernel) trace_completion("wait_for_completion", x, x.done > 0);
  if (point() || !x.done) return slow(wchan, wait_slow(x, timeout, state, wchan));
  check_queue(x.wait);
  consume(x);
  return null;
}

/** Waits for a complete(). May sleep. */
export function wait_for_completion(x: completion): Sleeps {
  const path = wait_for_common(x, MAX_SCHEDULE_TIMEOUT, TASK_UNINTERRUPTIBLE, "wait_for_completion");
  return path ? wait_void(path) : READY;
}
/** @timeout: in jiffies. @return jiffies left, at least 1; 0 if the time is up */
export function wait_for_completion_timeout(x: completion, timeout: number): Sleeps<number> {
  const path = wait_for_common(x, timeout, TASK_UNINTERRUPTIBLE, "wait_for_completion_timeout");
  return path ?? ready(timeout || 1);
}
/** As wait_for_completion(), for the accounts of who waits for a device. */
export function wait_for_completion_io(x: completion): Sleeps {
  const path = wait_for_common(x, MAX_SCHEDULE_TIMEOUT, TASK_UNINTERRUPTIBLE, "wait_for_completion_io");
  return path ? wait_void(path) : READY;
}
/** @timeout: in jiffies. @return jiffies left, at least 1; 0 if the time is up */
export function wait_for_completion_io_timeout(x: completion, timeout: number): Sleeps<number> {
  const path = wait_for_common(x, timeout, TASK_UNINTERRUPTIBLE, "wait_for_completion_io_timeout");
  return path ?? ready(timeout || 1);
}
/** @return 0, or -ERESTARTSYS if a signal ended the wait */
export function wait_for_completion_interruptible(x: completion): Sleeps<number> {
  return wait_for_completion_state(x, TASK_INTERRUPTIBLE, "wait_for_completion_interruptible");
}
/** @return jiffies left, at least 1; 0 if the time is up; -ERESTARTSYS if a signal ended the wait */
export function wait_for_completion_interruptible_timeout(x: completion, timeout: number): Sleeps<number> {
  const path = wait_for_common(x, timeout, TASK_INTERRUPTIBLE, "wait_for_completion_interruptible_timeout");
  return path ?? ready(timeout || 1);
}
/** @return 0, or -ERESTARTSYS if a fatal signal ended the wait */
export function wait_for_completion_killable(x: completion): Sleeps<number> {
  return wait_for_completion_state(x, TASK_KILLABLE, "wait_for_completion_killable");
}
/** @return jiffies left, at least 1; 0 if the time is up; -ERESTARTSYS if a fatal signal ended the wait */
export function wait_for_completion_killable_timeout(x: completion, timeout: number): Sleeps<number> {
  const path = wait_for_common(x, timeout, TASK_KILLABLE, "wait_for_completion_killable_timeout");
  return path ?? ready(timeout || 1);
}
/** @state: in which to sleep. @return 0, or -ERESTARTSYS if a signal ended the wait */
export function wait_for_completion_state(
  x: completion,
  state: number,
  wchan = "wait_for_completion_state",
): Sleeps<number> {
  const path = wait_for_common(x, MAX_SCHEDULE_TIMEOUT, state, wchan);
  return path ? wait_for_zero(path) : ready_int(0);
}

/** @return whether it had happened; if so, this counts as a wait. Any context. */
export function try_wait_for_completion(x: completion): boolean {
  if (!x.done) return false;
  check_queue(x.wait);
  consume(x);
  return true;
}
/** @return whether it has happened. Any context. */
export function completion_done(x: completion): boolean {
  if (x.done === 0) return false;
  // Linux takes the queue's lock once: whoever completed has left it.
  kcsan_acquire(x);
  return true;
}
