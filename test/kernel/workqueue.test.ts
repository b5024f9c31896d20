// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import { embed, struct } from "#linux/types.ts";
import { kfree, kzalloc } from "#linux/slab.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_delayed_work,
  cancel_delayed_work_sync,
  cancel_work,
  cancel_work_sync,
  create_singlethread_workqueue,
  current_work,
  delayed_work,
  destroy_workqueue,
  drain_workqueue,
  flush_delayed_work,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_WORK,
  mod_delayed_work,
  queue_delayed_work,
  queue_work,
  schedule_delayed_work,
  schedule_work,
  system_unbound_wq,
  work_pending,
  work_struct,
  type workqueue_struct,
  WQ_UNBOUND,
} from "#linux/workqueue.ts";
import { kthread_create, kthread_run, kthread_should_stop, kthread_stop } from "#linux/kthread.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  cond_resched,
  current,
  preempt_disable,
  schedule,
  set_current_state,
  type Sleeps,
  TASK_INTERRUPTIBLE,
} from "#linux/sched.ts";
import { msleep } from "#linux/delay.ts";
import { jiffies } from "#linux/jiffies.ts";
import { boot, found, run, spawn } from "../../kernel/arch/machine.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import { reportsOf, underSchedules } from "./schedules.ts";

class foo extends struct("foo", { work: embed(() => work_struct), dwork: embed(() => delayed_work) }) {}
const w = {
  f: new foo(),
  g: new foo(),
  lock: DEFINE_MUTEX("lock"),
  count: 0,
  inside: 0,
  most: 0,
  again: 0,
  trail: [] as string[],
};
function fresh(): void {
  w.f = new foo();
  w.g = new foo();
  w.lock = DEFINE_MUTEX("lock");
  w.count = w.inside = w.most = w.again = 0;
  w.trail = [];
}
function planted(...bodies: (() => Sleeps)[]): ReturnType<typeof reportsOf> {
  return reportsOf(() => {
    fresh();
    for (const body of bodies) spawn("init", body());
  });
}

function* counts(work: work_struct): Sleeps {
  w.most = Math.max(w.most, ++w.inside);
  if (current_work() !== work) w.trail.push("current_work is wrong");
  yield* cond_resched();
  w.count++;
  if (w.again-- > 0) schedule_work(work);
  yield* cond_resched();
  w.inside--;
}
function notes(_work: work_struct): void {
  w.trail.push(`${current().comm} at ${jiffies()}`);
}
function* slow_work(_work: work_struct): Sleeps {
  w.trail.push("begin");
  yield* msleep(50);
  w.trail.push("end");
}

function* names(): Sleeps {
  INIT_WORK(w.f.work, notes);
  w.trail.push(`queued ${schedule_work(w.f.work)} ${schedule_work(w.f.work)} pending ${work_pending(w.f.work)}`);
  w.trail.push(`flushed ${yield* flush_work(w.f.work)} ${yield* flush_work(w.f.work)}`);
  queue_work(system_unbound_wq, w.f.work);
  yield* flush_work(w.f.work);
}
test.serial("queue, flush, names of the workers", (t) => {
  t.deepEqual(planted(names).titles, []);
  t.deepEqual(w.trail, [
    "queued true false pending true",
    "kworker/0:0 at 0",
    "flushed true false",
    "kworker/u4:0 at 0",
  ]);
});

function* queues_same(): Sleeps {
  for (let i = 0; i < 3; i++) {
    schedule_work(w.f.work);
    yield* cond_resched();
  }
  yield* flush_work(w.f.work);
}
test.serial("an item never runs twice at once, and once more for each queueing after it began", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      w.again = 2;
      INIT_WORK(w.f.work, counts);
      spawn("a", queues_same());
      spawn("b", queues_same());
    },
    ({ seed, outcome, titles }) => {
      t.deepEqual([outcome, titles, w.most, w.trail], ["done", [], 1, []], `seed ${seed}`);
      t.true(w.count >= 3 && w.count <= 8, `count ${w.count}`);
    },
  );
});

let wq: workqueue_struct | null = null;
function ordered(work: work_struct): void {
  w.trail.push(work === w.f.work ? "f" : "g");
}
function* in_order(): Sleeps {
  wq = create_singlethread_workqueue("test-wq")!;
  INIT_WORK(w.f.work, slow_then_note);
  INIT_WORK(w.g.work, ordered);
  queue_work(wq, w.f.work);
  queue_work(wq, w.g.work);
  yield* flush_workqueue(wq);
  w.trail.push("flushed");
  yield* destroy_workqueue(wq);
}
function* slow_then_note(work: work_struct): Sleeps {
  yield* msleep(20);
  ordered(work);
}
test.serial("a single-threaded workqueue keeps the order, and is freed", (t) => {
  underSchedules(
    100,
    () => {
      fresh();
      spawn("a", in_order());
    },
    ({ seed, outcome, titles }) =>
      t.deepEqual([outcome, titles, w.trail], ["done", [], ["f", "g", "flushed"]], `seed ${seed}`),
  );
  t.is([...live_memory()].length, 0);
});

