// SPDX-License-Identifier: GPL-2.0-only
/** Random walks over the schedules of a scenario, and making what they find small. */
import { pct_schedule } from "../../../kernel/explore/pct.ts";
import { prng, random_schedule } from "../../../kernel/explore/random.ts";
import { type decision, recording_schedule, replay_schedule } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule } from "../../../kernel/sched/decide.ts";
import { type Report, type RunnableKernel, runScenario, type ScenarioFor } from "../scenario.ts";

export const STRATEGIES = ["random", "pct"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface Found {
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  readonly decisions: readonly decision[];
  /** Decisions of the shrunk run by what they are about. */
  readonly switches: number;
  readonly faults: number;
  /** Executions until it was found. */
  readonly executions: number;
}

/** Points of change of a PCT run, and one more. */
const DEPTH = 3;
/** Executions that making one finding small may take. */
const SHRINKING = 200;

/** Counts what was decided otherwise than the quiet way. */
class Counting implements schedule {
  readonly counts = new Map<decision_kind, number>();
  readonly recording: recording_schedule;
  constructor(inner: schedule) {
    this.recording = new recording_schedule(inner);
  }
  get interferes(): boolean {
    return this.recording.interferes;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const choice = this.recording.decide(kind, n, label);
    if (choice !== 0) this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    return choice;
  }
}

/** The innermost function of a report, where its title does not say it. */
function placeOf(report: Report): string {
  return /Call Trace:\n(?: <\w+>\n)* (\S+)/.exec(report.text)?.[1] ?? "";
}
function keyOf(report: Report): string {
  return `${report.checker}\0${report.title}\0${placeOf(report)}`;
}

export class Walk<K extends RunnableKernel> {
  readonly #kernel: K;
  readonly #scenario: ScenarioFor<K>;
  readonly #state: string;
  readonly #strategy: Strategy;
  readonly #seeds: prng;
  readonly #found = new Map<string, Found>();
  /** Walks done; shrinking does not count. */
  executions = 0;
  /** All runs of the machine. */
  runs = 0;
  #length = 0;

  constructor(kernel: K, scenario: ScenarioFor<K>, state: string, strategy: Strategy, seed: number) {
    this.#kernel = kernel;
    this.#scenario = scenario;
    this.#state = state;
    this.#strategy = strategy;
    this.#seeds = new prng(seed);
  }

  get found(): readonly Found[] {
    return [...this.#found.values()];
  }

  /** Runs once. @return the reports by key; an end without a report counts as one */
  #run(inner: schedule): { reports: Map<string, Report>; seen: Counting } {
    const seen = new Counting(inner);
    this.runs += 1;
    const { reports, outcome } = runScenario(this.#kernel, this.#scenario, { state: this.#state, schedule: seen });
    const all =
      reports.length > 0 || outcome === "done" ? reports : [{ checker: "end", title: outcome, text: outcome }];
    const byKey = new Map<string, Report>();
    for (const report of all) if (!byKey.has(keyOf(report))) byKey.set(keyOf(report), report);
    return { reports: byKey, seen };
  }

  /** One walk; the first is the quiet run. @return what is new */
  step(): readonly Found[] {
    const seed = this.#seeds.below(0x1_0000_0000);
    const inner =
      this.executions === 0
        ? new replay_schedule([])
        : this.#strategy === "random"
          ? random_schedule(seed)
          : pct_schedule(seed, DEPTH, this.#length);
    const { reports, seen } = this.#run(inner);
    if (this.executions === 0) this.#length = seen.recording.asked;
    this.executions += 1;
    const fresh: Found[] = [];
    for (const [key, report] of reports) {
      if (this.#found.has(key)) continue;
      const found = { ...this.#shrink(key, report, seen), executions: this.executions };
      this.#found.set(key, found);
      fresh.push(found);
    }
    return fresh;
  }

  /** Leaves out decisions, halves first and then one by one, for as long as the finding stays. */
  #shrink(key: string, report: Report, seen: Counting): Omit<Found, "executions"> {
    let [best, told] = [seen, report];
    let left = SHRINKING;
    for (
      let size = Math.ceil(best.recording.decisions.length / 2);
      size >= 1;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < best.recording.decisions.length && left > 0; left--) {
        const { decisions } = best.recording;
        const fewer = [...decisions.slice(0, at), ...decisions.slice(at + size)];
        const again = this.#run(new replay_schedule(fewer));
        const still = again.reports.get(key);
        // A decision that did not fit any more has fallen out by itself.
        if (still && again.seen.recording.decisions.length < decisions.length) [best, told] = [again.seen, still];
        else at += size;
      }
    }
    const { checker, title, text } = told;
    const count = (kind: decision_kind): number => best.counts.get(kind) ?? 0;
    return {
      checker,
      title,
      text,
      decisions: best.recording.decisions,
      switches: count("switch"),
      faults: count("fault"),
    };
  }
}
