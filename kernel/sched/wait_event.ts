// SPDX-License-Identifier: GPL-2.0-only
/**
 * Waiting for a condition on a wait queue: the wait_event() family of include/linux/wait.h. Conditions are plain
 * functions that are called in the waiting task, at first before it goes to sleep, and again whenever it was woken.
 */
import type { wait_queue_head } from "../../include/linux/wait.ts";
import { MAX_SCHEDULE_TIMEOUT } from "../time/clock.ts";
import { point, slow, take_point } from "./core.ts";
import { might_sleep } from "./debug.ts";
import {
  autoremove_wake_function,
  DEFINE_WAIT_FUNC,
  finish_wait,
  prepare_to_wait_event,
  WQ_FLAG_EXCLUSIVE,
} from "./wait.ts";
import { spin_lock_irq, spin_unlock_irq } from "../locking/spinlock.ts";
import type { spinlock_t } from "../../include/linux/spinlock.ts";
import { TASK_IDLE, TASK_INTERRUPTIBLE, TASK_KILLABLE, TASK_UNINTERRUPTIBLE, type waits_for } from "./task.ts";
import { schedule_timeout } from "./timeout.ts";
import { READY, ready, type Sleeps } from "./types.ts";

type condition = () => boolean;

/** @return jiffies left, at least 1, if the condition holds; 0 if the time is up; -ERESTARTSYS */
function* wait_slow(
  wq: wait_queue_head,
  holds: condition,
  state: number,
  timeout: number,
  flags: number,
  lock: spinlock_t | null,
): Sleeps<number> {
  // Who holds a spinlock has looked at the condition already, and is not preempted.
  if (!lock) yield* take_point();
  if (holds()) return timeout || 1;
  let left = timeout;
  const entry = DEFINE_WAIT_FUNC(autoremove_wake_function);
  entry.flags = flags;
  const why: waits_for = { wchan: "wait_event", what: `wait queue ${wq.lock.dep_map.name}` };
  for (;;) {
    const interrupted = yield* prepare_to_wait_event(wq, entry, state);
    if (holds()) {
      left ||= 1;
      break;
    }
    if (left === 0) break;
    if (interrupted) {
      left = interrupted;
      // A signal has taken the entry off the queue already.
      yield* finish_wait(wq, entry);
      return left;
    }
    if (lock) yield* spin_unlock_irq(lock);
    left = yield* schedule_timeout(left, why);
    if (lock) yield* spin_lock_irq(lock);
  }
  yield* finish_wait(wq, entry);
  return left;
}
function* wait_for_zero(path: Sleeps<number>): Sleeps<number> {
  const left = yield* path;
  return left < 0 ? left : 0;
}
function* wait_void(path: Sleeps<number>): Sleeps {
  yield* path;
}
function slow_wait(
  wq: wait_queue_head,
  holds: condition,
  state: number,
  timeout: number,
  flags = 0,
): Sleeps<number> | null {
  might_sleep();
  if (!point() && holds()) return null;
  return slow("wait_event", wait_slow(wq, holds, state, timeout, flags, null));
}

