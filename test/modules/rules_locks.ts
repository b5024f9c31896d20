// SPDX-License-Identifier: GPL-2.0-only
/**
 * For each rule about locks, waiting and contexts a function that breaks it, where checker_faults.ts has none, and one that comes as
 * near as it may (`_ok`).
 */
import { WARN_ON_ONCE } from "#linux/bug.ts";
import {
  complete,
  complete_all,
  completion,
  init_completion,
  reinit_completion,
  wait_for_completion,
} from "#linux/completion.ts";
import { msleep } from "#linux/delay.ts";
import { on_stack } from "#linux/kasan.ts";
import {
  lock_map_acquire,
  lock_map_acquire_read,
  lock_map_release,
  lockdep_assert_held,
  lockdep_assert_held_read,
  lockdep_assert_held_write,
  lockdep_assert_in_irq,
  lockdep_assert_irqs_disabled,
  lockdep_assert_irqs_enabled,
  lockdep_assert_none_held_once,
  lockdep_assert_not_held,
  lockdep_init_map,
  lockdep_is_held,
  lockdep_map,
  lockdep_sys_exit,
  SINGLE_DEPTH_NESTING,
} from "#linux/lockdep.ts";
import {
  DEFINE_MUTEX,
  mutex,
  mutex_destroy,
  mutex_init,
  mutex_lock,
  mutex_lock_nest_lock,
  mutex_lock_nested,
  mutex_trylock,
  mutex_unlock,
} from "#linux/mutex.ts";
import { preempt_disable, preempt_enable } from "#linux/preempt.ts";
import {
  DECLARE_RWSEM,
  down_read,
  down_read_trylock,
  down_write,
  downgrade_write,
  rw_semaphore,
  up_read,
  up_write,
} from "#linux/rwsem.ts";
import {
  rcu_access_pointer,
  rcu_dereference,
  rcu_dereference_protected,
  rcu_read_lock,
  rcu_read_unlock,
  synchronize_rcu,
} from "#linux/rcupdate.ts";
import { cond_resched, schedule_timeout, set_current_state, TASK_INTERRUPTIBLE } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  DEFINE_SPINLOCK,
  spin_lock,
  spin_lock_init,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irq,
  spin_unlock_irqrestore,
  spinlock_t,
} from "#linux/spinlock.ts";
import { embed, READY, type Sleeps, type Spins, struct } from "#linux/types.ts";
import { flush_work, INIT_WORK, schedule_work, work_struct } from "#linux/workqueue.ts";
import { local_irq_enable } from "#linux/irqflags.ts";
import { kbuild } from "../../kernel/modpost.ts";
import { raise_irq, raise_softirq } from "../../kernel/sched/interrupts.ts";

const { per_boot } = kbuild(import.meta.url);

class locked extends struct("locked", {
  lock: embed(() => mutex),
  spin: embed(() => spinlock_t),
  sem: embed(() => rw_semaphore),
  work: embed(() => work_struct),
}) {}

const s = per_boot(() => ({
  a: DEFINE_MUTEX("a"),
  b: DEFINE_MUTEX("b"),
  c: DEFINE_MUTEX("c"),
  spin: DEFINE_SPINLOCK("spin"),
  middle: DEFINE_SPINLOCK("middle"),
  plain: DEFINE_SPINLOCK("plain"),
  sem: DECLARE_RWSEM("sem"),
  done: new completion(),
  leaked: null as completion | null,
  map: recursive(),
  pointer: {},
  seen: null as object | null,
}));

/** A lock that its readers may take again while a writer waits. */
function recursive(): lockdep_map {
  const map = new lockdep_map();
  lockdep_init_map(map, null, "reader");
  return map;
}

function new_locked(): locked {
  const p = kzalloc(locked, GFP_KERNEL)!;
  mutex_init(p.lock);
  spin_lock_init(p.spin);
  return p;
}
function* both(first: mutex, second: mutex): Sleeps {
  yield* mutex_lock(first);
  yield* mutex_lock(second);
  mutex_unlock(second);
  mutex_unlock(first);
}

