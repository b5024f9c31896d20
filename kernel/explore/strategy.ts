// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a search is made of: executions, each described by a plan that can be handed to another thread, and a search that
 * gives them out in one fixed order and learns from each in that order. So who makes them, and how many at a time, changes nothing.
 */
import type { schedule } from "../sched/decide.ts";
import { dpor_schedule, type dpor_execution, type dpor_plan, wishes_of } from "./dpor.ts";
import { mixture_schedule } from "./mixture.ts";
import { pct_schedule } from "./pct.ts";
import { prng, random_schedule } from "./random.ts";
import { type decision, replay_schedule } from "./replay.ts";

/** One execution, as plain data. @nth: counted from 0 over the whole search */
export type plan =
  | { readonly kind: "random"; readonly nth: number; readonly seed: number; readonly odds: number }
  | {
      readonly kind: "pct";
      readonly nth: number;
      readonly seed: number;
      readonly length: number;
      readonly odds: number;
    }
  | {
      readonly kind: "mixture";
      readonly nth: number;
      readonly seed: number;
      readonly length: number;
      readonly faults: number;
    }
  | { readonly kind: "replay"; readonly nth: number; readonly decisions: readonly decision[] }
  | dpor_plan;

/** What the search wants to know of an execution, as plain data. */
export interface execution {
  /** Questions that were asked, and how many of them were about faults. */
  readonly asked: number;
  readonly fault_questions: number;
  readonly dpor?: dpor_execution | undefined;
}

export interface search {
  /** @return what is to be executed next; null if nothing can be given out before more has been learned, or at all */
  next(): plan | null;
  /** Learns from an execution. To be called in the order in which next() gave the plans. */
  learn(done: plan, what: execution): void;
  /** Nothing is left to do: every schedule within the bound was had. */
  readonly exhausted: boolean;
  /** Preemptions up to which everything was had, Infinity for everything, null for nothing that could be named. */
  readonly bound: number | null;
  /** Estimated share of what there is that was had; null if nothing can be said. */
  readonly covered: number | null;
}

/** The schedule that executes a plan, good for one run; and what the search is to learn, once it has run. */
export interface prepared {
  readonly schedule: schedule;
  /** @decisions: all answers that were not 0 */
  learned(decisions: readonly decision[]): dpor_execution | undefined;
}
const nothing = (): undefined => undefined;

export function prepare(p: plan): prepared {
  switch (p.kind) {
    case "random":
      return { schedule: random_schedule(p.seed, odds_of_faults(p.odds)), learned: nothing };
    case "pct":
      return { schedule: pct_schedule(p.seed, PCT_DEPTH, p.length, odds_of_faults(p.odds)), learned: nothing };
    case "mixture":
      return { schedule: mixture_schedule(p.seed, p.length, p.faults), learned: nothing };
    case "replay":
      return { schedule: new replay_schedule(p.decisions), learned: nothing };
    case "dpor": {
      const schedule = dpor_schedule(p);
      return { schedule, learned: (decisions) => wishes_of(p, schedule, decisions) };
    }
  }
}
/** Points of change of a PCT run, and one more. */
const PCT_DEPTH = 3;

function odds_of_faults(odds: number): { fault: number; signal: number; event: number; timer: number } {
  return { fault: odds, signal: odds, event: odds, timer: odds };
}

/** Seeded walks, the first of which is the quiet run; the n-th does not depend on the others. */
export class walks implements search {
  readonly #kind: "random" | "pct";
  readonly #seed: number;
  readonly #faults: number;
  readonly #shard: { readonly index: number; readonly of: number };
  #nth = 0;
  /** Of the quiet run. */
  #length = 0;
  #odds = 0;
  readonly exhausted = false;
  readonly bound = null;
  readonly covered = null;

  /** @seed: any integer. @faults: that one run may have. @shard: only every `of`-th walk, and the quiet run */
  constructor(kind: "random" | "pct", seed: number, faults = 0, shard = { index: 0, of: 1 }) {
    this.#kind = kind;
    this.#seed = seed;
    this.#faults = faults;
    this.#shard = shard;
  }
  next(): plan | null {
    const nth = this.#nth;
    // How long the quiet run is goes into all others.
    if (nth > 0 && this.#length === 0) return null;
    this.#nth++;
    if (nth === 0) return { kind: "replay", nth, decisions: [] };
    const walk = (nth - 1) * this.#shard.of + this.#shard.index + 1;
    const seed = new prng(this.#seed + Math.imul(walk, 0x9e3779b1)).below(0x1_0000_0000);
    if (this.#kind === "random") return { kind: "random", nth, seed, odds: this.#odds };
    return { kind: "pct", nth, seed, length: this.#length, odds: this.#odds };
  }
  learn(done: plan, { asked, fault_questions }: execution): void {
    if (done.nth !== 0) return;
    this.#length = Math.max(1, asked);
    // About as many as there may be, anywhere in the run.
    this.#odds = this.#faults / Math.max(1, fault_questions);
  }
}
