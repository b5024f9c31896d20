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
  lockdep_assert_held,
  lockdep_assert_not_held,
  lockdep_sys_exit,
  SINGLE_DEPTH_NESTING,
} from "#linux/lockdep.ts";
import {
  DEFINE_MUTEX,
  mutex,
  mutex_destroy,
  mutex_init,
  mutex_lock,
  mutex_lock_nested,
  mutex_trylock,
  mutex_unlock,
} from "#linux/mutex.ts";
import { preempt_disable, preempt_enable } from "#linux/preempt.ts";
import {
  DECLARE_RWSEM,
  down_read,
  down_write,
  downgrade_write,
  rw_semaphore,
  up_read,
  up_write,
} from "#linux/rwsem.ts";
import { cond_resched } from "#linux/sched.ts";
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
}));

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