function* concurrent(max: number): Sleeps {
  wq = alloc_workqueue("test-%d", WQ_UNBOUND, max, 1)!;
  const items = [new foo(), new foo(), new foo()];
  for (const f of items) {
    INIT_WORK(f.work, takes_a_while);
    queue_work(wq, f.work);
  }
  yield* drain_workqueue(wq);
  yield* destroy_workqueue(wq);
}
function* takes_a_while(): Sleeps {
  w.most = Math.max(w.most, ++w.inside);
  yield* msleep(10);
  w.inside--;
}
for (const [max, most] of [
  [1, 1],
  [2, 2],
  [0, 3],
] as const) {
  test.serial(`max_active ${max}: ${most} at once`, (t) => {
    t.deepEqual([planted(() => concurrent(max)).titles, w.most], [[], most]);
  });
}

function* cancels(): Sleeps {
  INIT_WORK(w.f.work, slow_work);
  schedule_work(w.f.work);
  w.trail.push(`cancel ${cancel_work(w.f.work)} ${cancel_work(w.f.work)}`);
  schedule_work(w.f.work);
  yield* msleep(10);
  w.trail.push(`running: ${cancel_work(w.f.work)}`);
  w.trail.push(`sync: ${yield* cancel_work_sync(w.f.work)}`);
}
test.serial("cancel_work and cancel_work_sync", (t) => {
  t.deepEqual(planted(cancels).titles, []);
  t.deepEqual(w.trail, ["cancel true false", "begin", "running: false", "end", "sync: false"]);
});

function* requeues(work: work_struct): Sleeps {
  w.count++;
  yield* cond_resched();
  schedule_work(work);
  yield* cond_resched();
}
function* cancels_self_queueing(): Sleeps {
  yield* cancel_work_sync(w.f.work);
  w.inside = w.count;
}
test.serial("cancel_work_sync stops an item that queues itself, also when two cancel it", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      INIT_WORK(w.f.work, requeues);
      spawn("a", after_queue());
    },
    ({ seed, outcome, titles }) => {
      t.deepEqual([outcome, titles, w.inside], ["done", [], w.count], `seed ${seed}`);
      t.deepEqual([work_pending(w.f.work), w.f.work.entry], [false, "idle"]);
    },
  );
});
function* after_queue(): Sleeps {
  schedule_work(w.f.work);
  yield* cond_resched();
  spawn("b", cancels_self_queueing());
  yield* cancels_self_queueing();
}

function* delayed(): Sleeps {
  const { dwork } = w.f;
  INIT_DELAYED_WORK(dwork, notes);
  w.trail.push(`${schedule_delayed_work(dwork, 5)} ${schedule_delayed_work(dwork, 5)}`);
  yield* msleep(100);
  schedule_delayed_work(dwork, 100);
  w.trail.push(`mod ${mod_delayed_work(system_unbound_wq, dwork, 2)}`);
  yield* msleep(100);
  w.trail.push(`mod ${mod_delayed_work(system_unbound_wq, dwork, 100)}`);
  w.trail.push(`cancel ${cancel_delayed_work(dwork)} ${cancel_delayed_work(dwork)}`);
  queue_delayed_work(system_unbound_wq, dwork, 100);
  w.trail.push(`sync ${yield* cancel_delayed_work_sync(dwork)}`);
  queue_delayed_work(system_unbound_wq, dwork, 100);
  w.trail.push(`flush ${yield* flush_delayed_work(dwork)}`);
  queue_delayed_work(system_unbound_wq, dwork, 0);
  yield* flush_delayed_work(dwork);
}
test.serial("delayed work", (t) => {
  t.deepEqual(planted(delayed).titles, []);
  t.deepEqual(w.trail, [
    "true false",
    "kworker/0:0 at 5",
    "mod true",
    "kworker/u4:0 at 13",
    "mod false",
    "cancel true false",
    "sync true",
    "kworker/u4:0 at 22",
    "flush true",
    "kworker/u4:0 at 22",
  ]);
});

