// SPDX-License-Identifier: GPL-2.0-only
/** Waiting for work items, and taking them back. Source: kernel/workqueue.c */
import {
  __WQ_DRAINING,
  type delayed_work,
  WORK_OFFQ_CANCELING,
  WORK_STRUCT_PENDING,
  type work_struct,
  type workqueue_struct,
  WQ_MEM_RECLAIM,
} from "../../include/linux/workqueue.ts";
import { per_boot } from "../boot.ts";
import { debug_object_deactivate } from "../locking/debug_objects.ts";
import { kcsan_acquire } from "../kcsan/order.ts";
import { lock_map_acquire, lock_map_release } from "../locking/lockdep.ts";
import { WARN_ON } from "../panic.ts";
import { pr_warn } from "../printk.ts";
import { cond_resched, schedule, set_current_state, spin_until } from "../sched/core.ts";
import { might_sleep } from "../sched/debug.ts";
import { touch_named } from "../sched/footprint.ts";
import { current, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { DECLARE_WAIT_QUEUE_HEAD, wake_up_all } from "../sched/wait.ts";
import { wait_event } from "../sched/wait_event.ts";
import { del_timer, del_timer_sync } from "../time/timer_list.ts";
import { local_irq_disable, local_irq_enable } from "../locking/irqflags.ts";
import { __queue_work } from "./queue.ts";
import {
  all_pools,
  check_flush_dependency,
  find_worker_executing_work,
  pwq_dec_nr_in_flight,
  work_item,
} from "./worker.ts";

const s = per_boot(() => ({
  cancel_waitq: DECLARE_WAIT_QUEUE_HEAD("cancel_waitq"),
}));

/**
 * Takes a work item off its queue and leaves it marked as pending, so that nobody else queues it.
 * @dwork: the delayed work it belongs to, null if to none
 * @return "pending" if it was; "idle"; "canceling" if somebody else is cancelling it; "busy" if it is marked as
 *   pending and on no queue: it is just being queued, or was turned away by a workqueue that drains
 */
export function try_to_grab_pending(
  work: work_struct,
  dwork: delayed_work | null,
): "pending" | "idle" | "canceling" | "busy" {
  // Through the bit, or the lock of the pool that it was queued in.
  kcsan_acquire(work);
  if (dwork && del_timer(dwork.timer)) return "pending";
  if (!(work.data & WORK_STRUCT_PENDING)) {
    work.data |= WORK_STRUCT_PENDING;
    return "idle";
  }
  const item = work.entry;
  if (item instanceof work_item) {
    debug_object_deactivate(work);
    const inactive = item.wq.inactive_works.indexOf(item);
    if (inactive >= 0) item.wq.inactive_works.splice(inactive, 1);
    else take_off(item);
    work.entry = "idle";
    pwq_dec_nr_in_flight(item, inactive < 0);
    return "pending";
  }
  return work.data & WORK_OFFQ_CANCELING ? "canceling" : "busy";
}
function take_off(item: work_item): void {
  for (const list of [item.pool.worklist, ...item.pool.workers.map((w) => w.scheduled)]) {
    const at = list.indexOf(item);
    if (at >= 0) list.splice(at, 1);
  }
}

function* wait_for_item(item: work_item, wchan: string, what: string): Sleeps {
  const me = current();
  touch_named("worker pools", true);
  item.flushers.push(me);
  for (;;) {
    set_current_state(TASK_UNINTERRUPTIBLE);
    if (item.done) break;
    yield* schedule({ wchan, what, owner: () => executing(item) });
  }
  set_current_state(TASK_RUNNING);
  kcsan_acquire(item.wq, "runs");
}
function executing(item: work_item): ReturnType<typeof current> | null {
  return item.pool.workers.find((w) => w.current_item === item)?.task ?? null;
}

/** The queueing that a flush of `work` has to wait for. */
function item_of(work: work_struct): work_item | null {
  const item = work.entry;
  if (item instanceof work_item) return item;
  for (const pool of all_pools()) {
    const running = find_worker_executing_work(pool, work)?.current_item;
    if (running) return running;
  }
  return null;
}

function* __flush_work(work: work_struct, from_cancel: boolean): Sleeps<boolean> {
  if (WARN_ON(work.func === null)) return false;
  lock_map_acquire(work.dep_map);
  lock_map_release(work.dep_map);
  might_sleep();
  // Others may get in before it is looked at.
  yield* cond_resched();
  const item = item_of(work);
  // It takes the pool's lock, under which the last run ended.
  kcsan_acquire(work, "runs");
  if (!item) return false;
  const { wq } = item;
  check_flush_dependency(wq, work);
  if (!from_cancel && (wq.max_active === 1 || wq.flags & WQ_MEM_RECLAIM)) {
    lock_map_acquire(wq.dep_map);
    lock_map_release(wq.dep_map);
  }
  yield* wait_for_item(item, "__flush_work", `work ${work.func?.name ?? "?"} on ${wq.name}`);
  kcsan_acquire(work, "runs");
  return true;
}
/**
 * Waits until a work item that is queued or runs has finished; one that it queues again meanwhile does not count.
 * @return false if it was idle. May sleep.
 */
export function flush_work(work: work_struct): Sleeps<boolean> {
  return __flush_work(work, false);
}
/** Queues a delayed work item at once if its timer runs, then waits as flush_work(). May sleep. */
export function* flush_delayed_work(dwork: delayed_work): Sleeps<boolean> {
  local_irq_disable();
  if (yield* del_timer_sync(dwork.timer)) __queue_work(dwork.cpu, dwork.wq!, dwork.work);
  yield* local_irq_enable();
  return yield* flush_work(dwork.work);
}

/** Waits until everything that is queued now has finished. May sleep. */
export function* flush_workqueue(wq: workqueue_struct): Sleeps {
  lock_map_acquire(wq.dep_map);
  lock_map_release(wq.dep_map);
  might_sleep();
  yield* cond_resched();
  check_flush_dependency(wq, null);
  kcsan_acquire(wq, "runs");
  for (const item of [...wq.in_flight]) yield* wait_for_item(item, "__flush_workqueue", `workqueue ${wq.name}`);
}
/** Waits until nothing is queued any more; only the workqueue's own items may queue more meanwhile. May sleep. */
export function* drain_workqueue(wq: workqueue_struct): Sleeps {
  if (!wq.nr_drainers++) wq.flags |= __WQ_DRAINING;
  for (let flush_cnt = 1; ; flush_cnt++) {
    yield* flush_workqueue(wq);
    if (wq.in_flight.size === 0) break;
    if (flush_cnt === 10 || (flush_cnt % 100 === 0 && flush_cnt <= 1000))
      pr_warn("workqueue %s: %s() isn't complete after %u tries\n", wq.name, "drain_workqueue", flush_cnt);
  }
  if (!--wq.nr_drainers) wq.flags &= ~__WQ_DRAINING;
}

function* __cancel_work_timer(work: work_struct, dwork: delayed_work | null): Sleeps<boolean> {
  yield* cond_resched();
  let ret = try_to_grab_pending(work, dwork);
  while (ret === "canceling" || ret === "busy") {
    if (ret === "canceling") yield* wait_event(s.cancel_waitq, () => !(work.data & WORK_OFFQ_CANCELING));
    // Linux spins here for as long as it takes, which is for ever if a draining workqueue has turned the item away.
    else
      yield* spin_until(() => work.$mem.freed || work.entry !== "idle" || !(work.data & WORK_STRUCT_PENDING), {
        wchan: "__cancel_work_timer",
        what: "a work item that is on no queue",
      });
    ret = try_to_grab_pending(work, dwork);
  }
  // Others who cancel back off, and nobody can queue it.
  work.data |= WORK_OFFQ_CANCELING;
  yield* __flush_work(work, true);
  work.data = 0;
  yield* wake_up_all(s.cancel_waitq);
  return ret === "pending";
}
/** Takes a work item back and waits until it does not run any more; it stays idle, whoever queues it meanwhile. @return whether it was pending. May sleep. */
export function cancel_work_sync(work: work_struct): Sleeps<boolean> {
  return __cancel_work_timer(work, null);
}
export function cancel_delayed_work_sync(dwork: delayed_work): Sleeps<boolean> {
  return __cancel_work_timer(dwork.work, dwork);
}
function __cancel_work(work: work_struct, dwork: delayed_work | null): boolean {
  const ret = try_to_grab_pending(work, dwork);
  if (ret === "canceling" || ret === "busy") return false;
  work.data &= ~WORK_STRUCT_PENDING;
  return ret === "pending";
}
/** Takes a work item back if it has not begun. @return whether it was pending. Any context. */
export function cancel_work(work: work_struct): boolean {
  return __cancel_work(work, null);
}
export function cancel_delayed_work(dwork: delayed_work): boolean {
  return __cancel_work(dwork.work, dwork);
}