/** No two of them are taken in both orders. */
export function* cycle_of_three(): Sleeps {
  yield* both(s.a, s.b);
  yield* both(s.b, s.c);
  yield* both(s.c, s.a);
}
export function* cycle_ok(): Sleeps {
  yield* both(s.a, s.b);
  yield* both(s.b, s.c);
  yield* both(s.a, s.c);
  yield* mutex_lock(s.c);
  // Who only tries cannot be one of those who wait in a circle.
  if (mutex_trylock(s.a)) mutex_unlock(s.a);
  mutex_unlock(s.c);
}
/** No writer comes in between, but one that waits keeps the second reader out: both wait for ever. */
export function* cycle_of_readers(): Sleeps {
  yield* mutex_lock(s.a);
  yield* down_read(s.sem);
  up_read(s.sem);
  mutex_unlock(s.a);
  yield* down_read(s.sem);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  up_read(s.sem);
}
export function* reads_again(): Sleeps {
  yield* down_read(s.sem);
  yield* down_read(s.sem);
}
export function* writes_what_it_reads(): Sleeps {
  const map = recursive();
  lock_map_acquire_read(map);
  lock_map_acquire(map);
  yield* READY;
}
/** Weak at the lock that recurses: whoever holds it for reading lets the other reader in. */
export function* recursive_readers_ok(): Sleeps {
  const map = recursive();
  lock_map_acquire_read(map);
  lock_map_acquire_read(map);
  lock_map_release(map);
  lock_map_release(map);
  yield* mutex_lock(s.a);
  lock_map_acquire_read(map);
  lock_map_release(map);
  mutex_unlock(s.a);
  lock_map_acquire_read(map);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  lock_map_release(map);
  yield* down_read(s.sem);
  if (down_read_trylock(s.sem)) up_read(s.sem);
  up_read(s.sem);
}
/** The same orders, and one of them for writing too. */
export function* recursive_reader_and_writer(): Sleeps {
  const map = recursive();
  yield* mutex_lock(s.a);
  lock_map_acquire(map);
  lock_map_release(map);
  mutex_unlock(s.a);
  lock_map_acquire_read(map);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  lock_map_release(map);
}
/** The middle one is given back first; the orders of the others stay whole. */
export function* unlocks_across(): Sleeps {
  yield* mutex_lock(s.a);
  yield* mutex_lock(s.b);
  yield* mutex_lock(s.c);
  mutex_unlock(s.b);
  mutex_unlock(s.c);
  mutex_unlock(s.a);
  yield* both(s.c, s.a);
}
function take(n: number): void {
  for (let i = 0; i < n; i++) lock_map_acquire_read(s.map);
}
export function* holds_too_many(): Sleeps {
  take(48);
  yield* READY;
}
export function* holds_many_ok(): Sleeps {
  take(47);
  for (let i = 0; i < 47; i++) lock_map_release(s.map);
  yield* READY;
}
/** What `nest` says is held is not. */
export function* nests_in_nothing(): Sleeps {
  yield* mutex_lock_nest_lock(s.a, s.b);
}
export function* nested_ok(): Sleeps {
  const [p, q] = [new_locked(), new_locked()];
  yield* mutex_lock(p.lock);
  yield* mutex_lock_nested(q.lock, SINGLE_DEPTH_NESTING);
  mutex_unlock(q.lock);
  mutex_unlock(p.lock);
}

function* taken_in_irq(): Spins {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
}
function* interrupt(): Sleeps {
  raise_irq({ name: "toy", handler: taken_in_irq });
  yield* cond_resched();
}
export function* irq_ok(): Sleeps {
  const flags = yield* spin_lock_irqsave(s.spin);
  yield* spin_unlock_irqrestore(s.spin, flags);
  yield* interrupt();
}
function* taken_in_softirq(): Spins {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
}
export function* lock_in_softirq(): Sleeps {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
  raise_softirq(taken_in_softirq);
  yield* cond_resched();
}
/** `plain` is held with interrupts on, and an order leads from a lock that an interrupt takes to it. */
export function* irq_safe_to_unsafe(): Sleeps {
  yield* interrupt();
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_lock_irq(s.spin);
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_unlock_irq(s.spin);
}
export function* irq_safe_to_unsafe_chain(): Sleeps {
  yield* interrupt();
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_lock_irq(s.middle);
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_unlock_irq(s.middle);
  yield* spin_lock_irq(s.spin);
  yield* spin_lock(s.middle);
  spin_unlock(s.middle);
  yield* spin_unlock_irq(s.spin);
}
/** The orders are there first; only then does an interrupt take the lock. */
export function* irq_inversion(): Sleeps {
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_lock_irq(s.spin);
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_unlock_irq(s.spin);
  yield* interrupt();
}
/** The lock that is in order behind one that an interrupt takes is later held with interrupts on. */
export function* irq_inversion_behind(): Sleeps {
  yield* interrupt();
  yield* spin_lock_irq(s.spin);
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_unlock_irq(s.spin);
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
}
function* read_in_irq(): Spins {
  lock_map_acquire_read(s.map);
  lock_map_release(s.map);
  yield* READY;
}
/** Who reads in an interrupt waits for the writer that it has interrupted. */
export function* writes_and_reads_in_irq(): Sleeps {
  lock_map_acquire(s.map);
  lock_map_release(s.map);
  raise_irq({ name: "toy", handler: read_in_irq });
  yield* cond_resched();
}
export function* reads_and_reads_in_irq_ok(): Sleeps {
  lock_map_acquire_read(s.map);
  lock_map_release(s.map);
  raise_irq({ name: "toy", handler: read_in_irq });
  yield* cond_resched();
}
/** Interrupts are switched on while it is held. */
export function* irqs_on_too_early(): Sleeps {
  yield* interrupt();
  yield* spin_lock_irq(s.spin);
  yield* local_irq_enable();
}
export function* irq_order_ok(): Sleeps {
  yield* spin_lock_irq(s.spin);
  yield* spin_lock(s.plain);
  spin_unlock(s.plain);
  yield* spin_unlock_irq(s.spin);
  yield* spin_lock_irq(s.plain);
  yield* spin_unlock_irq(s.plain);
  yield* interrupt();
}

