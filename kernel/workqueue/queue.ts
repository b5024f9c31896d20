// SPDX-License-Identifier: GPL-2.0-only
/** Queueing work items, at once and later. Source: kernel/workqueue.c */
import type { timer_list } from "../../include/linux/timer.ts";
import {
  __WQ_DRAINING,
  delayed_work,
  WORK_CPU_UNBOUND,
  WORK_STRUCT_PENDING,
  work_struct,
  type workqueue_struct,
} from "../../include/linux/workqueue.ts";
import { container_of, type kobj_memory } from "../lib/struct.ts";
import { kcsan_release } from "../kcsan/order.ts";
import { name_of_member } from "../locking/debug_locks.ts";
import { debug_object_activate, debug_object_init } from "../locking/debug_objects.ts";
import { lockdep_init_map } from "../locking/lockdep.ts";
import { WARN_ON, WARN_ON_ONCE } from "../panic.ts";
import { smp_processor_id } from "../sched/task.ts";
import { jiffies } from "../time/clock.ts";
import { add_timer, timer_pending, timer_setup, TIMER_IRQSAFE } from "../time/timer_list.ts";
import { system_wq } from "./alloc.ts";
import { cancel_work, try_to_grab_pending } from "./flush.ts";
import {
  current_wq_worker,
  find_worker_executing_work,
  insert_work,
  all_pools,
  pool_for,
  work_item,
  type work_func,
} from "./worker.ts";

/** Makes `work` a work item that does `func`. It must not be pending. @name: of its class, if not that of the struct it lies in */
export function INIT_WORK(work: work_struct, func: work_func, name = name_of_member(work, "work")): void {
  if (debug_object_init(work)) cancel_work(work);
  set_up(work, func, name);
}
/** A static work item. @name: of the variable */
export function DECLARE_WORK(name: string, func: work_func): work_struct {
  const work = new work_struct();
  set_up(work, func, name);
  return work;
}
function set_up(work: work_struct, func: work_func, name: string): void {
  work.data = 0;
  work.entry = "idle";
  work.func = func;
  lockdep_init_map(work.dep_map, work, `(work_completion)(${name})`);
}
export function INIT_DELAYED_WORK(dwork: delayed_work, func: work_func, name = name_of_member(dwork, "dwork")): void {
  INIT_WORK(dwork.work, func, `&(${name})->work`);
  timer_setup(dwork.timer, delayed_work_timer_fn, TIMER_IRQSAFE, `&(${name})->timer`);
}
/** Queued and not yet begun, or about to be queued by its timer. */
export function work_pending(work: work_struct): boolean {
  return (work.data & WORK_STRUCT_PENDING) !== 0;
}
export function delayed_work_pending(dwork: delayed_work): boolean {
  return work_pending(dwork.work);
}

/** A pending item is freed: it does not run. Linux would wait as well, were it running. */
function work_fixup_free(object: kobj_memory): void {
  if (object instanceof work_struct) cancel_work(object);
}

/** For a work item that is marked as pending. */
export function __queue_work(cpu: number, wq: workqueue_struct, work: work_struct): void {
  // While it drains, only its own items may queue more.
  if (wq.flags & __WQ_DRAINING && WARN_ON_ONCE(current_wq_worker()?.current_item?.wq !== wq)) return;
  let pool = pool_for(wq, cpu === WORK_CPU_UNBOUND ? smp_processor_id() : cpu);
  // Still running elsewhere for the same workqueue: it is to wait for itself there.
  for (const other of all_pools()) {
    const running = find_worker_executing_work(other, work);
    if (running && running.current_item?.wq === wq) pool = other;
  }
  if (WARN_ON(work.entry !== "idle")) return;
  const item = new work_item(work, wq, pool);
  wq.in_flight.add(item);
  work.entry = item;
  debug_object_activate(work, "work_struct", work.func, work_fixup_free);
  if (wq.nr_active < wq.max_active) {
    wq.nr_active++;
    insert_work(item);
  } else wq.inactive_works.push(item);
  kcsan_release(work);
}
function claim(work: work_struct): boolean {
  const was = work.data & WORK_STRUCT_PENDING;
  if (!was) work.data |= WORK_STRUCT_PENDING;
  // Also for who finds it pending: the run that is still to come sees what was done before.
  kcsan_release(work);
  return !was;
}

/** Queues a work item. @cpu: whose pool. @return false if it was pending already. Any context. */
export function queue_work_on(cpu: number, wq: workqueue_struct, work: work_struct): boolean {
  if (!claim(work)) return false;
  __queue_work(cpu, wq, work);
  return true;
}
export function queue_work(wq: workqueue_struct, work: work_struct): boolean {
  return queue_work_on(WORK_CPU_UNBOUND, wq, work);
}
export function schedule_work(work: work_struct): boolean {
  return queue_work(system_wq, work);
}

function delayed_work_timer_fn(t: timer_list): void {
  const dwork = container_of(t, delayed_work, "timer");
  __queue_work(dwork.cpu, dwork.wq!, dwork.work);
}
function __queue_delayed_work(cpu: number, wq: workqueue_struct, dwork: delayed_work, delay: number): void {
  const { timer, work } = dwork;
  WARN_ON_ONCE(timer.func !== delayed_work_timer_fn);
  WARN_ON_ONCE(timer_pending(timer));
  WARN_ON_ONCE(work.entry !== "idle");
  if (!delay) {
    __queue_work(cpu, wq, work);
    return;
  }
  dwork.wq = wq;
  dwork.cpu = cpu;
  timer.expires = jiffies() + delay;
  add_timer(timer);
}
/** Queues a work item in `delay` jiffies. @return false if it was pending already. Any context. */
export function queue_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: number): boolean {
  if (!claim(dwork.work)) return false;
  __queue_delayed_work(WORK_CPU_UNBOUND, wq, dwork, delay);
  return true;
}
export function schedule_delayed_work(dwork: delayed_work, delay: number): boolean {
  return queue_delayed_work(system_wq, dwork, delay);
}
/** Queues a work item in `delay` jiffies, whether or not it was pending. @return whether it was. Any context. */
export function mod_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: number): boolean {
  const ret = try_to_grab_pending(dwork.work, dwork);
  if (ret === "canceling") return true;
  __queue_delayed_work(WORK_CPU_UNBOUND, wq, dwork, delay);
  return ret === "pending";
}
