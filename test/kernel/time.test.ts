// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import { embed, struct } from "#linux/types.ts";
import { kfree, kzalloc } from "#linux/slab.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";
import {
  add_timer,
  del_timer,
  del_timer_sync,
  from_timer,
  mod_timer,
  timer_list,
  timer_pending,
  timer_setup,
} from "#linux/timer.ts";
import { __ratelimit, DEFINE_RATELIMIT_STATE } from "#linux/ratelimit.ts";
import {
  ATOMIC_INIT_NOTIFIER_HEAD,
  atomic_notifier_call_chain,
  atomic_notifier_chain_register,
  atomic_notifier_chain_unregister,
  atomic_notifier_head,
  BLOCKING_NOTIFIER_HEAD,
  blocking_notifier_call_chain,
  blocking_notifier_chain_register,
  blocking_notifier_chain_unregister,
  notifier_block,
  notifier_from_errno,
  notifier_to_errno,
  NOTIFY_DONE,
  NOTIFY_OK,
  NOTIFY_STOP,
  RAW_INIT_NOTIFIER_HEAD,
  raw_notifier_call_chain,
  raw_notifier_chain_register,
  raw_notifier_head,
} from "#linux/notifier.ts";
import { mdelay, msleep, ssleep, usleep_range } from "#linux/delay.ts";
import { HZ, jiffies, jiffies_to_msecs, msecs_to_jiffies, time_after, usecs_to_jiffies } from "#linux/jiffies.ts";
import {
  cond_resched,
  current,
  preempt_disable,
  schedule_timeout,
  set_current_state,
  type Sleeps,
  type Spins,
  TASK_INTERRUPTIBLE,
  might_sleep,
  wake_up_process,
  type task_struct,
} from "#linux/sched.ts";
import { log, spawn } from "../../kernel/arch/machine.ts";
import { reportsOf, underSchedules } from "./schedules.ts";

class foo extends struct("foo", { timer: embed(() => timer_list) }) {}
const w = { f: new foo(), g: new foo(), count: 0, trail: [] as string[], task: null as task_struct | null };
function fresh(): void {
  w.f = new foo();
  w.g = new foo();
  w.count = 0;
  w.trail = [];
}
function planted(...bodies: (() => Sleeps)[]): ReturnType<typeof reportsOf> {
  return reportsOf(() => {
    fresh();
    for (const body of bodies) spawn("init", body());
  });
}

function fires(timer: timer_list): void {
  w.trail.push(`${from_timer(timer, foo, "timer") === w.f ? "f" : "g"} at ${jiffies()}`);
}
function* timers(): Sleeps {
  timer_setup(w.f.timer, fires, 0);
  timer_setup(w.g.timer, fires, 0);
  w.trail.push(`mod ${mod_timer(w.f.timer, 10)} ${mod_timer(w.f.timer, 5)} ${timer_pending(w.f.timer)}`);
  w.g.timer.expires = 3;
  add_timer(w.g.timer);
  yield* msleep(100);
  w.trail.push(`pending ${timer_pending(w.f.timer)}`);
  mod_timer(w.f.timer, jiffies());
  yield* msleep(20);
  mod_timer(w.f.timer, jiffies() + 1);
  w.trail.push(`del ${del_timer(w.f.timer)} ${del_timer(w.f.timer)} ${yield* del_timer_sync(w.f.timer)}`);
}
test.serial("timers fire at their jiffy, in order; one in the past at the next tick", (t) => {
  t.deepEqual(planted(timers).titles, []);
  t.deepEqual(w.trail, ["mod 0 1 true", "g at 3", "f at 5", "pending false", "f at 12", "del 1 0 0"]);
});

