// SPDX-License-Identifier: GPL-2.0-only
/** Making a finding of the explorer small. */
import { KindwiseReplay } from "../bugs/execution.ts";
import { shrink as leaveOut, sizeOf } from "../bugs/shrink.ts";
import type { RunnableKernel } from "../scenario.ts";
import { type Executed, execute, type Subject } from "./execute.ts";
import type { Found } from "./finding.ts";

/** Executions that making one finding small may take. */
const SHRINKING = 200;

export interface Small {
  readonly found: Omit<Found, "executions">;
  /** Executions that it took. */
  readonly runs: number;
}

/** The finding as it was met. */
export function asFound(key: string, seen: Executed): Small {
  const { checker = "", title = "", text = "" } = seen.reports.get(key) ?? {};
  const { switches, faults } = sizeOf(seen.decisions);
  const decisions = seen.decisions.map(({ at, choice }) => ({ at, choice }));
  return { found: { checker, title, text, decisions, switches, faults }, runs: 0 };
}

/** @decisions: of an execution in which it was found */
export function shrink<K extends RunnableKernel>(
  subject: Subject<K>,
  key: string,
  decisions: Executed["decisions"],
): Small {
  let runs = 0;
  const again = (choices: Executed["decisions"]): Executed["decisions"] | null => {
    runs += 1;
    const seen = execute(subject, new KindwiseReplay(choices));
    return seen.reports.has(key) ? seen.decisions : null;
  };
  const small = leaveOut(decisions, again, SHRINKING);
  // Once more what was kept, for what it says.
  runs += 1;
  return { ...asFound(key, execute(subject, new KindwiseReplay(small))), runs };
}