/** Waits until `holds()`. May sleep. */
export function wait_event(wq: wait_queue_head, holds: condition): Sleeps {
  const path = slow_wait(wq, holds, TASK_UNINTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
  return path ? wait_void(path) : READY;
}
/** @return 0, or -ERESTARTSYS if a signal ended the wait */
export function wait_event_interruptible(wq: wait_queue_head, holds: condition): Sleeps<number> {
  const path = slow_wait(wq, holds, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
  return path ? wait_for_zero(path) : ready(0);
}
export function wait_event_interruptible_exclusive(wq: wait_queue_head, holds: condition): Sleeps<number> {
  const path = slow_wait(wq, holds, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT, WQ_FLAG_EXCLUSIVE);
  return path ? wait_for_zero(path) : ready(0);
}
/** @return 0, or -ERESTARTSYS if a fatal signal ended the wait */
export function wait_event_killable(wq: wait_queue_head, holds: condition): Sleeps<number> {
  const path = slow_wait(wq, holds, TASK_KILLABLE, MAX_SCHEDULE_TIMEOUT);
  return path ? wait_for_zero(path) : ready(0);
}
/** @timeout: in jiffies. @return jiffies left, at least 1, if the condition holds; 0 if it does not when the time is up */
export function wait_event_timeout(wq: wait_queue_head, holds: condition, timeout: number): Sleeps<number> {
  return slow_wait(wq, holds, TASK_UNINTERRUPTIBLE, timeout) ?? ready(timeout || 1);
}
/** As wait_event_timeout(). @return also -ERESTARTSYS if a signal ended the wait */
export function wait_event_interruptible_timeout(
  wq: wait_queue_head,
  holds: condition,
  timeout: number,
): Sleeps<number> {
  return slow_wait(wq, holds, TASK_INTERRUPTIBLE, timeout) ?? ready(timeout || 1);
}
/** As wait_event_timeout(). @return also -ERESTARTSYS if a fatal signal ended the wait */
export function wait_event_killable_timeout(wq: wait_queue_head, holds: condition, timeout: number): Sleeps<number> {
  return slow_wait(wq, holds, TASK_KILLABLE, timeout) ?? ready(timeout || 1);
}

/** As wait_event(), by a kernel thread that has nothing else to do: no load, and no hung task. */
export function wait_event_idle(wq: wait_queue_head, holds: condition): Sleeps {
  const path = slow_wait(wq, holds, TASK_IDLE, MAX_SCHEDULE_TIMEOUT);
  return path ? wait_void(path) : READY;
}
export function wait_event_idle_exclusive(wq: wait_queue_head, holds: condition): Sleeps {
  const path = slow_wait(wq, holds, TASK_IDLE, MAX_SCHEDULE_TIMEOUT, WQ_FLAG_EXCLUSIVE);
  return path ? wait_void(path) : READY;
}
/** @timeout: in jiffies. @return as wait_event_timeout() */
export function wait_event_idle_timeout(wq: wait_queue_head, holds: condition, timeout: number): Sleeps<number> {
  return slow_wait(wq, holds, TASK_IDLE, timeout) ?? ready(timeout || 1);
}
/** @return 0, or -ERESTARTSYS if a fatal signal ended the wait */
export function wait_event_killable_exclusive(wq: wait_queue_head, holds: condition): Sleeps<number> {
  const path = slow_wait(wq, holds, TASK_KILLABLE, MAX_SCHEDULE_TIMEOUT, WQ_FLAG_EXCLUSIVE);
  return path ? wait_for_zero(path) : ready(0);
}

/**
 * Waits with a spinlock held, which is given back for as long as the task sleeps: the condition is always looked at with the lock
 * held. @lock: held by spin_lock_irq(), and again when this is done
 */
export function wait_event_lock_irq(wq: wait_queue_head, holds: condition, lock: spinlock_t): Sleeps {
  if (holds()) return READY;
  return wait_void(wait_slow(wq, holds, TASK_UNINTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT, 0, lock));
}
/** The same. @return 0, or -ERESTARTSYS if a signal ended the wait */
export function wait_event_interruptible_lock_irq(
  wq: wait_queue_head,
  holds: condition,
  lock: spinlock_t,
): Sleeps<number> {
  if (holds()) return ready(0);
  return wait_for_zero(wait_slow(wq, holds, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT, 0, lock));
}
/** The same for at most `timeout` jiffies. @return as wait_event_interruptible_timeout() */
export function wait_event_interruptible_lock_irq_timeout(
  wq: wait_queue_head,
  holds: condition,
  lock: spinlock_t,
  timeout: number,
): Sleeps<number> {
  if (holds()) return ready(timeout || 1);
  return wait_slow(wq, holds, TASK_INTERRUPTIBLE, timeout, 0, lock);
}
