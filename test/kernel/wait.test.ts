// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import {
  complete,
  complete_all,
  completion,
  completion_done,
  DECLARE_COMPLETION,
  DECLARE_COMPLETION_ONSTACK,
  init_completion,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion,
  wait_for_completion_interruptible,
  wait_for_completion_interruptible_timeout,
  wait_for_completion_io,
  wait_for_completion_io_timeout,
  wait_for_completion_killable,
  wait_for_completion_killable_timeout,
  wait_for_completion_timeout,
} from "#linux/completion.ts";
import {
  add_wait_queue,
  add_wait_queue_exclusive,
  DECLARE_WAIT_QUEUE_HEAD,
  DEFINE_WAIT,
  finish_wait,
  init_waitqueue_func_entry,
  prepare_to_wait,
  prepare_to_wait_exclusive,
  remove_wait_queue,
  wait_event,
  wait_event_idle_timeout,
  wait_event_interruptible,
  wait_event_interruptible_lock_irq,
  wait_event_interruptible_lock_irq_timeout,
  wait_event_interruptible_timeout,
  wait_event_killable,
  wait_event_lock_irq,
  wait_event_timeout,
  wait_queue_entry,
  waitqueue_active,
  wake_up,
  wake_up_all,
  wake_up_interruptible,
  wake_up_nr,
  wake_up_poll,
} from "#linux/wait.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_lock_irq, spin_unlock, spin_unlock_irq } from "#linux/spinlock.ts";
import { msleep, msleep_interruptible } from "#linux/delay.ts";
import {
  cond_resched,
  current,
  schedule,
  type Sleeps,
  type Spins,
  type task_struct,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
  might_sleep,
} from "#linux/sched.ts";
import { jiffies } from "#linux/jiffies.ts";
import { boot, found, run, spawn } from "../../kernel/arch/machine.ts";
import { reportsOf, underSchedules } from "./schedules.ts";

const w = {
  done: DECLARE_COMPLETION("done"),
  wq: DECLARE_WAIT_QUEUE_HEAD("wq"),
  lock: DEFINE_SPINLOCK("lock"),
  flag: false,
  count: 0,
  trail: [] as string[],
  late: null as completion | null,
};
function fresh(): void {
  w.done = DECLARE_COMPLETION("done");
  w.wq = DECLARE_WAIT_QUEUE_HEAD("wq");
  w.lock = DEFINE_SPINLOCK("lock");
  w.flag = false;
  w.count = 0;
  w.trail = [];
  w.late = null;
}
function signal(t: task_struct, fatal: boolean): void {
  t.pending_signals.push(fatal ? 9 : 10);
  t.fatal_signal = fatal;
  if (t.state & 1 || (fatal && t.state & 0x100)) wake_up_process(t);
}

function* note(path: Sleeps<number | void>): Sleeps {
  const ret = yield* path;
  w.trail.push(`${String(ret)} at ${jiffies()}`);
}
/** For what must not begin before the task does. */
function* notes(wait: () => Sleeps<number>): Sleeps {
  yield* note(wait());
}
function* later(ms: number, what: () => Spins | void): Sleeps {
  if (ms) yield* msleep(ms);
  const more = what();
  if (typeof more === "object") yield* more;
}
type Event = "complete" | "signal" | "kill" | "nothing";
// The helper's msleep(20) ends in jiffy 3: two ticks and the one that has begun.
const COMPLETIONS: readonly [string, (x: completion) => Sleeps<number | void>, Event, string][] = [
  ["plain", wait_for_completion, "complete", "undefined at 3"],
  ["io", wait_for_completion_io, "complete", "undefined at 3"],
  ["io_timeout", (x) => wait_for_completion_io_timeout(x, 10), "complete", "7 at 3"],
  ["io_timeout", (x) => wait_for_completion_io_timeout(x, 10), "nothing", "0 at 10"],
  ["timeout", (x) => wait_for_completion_timeout(x, 10), "complete", "7 at 3"],
  ["timeout", (x) => wait_for_completion_timeout(x, 10), "nothing", "0 at 10"],
  ["timeout, signalled", (x) => wait_for_completion_timeout(x, 10), "kill", "0 at 10"],
  ["interruptible", wait_for_completion_interruptible, "complete", "0 at 3"],
  ["interruptible", wait_for_completion_interruptible, "signal", "-512 at 3"],
  ["interruptible_timeout", (x) => wait_for_completion_interruptible_timeout(x, 10), "signal", "-512 at 3"],
  ["interruptible_timeout", (x) => wait_for_completion_interruptible_timeout(x, 10), "complete", "7 at 3"],
  ["interruptible_timeout", (x) => wait_for_completion_interruptible_timeout(x, 10), "nothing", "0 at 10"],
  ["killable", wait_for_completion_killable, "kill", "-512 at 3"],
  ["killable", wait_for_completion_killable, "complete", "0 at 3"],
  ["killable_timeout", (x) => wait_for_completion_killable_timeout(x, 10), "kill", "-512 at 3"],
  ["killable_timeout", (x) => wait_for_completion_killable_timeout(x, 10), "signal", "0 at 10"],
];
for (const [name, wait, event, want] of COMPLETIONS) {
  test.serial(`wait_for_completion ${name}: ${event}`, (t) => {
    boot();
    fresh();
    const waiter = spawn(
      "waiter",
      late_start(() => wait(w.done)),
    );
    spawn(
      "other",
      later(20, () => {
        if (event === "complete") complete(w.done);
        else if (event !== "nothing") signal(waiter, event === "kill");
      }),
    );
    t.is(run(), "done");
    t.deepEqual(w.trail, [want]);
    t.deepEqual([w.done.done, w.done.wait.task_list.length, found()], [0, 0, []]);
  });
}

