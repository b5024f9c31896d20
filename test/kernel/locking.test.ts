// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import { embed, struct, array } from "#linux/types.ts";
import { kfree, kzalloc } from "#linux/slab.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";
import {
  DEFINE_MUTEX,
  mutex,
  mutex_destroy,
  mutex_init,
  mutex_is_locked,
  mutex_lock,
  mutex_lock_interruptible,
  mutex_lock_killable,
  mutex_lock_nested,
  mutex_trylock,
  mutex_unlock,
} from "#linux/mutex.ts";
import {
  DECLARE_RWSEM,
  down_read,
  down_read_killable,
  down_read_trylock,
  down_write,
  down_write_trylock,
  downgrade_write,
  rw_semaphore,
  up_read,
  up_write,
} from "#linux/rwsem.ts";
import {
  DEFINE_SPINLOCK,
  spin_lock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_trylock,
  spin_unlock,
  spinlock_t,
} from "#linux/spinlock.ts";
import {
  DEFINE_SEQLOCK,
  read_seqbegin,
  read_seqretry,
  SEQCNT_ZERO,
  write_seqcount_begin,
  write_seqcount_end,
  write_seqlock,
  write_sequnlock,
} from "#linux/seqlock.ts";
import {
  lockdep_assert_held,
  lockdep_set_novalidate_class,
  lockdep_sys_exit,
  SINGLE_DEPTH_NESTING,
} from "#linux/lockdep.ts";
import { call_rcu, rcu_barrier, rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "#linux/rcupdate.ts";
import { cond_resched, current, type Sleeps, type Spins, type task_struct, wake_up_process } from "#linux/sched.ts";
import {
  atomic_cmpxchg,
  atomic_dec_and_test,
  atomic_inc,
  atomic_inc_not_zero,
  ATOMIC_INIT,
  atomic_read,
  atomic_add_return,
  atomic_set,
} from "#linux/atomic.ts";
import { msleep } from "#linux/delay.ts";
import { run, spawn, boot } from "../../kernel/arch/machine.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import { a_then_b, b_then_a } from "../modules/lock_order.ts";
import { reportsOf, underSchedules } from "./schedules.ts";

class foo extends struct("foo", {
  lock: embed(() => mutex),
  slots: array(
    2,
    embed(() => mutex),
  ),
  spin: embed(() => spinlock_t),
}) {}

const w = {
  a: DEFINE_MUTEX("a"),
  b: DEFINE_MUTEX("b"),
  sem: DECLARE_RWSEM("sem"),
  spin: DEFINE_SPINLOCK("spin"),
  f: new foo(),
  inside: 0,
  writers: 0,
  worst: 0,
  count: 0,
  trail: [] as string[],
};
function fresh(): void {
  w.a = DEFINE_MUTEX("a");
  w.b = DEFINE_MUTEX("b");
  w.sem = DECLARE_RWSEM("sem");
  w.spin = DEFINE_SPINLOCK("spin");
  w.f = new foo();
  mutex_init(w.f.lock);
  for (const m of w.f.slots) mutex_init(m);
  spin_lock_init(w.f.spin);
  w.inside = w.writers = w.worst = w.count = 0;
  w.trail = [];
}
/** What one task does to make the machine speak. */
function planted(body: () => Sleeps, ...others: (() => Sleeps)[]): ReturnType<typeof reportsOf> {
  return reportsOf(() => {
    fresh();
    spawn("init", body());
    for (const other of others) spawn("other", other());
  });
}
function kill(t: task_struct, fatal: boolean): void {
  t.pending_signals.push(9);
  t.fatal_signal = fatal;
  wake_up_process(t);
}

function* mutex_user(): Sleeps {
  for (let i = 0; i < 3; i++) {
    yield* mutex_lock(w.a);
    w.worst = Math.max(w.worst, ++w.inside);
    yield* cond_resched();
    if (i === 1) yield* msleep(10);
    w.count++;
    w.inside--;
    mutex_unlock(w.a);
  }
}
test.serial("mutex: one at a time, everybody gets through, under every schedule", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      for (const name of ["a", "b", "c"]) spawn(name, mutex_user());
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual(titles, []);
      t.deepEqual([w.worst, w.count, mutex_is_locked(w.a), w.a.wait_list.length], [1, 9, false, 0]);
    },
  );
});

