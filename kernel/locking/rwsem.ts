// SPDX-License-Identifier: GPL-2.0-only
/**
 * Reader/writer semaphores, with the checks of CONFIG_DEBUG_RWSEMS. Readers and writers queue in one line; when its
 * first is a reader, all readers in it are let in together; a writer that has waited for too long is given precedence.
 * Source: kernel/locking/rwsem.c. Without spinning on the owner, which only changes who is faster.
 */
import { rw_semaphore } from "../../include/linux/rwsem.ts";
import { EINTR } from "../../include/linux/errno.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { might_sleep } from "../sched/debug.ts";
import {
  point,
  schedule,
  set_current_state,
  signal_pending_state,
  slow,
  take_point,
  wake_up_process,
} from "../sched/core.ts";
import {
  current,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  type task_struct,
  type waits_for,
} from "../sched/task.ts";
import { READY, ready_int, type Sleeps } from "../sched/types.ts";
import { HZ, jiffies } from "../time/clock.ts";
import { name_of_member } from "./debug_locks.ts";
import { check_rwsem_magic, DEBUG_RWSEMS_WARN_ON } from "./debug_magic.ts";
import {
  assign_lock_key,
  debug_check_no_locks_freed,
  holder_of,
  LD_WAIT_SLEEP,
  lock_downgrade,
  lockdep_init_map,
  rwsem_acquire,
  rwsem_acquire_read,
  rwsem_release,
} from "./lockdep.ts";

export { rw_semaphore };

export interface rwsem_waiter {
  /** null once the semaphore has been granted. */
  task: task_struct | null;
  readonly writes: boolean;
  /** In jiffies: when patience ends. */
  readonly timeout: number;
  handoff_set: boolean;
}
const RWSEM_WAIT_TIMEOUT = Math.ceil(HZ / 250);
const MAX_READERS_WAKEUP = 0x100;

type wake_type = "any" | "readers" | "read_owned";

/** Makes `sem` a free semaphore. @name: of its class, if not that of the struct it lies in */
export function init_rwsem(sem: rw_semaphore, name = name_of_member(sem, "sem")): void {
  debug_check_no_locks_freed(sem.$mem, sem);
  lockdep_init_map(sem.dep_map, sem, name, null, LD_WAIT_SLEEP);
  sem.magic = sem;
  sem.owner = null;
  sem.readers = 0;
  sem.handoff = false;
  sem.reader_owned = false;
  sem.wait_list = [];
}
/** A static semaphore, initialised. @name: of the variable */
export function DECLARE_RWSEM(name: string): rw_semaphore {
  const sem = new rw_semaphore();
  lockdep_init_map(sem.dep_map, sem, name, null, LD_WAIT_SLEEP);
  sem.magic = sem;
  return sem;
}
export const rwsem_is_locked = (sem: rw_semaphore): boolean => sem.owner !== null || sem.readers > 0;
export const rwsem_is_contended = (sem: rw_semaphore): boolean => sem.wait_list.length > 0;

/** Lets in who may go now. The line is not empty. */
function rwsem_mark_wake(sem: rw_semaphore, type: wake_type): void {
  const [first] = sem.wait_list;
  if (!first) return;
  if (first.writes) {
    // It competes once it runs; until then other writers may still take the semaphore, but no reader.
    if (type === "any" && first.task) wake_up_process(first.task);
    return;
  }
  if (type !== "read_owned" && sem.owner !== null) {
    if (jiffies() > first.timeout) {
      sem.handoff = true;
      first.handoff_set = true;
    }
    return;
  }
  const granted = sem.wait_list.filter((w) => !w.writes).slice(0, MAX_READERS_WAKEUP);
  sem.wait_list = sem.wait_list.filter((w) => !granted.includes(w));
  sem.readers += granted.length;
  sem.handoff = false;
  for (const waiter of granted) {
    const { task } = waiter;
    waiter.task = null;
    if (task) wake_up_process(task);
  }
}
function rwsem_cond_wake_waiter(sem: rw_semaphore): void {
  if (sem.owner === null && sem.wait_list.length > 0) rwsem_mark_wake(sem, sem.readers > 0 ? "readers" : "any");
}

function rwsem_del_waiter(sem: rw_semaphore, waiter: rwsem_waiter): void {
  sem.wait_list.splice(sem.wait_list.indexOf(waiter), 1);
  if (sem.wait_list.length === 0) sem.handoff = false;
}
/** A waiter gives up; who stood behind it may be able to go on. */
function rwsem_del_wake_waiter(sem: rw_semaphore, waiter: rwsem_waiter): void {
  const first = sem.wait_list[0] === waiter;
  rwsem_del_waiter(sem, waiter);
  if (first && sem.wait_list.length > 0) rwsem_mark_wake(sem, "any");
}

