// SPDX-License-Identifier: GPL-2.0-only
// custom: timers; what they do is in kernel/time/timer_list.ts
import { container_of, fn, opaque, struct, u32 } from "../../kernel/lib/struct.ts";
import { lockdep_map } from "../../kernel/locking/lockdep.ts";
import type { timer_entry, timer_func } from "../../kernel/time/timer_list.ts";

/** C's member `function` is `func` here. All zeros is a timer that was never set up. */
export class timer_list extends struct("timer_list", {
  /** Its place in the wheel; null if it is not pending. */
  entry: opaque<timer_entry | null>(() => null, 16),
  /** In jiffies. */
  expires: opaque(() => 0),
  func: fn<timer_func>(),
  flags: u32(),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}

/** The struct that a timer is embedded in. */
export const from_timer = container_of;

export {
  add_timer,
  del_timer,
  del_timer as timer_delete,
  del_timer_sync,
  del_timer_sync as timer_delete_sync,
  DEFINE_TIMER,
  mod_timer,
  mod_timer_pending,
  timer_pending,
  timer_reduce,
  timer_setup,
  try_to_del_timer_sync,
  TIMER_DEFERRABLE,
  TIMER_IRQSAFE,
} from "../../kernel/time/timer_list.ts";