function* arithmetic(): Sleeps {
  w.trail.push(`${completion_done(w.done)} ${try_wait_for_completion(w.done)}`);
  complete(w.done);
  complete(w.done);
  w.trail.push(`${w.done.done} ${completion_done(w.done)} ${try_wait_for_completion(w.done)} ${w.done.done}`);
  w.trail.push(`timeout 0, done: ${yield* wait_for_completion_timeout(w.done, 0)}`);
  w.trail.push(`timeout 0, not done: ${yield* wait_for_completion_timeout(w.done, 0)}`);
  complete_all(w.done);
  yield* wait_for_completion(w.done);
  w.trail.push(`all: ${w.done.done}`);
  complete(w.done);
  reinit_completion(w.done);
  w.trail.push(`again: ${w.done.done}`);
}
test.serial("completion: counting", (t) => {
  const { titles } = reportsOf(() => {
    fresh();
    spawn("a", arithmetic());
  });
  t.deepEqual(titles, []);
  t.deepEqual(w.trail, [
    "false false",
    "2 true true 1",
    "timeout 0, done: 1",
    "timeout 0, not done: 0",
    "all: 4294967295",
    "again: 0",
  ]);
});

function* waits_once(): Sleeps {
  yield* wait_for_completion(w.done);
  w.count++;
}
function* completes(n: number): Sleeps {
  for (let i = 0; i < n; i++) {
    complete(w.done);
    yield* cond_resched();
  }
}
test.serial("completion: each complete() lets one go, under every schedule", (t) => {
  underSchedules(
    200,
    () => {
      fresh();
      for (let i = 0; i < 3; i++) spawn(`w${i}`, waits_once());
      spawn("c", completes(3));
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual([titles, w.count, w.done.done], [[], 3, 0]);
    },
  );
});

