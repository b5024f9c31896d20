// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one decision point. Everything that could go either way in a run is asked here: who runs next, whether an
 * allocation fails, when an interrupt arrives. The same answers give the same run, byte for byte.
 */

export type decision_kind = "switch" | "irq" | "fault" | "signal" | "timer" | "event";

/** Hears of every step: what a task does from one scheduling point to the next. For who has to know which steps commute. */
export interface step_watcher {
  /**
   * The step that ran has ended, and one of `from` begins the next. Ids: a task's pid, or for the idle task of CPU n -1 - n.
   * @from: in the order of the question that follows if there are two or more. @me: whose step it was, if they can go on; else 0
   * @scarce: somebody who could run finds no CPU
   */
  step(from: readonly number[], me: number, scarce: boolean): void;
  /** The step touches something that others may touch. @place: a hash */
  touch(place: number, write: boolean): void;
  /** The step commutes with no other. */
  everything(): void;
  /** Time goes on, which it does when nobody can: all that came before is before all that follows. */
  barrier(): void;
  /** The machine stops and somebody outside does something before it goes on, if it does. */
  pause(): void;
}

/** Answers the questions of one run. */
export interface schedule {
  /**
   * Chooses one of `n` >= 2 ways to go on; 0 is what happens if nobody interferes.
   * `label(i)` names a way, for traces; it is only called by who wants to print.
   */
  decide(kind: decision_kind, n: number, label: (i: number) => string): number;
  /** False if decide() always says 0, so that the questions need not be put together. */
  readonly interferes: boolean;
  readonly watcher?: step_watcher | undefined;
}

/** Everybody runs until they wait; nothing fails. */
export const run_to_block: schedule = { interferes: false, decide: () => 0 };

/** Asks what the outside does between two steps; null if nothing can happen. Set at power-on. */
export const outside = { ask: null as (() => void) | null };

let now: schedule = run_to_block;
/** Somebody wants to be left alone. */
const quiet = { on: false };

export function set_schedule(s: schedule): void {
  now = s;
  quiet.on = false;
}

export function interferes(): boolean {
  return now.interferes && !quiet.on;
}

/**
 * While it is quiet nothing is asked and nobody interferes: for what has to be set up before it gets interesting. What is done
 * meanwhile is before everything that follows.
 */
export function set_quiet(on: boolean): void {
  if (quiet.on === on) return;
  quiet.on = on;
  now.watcher?.barrier();
}

/** @return index of the way to go on, 0 <= index < n */
export function decide(kind: decision_kind, n: number, label: (i: number) => string): number {
  if (n < 2 || !interferes()) return 0;
  const choice = now.decide(kind, n, label);
  if (!Number.isInteger(choice) || choice < 0 || choice >= n)
    throw new RangeError(`schedule chose ${choice} of ${n} (${kind})`);
  return choice;
}
