// SPDX-License-Identifier: GPL-2.0-only
/** Two functions that take two mutexes in different orders, in a module of their own so that their names show in traces. */
import { type mutex, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { Sleeps } from "#linux/sched.ts";

export function* a_then_b(a: mutex, b: mutex): Sleeps {
  yield* mutex_lock(a);
  yield* mutex_lock(b);
  mutex_unlock(b);
  mutex_unlock(a);
}
export function* b_then_a(a: mutex, b: mutex): Sleeps {
  yield* mutex_lock(b);
  yield* mutex_lock(a);
  mutex_unlock(a);
  mutex_unlock(b);
}