function why_waiting(sem: rw_semaphore, wchan: string): waits_for {
  const map = sem.dep_map;
  return {
    wchan,
    what: `rw_semaphore ${map.name}`,
    owner: () => (sem.$mem.freed ? null : (sem.owner ?? holder_of(map))),
  };
}

/** Writers come after readers and writers, readers after writers. */
function acquired(sem: rw_semaphore, writes: boolean): void {
  sem.reader_owned = !writes;
  kcsan_acquire(sem);
  if (writes) kcsan_acquire(sem, "readers");
}

function* down_read_slow(sem: rw_semaphore, state: number, subclass: number): Sleeps<number> {
  const ret = yield* down_read_wait(sem, state, subclass);
  if (!ret) acquired(sem, false);
  return ret;
}
function* down_read_wait(sem: rw_semaphore, state: number, subclass: number): Sleeps<number> {
  yield* take_point();
  assign_lock_key(sem.dep_map, sem, "sem");
  rwsem_acquire_read(sem.dep_map, subclass, false);
  if (read_is_free(sem)) {
    sem.readers++;
    return 0;
  }
  // Readers that hold it already do not let more in past a waiting writer.
  if (sem.readers === 0 && sem.owner === null && !sem.handoff) {
    sem.readers++;
    if (sem.wait_list.length > 0) rwsem_mark_wake(sem, "read_owned");
    return 0;
  }
  if (sem.wait_list.length === 0 && sem.owner === null) {
    sem.readers++;
    return 0;
  }
  const me = current();
  const waiter: rwsem_waiter = { task: me, writes: false, timeout: jiffies() + RWSEM_WAIT_TIMEOUT, handoff_set: false };
  sem.wait_list.push(waiter);
  rwsem_cond_wake_waiter(sem);
  const why = why_waiting(sem, "down_read");
  for (;;) {
    set_current_state(state);
    if (!waiter.task) break;
    if (signal_pending_state(state, me)) {
      rwsem_del_wake_waiter(sem, waiter);
      set_current_state(TASK_RUNNING);
      rwsem_release(sem.dep_map);
      return -EINTR;
    }
    yield* schedule(why);
  }
  set_current_state(TASK_RUNNING);
  return 0;
}

function try_write_lock(sem: rw_semaphore, waiter: rwsem_waiter): boolean {
  const [first] = sem.wait_list;
  if (sem.handoff && first?.handoff_set && waiter !== first) return false;
  if (rwsem_is_locked(sem)) {
    if (sem.handoff || jiffies() <= waiter.timeout) return false;
    sem.handoff = true;
    if (first) first.handoff_set = true;
    return false;
  }
  sem.handoff = false;
  sem.owner = current();
  sem.wait_list.splice(sem.wait_list.indexOf(waiter), 1);
  return true;
}

function* down_write_slow(sem: rw_semaphore, state: number, subclass: number): Sleeps<number> {
  const ret = yield* down_write_wait(sem, state, subclass);
  if (!ret) acquired(sem, true);
  return ret;
}
function* down_write_wait(sem: rw_semaphore, state: number, subclass: number): Sleeps<number> {
  yield* take_point();
  assign_lock_key(sem.dep_map, sem, "sem");
  rwsem_acquire(sem.dep_map, subclass, false);
  if (write_is_free(sem)) {
    sem.owner = current();
    return 0;
  }
  const me = current();
  const waiter: rwsem_waiter = { task: me, writes: true, timeout: jiffies() + RWSEM_WAIT_TIMEOUT, handoff_set: false };
  sem.wait_list.push(waiter);
  if (sem.wait_list[0] !== waiter) rwsem_cond_wake_waiter(sem);
  const why = why_waiting(sem, "down_write");
  set_current_state(state);
  while (!try_write_lock(sem, waiter)) {
    if (signal_pending_state(state, me)) {
      set_current_state(TASK_RUNNING);
      rwsem_del_wake_waiter(sem, waiter);
      rwsem_release(sem.dep_map);
      return -EINTR;
    }
    yield* schedule(why);
    set_current_state(state);
  }
  set_current_state(TASK_RUNNING);
  return 0;
}

const read_is_free = (sem: rw_semaphore): boolean => sem.owner === null && sem.wait_list.length === 0 && !sem.handoff;
const write_is_free = (sem: rw_semaphore): boolean => read_is_free(sem) && sem.readers === 0;

