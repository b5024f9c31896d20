// SPDX-License-Identifier: GPL-2.0-only
// custom: workqueues; what they do is in kernel/workqueue/
import { container_of, embed, fn, int, opaque, ptr, str, struct, u32 } from "../../kernel/lib/struct.ts";
import { lockdep_map } from "../../kernel/locking/lockdep.ts";
import type { inactive_list, work_item, work_func, work_list } from "../../kernel/workqueue/worker.ts";
import { timer_list } from "./timer.ts";

/** A workqueue; C keeps most of this in a pool_workqueue for each CPU or node. */
export class workqueue_struct extends struct("workqueue_struct", {
  name: str(),
  flags: u32(),
  max_active: int(),
  nr_active: int(),
  nr_drainers: int(),
  /** Everything queued and not yet finished. */
  in_flight: opaque((): work_list => new Set(), 16),
  /** What waits for nr_active to fall. */
  inactive_works: opaque((): inactive_list => [], 16),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}

export class work_struct extends struct("work_struct", {
  /** WORK_STRUCT_…: whether it is pending, whether somebody cancels it. */
  data: u32(),
  /** What stands for it on a list: null if it was never initialised, IDLE if it is on none. */
  entry: opaque<work_item | "idle" | null>(() => null, 16),
  func: fn<work_func>(),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}

export class delayed_work extends struct("delayed_work", {
  work: embed(() => work_struct),
  timer: embed(() => timer_list),
  wq: ptr<workqueue_struct>(),
  cpu: int(),
}) {}
export const to_delayed_work = (work: work_struct): delayed_work => container_of(work, delayed_work, "work");

export const WQ_UNBOUND = 1 << 1;
export const WQ_FREEZABLE = 1 << 2;
export const WQ_MEM_RECLAIM = 1 << 3;
export const WQ_HIGHPRI = 1 << 4;
export const WQ_CPU_INTENSIVE = 1 << 5;
export const WQ_SYSFS = 1 << 6;
export const WQ_POWER_EFFICIENT = 1 << 7;
export const __WQ_DRAINING = 1 << 16;
export const __WQ_ORDERED = 1 << 17;
export const __WQ_LEGACY = 1 << 18;
export const __WQ_ORDERED_EXPLICIT = 1 << 19;
export const WQ_MAX_ACTIVE = 512;
export const WQ_DFL_ACTIVE = WQ_MAX_ACTIVE / 2;

export const WORK_STRUCT_PENDING = 1;
export const WORK_OFFQ_CANCELING = 2;
/** Any CPU will do. */
export const WORK_CPU_UNBOUND = 64;

export { current_work, type work_func, type work_func as work_func_t } from "../../kernel/workqueue/worker.ts";
export {
  DECLARE_WORK,
  delayed_work_pending,
  INIT_DELAYED_WORK,
  INIT_DELAYED_WORK as INIT_DEFERRABLE_WORK,
  INIT_WORK,
  mod_delayed_work,
  queue_delayed_work,
  queue_work,
  queue_work_on,
  schedule_delayed_work,
  schedule_work,
  work_pending,
} from "../../kernel/workqueue/queue.ts";
export {
  cancel_delayed_work,
  cancel_delayed_work_sync,
  cancel_work,
  cancel_work_sync,
  drain_workqueue,
  flush_delayed_work,
  flush_work,
  flush_workqueue,
  flush_workqueue as __flush_workqueue,
} from "../../kernel/workqueue/flush.ts";
export {
  alloc_ordered_workqueue,
  alloc_workqueue,
  create_singlethread_workqueue,
  create_workqueue,
  destroy_workqueue,
  system_freezable_wq,
  system_highpri_wq,
  system_long_wq,
  system_power_efficient_wq,
  system_unbound_wq,
  system_wq,
} from "../../kernel/workqueue/alloc.ts";
