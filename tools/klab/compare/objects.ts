// SPDX-License-Identifier: GPL-2.0-only
/** Who allocates and who frees: what of this only one of two runs does, without when and how often. */
import type { Fate, Step } from "./stream.ts";

/** What objects of a type go through in one state only. */
export interface ObjectDiff {
  readonly object: string;
  /** Only in the first state. */
  readonly gone: readonly Omit<Fate, "object">[];
  /** Only in the second state. */
  readonly come: readonly Omit<Fate, "object">[];
}

/** Objects that no module has to do with are the kernel's own business. */
const OF_A_MODULE = / \[\w+\]/;

function fates(steps: readonly Step[]): Map<string, Fate> {
  const found = new Map<string, Fate>();
  for (const { fate } of steps)
    if (fate && OF_A_MODULE.test(fate.allocated + fate.freed)) found.set(JSON.stringify(fate), fate);
  return found;
}

/** Fates that are in one of the two only. */
export function objectsOf(one: readonly Step[], two: readonly Step[]): ObjectDiff[] {
  const [first, second] = [fates(one), fates(two)];
  const only = (here: ReadonlyMap<string, Fate>, there: ReadonlyMap<string, Fate>): Fate[] =>
    [...here].flatMap(([key, fate]) => (there.has(key) ? [] : [fate]));
  return byType(only(first, second), only(second, first));
}

function byType(gone: readonly Fate[], come: readonly Fate[]): ObjectDiff[] {
  const of = (all: readonly Fate[], wanted: string): Omit<Fate, "object">[] =>
    all.flatMap(({ object, ...fate }) => (object === wanted ? [fate] : []));
  const types = [...new Set([...gone, ...come].map((fate) => fate.object))].sort();
  return types.map((object) => ({ object, gone: of(gone, object), come: of(come, object) }));
}

/** Those of several scenarios as one. */
export function sumObjects(all: readonly (readonly ObjectDiff[])[]): ObjectDiff[] {
  const once = (side: "gone" | "come"): Fate[] => {
    const found = new Map<string, Fate>();
    for (const { object, [side]: those } of all.flat())
      for (const fate of those) found.set(JSON.stringify([object, fate]), { object, ...fate });
    return [...found.values()];
  };
  return byType(once("gone"), once("come"));
}