function* holds_a_while(): Sleeps {
  yield* mutex_lock(w.a);
  yield* msleep(100);
  w.trail.push("unlock");
  mutex_unlock(w.a);
}
function* queues(name: string): Sleeps {
  yield* mutex_lock(w.a);
  w.trail.push(name);
  mutex_unlock(w.a);
}
test.serial("mutex: waiters get it first come, first served", (t) => {
  boot();
  fresh();
  spawn("holder", holds_a_while());
  for (const name of ["x", "y", "z"]) spawn(name, queues(name));
  t.is(run(), "done");
  t.deepEqual(w.trail, ["unlock", "x", "y", "z"]);
});

function* waits_for_a(how: (m: mutex) => Sleeps<number>): Sleeps {
  const ret = yield* how(w.a);
  w.trail.push(`ret ${ret}`);
  if (!ret) mutex_unlock(w.a);
}
function* after(ms: number, what: () => void): Sleeps {
  yield* msleep(ms);
  what();
}
for (const [name, how, fatal, want] of [
  ["interruptible, any signal", mutex_lock_interruptible, false, "ret -4"],
  ["killable, fatal", mutex_lock_killable, true, "ret -4"],
  ["killable, not fatal", mutex_lock_killable, false, "ret 0"],
] as const) {
  test.serial(`mutex: ${name}`, (t) => {
    boot();
    fresh();
    spawn("holder", holds_a_while());
    const waiter = spawn("waiter", waits_for_a(how));
    spawn(
      "killer",
      after(20, () => kill(waiter, fatal)),
    );
    t.is(run(), "done");
    t.deepEqual(w.trail, want === "ret 0" ? ["unlock", want] : [want, "unlock"]);
    t.deepEqual([mutex_is_locked(w.a), w.a.wait_list.length], [false, 0]);
  });
}

function* tries(): Sleeps {
  w.trail.push(String(mutex_trylock(w.a)), String(mutex_trylock(w.a)));
  mutex_unlock(w.a);
}
test.serial("mutex_trylock", (t) => {
  const { titles } = planted(tries);
  t.deepEqual([w.trail, titles], [["1", "0"], []]);
});

function* rw_reader(): Sleeps {
  for (let i = 0; i < 3; i++) {
    yield* down_read(w.sem);
    w.inside++;
    w.worst = Math.max(w.worst, w.writers);
    yield* cond_resched();
    w.worst = Math.max(w.worst, w.writers);
    w.inside--;
    w.count++;
    up_read(w.sem);
  }
}
function* rw_writer(): Sleeps {
  for (let i = 0; i < 3; i++) {
    yield* down_write(w.sem);
    w.writers++;
    w.worst = Math.max(w.worst, w.inside, w.writers - 1);
    yield* cond_resched();
    w.worst = Math.max(w.worst, w.inside);
    w.writers--;
    if (i === 1) {
      downgrade_write(w.sem);
      yield* cond_resched();
      w.worst = Math.max(w.worst, w.writers);
      up_read(w.sem);
    } else up_write(w.sem);
    w.count++;
  }
}
test.serial("rwsem: readers together, writers alone, nobody starves, under every schedule", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      spawn("r1", rw_reader());
      spawn("r2", rw_reader());
      spawn("w1", rw_writer());
      spawn("w2", rw_writer());
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual(titles, []);
      t.deepEqual([w.worst, w.count, w.sem.readers, w.sem.owner, w.sem.wait_list.length], [0, 12, 0, null, 0]);
    },
  );
});

function* reads_for(ms: number, name: string): Sleeps {
  yield* down_read(w.sem);
  w.trail.push(name);
  yield* msleep(ms);
  up_read(w.sem);
}
function* writes(name: string): Sleeps {
  yield* down_write(w.sem);
  w.trail.push(name);
  up_write(w.sem);
}
test.serial("rwsem: a reader that comes after a waiting writer waits behind it", (t) => {
  boot();
  fresh();
  spawn("r1", reads_for(100, "r1"));
  spawn("r2", reads_for(100, "r2"));
  spawn("w", writes("w"));
  spawn("r3", reads_for(10, "r3"));
  t.is(run(), "done");
  t.deepEqual(w.trail, ["r1", "r2", "w", "r3"]);
});