export function* not_held(): Sleeps {
  lockdep_assert_held(s.a);
  yield* READY;
}
export function* held_all_the_same(): Sleeps {
  yield* mutex_lock(s.a);
  lockdep_assert_not_held(s.a);
  mutex_unlock(s.a);
}
export function* held_ok(): Sleeps {
  lockdep_assert_not_held(s.a);
  yield* mutex_lock(s.a);
  lockdep_assert_held(s.a);
  mutex_unlock(s.a);
  lockdep_sys_exit();
}
export function* held_for_reading_only(): Sleeps {
  yield* down_read(s.sem);
  lockdep_assert_held(s.sem);
  lockdep_assert_held_write(s.sem);
  up_read(s.sem);
}
export function* held_for_writing_only(): Sleeps {
  yield* down_write(s.sem);
  lockdep_assert_held_read(s.sem);
  up_write(s.sem);
}
export function* irqs_on_all_the_same(): Sleeps {
  lockdep_assert_irqs_disabled();
  yield* READY;
}
export function* not_in_irq(): Sleeps {
  lockdep_assert_in_irq();
  yield* READY;
}
export function* held_after_all(): Sleeps {
  yield* mutex_lock(s.a);
  lockdep_assert_none_held_once();
  mutex_unlock(s.a);
}
export function* asserts_ok(): Sleeps {
  lockdep_assert_none_held_once();
  lockdep_assert_irqs_enabled();
  yield* down_write(s.sem);
  lockdep_assert_held_write(s.sem);
  downgrade_write(s.sem);
  lockdep_assert_held_read(s.sem);
  up_read(s.sem);
  yield* spin_lock_irq(s.spin);
  lockdep_assert_irqs_disabled();
  yield* spin_unlock_irq(s.spin);
}
export function* initialises_held(): Sleeps {
  const p = new_locked();
  yield* mutex_lock(p.lock);
  mutex_init(p.lock);
}
export function* freed_unlocked_ok(): Sleeps {
  const p = new_locked();
  yield* mutex_lock(p.lock);
  mutex_unlock(p.lock);
  kfree(p);
}

export function* unlocks_others(): Sleeps {
  yield* mutex_lock(s.a);
  yield* msleep(10);
  mutex_unlock(s.a);
}
/** The validator speaks before the mutex's own check, which is then off, as in Linux. */
export function* unlocks_for_others(): Sleeps {
  mutex_unlock(s.a);
  yield* READY;
}
export function* destroys_locked(): Sleeps {
  const p = new_locked();
  yield* mutex_lock(p.lock);
  mutex_destroy(p.lock);
  mutex_unlock(p.lock);
}
export function* uses_destroyed(): Sleeps {
  const p = new_locked();
  mutex_destroy(p.lock);
  yield* mutex_lock(p.lock);
}
export function* mutex_ok(): Sleeps {
  const p = new_locked();
  yield* mutex_lock(p.lock);
  mutex_unlock(p.lock);
  mutex_destroy(p.lock);
  mutex_init(p.lock);
  kfree(p);
}
export function* rwsem_of_zeros(): Sleeps {
  yield* down_read(new_locked().sem);
}
export function* rwsem_ok(): Sleeps {
  yield* down_write(s.sem);
  downgrade_write(s.sem);
  up_read(s.sem);
  yield* down_write(s.sem);
  up_write(s.sem);
}
export function* rwsem_tried_of_zeros(): Sleeps {
  down_read_trylock(new_locked().sem);
  yield* READY;
}
export function* rwsem_unlocks_others(): Sleeps {
  yield* down_write(s.sem);
  yield* msleep(10);
  up_write(s.sem);
}
export function* rwsem_unlocks_for_others(): Sleeps {
  up_write(s.sem);
  yield* READY;
}
export function* rwsem_unreads(): Sleeps {
  up_read(s.sem);
  yield* READY;
}
export function* downgrades_free(): Sleeps {
  downgrade_write(s.sem);
  yield* READY;
}
export function* downgrades_reader(): Sleeps {
  yield* down_read(s.sem);
  downgrade_write(s.sem);
}
export function* spin_of_heap_zeros(): Sleeps {
  const p = kzalloc(locked, GFP_KERNEL)!;
  yield* spin_lock(p.spin);
  spin_unlock(p.spin);
}
export function* spin_ok(): Sleeps {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
}

