// SPDX-License-Identifier: GPL-2.0-only
/** Searching the schedules of a scenario. */
import { type dpor_execution, dpor_search } from "../../../kernel/explore/dpor.ts";
import { type search, walks } from "../../../kernel/explore/strategy.ts";
import { alone, type Crew, type SubjectName } from "./crew.ts";
import { drive, type DriveOptions, type Driven, type Job, type Searching } from "./drive.ts";
import type { Execution, Subject } from "./execution.ts";
import { keyOf } from "./finding.ts";
import type { RunnableKernel } from "../scenario.ts";

export const STRATEGIES = ["dpor", "pct", "random"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface SearchOptions {
  readonly strategy: Strategy;
  /** dpor: preemptions up to which it searches, from 0 on; null: any number. Default 3. */
  readonly preemptions?: number | null;
  /** Default 1. */
  readonly seed?: number;
  /** One part of a fleet that explores the same. */
  readonly shard?: { readonly index: number; readonly of: number } | undefined;
}

export interface ExploreOptions extends SearchOptions, Omit<DriveOptions, "smallFirst" | "onStep"> {
  /** After each execution. @covered: estimated share of what there is; null if nothing can be said */
  readonly onStep?: (executions: number, found: number, covered: number | null) => void;
}

export interface ExploreResult extends Driven {
  /** Every schedule within the bound that was asked for was executed or is equivalent to one that was; none was cut at a limit. */
  readonly complete: boolean;
  /** Preemptions up to which everything was had; null if not even those without any, or if there is no bound because everything was. */
  readonly bound: number | null;
  /** Estimated share of all there is within the bound; null if nothing can be said. */
  readonly covered: number | null;
  readonly perSecond: number;
}

const PREEMPTIONS = 3;
/** Runs that making one finding small may take. */
const SHRINKING = 200;

/** @faults: failures, signals and events that one run may have */
export function searchFor({ strategy, preemptions = PREEMPTIONS, seed = 1, shard }: SearchOptions, faults = 0): search {
  if (strategy === "dpor") return new dpor_search({ preemptions, ...(shard && { shard }) });
  return new walks(strategy, seed, faults, shard);
}

/** All executions are of one scenario. */
class OneScenario implements Searching {
  readonly #of: SubjectName;
  readonly #search: search;
  constructor(of: SubjectName, inner: search) {
    this.#of = of;
    this.#search = inner;
  }
  next(): Job | null {
    const plan = this.#search.next();
    return plan && { of: this.#of, plan, listed: [] };
  }
  learn({ plan }: Job, { asked, faultQuestions }: Execution, learned: dpor_execution | undefined): void {
    this.#search.learn(plan, { asked, fault_questions: faultQuestions, dpor: learned });
  }
  readonly nameOf = keyOf;
  shrinking(): number {
    return SHRINKING;
  }
}

export async function exploreWith(crew: Crew, of: SubjectName, options: ExploreOptions): Promise<ExploreResult> {
  const search = searchFor(options, of.mode.faults);
  const { onStep, ...limits } = options;
  const driven = await drive(crew, new OneScenario(of, search), {
    ...limits,
    smallFirst: true,
    onStep: (executions, found) => onStep?.(executions, found, search.covered),
  });
  const { exhausted, bound, covered } = search;
  return {
    ...driven,
    why: exhausted ? "done" : driven.why,
    complete: exhausted && driven.cut === 0,
    bound: bound === Infinity ? null : bound,
    covered: exhausted ? 1 : covered,
    perSecond: Math.round((driven.runs / (driven.seconds - driven.loading)) * 10) / 10,
  };
}

/** Explores in this thread. */
export function explore<K extends RunnableKernel>(
  subject: Subject<K>,
  options: ExploreOptions,
): Promise<ExploreResult> {
  const { state, scenario, mode, maxSteps } = subject;
  const of = { state: { name: state, dir: "" }, scenario: scenario.id, mode, maxSteps };
  return exploreWith(
    alone(() => Promise.resolve(subject)),
    of,
    options,
  );
}
