// SPDX-License-Identifier: GPL-2.0-only
/** Writing down what a schedule decided, and deciding the same again. Only what differs from the quiet way is kept. */
import type { decision_kind, schedule, step_watcher } from "../sched/decide.ts";

/** The `at`-th question of the run, counted from 0, was answered with `choice`, which is not 0. */
export interface decision {
  readonly at: number;
  readonly choice: number;
}

/** Asks another schedule and writes its answers down. Good for one run. */
export class recording_schedule implements schedule {
  readonly decisions: decision[] = [];
  /** Questions asked so far. */
  asked = 0;
  readonly #inner: schedule;
  constructor(inner: schedule) {
    this.#inner = inner;
  }
  get interferes(): boolean {
    return this.#inner.interferes;
  }
  get watcher(): step_watcher | undefined {
    return this.#inner.watcher;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const choice = this.#inner.decide(kind, n, label);
    if (choice !== 0) this.decisions.push({ at: this.asked, choice });
    this.asked++;
    return choice;
  }
}

/** Decides as written down, and the quiet way everywhere else. Good for one run. */
export class replay_schedule implements schedule {
  readonly interferes = true;
  /** A decision did not fit its question: this is not the run that was recorded, be it that the code has changed. */
  diverged = false;
  asked = 0;
  readonly #choices: ReadonlyMap<number, number>;
  constructor(decisions: readonly decision[]) {
    this.#choices = new Map(decisions.map((d) => [d.at, d.choice]));
  }
  decide(_kind: decision_kind, n: number): number {
    const choice = this.#choices.get(this.asked++) ?? 0;
    if (choice < n) return choice;
    this.diverged = true;
    return 0;
  }
}

/** One line: `12,3:2` is choice 1 at question 12 and choice 2 at question 15. @return "" if there is none */
export function decisions_to_token(decisions: readonly decision[]): string {
  let last = 0;
  return decisions
    .map(({ at, choice }) => {
      const step = at - last;
      last = at;
      return choice === 1 ? `${step}` : `${step}:${choice}`;
    })
    .join(",");
}
/** @return the decisions of a token, null if it is none */
export function decisions_from_token(token: string): decision[] | null {
  if (token === "") return [];
  let at = 0;
  const decisions: decision[] = [];
  for (const part of token.split(",")) {
    const found = /^(\d+)(?::([1-9]\d*))?$/.exec(part);
    if (!found) return null;
    at += Number(found[1]);
    decisions.push({ at, choice: Number(found[2] ?? 1) });
  }
  return decisions;
}
