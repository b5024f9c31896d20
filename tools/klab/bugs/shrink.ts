// SPDX-License-Identifier: GPL-2.0-only
/** Making what was found small: fewest switches first, then fewest failures and events, then the shortest. */
import type { Choice } from "./execution.ts";

/** What a schedule costs the reader, in the order in which it counts. */
export interface Size {
  readonly switches: number;
  readonly faults: number;
  readonly decisions: number;
}
export function sizeOf(choices: readonly Choice[]): Size {
  const switches = choices.filter((c) => c.kind === "switch").length;
  const faults = choices.filter((c) => c.kind === "fault" || c.kind === "event" || c.kind === "signal").length;
  return { switches, faults, decisions: choices.length };
}
function smaller(a: Size, b: Size): boolean {
  if (a.switches !== b.switches) return a.switches < b.switches;
  if (a.faults !== b.faults) return a.faults < b.faults;
  return a.decisions < b.decisions;
}

/**
 * Leaves out decisions for as long as the finding stays.
 * @again: runs the decisions, each counted among its kind, and gives what was really decided if the finding came again
 * @runs: how many runs it may take
 */
export function shrink(
  found: readonly Choice[],
  again: (choices: readonly Choice[]) => readonly Choice[] | null,
  runs: number,
): readonly Choice[] {
  let best = found;
  let left = runs;
  const without = (gone: ReadonlySet<Choice>): boolean => {
    if (left <= 0 || gone.size === 0) return false;
    left--;
    const really = again(best.filter((c) => !gone.has(c)));
    if (!really || !smaller(sizeOf(really), sizeOf(best))) return false;
    best = really;
    return true;
  };
  // Switches are what is hard to read, and most of them are usually of no account.
  for (const mine of [(c: Choice) => c.kind === "switch", (c: Choice) => c.kind !== "switch"]) {
    if (without(new Set(best.filter(mine)))) continue;
    for (
      let size = Math.ceil(best.filter(mine).length / 2);
      size >= 1 && left > 0;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < best.filter(mine).length && left > 0;) {
        if (!without(new Set(best.filter(mine).slice(at, at + size)))) at += size;
      }
    }
  }
  return best;
}
