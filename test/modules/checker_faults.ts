// SPDX-License-Identifier: GPL-2.0-only
/** A module of mistakes, one in each function: what the pages of Documentation/checkers/ show is said of these. */
import { msleep } from "#linux/delay.ts";
import { BUG_ON, WARN, WARN_ON } from "#linux/bug.ts";
import { completion, init_completion, wait_for_completion } from "#linux/completion.ts";
import { device, device_initialize, dev_set_name, put_device } from "#linux/device.ts";
import { ERR_PTR } from "#linux/err.ts";
import { ENOMEM } from "#linux/errno.ts";
import {
  type kobj_type,
  kobject,
  kobject_add,
  kobject_create_and_add,
  kobject_get,
  kobject_init,
} from "#linux/kobject.ts";
import { INIT_LIST_HEAD, LIST_HEAD, list_add, list_del, list_for_each_entry, list_head } from "#linux/list.ts";
import { lockdep_sys_exit } from "#linux/lockdep.ts";
import { DEFINE_MUTEX, mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { preempt_disable } from "#linux/preempt.ts";
import { refcount_add, refcount_dec, refcount_dec_and_test, refcount_inc, refcount_t } from "#linux/refcount.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import { cond_resched } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_lock_init, spin_unlock, spinlock_t } from "#linux/spinlock.ts";
import { embed, fn, READY, type Sleeps, type Spins, struct, u32 } from "#linux/types.ts";
import {
  alloc_ordered_workqueue,
  drain_workqueue,
  flush_work,
  INIT_WORK,
  queue_work,
  schedule_work,
  type workqueue_struct,
  work_struct,
} from "#linux/workqueue.ts";
import { either } from "../../kernel/sched/either.ts";
import { kbuild } from "../../kernel/modpost.ts";

const { per_boot } = kbuild(import.meta.url);

interface toy_ops {
  readonly open?: () => number;
  readonly read?: () => Sleeps<number>;
}
class toy extends struct("toy", {
  id: u32(),
  list: embed(() => list_head),
  lock: embed(() => mutex),
  work: embed(() => work_struct),
  kobj: embed(() => kobject),
  dev: embed(() => device),
  done: embed(() => completion),
  refs: embed(() => refcount_t),
  release: fn<(t: toy) => Sleeps<number> | number>(),
  sleeps: fn<() => Sleeps<number>>(),
  plain: fn<(t: toy) => number>(),
}) {}

const s = per_boot(() => ({
  a: DEFINE_MUTEX("a"),
  b: DEFINE_MUTEX("b"),
  spin: DEFINE_SPINLOCK("spin"),
  wq: null as workqueue_struct | null,
  ops: null as toy_ops | null,
  late: new work_struct(),
  done: new completion(),
  seen: 0,
  raced: null as toy | null,
  hooks: [] as ((t: toy) => number | undefined)[],
}));

const toy_type: kobj_type = {};

function new_toy(): toy {
  return kzalloc(toy, GFP_KERNEL)!;
}

export function* completion_waits(): Sleeps {
  init_completion(s.done, "done");
  yield* wait_for_completion(s.done);
}
export function* completion_again(): Sleeps {
  yield* msleep(10);
  init_completion(s.done, "done");
}

export function* takes_a(): Sleeps {
  yield* mutex_lock(s.a);
  yield* msleep(10);
  yield* mutex_lock(s.b);
}
export function* takes_b(): Sleeps {
  yield* mutex_lock(s.b);
  yield* msleep(10);
  yield* mutex_lock(s.a);
}

export function* no_release(): Sleeps {
  const p = new_toy();
  device_initialize(p.dev);
  dev_set_name(p.dev, "toy");
  yield* put_device(p.dev);
}

export function* error_pointer(): Sleeps {
  s.seen = ERR_PTR<toy>(-ENOMEM).id;
  yield* READY;
}

export function* waits_long(): Sleeps {
  yield* msleep(10);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
}
export function* holds_long(): Sleeps {
  yield* mutex_lock(s.a);
  yield* msleep(180_000);
  mutex_unlock(s.a);
}

export function* kobject_twice(): Sleeps {
  const p = new_toy();
  kobject_init(p.kobj, toy_type);
  kobject_init(p.kobj, toy_type);
  yield* READY;
}
export function* kobject_got(): Sleeps {
  kobject_get(new_toy().kobj);
  yield* READY;
}
export function* kobject_added(): Sleeps {
  yield* kobject_add(new_toy().kobj, null, "toy");
}
export function* kobject_nameless(): Sleeps {
  const p = new_toy();
  kobject_init(p.kobj, toy_type);
  yield* kobject_add(p.kobj, null, "");
}
export function* kobject_typeless(): Sleeps {
  kobject_init(new_toy().kobj, null);
  yield* READY;
}
export function* kobject_null(): Sleeps {
  const gone: { kobj: kobject | null } = { kobj: null };
  kobject_init(gone.kobj, toy_type);
  yield* READY;
}
export function* kobject_same_name(): Sleeps {
  yield* kobject_create_and_add("toy", null);
  yield* kobject_create_and_add("toy", null);
}

export function* list_deleted_twice(): Sleeps {
  const p = new_toy();
  list_add(p.list, LIST_HEAD());
  list_del(p.list);
  list_del(p.list);
  yield* READY;
}
export function* list_added_twice(): Sleeps {
  const [p, head] = [new_toy(), LIST_HEAD()];
  list_add(p.list, head);
  list_add(p.list, head);
  yield* READY;
}
export function* list_of_zeros(): Sleeps {
  list_del(new_toy().list);
  yield* READY;
}
export function* list_half_zero(): Sleeps {
  const p = new_toy();
  p.list.next = p.list;
  list_del(p.list);
  yield* READY;
}
export function* list_half_poisoned(): Sleeps {
  const p = new_toy();
  list_add(p.list, LIST_HEAD());
  list_del(p.list);
  p.list.next = p.list;
  list_del(p.list);
  yield* READY;
}
export function* list_next_lost(): Sleeps {
  const [p, head] = [new_toy(), LIST_HEAD()];
  list_add(p.list, head);
  head.prev = head;
  list_del(p.list);
  yield* READY;
}
export function* list_prev_lost(): Sleeps {
  const [p, head] = [new_toy(), LIST_HEAD()];
  list_add(p.list, head);
  head.next = head;
  list_del(p.list);
  yield* READY;
}
export function* list_head_of_zeros(): Sleeps {
  list_add(new_toy().list, new list_head());
  yield* READY;
}
export function* list_add_next_lost(): Sleeps {
  const [p, q, head] = [new_toy(), new_toy(), LIST_HEAD()];
  list_add(q.list, head);
  q.list.prev = q.list;
  list_add(p.list, head);
  yield* READY;
}
export function* list_walked_on(): Sleeps {
  const [p, head] = [new_toy(), LIST_HEAD()];
  INIT_LIST_HEAD(head);
  list_add(p.list, head);
  for (const q of list_for_each_entry(head, toy, "list")) list_del(q.list);
  yield* READY;
}

export function* lock_order(): Sleeps {
  yield* mutex_lock(s.a);
  yield* mutex_lock(s.b);
  mutex_unlock(s.b);
  mutex_unlock(s.a);
  yield* mutex_lock(s.b);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  mutex_unlock(s.b);
}
export function* lock_again(): Sleeps {
  const [p, q] = [new_toy(), new_toy()];
  mutex_init(p.lock);
  mutex_init(q.lock);
  yield* mutex_lock(p.lock);
  yield* mutex_lock(q.lock);
  mutex_unlock(q.lock);
  mutex_unlock(p.lock);
}
function* irq_handler(): Spins {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
}
export function* lock_in_irq(): Sleeps {
  yield* spin_lock(s.spin);
  spin_unlock(s.spin);
  raise_irq({ name: "toy", handler: irq_handler });
  yield* cond_resched();
}
export function* unlock_free(): Sleeps {
  mutex_unlock(s.a);
  yield* READY;
}
export function* lock_freed(): Sleeps {
  const p = new_toy();
  mutex_init(p.lock);
  yield* mutex_lock(p.lock);
  kfree(p);
}
export function* lock_to_user_space(): Sleeps {
  yield* mutex_lock(s.a);
  lockdep_sys_exit();
  mutex_unlock(s.a);
}
export function* lock_kept(): Sleeps {
  yield* mutex_lock(s.a);
}
export function* sleeps_in_spinlock(): Sleeps {
  yield* spin_lock(s.spin);
  yield* mutex_lock(s.a);
  mutex_unlock(s.a);
  spin_unlock(s.spin);
}
export function* sleeps_in_atomic(): Sleeps {
  preempt_disable();
  yield* msleep(1);
}
export function* mutex_of_zeros(): Sleeps {
  yield* mutex_lock(new_toy().lock);
}

export function* reads_null(): Sleeps {
  const gone: { toy: toy | null } = { toy: null };
  s.seen = gone.toy!.id;
  yield* READY;
}
export function* calls_null(): Sleeps {
  const p = new_toy();
  yield* either(p.release!(p));
}
export function* calls_null_waiting(): Sleeps {
  yield* new_toy().sleeps!();
}
export function* calls_left_out(): Sleeps {
  s.ops = {};
  s.seen = s.ops.open!();
  yield* READY;
}
export function* calls_left_out_waiting(): Sleeps {
  s.ops = {};
  s.seen = yield* s.ops.read!();
}
export function* calls_null_variable(): Sleeps {
  const { release } = new_toy();
  yield* either(release!(new_toy()));
}
export function* calls_null_nameless(): Sleeps {
  const p = new_toy();
  s.hooks = [(q) => q.plain!(q)];
  s.seen = s.hooks.map((hook) => hook(p))[0] ?? 0;
  yield* READY;
}

export function* ref_underflow(): Sleeps {
  const { refs } = new_toy();
  refcount_dec_and_test(refs);
  yield* READY;
}
export function* ref_from_zero(): Sleeps {
  refcount_inc(new_toy().refs);
  yield* READY;
}
export function* ref_overflow(): Sleeps {
  const { refs } = new_toy();
  refs.refs.counter = 0x7fffffff;
  refcount_add(1, refs);
  yield* READY;
}
export function* ref_not_last(): Sleeps {
  const { refs } = new_toy();
  refs.refs.counter = 1;
  refcount_dec(refs);
  yield* READY;
}

export function* spin_of_zeros(): Sleeps {
  yield* spin_lock(new spinlock_t());
}
export function* spins_for_ever(): Sleeps {
  const lock = new spinlock_t();
  spin_lock_init(lock, "spin");
  yield* spin_lock(lock);
  yield* spin_lock(lock);
}

function* slow_work(): Sleeps {
  yield* msleep(50);
}
export function* work_freed(): Sleeps {
  const p = new_toy();
  INIT_WORK(p.work, slow_work);
  schedule_work(p.work);
  kfree(p);
  yield* READY;
}
export function* work_initialised(): Sleeps {
  const p = new_toy();
  INIT_WORK(p.work, slow_work);
  schedule_work(p.work);
  INIT_WORK(p.work, slow_work);
  yield* READY;
}
function* keeps_lock(): Sleeps {
  yield* mutex_lock(s.a);
}
export function* work_with_lock(): Sleeps {
  const p = new_toy();
  INIT_WORK(p.work, keeps_lock);
  schedule_work(p.work);
  yield* flush_work(p.work);
}
export function* work_drained(): Sleeps {
  s.wq = alloc_ordered_workqueue("toy", 0);
  const p = new_toy();
  INIT_WORK(p.work, slow_work);
  INIT_WORK(s.late, slow_work);
  queue_work(s.wq!, p.work);
  yield* drain_workqueue(s.wq!);
}
export function* work_late(): Sleeps {
  yield* msleep(20);
  queue_work(s.wq!, s.late);
}

export function* warns(): Sleeps {
  WARN_ON(true);
  yield* READY;
}
export function* warns_with_words(): Sleeps {
  WARN(true, "toy %d is odd\n", 7);
  yield* READY;
}
export function* bugs(): Sleeps {
  BUG_ON(s.seen === 0);
  yield* READY;
}

export function* races_first(): Sleeps {
  s.raced ??= new_toy();
  s.raced.id = 1;
  yield* READY;
}
export function* races_second(): Sleeps {
  s.raced!.id = 2;
  yield* READY;
}