function* pending_free(): Sleeps {
  const f = kzalloc(foo, GFP_KERNEL)!;
  INIT_WORK(f.work, slow_work);
  schedule_work(f.work);
  kfree(f);
}
function* armed_free(): Sleeps {
  const f = kzalloc(foo, GFP_KERNEL)!;
  INIT_DELAYED_WORK(f.dwork, slow_work);
  schedule_delayed_work(f.dwork, 100);
  kfree(f);
}
function* init_active(): Sleeps {
  INIT_WORK(w.f.work, slow_work);
  schedule_work(w.f.work);
  INIT_WORK(w.f.work, slow_work);
}
function* takes_lock(): Sleeps {
  yield* mutex_lock(w.lock);
  mutex_unlock(w.lock);
}
function* flush_under_lock(): Sleeps {
  INIT_WORK(w.f.work, takes_lock);
  schedule_work(w.f.work);
  yield* flush_work(w.f.work);
  yield* mutex_lock(w.lock);
  yield* flush_work(w.f.work);
  mutex_unlock(w.lock);
}
function* really_deadlocks(): Sleeps {
  INIT_WORK(w.f.work, takes_lock);
  yield* mutex_lock(w.lock);
  schedule_work(w.f.work);
  yield* flush_work(w.f.work);
}
function* leaks_lock(): Sleeps {
  yield* mutex_lock(w.lock);
}
function leaks_preempt(): void {
  preempt_disable();
}
function* queue_leaky(func: (work: work_struct) => Sleeps | void): Sleeps {
  INIT_WORK(w.f.work, func);
  schedule_work(w.f.work);
  yield* flush_work(w.f.work);
}
function* queue_while_draining(): Sleeps {
  wq = alloc_ordered_workqueue("test", 0)!;
  INIT_WORK(w.f.work, slow_work);
  INIT_WORK(w.g.work, slow_work);
  queue_work(wq, w.f.work);
  yield* drain_workqueue(wq);
}
function* queues_late(): Sleeps {
  yield* msleep(20);
  queue_work(wq!, w.g.work);
}
function* use_after_destroy(): Sleeps {
  wq = alloc_workqueue("test", 0, 0)!;
  INIT_WORK(w.f.work, notes);
  yield* destroy_workqueue(wq);
  queue_work(wq, w.f.work);
}
function* flush_of_zeros(): Sleeps {
  yield* flush_work(new work_struct());
}
function* cancel_zero_delayed(): Sleeps {
  cancel_delayed_work(new delayed_work());
}
const FAULTS: readonly [string, () => ReturnType<typeof reportsOf>, RegExp[]][] = [
  [
    "pending work freed",
    () => planted(pending_free),
    [/^ODEBUG: free active \(active state 0\) object type: work_struct hint: slow_work$/],
  ],
  [
    "armed delayed work freed",
    () => planted(armed_free),
    [/^ODEBUG: free active \(active state 0\) object type: timer_list hint: delayed_work_timer_fn$/],
  ],
  [
    "initialised while pending",
    () => planted(init_active),
    [/^ODEBUG: init active \(active state 0\) object type: work_struct hint: slow_work$/],
  ],
  [
    "flush under a lock that the work takes",
    () => planted(flush_under_lock),
    [/^WARNING: possible circular locking dependency detected$/],
  ],
  ["the same, and it happens", () => planted(really_deadlocks), [/^WARNING: possible circular locking/, /^deadlock: /]],
  [
    "work leaks a lock",
    () => planted(() => queue_leaky(leaks_lock)),
    [/^BUG: workqueue leaked lock or atomic: kworker\/0:0$/],
  ],
  [
    "work leaks a preemption count",
    () => planted(() => queue_leaky(leaks_preempt)),
    [/^BUG: workqueue leaked lock or atomic/],
  ],
  ["queued while draining", () => planted(queue_while_draining, queues_late), [/^WARNING: /]],
  ["used after destroy_workqueue", () => planted(use_after_destroy), [/^BUG: KASAN: .*use-after-free/]],
  ["flush of zeros", () => planted(flush_of_zeros), [/^WARNING: __flush_work/]],
  [
    "cancel of a delayed work of zeros",
    () => planted(cancel_zero_delayed),
    [/^ODEBUG: assert_init not available \(active state 0\) object type: timer_list hint: 0x0$/],
  ],
];
for (const [name, make, want] of FAULTS) {
  test.serial(`planted: ${name}`, (t) => {
    const { titles, texts } = make();
    t.true(titles.length >= want.length, texts.join("\n\n"));
    want.forEach((re, i) => t.regex(titles[i] ?? "", re));
  });
}

function* thread(data: string): Sleeps<number> {
  w.trail.push(`${current().comm} ${data}`);
  while (!kthread_should_stop()) {
    set_current_state(TASK_INTERRUPTIBLE);
    if (!kthread_should_stop()) yield* schedule();
    set_current_state(0);
    w.count++;
  }
  return 7;
}
function* threads(): Sleeps {
  const runs = kthread_run(thread, "data", "test/%d", 3);
  const never = kthread_create(thread, "never", "never");
  yield* msleep(10);
  w.trail.push(`stop ${yield* kthread_stop(runs)} ${yield* kthread_stop(never)}`);
}
test.serial("kthreads", (t) => {
  underSchedules(
    100,
    () => {
      fresh();
      spawn("a", threads());
    },
    ({ outcome, titles }) =>
      t.deepEqual([outcome, titles, w.trail, w.count], ["done", [], ["test/3 data", "stop 7 -4"], 1]),
  );
  boot();
  t.deepEqual([run(), found()], ["done", []]);
});
