// SPDX-License-Identifier: GPL-2.0-only
// custom: read-copy-update
export {
  call_rcu,
  init_rcu_head,
  kfree_rcu,
  rcu_barrier,
  rcu_read_lock,
  rcu_read_lock_held,
  rcu_read_unlock,
  synchronize_rcu,
} from "../../kernel/locking/rcu.ts";

import { debug_rcu_read_lock_held, RCU_LOCKDEP_WARN } from "../../kernel/locking/lockdep_rcu.ts";
export { RCU_LOCKDEP_WARN };

/** The machine keeps the order of memory accesses as written: reading is reading. */
export const rcu_access_pointer = <T>(p: T): T => p;
export { rcu_access_pointer as rcu_dereference_raw };
/** Reads a pointer that RCU protects, or what `condition` says. */
export function rcu_dereference_check<T>(p: T, condition: boolean): T {
  RCU_LOCKDEP_WARN(!(condition || debug_rcu_read_lock_held()), "suspicious rcu_dereference_check() usage");
  return p;
}
/** Reads a pointer that RCU protects. For readers. */
export function rcu_dereference<T>(p: T): T {
  return rcu_dereference_check(p, false);
}
/** Reads it where nobody changes it. @condition: why that is so, a lock that is held */
export function rcu_dereference_protected<T>(p: T, condition: boolean): T {
  RCU_LOCKDEP_WARN(!condition, "suspicious rcu_dereference_protected() usage");
  return p;
}
