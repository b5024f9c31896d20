// SPDX-License-Identifier: GPL-2.0-only
/** A schedule that interferes at random, from a seed: the same seed gives the same run. */
import type { decision_kind, schedule } from "../sched/decide.ts";

/** How often something other than the quiet way is chosen, per kind of question: 0 never, 1 whenever there is a choice. */
export type odds = Readonly<Record<decision_kind, number>>;

/** Switches and interrupts anywhere; nothing fails and nobody is signalled unless asked for. */
export const DEFAULT_ODDS: odds = { switch: 0.25, irq: 0.5, timer: 0.5, event: 0.5, fault: 0, signal: 0 };

/** Numbers from a seed: xorshift with 32 bits of state, its seed scrambled so that neighbouring seeds are strangers. */
export class prng {
  #state: number;
  /** @seed: any integer */
  constructor(seed: number) {
    let x = (seed ^ 0x9e3779b9) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    // The state of an xorshift must not be 0.
    this.#state = x ^ (x >>> 16) || 1;
  }
  /** @return an integer, 0 <= it < `n`, `n` up to 2^32 */
  below(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return Math.floor(((x >>> 0) / 0x1_0000_0000) * n);
  }
  /** @return true in `p` of all cases, 0 <= p <= 1 */
  chance(p: number): boolean {
    return this.below(1_000_000) < p * 1_000_000;
  }
}

class random_schedule_ implements schedule {
  readonly interferes = true;
  readonly #numbers: prng;
  readonly #odds: odds;
  constructor(seed: number, how: odds) {
    this.#numbers = new prng(seed);
    this.#odds = how;
  }
  decide(kind: decision_kind, n: number): number {
    if (!this.#numbers.chance(this.#odds[kind])) return 0;
    return 1 + this.#numbers.below(n - 1);
  }
}

/**
 * A schedule for one run. @seed: any integer. @how: odds that differ from the default ones
 */
export function random_schedule(seed: number, how?: Partial<odds>): schedule {
  return new random_schedule_(seed, how ? { ...DEFAULT_ODDS, ...how } : DEFAULT_ODDS);
}
