// SPDX-License-Identifier: GPL-2.0-only
/** The search of one state: plans are run, what is found is told apart, explained, and made small. */
import { replay_schedule } from "../../../kernel/explore/replay.ts";
import { type Choice, execute, type Execution, KindwiseReplay } from "./execution.ts";
import { type Finding, findingsOf, keyOf, keyWithFaults } from "./finding.ts";
import { shrink, type Size, sizeOf } from "./shrink.ts";
import type { Mode } from "../explore/token.ts";
import type { RunnableKernel, ScenarioFor } from "../scenario.ts";
import { type Explained, explanationOf } from "./catalogue.ts";
import { type Plan, plans, type Quiet } from "./plans.ts";

/** A finding with the smallest run that shows it. */
export interface Found {
  readonly finding: Finding;
  readonly scenario: string;
  readonly mode: Mode;
  readonly choices: readonly Choice[];
  readonly size: Size;
  /** What explains it, be it in this state or in another one. */
  readonly explanation: string | null;
  /** Executions until it was found, and runs of the machine in all until it was small. */
  readonly executions: number;
  readonly seconds: number;
}

/** Runs that making one finding small may take: what is in a catalogue is to be read by people. */
const SHRINKING = { catalogued: 60, new: 16, race: 0, explained: 0 };

export interface HuntOptions {
  readonly state: string;
  readonly seed: number;
  /** Faults of the series or canaries: each is made as small as can be. */
  readonly catalogue: readonly Explained[];
  /** Everything else that is known. */
  readonly explained: readonly Explained[];
  /** Seconds since the search began; of the host, and only for telling. */
  readonly clock: () => number;
}

/** Whose accesses a run is about, as far as data races go. */
function membersOf({ result }: Execution): ReadonlySet<string> {
  return new Set([...findingsOf(result).values()].filter((f) => f.checker === "kcsan").map((f) => f.object));
}

export class Hunt<K extends RunnableKernel> {
  readonly #kernel: K;
  readonly #scenarios: readonly ScenarioFor<K>[];
  readonly #options: HuntOptions;
  readonly #quiets: Quiet[] = [];
  readonly #plans: Generator<Plan, never>;
  readonly #found = new Map<string, Found>();
  /** Keys of what needs no failure: it is no news when something else fails as well. */
  readonly #unaided = new Set<string>();
  /** How often each title came, without a look at the stacks. */
  readonly #titles = new Map<string, number>();
  executions = 0;
  runs = 0;
  /** What the tool itself could not deal with, by the scenario that it happened in. */
  readonly broken: string[] = [];

  constructor(kernel: K, scenarios: readonly ScenarioFor<K>[], options: HuntOptions) {
    this.#kernel = kernel;
    this.#scenarios = scenarios;
    this.#options = options;
    this.#plans = plans(scenarios.length, this.#quiets, options.seed);
  }

  get found(): readonly Found[] {
    return [...this.#found.values()];
  }

  /** One execution, and making small what it found. @return what is new */
  step(): readonly Found[] {
    const plan = this.#plans.next().value;
    const scenario = this.#scenarios[plan.scenario];
    if (!scenario) return [];
    this.executions++;
    let seen: Execution;
    try {
      seen = this.#run(scenario, plan);
    } catch (error) {
      // A scenario that throws is cut here and told; the search goes on.
      this.broken.push(`${scenario.id}: ${error instanceof Error ? error.message : String(error)}`);
      if (plan.why === "quiet") this.#quiets.push({ asked: 1, questions: [] });
      return [];
    }
    if (plan.why === "quiet") this.#quiets.push({ asked: seen.asked, questions: seen.questions });
    const fresh: Found[] = [];
    for (const [key, finding] of findingsOf(seen.result)) {
      if (this.#isKnown(key, finding)) continue;
      const found = this.#small(scenario, plan.mode, seen, finding);
      if (this.#isKnown(keyOf(found.finding), found.finding)) continue;
      this.#found.set(this.#nameOf(found.finding), found);
      if (found.finding.injected.length === 0) this.#unaided.add(keyOf(found.finding));
      fresh.push(found);
    }
    return fresh;
  }
  /** What is explained is told once for each explanation, whatever failed before; what is not, once for each failure. */
  #nameOf(finding: Finding): string {
    const { state, catalogue, explained } = this.#options;
    const known = explanationOf([catalogue, explained], finding, state);
    return known ? `${keyOf(finding)}\0${known.id}` : keyWithFaults(finding);
  }
  #isKnown(key: string, finding: Finding): boolean {
    return this.#unaided.has(key) || this.#found.has(this.#nameOf(finding));
  }

  /** Without stacks, which cost most of the time; with them when there may be something to tell. */
  #run(scenario: ScenarioFor<K>, plan: Plan): Execution {
    const { state } = this.#options;
    this.runs++;
    const listed = plan.why === "quiet" ? (["fault", "event"] as const) : [];
    const quick = execute(this.#kernel, scenario, state, plan.schedule, plan.mode, { stacks: false, listed });
    if (!this.#isNews(quick)) return { ...quick, result: { ...quick.result, reports: [], outcome: "done", log: [] } };
    this.runs++;
    const again = new replay_schedule(quick.choices);
    return execute(this.#kernel, scenario, state, again, plan.mode, { listed, kcsanStacksOf: membersOf(quick) });
  }
  /** The first time something comes, the second, the fourth, …: the same words may come from other places. */
  #isNews({ result }: Execution): boolean {
    let news = false;
    for (const [, finding] of findingsOf(result)) {
      const place = finding.injected.map((i) => i.stack.slice(0, 3).join("<")).join("|");
      const key = `${finding.checker} ${finding.title} ${finding.object} ${place}`;
      const times = (this.#titles.get(key) ?? 0) + 1;
      this.#titles.set(key, times);
      if ((times & (times - 1)) === 0) news = true;
    }
    return news;
  }

  #shrinking(finding: Finding, known: Explained | null): number {
    if (known && this.#options.catalogue.includes(known)) return SHRINKING.catalogued;
    // Races come in nearly every schedule, the quiet one included, and looking for them takes long.
    if (finding.checker === "kcsan") return SHRINKING.race;
    return known ? SHRINKING.explained : SHRINKING.new;
  }
  #small(scenario: ScenarioFor<K>, mode: Mode, seen: Execution, finding: Finding): Found {
    const { state, catalogue, explained, clock } = this.#options;
    const key = keyOf(finding);
    const seconds = clock();
    let best: { finding: Finding; choices: readonly Choice[] } = { finding, choices: seen.choices };
    const known = explanationOf([catalogue, explained], finding, state);
    const runs = this.#shrinking(finding, known);
    const kcsanStacksOf = new Set([finding.object]);
    const again = (choices: readonly Choice[]): readonly Choice[] | null => {
      this.runs++;
      const run = execute(this.#kernel, scenario, state, new KindwiseReplay(choices), mode, { kcsanStacksOf });
      const same = findingsOf(run.result).get(key);
      if (!same) return null;
      best = { finding: same, choices: run.choices };
      return run.choices;
    };
    const choices = shrink(seen.choices, again, runs);
    if (best.choices !== choices) again(choices);
    return {
      finding: best.finding,
      scenario: scenario.id,
      mode,
      choices: best.choices,
      size: sizeOf(best.choices),
      explanation: explanationOf([catalogue, explained], best.finding, state)?.id ?? null,
      executions: this.executions,
      seconds,
    };
  }
}
