// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import { smp_load_acquire, smp_store_release } from "#asm/barrier.ts";
import {
  atomic_add_return,
  atomic_cmpxchg,
  atomic_dec_if_positive,
  atomic_inc,
  ATOMIC_INIT,
  atomic_inc_not_zero,
  atomic_inc_return,
  atomic_read_acquire,
  atomic_set_release,
  atomic_t,
  atomic_xchg,
} from "#linux/atomic.ts";
import { set_bit, test_and_set_bit, test_bit } from "#linux/bitops.ts";
import { data_race, READ_ONCE, WRITE_ONCE } from "#linux/compiler.ts";
import {
  complete,
  complete_all,
  completion,
  completion_done,
  DECLARE_COMPLETION,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion,
} from "#linux/completion.ts";
import { msleep } from "#linux/delay.ts";
import { kref, kref_get, kref_init, kref_put } from "#linux/kref.ts";
import { kthread_run, kthread_should_stop, kthread_stop } from "#linux/kthread.ts";
import { list_add, list_empty, LIST_HEAD } from "#linux/list.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_trylock, mutex_unlock } from "#linux/mutex.ts";
import { call_rcu, kfree_rcu, rcu_barrier, rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "#linux/rcupdate.ts";
import {
  refcount_dec,
  refcount_dec_and_test,
  refcount_dec_not_one,
  REFCOUNT_INIT,
  refcount_inc,
} from "#linux/refcount.ts";
import {
  DECLARE_RWSEM,
  down_read,
  down_read_trylock,
  down_write,
  down_write_trylock,
  downgrade_write,
  up_read,
  up_write,
} from "#linux/rwsem.ts";
import { current, schedule, type Sleeps, type task_struct, wake_up_process } from "#linux/sched.ts";
import { GFP_KERNEL, kzalloc } from "#linux/slab.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_trylock, spin_unlock } from "#linux/spinlock.ts";
import { memcpy } from "#linux/string.ts";
import { DEFINE_TIMER, del_timer_sync, mod_timer } from "#linux/timer.ts";
import { b16, b32, bits, bytestruct } from "#linux/types.ts";
import { DECLARE_WAIT_QUEUE_HEAD, wait_event, wake_up } from "#linux/wait.ts";
import {
  alloc_ordered_workqueue,
  cancel_work_sync,
  DECLARE_WORK,
  flush_work,
  flush_workqueue,
  queue_work,
  schedule_work,
  type work_struct,
} from "#linux/workqueue.ts";
import { DEFINE_XARRAY, xa_load, xa_store } from "#linux/xarray.ts";
import { get_page, put_page } from "#linux/mm.ts";
import { boot, found, run, spawn } from "../../kernel/arch/machine.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { current_context } from "../../kernel/kcsan/order.ts";
import { either } from "../../kernel/sched/either.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import { GUP_PIN_COUNTING_BIAS, unpin_user_page } from "../../kernel/mm/gup.ts";
import { alloc_user_page, type page } from "../../kernel/mm/page.ts";
import { mm_alloc, mmap_anon, user_page, VM_WRITE } from "../../kernel/mm/mm_struct.ts";
import { page_to_pfn } from "../../kernel/mm/page.ts";
import { set_current_state } from "../../kernel/sched/core.ts";
import { TASK_UNINTERRUPTIBLE } from "../../kernel/sched/task.ts";
import { READY, type Spins } from "../../kernel/sched/types.ts";
import { jiffies } from "../../kernel/time/clock.ts";
import { drop, load, load_once, shared, store, store_once } from "../modules/racy.ts";

const RACE = "BUG: KCSAN: data-race in load [racy] / store [racy]";

type Step = () => Sleeps<unknown> | boolean | number | void;

/** What two tasks do around their accesses. */
interface Pair {
  readonly name: string;
  readonly enter?: Step;
  readonly leave?: Step;
  readonly wait?: Step;
  readonly end?: Step;
  /** Who is to wait begins. */
  readonly waits_first?: boolean;
  /** It orders nothing. */
  readonly races?: boolean;
}

const w = {
  d: new shared(),
  mutex: DEFINE_MUTEX("m"),
  spin: DEFINE_SPINLOCK("s"),
  sem: DECLARE_RWSEM("sem"),
  done: DECLARE_COMPLETION("done"),
  wq: DECLARE_WAIT_QUEUE_HEAD("wq"),
  refs: REFCOUNT_INIT(2),
  kref: new kref(),
  a: new atomic_t(),
  xa: DEFINE_XARRAY(),
  waiter: null as task_struct | null,
  stop: false,
};
function setup(): void {
  Object.assign(w, {
    d: new shared(),
    mutex: DEFINE_MUTEX("m"),
    spin: DEFINE_SPINLOCK("s"),
    sem: DECLARE_RWSEM("sem"),
    done: DECLARE_COMPLETION("done"),
    wq: DECLARE_WAIT_QUEUE_HEAD("wq"),
    refs: REFCOUNT_INIT(2),
    kref: new kref(),
    a: ATOMIC_INIT(1),
    xa: DEFINE_XARRAY(),
    waiter: null,
    stop: false,
  });
}

function* sleep_till_woken(): Sleeps {
  w.waiter = current();
  set_current_state(TASK_UNINTERRUPTIBLE);
  yield* schedule();
}
const wakeWaiter = (): void => void wake_up_process(w.waiter!);
const wakeQueue = (): Sleeps => {
  WRITE_ONCE(w.d, "flag", 1);
  return wake_up(w.wq);
};
const flagIsSet = (): boolean => READ_ONCE(w.d, "flag") === 1;

const pairs: readonly Pair[] = [
  { name: "nothing", races: true },
  {
    name: "mutex",
    enter: () => mutex_lock(w.mutex),
    leave: () => mutex_unlock(w.mutex),
    wait: () => mutex_lock(w.mutex),
    end: () => mutex_unlock(w.mutex),
  },
  {
    name: "mutex_trylock",
    enter: () => mutex_lock(w.mutex),
    leave: () => mutex_unlock(w.mutex),
    wait: () => mutex_trylock(w.mutex),
    end: () => mutex_unlock(w.mutex),
  },
  { name: "two mutexes", enter: () => mutex_lock(w.mutex), leave: () => mutex_unlock(w.mutex), races: true },
  {
    name: "spinlock",
    enter: () => spin_lock(w.spin),
    leave: () => spin_unlock(w.spin),
    wait: () => spin_lock(w.spin),
    end: () => spin_unlock(w.spin),
  },
  {
    name: "spin_trylock",
    enter: () => spin_lock(w.spin),
    leave: () => spin_unlock(w.spin),
    wait: () => spin_trylock(w.spin),
    end: () => spin_unlock(w.spin),
  },
  {
    name: "writer, reader",
    enter: () => down_write(w.sem),
    leave: () => up_write(w.sem),
    wait: () => down_read(w.sem),
    end: () => up_read(w.sem),
  },
  {
    name: "reader, writer",
    enter: () => down_read(w.sem),
    leave: () => up_read(w.sem),
    wait: () => down_write(w.sem),
    end: () => up_write(w.sem),
  },
  {
    name: "reader, reader",
    enter: () => down_read(w.sem),
    leave: () => up_read(w.sem),
    wait: () => down_read(w.sem),
    end: () => up_read(w.sem),
    races: true,
  },
  {
    name: "trylocks",
    enter: () => down_write_trylock(w.sem),
    leave: () => up_write(w.sem),
    wait: () => down_read_trylock(w.sem),
    end: () => up_read(w.sem),
  },
  {
    name: "downgrade_write",
    enter: () => down_write(w.sem),
    leave: () => (downgrade_write(w.sem), up_read(w.sem)),
    wait: () => down_read(w.sem),
    end: () => up_read(w.sem),
  },
  { name: "completion", leave: () => complete(w.done), wait: () => wait_for_completion(w.done) },
  {
    name: "completion, waited for",
    leave: () => complete(w.done),
    wait: () => wait_for_completion(w.done),
    waits_first: true,
  },
  { name: "complete_all", leave: () => complete_all(w.done), wait: () => try_wait_for_completion(w.done) },
  { name: "completion_done", leave: () => complete(w.done), wait: () => completion_done(w.done) },
  {
    name: "completion that has not happened",
    enter: () => complete(w.done),
    wait: () => (reinit_completion(w.done), completion_done(w.done)),
    races: true,
  },
  { name: "wake_up_process", leave: wakeWaiter, wait: sleep_till_woken, waits_first: true },
  { name: "wait queue", leave: wakeQueue, wait: () => wait_event(w.wq, flagIsSet), waits_first: true },
  // Linux orders nothing here either: the condition held at once, so nobody was woken and no lock taken.
  { name: "wait queue, not waited", leave: wakeQueue, wait: () => wait_event(w.wq, flagIsSet), races: true },
  { name: "grace period", enter: () => rcu_read_lock(), leave: () => rcu_read_unlock(), wait: () => synchronize_rcu() },
  {
    name: "reader after grace period",
    leave: () => synchronize_rcu(),
    wait: () => rcu_read_lock(),
    end: () => rcu_read_unlock(),
  },
  {
    name: "RCU readers",
    enter: () => rcu_read_lock(),
    leave: () => rcu_read_unlock(),
    wait: () => rcu_read_lock(),
    end: () => rcu_read_unlock(),
    races: true,
  },
  { name: "refcount", leave: () => refcount_dec_and_test(w.refs), wait: () => refcount_dec_and_test(w.refs) },
  { name: "refcount_dec", leave: () => refcount_dec(w.refs), wait: () => refcount_dec_and_test(w.refs) },
  {
    name: "refcount_dec_not_one",
    leave: () => refcount_dec_not_one(w.refs),
    wait: () => refcount_dec_and_test(w.refs),
  },
  {
    name: "refcount that is not 0 yet",
    enter: () => refcount_inc(w.refs),
    leave: () => refcount_dec(w.refs),
    wait: () => refcount_dec(w.refs),
    races: true,
  },
  {
    name: "kref",
    enter: () => (kref_init(w.kref), kref_get(w.kref)),
    leave: () => kref_put(w.kref, () => {}),
    wait: () => kref_put(w.kref, () => {}),
  },
  { name: "atomic_inc_return", leave: () => atomic_inc_return(w.a), wait: () => atomic_add_return(1, w.a) },
  { name: "atomic_cmpxchg", leave: () => atomic_cmpxchg(w.a, 1, 2), wait: () => atomic_xchg(w.a, 3) },
  { name: "atomic_inc_not_zero", leave: () => atomic_inc_not_zero(w.a), wait: () => atomic_dec_if_positive(w.a) },
  { name: "atomic_inc", leave: () => atomic_inc(w.a), wait: () => atomic_inc(w.a), races: true },
  { name: "atomic_set_release", leave: () => atomic_set_release(w.a, 2), wait: () => atomic_read_acquire(w.a) },
  {
    name: "smp_store_release",
    leave: () => smp_store_release(w.d, "flag", 1),
    wait: () => smp_load_acquire(w.d, "flag"),
  },
  { name: "WRITE_ONCE", leave: () => WRITE_ONCE(w.d, "flag", 1), wait: () => READ_ONCE(w.d, "flag"), races: true },
  {
    name: "test_and_set_bit",
    leave: () => test_and_set_bit(0, w.d, "flag"),
    wait: () => test_and_set_bit(1, w.d, "flag"),
  },
  { name: "set_bit", leave: () => set_bit(0, w.d, "flag"), wait: () => test_bit(0, w.d, "flag"), races: true },
  { name: "xarray", leave: () => xa_store(w.xa, 1, w.d, GFP_KERNEL), wait: () => void xa_load(w.xa, 1) },
];

function* stores(p: Pair): Sleeps {
  yield* either<unknown>(p.enter?.());
  store(w.d);
  yield* either<unknown>(p.leave?.());
}
function* loads(p: Pair): Sleeps {
  yield* either<unknown>(p.wait?.());
  load(w.d);
  yield* either<unknown>(p.end?.());
}

for (const p of pairs) {
  test.serial(`${p.name}: ${p.races ? "races" : "is ordered"}`, (t) => {
    boot({ kcsan: true });
    setup();
    const order = p.waits_first ? [loads, stores] : [stores, loads];
    for (const body of order) spawn(body.name, body(p));
    t.is(run(), "done");
    t.deepEqual(
      found().map((r) => r.title),
      p.races ? [RACE] : [],
    );
  });
}

/** One side makes the other one run. */
interface Flow {
  readonly name: string;
  readonly body: (late: boolean) => Sleeps;
}
const loadIt = (): void => void load(w.d);
const storeIt = (): void => store(w.d);
function* work_loads(): Sleeps {
  yield* msleep(10);
  load(w.d);
}
function* work_stores(): Sleeps {
  yield* msleep(10);
  store(w.d);
}
function* thread_loads(): Sleeps<number> {
  load(w.d);
  yield* msleep(10);
  return 0;
}
function* thread_stores(): Sleeps<number> {
  store(w.d);
  while (!kthread_should_stop()) yield* msleep(10);
  return 0;
}
function* queues(late: boolean): Sleeps {
  const work = DECLARE_WORK("work", work_loads);
  if (!late) store(w.d);
  schedule_work(work);
  if (late) store(w.d);
  yield* msleep(20);
}
function* queues_again(late: boolean): Sleeps {
  const work = DECLARE_WORK("work", loadIt);
  schedule_work(work);
  if (!late) store(w.d);
  // Already pending, and yet the run to come is after this.
  schedule_work(work);
  if (late) store(w.d);
  yield* msleep(20);
}
function* flushes(late: boolean): Sleeps {
  const work = DECLARE_WORK("work", work_stores);
  schedule_work(work);
  yield* msleep(30);
  if (!late) yield* flush_work(work);
  load(w.d);
}
function* flushes_running(late: boolean): Sleeps {
  const wq = alloc_ordered_workqueue("wq", 0)!;
  queue_work(wq, DECLARE_WORK("work", work_stores));
  if (late) yield* msleep(30);
  else yield* flush_workqueue(wq);
  load(w.d);
}
function* cancels(late: boolean): Sleeps {
  const work = DECLARE_WORK("work", work_stores);
  schedule_work(work);
  yield* msleep(5);
  if (late) yield* msleep(30);
  else yield* cancel_work_sync(work);
  load(w.d);
}
/** @late: on a workqueue that runs both at a time, on workers of their own. */
function* two_items(late: boolean): Sleeps {
  const wq = alloc_ordered_workqueue("wq", 0)!;
  const items: work_struct[] = [DECLARE_WORK("a", work_stores), DECLARE_WORK("b", work_loads)];
  for (const item of items) {
    if (late) schedule_work(item);
    else queue_work(wq, item);
  }
  yield* msleep(100);
}
function* timer_fires(late: boolean): Sleeps {
  const timer = DEFINE_TIMER("timer", loadIt);
  if (!late) store(w.d);
  mod_timer(timer, jiffies() + 1);
  if (late) store(w.d);
  yield* msleep(30);
}
function* timer_is_deleted(late: boolean): Sleeps {
  const timer = DEFINE_TIMER("timer", storeIt);
  mod_timer(timer, jiffies() + 1);
  yield* msleep(30);
  if (!late) yield* del_timer_sync(timer);
  load(w.d);
}
function* thread_starts(late: boolean): Sleeps {
  if (!late) store(w.d);
  kthread_run(thread_loads, null, "thread");
  if (late) store(w.d);
  yield* msleep(30);
}
function* thread_stops(late: boolean): Sleeps {
  const t = kthread_run(thread_stores, null, "thread");
  yield* msleep(30);
  if (late) load(w.d);
  yield* kthread_stop(t);
  if (!late) load(w.d);
}
function* callback_runs(late: boolean): Sleeps {
  if (!late) store(w.d);
  call_rcu(w.d, loadIt);
  if (late) store(w.d);
  yield* msleep(30);
}
function* barrier_waits(late: boolean): Sleeps {
  call_rcu(w.d, storeIt);
  if (late) yield* msleep(30);
  else yield* rcu_barrier();
  load(w.d);
}
const flows: readonly Flow[] = [
  { name: "queue_work to the item", body: queues },
  { name: "queue_work of what is pending", body: queues_again },
  { name: "item to flush_work", body: flushes },
  { name: "item to flush_workqueue", body: flushes_running },
  { name: "item to cancel_work_sync", body: cancels },
  { name: "items of an ordered workqueue", body: two_items },
  { name: "mod_timer to its function", body: timer_fires },
  { name: "timer function to del_timer_sync", body: timer_is_deleted },
  { name: "kthread_run to the thread", body: thread_starts },
  { name: "thread to kthread_stop", body: thread_stops },
  { name: "call_rcu to the callback", body: callback_runs },
  { name: "callback to rcu_barrier", body: barrier_waits },
];
for (const f of flows) {
  test.serial(f.name, (t) => {
    const titles = [false, true].map((late) => {
      boot({ kcsan: true });
      setup();
      spawn("test", f.body(late));
      t.is(run(), "done");
      return found().map((r) => r.title);
    });
    t.deepEqual(titles, [[], [RACE]]);
  });
}

function irq_loads(): Spins {
  load(w.d);
  return READY;
}
function* raises(): Sleeps {
  store(w.d);
  raise_irq({ name: "test", handler: irq_loads });
  yield* msleep(10);
}
test.serial("an interrupt is not after who raised it", (t) => {
  boot({ kcsan: true });
  setup();
  spawn("test", raises());
  run();
  t.deepEqual(
    found().map((r) => r.title),
    [RACE],
  );
  t.regex(found()[0]!.text, /^read to 0x[0-9a-f]{16} of 4 bytes by interrupt on cpu 0:\n load \[racy\]$/m);
});

function irq_stores(): Spins {
  store(w.d);
  return READY;
}
function* raises_two(): Sleeps {
  raise_irq({ name: "one", handler: irq_stores });
  yield* msleep(10);
  raise_irq({ name: "another", handler: irq_loads });
  yield* msleep(10);
}
test.serial("an interrupt is not after another that has ended", (t) => {
  boot({ kcsan: true });
  setup();
  spawn("test", raises_two());
  run();
  t.deepEqual(
    found().map((r) => r.title),
    [RACE],
  );
});

/** The same access twice, before and after the lock that the other takes goes free: the second is what nothing keeps apart. */
function* stores_twice(): Sleeps {
  yield* mutex_lock(w.mutex);
  store(w.d);
  mutex_unlock(w.mutex);
  store(w.d);
}
function* loads_locked(): Sleeps {
  yield* mutex_lock(w.mutex);
  load(w.d);
  mutex_unlock(w.mutex);
}
test.serial("who does the same again is looked at again", (t) => {
  boot({ kcsan: true });
  setup();
  spawn("test", stores_twice());
  spawn("other", loads_locked());
  t.is(run(), "done");
  t.deepEqual(
    found().map((r) => r.title),
    [RACE],
  );
});

const clock = { length: 0 };
function* sleeps_often(): Sleeps {
  for (let i = 0; i < 200; i++) yield* msleep(1);
  clock.length = current_context()?.clock.length ?? 0;
}
test.serial("timers that come one after the other make no clock longer", (t) => {
  boot({ kcsan: true });
  spawn("test", sleeps_often());
  t.is(run(), "done");
  t.true(clock.length > 0 && clock.length < 10, String(clock.length));
});

function* child(_u: user_process): Sleeps {
  store(w.d);
}
function* parent(u: user_process): Sleeps {
  store(w.d);
  yield* u.waitpid(yield* u.fork(child));
  load(w.d);
}
test.serial("fork and waitpid", (t) => {
  boot({ kcsan: true });
  setup();
  run_user("init", parent);
  t.is(run(), "done");
  t.deepEqual(found(), []);
});

function* does(f: () => unknown): Sleeps {
  f();
}
/** The titles that two tasks make, one after the other. */
function titles_of(...tasks: (() => unknown)[]): string[] {
  boot({ kcsan: true });
  setup();
  for (const f of tasks) spawn("test", does(f));
  run();
  return found().map((r) => r.title);
}

test.serial("marked accesses", (t) => {
  const both = (a: (d: shared) => unknown, b: (d: shared) => unknown): string[] =>
    titles_of(
      () => a(w.d),
      () => b(w.d),
    );
  t.deepEqual(both(store_once, load_once), []);
  t.deepEqual(both(store_once, store_once), []);
  // Linux assumes plain writes to be atomic, if asked by a marked read.
  t.deepEqual(both(store, load_once), []);
  t.deepEqual(both(load, load), []);
  t.deepEqual(both(store_once, load), ["BUG: KCSAN: data-race in load [racy] / store_once [racy]"]);
  t.deepEqual(both(store, store), ["BUG: KCSAN: data-race in store [racy] / store [racy]"]);
  t.deepEqual(
    both(store, (d) => data_race(() => load(d))),
    [],
  );
  t.deepEqual(both(store_once, store), ["BUG: KCSAN: data-race in store [racy] / store_once [racy]"]);
});

test.serial("each pair of places speaks once, whoever comes first", (t) => {
  const s = (): void => store(w.d);
  const l = (): number => load(w.d);
  t.deepEqual(titles_of(s, l, l, s), [RACE, "BUG: KCSAN: data-race in store [racy] / store [racy]"]);
  t.deepEqual(titles_of(l, s, l), [RACE]);
});

class wire extends bytestruct("wire", { hi: bits(1, 0, 4), lo: bits(1, 4, 4), half: b16(), word: b32() }) {}
test.serial("bytes race where they overlap", (t) => {
  const x = new wire();
  const y = new wire();
  const race = ["BUG: KCSAN: data-race in unknown / unknown"];
  t.deepEqual(
    titles_of(
      () => (x.half = 1),
      () => x.word,
    ),
    [],
  );
  t.deepEqual(
    titles_of(
      () => (x.hi = 1),
      () => x.lo,
    ),
    race,
  );
  t.deepEqual(
    titles_of(
      () => (x.word = 1),
      () => memcpy(y, x, 8),
    ),
    race,
  );
  t.deepEqual(
    titles_of(
      () => (x.word = 1),
      () => memcpy(y, x, 4),
    ),
    [],
  );
});

test.serial("lists: list_empty() may look at any time", (t) => {
  const head = LIST_HEAD();
  t.deepEqual(
    titles_of(
      () => list_add(LIST_HEAD(), head),
      () => list_empty(head),
    ),
    [],
  );
});

function* frees(withLock: boolean): Sleeps {
  if (withLock) yield* mutex_lock(w.mutex);
  if (withLock) mutex_unlock(w.mutex);
  drop(w.d);
}
function* touches(withLock: boolean): Sleeps {
  if (withLock) yield* mutex_lock(w.mutex);
  load(w.d);
  if (withLock) mutex_unlock(w.mutex);
}
function* allocates(withLock: boolean): Sleeps {
  w.d = kzalloc(shared, GFP_KERNEL)!;
  spawn("touches", touches(withLock));
  spawn("frees", frees(withLock));
}
function* frees_by_rcu(): Sleeps {
  w.d = kzalloc(shared, GFP_KERNEL)!;
  rcu_read_lock();
  load(w.d);
  rcu_read_unlock();
  kfree_rcu(w.d);
}

test.serial("references of a page are atomic", (t) => {
  let made: page | null = null;
  /** There is memory once the machine is up. It is pinned more often than it is let go. */
  const it = (): page => {
    if (!made) for (let i = 0; i < GUP_PIN_COUNTING_BIAS; i++) get_page((made ??= alloc_user_page()));
    return made ?? alloc_user_page();
  };
  const hold = (): void => {
    get_page(it());
    put_page(it());
  };
  const unpin = (): void => unpin_user_page(it());
  t.deepEqual(titles_of(hold, unpin, hold), []);
});

test.serial("a free after an access", (t) => {
  const runWith = (body: Sleeps): readonly string[] => {
    boot({ kcsan: true });
    setup();
    spawn("test", body);
    t.is(run(), "done");
    return found().map((r) => r.text.replaceAll(/0x[0-9a-f]{16}/g, "ADDR"));
  };
  t.deepEqual(runWith(allocates(true)), []);
  t.deepEqual(runWith(frees_by_rcu()), []);
  t.deepEqual(runWith(allocates(false)), [
    [
      "BUG: KCSAN: unordered free in drop [racy] / load [racy]",
      "",
      "read to ADDR of 4 bytes by task 3 on cpu 0:",
      " load [racy]",
      "",
      "free of ADDR of 8 bytes (shared) by task 4 on cpu 0:",
      " drop [racy]",
      "",
      "member: struct shared.value",
      "",
      "Reported by Kernel Concurrency Sanitizer on:",
      "CPU: 0 PID: 4 Comm: frees Not tainted",
    ].join("\n"),
  ]);
});

test.serial("what a report says", (t) => {
  boot({ kcsan: true });
  setup();
  spawn(
    "writer",
    does(() => store(w.d)),
  );
  spawn(
    "reader",
    does(() => load(w.d)),
  );
  run();
  t.is(
    found()[0]!.text,
    [
      RACE,
      "",
      "write to 0x0000000000000000 of 4 bytes by task 2 on cpu 0:",
      " store [racy]",
      "",
      "read to 0x0000000000000000 of 4 bytes by task 3 on cpu 0:",
      " load [racy]",
      "",
      "member: struct shared.value",
      "",
      "Reported by Kernel Concurrency Sanitizer on:",
      "CPU: 0 PID: 3 Comm: reader Not tainted",
    ].join("\n"),
  );
});

function* contends(): Sleeps {
  for (let i = 0; i < 5; i++) {
    yield* mutex_lock(w.mutex);
    w.d.flag++;
    mutex_unlock(w.mutex);
    yield* down_write(w.sem);
    w.d.value++;
    yield* msleep(1);
    up_write(w.sem);
    yield* down_read(w.sem);
    load(w.d);
    up_read(w.sem);
  }
}
test.serial("whatever the schedule, order is order, and looking changes nothing", (t) => {
  for (let seed = 0; seed < 30; seed++) {
    const ends = [true, false].map((kcsan) => {
      boot({ kcsan, schedule: random_schedule(seed) });
      setup();
      for (const comm of ["a", "b", "c"]) spawn(comm, contends());
      const outcome = run();
      return [outcome, found().length, w.d.flag, jiffies()];
    });
    t.deepEqual(ends[0], ends[1]);
    t.is(ends[0]![1], 0);
  }
});

test.serial("a page of user memory that another thread touched first is found whole", (t) => {
  boot({ kcsan: true });
  const mm = mm_alloc();
  const at = mmap_anon(mm, 4096);
  const touch = (): number => page_to_pfn(user_page(mm, at, VM_WRITE)!);
  for (const comm of ["first", "second"]) spawn(comm, does(touch));
  t.is(run(), "done");
  t.deepEqual(
    found().map((r) => r.title),
    [],
  );
});

test.serial("off, nothing is looked for", (t) => {
  titles_of(() => store(w.d));
  boot();
  setup();
  spawn(
    "writer",
    does(() => store(w.d)),
  );
  spawn(
    "reader",
    does(() => load(w.d)),
  );
  run();
  t.deepEqual(found(), []);
  t.true(new completion().done === 0);
});
