// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a search is made of: executions, each described by a plan that can be handed to another thread, and a search that
 * gives them out in one fixed order and learns from each in that order. So who makes them, and how many at a time, changes nothing.
 */
import type { schedule } from "../sched/decide.ts";
import { pct_schedule } from "./pct.ts";
import { prng, random_schedule } from "./random.ts";
import { type decision, replay_schedule } from "./replay.ts";

/** One execution, as plain data. @nth: counted from 0 over the whole search */
export type plan =
  | { readonly kind: "random"; readonly nth: number; readonly seed: number; readonly fault_odds: number }
  | {
      readonly kind: "pct";
      readonly nth: number;
      readonly seed: number;
      readonly length: number;
      readonly fault_odds: number;
    }
  | { readonly kind: "replay"; readonly nth: number; readonly decisions: readonly decision[] };

/** What the search wants to know of an execution. */
export interface execution {
  /** Questions that were asked. */
  readonly asked: number;
}

export interface search {
  /** @return what is to be executed next; null if nothing can be given out before more has been learned, or at all */
  next(): plan | null;
  /** Learns from an execution. To be called in the order in which next() gave the plans. */
  learn(done: plan, what: execution): void;
  /** Nothing is left to give out, whatever is learned from what is still under way. */
  readonly exhausted: boolean;
}

/** The schedule that executes a plan. Good for one run. */
export function schedule_of(p: plan): schedule {
  if (p.kind === "random") return random_schedule(p.seed, { fault: p.fault_odds });
  if (p.kind === "pct") return pct_schedule(p.seed, 3, p.length);
  return new replay_schedule(p.decisions);
}

/** Seeded walks, the first of which is the quiet run; the n-th does not depend on the others. */
export class walks implements search {
  readonly #kind: "random" | "pct";
  readonly #seed: number;
  #given = 0;
  #length = 0;
  readonly exhausted = false;
  constructor(kind: "random" | "pct", seed: number) {
    this.#kind = kind;
    this.#seed = seed;
  }
  next(): plan | null {
    const nth = this.#given;
    // The length of the quiet run goes into all others.
    if (nth > 0 && this.#length === 0) return null;
    this.#given++;
    if (nth === 0) return { kind: "replay", nth, decisions: [] };
    const seed = new prng(this.#seed + Math.imul(nth, 0x9e3779b1)).below(0x1_0000_0000);
    if (this.#kind === "random") return { kind: "random", nth, seed, fault_odds: 0 };
    return { kind: "pct", nth, seed, length: this.#length, fault_odds: 0 };
  }
  learn(done: plan, { asked }: execution): void {
    if (done.nth === 0) this.#length = Math.max(1, asked);
  }
}
