// SPDX-License-Identifier: GPL-2.0-only
/** Executions of a scenario, each under a schedule, and what the explorer keeps of them. */
import { type decision, replay_schedule } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule, step_watcher } from "../../../kernel/sched/decide.ts";
import {
  type Outcome,
  type Report,
  type RunnableKernel,
  type RunResult,
  runScenario,
  type ScenarioFor,
} from "../scenario.ts";
import type { Choice } from "../bugs/execution.ts";
import { type Finding, findingsOf, keyOf } from "../bugs/finding.ts";

/** What the executions are of. */
export interface Subject<K> {
  readonly kernel: K;
  readonly scenario: ScenarioFor<K>;
  readonly state: string;
  /** Data races and unordered frees count as findings. */
  readonly kcsan: boolean;
  /** Failures, signals and events that the schedule may choose in one run. */
  readonly faults: number;
  /** Steps of the machine after which a run is cut. */
  readonly maxSteps: number;
}

export const MAX_STEPS = 200_000;

/** Plain data: it can come from another thread. */
export interface Executed {
  /** "cut": the search saw that the rest of the run is one that it has had. "threw": the scenario or the kernel under it did. */
  readonly end: Outcome | "cut" | "threw";
  /** The first report of each finding; without those that were known. */
  readonly reports: ReadonlyMap<string, Finding>;
  /** What was decided otherwise than the quiet way. */
  readonly decisions: readonly Choice[];
  readonly asked: number;
  /** Questions about what may fail or happen, which the budget of faults is for. */
  readonly faultQuestions: number;
}

/** What counts as a fault: what the machine or somebody outside does to the code, rather than who goes on. */
export const FAULTS: readonly decision_kind[] = ["fault", "signal", "event", "timer"];

/** Writes down what was decided otherwise than the quiet way. */
class Recorder implements schedule {
  readonly choices: Choice[] = [];
  asked = 0;
  readonly #counts = new Map<decision_kind, number>();
  readonly #inner: schedule;
  constructor(inner: schedule) {
    this.#inner = inner;
  }
  get watcher(): step_watcher | undefined {
    return this.#inner.watcher;
  }
  get interferes(): boolean {
    return this.#inner.interferes;
  }
  /** Questions of these kinds. */
  count(kinds: readonly decision_kind[]): number {
    return kinds.reduce((sum, kind) => sum + (this.#counts.get(kind) ?? 0), 0);
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const choice = this.#inner.decide(kind, n, label);
    const nth = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, nth + 1);
    if (choice !== 0) this.choices.push({ at: this.asked, choice, kind, nth });
    this.asked += 1;
    return choice;
  }
}

/** Thrown by a schedule that has seen enough. */
function isCut(error: unknown): boolean {
  return error instanceof Error && error.name === "run_cut";
}

function thrown(error: unknown): Report {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { checker: "throws", title: error instanceof Error ? `${error.name}: ${error.message}` : text, text };
}

/** Runs once, with the stacks that reports show. What the scenario throws is a finding; so is an end without a report. */
export function execute<K extends RunnableKernel>(subject: Subject<K>, inner: schedule, stacks = true): Executed {
  const { kernel, scenario, state, kcsan, faults, maxSteps } = subject;
  const seen = new Recorder(inner);
  const how = { state, schedule: seen, kcsan, faults, outside: faults > 0, maxSteps, stacks };
  let end: Executed["end"] = "cut";
  let reports: ReadonlyMap<string, Finding>;
  try {
    const result = runScenario(kernel, scenario, how);
    end = result.outcome;
    reports = findingsOf(result);
  } catch (error) {
    // What was found up to there is found.
    if (!isCut(error)) end = "threw";
    reports = findingsOf({
      ...NOTHING,
      reports: isCut(error)
        ? kernel.found().map(({ checker, title, text }) => ({ checker, title, text }))
        : [thrown(error)],
    });
  }
  return {
    end,
    reports,
    decisions: seen.choices,
    asked: seen.asked,
    faultQuestions: seen.count(FAULTS),
  };
}
const NOTHING: RunResult = {
  outcome: "done",
  reports: [],
  log: [],
  events: [],
  results: {},
  processes: [],
  injected: [],
};

/** What can be said of a report whose stacks are missing: of a data race, which member, and who did what. */
function roughKey(report: Finding): string {
  if (report.checker !== "kcsan") return keyOf(report);
  const lines = report.text.split("\n").filter((line) => /^(BUG|member:|read|write|free)/.test(line));
  return lines.map((line) => line.replace(/0x[0-9a-f]+| on cpu \d+/g, "")).join("\n");
}

/**
 * Executes one schedule after the other. Keeping stacks costs more than the rest of a run and few runs say anything new, so each is
 * made without, and made again with them if something in it was not seen before.
 */
export class Executor<K extends RunnableKernel> {
  readonly #subject: Subject<K>;
  readonly #known = new Set<string>();
  constructor(subject: Subject<K>) {
    this.#subject = subject;
  }
  /** @return the reports that are new to this executor, and the rest */
  run(inner: schedule): Executed {
    const seen = execute(this.#subject, inner, false);
    const fresh = [...seen.reports.values()].map(roughKey).filter((key) => !this.#known.has(key));
    if (fresh.length === 0) return { ...seen, reports: new Map() };
    for (const key of fresh) this.#known.add(key);
    if (this.#subject.kernel.stacks_missed?.() !== true) return seen;
    const whole = this.again(seen.decisions);
    return { ...seen, reports: whole.reports };
  }
  /** The same again, with stacks. */
  again(decisions: readonly decision[]): Executed {
    return execute(this.#subject, new replay_schedule(decisions));
  }
}
