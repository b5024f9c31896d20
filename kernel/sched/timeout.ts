// SPDX-License-Identifier: GPL-2.0-only
/** Sleeping for a time. */
import { jiffies, MAX_SCHEDULE_TIMEOUT, msecs_to_jiffies, NSEC_PER_JIFFY } from "../time/clock.ts";
import { arm_jiffies, disarm, wheel_entry } from "../time/timer.ts";
import { schedule, set_current_state, signal_pending_state, wake_up_process } from "./core.ts";
import { current, TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, type task_struct, type waits_for } from "./task.ts";
import { READY, type Sleeps, type Spins } from "./types.ts";

class process_timer extends wheel_entry {
  readonly task: task_struct;
  constructor(task: task_struct) {
    super(process_timeout);
    this.task = task;
  }
}
function process_timeout(entry: wheel_entry): Spins {
  if (entry instanceof process_timer) wake_up_process(entry.task);
  return READY;
}

/**
 * Sleeps until woken or until `timeout` jiffies have passed; the caller has set its state. May sleep.
 * @return jiffies left, 0 if the time is up; MAX_SCHEDULE_TIMEOUT waits without a limit
 */
export function* schedule_timeout(timeout: number, why: waits_for | null = null): Sleeps<number> {
  if (timeout === MAX_SCHEDULE_TIMEOUT) {
    yield* schedule(why);
    return timeout;
  }
  const end = jiffies() + timeout;
  const timer = new process_timer(current());
  arm_jiffies(timer, timeout);
  yield* schedule(why);
  disarm(timer);
  return Math.max(0, end - jiffies());
}
export function* schedule_timeout_uninterruptible(timeout: number): Sleeps<number> {
  set_current_state(TASK_UNINTERRUPTIBLE);
  return yield* schedule_timeout(timeout);
}
export function* schedule_timeout_interruptible(timeout: number): Sleeps<number> {
  set_current_state(TASK_INTERRUPTIBLE);
  return yield* schedule_timeout(timeout);
}
export function* msleep(ms: number): Sleeps {
  let timeout = msecs_to_jiffies(ms) + 1;
  while (timeout) timeout = yield* schedule_timeout_uninterruptible(timeout);
}
/** @return milliseconds left if a signal ended the sleep */
export function* msleep_interruptible(ms: number): Sleeps<number> {
  let timeout = msecs_to_jiffies(ms) + 1;
  while (timeout && !signal_pending_state(TASK_INTERRUPTIBLE, current()))
    timeout = yield* schedule_timeout_interruptible(timeout);
  return (timeout * NSEC_PER_JIFFY) / 1_000_000;
}
