// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one decision point. Everything that could go either way in a run is asked here: who runs next, whether an
 * allocation fails, when an interrupt arrives. The same answers give the same run, byte for byte.
 */

export type decision_kind = "switch" | "irq" | "fault" | "signal" | "timer" | "event";

/** Answers the questions of one run. */
export interface schedule {
  /**
   * Chooses one of `n` >= 2 ways to go on; 0 is what happens if nobody interferes.
   * `label(i)` names a way, for traces; it is only called by who wants to print.
   */
  decide(kind: decision_kind, n: number, label: (i: number) => string): number;
  /** False if decide() always says 0, so that the questions need not be put together. */
  readonly interferes: boolean;
}

/** Everybody runs until they wait; nothing fails. */
export const run_to_block: schedule = { interferes: false, decide: () => 0 };

let now: schedule = run_to_block;

export function set_schedule(s: schedule): void {
  now = s;
}

export function interferes(): boolean {
  return now.interferes;
}

/** @return index of the way to go on, 0 <= index < n */
export function decide(kind: decision_kind, n: number, label: (i: number) => string): number {
  if (n < 2 || !now.interferes) return 0;
  const choice = now.decide(kind, n, label);
  if (!Number.isInteger(choice) || choice < 0 || choice >= n)
    throw new RangeError(`schedule chose ${choice} of ${n} (${kind})`);
  return choice;
}
