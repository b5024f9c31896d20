// SPDX-License-Identifier: GPL-2.0-only
/** Searching the schedules of a scenario. */
import { dpor_search } from "../../../kernel/explore/dpor.ts";
import { type plan, type search, walks } from "../../../kernel/explore/strategy.ts";
import type { RunnableKernel, ScenarioFor } from "../scenario.ts";
import { alone, type Crew, type Done, Member, type Task } from "./crew.ts";
import { MAX_STEPS, type Subject } from "./execute.ts";
import type { Found } from "./finding.ts";
import { asFound, type Small } from "./shrink.ts";

export const STRATEGIES = ["dpor", "pct", "random"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface SearchOptions {
  readonly strategy: Strategy;
  /** dpor: preemptions up to which it searches, from 0 on; null: any number. Default 3. */
  readonly preemptions?: number | null;
  /** Failures, signals and events in one run. Default 0. */
  readonly faults?: number;
  /** Default 1. */
  readonly seed?: number;
  /** One part of a fleet that explores the same. */
  readonly shard?: { readonly index: number; readonly of: number };
}

export interface ExploreOptions extends SearchOptions {
  /** Name of the state, for messages. */
  readonly state: string;
  /** Executions at most, not counted those that make findings small. */
  readonly executions?: number;
  /** Seconds of the host at most. */
  readonly seconds?: number;
  /** Default true: data races and unordered frees count as findings. */
  readonly kcsan?: boolean;
  /** Steps of the machine after which one run is cut and reported as endless. */
  readonly maxSteps?: number;
  /** Stop at the first finding that this says yes to. */
  readonly enough?: (found: Found) => boolean;
  readonly onFound?: (found: Found) => void;
}

/** Why it ended. */
export type Why = "done" | "executions" | "time" | "stopped" | "enough";

export interface ExploreResult {
  readonly executions: number;
  /** With those that made findings small. */
  readonly runs: number;
  /** Every schedule within the bound that was asked for was executed or is equivalent to one that was; none was cut at a limit. */
  readonly complete: boolean;
  /** Preemptions up to which everything was had; null if not even those without any, or if there is no bound because everything was. */
  readonly bound: number | null;
  /** Estimated share of all there is within the bound; null if nothing can be said. */
  readonly covered: number | null;
  /** Executions that were cut at the limit of steps. */
  readonly cut: number;
  readonly perSecond: number;
  readonly why: Why;
  readonly findings: readonly Found[];
}

const PREEMPTIONS = 3;

export function searchFor({ strategy, preemptions = PREEMPTIONS, faults = 0, seed = 1, shard }: SearchOptions): search {
  if (strategy === "dpor") return new dpor_search({ preemptions, ...(shard && { shard }) });
  return new walks(strategy, seed, faults, shard);
}

/** What all this is of. */
export function subjectOf<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  { state, kcsan = true, faults = 0, maxSteps = MAX_STEPS }: ExploreOptions,
): Subject<K> {
  return { kernel, scenario, state, kcsan, faults, maxSteps };
}

/** What was learned so far. */
class Book {
  readonly #search: search;
  readonly #start = performance.now();
  readonly found = new Map<string, Found>();
  readonly #known = new Set<string>();
  executions = 0;
  runs = 0;
  cut = 0;
  why: Why = "done";
  constructor(of: search) {
    this.#search = of;
  }
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }
  /** @return keys of what is new */
  learn(done: plan, { seen, learned }: Done): string[] {
    this.executions += 1;
    this.runs += 1;
    if (seen.end === "endless" || seen.end === "threw") this.cut += 1;
    this.#search.learn(done, { asked: seen.asked, fault_questions: seen.faultQuestions, dpor: learned });
    const fresh = [...seen.reports.keys()].filter((key) => !this.#known.has(key));
    for (const key of fresh) this.#known.add(key);
    return fresh;
  }
  keep(key: string, small: Small, executions: number): Found {
    const found = { ...small.found, executions };
    this.runs += small.runs;
    this.found.set(key, found);
    return found;
  }
  result(): ExploreResult {
    const { exhausted, bound, covered } = this.#search;
    const { executions, runs, cut, why } = this;
    const perSecond = Math.round((runs / this.seconds) * 10) / 10;
    const finished = exhausted && why === "done";
    return {
      executions,
      runs,
      cut,
      why,
      perSecond,
      complete: finished && cut === 0,
      bound: bound === Infinity ? null : bound,
      covered: finished ? 1 : covered,
      findings: [...this.found.values()],
    };
  }
}

/** Explores, a bit at each step(), in this thread. */
export class Explorer<K extends RunnableKernel> {
  readonly #member: Member<K>;
  readonly #search: search;
  readonly #book: Book;

