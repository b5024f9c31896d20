// SPDX-License-Identifier: GPL-2.0-only
/**
 * Mutexes, with the checks of CONFIG_DEBUG_MUTEXES. Waiters queue; one that is woken competes with whoever comes along,
 * and if it loses, has the mutex handed over by the next unlock.
 * Source: kernel/locking/mutex.c, mutex-debug.c. Without spinning on the owner, which only changes who is faster.
 */
import { mutex } from "../../include/linux/mutex.ts";
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
import { current, TASK_INTERRUPTIBLE, TASK_KILLABLE, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import { READY, ready_int, type Sleeps } from "../sched/types.ts";
import { DEBUG_LOCKS_WARN_ON, name_of_member } from "./debug_locks.ts";
import { check_mutex_magic } from "./debug_magic.ts";
import {
  debug_check_no_locks_freed,
  LD_WAIT_SLEEP,
  lock_acquire,
  lock_release,
  lockdep_init_map,
  type lockdep_map,
} from "./lockdep.ts";

/** Makes `lock` a free mutex. @name: of its class, if not that of the struct it lies in. Process context, the mutex not in use. */
export function mutex_init(lock: mutex, name = name_of_member(lock, "lock")): void {
  lock.owner = null;
  lock.handoff = false;
  lock.pickup = false;
  lock.wait_list = [];
  debug_check_no_locks_freed(lock.$mem, lock);
  lockdep_init_map(lock.dep_map, lock, name, null, LD_WAIT_SLEEP);
  lock.magic = lock;
}
/** A static mutex, initialised. @name: of the variable */
export function DEFINE_MUTEX(name: string): mutex {
  const lock = new mutex();
  lockdep_init_map(lock.dep_map, lock, name, null, LD_WAIT_SLEEP);
  lock.magic = lock;
  return lock;
}
/** The mutex is no longer used; it must be free. */
export function mutex_destroy(lock: mutex): void {
  DEBUG_LOCKS_WARN_ON(mutex_is_locked(lock), "mutex_is_locked(lock)");
  lock.magic = null;
}
export function mutex_is_locked(lock: mutex): boolean {
  return lock.owner !== null;
}

/** @handoff: ask for the mutex to be handed over, if it is held. @return whether the current task holds it now */
function __mutex_trylock(lock: mutex, handoff: boolean): boolean {
  const me = current();
  if (lock.owner === null) {
    lock.owner = me;
    kcsan_acquire(lock);
    return true;
  }
  if (lock.pickup) {
    if (lock.owner !== me) return false;
    lock.pickup = false;
    kcsan_acquire(lock);
    return true;
  }
  if (handoff) lock.handoff = true;
  return false;
}

function __mutex_lock(lock: mutex, state: number, subclass: number, nest: lockdep_map | null): Sleeps<number> | null {
  might_sleep();
  // Evaluated in this order: the point is one even if the mutex is held.
  if (point() || lock.owner !== null) return slow("mutex_lock", mutex_lock_slow(lock, state, subclass, nest));
  check_mutex_magic(lock);
  lock_acquire(lock.dep_map, subclass, false, 0, true, nest);
  lock.owner = current();
  kcsan_acquire(lock);
  return null;
}

function* mutex_lock_slow(lock: mutex, state: number, subclass: number, nest: lockdep_map | null): Sleeps<number> {
  yield* take_point();
  check_mutex_magic(lock);
  lock_acquire(lock.dep_map, subclass, false, 0, true, nest);
  if (__mutex_trylock(lock, false)) return 0;

  const me = current();
  const name = lock.dep_map.name;
  const why = { wchan: "mutex_lock", what: `mutex ${name}`, owner: () => (lock.$mem.freed ? null : lock.owner) };
  lock.wait_list.push(me);
  set_current_state(state);
  for (;;) {
    if (__mutex_trylock(lock, false)) break;
    if (signal_pending_state(state, me)) {
      set_current_state(TASK_RUNNING);
      remove_waiter(lock);
      lock_release(lock.dep_map);
      return -EINTR;
    }
    yield* schedule(why);
    set_current_state(state);
    if (__mutex_trylock(lock, lock.wait_list[0] === me)) break;
  }
  set_current_state(TASK_RUNNING);
  remove_waiter(lock);
  return 0;
}
function remove_waiter(lock: mutex): void {
  const at = lock.wait_list.indexOf(current());
  if (at >= 0) lock.wait_list.splice(at, 1);
  // Nobody is left to hand over to.
  if (lock.wait_list.length === 0) lock.handoff = false;
}

function* wait_void(path: Sleeps<number>): Sleeps {
  yield* path;
}

/** Takes a mutex, waiting as long as it takes. @subclass: nesting level for the lock validator. May sleep. */
export function mutex_lock_nested(lock: mutex, subclass: number): Sleeps {
  const path = __mutex_lock(lock, TASK_UNINTERRUPTIBLE, subclass, null);
  return path ? wait_void(path) : READY;
}
export function mutex_lock(lock: mutex): Sleeps {
  const path = __mutex_lock(lock, TASK_UNINTERRUPTIBLE, 0, null);
  return path ? wait_void(path) : READY;
}
/** As mutex_lock(), for one of several of a class that `nest` serialises. */
export function mutex_lock_nest_lock(lock: mutex, nest: mutex): Sleeps {
  const path = __mutex_lock(lock, TASK_UNINTERRUPTIBLE, 0, nest.dep_map);
  return path ? wait_void(path) : READY;
}
/** As mutex_lock(), but any signal ends the wait. @return 0 or -EINTR. May sleep. */
export function mutex_lock_interruptible(lock: mutex): Sleeps<number> {
  return __mutex_lock(lock, TASK_INTERRUPTIBLE, 0, null) ?? ready_int(0);
}
export function mutex_lock_interruptible_nested(lock: mutex, subclass: number): Sleeps<number> {
  return __mutex_lock(lock, TASK_INTERRUPTIBLE, subclass, null) ?? ready_int(0);
}
/** As mutex_lock(), but a fatal signal ends the wait. @return 0 or -EINTR. May sleep. */
export function mutex_lock_killable(lock: mutex): Sleeps<number> {
  return __mutex_lock(lock, TASK_KILLABLE, 0, null) ?? ready_int(0);
}
export function mutex_lock_killable_nested(lock: mutex, subclass: number): Sleeps<number> {
  return __mutex_lock(lock, TASK_KILLABLE, subclass, null) ?? ready_int(0);
}

/** Takes a mutex that is free. @return 1 if it was, 0 if not. Process context. */
export function mutex_trylock(lock: mutex): number {
  check_mutex_magic(lock);
  if (!__mutex_trylock(lock, false)) return 0;
  lock_acquire(lock.dep_map, 0, true);
  return 1;
}

/** Gives a mutex back. Process context, by the task that took it. */
export function mutex_unlock(lock: mutex): void {
  lock_release(lock.dep_map);
  DEBUG_LOCKS_WARN_ON(lock.owner !== current(), "__owner_task(owner) != current");
  DEBUG_LOCKS_WARN_ON(lock.pickup, "owner & MUTEX_FLAG_PICKUP");
  const [next] = lock.wait_list;
  const handoff = lock.handoff;
  if (!handoff) lock.owner = null;
  check_mutex_magic(lock);
  if (handoff) {
    lock.owner = next ?? null;
    lock.pickup = next !== undefined;
    lock.handoff = false;
  }
  kcsan_release(lock);
  if (next) wake_up_process(next);
}
