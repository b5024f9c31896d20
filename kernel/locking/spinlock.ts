// SPDX-License-Identifier: GPL-2.0-only
/**
 * Spinlocks, with the checks of CONFIG_DEBUG_SPINLOCK. Nobody who holds one is ever taken off the CPU, so only a task
 * on another CPU can be met waiting.
 * Source: kernel/locking/spinlock.c, spinlock_debug.c; the soft lockup detector of kernel/watchdog.c.
 */
import { spinlock } from "../../include/linux/spinlock.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { addr_of } from "../lib/struct.ts";
import { BUG_ON, current_name, report, where_we_are } from "../panic.ts";
import { LOGLEVEL_EMERG } from "../printk.ts";
import { point, slow, spin_until, take_point } from "../sched/core.ts";
import { current, preempt_disable, preempt_enable, smp_processor_id, type task_struct } from "../sched/task.ts";
import { READY, ready_int, type Spins } from "../sched/types.ts";
import { clock, NSEC_PER_SEC } from "../time/clock.ts";
import { arm, disarm, wheel_entry } from "../time/timer.ts";
import { name_of_member } from "./debug_locks.ts";
import { debug_locks_off } from "./debug_locks_off.ts";
import { irqs_on, local_bh_disable, local_bh_enable, local_irq_disable, local_irq_save } from "./irqflags.ts";
import {
  assign_lock_key,
  debug_check_no_locks_freed,
  LD_WAIT_SPIN,
  lock_acquire,
  lock_release,
  lockdep_init_map,
} from "./lockdep.ts";

export const SPINLOCK_MAGIC = 0xdead4ead;
/** When the watchdog thread notices, at its default threshold. */
const SOFTLOCKUP_SECONDS = 22;

/** Makes `lock` a free lock. @name: of its class, if not that of the struct it lies in. Any context. */
export function spin_lock_init(lock: spinlock, name = name_of_member(lock, "lock")): void {
  debug_check_no_locks_freed(lock.$mem, lock);
  lockdep_init_map(lock.dep_map, lock, name, null, LD_WAIT_SPIN);
  lock.magic = SPINLOCK_MAGIC;
  lock.owner = null;
  lock.owner_cpu = -1;
}
/** A static spinlock, initialised. @name: of the variable */
export function DEFINE_SPINLOCK(name: string): spinlock {
  const lock = new spinlock();
  lockdep_init_map(lock.dep_map, lock, name, null, LD_WAIT_SPIN);
  lock.magic = SPINLOCK_MAGIC;
  lock.owner_cpu = -1;
  return lock;
}

function spin_bug(lock: spinlock, msg: string): void {
  if (!debug_locks_off()) return;
  const { comm, pid } = current_name();
  const owner = lock.owner;
  const at = addr_of(lock).toString(16).padStart(16, "0");
  const title = `BUG: spinlock ${msg} on CPU#${smp_processor_id()}, ${comm}/${pid}`;
  const dump = [
    title,
    ` lock: 0x${at}, .magic: ${lock.magic.toString(16).padStart(8, "0")}, .owner: ${owner ? owner.comm : "<none>"}/${owner ? owner.pid : -1}, .owner_cpu: ${lock.owner_cpu}`,
    where_we_are(),
  ];
  report({ checker: "spinlock", title, text: dump.join("\n"), level: LOGLEVEL_EMERG });
}

/** For code that looks at a lock without taking it. */
export function spin_bad_magic(lock: spinlock): void {
  spin_bug(lock, "bad magic");
}

function debug_spin_lock_before(lock: spinlock): void {
  if (lock.magic !== SPINLOCK_MAGIC) spin_bug(lock, "bad magic");
  if (lock.owner === null) return;
  if (lock.owner === current()) spin_bug(lock, "recursion");
  if (lock.owner_cpu === smp_processor_id()) spin_bug(lock, "cpu recursion");
}

function take(lock: spinlock): void {
  lock.owner = current();
  lock.owner_cpu = smp_processor_id();
  kcsan_acquire(lock);
}

/** For a lock that is free, with preemption off. */
function take_free(lock: spinlock, subclass: number): void {
  if (lock.dep_map.key === null) assign_lock_key(lock.dep_map, lock, "lock");
  lock_acquire(lock.dep_map, subclass, false);
  debug_spin_lock_before(lock);
  take(lock);
}

class softlockup_watch extends wheel_entry {
  readonly task: task_struct;
  readonly since = clock.ns;
  constructor(task: task_struct) {
    super(softlockup);
    this.task = task;
  }
}
function softlockup(entry: wheel_entry): Spins {
  if (!(entry instanceof softlockup_watch) || !entry.task.spins_until) return READY;
  const { comm, pid, cpu, waiting } = entry.task;
  const seconds = Math.floor((clock.ns - entry.since) / NSEC_PER_SEC);
  const title = `watchdog: BUG: soft lockup - CPU#${cpu?.id ?? 0} stuck for ${seconds}s! [${comm}:${pid}]`;
  const owner = waiting?.owner?.();
  const why = `spins for ${waiting?.what ?? "?"}${owner ? `, held by ${owner.comm}/${owner.pid}` : ""}`;
  report({ checker: "soft_lockup", title, text: `${title}\n${why}`, level: LOGLEVEL_EMERG });
  return READY;
}

