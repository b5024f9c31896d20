// SPDX-License-Identifier: GPL-2.0-only
/** Small programs for the explorer, each with what it does said in a word, and a search through all their schedules. */
import { boot, found, run } from "../../kernel/arch/machine.ts";
import { dpor_search, type reduction } from "../../kernel/explore/dpor.ts";
import { run_cut } from "../../kernel/explore/guided.ts";
import { recording_schedule } from "../../kernel/explore/replay.ts";
import { prepare } from "../../kernel/explore/strategy.ts";
import type { schedule } from "../../kernel/sched/decide.ts";
import "../../kernel/mm/kasan.ts";

export interface Model {
  readonly name: string;
  /** There are too many schedules to try them all: only those with few preemptions are. */
  readonly big?: boolean;
  readonly cpus?: number;
  readonly faults?: number;
  readonly outside?: boolean;
  /** Spawns the tasks. @return what came of it, once all is over */
  readonly start: () => () => string;
}

export interface Searched {
  readonly outcomes: ReadonlySet<string>;
  readonly executions: number;
  /** Those that were cut because the rest was had before. */
  readonly cut: number;
  readonly complete: boolean;
}

function once(model: Model, schedule: schedule, kcsan: boolean): string {
  const { cpus = 2, faults = 0, outside = false } = model;
  boot({ cpus, faults, outside, kcsan, schedule, max_steps: 10_000, stacks: false });
  const result = model.start();
  const outcome = run();
  // Which CPU a task is on shows in messages and nowhere else, and is in no footprint.
  const titles = found()
    .map((r) => r.title.replace(/CPU#\d+/, "CPU#"))
    .sort();
  return JSON.stringify([outcome, result(), [...new Set(titles)]]);
}

/** Everything that a model can come to. @preemptions: null for any number */
export function search(
  model: Model,
  reduction: reduction,
  preemptions: number | null = null,
  most = 200_000,
  kcsan = false,
): Searched {
  const all = new dpor_search({ preemptions, reduction });
  const outcomes = new Set<string>();
  let [executions, cut] = [0, 0];
  for (let plan = all.next(); plan && executions < most; plan = all.next()) {
    const { schedule, learned } = prepare(plan);
    const recorded = new recording_schedule(schedule);
    executions++;
    try {
      outcomes.add(once(model, recorded, kcsan));
    } catch (error) {
      if (!(error instanceof run_cut)) throw error;
      cut++;
    }
    all.learn(plan, { asked: recorded.asked, fault_questions: 0, dpor: learned(recorded.decisions) });
  }
  return { outcomes, executions, cut, complete: all.exhausted };
}

export interface Effort {
  /** Executions at which enumerating all is given up. */
  readonly most: number;
  readonly bounds: readonly number[];
}

/** What enumeration finds and the reduced searches do not, or the other way round; and how many executions each took. */
export function misses(model: Model, { most, bounds }: Effort): { missed: string[]; said: string[] } {
  const missed: string[] = [];
  const said: string[] = [];
  const compare = (what: string, all: Searched, reduced: Searched): void => {
    said.push(`${what}: ${all.executions} executions, ${reduced.executions} with reduction`);
    if (!reduced.complete) missed.push(`${what}: the reduced search is not complete`);
    for (const outcome of all.outcomes)
      if (!reduced.outcomes.has(outcome)) missed.push(`${what}: ${outcome} is not reached`);
  };
  const all = model.big ? null : search(model, "all", null, most);
  if (all?.complete) {
    const reduced = search(model, "sleep", null, most);
    compare("all", all, reduced);
    for (const outcome of reduced.outcomes)
      if (!all.outcomes.has(outcome)) missed.push(`${outcome} is reached by the reduced search alone`);
  }
  for (const bound of bounds) {
    const enumerated = search(model, "all", bound, most);
    if (enumerated.complete) compare(`bound ${bound}`, enumerated, search(model, "bound", bound, most));
  }
  return { missed, said };
}
