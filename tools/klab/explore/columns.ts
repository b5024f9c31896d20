// SPDX-License-Identifier: GPL-2.0-only
/** A run as columns: a task a column, time downwards, what was decided and what was reported where it came. */

export interface Entry {
  /** Whose it is: the name of a task and its number. */
  readonly task: string;
  readonly ns: number;
  readonly text: string;
  /** Across all columns: a decision, a report. */
  readonly wide?: boolean;
}

const NARROWEST = 20;
const GAP = 2;

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
function stamp(ns: number): string {
  return (ns / 1e6).toFixed(3).padStart(10);
}

/** @entries: in the order in which they came; @width: characters of a line, for all columns together */
export function columns(entries: readonly Entry[], width: number): string[] {
  const tasks = [...new Set(entries.map((e) => e.task))];
  const room = Math.max(NARROWEST, Math.floor((width - 12) / Math.max(1, tasks.length)) - GAP);
  const left = 12;
  const line = (ns: string, cells: readonly string[]): string =>
    (ns.padEnd(left) + cells.map((cell) => cell.padEnd(room + GAP)).join("")).trimEnd();
  const lines = [
    line(
      "        ms",
      tasks.map((t) => cut(t, room)),
    ),
    line(
      "",
      tasks.map((t) => "-".repeat(Math.min(room, t.length))),
    ),
  ];
  let last = -1;
  for (const { task, ns, text, wide } of entries) {
    const when = ns === last ? "" : stamp(ns);
    last = ns;
    if (wide) lines.push(`${when.padEnd(left)}${text}`);
    else
      lines.push(
        line(
          when,
          tasks.map((t) => (t === task ? cut(text, room) : "")),
        ),
      );
  }
  return lines;
}
