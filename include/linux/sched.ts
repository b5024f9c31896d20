// SPDX-License-Identifier: GPL-2.0-only
// custom: tasks, their states, and giving up the CPU
import type { Sleeps, Spins } from "../../kernel/sched/types.ts";
import type { task_struct } from "../../kernel/sched/task.ts";

export { type Sleeps, type Spins, READY, ready, ready_int } from "../../kernel/sched/types.ts";
export { either } from "../../kernel/sched/either.ts";
export {
  current,
  PF_EXITING,
  PF_IDLE,
  PF_KTHREAD,
  PF_WQ_WORKER,
  TASK_DEAD,
  TASK_IDLE,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_NOLOAD,
  TASK_NORMAL,
  TASK_RUNNING,
  task_struct,
  TASK_UNINTERRUPTIBLE,
  TASK_WAKEKILL,
  type waits_for,
} from "../../kernel/sched/task.ts";
export {
  cond_resched,
  schedule,
  set_current_state,
  set_current_state as __set_current_state,
  signal_pending_state,
  try_to_wake_up,
  wake_up_process,
} from "../../kernel/sched/core.ts";
export { fatal_signal_pending, signal_pending } from "../../kernel/signal.ts";
export { might_sleep } from "../../kernel/sched/debug.ts";
export {
  schedule_timeout,
  schedule_timeout_interruptible,
  schedule_timeout_uninterruptible,
} from "../../kernel/sched/timeout.ts";
export { MAX_SCHEDULE_TIMEOUT } from "../../kernel/time/clock.ts";
export * from "./preempt.ts";

export const TASK_COMM_LEN = 16;

export const task_pid_nr = (t: task_struct): number => t.pid;

/**
 * Lets a function that cannot sleep call one that may: where C calls the same function from both kinds of context. If it
 * does sleep where that is not allowed, schedule() says so when it happens.
 */
export function atomic_context<T>(call: Sleeps<T>): Spins<T> {
  // The compiler knows no more than C's does here; the run-time check has the last word.
  return call as Spins<T>;
}
