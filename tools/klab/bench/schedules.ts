// SPDX-License-Identifier: GPL-2.0-only
/** Models whose schedules are gone through. It is bundled by itself (see bundle.ts), so it imports nothing that it does not need. */
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "../../../include/linux/mutex.ts";
import { cond_resched, type Sleeps } from "../../../include/linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../../include/linux/slab.ts";
import { embed, struct, u32 } from "../../../include/linux/types.ts";
import { boot, type boot_options, found, run, spawn } from "../../../kernel/arch/machine.ts";
import { dpor_search, type reduction } from "../../../kernel/explore/dpor.ts";
import { run_cut } from "../../../kernel/explore/guided.ts";
import { prng, random_schedule } from "../../../kernel/explore/random.ts";
import { recording_schedule } from "../../../kernel/explore/replay.ts";
import { prepare } from "../../../kernel/explore/strategy.ts";
import type { decision_kind, schedule } from "../../../kernel/sched/decide.ts";

class Shared extends struct("shared", { lock: embed(() => mutex), count: u32() }) {}

/** Memory that `tasks` tasks share. */
function sharedBy(tasks: number): Shared {
  const shared = kzalloc(Shared, GFP_KERNEL)!;
  mutex_init(shared.lock);
  shared.count = tasks;
  return shared;
}
/** A lock, twice, and who comes last gives the memory back: three points. */
function* worker(shared: Shared): Sleeps {
  yield* mutex_lock(shared.lock);
  mutex_unlock(shared.lock);
  yield* mutex_lock(shared.lock);
  const last = --shared.count === 0;
  mutex_unlock(shared.lock);
  yield* cond_resched();
  if (last) kfree(shared);
}

/** Spawns the tasks of a model: two at a lock each, all at one lock, or each at a lock of its own. */
export type Model = "pairs" | "locked" | "independent";
const START: Readonly<Record<Model, (tasks: number) => void>> = {
  pairs: (tasks) => {
    for (let i = 0; i < tasks; i += 2) {
      const shared = sharedBy(2);
      for (let k = 0; k < 2; k++) spawn("worker", worker(shared));
    }
  },
  locked: (tasks) => {
    const lock = new mutex();
    mutex_init(lock, "lock");
    for (let i = 0; i < tasks; i++) spawn("locks", locks(lock));
  },
  independent: (tasks) => {
    for (let i = 0; i < tasks; i++) spawn("worker", worker(sharedBy(1)));
  },
};
function* locks(lock: mutex): Sleeps {
  yield* mutex_lock(lock);
  mutex_unlock(lock);
}

function execute(model: Model, tasks: number, options: boot_options): void {
  boot(options);
  START[model](tasks);
  const outcome = run();
  if (outcome !== "done" || found().length > 0) throw new Error(`the model ended with ${outcome}`);
}

/** @return executions until every schedule was had; null if it takes more than `most` */
export function exhaust(
  model: Model,
  tasks: number,
  how: reduction,
  most: number,
  options: boot_options,
): number | null {
  const search = new dpor_search({ preemptions: null, reduction: how });
  let executions = 0;
  for (let plan = search.next(); plan; plan = search.next()) {
    if (executions++ >= most) return null;
    const { schedule, learned } = prepare(plan);
    const recorded = new recording_schedule(schedule);
    try {
      execute(model, tasks, { ...options, schedule: recorded });
    } catch (error) {
      if (!(error instanceof run_cut)) throw error;
    }
    search.learn(plan, { asked: 0, fault_questions: 0, dpor: learned(recorded.decisions) });
  }
  return executions;
}

/** `times` executions, every time under another random schedule, always the same ones. */
export function walk(model: Model, tasks: number, times: number, options: boot_options): void {
  const booted = { ...options, schedule: random_schedule(0) };
  for (let seed = 0; seed < times; seed++) {
    // As in model.ts: not another copy for each.
    booted.schedule = random_schedule(seed);
    execute(model, tasks, booted);
  }
}

/** Goes down the tree at random and multiplies how many ways there were: Knuth, "Estimating the Efficiency of Backtrack Programs", 1975. */
class Probe implements schedule {
  readonly interferes = true;
  ways = 1;
  readonly #numbers: prng;
  constructor(seed: number) {
    this.#numbers = new prng(seed);
  }
  decide(_kind: decision_kind, n: number): number {
    this.ways *= n;
    return this.#numbers.below(n);
  }
}
/** @return how many schedules there are, estimated from `probes` of them */
export function estimate(model: Model, tasks: number, probes: number): number {
  let sum = 0;
  for (let seed = 0; seed < probes; seed++) {
    const schedule = new Probe(seed);
    execute(model, tasks, { schedule, stacks: false });
    sum += schedule.ways;
  }
  return Math.round(sum / probes);
}
