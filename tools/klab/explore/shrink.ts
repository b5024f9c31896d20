// SPDX-License-Identifier: GPL-2.0-only
/** Making a finding small. */
import { replay_schedule } from "../../../kernel/explore/replay.ts";
import type { schedule } from "../../../kernel/sched/decide.ts";
import { type Executed, FAULTS } from "./execute.ts";
import type { Found } from "./finding.ts";

/** Executions that making one finding small may take. */
const SHRINKING = 200;

/**
 * Leaves out decisions, halves first and then one by one, for as long as the finding stays.
 * @run: executes a schedule. @seen: the execution in which it was found
 */
export function shrink(key: string, seen: Executed, run: (s: schedule) => Executed): Omit<Found, "executions"> {
  let best = seen;
  let left = SHRINKING;
  for (let size = Math.ceil(best.decisions.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.decisions.length && left > 0; left--) {
      const { decisions } = best;
      const fewer = [...decisions.slice(0, at), ...decisions.slice(at + size)];
      const again = run(new replay_schedule(fewer));
      // A decision that did not fit any more has fallen out by itself.
      if (again.reports.has(key) && again.decisions.length < decisions.length) best = again;
      else at += size;
    }
  }
  const told = best.reports.get(key);
  const { checker = "", title = "", text = "" } = told ?? {};
  const switches = best.counts.get("switch") ?? 0;
  const faults = FAULTS.reduce((sum, kind) => sum + (best.counts.get(kind) ?? 0), 0);
  return { checker, title, text, decisions: best.decisions, switches, faults };
}
