// SPDX-License-Identifier: GPL-2.0-only
// custom: wait queues; what they do is in kernel/sched/wait.ts
import { embed, fn, opaque, ptr, struct, u32 } from "../../kernel/lib/struct.ts";
import type { wait_queue_func } from "../../kernel/sched/wait.ts";
import type { task_struct } from "../../kernel/sched/task.ts";
import { spinlock } from "./spinlock.ts";

/** One who waits. C's member `private` is `priv` here. */
export class wait_queue_entry extends struct("wait_queue_entry", {
  flags: u32(),
  priv: ptr<task_struct>(),
  func: fn<wait_queue_func>(),
  /** The queue it is on, null if on none. */
  entry: opaque<object | null>(() => null, 16),
}) {}
export { wait_queue_entry as wait_queue_entry_t };

export class wait_queue_head extends struct("wait_queue_head", {
  lock: embed(() => spinlock),
  head: opaque((): wait_queue_entry[] => [], 16),
}) {}
export { wait_queue_head as wait_queue_head_t };

export {
  __add_wait_queue,
  __add_wait_queue_entry_tail,
  __remove_wait_queue,
  __wake_up,
  __wake_up_locked_key,
  add_wait_queue,
  add_wait_queue_exclusive,
  add_wait_queue_priority,
  autoremove_wake_function,
  DECLARE_WAIT_QUEUE_HEAD,
  default_wake_function,
  DEFINE_WAIT,
  DEFINE_WAIT_FUNC,
  finish_wait,
  init_wait,
  init_waitqueue_entry,
  init_waitqueue_func_entry,
  init_waitqueue_head,
  prepare_to_wait,
  prepare_to_wait_event,
  prepare_to_wait_exclusive,
  remove_wait_queue,
  wait_woken,
  waitqueue_active,
  wake_up,
  wake_up_all,
  wake_up_interruptible,
  wake_up_interruptible_all,
  wake_up_interruptible_poll,
  wake_up_locked,
  wake_up_locked_poll,
  wake_up_nr,
  wake_up_poll,
  woken_wake_function,
  WQ_FLAG_EXCLUSIVE,
  WQ_FLAG_PRIORITY,
  WQ_FLAG_WOKEN,
  type wait_queue_func,
} from "../../kernel/sched/wait.ts";
export {
  wait_event,
  wait_event_idle,
  wait_event_idle_exclusive,
  wait_event_idle_timeout,
  wait_event_interruptible,
  wait_event_interruptible_exclusive,
  wait_event_interruptible_lock_irq,
  wait_event_interruptible_lock_irq_timeout,
  wait_event_interruptible_timeout,
  wait_event_killable,
  wait_event_killable_exclusive,
  wait_event_killable_timeout,
  wait_event_lock_irq,
  wait_event_timeout,
} from "../../kernel/sched/wait_event.ts";
