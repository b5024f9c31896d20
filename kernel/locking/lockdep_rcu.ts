// SPDX-License-Identifier: GPL-2.0-only
/** What the lock validator knows of RCU: readers hold a lock that is in no order with others. Source: include/linux/rcupdate.h */
import { per_boot_books } from "../boot.ts";
import { format_place, stack_trace } from "../stacktrace.ts";
import { debug_locks } from "./debug_locks_off.ts";
import {
  LD_WAIT_FREE,
  LD_WAIT_SPIN,
  lock_acquire,
  lock_class_key,
  lock_is_held,
  lock_release,
  lockdep_init_map,
  lockdep_map,
} from "./lockdep.ts";
import { lockdep_rcu_suspicious } from "./lockdep_report.ts";

const s = per_boot_books(() => ({
  map: reader_map(),
  warned: new Set<string>(),
}));
function reader_map(): lockdep_map {
  const map = new lockdep_map();
  lockdep_init_map(map, null, "rcu_read_lock", new lock_class_key(), LD_WAIT_SPIN, LD_WAIT_FREE);
  return map;
}

/** rcu_read_lock(), for the validator. */
export function rcu_lock_acquire(): void {
  lock_acquire(s.map, 0, false, 2, false);
}
export function rcu_lock_release(): void {
  lock_release(s.map);
}
/** @return whether the current task is a reader; true if nobody keeps the books */
export function debug_rcu_read_lock_held(): boolean {
  return !debug_locks.on || lock_is_held(s.map);
}

/** Speaks once for each place if `condition` holds. @what: the kernel's words. Any context. */
export function RCU_LOCKDEP_WARN(condition: boolean, what: string): void {
  if (!condition || !debug_locks.on) return;
  const key = `${what} ${format_place(stack_trace())}`;
  if (s.warned.has(key)) return;
  s.warned.add(key);
  lockdep_rcu_suspicious(what);
}
/** Nobody gives up the CPU while reading. */
export function rcu_sleep_check(): void {
  if (!debug_locks.on) return;
  RCU_LOCKDEP_WARN(lock_is_held(s.map), "Illegal context switch in RCU read-side critical section");
}
/** Nor waits for readers. @func: who does */
export function rcu_wait_check(func: string): void {
  if (!debug_locks.on) return;
  RCU_LOCKDEP_WARN(lock_is_held(s.map), `Illegal ${func}() in RCU read-side critical section`);
}
