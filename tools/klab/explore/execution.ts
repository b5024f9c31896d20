// SPDX-License-Identifier: GPL-2.0-only
/** One execution of a scenario under a schedule, and what a search keeps of it. */
import type { decision } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule, step_watcher } from "../../../kernel/sched/decide.ts";
import { ROOT } from "../paths.ts";
import {
  type Outcome,
  type Report,
  type RunnableKernel,
  type RunResult,
  runScenario,
  type ScenarioFor,
} from "../scenario.ts";
import { type Finding, findingsOf } from "./finding.ts";
import type { FlightRecorder } from "./flight.ts";
import type { Mode } from "./token.ts";

/** What the executions are of. */
export interface Subject<K> {
  readonly kernel: K;
  readonly scenario: ScenarioFor<K>;
  /** Its name, for the scenario's messages. */
  readonly state: string;
  readonly mode: Mode;
  /** Steps of the machine after which a run is cut. */
  readonly maxSteps: number;
}
export const MAX_STEPS = 200_000;

/** A decision that was not the quiet one. */
export interface Choice extends decision {
  readonly kind: decision_kind;
  /** The `nth` question of its kind, counted from 0: what stays when something of another kind is left out. */
  readonly nth: number;
}
/** A question that was put, quietly answered or not. */
export interface Question {
  readonly at: number;
  readonly nth: number;
  readonly kind: decision_kind;
  /** What the answers from 1 on are, in words. */
  readonly labels: readonly string[];
}

/** What counts as a fault: what the machine or somebody outside does to the code, rather than who goes on. */
export const FAULTS: readonly decision_kind[] = ["fault", "signal", "event", "timer"];

/** Plain data: it can come from another thread. */
export interface Execution {
  /**
   * "cut": the search saw that the rest of the run is one that it has had. "threw": the scenario or the kernel under it did.
   * "lost": the thread that it ran in came to nothing (crew.ts).
   */
  readonly end: Outcome | "cut" | "threw" | "lost";
  /** The first report of each finding. */
  readonly reports: ReadonlyMap<string, Finding>;
  /** No report lacks a stack. */
  readonly whole: boolean;
  readonly decisions: readonly Choice[];
  /** Of the kinds that were asked for. */
  readonly questions: readonly Question[];
  readonly asked: number;
  /** Questions about what may fail or happen, which the budget of faults is for. */
  readonly faultQuestions: number;
}

/** Puts each question to another schedule and writes down what came of it. Good for one run. */
class Recorder implements schedule {
  readonly choices: Choice[] = [];
  readonly questions: Question[] = [];
  asked = 0;
  readonly #inner: schedule;
  readonly #listed: readonly decision_kind[];
  readonly #flight: FlightRecorder | undefined;
  readonly #counts = new Map<decision_kind, number>();
  constructor(inner: schedule, listed: readonly decision_kind[], flight: FlightRecorder | undefined) {
    this.#inner = inner;
    this.#listed = listed;
    this.#flight = flight;
    flight?.restart();
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
    if (choice !== 0) {
      const made = { at: this.asked, choice, kind, nth };
      this.choices.push(made);
      this.#flight?.add(made);
    }
    if (this.#listed.includes(kind)) {
      const labels = Array.from({ length: n - 1 }, (_, i) => label(i + 1));
      this.questions.push({ at: this.asked, nth, kind, labels });
    }
    this.asked++;
    return choice;
  }
}

/** Thrown by a schedule that has seen enough. */
function isCut(error: unknown): boolean {
  return error instanceof Error && error.name === "run_cut";
}
/** What a run had come to when something was thrown out of it. */
export function thrownOut<K extends RunnableKernel>(kernel: K, error: unknown): Omit<RunResult, "outcome"> {
  // What was found up to there is found.
  const found = kernel.found().map(({ checker, title, text }) => ({ checker, title, text }));
  return {
    reports: isCut(error) ? found : [...found, thrown(error)],
    log: kernel.log().map(({ level, ns, text }) => ({ level, ns, text })),
    events: [],
    results: {},
    processes: [],
    injected: (kernel.fault_injections?.() ?? []).map(({ what, place, stack }) => ({ what, place, stack })),
  };
}
/** With the stack as far as it is the scenario's and the kernel's: whoever runs it is no part of what is found. */
function thrown(error: unknown): Report {
  if (!(error instanceof Error)) return { checker: "throws", title: String(error), text: String(error) };
  const lines = (error.stack ?? error.message).replaceAll("file://", "").replaceAll(`${ROOT}/`, "").split("\n");
  const ours = lines.findIndex((line) => /^ +at .*\btools\/klab\//.test(line));
  const text = (ours < 0 ? lines : lines.slice(0, ours)).join("\n");
  return { checker: "throws", title: `${error.name}: ${error.message}`, text };
}

export interface How {
  /** Default true: with all stacks that reports show. */
  readonly stacks?: boolean;
  /** Keep stacks of accesses to these members only, named as the reports name them. */
  readonly kcsanStacksOf?: ReadonlySet<string>;
  /** Kinds of questions to keep. */
  readonly listed?: readonly decision_kind[];
  readonly flight?: FlightRecorder | undefined;
}

/** One run. What the scenario throws is a finding; so is an end without a report. */
export function execute<K extends RunnableKernel>(subject: Subject<K>, inner: schedule, how: How = {}): Execution {
  const { kernel, scenario, state, mode, maxSteps } = subject;
  const { stacks = true, kcsanStacksOf, listed = [], flight } = how;
  const seen = new Recorder(inner, listed, flight);
  let end: Execution["end"];
  let reports: ReadonlyMap<string, Finding>;
  try {
    const result = runScenario(kernel, scenario, {
      state,
      schedule: seen,
      stacks,
      kcsan: mode.kcsan,
      faults: mode.faults,
      outside: mode.outside === true,
      maxSteps,
      ...(kcsanStacksOf && { kcsanStacksOf }),
    });
    end = result.outcome;
    reports = findingsOf(result, `cut after ${maxSteps} steps, or ten times as many things done in them`);
  } catch (error) {
    end = isCut(error) ? "cut" : "threw";
    reports = findingsOf({ ...thrownOut(kernel, error), outcome: "done", log: [] });
  }
  return {
    end,
    reports,
    whole: stacks && !kcsanStacksOf ? true : kernel.stacks_missed?.() !== true,
    decisions: seen.choices,
    questions: seen.questions,
    asked: seen.asked,
    faultQuestions: seen.count(FAULTS),
  };
}

/** Decides as written down, each kind of question counted by itself; quietly everywhere else. Good for one run. */
export class KindwiseReplay implements schedule {
  readonly interferes = true;
  readonly #choices = new Map<string, number>();
  readonly #counts = new Map<decision_kind, number>();
  constructor(choices: readonly Pick<Choice, "kind" | "nth" | "choice">[]) {
    for (const { kind, nth, choice } of choices) this.#choices.set(`${kind} ${nth}`, choice);
  }
  decide(kind: decision_kind, n: number): number {
    const nth = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, nth + 1);
    const choice = this.#choices.get(`${kind} ${nth}`) ?? 0;
    return choice < n ? choice : 0;
  }
}