/** Takes a lock that may be held, with preemption off. */
function* spin_for(lock: spinlock, subclass: number): Spins {
  if (lock.dep_map.key === null) assign_lock_key(lock.dep_map, lock, "lock");
  lock_acquire(lock.dep_map, subclass, false);
  debug_spin_lock_before(lock);
  if (lock.owner !== null) {
    // The condition is asked from outside of any task: freed memory must not speak there, but when the task goes on.
    const free = (): boolean => lock.$mem.freed || lock.owner === null;
    const name = lock.dep_map.name;
    const why = { wchan: "spin_lock", what: `spinlock ${name}`, owner: () => (lock.$mem.freed ? null : lock.owner) };
    const watch = new softlockup_watch(current());
    // With interrupts off the watchdog's timer does not run either.
    if (!current().irqs_disabled) arm(watch, clock.ns + SOFTLOCKUP_SECONDS * NSEC_PER_SEC);
    while (lock.owner !== null && !lock.$mem.freed) yield* spin_until(free, why);
    disarm(watch);
  }
  take(lock);
}

/**
 * Takes a spinlock; another CPU that holds it is waited for. Any context that never interrupts a holder of the same lock.
 * @subclass: nesting level for the lock validator
 */
export function spin_lock_nested(lock: spinlock, subclass: number): Spins {
  if (point() || lock.owner !== null) return slow("spin_lock", spin_lock_slow(lock, subclass));
  preempt_disable();
  take_free(lock, subclass);
  return READY;
}
function* spin_lock_slow(lock: spinlock, subclass: number): Spins {
  yield* take_point();
  preempt_disable();
  yield* spin_for(lock, subclass);
}
export function spin_lock(lock: spinlock): Spins {
  return spin_lock_nested(lock, 0);
}

/** spin_lock() with interrupts switched off. For process context with interrupts on. */
export function spin_lock_irq(lock: spinlock): Spins {
  if (point() || lock.owner !== null) return slow("spin_lock_irq", spin_lock_irq_slow(lock));
  local_irq_disable();
  preempt_disable();
  take_free(lock, 0);
  return READY;
}
function* spin_lock_irq_slow(lock: spinlock): Spins {
  yield* take_point();
  local_irq_disable();
  preempt_disable();
  yield* spin_for(lock, 0);
}

/** spin_lock() with interrupts switched off, whatever they were. @return flags for spin_unlock_irqrestore() */
export function spin_lock_irqsave(lock: spinlock): Spins<number> {
  if (point() || lock.owner !== null) return slow("spin_lock_irqsave", spin_lock_irqsave_slow(lock));
  const flags = local_irq_save();
  preempt_disable();
  take_free(lock, 0);
  return ready_int(flags);
}
function* spin_lock_irqsave_slow(lock: spinlock): Spins<number> {
  yield* take_point();
  const flags = local_irq_save();
  preempt_disable();
  yield* spin_for(lock, 0);
  return flags;
}

/** spin_lock() with softirqs kept away. */
export function spin_lock_bh(lock: spinlock): Spins {
  if (point() || lock.owner !== null) return slow("spin_lock_bh", spin_lock_bh_slow(lock));
  local_bh_disable();
  take_free(lock, 0);
  return READY;
}
function* spin_lock_bh_slow(lock: spinlock): Spins {
  yield* take_point();
  local_bh_disable();
  yield* spin_for(lock, 0);
}

/** @return 1 if the lock was free and is now held, else 0. Any context. */
export function spin_trylock(lock: spinlock): number {
  preempt_disable();
  if (lock.owner === null) {
    take(lock);
    if (lock.dep_map.key === null) assign_lock_key(lock.dep_map, lock, "lock");
    lock_acquire(lock.dep_map, 0, true);
    return 1;
  }
  preempt_enable();
  return 0;
}
/** spin_trylock(); interrupts are off if it gives 1. A pending one is then taken at the next point. */
export function spin_trylock_irq(lock: spinlock): number {
  const flags = local_irq_save();
  if (spin_trylock(lock)) return 1;
  if (!flags) irqs_on();
  return 0;
}

function give_back(lock: spinlock): void {
  lock_release(lock.dep_map);
  if (lock.magic !== SPINLOCK_MAGIC) spin_bug(lock, "bad magic");
  if (lock.owner === null) spin_bug(lock, "already unlocked");
  else if (lock.owner !== current()) spin_bug(lock, "wrong owner");
  if (lock.owner_cpu !== smp_processor_id()) spin_bug(lock, "wrong CPU");
  lock.owner = null;
  lock.owner_cpu = -1;
  kcsan_release(lock);
}

/** Gives a spinlock back. By the task that took it. */
export function spin_unlock(lock: spinlock): void {
  give_back(lock);
  preempt_enable();
}
/** spin_unlock() that switches interrupts on, and takes those that are pending. */
export function spin_unlock_irq(lock: spinlock): Spins {
  give_back(lock);
  irqs_on();
  preempt_enable();
  return point() ? slow("spin_unlock_irq", take_point()) : READY;
}
/** @flags: what spin_lock_irqsave() gave */
export function spin_unlock_irqrestore(lock: spinlock, flags: number): Spins {
  give_back(lock);
  if (!flags) irqs_on();
  preempt_enable();
  return point() ? slow("spin_unlock_irqrestore", take_point()) : READY;
}
export function spin_unlock_bh(lock: spinlock): Spins {
  give_back(lock);
  return local_bh_enable();
}

export function spin_is_locked(lock: spinlock): boolean {
  return lock.owner !== null;
}
export function assert_spin_locked(lock: spinlock): void {
  BUG_ON(!spin_is_locked(lock));
}
