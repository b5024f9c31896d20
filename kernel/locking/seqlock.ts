// SPDX-License-Identifier: GPL-2.0-only
/**
 * Sequence counters: readers that read again when somebody has written meanwhile. Source: include/linux/seqlock.h
 * A reader's loop is
 *   do { seq = yield* read_seqbegin(sl); … } while (read_seqretry(sl, seq));
 */
import { lockdep_assert_preemption_disabled } from "../../include/linux/lockdep.ts";
import { seqcount, seqlock } from "../../include/linux/seqlock.ts";
import { READ_ONCE } from "../kcsan/marked.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { point, slow, spin_until, take_point } from "../sched/core.ts";
import { ready, type Spins } from "../sched/types.ts";
import { name_of_member } from "./debug_locks.ts";
import { assign_lock_key, LD_WAIT_INV, lock_acquire, lock_release, lockdep_init_map } from "./lockdep.ts";
import {
  spin_lock,
  spin_lock_init,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irq,
  spin_unlock_irqrestore,
} from "./spinlock.ts";

/** @name: of its class, if not that of the struct it lies in */
export function seqcount_init(s: seqcount, name = name_of_member(s, "s")): void {
  lockdep_init_map(s.dep_map, s, name, null, LD_WAIT_INV);
  s.sequence = 0;
}
/** A static counter. @name: of the variable */
export function SEQCNT_ZERO(name: string): seqcount {
  const s = new seqcount();
  seqcount_init(s, name);
  return s;
}
export function seqlock_init(sl: seqlock, name = name_of_member(sl, "sl")): void {
  spin_lock_init(sl.lock, `&(${name})->lock`);
  seqcount_init(sl.seqcount, `&(${name})->seqcount`);
}
/** A static one. @name: of the variable */
export function DEFINE_SEQLOCK(name: string): seqlock {
  const sl = new seqlock();
  seqlock_init(sl, name);
  return sl;
}

/** The count as it is, odd or even. Any context. */
export function raw_read_seqcount(s: seqcount): number {
  const seq = READ_ONCE(s, "sequence");
  kcsan_acquire(s);
  return seq;
}
/** Waits until nobody writes. @return what read_seqcount_retry() wants. Any context that interrupts no writer. */
export function read_seqcount_begin(s: seqcount): Spins<number> {
  // A reader that interrupts a writer spins for ever, so it counts as taking a lock.
  if (s.dep_map.key === null) assign_lock_key(s.dep_map, s, "s");
  lock_acquire(s.dep_map, 0, false, 2);
  lock_release(s.dep_map);
  return point() || s.sequence & 1 ? slow("read_seqcount_begin", begin_slow(s)) : ready(raw_read_seqcount(s));
}
function* begin_slow(s: seqcount): Spins<number> {
  yield* take_point();
  const why = { wchan: "read_seqcount_begin", what: `sequence counter ${s.dep_map.name}` };
  // Nobody ends a write in memory that is gone.
  while (s.sequence & 1 && !s.$mem.freed) yield* spin_until(() => s.$mem.freed || (s.sequence & 1) === 0, why);
  return raw_read_seqcount(s);
}
/** @return whether somebody wrote since: what was read is worth nothing then */
export function read_seqcount_retry(s: seqcount, start: number): boolean {
  return READ_ONCE(s, "sequence") !== start;
}

/** Begins to write. Writers are kept apart, and preemption is off, by what the caller holds. */
export function write_seqcount_begin(s: seqcount): void {
  lockdep_assert_preemption_disabled();
  if (s.dep_map.key === null) assign_lock_key(s.dep_map, s, "s");
  lock_acquire(s.dep_map, 0, false, 0);
  s.sequence++;
  kcsan_release(s);
}
export function write_seqcount_end(s: seqcount): void {
  lock_release(s.dep_map);
  kcsan_release(s);
  s.sequence++;
}
/** Makes everybody who reads now read again. */
export function write_seqcount_invalidate(s: seqcount): void {
  s.sequence += 2;
  kcsan_release(s);
}

export const read_seqbegin = (sl: seqlock): Spins<number> => read_seqcount_begin(sl.seqcount);
export const read_seqretry = (sl: seqlock, start: number): boolean => read_seqcount_retry(sl.seqcount, start);

export function* write_seqlock(sl: seqlock): Spins {
  yield* spin_lock(sl.lock);
  write_seqcount_begin(sl.seqcount);
}
export function write_sequnlock(sl: seqlock): void {
  write_seqcount_end(sl.seqcount);
  spin_unlock(sl.lock);
}
export function* write_seqlock_irq(sl: seqlock): Spins {
  yield* spin_lock_irq(sl.lock);
  write_seqcount_begin(sl.seqcount);
}
export function write_sequnlock_irq(sl: seqlock): Spins {
  write_seqcount_end(sl.seqcount);
  return spin_unlock_irq(sl.lock);
}
/** @return flags for write_sequnlock_irqrestore() */
export function* write_seqlock_irqsave(sl: seqlock): Spins<number> {
  const flags = yield* spin_lock_irqsave(sl.lock);
  write_seqcount_begin(sl.seqcount);
  return flags;
}
export function write_sequnlock_irqrestore(sl: seqlock, flags: number): Spins {
  write_seqcount_end(sl.seqcount);
  return spin_unlock_irqrestore(sl.lock, flags);
}
