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

/** The machine keeps the order of memory accesses as written; reading is reading. */
export const rcu_dereference = <T>(p: T): T => p;
export { rcu_dereference as rcu_access_pointer, rcu_dereference as rcu_dereference_raw };
export const rcu_dereference_protected = <T>(p: T, _held: boolean): T => p;
