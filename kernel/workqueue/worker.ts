// SPDX-License-Identifier: GPL-2.0-only
/**
 * The workers of the workqueues: kernel threads in pools, one pool for each CPU and one for everything unbound.
 * Source: kernel/workqueue.c. Tasks float between the CPUs here, so a bound pool does not hold its workers back while
 * one of them runs: its items run as they would if each had been queued on a CPU of its own.
 */
import {
  __WQ_LEGACY,
  type work_struct,
  WORK_STRUCT_PENDING,
  type workqueue_struct,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
} from "../../include/linux/workqueue.ts";
import { per_boot_books } from "../boot.ts";
import { debug_object_deactivate } from "../locking/debug_objects.ts";
import { kcsan_acquire, kcsan_enter_context, kcsan_exit_context, kcsan_release } from "../kcsan/order.ts";
import { debug_show_held_locks } from "../locking/lockdep_report.ts";
import { lock_map_acquire, lock_map_release, lockdep_depth, lockdep_map } from "../locking/lockdep.ts";
import { report, WARN_ONCE, where_we_are } from "../panic.ts";
import { create_task, do_sched_yield, schedule, set_current_state, wake_up_process } from "../sched/core.ts";
import { touch_named } from "../sched/footprint.ts";
import { current, in_atomic, PF_KTHREAD, PF_WQ_WORKER, sched, TASK_IDLE, type task_struct } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";

/** What a work item does. Process context, in a worker. It may free or queue its own item. */
export type work_func = (work: work_struct) => Sleeps | void;

/** One queueing of a work item. The item itself may be gone, or queued again, when this one is done. */
export class work_item {
  readonly work: work_struct;
  readonly wq: workqueue_struct;
  readonly pool: worker_pool;
  done = false;
  /** Tasks that flush. */
  readonly flushers: task_struct[] = [];
  constructor(work: work_struct, wq: workqueue_struct, pool: worker_pool) {
    this.work = work;
    this.wq = wq;
    this.pool = pool;
  }
}
export type work_list = Set<work_item>;
export type inactive_list = work_item[];

export class worker_pool {
  /** As in the names of its workers: `0` for a CPU's, `u4` for the unbound one. */
  readonly name: string;
  readonly worklist: work_item[] = [];
  readonly workers: worker[] = [];
  readonly idle: worker[] = [];
  constructor(name: string) {
    this.name = name;
  }
}
export class worker {
  readonly pool: worker_pool;
  task: task_struct | null = null;
  current_item: work_item | null = null;
  current_func: work_func | null = null;
  /** Items that were about to run while this worker was running them already. */
  readonly scheduled: work_item[] = [];
  constructor(pool: worker_pool) {
    this.pool = pool;
  }
}

/** Pools, their lists and their workers are no structs: whoever looks at them says so. All of them are one place. */
function touch_pools(): void {
  touch_named("worker pools", true);
}

const s = per_boot_books(() => ({
  pools: new Map<string, worker_pool>(),
  by_task: new Map<task_struct, worker>(),
}));

function pool_named(name: string): worker_pool {
  touch_pools();
  let pool = s.pools.get(name);
  if (!pool) s.pools.set(name, (pool = new worker_pool(name)));
  return pool;
}
/** @cpu: for a bound workqueue */
export function pool_for(wq: workqueue_struct, cpu: number): worker_pool {
  // Each CPU has two pools of its own, so the first unbound one has the number after those.
  return pool_named(wq.flags & WQ_UNBOUND ? `u${2 * sched.cpus.length}` : String(cpu));
}
export function all_pools(): Iterable<worker_pool> {
  touch_pools();
  return s.pools.values();
}

export function current_wq_worker(): worker | null {
  return sched.current ? (s.by_task.get(sched.current) ?? null) : null;
}
/** The work item that the current task is executing, if it is a worker. */
export function current_work(): work_struct | null {
  return current_wq_worker()?.current_item?.work ?? null;
}
export function find_worker_executing_work(pool: worker_pool, work: work_struct): worker | null {
  touch_pools();
  return pool.workers.find((w) => w.current_item?.work === work && w.current_func === work.func) ?? null;
}

function create_worker(pool: worker_pool): void {
  const w = new worker(pool);
  const comm = `kworker/${pool.name}:${pool.workers.length}`;
  pool.workers.push(w);
  w.task = create_task(comm, worker_thread(w), PF_KTHREAD | PF_WQ_WORKER, true);
  s.by_task.set(w.task, w);
}
function wake_up_worker(pool: worker_pool): void {
  const w = pool.idle.shift();
  if (w?.task) wake_up_process(w.task);
  else create_worker(pool);
}

