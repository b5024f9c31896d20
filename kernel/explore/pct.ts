// SPDX-License-Identifier: GPL-2.0-only
/**
 * Probabilistic concurrency testing: tasks have random priorities, the highest goes on, and at a few points chosen beforehand the
 * one that runs falls below everybody else. A bug that needs few such points is met with a probability that is known.
 * Source: Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010
 */
import type { decision_kind, schedule } from "../sched/decide.ts";
import { DEFAULT_ODDS, type odds, prng } from "./random.ts";

class pct_schedule_ implements schedule {
  readonly interferes = true;
  readonly #numbers: prng;
  readonly #change_at = new Set<number>();
  /** By name of the way to go on, which is the task's. */
  readonly #priorities = new Map<string, number>();
  #lowest = 0;
  #asked = 0;

  readonly #odds: odds;

  constructor(seed: number, depth: number, length: number, how: odds) {
    this.#odds = how;
    this.#numbers = new prng(seed);
    for (let i = 1; i < depth; i++) this.#change_at.add(this.#numbers.below(Math.max(1, length)));
  }

  #priority(task: string): number {
    let p = this.#priorities.get(task);
    // Never below those that have fallen.
    if (p === undefined) this.#priorities.set(task, (p = 1 + this.#numbers.below(1_000_000)));
    return p;
  }
  #highest(n: number, label: (i: number) => string): number {
    let best = 0;
    for (let i = 1; i < n; i++) if (this.#priority(label(i)) > this.#priority(label(best))) best = i;
    return best;
  }

  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const at = this.#asked++;
    if (kind !== "switch") {
      // What is not about tasks has no priorities.
      return this.#numbers.chance(this.#odds[kind]) ? 1 + this.#numbers.below(n - 1) : 0;
    }
    if (this.#change_at.has(at)) this.#priorities.set(label(this.#highest(n, label)), --this.#lowest);
    return this.#highest(n, label);
  }
}

/**
 * A schedule for one run.
 * @seed: any integer; @depth: points of change and one more, at least 1; @length: questions that a run asks, about;
 * @how: odds that differ from the default ones, for questions other than who goes on
 */
export function pct_schedule(seed: number, depth: number, length: number, how: Partial<odds> = {}): schedule {
  return new pct_schedule_(seed, depth, length, { ...DEFAULT_ODDS, ...how });
}
