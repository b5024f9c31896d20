// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import {
  current,
  preempt_disable,
  preempt_enable,
  schedule,
  set_current_state,
  smp_processor_id,
  type Sleeps,
  type Spins,
  TASK_INTERRUPTIBLE,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
  cond_resched,
  might_sleep,
  type task_struct,
  in_hardirq,
  READY,
} from "#linux/sched.ts";
import {
  spin_lock,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  DEFINE_SPINLOCK,
  spin_lock_irq,
  spin_unlock_irq,
} from "#linux/spinlock.ts";
import { local_irq_disable, local_irq_enable } from "#linux/irqflags.ts";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import type { schedule as Schedule } from "../../kernel/sched/decide.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import {
  decisions_from_token,
  decisions_to_token,
  recording_schedule,
  replay_schedule,
} from "../../kernel/explore/replay.ts";
import { record, underSchedules } from "./schedules.ts";

/** Answers what it is told, one question after the other, and 0 afterwards. */
class Scripted implements Schedule {
  readonly interferes = true;
  readonly seen: string[] = [];
  readonly #answers: number[];
  constructor(...answers: number[]) {
    this.#answers = answers;
  }
  decide(kind: string, n: number, label: (i: number) => string): number {
    const choice = Math.min(this.#answers.shift() ?? 0, n - 1);
    this.seen.push(`${kind}:${label(choice)}`);
    return choice;
  }
}

let trail: string[] = [];
test.beforeEach(() => {
  trail = [];
});

function* steps(name: string, n: number): Sleeps {
  for (let i = 0; i < n; i++) {
    trail.push(`${name}${i}@${smp_processor_id()}`);
    yield* cond_resched();
  }
}

test.serial("the quiet schedule runs each task until it waits", (t) => {
  boot();
  spawn("a", steps("a", 2));
  spawn("b", steps("b", 2));
  t.is(run(), "done");
  t.deepEqual(trail, ["a0@0", "a1@0", "b0@0", "b1@0"]);
});

test.serial("a schedule that interferes: another CPU, then preemption", (t) => {
  const two = new Scripted(0, 1, 1);
  boot({ schedule: two });
  spawn("a", steps("a", 2));
  spawn("b", steps("b", 2));
  t.is(run(), "done");
  t.deepEqual(trail, ["a0@0", "b0@1", "a1@0", "b1@1"]);

  trail = [];
  boot({ cpus: 1, schedule: new Scripted(0, 1, 1) });
  spawn("a", steps("a", 2));
  spawn("b", steps("b", 2));
  t.is(run(), "done");
  t.deepEqual(trail, ["a0@0", "b0@0", "a1@0", "b1@0"], "one CPU: b takes a's place");
});

function* unpreemptible(name: string): Sleeps {
  preempt_disable();
  yield* steps(name, 3);
  preempt_enable();
}
test.serial("with preemption off, nobody takes the CPU", (t) => {
  for (let seed = 0; seed < 100; seed++) {
    trail = [];
    boot({ cpus: 1, schedule: random_schedule(seed) });
    spawn("a", unpreemptible("a"));
    spawn("b", unpreemptible("b"));
    t.is(run(), "done");
    const names = trail.map((x) => x[0]).join("");
    t.true(names === "aaabbb" || names === "bbbaaa", names);
  }
});

const shared = { lock: DEFINE_SPINLOCK("shared"), inside: 0, most: 0, count: 0 };
function* critical(irq: boolean): Sleeps {
  for (let i = 0; i < 3; i++) {
    const flags = irq ? yield* spin_lock_irqsave(shared.lock) : 0;
    if (!irq) yield* spin_lock(shared.lock);
    shared.inside++;
    shared.most = Math.max(shared.most, shared.inside);
    yield* cond_resched();
    shared.count++;
    shared.inside--;
    if (irq) yield* spin_unlock_irqrestore(shared.lock, flags);
    else spin_unlock(shared.lock);
  }
}
function fresh(): void {
  shared.lock = DEFINE_SPINLOCK("shared");
  shared.inside = shared.most = shared.count = 0;
}
test.serial("a spinlock keeps CPUs out of each other's way, under every schedule", (t) => {
  underSchedules(
    300,
    () => {
      fresh();
      spawn("a", critical(true));
      spawn("b", critical(true));
      spawn("c", critical(true));
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual(titles, []);
      t.is(shared.most, 1);
      t.is(shared.count, 9);
    },
    3,
  );
});

function* handler(): Spins {
  trail.push(`irq in ${current().comm}, hardirq ${in_hardirq()}`);
  yield* spin_lock(shared.lock);
  shared.count++;
  spin_unlock(shared.lock);
}
function* irqs_off_then_on(): Sleeps {
  local_irq_disable();
  raise_irq({ name: "test", handler });
  yield* cond_resched();
  trail.push("off");
  yield* local_irq_enable();
  trail.push("on");
}
test.serial("an interrupt waits until interrupts are switched on, and comes right there", (t) => {
  boot({ cpus: 1 });
  fresh();
  spawn("a", irqs_off_then_on());
  t.is(run(), "done");
  t.deepEqual(trail, ["off", "irq in a, hardirq true", "on"]);

  trail = [];
  boot({ cpus: 2 });
  fresh();
  raise_irq({ name: "test", handler });
  spawn("z", steps("z", 1));
  t.is(run(), "done");
  t.is(trail[0], "z0@0");
  t.regex(trail[1] ?? "", /^irq in (z|swapper\/\d)/);
});

function* with_irqs_off(): Sleeps {
  for (let i = 0; i < 3; i++) {
    yield* spin_lock_irq(shared.lock);
    shared.inside++;
    shared.most = Math.max(shared.most, shared.inside);
    yield* cond_resched();
    shared.inside--;
    yield* spin_unlock_irq(shared.lock);
  }
}
test.serial("an interrupt never gets in between spin_lock_irq and spin_unlock_irq", (t) => {
  underSchedules(
    200,
    () => {
      fresh();
      spawn("a", with_irqs_off());
      spawn("b", with_irqs_off());
      for (let i = 0; i < 4; i++) raise_irq({ name: `irq${i}`, handler });
    },
    ({ seed, outcome, titles }) => {
      t.is(outcome, "done", `seed ${seed}`);
      t.deepEqual(titles, []);
      t.is(shared.count, 4);
      t.is(shared.most, 1);
    },
  );
});

let sleeper: task_struct | null = null;
function* sets_state_early(): Sleeps {
  sleeper = current();
  set_current_state(TASK_INTERRUPTIBLE);
  // A preemption here is none of the task's doing: it is still runnable.
  yield* spin_lock(shared.lock);
  const ready = shared.count > 0;
  spin_unlock(shared.lock);
  if (!ready) yield* schedule();
  set_current_state(0);
}
function* provides(): Sleeps {
  yield* spin_lock(shared.lock);
  shared.count = 1;
  spin_unlock(shared.lock);
  if (sleeper) wake_up_process(sleeper);
}
test.serial("preemption between set_current_state() and schedule() loses no wake-up", (t) => {
  for (const cpus of [1, 2])
    underSchedules(
      200,
      () => {
        fresh();
        sleeper = null;
        spawn("sleeper", sets_state_early());
        spawn("waker", provides());
      },
      ({ seed, outcome }) => t.is(outcome, "done", `seed ${seed}, ${cpus} CPUs`),
      cpus,
    );
});

function* sleeps_for_ever(): Sleeps {
  set_current_state(TASK_UNINTERRUPTIBLE);
  yield* schedule({ wchan: "here", what: "nothing" });
}
test.serial("nobody can go on: deadlock, with names", (t) => {
  boot();
  spawn("a", sleeps_for_ever());
  t.is(run(), "deadlock");
  t.is(found()[0]?.checker, "deadlock");
  t.regex(found()[0]?.text ?? "", /a\/\d+ waits in here for nothing/);
});

function* sleeps_in_atomic(): Sleeps {
  preempt_disable();
  might_sleep();
  set_current_state(TASK_UNINTERRUPTIBLE);
  yield* schedule();
}
test.serial("sleeping where it is not allowed: might_sleep speaks, scheduling is the end", (t) => {
  boot();
  spawn("a", sleeps_in_atomic());
  t.is(run(), "oops");
  t.is(found()[0]?.checker, "might_sleep");
  t.regex(found()[0]?.text ?? "", /^BUG: sleeping function called from invalid context/);
  t.regex(found()[0]?.text ?? "", /in_atomic\(\): 1, irqs_disabled\(\): 0, non_block: 0, pid: \d+, name: a/);
  t.regex(found()[1]?.title ?? "", /^BUG: scheduling while atomic: a\/\d+\/0x00000001$/);
});

function trailOf(schedule: Schedule): string {
  trail = [];
  boot({ schedule });
  fresh();
  for (const name of ["a", "b", "c"]) spawn(name, steps(name, 4));
  raise_irq({ name: "test", handler });
  run();
  return `${trail.join()}|${log().length}`;
}
test.serial("the same seed, and the recorded decisions, give the same run", (t) => {
  const all = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    const recorder = record(seed);
    const first = trailOf(recorder);
    all.add(first);
    t.is(trailOf(random_schedule(seed)), first, "seed");
    const replay = new replay_schedule(recorder.decisions);
    t.is(trailOf(replay), first, "replay");
    t.false(replay.diverged);
    t.is(replay.asked, recorder.asked);
    const token = decisions_to_token(recorder.decisions);
    t.deepEqual(decisions_from_token(token), recorder.decisions, token);
  }
  t.true(all.size > 25, `${all.size} different runs`);
  t.is(decisions_from_token("1,x"), null);
  t.deepEqual(decisions_from_token(""), []);
});

test.serial("a replay that does not fit says so", (t) => {
  const replay = new replay_schedule([{ at: 0, choice: 99 }]);
  trailOf(replay);
  t.true(replay.diverged);
  t.is(new recording_schedule(replay).interferes, true);
  t.is(READY[Symbol.iterator]().next().done, true);
});
