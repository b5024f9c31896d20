// SPDX-License-Identifier: GPL-2.0-only
/** One execution of a scenario under a schedule, with everything written down that was decided. */
import type { decision } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule } from "../../../kernel/sched/decide.ts";
import { MAX_STEPS } from "../explore/execute.ts";
import type { Mode } from "../explore/token.ts";
import { type RunnableKernel, type RunOptions, type RunResult, runScenario, type ScenarioFor } from "../scenario.ts";

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
  readonly n: number;
  /** In words, where `labels` were asked for. */
  readonly label: string;
}

/** Puts each question to another schedule and writes down what came of it. Good for one run. */
class Recorder implements schedule {
  readonly interferes = true;
  readonly choices: Choice[] = [];
  readonly questions: Question[] = [];
  asked = 0;
  readonly #inner: schedule;
  readonly #listed: ReadonlySet<decision_kind>;
  readonly #counts = new Map<decision_kind, number>();
  constructor(inner: schedule, listed: ReadonlySet<decision_kind>) {
    this.#inner = inner;
    this.#listed = listed;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const choice = this.#inner.decide(kind, n, label);
    const nth = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, nth + 1);
    if (choice !== 0) this.choices.push({ at: this.asked, choice, kind, nth });
    if (this.#listed.has(kind)) this.questions.push({ at: this.asked, nth, kind, n, label: label(1) });
    this.asked++;
    return choice;
  }
}

export interface Execution {
  readonly result: RunResult;
  readonly choices: readonly Choice[];
  readonly questions: readonly Question[];
  readonly asked: number;
}

/** One run, whose reports may lack stacks. @listed: the kinds of questions to keep */
export function execute<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  state: string,
  inner: schedule,
  mode: Mode,
  how: Pick<RunOptions, "stacks" | "kcsanStacksOf"> & { readonly listed?: readonly decision_kind[] } = {},
): Execution {
  const seen = new Recorder(inner, new Set(how.listed ?? []));
  const result = runScenario(kernel, scenario, {
    state,
    schedule: seen,
    stacks: how.stacks ?? true,
    faults: mode.faults,
    outside: mode.outside === true,
    kcsan: mode.kcsan,
    maxSteps: MAX_STEPS,
    ...(how.kcsanStacksOf ? { kcsanStacksOf: how.kcsanStacksOf } : {}),
  });
  return { result, choices: seen.choices, questions: seen.questions, asked: seen.asked };
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
