// SPDX-License-Identifier: GPL-2.0-only
/** Sleeping until a time that is not a tick: what system calls do with the times that user space gives. */
import { EINTR } from "#linux/errno.ts";
import { schedule, set_current_state, wake_up_process } from "../sched/core.ts";
import { current, TASK_RUNNING, type task_struct, type waits_for } from "../sched/task.ts";
import { READY, type Sleeps, type Spins } from "../sched/types.ts";
import { arm, disarm, wheel_entry } from "../time/timer.ts";

class hrtimer_sleeper extends wheel_entry {
  readonly task: task_struct;
  constructor(task: task_struct) {
    super(hrtimer_wakeup);
    this.task = task;
  }
}
function hrtimer_wakeup(entry: wheel_entry): Spins {
  if (entry instanceof hrtimer_sleeper) wake_up_process(entry.task);
  return READY;
}

/**
 * Sleeps until woken or until @end_ns on the virtual clock; the caller has set its state.
 * @end_ns: null for no limit. @return 0 if the time is up, else -EINTR. Context: may sleep. Source: kernel/time/hrtimer.c
 */
export function* schedule_hrtimeout(end_ns: number | null, why: waits_for): Sleeps<number> {
  if (end_ns === null) {
    yield* schedule(why);
    return -EINTR;
  }
  const timer = new hrtimer_sleeper(current());
  arm(timer, end_ns);
  yield* schedule(why);
  const expired = !timer.pending;
  disarm(timer);
  set_current_state(TASK_RUNNING);
  return expired ? 0 : -EINTR;
}
