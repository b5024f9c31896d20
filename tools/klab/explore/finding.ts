// SPDX-License-Identifier: GPL-2.0-only
/** What a run found, told apart by checker, object and the two places in the code. */
import type { Injection, Report, RunResult } from "../scenario.ts";
import type { Choice, Execution } from "./execution.ts";
import type { Size } from "./shrink.ts";
import type { Mode } from "./token.ts";

export interface Finding {
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  /** What it is about: a struct, a member, a cache; "" where the title says all. */
  readonly object: string;
  /** Where it was noticed, and where the other half of it was: the free, the other access, the allocation. */
  readonly places: readonly [string, string];
  /** What had been made to fail before. */
  readonly injected: readonly Injection[];
}

/** A finding with the smallest run that shows it. */
export interface Found {
  readonly finding: Finding;
  readonly scenario: string;
  readonly mode: Mode;
  readonly decisions: readonly Choice[];
  readonly size: Size;
  /** Executions until it was found, and seconds of the host. */
  readonly executions: number;
  readonly seconds: number;
}

/** The innermost function of the first stack below a line that `heading` matches. */
function below(text: string, heading: RegExp): string {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => heading.test(line));
  if (at < 0) return "";
  const frame = lines.slice(at + 1).find((line) => !/^ <\/?\w+>$/.test(line));
  return frame !== undefined && /^ +\S/.test(frame) ? frame.trim() : "";
}

/** The innermost function of the report's own stack, and the first one of a module, which called it: `kobject_put < f [m]`. */
function place(text: string): string {
  const frames = (/^Call Trace:\n((?: .*\n?)*)/m.exec(text)?.[1] ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^<\/?\w+>$/.test(line));
  const caller = frames.find((frame) => frame.endsWith("]"));
  const [first = ""] = frames;
  return caller === undefined || caller === first ? first : `${first} < ${caller}`;
}

function parts(report: Report): { object: string; places: readonly [string, string] } {
  const { checker, title, text } = report;
  switch (checker) {
    case "kasan":
      return {
        object: /belongs to the cache (\S+)/.exec(text)?.[1] ?? "",
        places: [place(text), below(text, /^Freed by task/)],
      };
    case "kcsan": {
      const found = / in (.*) \/ (.*)$/.exec(title);
      return { object: /^member: (.*)$/m.exec(text)?.[1] ?? "", places: [found?.[1] ?? "", found?.[2] ?? ""] };
    }
    case "kmemleak":
      return { object: title.replace(/^unreferenced object: /, ""), places: ["", below(text, /^ {2}backtrace:/)] };
    default:
      return { object: "", places: [place(text), ""] };
  }
}

/** The end of a run, when nothing else was said of it. */
export function findingOfEnd(title: string): Finding {
  return { checker: "end", title, text: title, object: "", places: ["", ""], injected: [] };
}

/** What only the log tells: a module that does not link. */
const UNLINKED = /^\S+: Unknown symbol \S+ \(err -\d+\)$/;

/** The findings of a run, each once. An end without a report is one too. @limit: what makes a run endless */
export function findingsOf(
  { reports, outcome, injected, log }: Pick<RunResult, "reports" | "outcome" | "injected" | "log">,
  limit = "cut at a limit",
): Map<string, Finding> {
  // Where something was made to fail, the module that would have the symbol may not be there.
  const unlinked = injected.length > 0 ? [] : log.filter(({ text }) => UNLINKED.test(text));
  const all: Report[] = [...reports, ...unlinked.map(({ text }) => ({ checker: "link", title: text, text }))];
  const text = outcome === "endless" ? `${outcome}: ${limit}, or of virtual time` : outcome;
  if (reports.length === 0 && outcome !== "done") all.push({ checker: "end", title: outcome, text });
  const byKey = new Map<string, Finding>();
  for (const report of all) {
    const { checker, title, text } = report;
    const finding = { checker, title, text, ...parts(report), injected };
    const key = keyOf(finding);
    if (!byKey.has(key)) byKey.set(key, finding);
  }
  return byKey;
}

/** Without what differs from run to run: numbers of pids and sizes of what is only counted. */
export function keyOf({ checker, title, object, places }: Finding): string {
  return [checker, title, object, ...places].join("\0");
}
/** Of a finding that needs a failure, where that was belongs to it: one leak each that nobody thought of. */
export function keyWithFaults(finding: Finding): string {
  return [keyOf(finding), ...finding.injected.map((i) => i.stack.slice(0, 3).join("<"))].join("\0");
}

/**
 * What can be told of a finding whose stacks are missing, and where something failed before it: of a data race, which member, and who did
 * what to it. The same may still be more than one finding.
 */
export function roughKeyOf(finding: Finding): string {
  if (finding.checker !== "kcsan") return keyWithFaults(finding);
  const lines = finding.text.split("\n").filter((line) => /^(BUG|member:|read|write|free)/.test(line));
  return lines.map((line) => line.replace(/0x[0-9a-f]+| on cpu \d+/g, "")).join("\n");
}
/** Whose accesses a run is about, as far as data races go. */
export function membersOf({ reports }: Execution): ReadonlySet<string> {
  return new Set([...reports.values()].filter((f) => f.checker === "kcsan").map((f) => f.object));
}
