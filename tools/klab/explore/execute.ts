// SPDX-License-Identifier: GPL-2.0-only
/** One execution of a scenario under a schedule, and what the explorer keeps of it. */
import { type decision, recording_schedule } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule, step_watcher } from "../../../kernel/sched/decide.ts";
import { type Outcome, type Report, type RunnableKernel, runScenario, type ScenarioFor } from "../scenario.ts";
import { keyOf } from "./finding.ts";

/** What an execution is of. */
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

export interface Executed {
  /** "cut": the search saw that the rest of the run is one that it has had. "threw": the scenario or the kernel under it did. */
  readonly end: Outcome | "cut" | "threw";
  /** The first report for each key. */
  readonly reports: ReadonlyMap<string, Report>;
  /** What was decided otherwise than the quiet way. */
  readonly decisions: readonly decision[];
  readonly counts: ReadonlyMap<decision_kind, number>;
  readonly asked: number;
  /** Questions about what may fail or happen, which the budget of faults is for. */
  readonly faultQuestions: number;
  /** What user space saw. */
  readonly results: Readonly<Record<string, unknown>>;
}

/** What counts as a fault: what the machine or somebody outside does to the code, rather than who goes on. */
export const FAULTS: readonly decision_kind[] = ["fault", "signal", "event", "timer"];

/** Counts what was decided otherwise than the quiet way. */
class Counting implements schedule {
  readonly counts = new Map<decision_kind, number>();
  faultQuestions = 0;
  readonly recording: recording_schedule;
  readonly watcher: step_watcher | undefined;
  constructor(inner: schedule) {
    this.recording = new recording_schedule(inner);
    this.watcher = inner.watcher;
  }
  get interferes(): boolean {
    return this.recording.interferes;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    if (FAULTS.includes(kind)) this.faultQuestions += 1;
    const choice = this.recording.decide(kind, n, label);
    if (choice !== 0) this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    return choice;
  }
}

/** Thrown by a schedule that has seen enough. */
function isCut(error: unknown): boolean {
  return error instanceof Error && error.name === "run_cut";
}

/** Runs once. What the scenario throws is a finding; so is an end without a report. */
export function execute<K extends RunnableKernel>(subject: Subject<K>, inner: schedule): Executed {
  const { kernel, scenario, state, kcsan, faults, maxSteps } = subject;
  const seen = new Counting(inner);
  const limited = { ...scenario, machine: { max_steps: maxSteps, ...scenario.machine, faults } };
  let end: Executed["end"] = "cut";
  let reports: readonly Report[] = [];
  let results: Readonly<Record<string, unknown>> = {};
  try {
    const run = runScenario(kernel, limited, { state, schedule: seen, kcsan });
    ({ outcome: end, reports, results } = run);
    if (reports.length === 0 && end !== "done") reports = [{ checker: "end", title: end, text: end }];
  } catch (error) {
    if (!isCut(error)) {
      end = "threw";
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const title = error instanceof Error ? `${error.name}: ${error.message}` : text;
      reports = [{ checker: "throws", title, text }];
    }
  }
  const byKey = new Map<string, Report>();
  for (const report of reports) if (!byKey.has(keyOf(report))) byKey.set(keyOf(report), report);
  const { decisions, asked } = seen.recording;
  const { counts, faultQuestions } = seen;
  return { end, reports: byKey, decisions, counts, asked, faultQuestions, results };
}
