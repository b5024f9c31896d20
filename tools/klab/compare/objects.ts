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

/** Somebody else frees what somebody freed before. */
export interface Handover {
  /** Functions; "never" if nobody did. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** On whose behalf before. */
  readonly for: readonly string[];
  readonly objects: readonly string[];
}

const unique = (all: readonly (string | undefined)[]): string[] =>
  [...new Set(all.filter((x) => x !== undefined))].sort();

/** The place from the inside out at which the ways to the allocator part. */
function parting(paths: readonly (readonly string[])[]): number {
  let at = 0;
  while (paths.every((path) => path.length > at + 1 && path[at] === paths[0]?.[at])) at++;
  return at;
}

/** Of objects that both states have: who frees them now, and who did. */
export function handovers(objects: readonly ObjectDiff[]): Handover[] {
  const found = new Map<string, Handover>();
  for (const { object, gone, come } of objects) {
    if (gone.length === 0 || come.length === 0) continue;
    const [before, after] = [gone, come].map((fates) => fates.map((fate) => fate.freed.split(" < ")));
    const at = parting([...(before ?? []), ...(after ?? [])]);
    const [from, to] = [before, after].map((paths) => unique((paths ?? []).map((path) => path[at])));
    const key = JSON.stringify([from, to]);
    const known = found.get(key);
    found.set(key, {
      from: from ?? [],
      to: to ?? [],
      for: unique([...(known?.for ?? []), ...(before ?? []).map((path) => path[at + 1])]),
      objects: [...(known?.objects ?? []), object],
    });
  }
  return [...found.values()].filter(({ from, to }) => from.join() !== to.join());
}