function* slow_fire(): Spins {
  w.trail.push("begin");
  yield* cond_resched();
  yield* cond_resched();
  w.trail.push("end");
}
function* deletes(): Sleeps {
  timer_setup(w.f.timer, slow_fire, 0);
  mod_timer(w.f.timer, 1);
  set_current_state(TASK_INTERRUPTIBLE);
  yield* schedule_timeout(1);
  const was = yield* del_timer_sync(w.f.timer);
  const ran = w.trail.length;
  w.trail.push("deleted");
  if (was && ran) w.trail.push("ran and was pending");
}
test.serial("del_timer_sync: the function does not run any more, under every schedule", (t) => {
  const seen = new Set<string>();
  underSchedules(
    300,
    () => {
      fresh();
      spawn("a", deletes());
    },
    ({ seed, outcome, titles }) => {
      t.deepEqual([outcome, titles], ["done", []], `seed ${seed}`);
      seen.add(w.trail.join());
    },
  );
  t.deepEqual([...seen].sort(), ["begin,end,deleted"].concat(seen.has("deleted") ? ["deleted"] : []).sort());
});

function* freed_armed(): Sleeps {
  const f = kzalloc(foo, GFP_KERNEL)!;
  timer_setup(f.timer, fires, 0);
  mod_timer(f.timer, 5);
  kfree(f);
  yield* msleep(100);
}
function* added_twice(): Sleeps {
  timer_setup(w.f.timer, fires, 0);
  mod_timer(w.f.timer, 5);
  add_timer(w.f.timer);
}
function* set_up_armed(): Sleeps {
  timer_setup(w.f.timer, fires, 0);
  mod_timer(w.f.timer, 5);
  timer_setup(w.f.timer, fires, 0);
}
function* of_zeros(): Sleeps {
  del_timer(w.f.timer);
}
function sleepy(): void {
  might_sleep();
}
function leaky(): void {
  preempt_disable();
}
function* with_function(func: () => void): Sleeps {
  timer_setup(w.f.timer, func, 0);
  mod_timer(w.f.timer, 1);
  yield* msleep(50);
}
const FAULTS: readonly [string, () => ReturnType<typeof reportsOf>, RegExp[]][] = [
  [
    "armed timer freed",
    () => planted(freed_armed),
    [/^ODEBUG: free active \(active state 0\) object type: timer_list hint: fires$/],
  ],
  ["pending timer added", () => planted(added_twice), [/^kernel BUG at /]],
  [
    "armed timer set up again",
    () => planted(set_up_armed),
    [/^ODEBUG: init active \(active state 0\) object type: timer_list hint: fires$/],
  ],
  [
    "timer of zeros deleted",
    () => planted(of_zeros),
    [/^ODEBUG: assert_init not available \(active state 0\) object type: timer_list hint: 0x0$/],
  ],
  [
    "timer function that may sleep",
    () => planted(() => with_function(sleepy)),
    [/^BUG: sleeping function called from invalid context/],
  ],
  [
    "timer function that leaks a preemption count",
    () => planted(() => with_function(leaky)),
    [/^WARNING: call_timer_fn/],
  ],
];
for (const [name, make, want] of FAULTS) {
  test.serial(`planted: ${name}`, (t) => {
    const { titles, texts } = make();
    t.true(titles.length >= want.length, texts.join("\n\n"));
    want.forEach((re, i) => t.regex(titles[i] ?? "", re));
  });
}

function* sleeps(): Sleeps {
  yield* msleep(10);
  w.trail.push(`msleep(10): ${jiffies()}`);
  yield* ssleep(1);
  w.trail.push(`ssleep(1): ${jiffies()}`);
  yield* usleep_range(100, 200);
  w.trail.push(`usleep_range: ${jiffies()}`);
  mdelay(30);
  w.trail.push(`mdelay(30): ${jiffies()}`);
  w.task = current();
  set_current_state(TASK_INTERRUPTIBLE);
  w.trail.push(`left ${yield* schedule_timeout(50)}`);
}
function* wakes(): Sleeps {
  yield* msleep(1200);
  if (w.task) wake_up_process(w.task);
}
test.serial("sleeping takes virtual time", (t) => {
  t.deepEqual(planted(sleeps, wakes).titles, []);
  t.deepEqual(w.trail, ["msleep(10): 2", "ssleep(1): 103", "usleep_range: 105", "mdelay(30): 108", "left 37"]);
  t.deepEqual(
    [msecs_to_jiffies(1), msecs_to_jiffies(25), usecs_to_jiffies(1), jiffies_to_msecs(3), HZ],
    [1, 3, 1, 30, 100],
  );
  t.true(time_after(2, 1));
});

