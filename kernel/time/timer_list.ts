// SPDX-License-Identifier: GPL-2.0-only
/** struct timer_list on the timer wheel: functions called from a softirq at a time in jiffies. Source: kernel/time/timer.c */
import { timer_list } from "../../include/linux/timer.ts";
import { BUG_ON, WARN_ON, WARN_ONCE } from "../panic.ts";
import { per_boot } from "../boot.ts";
import type { kobj_memory } from "../lib/struct.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { name_of_member } from "../locking/debug_locks.ts";
import {
  debug_object_activate,
  debug_object_deactivate,
  debug_object_init,
  debug_object_not_available,
} from "../locking/debug_objects.ts";
import { irqs_disabled_flags, local_irq_save } from "../locking/irqflags.ts";
import { lock_map_acquire, lock_map_release, lockdep_init_map, lockdep_map } from "../locking/lockdep.ts";
import { spin_until } from "../sched/core.ts";
import { current, in_hardirq } from "../sched/task.ts";
import { READY, ready_int, type Spins } from "../sched/types.ts";
import { jiffies } from "./clock.ts";
import { arm_jiffies, disarm, wheel_entry } from "./timer.ts";

/** Called when a timer expires; from a softirq, so it may not sleep. */
export type timer_func = (timer: timer_list) => Spins | void;

export const TIMER_DEFERRABLE = 0x00080000;
export const TIMER_IRQSAFE = 0x00200000;

/** One arming of a timer. Expired, it stays the timer's entry until its softirq begins to run it. */
export class timer_entry extends wheel_entry {
  readonly timer: timer_list;
  constructor(timer: timer_list) {
    super(expire_timer);
    this.timer = timer;
  }
}

const s = per_boot(() => ({
  /** Timers whose function runs now. */
  running: new Set<timer_list>(),
}));

/** Sets a timer up; it is not armed. @func: to be called on expiry. @flags: TIMER_… */
export function timer_setup(
  timer: timer_list,
  func: timer_func,
  flags = 0,
  name = name_of_member(timer, "timer"),
): void {
  if (debug_object_init(timer)) del_timer(timer);
  set_up(timer, func, flags, name);
}
function set_up(timer: timer_list, func: timer_func, flags: number, name: string): void {
  timer.entry = null;
  timer.func = func;
  timer.flags = flags;
  lockdep_init_map(timer.dep_map, timer, `(${name})`);
}
/** A static timer, set up. @name: of the variable */
export function DEFINE_TIMER(name: string, func: timer_func): timer_list {
  const timer = new timer_list();
  set_up(timer, func, 0, name);
  return timer;
}
function stub_timer(): void {
  WARN_ON(true);
}
/** A timer of zeros is used all the same, with a function that complains. */
function debug_assert_init(timer: timer_list): void {
  if (timer.dep_map.key !== null) return;
  debug_object_not_available("assert_init", "timer_list", timer.func);
  timer_setup(timer, stub_timer);
}

/** Armed, or expired with its function not yet begun. Any context. */
export function timer_pending(timer: timer_list): boolean {
  return timer.entry !== null;
}
function detach(timer: timer_list): boolean {
  const entry = timer.entry;
  if (!entry) return false;
  disarm(entry);
  timer.entry = null;
  debug_object_deactivate(timer);
  return true;
}
/** An armed timer is freed: it does not fire. */
function timer_fixup_free(object: kobj_memory): void {
  if (object instanceof timer_list) detach(object);
}
function enqueue(timer: timer_list, expires: number): void {
  timer.expires = expires;
  const entry = new timer_entry(timer);
  timer.entry = entry;
  debug_object_activate(timer, "timer_list", timer.func, timer_fixup_free);
  // A time that is over already means the next tick.
  arm_jiffies(entry, Math.max(1, expires - jiffies()));
}

/** Arms a timer, or moves it. @expires: in jiffies. @return 1 if it was pending, else 0. Any context. */
export function mod_timer(timer: timer_list, expires: number): number {
  debug_assert_init(timer);
  BUG_ON(timer.func === null);
  if (timer_pending(timer) && timer.expires === expires) return 1;
  const was = detach(timer);
  enqueue(timer, expires);
  return Number(was);
}
/** mod_timer() that only moves a pending timer. */
export function mod_timer_pending(timer: timer_list, expires: number): number {
  return timer_pending(timer) ? mod_timer(timer, expires) : 0;
}
/** mod_timer() that never makes a pending timer later. */
export function timer_reduce(timer: timer_list, expires: number): number {
  return timer_pending(timer) && timer.expires <= expires ? 1 : mod_timer(timer, expires);
}
/** Arms a timer for its `expires`. It must not be pending. */
export function add_timer(timer: timer_list): void {
  BUG_ON(timer_pending(timer));
  mod_timer(timer, timer.expires);
}
/** Disarms a timer; its function may still run elsewhere. @return 1 if it was pending, else 0. Any context. */
export function del_timer(timer: timer_list): number {
  debug_assert_init(timer);
  return Number(detach(timer));
}
/** @return 1 if it was pending, 0 if not, -1 if its function runs now */
export function try_to_del_timer_sync(timer: timer_list): number {
  debug_assert_init(timer);
  if (s.running.has(timer)) return -1;
  // The wheel's lock was held when its function ended.
  kcsan_acquire(timer);
  return Number(detach(timer));
}

/**
 * Disarms a timer and waits until its function does not run any more, which therefore must not wait for the caller.
 * @return 1 if it was pending, else 0. Context: no interrupt handler, and no lock that the function takes.
 */
export function del_timer_sync(timer: timer_list): Spins<number> {
  // Interrupts are off for the validator's sake: nobody is interrupted between these two.
  const flags = local_irq_save();
  lock_map_acquire(timer.dep_map);
  lock_map_release(timer.dep_map);
  current().irqs_disabled = irqs_disabled_flags(flags);
  WARN_ON(in_hardirq() && !(timer.flags & TIMER_IRQSAFE));
  const ret = try_to_del_timer_sync(timer);
  return ret >= 0 ? ready_int(ret) : del_timer_sync_slow(timer);
}
function* del_timer_sync_slow(timer: timer_list): Spins<number> {
  const { name } = timer.dep_map;
  for (;;) {
    const ret = try_to_del_timer_sync(timer);
    if (ret >= 0) return ret;
    yield* spin_until(() => !s.running.has(timer), { wchan: "del_timer_sync", what: `the function of timer ${name}` });
  }
}

function expire_timer(entry: wheel_entry): Spins {
  // Deleted or moved after it had expired and before its turn came.
  if (!(entry instanceof timer_entry) || entry.timer.entry !== entry) return READY;
  return call_timer_fn(entry.timer);
}
function* call_timer_fn(timer: timer_list): Spins {
  const fn = timer.func!;
  const me = current();
  const count = me.preempt_count;
  timer.entry = null;
  debug_object_deactivate(timer);
  s.running.add(timer);
  kcsan_acquire(timer);
  // The function may free its own timer.
  const map = Object.assign(new lockdep_map(), timer.dep_map);
  lock_map_acquire(map);
  const more = fn(timer);
  if (typeof more === "object") yield* more;
  lock_map_release(map);
  if (me.preempt_count !== count) {
    const hex = (n: number): string => n.toString(16).padStart(8, "0");
    WARN_ONCE(true, "timer: %s preempt leak: %s -> %s\n", fn.name, hex(count), hex(me.preempt_count));
    me.preempt_count = count;
  }
  s.running.delete(timer);
  kcsan_release(timer);
}
