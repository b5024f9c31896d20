// SPDX-License-Identifier: GPL-2.0-only
// custom: the lock validator
import { debug_locks } from "../../kernel/locking/debug_locks_off.ts";
import { type has_dep_map, held_locks, lockdep_is_held } from "../../kernel/locking/lockdep.ts";
import { WARN_ON, WARN_ON_ONCE } from "../../kernel/panic.ts";
import { current, in_hardirq } from "../../kernel/sched/task.ts";

export { debug_locks } from "../../kernel/locking/debug_locks_off.ts";
export {
  debug_check_no_locks_freed,
  lock_acquire,
  lock_class_key,
  lock_is_held,
  lock_map_acquire,
  lock_map_acquire_read,
  lock_map_release,
  lock_release,
  lockdep_depth,
  lockdep_init_map,
  lockdep_is_held,
  lockdep_map,
  lockdep_set_class,
  lockdep_set_class_and_name,
  lockdep_set_novalidate_class,
  lockdep_sys_exit,
  rwsem_acquire,
  rwsem_acquire_read,
  rwsem_release,
} from "../../kernel/locking/lockdep.ts";

/** As lock nesting level of *_nested() functions, for the one level that is enough for most. */
export const SINGLE_DEPTH_NESTING = 1;

export function lockdep_assert_held(lock: has_dep_map): void {
  WARN_ON(debug_locks.on && !lockdep_is_held(lock));
}
export function lockdep_assert_not_held(lock: has_dep_map): void {
  WARN_ON(debug_locks.on && lockdep_is_held(lock));
}
function held_as(lock: has_dep_map, exclusive: boolean): boolean {
  return held_locks(current()).some((h) => h.map === lock.dep_map && (h.read === 0) === exclusive);
}
export function lockdep_assert_held_write(lock: has_dep_map): void {
  WARN_ON(debug_locks.on && !held_as(lock, true));
}
export function lockdep_assert_held_read(lock: has_dep_map): void {
  WARN_ON(debug_locks.on && !held_as(lock, false));
}
export function lockdep_assert_held_once(lock: has_dep_map): void {
  WARN_ON_ONCE(debug_locks.on && !lockdep_is_held(lock));
}
export function lockdep_assert_none_held_once(): void {
  WARN_ON_ONCE(debug_locks.on && held_locks(current()).length > 0);
}
export function lockdep_assert_irqs_enabled(): void {
  WARN_ON_ONCE(debug_locks.on && current().irqs_disabled);
}
export function lockdep_assert_irqs_disabled(): void {
  WARN_ON_ONCE(debug_locks.on && !current().irqs_disabled);
}
export function lockdep_assert_in_irq(): void {
  WARN_ON_ONCE(debug_locks.on && !in_hardirq());
}
export function lockdep_assert_preemption_enabled(): void {
  WARN_ON_ONCE(debug_locks.on && !current().preemptible);
}
export function lockdep_assert_preemption_disabled(): void {
  WARN_ON_ONCE(debug_locks.on && current().preemptible);
}
