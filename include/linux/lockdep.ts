// SPDX-License-Identifier: GPL-2.0-only
// custom: the lock validator
export { debug_locks } from "../../kernel/locking/debug_locks.ts";
export {
  debug_check_no_locks_freed,
  lock_acquire,
  lock_class_key,
  lock_is_held,
  lock_map_acquire,
  lock_map_acquire_read,
  lock_map_release,
  lock_release,
  lockdep_assert_held,
  lockdep_assert_held_read,
  lockdep_assert_held_write,
  lockdep_assert_not_held,
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
