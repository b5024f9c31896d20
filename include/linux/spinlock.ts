// SPDX-License-Identifier: GPL-2.0-only
// custom: spinlocks; what they do is in kernel/locking/spinlock.ts
import { int, opaque, ptr, struct, u32 } from "../../kernel/lib/struct.ts";
import { lockdep_map } from "../../kernel/locking/lockdep.ts";
import type { task_struct } from "../../kernel/sched/task.ts";

/** spinlock_t with CONFIG_DEBUG_SPINLOCK. All zeros is a lock that was never initialised. */
export class spinlock extends struct("spinlock", {
  /** Who holds it: null if it is free. */
  owner: ptr<task_struct>(),
  owner_cpu: int(),
  magic: u32(),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}
export { spinlock as raw_spinlock_t, spinlock as spinlock_t };

export {
  assert_spin_locked,
  DEFINE_SPINLOCK,
  spin_is_locked,
  spin_lock,
  spin_lock_bh,
  spin_lock_init,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_lock_nested,
  spin_trylock,
  spin_trylock_irq,
  spin_unlock,
  spin_unlock_bh,
  spin_unlock_irq,
  spin_unlock_irqrestore,
  SPINLOCK_MAGIC,
} from "../../kernel/locking/spinlock.ts";
export {
  DEFINE_SPINLOCK as DEFINE_RAW_SPINLOCK,
  spin_lock as raw_spin_lock,
  spin_lock_init as raw_spin_lock_init,
  spin_lock_irq as raw_spin_lock_irq,
  spin_lock_irqsave as raw_spin_lock_irqsave,
  spin_trylock as raw_spin_trylock,
  spin_unlock as raw_spin_unlock,
  spin_unlock_irq as raw_spin_unlock_irq,
  spin_unlock_irqrestore as raw_spin_unlock_irqrestore,
} from "../../kernel/locking/spinlock.ts";