function* rw_try(): Sleeps {
  w.trail.push(`${down_read_trylock(w.sem)}${down_write_trylock(w.sem)}`);
  up_read(w.sem);
  w.trail.push(`${down_write_trylock(w.sem)}${down_read_trylock(w.sem)}`);
  up_write(w.sem);
}
function* killed_reader(): Sleeps {
  yield* down_write(w.sem);
  kill(reader.task ?? current(), true);
  yield* msleep(50);
  up_write(w.sem);
}
const reader: { task: task_struct | null } = { task: null };
function* wants_read(): Sleeps {
  yield* msleep(10);
  w.trail.push(`ret ${yield* down_read_killable(w.sem)}`);
}
test.serial("rwsem: trylock, killed while waiting", (t) => {
  t.deepEqual([planted(rw_try).titles, w.trail], [[], ["10", "10"]]);
  boot();
  fresh();
  spawn("w", killed_reader());
  reader.task = spawn("r", wants_read());
  t.is(run(), "done");
  t.deepEqual([w.trail, w.sem.wait_list.length, w.sem.readers], [["ret -4"], 0, 0]);
});

function* twice(): Sleeps {
  yield* mutex_lock(w.a);
  yield* mutex_lock(w.a);
}
function* two_of_a_class(): Sleeps {
  yield* mutex_lock(w.f.slots.at(0));
  yield* mutex_lock(w.f.slots.at(1));
  mutex_unlock(w.f.slots.at(1));
  mutex_unlock(w.f.slots.at(0));
}
function* two_nested(): Sleeps {
  yield* mutex_lock(w.f.slots.at(0));
  yield* mutex_lock_nested(w.f.slots.at(1), SINGLE_DEPTH_NESTING);
  mutex_unlock(w.f.slots.at(1));
  mutex_unlock(w.f.slots.at(0));
}
function* two_unvalidated(): Sleeps {
  lockdep_set_novalidate_class(w.f.slots.at(0));
  lockdep_set_novalidate_class(w.f.slots.at(1));
  yield* two_of_a_class();
}
function* unlock_free(): Sleeps {
  mutex_unlock(w.a);
}
function* unlock_others(): Sleeps {
  yield* mutex_lock(w.a);
  yield* msleep(100);
}
function* destroy_held(): Sleeps {
  yield* mutex_lock(w.a);
  mutex_destroy(w.a);
  mutex_unlock(w.a);
}
function* never_initialised(): Sleeps {
  const m = new mutex();
  yield* mutex_lock(m);
}
function* spin_recursion(): Sleeps {
  yield* spin_lock(w.spin);
  yield* spin_lock(w.spin);
}
function* spin_unlock_free(): Sleeps {
  // Out of the lock validator's sight, as after its first report.
  mutex_destroy(w.a);
  spin_unlock(w.spin);
}
function* spin_bad_magic(): Sleeps {
  yield* spin_lock(new spinlock_t());
}
function* leaves_with_lock(): Sleeps {
  yield* mutex_lock(w.a);
}
function* to_user_space(): Sleeps {
  yield* mutex_lock(w.a);
  lockdep_sys_exit();
  mutex_unlock(w.a);
}
function* not_held(): Sleeps {
  lockdep_assert_held(w.a);
}
function* frees_held(): Sleeps {
  const f = kzalloc(foo, GFP_KERNEL)!;
  mutex_init(f.lock);
  yield* mutex_lock(f.lock);
  kfree(f);
}
function* sleeps_in_spinlock(): Sleeps {
  yield* spin_lock(w.spin);
  yield* mutex_lock(w.a);
  mutex_unlock(w.a);
  spin_unlock(w.spin);
}
function* spin_irq_handler(): Spins {
  yield* spin_lock(w.spin);
  spin_unlock(w.spin);
}
function* irq_unsafe(): Sleeps {
  yield* spin_lock(w.spin);
  spin_unlock(w.spin);
  raise_irq({ name: "test", handler: spin_irq_handler });
  yield* cond_resched();
}
function* three_way_1(): Sleeps {
  yield* a_then_b(w.a, w.b);
  yield* mutex_lock(w.b);
  yield* mutex_lock(w.f.lock);
  mutex_unlock(w.f.lock);
  mutex_unlock(w.b);
  yield* mutex_lock(w.f.lock);
  yield* mutex_lock(w.a);
  mutex_unlock(w.a);
  mutex_unlock(w.f.lock);
}

