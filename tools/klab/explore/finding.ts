// SPDX-License-Identifier: GPL-2.0-only
/** What the explorer hands on, and when two reports are one finding. */
import type { decision } from "../../../kernel/explore/replay.ts";
import type { Report } from "../scenario.ts";

export interface Found {
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  readonly decisions: readonly decision[];
  /** Decisions of the shrunk run by what they are about. */
  readonly switches: number;
  readonly faults: number;
  /** Executions until it was found. */
  readonly executions: number;
}

/** The innermost function of a report, where its title does not say it. */
function placeOf(report: Report): string {
  return /Call Trace:\n(?: <\w+>\n)* (\S+)/.exec(report.text)?.[1] ?? "";
}
/** Two reports with one key are one finding. */
export function keyOf(report: Report): string {
  return `${report.checker}\0${report.title}\0${placeOf(report)}`;
}
