// SPDX-License-Identifier: GPL-2.0-only
/** What refcount_t says when it is misused, and the functions that take a lock with the last reference. Source: lib/refcount.c */
import { type mutex, mutex_lock, mutex_unlock } from "../../include/linux/mutex.ts";
import {
  spin_lock,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  type spinlock_t,
} from "../../include/linux/spinlock.ts";
import { kcsan, kcsan_release } from "../kcsan/order.ts";
import { WARN_ONCE } from "../panic.ts";
import type { Sleeps, Spins } from "../sched/types.ts";
import { traced } from "../trace/emitter.ts";
import { trace_refcount } from "../trace/events.ts";
import {
  REFCOUNT_ADD_NOT_ZERO_OVF,
  REFCOUNT_ADD_OVF,
  REFCOUNT_ADD_UAF,
  REFCOUNT_DEC_LEAK,
  refcount_dec_and_test,
  REFCOUNT_SATURATED,
  refcount_set,
  REFCOUNT_SUB_UAF,
  type refcount_struct,
} from "../../include/linux/refcount.ts";
import { atomic_cmpxchg, atomic_read } from "../../include/linux/atomic.ts";

/** Nails the counter to a value from which it can neither wrap nor become free, and says why. Any context. */
export function refcount_warn_saturate(r: refcount_struct, t: number): void {
  refcount_set(r, REFCOUNT_SATURATED);
  switch (t) {
    case REFCOUNT_ADD_NOT_ZERO_OVF:
    case REFCOUNT_ADD_OVF:
      WARN_ONCE(true, "refcount_t: saturated; leaking memory.\n");
      break;
    case REFCOUNT_ADD_UAF:
      WARN_ONCE(true, "refcount_t: addition on 0; use-after-free.\n");
      break;
    case REFCOUNT_SUB_UAF:
      WARN_ONCE(true, "refcount_t: underflow; use-after-free.\n");
      break;
    case REFCOUNT_DEC_LEAK:
      WARN_ONCE(true, "refcount_t: decrement hit 0; leaking memory.\n");
      break;
    default:
      WARN_ONCE(true, "refcount_t: unknown saturation event!?.\n");
  }
}

/** 1 -> 0. @return whether it was 1 */
export function refcount_dec_if_one(r: refcount_struct): boolean {
  return atomic_cmpxchg(r.refs, 1, 0) === 1;
}

/** Takes one off unless it is the last one. @return false if it was the last one, which is then still there */
export function refcount_dec_not_one(r: refcount_struct): boolean {
  const val = atomic_read(r.refs);
  if (val === REFCOUNT_SATURATED) return true;
  if (val === 1) return false;
  if (val >>> 0 === 0) {
    WARN_ONCE(true, "refcount_t: underflow; use-after-free.\n");
    return true;
  }
  atomic_cmpxchg(r.refs, val, val - 1);
  if (kcsan.on) kcsan_release(r);
  if (traced.kernel) trace_refcount(r, -1, val - 1);
  return true;
}

/** Takes one off; the last one only with the mutex held, which is then still held. May sleep. @return whether it was the last */
export function* refcount_dec_and_mutex_lock(r: refcount_struct, lock: mutex): Sleeps<boolean> {
  if (refcount_dec_not_one(r)) return false;
  yield* mutex_lock(lock);
  if (!refcount_dec_and_test(r)) {
    mutex_unlock(lock);
    return false;
  }
  return true;
}

/** The same with a spinlock and interrupts switched off. @return flags for spin_unlock_irqrestore(), null if it was not the last */
export function* refcount_dec_and_lock_irqsave(r: refcount_struct, lock: spinlock_t): Spins<number | null> {
  if (refcount_dec_not_one(r)) return null;
  const flags = yield* spin_lock_irqsave(lock);
  if (!refcount_dec_and_test(r)) {
    yield* spin_unlock_irqrestore(lock, flags);
    return null;
  }
  return flags;
}

/** The same with a spinlock. */
export function* refcount_dec_and_lock(r: refcount_struct, lock: spinlock_t): Spins<boolean> {
  if (refcount_dec_not_one(r)) return false;
  yield* spin_lock(lock);
  if (!refcount_dec_and_test(r)) {
    spin_unlock(lock);
    return false;
  }
  return true;
}
