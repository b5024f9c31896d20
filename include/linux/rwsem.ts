// SPDX-License-Identifier: GPL-2.0-only
// custom: reader/writer semaphores; what they do is in kernel/locking/rwsem.ts
import { bool, int, type kobj_memory, opaque, ptr, struct } from "../../kernel/lib/struct.ts";
import { lockdep_map } from "../../kernel/locking/lockdep.ts";
import type { rwsem_waiter } from "../../kernel/locking/rwsem.ts";
import type { task_struct } from "../../kernel/sched/task.ts";

/** struct rw_semaphore with CONFIG_DEBUG_RWSEMS. All zeros is one that was never initialised. */
export class rw_semaphore extends struct("rw_semaphore", {
  /** The writer that holds it, or null. */
  owner: ptr<task_struct>(),
  /** How many readers hold it. */
  readers: int(),
  /** The first waiter has waited for too long: nobody else may take it before. */
  handoff: bool(),
  /** Whoever held it last, or holds it, is a reader. */
  reader_owned: bool(),
  wait_list: opaque((): rwsem_waiter[] => [], 16),
  /** Points to the semaphore itself once it is initialised. */
  magic: ptr<kobj_memory>(),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}

export {
  DECLARE_RWSEM,
  down_read,
  down_read_interruptible,
  down_read_killable,
  down_read_nested,
  down_read_trylock,
  down_write,
  down_write_killable,
  down_write_nested,
  down_write_trylock,
  downgrade_write,
  init_rwsem,
  rwsem_is_contended,
  rwsem_is_locked,
  up_read,
  up_write,
} from "../../kernel/locking/rwsem.ts";