/** @return what to wait for, null if the semaphore was taken at once */
function __down_read_common(sem: rw_semaphore, state: number, subclass: number): Sleeps<number> | null {
  might_sleep();
  if (point() || !read_is_free(sem)) return slow("down_read", down_read_slow(sem, state, subclass));
  assign_lock_key(sem.dep_map, sem, "sem");
  rwsem_acquire_read(sem.dep_map, subclass, false);
  sem.readers++;
  acquired(sem, false);
  return null;
}
function __down_write_common(sem: rw_semaphore, state: number, subclass: number): Sleeps<number> | null {
  might_sleep();
  if (point() || !write_is_free(sem)) return slow("down_write", down_write_slow(sem, state, subclass));
  assign_lock_key(sem.dep_map, sem, "sem");
  rwsem_acquire(sem.dep_map, subclass, false);
  sem.owner = current();
  acquired(sem, true);
  return null;
}
function* wait_void(path: Sleeps<number>): Sleeps {
  yield* path;
}

/** Takes the semaphore together with other readers. May sleep. */
export function down_read(sem: rw_semaphore): Sleeps {
  return down_read_nested(sem, 0);
}
export function down_read_nested(sem: rw_semaphore, subclass: number): Sleeps {
  const path = __down_read_common(sem, TASK_UNINTERRUPTIBLE, subclass);
  return path ? wait_void(path) : READY;
}
/** @return 0, or -EINTR if a signal ended the wait */
export function down_read_interruptible(sem: rw_semaphore): Sleeps<number> {
  return __down_read_common(sem, TASK_INTERRUPTIBLE, 0) ?? ready_int(0);
}
/** @return 0, or -EINTR if a fatal signal ended the wait */
export function down_read_killable(sem: rw_semaphore): Sleeps<number> {
  return __down_read_common(sem, TASK_KILLABLE, 0) ?? ready_int(0);
}
/** @return 1 if the semaphore was taken, else 0 */
export function down_read_trylock(sem: rw_semaphore): number {
  check_rwsem_magic(sem);
  if (!read_is_free(sem)) return 0;
  sem.readers++;
  assign_lock_key(sem.dep_map, sem, "sem");
  rwsem_acquire_read(sem.dep_map, 0, true);
  acquired(sem, false);
  return 1;
}

/** Takes the semaphore alone. May sleep. */
export function down_write(sem: rw_semaphore): Sleeps {
  return down_write_nested(sem, 0);
}
export function down_write_nested(sem: rw_semaphore, subclass: number): Sleeps {
  const path = __down_write_common(sem, TASK_UNINTERRUPTIBLE, subclass);
  return path ? wait_void(path) : READY;
}
/** @return 0, or -EINTR if a fatal signal ended the wait */
export function down_write_killable(sem: rw_semaphore): Sleeps<number> {
  return __down_write_common(sem, TASK_KILLABLE, 0) ?? ready_int(0);
}
/** @return 1 if the semaphore was taken, else 0 */
export function down_write_trylock(sem: rw_semaphore): number {
  check_rwsem_magic(sem);
  if (!write_is_free(sem)) return 0;
  sem.owner = current();
  assign_lock_key(sem.dep_map, sem, "sem");
  rwsem_acquire(sem.dep_map, 0, true);
  acquired(sem, true);
  return 1;
}

/** Gives a shared hold back. */
export function up_read(sem: rw_semaphore): void {
  rwsem_release(sem.dep_map);
  check_rwsem_magic(sem);
  DEBUG_RWSEMS_WARN_ON(sem.owner !== null || !sem.reader_owned, "!is_rwsem_reader_owned(sem)", sem);
  sem.readers--;
  DEBUG_RWSEMS_WARN_ON(sem.readers < 0, "tmp < 0", sem);
  // What C goes on with then is a count that nobody can take.
  if (sem.readers < 0) sem.readers = 0;
  if (!rwsem_is_locked(sem) && sem.wait_list.length > 0) rwsem_mark_wake(sem, "any");
  kcsan_release(sem, "readers");
}
/** Gives an exclusive hold back. */
export function up_write(sem: rw_semaphore): void {
  rwsem_release(sem.dep_map);
  check_rwsem_magic(sem);
  DEBUG_RWSEMS_WARN_ON(
    sem.owner !== current(),
    "(rwsem_owner(sem) != current) && !rwsem_test_oflags(sem, RWSEM_NONSPINNABLE)",
    sem,
  );
  sem.owner = null;
  sem.reader_owned = false;
  if (sem.wait_list.length > 0) rwsem_mark_wake(sem, "any");
  kcsan_release(sem);
}
/** Turns an exclusive hold into a shared one; waiting readers come in. */
export function downgrade_write(sem: rw_semaphore): void {
  lock_downgrade(sem.dep_map);
  DEBUG_RWSEMS_WARN_ON(sem.owner !== current(), "rwsem_owner(sem) != current", sem);
  sem.owner = null;
  sem.reader_owned = true;
  sem.readers++;
  if (sem.wait_list.length > 0) rwsem_mark_wake(sem, "read_owned");
  kcsan_release(sem);
}