const rs = DEFINE_RATELIMIT_STATE(2 * HZ, 3);
function* noisy(): Sleeps {
  yield* msleep(10);
  for (let i = 0; i < 8; i++) w.count += __ratelimit(rs);
  yield* msleep(2100);
  w.count += 100 * __ratelimit(rs);
}
test.serial("ratelimit: a burst per interval, and a word about the rest", (t) => {
  t.deepEqual(planted(noisy).titles, []);
  t.is(w.count, 103);
  t.regex(
    log()
      .map((l) => l.text)
      .join("\n"),
    /: 5 callbacks suppressed$/,
  );
});

function* sleeping_notifier(_nb: notifier_block, action: number, data: unknown): Sleeps<number> {
  yield* msleep(10);
  w.trail.push(`sleeping ${action} ${String(data)}`);
  return NOTIFY_OK;
}
function plain_notifier(_nb: notifier_block, action: number): number {
  w.trail.push(`plain ${action}`);
  return action === 9 ? NOTIFY_STOP : NOTIFY_DONE;
}
function block(call: notifier_block["notifier_call"], priority: number): notifier_block {
  const nb = new notifier_block();
  nb.notifier_call = call;
  nb.priority = priority;
  return nb;
}
function* chains(): Sleeps {
  const blocking = BLOCKING_NOTIFIER_HEAD("test_chain");
  const first = block(plain_notifier, 10);
  const second = block(sleeping_notifier, 0);
  w.trail.push(`empty ${yield* blocking_notifier_call_chain(blocking, 1, null)}`);
  yield* blocking_notifier_chain_register(blocking, second);
  yield* blocking_notifier_chain_register(blocking, first);
  w.trail.push(`ret ${yield* blocking_notifier_call_chain(blocking, 5, "x")}`);
  w.trail.push(`ret ${yield* blocking_notifier_call_chain(blocking, 9, "x")}`);
  w.trail.push(
    `del ${yield* blocking_notifier_chain_unregister(blocking, first)} ${yield* blocking_notifier_chain_unregister(blocking, first)}`,
  );
  w.trail.push(`twice ${yield* blocking_notifier_chain_register(blocking, second)}`);

  const atomic = new atomic_notifier_head();
  ATOMIC_INIT_NOTIFIER_HEAD(atomic);
  yield* atomic_notifier_chain_register(atomic, first);
  w.trail.push(`atomic ${yield* atomic_notifier_call_chain(atomic, 3, null)}`);
  w.trail.push(`del ${yield* atomic_notifier_chain_unregister(atomic, first)}`);

  const raw = new raw_notifier_head();
  RAW_INIT_NOTIFIER_HEAD(raw);
  raw_notifier_chain_register(raw, first);
  w.trail.push(`raw ${yield* raw_notifier_call_chain(raw, 4, null)}`);
}
test.serial("notifier chains", (t) => {
  const { titles } = planted(chains);
  t.deepEqual(w.trail, [
    "empty 0",
    "plain 5",
    "sleeping 5 x",
    "ret 1",
    "plain 9",
    "ret 32769",
    "del 0 -2",
    "twice -17",
    "plain 3",
    "atomic 0",
    "del 0",
    "plain 4",
    "raw 0",
  ]);
  t.is(titles.length, 1, "registered twice");
  t.deepEqual([notifier_to_errno(notifier_from_errno(-12)), notifier_to_errno(NOTIFY_OK)], [-12, 0]);
});

function* sleeps_on_atomic_chain(): Sleeps {
  const atomic = new atomic_notifier_head();
  ATOMIC_INIT_NOTIFIER_HEAD(atomic);
  yield* atomic_notifier_chain_register(atomic, block(sleeping_notifier, 0));
  yield* atomic_notifier_call_chain(atomic, 1, null);
}
test.serial("planted: a notifier that sleeps on an atomic chain", (t) => {
  const { titles, outcome } = planted(sleeps_on_atomic_chain);
  t.is(outcome, "oops");
  t.regex(titles[0] ?? "", /^BUG: scheduling while atomic: init\/\d+\/0x00000001$/);
});