function* never(): Sleeps {
  yield* wait_for_completion(w.done);
}
function* on_stack_wait(): Sleeps {
  using x = DECLARE_COMPLETION_ONSTACK();
  w.late = x;
  w.trail.push(`${yield* wait_for_completion_timeout(x, 2)}`);
}
const zeros = (): completion => new completion();
const FAULTS: readonly [string, () => void, RegExp[]][] = [
  ["nobody completes", () => spawn("init", never()), [/^deadlock: init can never go on/]],
  [
    "initialised again while somebody waits",
    () => {
      spawn("init", never());
      spawn(
        "b",
        later(10, () => init_completion(w.done)),
      );
    },
    [/^completion: initialised while somebody waits for it$/, /^deadlock: init/],
  ],
  [
    "complete() on zeros",
    () =>
      spawn(
        "init",
        later(0, () => complete(zeros())),
      ),
    [/^BUG: spinlock bad magic on CPU#0, init/, /^BUG: kernel NULL pointer dereference/],
  ],
  [
    "complete() after the waiter's frame is gone",
    () => {
      spawn("init", on_stack_wait());
      spawn(
        "late",
        later(100, () => complete(w.late!)),
      );
    },
    [/^BUG: KASAN: /],
  ],
];
for (const [name, plant, want] of FAULTS) {
  test.serial(`planted: completion, ${name}`, (t) => {
    const { titles } = reportsOf(() => {
      fresh();
      plant();
    });
    t.true(titles.length >= want.length, titles.join("\n"));
    want.forEach((re, i) => t.regex(titles[i] ?? "", re));
  });
}

function* naps(): Sleeps {
  yield* msleep_interruptible(150_000);
}
function* hung(): Sleeps {
  yield* wait_for_completion_timeout(w.done, 200 * 100);
}
test.serial("planted: a task hangs in uninterruptible sleep", (t) => {
  const { titles, texts } = reportsOf(() => {
    fresh();
    spawn("init", hung());
    spawn("busy", naps());
  });
  t.deepEqual(titles, ["INFO: task init blocked for more than 120 seconds."]);
  t.regex(texts[0] ?? "", /waits in wait_for_completion_timeout for completion done/);
});

const flag = (): boolean => w.flag;
const raise = (): Spins => {
  w.flag = true;
  return wake_up(w.wq);
};
const EVENTS: readonly [string, () => Sleeps<number | void>, Event, string][] = [
  ["plain", () => wait_event(w.wq, flag), "complete", "undefined at 3"],
  ["timeout", () => wait_event_timeout(w.wq, flag, 10), "complete", "7 at 3"],
  ["timeout", () => wait_event_timeout(w.wq, flag, 10), "nothing", "0 at 10"],
  ["timeout 0", () => wait_event_timeout(w.wq, flag, 0), "nothing", "0 at 0"],
  ["timeout 0, holds", () => wait_event_timeout(w.wq, () => true, 0), "nothing", "1 at 0"],
  ["interruptible", () => wait_event_interruptible(w.wq, flag), "complete", "0 at 3"],
  ["interruptible", () => wait_event_interruptible(w.wq, flag), "signal", "-512 at 3"],
  ["interruptible_timeout", () => wait_event_interruptible_timeout(w.wq, flag, 10), "signal", "-512 at 3"],
  ["interruptible_timeout", () => wait_event_interruptible_timeout(w.wq, flag, 10), "complete", "7 at 3"],
  ["killable", () => wait_event_killable(w.wq, flag), "kill", "-512 at 3"],
];
for (const [name, wait, event, want] of EVENTS) {
  test.serial(`wait_event ${name}: ${event}`, (t) => {
    boot();
    fresh();
    const waiter = spawn("waiter", late_start(wait));
    spawn(
      "other",
      later(20, () => {
        if (event === "complete") return raise();
        if (event !== "nothing") signal(waiter, event === "kill");
        return undefined;
      }),
    );
    t.is(run(), "done");
    t.deepEqual(w.trail, [want]);
    t.false(waitqueue_active(w.wq));
  });
}
function* late_start(wait: () => Sleeps<number | void>): Sleeps {
  yield* note(wait());
}

function* waits_for_count(n: number): Sleeps {
  yield* wait_event(w.wq, () => w.count >= n);
  w.trail.push(String(n));
}
function* counts(): Sleeps {
  for (let i = 0; i < 4; i++) {
    w.count++;
    yield* wake_up_all(w.wq);
  }
}
test.serial("wait_event: no wake-up is lost, under every schedule", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      for (let i = 1; i <= 4; i++) spawn(`w${i}`, waits_for_count(i));
      spawn("c", counts());
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual([titles, w.trail.length, w.wq.head.length], [[], 4, 0]);
    },
  );
});

/** Takes one of what there is, which the lock protects. */
function* takes_under_lock(): Sleeps {
  yield* spin_lock_irq(w.lock);
  yield* wait_event_lock_irq(w.wq, () => w.count > 0, w.lock);
  w.count--;
  w.trail.push("taken");
  yield* spin_unlock_irq(w.lock);
}
function* gives_under_lock(): Sleeps {
  for (let i = 0; i < 3; i++) {
    yield* spin_lock_irq(w.lock);
    w.count++;
    yield* spin_unlock_irq(w.lock);
    yield* wake_up_all(w.wq);
  }
}
test.serial("wait_event_lock_irq: the condition is looked at with the lock held, under every schedule", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      for (let i = 0; i < 3; i++) spawn("takes", takes_under_lock());
      spawn("gives", gives_under_lock());
    },
    ({ seed, outcome, titles }) => {
      t.deepEqual([outcome, ...titles], ["done"], `seed ${seed}`);
      t.deepEqual([w.count, w.trail.length, w.wq.head.length], [0, 3, 0]);
    },
  );
});
function* waits_locked(timeout: number): Sleeps<number> {
  yield* spin_lock_irq(w.lock);
  const left =
    timeout > 0
      ? yield* wait_event_interruptible_lock_irq_timeout(w.wq, () => w.flag, w.lock, timeout)
      : yield* wait_event_interruptible_lock_irq(w.wq, () => w.flag, w.lock);
  yield* spin_unlock_irq(w.lock);
  return left;
}
for (const [name, wait, want, silent] of [
  ["interruptible_lock_irq", () => waits_locked(0), "-512 at 3", true],
  ["interruptible_lock_irq_timeout", () => waits_locked(2), "0 at 2", true],
  ["idle, for ever so long", () => wait_event_idle_timeout(w.wq, () => w.flag, 100_000), "0 at 100000", true],
  ["timeout, for ever so long", () => wait_event_timeout(w.wq, () => w.flag, 100_000), "0 at 100000", false],
] as const) {
  test.serial(`wait_event ${name}`, (t) => {
    boot();
    fresh();
    const waiter = spawn("waiter", notes(wait));
    spawn(
      "helper",
      later(20, () => signal(waiter, false)),
    );
    t.is(run(), "done");
    t.deepEqual(w.trail, [want]);
    t.is(found().length === 0, silent, "idle sleep is no hung task");
  });
}

