// SPDX-License-Identifier: GPL-2.0-only
/** What a group of measurements is, and how it measures: rounds that take turns, so that a noisy machine is noisy for all. */

/** What is promised of a figure. */
export interface Bound {
  readonly of: "value" | "ratio";
  readonly at: "least" | "most";
  readonly limit: number;
}

export interface Row {
  /** Unique in its group. */
  readonly name: string;
  /** The median of all rounds, in `unit`. */
  readonly value: number;
  /** "ns", "1/s", "B", … */
  readonly unit: string;
  /** How many times what `against` needed in the same rounds; null for what others are measured against. */
  readonly ratio: number | null;
  /** The name of the yardstick. */
  readonly against: string | null;
  readonly bound: Bound | null;
}

export interface Effort {
  /** A tenth of the work: enough to see that it runs, not enough to quote. */
  readonly quick: boolean;
  /** Called between rounds, with what is measured now. */
  readonly step: (what: string) => void;
}

export interface Group {
  readonly name: string;
  /** One line: what is compared with what. */
  readonly summary: string;
  measure(effort: Effort): Row[] | Promise<Row[]>;
}

/** Something that can be done any number of times. */
export interface Subject {
  readonly name: string;
  /** Does it `times` times. What it makes ready first counts as well, so it should be little. */
  run(times: number): void;
  /** Times in one round, if not found out: for what costs so much that a few are enough. */
  readonly times?: number;
}

/** How long one subject is at work in one round, in ms of the processor; and before the first, for the host to compile what it does often. */
const ROUND_MS = 60;
const WARM_MS = 1000;
const ROUNDS = 11;

export function median(of: readonly number[]): number {
  const sorted = [...of].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = [sorted[sorted.length % 2 ? middle : middle - 1], sorted[middle]];
  return (low + high) / 2;
}

/** In ms of the processor: a machine that others use as well takes longer, but does not do more. */
function timed(subject: Subject, times: number): number {
  const start = process.cpuUsage();
  subject.run(times);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** How many times fit into a round, once the subject is warm. */
function timesOf(subject: Subject, roundMs: number, warmMs: number): number {
  if (subject.times !== undefined) return subject.times;
  let warm = 0;
  for (let times = 1; ;) {
    const took = timed(subject, times);
    warm += took;
    if (took < roundMs / 4) times *= 4;
    else if (warm >= warmMs) return Math.max(1, Math.round((times * roundMs) / took));
  }
}

export interface Measured {
  /** Median of what one time took, in ns, by name. */
  readonly ns: ReadonlyMap<string, number>;
  /** Median over the rounds of one subject's time by another's in the same round. */
  ratio(name: string, against: string): number;
}

/** Lets the subjects take turns. */
export function interleave(subjects: readonly Subject[], { quick, step }: Effort): Measured {
  const roundMs = quick ? ROUND_MS / 4 : ROUND_MS;
  const rounds = quick ? 3 : ROUNDS;
  const times = subjects.map((subject) => timesOf(subject, roundMs, quick ? 0 : WARM_MS));
  const taken = new Map<string, number[]>(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      step(subject.name);
      const n = times[i] ?? 1;
      taken.get(subject.name)?.push((timed(subject, n) * 1e6) / n);
    }
  }
  return {
    ns: new Map([...taken].map(([name, all]) => [name, median(all)])),
    ratio: (name, against) => {
      const yard = taken.get(against) ?? [];
      return median((taken.get(name) ?? []).map((ns, i) => ns / (yard[i] ?? NaN)));
    },
  };
}

/** Whether what is promised of the row holds; true if nothing is. */
export function kept({ value, ratio, bound }: Row): boolean {
  if (!bound) return true;
  const figure = bound.of === "value" ? value : (ratio ?? NaN);
  return bound.at === "most" ? figure <= bound.limit : figure >= bound.limit;
}
