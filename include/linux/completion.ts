// SPDX-License-Identifier: GPL-2.0-only
// custom: completions; what they do is in kernel/sched/completion.ts
import { embed, opaque, struct, u32 } from "../../kernel/lib/struct.ts";
import type { task_struct } from "../../kernel/sched/task.ts";
import { spinlock } from "./spinlock.ts";

/** A queue of tasks that are woken one by one. */
export class swait_queue_head extends struct("swait_queue_head", {
  lock: embed(() => spinlock),
  task_list: opaque((): task_struct[] => [], 16),
  /** Off the list, and not run since. Only for the checker: it takes no room. */
  woken: opaque((): task_struct[] => [], 0),
}) {}

export class completion extends struct("completion", {
  /** How many waits can still pass; UINT_MAX after complete_all(). */
  done: u32(),
  wait: embed(() => swait_queue_head),
}) {}

export {
  complete,
  complete_all,
  completion_done,
  DECLARE_COMPLETION,
  DECLARE_COMPLETION_ONSTACK,
  init_completion,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion,
  wait_for_completion_interruptible,
  wait_for_completion_interruptible_timeout,
  wait_for_completion_io,
  wait_for_completion_io_timeout,
  wait_for_completion_killable,
  wait_for_completion_killable_timeout,
  wait_for_completion_state,
  wait_for_completion_timeout,
} from "../../kernel/sched/completion.ts";
