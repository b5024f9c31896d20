// SPDX-License-Identifier: GPL-2.0-only
/** Bisection over the states of a version, with git's rules. What judges a state is given from outside. */
import { InputError } from "./errors.ts";
import { findings, type RunResult } from "./scenario.ts";

export type Judgement = "good" | "bad" | "skip";

/** The words for the two ends: "good" and "bad", or what --old and --new say. */
export interface Terms {
  readonly old: string;
  readonly new: string;
}
export const TERMS: Terms = { old: "good", new: "bad" };

export interface BisectStep {
  readonly state: string;
  readonly judgement: Judgement;
}

export interface Bisection {
  /** The first state that is bad, or null if skipped states leave more than one. */
  readonly first: number | null;
  /** States among which the first bad one is. */
  readonly candidates: readonly number[];
  readonly steps: readonly BisectStep[];
}

/** Whether a run found it. @report: part of a title; any report will do without one */
export function shows(result: RunResult, report: string | undefined): boolean {
  return report === undefined ? findings(result).length > 0 : result.reports.some((r) => r.title.includes(report));
}

/** What is to be said of a run that may not have got as far as the report, as the machine stopped of something else; null if nothing is. */
export function stoppedBefore(result: RunResult, report: string | undefined): string | null {
  if (report === undefined || result.outcome === "done" || shows(result, report)) return null;
  return `the machine stopped before it could show ${JSON.stringify(report)}: ${result.reports.at(-1)?.title ?? result.outcome}`;
}

/** What an exit code means, as `git bisect run` has it. @throws InputError where it stops */
export function judgementOf(code: number | null): Judgement {
  if (code === 0) return "good";
  if (code === 125) return "skip";
  if (code !== null && code > 0 && code < 128) return "bad";
  throw new InputError(
    `the command ended with ${code ?? "a signal"}, which stops a bisection: 0 is good, 1 to 127 bad, 125 skip`,
  );
}

/** The state to look at next: the middle, or the nearest to it that was not skipped. */
function middle(candidates: readonly number[], skipped: ReadonlySet<number>): number | null {
  const open = candidates.filter((n) => !skipped.has(n));
  if (open.length === 0) return null;
  const wanted = ((candidates[0] ?? 0) + (candidates.at(-1) ?? 0)) / 2;
  return open.reduce((best, n) => (Math.abs(n - wanted) < Math.abs(best - wanted) ? n : best));
}

/**
 * Looks for the first bad state. @good, @bad: known ends; @judge: asked about each state at most once;
 * @name: of a state, for the steps
 */
export async function bisectStates(
  good: number,
  bad: number,
  judge: (number: number) => Promise<Judgement>,
  name: (number: number) => string,
): Promise<Bisection> {
  let [low, high] = [good, bad];
  const skipped = new Set<number>();
  const steps: BisectStep[] = [];
  for (;;) {
    const between = Array.from({ length: high - low - 1 }, (_, i) => low + 1 + i);
    const next = middle(between, skipped);
    if (next === null) {
      const candidates = [...between, high];
      return { first: candidates.length === 1 ? high : null, candidates, steps };
    }
    const judgement = await judge(next);
    steps.push({ state: name(next), judgement });
    if (judgement === "skip") skipped.add(next);
    else if (judgement === "good") low = next;
    else high = next;
  }
}

/** What a log says of a state, and in which terms. */
export interface BisectLog {
  readonly terms: Terms;
  /** Number of a state to what was said of it. */
  readonly said: ReadonlyMap<string, Judgement>;
}

/** A line of the log, as git writes one. */
export function logLine(state: string, judgement: Judgement, terms: Terms, subject: string): string {
  const word = judgement === "good" ? terms.old : judgement === "bad" ? terms.new : "skip";
  return `# ${word}: ${subject}\nklab bisect ${word} ${state}\n`;
}

/** @throws InputError if a line is not one of a log */
export function readLog(name: string, text: string): BisectLog {
  const found = /^# terms: (\S+) (\S+)$/m.exec(text);
  const terms = found ? { old: found[1] ?? "", new: found[2] ?? "" } : TERMS;
  const said = new Map<string, Judgement>();
  for (const [i, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const [, word = "", state = ""] = /^klab bisect (\S+) (\S+)$/.exec(line) ?? [];
    const judgement = word === terms.old ? "good" : word === terms.new ? "bad" : word === "skip" ? "skip" : null;
    if (judgement === null)
      throw new InputError(`${name}:${i + 1}: not a line of a bisection's log; write klab bisect ${terms.old} v1:2`);
    said.set(state, judgement);
  }
  return { terms, said };
}