function* exclusive(name: string): Sleeps {
  const wait = DEFINE_WAIT();
  yield* prepare_to_wait_exclusive(w.wq, wait, TASK_UNINTERRUPTIBLE);
  yield* schedule();
  yield* finish_wait(w.wq, wait);
  w.trail.push(name);
}
function* not_exclusive(name: string): Sleeps {
  const wait = DEFINE_WAIT();
  yield* prepare_to_wait(w.wq, wait, TASK_UNINTERRUPTIBLE);
  yield* schedule();
  yield* finish_wait(w.wq, wait);
  w.trail.push(name);
}
test.serial("waking takes everybody who is not exclusive and so many who are", (t) => {
  boot();
  fresh();
  for (const name of ["e1", "e2", "e3"]) spawn(name, exclusive(name));
  for (const name of ["n1", "n2"]) spawn(name, not_exclusive(name));
  spawn(
    "waker",
    later(10, () => wake_up_interruptible(w.wq)),
  );
  spawn(
    "waker",
    later(20, () => wake_up(w.wq)),
  );
  spawn(
    "waker",
    later(40, () => (w.trail.push("|"), wake_up_nr(w.wq, 2))),
  );
  t.is(run(), "done");
  t.deepEqual(w.trail, ["n2", "n1", "e1", "|", "e2", "e3"]);
});

function* callback(entry: wait_queue_entry, _mode: number, _flags: number, key: unknown): Spins<number> {
  yield* spin_lock(w.lock);
  w.trail.push(`callback ${String(key)} ${entry.flags} ${w.wq.lock.owner === current()}`);
  w.count++;
  spin_unlock(w.lock);
  return 1;
}
const entry = { e: new wait_queue_entry() };
function* with_callback(): Sleeps {
  entry.e = new wait_queue_entry();
  init_waitqueue_func_entry(entry.e, callback);
  yield* add_wait_queue(w.wq, entry.e);
  yield* wake_up_poll(w.wq, 5);
  yield* remove_wait_queue(w.wq, entry.e);
  yield* wake_up_poll(w.wq, 6);
  yield* add_wait_queue_exclusive(w.wq, entry.e);
  yield* wake_up_poll(w.wq, 7);
}
test.serial("an entry's own function runs under the queue's lock, with the key", (t) => {
  const { titles } = reportsOf(() => {
    fresh();
    spawn("a", with_callback());
  });
  t.deepEqual([titles, w.trail], [[], ["callback 5 0 true", "callback 7 1 true"]]);
});

function* removes(): Sleeps {
  entry.e = new wait_queue_entry();
  init_waitqueue_func_entry(entry.e, callback);
  yield* add_wait_queue(w.wq, entry.e);
  yield* cond_resched();
  yield* remove_wait_queue(w.wq, entry.e);
  w.count = 1000;
}
test.serial("remove_wait_queue: the function does not run any more, under every schedule", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      spawn("a", removes());
      spawn(
        "b",
        later(0, () => wake_up(w.wq)),
      );
      spawn(
        "c",
        later(0, () => wake_up(w.wq)),
      );
    },
    ({ seed, outcome, titles }) => t.deepEqual([outcome, titles, w.count], ["done", [], 1000], `seed ${seed}`),
  );
});

function* sleeping_callback(): Spins<number> {
  might_sleep();
  return 1;
}
function* wakes_sleeper(): Sleeps {
  entry.e = new wait_queue_entry();
  init_waitqueue_func_entry(entry.e, sleeping_callback);
  yield* add_wait_queue(w.wq, entry.e);
  yield* wake_up(w.wq);
}
test.serial("planted: a wait-queue callback that may sleep", (t) => {
  const { titles } = reportsOf(() => {
    fresh();
    spawn("a", wakes_sleeper());
  });
  t.is(titles.length, 1);
  t.regex(titles[0] ?? "", /^BUG: sleeping function called from invalid context/);
});
