// SPDX-License-Identifier: GPL-2.0-only
// custom: mutexes; what they do is in kernel/locking/mutex.ts
import { bool, type kobj_memory, opaque, ptr, struct } from "../../kernel/lib/struct.ts";
import { lockdep_map } from "../../kernel/locking/lockdep.ts";
import type { task_struct } from "../../kernel/sched/task.ts";

/** struct mutex with CONFIG_DEBUG_MUTEXES. All zeros is a mutex that was never initialised. */
export class mutex extends struct("mutex", {
  /** Who holds it, or to whom it was handed over: null if it is free. */
  owner: ptr<task_struct>(),
  /** The first waiter was passed over once: the next unlock gives it the mutex. */
  handoff: bool(),
  /** `owner` has been given the mutex and does not know it yet. */
  pickup: bool(),
  /** Waiting tasks, first come first. */
  wait_list: opaque((): task_struct[] => [], 16),
  /** Points to the mutex itself once it is initialised. */
  magic: ptr<kobj_memory>(),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}

export {
  DEFINE_MUTEX,
  mutex_destroy,
  mutex_init,
  mutex_is_locked,
  mutex_lock,
  mutex_lock_interruptible,
  mutex_lock_interruptible_nested,
  mutex_lock_killable,
  mutex_lock_killable_nested,
  mutex_lock_nest_lock,
  mutex_lock_nested,
  mutex_trylock,
  mutex_unlock,
} from "../../kernel/locking/mutex.ts";