/** Makes an item known to the workers. */
export function insert_work(item: work_item): void {
  touch_pools();
  item.pool.worklist.push(item);
  wake_up_worker(item.pool);
}

/** An item is through, or was cancelled: the next one of its workqueue may begin, and who waited for it goes on. */
export function pwq_dec_nr_in_flight(item: work_item, was_active: boolean): void {
  const { wq } = item;
  touch_pools();
  item.done = true;
  wq.in_flight.delete(item);
  if (was_active) {
    wq.nr_active--;
    const next = wq.nr_active < wq.max_active ? wq.inactive_works.shift() : undefined;
    if (next) {
      wq.nr_active++;
      insert_work(next);
    }
  }
  kcsan_release(wq, "runs");
  for (const t of item.flushers) wake_up_process(t);
}

function* worker_thread(w: worker): Sleeps {
  const { pool } = w;
  for (;;) {
    touch_pools();
    for (let item = pool.worklist.shift(); item; item = pool.worklist.shift()) {
      yield* process_one_work(w, item);
      for (let next = w.scheduled.shift(); next; next = w.scheduled.shift()) yield* process_one_work(w, next);
    }
    pool.idle.unshift(w);
    set_current_state(TASK_IDLE);
    yield* schedule();
  }
}

function* process_one_work(w: worker, item: work_item): Sleeps {
  const { work, wq } = item;
  const collision = find_worker_executing_work(w.pool, work);
  if (collision) {
    collision.scheduled.push(item);
    return;
  }
  // What the worker ran before has nothing to do with this.
  kcsan_enter_context(null);
  kcsan_acquire(work);
  // An item never runs twice at a time, nor do two of an ordered workqueue.
  kcsan_acquire(work, "runs");
  if (wq.max_active === 1) kcsan_acquire(wq, "runs");
  debug_object_deactivate(work);
  // The function may free the item: nothing of it is touched afterwards.
  const map = Object.assign(new lockdep_map(), work.dep_map);
  // The copy lies on this stack, so freeing the item frees no held lock.
  map.instance = null;
  const func = work.func;
  touch_pools();
  w.current_item = item;
  w.current_func = func;
  work.entry = "idle";
  work.data &= ~WORK_STRUCT_PENDING;
  const me = current();
  // From here on somebody minds if it never ends.
  me.daemon = false;
  lock_map_acquire(wq.dep_map);
  lock_map_acquire(map);
  const more = func!(work);
  if (typeof more === "object") yield* more;
  lock_map_release(map);
  lock_map_release(wq.dep_map);
  if (in_atomic() || lockdep_depth(me) > 0) leaked(me, func);
  // An item may queue itself for ever, and this thread would run it for ever.
  yield* do_sched_yield();
  me.daemon = true;
  touch_pools();
  w.current_item = null;
  w.current_func = null;
  kcsan_release(work, "runs");
  pwq_dec_nr_in_flight(item, true);
  kcsan_exit_context();
}
function leaked(me: task_struct, func: { readonly name: string } | null): void {
  const hex = me.preempt_count.toString(16).padStart(8, "0");
  const title = `BUG: workqueue leaked lock or atomic: ${me.comm}/0x${hex}/${me.pid}`;
  const held = debug_show_held_locks();
  const text = [title, `     last function: ${func?.name ?? "0x0"}`, ...held, where_we_are()].join("\n");
  report({ checker: "workqueue", title: `BUG: workqueue leaked lock or atomic: ${me.comm}`, text });
}

/** Flushing what cannot be relied on under memory pressure from what must be. @target: flushed item, if it is one */
export function check_flush_dependency(target_wq: workqueue_struct, target: work_struct | null): void {
  if (target_wq.flags & WQ_MEM_RECLAIM) return;
  const w = current_wq_worker();
  const mine = w?.current_item?.wq;
  WARN_ONCE(
    mine !== undefined && (mine.flags & (WQ_MEM_RECLAIM | __WQ_LEGACY)) === WQ_MEM_RECLAIM,
    "workqueue: WQ_MEM_RECLAIM %s:%s is flushing !WQ_MEM_RECLAIM %s:%s\n",
    mine?.name,
    w?.current_func?.name,
    target_wq.name,
    target?.func?.name ?? "0x0",
  );
}