const FAULTS: readonly [string, () => ReturnType<typeof reportsOf>, RegExp[], RegExp[]][] = [
  [
    "AB-BA",
    () =>
      planted(
        () => a_then_b(w.a, w.b),
        () => b_then_a(w.a, w.b),
      ),
    [/^WARNING: possible circular locking dependency detected$/],
    [
      /other\/\d+ is trying to acquire lock:\n\S+ \(a\)\{\+\.\+\.\}-\{3:3\}, at: b_then_a \[lock_order\]/,
      /already holding lock:\n\S+ \(b\)/,
      /-> #1 \(b\)[^]*a_then_b[^]*-> #0 \(a\)[^]*b_then_a/,
      /  lock\(b\);\n +lock\(a\);\n +lock\(b\);\n  lock\(a\);/,
      /2 locks? held|1 lock held by other/,
    ],
  ],
  ["a circle of three", () => planted(three_way_1), [/circular/], [/Chain exists of:\n  a --> b --> &foo->lock\n/]],
  [
    "the same mutex twice",
    () => planted(twice),
    [/^WARNING: possible recursive locking detected$/, /^deadlock: init can never go on/],
    [/ May be due to missing lock nesting notation/, /waits in mutex_lock for mutex a, held by init/],
  ],
  ["two of a class", () => planted(two_of_a_class), [/recursive locking/], [/lock\(&foo->slots\[i\]\);/]],
  ["two of a class, nested", () => planted(two_nested), [], []],
  ["two of a class, not validated", () => planted(two_unvalidated), [], []],
  [
    "unlock of a free mutex",
    () => planted(unlock_free),
    [/^WARNING: bad unlock balance detected!$/],
    [/init\/\d+ is trying to release lock \(a\) at:/, /no locks held by init/],
  ],
  ["unlock of somebody else's", () => planted(unlock_others, unlock_free), [/^WARNING: bad unlock balance/], []],
  [
    "destroy while held",
    () => planted(destroy_held),
    [/^DEBUG_LOCKS_WARN_ON\(mutex_is_locked\(lock\)\)$/],
    [/at mutex_destroy/],
  ],
  ["mutex of zeros", () => planted(never_initialised), [/^DEBUG_LOCKS_WARN_ON\(lock->magic != lock\)$/], []],
  [
    "spinlock recursion",
    () => planted(spin_recursion),
    [
      /^WARNING: possible recursive locking/,
      /^watchdog: BUG: soft lockup - CPU#0 stuck for 22s! \[init:\d+\]$/,
      /^deadlock/,
    ],
    [/spins for spinlock spin, held by init/],
  ],
  [
    "spinlock of zeros",
    () => planted(spin_bad_magic),
    [/^BUG: spinlock bad magic on CPU#0, init\/\d+$/],
    [/ lock: 0x0{16}, \.magic: 00000000, \.owner: <none>\/-1, \.owner_cpu: 0/],
  ],
  ["unlock of a free spinlock", () => planted(spin_unlock_free), [/^WARNING: bad unlock balance/], []],
  [
    "task ends with a lock",
    () => planted(leaves_with_lock),
    [/^WARNING: init\/\d+ still has locks held!$/],
    [/1 lock held by init/],
  ],
  [
    "lock held to user space",
    () => planted(to_user_space),
    [/^WARNING: lock held when returning to user space!$/],
    [/init\/\d+ is leaving the kernel with locks still held!/],
  ],
  ["lockdep_assert_held", () => planted(not_held), [/^WARNING: /], []],
  [
    "held lock freed",
    () => planted(frees_held),
    [/^WARNING: held lock freed!$/],
    [/is freeing memory [0-9a-f]{16}-[0-9a-f]{16}, with a lock still held there!/],
  ],
  [
    "mutex under a spinlock",
    () => planted(sleeps_in_spinlock),
    [/^BUG: sleeping function called from invalid context at __mutex_lock/, /^\[ BUG: Invalid wait context \]$/],
    [],
  ],
  [
    "spinlock with interrupts on, then in an interrupt",
    () => planted(irq_unsafe),
    [/^WARNING: inconsistent lock state$/],
    [/inconsistent \{HARDIRQ-ON-W\} -> \{IN-HARDIRQ-W\} usage\./, /\[HC1\[1\]:SC0\[0\]:HE0:SE1\] takes:/],
  ],
];
for (const [name, make, titles, texts] of FAULTS) {
  test.serial(`planted: ${name}`, (t) => {
    const said = make();
    t.is(said.titles.length, titles.length, said.texts.join("\n\n"));
    titles.forEach((re, i) => t.regex(said.titles[i] ?? "", re));
    for (const re of texts)
      t.true(
        said.texts.some((x) => re.test(x)),
        `${re}\n${said.texts.join("\n")}`,
      );
    t.deepEqual(make().texts, said.texts, "the same text each time");
  });
}

function* rec_without_lockdep(): Sleeps {
  // The first spinlock report is about magic; lock debugging stays off afterwards, as in Linux.
  yield* spin_lock(new spinlock_t());
  spin_unlock(w.spin);
}
test.serial("the first report is the last one", (t) => {
  t.is(planted(rec_without_lockdep).titles.length, 1);
});

function* reads(name: string): Sleeps {
  rcu_read_lock();
  w.inside++;
  yield* cond_resched();
  w.trail.push(name);
  w.inside--;
  rcu_read_unlock();
}
function freed(): void {
  w.trail.push("callback");
}
function* waits_for_readers(): Sleeps {
  const before = w.inside;
  call_rcu(null, freed);
  yield* synchronize_rcu();
  w.worst = before > 0 && !w.trail.includes("r1") && !w.trail.includes("r2") ? 1 : 0;
  yield* rcu_barrier();
  w.trail.push("barrier");
}
test.serial("rcu: a grace period outlasts the readers of its beginning", (t) => {
  underSchedules(
    200,
    () => {
      fresh();
      spawn("r1", reads("r1"));
      spawn("r2", reads("r2"));
      spawn("u", waits_for_readers());
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual([titles, w.worst], [[], 0]);
      t.true(w.trail.indexOf("callback") < w.trail.indexOf("barrier"));
    },
  );
});

function* spin_user(): Sleeps {
  for (let i = 0; i < 4; i++) {
    if (i === 2 && !spin_trylock(w.spin)) continue;
    if (i !== 2) yield* spin_lock(w.spin);
    w.worst = Math.max(w.worst, ++w.inside);
    w.inside--;
    spin_unlock(w.spin);
    const flags = yield* spin_lock_irqsave(w.f.spin);
    w.count += flags;
    current().preempt_count += 0;
    spin_unlock(w.f.spin);
    current().irqs_disabled = false;
  }
}
test.serial("spin_trylock and irqsave flags", (t) => {
  underSchedules(
    100,
    () => {
      fresh();
      spawn("a", spin_user());
      spawn("b", spin_user());
    },
    ({ outcome, titles }) => t.deepEqual([outcome, titles, w.worst, w.count], ["done", [], 1, 0]),
  );
});

test.serial("atomic_t", (t) => {
  const v = ATOMIC_INIT(0x7fffffff);
  atomic_inc(v);
  t.is(atomic_read(v), -0x80000000, "wraps as int does");
  atomic_set(v, 1);
  t.true(atomic_dec_and_test(v));
  t.false(atomic_inc_not_zero(v));
  t.is(atomic_add_return(5, v), 5);
  t.deepEqual([atomic_cmpxchg(v, 4, 9), atomic_cmpxchg(v, 5, 9), atomic_read(v)], [5, 5, 9]);
  t.is(new rw_semaphore().readers, 0);
});

const counted = { seq: DEFINE_SEQLOCK("seq"), a: 0, b: 0, torn: 0, reads: 0, again: 0 };
function* seq_writer(): Sleeps {
  for (let i = 0; i < 3; i++) {
    yield* write_seqlock(counted.seq);
    counted.a++;
    yield* cond_resched();
    counted.b++;
    write_sequnlock(counted.seq);
    yield* cond_resched();
  }
}
function* seq_reader(): Sleeps {
  for (let i = 0; i < 3; i++) {
    let seq: number;
    let seen: [number, number];
    let tries = 0;
    do {
      seq = yield* read_seqbegin(counted.seq);
      const a = counted.a;
      yield* cond_resched();
      seen = [a, counted.b];
      if (tries++) counted.again++;
    } while (read_seqretry(counted.seq, seq));
    counted.reads++;
    if (seen[0] !== seen[1]) counted.torn++;
  }
}
test.serial("seqlock: readers never see half of a write, under every schedule", (t) => {
  let again = 0;
  underSchedules(
    300,
    () => {
      Object.assign(counted, { seq: DEFINE_SEQLOCK("seq"), a: 0, b: 0, torn: 0, reads: 0, again: 0 });
      spawn("writer", seq_writer());
      spawn("reader", seq_reader());
      spawn("other", seq_writer());
    },
    ({ seed, outcome, titles }) => {
      t.deepEqual([outcome, ...titles], ["done"], `seed ${seed}`);
      t.deepEqual([counted.a, counted.b, counted.torn, counted.reads], [6, 6, 0, 3]);
      again += counted.again;
    },
  );
  t.true(again > 0, "somebody had to read again");
});
function* writes_preemptible(): Sleeps {
  const s = SEQCNT_ZERO("s");
  write_seqcount_begin(s);
  write_seqcount_end(s);
  yield* cond_resched();
}
test.serial("planted: a sequence counter is written with preemption on", (t) => {
  const { titles } = planted(writes_preemptible);
  t.deepEqual(titles, ["WARNING: write_seqcount_begin"]);
});
