// SPDX-License-Identifier: GPL-2.0-only
/** Making a finding small. */
import { type decision, replay_schedule } from "../../../kernel/explore/replay.ts";
import type { RunnableKernel } from "../scenario.ts";
import { type Executed, execute, FAULTS, type Subject } from "./execute.ts";
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
  const switches = seen.counts.get("switch") ?? 0;
  const faults = FAULTS.reduce((sum, kind) => sum + (seen.counts.get(kind) ?? 0), 0);
  return { found: { checker, title, text, decisions: seen.decisions, switches, faults }, runs: 0 };
}

/**
 * Leaves out decisions, halves first and then one by one, for as long as the finding stays.
 * @decisions: of an execution in which it was found
 */
export function shrink<K extends RunnableKernel>(
  subject: Subject<K>,
  key: string,
  decisions: readonly decision[],
): Small {
  let runs = 0;
  const run = (d: readonly decision[]): Executed => {
    runs += 1;
    return execute(subject, new replay_schedule(d));
  };
  let best = run(decisions);
  for (let size = Math.ceil(best.decisions.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.decisions.length && runs < SHRINKING;) {
      const now = best.decisions;
      const again = run([...now.slice(0, at), ...now.slice(at + size)]);
      // A decision that did not fit any more has fallen out by itself.
      if (again.reports.has(key) && again.decisions.length < now.length) best = again;
      else at += size;
    }
  }
  return { ...asFound(key, best), runs };
}
