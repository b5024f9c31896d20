// SPDX-License-Identifier: GPL-2.0-only
/** Two lists of steps side by side: where they part, and what only one of them has. */
import { diffArrays } from "diff";
import { type Kind, KINDS, type Step } from "./stream.ts";

/** A line, and how often; objects that differ in their number only count as one line. */
export interface Counted {
  readonly line: string;
  readonly n: number;
}
export interface KindDiff {
  readonly kind: Kind;
  /** Only in the first state. */
  readonly gone: readonly Counted[];
  /** Only in the second state. */
  readonly come: readonly Counted[];
  /** In both, at another place. */
  readonly moved: number;
}
export interface FirstDifference {
  /** Number of steps that are the same before it. */
  readonly after: number;
  /** The last of them. */
  readonly last: string | null;
  readonly kind: Kind;
  /** What comes next in each; null where the run is at its end. */
  readonly first: string | null;
  readonly second: string | null;
}

/** Equal steps of both lists, in pairs of runs; null stands for a side that has nothing there. */
interface Hunks {
  readonly gone: Step[];
  readonly come: Step[];
  readonly first: FirstDifference | null;
}

function hunks(one: readonly Step[], two: readonly Step[]): Hunks {
  // The ends that are the same need no search.
  let head = 0;
  const same = (a: Step | undefined, b: Step | undefined): boolean => a?.line === b?.line && a?.kind === b?.kind;
  while (head < one.length && head < two.length && same(one[head], two[head])) head++;
  let [end1, end2] = [one.length, two.length];
  while (end1 > head && end2 > head && same(one[end1 - 1], two[end2 - 1])) [end1, end2] = [end1 - 1, end2 - 1];
  if (head === end1 && head === end2) return { gone: [], come: [], first: null };
  const [a, b] = [one[head], two[head]];
  const first: FirstDifference = {
    after: head,
    last: one[head - 1]?.line ?? null,
    kind: (a ?? b)?.kind ?? "result",
    first: a?.line ?? null,
    second: b?.line ?? null,
  };
  const [gone, come]: [Step[], Step[]] = [[], []];
  for (const change of diffArrays(one.slice(head, end1), two.slice(head, end2), { comparator: same })) {
    if (change.removed) gone.push(...change.value);
    else if (change.added) come.push(...change.value);
  }
  return { gone, come, first };
}

/** How often each line is there, by kind. */
function counts(steps: readonly Step[], kind: Kind): Map<string, number> {
  const found = new Map<string, number>();
  for (const step of steps)
    if (step.kind === kind) {
      const line = step.line.replace(/#\d+/g, "#");
      found.set(line, (found.get(line) ?? 0) + 1);
    }
  return found;
}

function byKind(gone: readonly Step[], come: readonly Step[]): KindDiff[] {
  return KINDS.map((kind) => {
    const [one, two] = [counts(gone, kind), counts(come, kind)];
    let moved = 0;
    for (const [line, n] of one) {
      const both = Math.min(n, two.get(line) ?? 0);
      moved += both;
      one.set(line, n - both);
      two.set(line, (two.get(line) ?? 0) - both);
    }
    const left = (counted: Map<string, number>): Counted[] =>
      [...counted].filter(([, n]) => n > 0).map(([line, n]) => ({ line, n }));
    return { kind, gone: left(one), come: left(two), moved };
  }).filter((d) => d.gone.length > 0 || d.come.length > 0 || d.moved > 0);
}

export interface Alignment {
  readonly same: boolean;
  readonly first: FirstDifference | null;
  readonly diffs: readonly KindDiff[];
}

/** Lays two runs side by side. */
export function align(one: readonly Step[], two: readonly Step[]): Alignment {
  const { gone, come, first } = hunks(one, two);
  return { same: first === null, first, diffs: byKind(gone, come) };
}

/** Several alignments as one: what differs in any of them, added up. */
export function sum(all: readonly (readonly KindDiff[])[]): KindDiff[] {
  const add = (into: Map<string, number>, more: readonly Counted[]): void =>
    more.forEach(({ line, n }) => into.set(line, (into.get(line) ?? 0) + n));
  return KINDS.map((kind) => {
    const [gone, come] = [new Map<string, number>(), new Map<string, number>()];
    let moved = 0;
    for (const diff of all.flat().filter((d) => d.kind === kind)) {
      add(gone, diff.gone);
      add(come, diff.come);
      moved += diff.moved;
    }
    const counted = (m: Map<string, number>): Counted[] => [...m].map(([line, n]) => ({ line, n }));
    return { kind, gone: counted(gone), come: counted(come), moved };
  }).filter((d) => d.gone.length > 0 || d.come.length > 0 || d.moved > 0);
}