export function* allocates_in_spinlock(): Sleeps {
  yield* spin_lock(s.spin);
  kfree(kzalloc(locked, GFP_KERNEL));
  spin_unlock(s.spin);
}
export function* sleeps_in_irqs_off(): Sleeps {
  yield* spin_lock_irq(s.spin);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  yield* spin_unlock_irq(s.spin);
}
/** Taking the mutex ends the wait that has been announced. */
export function* blocks_while_waiting(): Sleeps {
  set_current_state(TASK_INTERRUPTIBLE);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  yield* schedule_timeout(1);
}
export function* blocks_before_waiting_ok(): Sleeps {
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  set_current_state(TASK_INTERRUPTIBLE);
  yield* schedule_timeout(1);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
}
export function* sleeps_after_spinlock_ok(): Sleeps {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
  yield* mutex_lock(s.a);
  yield* msleep(1);
  mutex_unlock(s.a);
}
export function* preempt_ok(): Sleeps {
  preempt_disable();
  preempt_enable();
  yield* msleep(1);
}

export function* reads_rcu_and_sleeps(): Sleeps {
  rcu_read_lock();
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  rcu_read_unlock();
}
export function* reads_rcu_and_waits(): Sleeps {
  rcu_read_lock();
  yield* synchronize_rcu();
}
export function* dereferences_outside(): Sleeps {
  s.seen = rcu_dereference(s.pointer);
  yield* READY;
}
export function* dereferences_unprotected(): Sleeps {
  s.seen = rcu_dereference_protected(s.pointer, lockdep_is_held(s.a));
  yield* READY;
}
export function* rcu_ok(): Sleeps {
  rcu_read_lock();
  rcu_read_lock();
  s.seen = rcu_dereference(s.pointer);
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
  rcu_read_unlock();
  rcu_read_unlock();
  s.seen = rcu_access_pointer(s.pointer);
  yield* mutex_lock(s.a);
  s.seen = rcu_dereference_protected(s.pointer, lockdep_is_held(s.a));
  yield* synchronize_rcu();
  mutex_unlock(s.a);
}

export function* completed_for_all_twice(): Sleeps {
  init_completion(s.done, "done");
  complete_all(s.done);
  complete_all(s.done);
  yield* READY;
}
export function* waits_for_done(): Sleeps {
  init_completion(s.done, "done");
  yield* wait_for_completion(s.done);
}
export function* takes_back(): Sleeps {
  yield* msleep(10);
  complete(s.done);
  reinit_completion(s.done);
  yield* msleep(10);
  complete(s.done);
}
export function* completes_gone(): Sleeps {
  {
    using here = on_stack(completion);
    init_completion(here, "here");
    s.leaked = here;
  }
  complete(s.leaked);
  yield* READY;
}
export function* completes_twice_ok(): Sleeps {
  init_completion(s.done, "done");
  complete_all(s.done);
  yield* wait_for_completion(s.done);
  reinit_completion(s.done);
  complete_all(s.done);
  reinit_completion(s.done);
  complete(s.done);
  yield* wait_for_completion(s.done);
  init_completion(s.done, "done");
}

export function* holds_short_ok(): Sleeps {
  yield* mutex_lock(s.a);
  yield* msleep(110_000);
  mutex_unlock(s.a);
}
export function* waits_short_ok(): Sleeps {
  yield* msleep(10);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
}
export function* takes_in_order_ok(): Sleeps {
  yield* mutex_lock(s.a);
  yield* msleep(10);
  yield* mutex_lock(s.b);
  mutex_unlock(s.b);
  mutex_unlock(s.a);
}

export function* warns_twice_once(): Sleeps {
  for (let i = 0; i < 2; i++) WARN_ON_ONCE(true);
  yield* READY;
}
export function* warns_not_ok(): Sleeps {
  WARN_ON_ONCE(false);
  yield* READY;
}

function* quick_work(): Sleeps {
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
}
export function* work_ok(): Sleeps {
  const p = new_locked();
  INIT_WORK(p.work, quick_work);
  schedule_work(p.work);
  yield* flush_work(p.work);
  kfree(p);
}
