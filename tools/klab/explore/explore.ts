// SPDX-License-Identifier: GPL-2.0-only
/** Searching the schedules of a scenario, in this thread. */
import { dpor_search } from "../../../kernel/explore/dpor.ts";
import { type plan, prepare, type search, walks } from "../../../kernel/explore/strategy.ts";
import type { RunnableKernel, ScenarioFor } from "../scenario.ts";
import { execute, type Executed, MAX_STEPS, type Subject } from "./execute.ts";
import type { Found } from "./finding.ts";
import { shrink } from "./shrink.ts";

export const STRATEGIES = ["dpor", "pct", "random"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface ExploreOptions {
  /** Name of the state, for messages. */
  readonly state: string;
  readonly strategy: Strategy;
  /** dpor: preemptions up to which it searches, from 0 on; null: any number. Default 3. */
  readonly preemptions?: number | null;
  /** Failures, signals and events in one run. Default 0. */
  readonly faults?: number;
  /** Executions at most, not counted those that make findings small. */
  readonly executions?: number;
  /** Seconds of the host at most. */
  readonly seconds?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Default true: data races and unordered frees count as findings. */
  readonly kcsan?: boolean;
  /** Steps of the machine after which one run is cut and reported as endless. */
  readonly maxSteps?: number;
  /** Stop at the first finding that this says yes to. */
  readonly enough?: (found: Found) => boolean;
  readonly onFound?: (found: Found) => void;
}

export interface ExploreResult {
  readonly executions: number;
  /** With those that made findings small. */
  readonly runs: number;
  /** Every schedule within `bound` was executed or is equivalent to one that was. */
  readonly complete: boolean;
  /** Preemptions up to which the search is complete; null if it has no bound, or is complete at none. */
  readonly bound: number | null;
  readonly perSecond: number;
  readonly findings: readonly Found[];
}

const PREEMPTIONS = 3;

function searchFor(options: ExploreOptions): search {
  const { strategy, preemptions = PREEMPTIONS, faults = 0, seed = 1 } = options;
  return strategy === "dpor" ? new dpor_search({ preemptions }) : new walks(strategy, seed, faults);
}

/** Collects findings, in the order of the executions, each once and small. */
export class Findings<K extends RunnableKernel> {
  readonly #subject: Subject<K>;
  readonly #found = new Map<string, Found>();
  /** Executions that making findings small took. */
  runs = 0;
  constructor(subject: Subject<K>) {
    this.#subject = subject;
  }
  get all(): readonly Found[] {
    return [...this.#found.values()];
  }
  /** @nth: of the execution, from 1 on. @return what is new */
  add(seen: Executed, nth: number): readonly Found[] {
    const fresh: Found[] = [];
    for (const key of seen.reports.keys()) {
      if (this.#found.has(key)) continue;
      const small = shrink(key, seen, (schedule) => {
        this.runs += 1;
        return execute(this.#subject, schedule);
      });
      const found = { ...small, executions: nth };
      this.#found.set(key, found);
      fresh.push(found);
    }
    return fresh;
  }
}

/** Explores, a bit at each next(), so that a caller can look at the clock and listen for Ctrl-C in between. */
export class Explorer<K extends RunnableKernel> {
  readonly #subject: Subject<K>;
  readonly #search: search;
  readonly #findings: Findings<K>;
  executions = 0;

  constructor(kernel: K, scenario: ScenarioFor<K>, options: ExploreOptions) {
    this.#subject = {
      kernel,
      scenario,
      state: options.state,
      kcsan: options.kcsan ?? true,
      faults: options.faults ?? 0,
      maxSteps: options.maxSteps ?? MAX_STEPS,
    };
    this.#search = searchFor(options);
    this.#findings = new Findings(this.#subject);
  }
  get found(): readonly Found[] {
    return this.#findings.all;
  }
  get runs(): number {
    return this.executions + this.#findings.runs;
  }
  get exhausted(): boolean {
    return this.#search.exhausted;
  }
  /** One execution. @return what is new */
  step(): readonly Found[] {
    const next: plan | null = this.#search.next();
    if (!next) return [];
    const { schedule, learned } = prepare(next);
    const seen = execute(this.#subject, schedule);
    this.executions += 1;
    const { asked, faultQuestions, decisions } = seen;
    this.#search.learn(next, { asked, fault_questions: faultQuestions, dpor: learned(decisions) });
    return this.#findings.add(seen, this.executions);
  }
}

/** Explores until it is done or a limit is reached. */
export function explore<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  options: ExploreOptions,
): ExploreResult {
  const explorer = new Explorer(kernel, scenario, options);
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  search: while (!explorer.exhausted && explorer.executions < (options.executions ?? Infinity)) {
    if (elapsed() > (options.seconds ?? Infinity)) break;
    for (const found of explorer.step()) {
      options.onFound?.(found);
      if (options.enough?.(found)) break search;
    }
  }
  return {
    executions: explorer.executions,
    runs: explorer.runs,
    complete: explorer.exhausted,
    bound: null,
    perSecond: Math.round((explorer.runs / elapsed()) * 10) / 10,
    findings: explorer.found,
  };
}
