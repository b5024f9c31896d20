// SPDX-License-Identifier: GPL-2.0-only
/**
 * RCU as a kernel without preemptible RCU has it: readers do not give up their CPU. A grace period ends when every
 * reader that was inside when it began has left.
 */
import { per_boot_books } from "../boot.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { kobj_memory } from "../lib/struct.ts";
import { kfree } from "../mm/slab.ts";
import { WARN_ONCE } from "../panic.ts";
import { pr_err } from "../printk.ts";
import { might_sleep } from "../sched/debug.ts";
import { schedule, set_current_state, wake_up_process } from "../sched/core.ts";
import { touch_named } from "../sched/footprint.ts";
import { raise_softirq } from "../sched/interrupts.ts";
import {
  debug_object_activate,
  debug_object_active_state,
  debug_object_deactivate,
  debug_object_init,
} from "./debug_objects.ts";
import { rcu_lock_acquire, rcu_lock_release, rcu_wait_check } from "./lockdep_rcu.ts";
import {
  current,
  preempt_disable,
  preempt_enable,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  type task_struct,
} from "../sched/task.ts";
import { READY, type Sleeps, type Spins } from "../sched/types.ts";

interface grace_period {
  /** Readers that it waits for. */
  readonly readers: Set<task_struct>;
  /** Who waits for its end, or what is to be done then. */
  readonly task: task_struct | null;
  readonly callback: (() => Spins) | null;
}

const s = per_boot_books(() => ({
  nesting: new Map<task_struct, number>(),
  periods: [] as grace_period[],
  /** What readers come after: the grace periods that have ended; and what those come after: readers. */
  ended: {},
  left: {},
  /** What rcu_barrier() comes after: callbacks. */
  called: {},
  /** Callbacks handed to the softirq and not yet finished. */
  callbacks: 0,
}));

/** Any context. Until rcu_read_unlock(), nothing is freed that RCU protects, and nobody may sleep. */
export function rcu_read_lock(): void {
  preempt_disable();
  kcsan_acquire(s.ended);
  touch_named("rcu", false);
  rcu_lock_acquire();
  const t = current();
  s.nesting.set(t, (s.nesting.get(t) ?? 0) + 1);
}
export function rcu_read_unlock(): void {
  const t = current();
  const depth = (s.nesting.get(t) ?? 0) - 1;
  // Nobody who only reads notices another reader, but whoever waits for them does.
  touch_named("rcu", s.periods.length > 0);
  if (depth > 0) s.nesting.set(t, depth);
  else {
    s.nesting.delete(t);
    kcsan_release(s.left);
    for (const p of s.periods) p.readers.delete(t);
    end_periods();
  }
  rcu_lock_release();
  preempt_enable();
}
export function rcu_read_lock_held(): boolean {
  return s.nesting.has(current());
}

function end_periods(): void {
  const over = s.periods.filter((p) => p.readers.size === 0);
  if (over.length === 0) return;
  s.periods = s.periods.filter((p) => p.readers.size > 0);
  for (const p of over) {
    if (p.task) wake_up_process(p.task);
    if (p.callback) raise_softirq(p.callback);
  }
}
function begin_period(task: task_struct | null, callback: (() => Spins) | null): grace_period {
  touch_named("rcu", true);
  const period = { readers: new Set(s.nesting.keys()), task, callback };
  s.periods.push(period);
  end_periods();
  return period;
}

/** Waits until all readers of now have left. May sleep. */
export function* synchronize_rcu(): Sleeps {
  rcu_wait_check("synchronize_rcu");
  might_sleep();
  const period = begin_period(current(), null);
  while (period.readers.size > 0) {
    set_current_state(TASK_UNINTERRUPTIBLE);
    yield* schedule({ wchan: "synchronize_rcu", what: "an RCU grace period" });
  }
  set_current_state(TASK_RUNNING);
  kcsan_acquire(s.left);
  kcsan_release(s.ended);
}

/** What is queued must not be freed, nor queued again. */
const STATE_RCU_HEAD_READY = 0;
const STATE_RCU_HEAD_QUEUED = 1;
/** @return false if it was queued already, which it said */
function debug_rcu_head_queue(head: unknown): boolean {
  if (!(head instanceof kobj_memory)) return true;
  const fresh = debug_object_activate(head, "rcu_head", null);
  debug_object_active_state(head, STATE_RCU_HEAD_READY, STATE_RCU_HEAD_QUEUED);
  return fresh;
}
function debug_rcu_head_unqueue(head: unknown): void {
  if (head instanceof kobj_memory) debug_object_deactivate(head);
}
/** For the head of an object whose memory is used anew. Any context. */
export function init_rcu_head(head: kobj_memory): void {
  debug_object_init(head);
}

/** Calls `func` from a softirq once all readers of now have left. Any context. @head: of the object, or the object itself */
export function call_rcu<T>(head: T, func: (head: T) => Spins | void): void {
  if (!debug_rcu_head_queue(head)) {
    pr_err("call_rcu(): Double-freed CB %p->%s()!!!  ", head instanceof kobj_memory ? head : null, func.name);
    return;
  }
  queue_callback(head, func);
}
function queue_callback<T>(head: T, func: (head: T) => Spins | void): void {
  s.callbacks++;
  const before = {};
  kcsan_release(before);
  begin_period(null, () => {
    kcsan_acquire(before);
    kcsan_acquire(s.left);
    debug_rcu_head_unqueue(head);
    return run_callback(head, func);
  });
}
function run_callback<T>(head: T, func: (head: T) => Spins | void): Spins {
  s.callbacks--;
  const more = func(head);
  if (typeof more === "object") return callback_ends(more);
  kcsan_release(s.called);
  return READY;
}
function* callback_ends(more: Spins): Spins {
  yield* more;
  kcsan_release(s.called);
}
/** Frees `p` once all readers of now have left. Any context. */
export function kfree_rcu(p: object | null): void {
  if (p === null) return;
  if (debug_rcu_head_queue(p)) queue_callback(p, kfree);
  else WARN_ONCE(true, "kvfree_call_rcu(): Double-freed call. rcu_head %p\n", p instanceof kobj_memory ? p : null);
}
/** Waits until every call_rcu() of before has run. May sleep. */
export function* rcu_barrier(): Sleeps {
  yield* synchronize_rcu();
  while (s.callbacks > 0) {
    set_current_state(TASK_UNINTERRUPTIBLE);
    const me = current();
    raise_softirq(() => {
      wake_up_process(me);
      return READY;
    });
    yield* schedule({ wchan: "rcu_barrier", what: "RCU callbacks" });
  }
  set_current_state(TASK_RUNNING);
  kcsan_acquire(s.called);
}
