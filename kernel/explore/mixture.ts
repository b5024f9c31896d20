// SPDX-License-Identifier: GPL-2.0-only
/** A bit of everything: switches in one of several ways, events now and then, and perhaps one failure. */
import type { decision_kind, schedule } from "../sched/decide.ts";
import { pct_schedule } from "./pct.ts";
import { prng, random_schedule } from "./random.ts";

class mixture_schedule_ implements schedule {
  readonly interferes = true;
  readonly #numbers: prng;
  readonly #switching: schedule;
  readonly #event: number;
  /** Which of the calls that may fail does, or -1. */
  readonly #failing: number;
  #faults = 0;

  constructor(seed: number, length: number, faults: number) {
    const numbers = new prng(seed);
    this.#numbers = numbers;
    const way = numbers.below(4);
    const inner = numbers.below(0x1_0000_0000);
    this.#switching = way === 0 ? random_schedule(inner, { switch: 0.1 }) : pct_schedule(inner, 1 + way, length);
    this.#event = [0, 0.15, 0.15, 0.4][numbers.below(4)] ?? 0;
    this.#failing = numbers.chance(0.25) ? numbers.below(Math.max(1, faults)) : -1;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    switch (kind) {
      case "fault":
        return this.#faults++ === this.#failing ? 1 : 0;
      case "event":
      case "signal":
        return this.#numbers.chance(this.#event) ? 1 + this.#numbers.below(n - 1) : 0;
      default:
        return this.#switching.decide(kind, n, label);
    }
  }
}

/**
 * A schedule for one run.
 * @seed: any integer; @length: questions that a run asks, about; @faults: how many of them are about something that may fail
 */
export function mixture_schedule(seed: number, length: number, faults: number): schedule {
  return new mixture_schedule_(seed, length, faults);
}