  constructor(kernel: K, scenario: ScenarioFor<K>, options: ExploreOptions) {
    this.#member = new Member(subjectOf(kernel, scenario, options));
    this.#search = searchFor(options);
    this.#book = new Book(this.#search);
  }
  get found(): readonly Found[] {
    return [...this.#book.found.values()];
  }
  get executions(): number {
    return this.#book.executions;
  }
  get runs(): number {
    return this.#book.runs;
  }
  get exhausted(): boolean {
    return this.#search.exhausted;
  }
  /** One execution. @return what is new, made small */
  step(): readonly Found[] {
    const next = this.#search.next();
    if (!next) return [];
    const done = this.#member.execute(next);
    const fresh = this.#book.learn(next, done);
    const { executions } = this.#book;
    return fresh.map((key) => this.#book.keep(key, this.#member.shrink(key, done.seen.decisions), executions));
  }
  result(why: Why): ExploreResult {
    this.#book.why = why;
    return this.#book.result();
  }
}

/** Explores in this thread until it is done or a limit is reached. */
export function explore<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  options: ExploreOptions,
): ExploreResult {
  const explorer = new Explorer(kernel, scenario, options);
  const end = performance.now() + (options.seconds ?? Infinity) * 1000;
  while (!explorer.exhausted) {
    if (explorer.executions >= (options.executions ?? Infinity)) return explorer.result("executions");
    if (performance.now() > end) return explorer.result("time");
    for (const found of explorer.step()) {
      options.onFound?.(found);
      if (options.enough?.(found)) return explorer.result("enough");
    }
  }
  return explorer.result("done");
}

export interface CrewOptions extends SearchOptions {
  readonly executions?: number;
  readonly seconds?: number;
  readonly stopped: () => boolean;
  readonly onFound: (found: Found) => void;
  /** After each execution. @working_on: preemptions up to which is searched now */
  readonly onStep: (executions: number, found: number, covered: number | null) => void;
}

/**
 * Explores with a crew. Executions are learned from in the order in which they were given out, whoever was faster.
 * @helpers: more hands, for when it takes longer than `helpAfter` seconds
 */
export async function exploreWith(
  first: Subject<RunnableKernel>,
  helpers: () => Crew | null,
  options: CrewOptions,
  helpAfter = HELP_AFTER,
): Promise<ExploreResult> {
  const search = searchFor(options);
  const book = new Book(search);
  const crews: Crew[] = [alone(first)];
  const underWay = new Map<Promise<void>, Crew>();
  const done = new Map<number, { plan: plan; done: Done }>();
  const ended: { error: unknown }[] = [];
  let [given, learned] = [0, 0];

  const start = (crew: Crew, task: Task, then: (result: Done | Small) => void): void => {
    const work = crew.do(task).then(then, (error: unknown) => void ended.push({ error }));
    const tracked: Promise<void> = work.finally(() => underWay.delete(tracked));
    underWay.set(tracked, crew);
  };
  const free = (): Crew | undefined =>
    crews.find((crew) => [...underWay.values()].filter((c) => c === crew).length < crew.width);
  const limit = (): Why | null => {
    if (options.stopped()) return "stopped";
    if (book.seconds > (options.seconds ?? Infinity)) return "time";
    return given >= (options.executions ?? Infinity) ? "executions" : null;
  };
  const small: { key: string; nth: number; seen: Done["seen"] }[] = [];

  try {
    for (;;) {
      const why = limit();
      if (why !== null) book.why = why;
      for (let crew = free(); crew; crew = free()) {
        const fresh = small.shift();
        if (fresh) {
          const { key, nth, seen } = fresh;
          const keep = (result: Done | Small): void => {
            if ("found" in result) options.onFound(book.keep(key, result, nth));
          };
          // Who wants to stop does not want to wait for it.
          if (why === "stopped") keep(asFound(key, seen));
          else start(crew, { kind: "shrink", key, decisions: seen.decisions }, keep);
          continue;
        }
        const plan = why === null ? search.next() : null;
        if (!plan) break;
        given++;
        start(crew, { kind: "execute", plan }, (result) => {
          if ("seen" in result) done.set(plan.nth, { plan, done: result });
        });
      }
      if (underWay.size === 0) break;
      await Promise.race(underWay.keys());
      const [failure] = ended;
      if (failure) throw failure.error;
      for (let next = done.get(learned); next; next = done.get(learned)) {
        done.delete(learned++);
        for (const key of book.learn(next.plan, next.done))
          small.push({ key, nth: book.executions, seen: next.done.seen });
        options.onStep(book.executions, book.found.size, search.covered);
      }
      if (crews.length === 1 && book.seconds > helpAfter) {
        const more = helpers();
        crews.push(more ?? NOBODY);
      }
    }
  } finally {
    await Promise.all(crews.map((crew) => crew.close()));
  }
  const result = book.result();
  const byExecution = [...result.findings].sort((a, b) => a.executions - b.executions || (a.title < b.title ? -1 : 1));
  return { ...result, findings: byExecution };
}
/** Seconds after which more threads are worth what it takes to start them. */
const HELP_AFTER = 1;
const NOBODY: Crew = {
  width: 0,
  do: () => Promise.reject(new Error("nobody is there")),
  close: async () => {},
};
