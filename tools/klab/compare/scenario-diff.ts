// SPDX-License-Identifier: GPL-2.0-only
/** One scenario in two states. */
import { plain } from "../json.ts";
import { faultRuns, type RunnableKernel, runScenario, type ScenarioFor } from "../scenario.ts";
import { align, type FirstDifference, type KindDiff, sum } from "./align.ts";
import { type Handover, handovers, type ObjectDiff, objectsOf, sumObjects } from "./objects.ts";
import { Recorder, type Step } from "./stream.ts";

export interface ScenarioDiff {
  readonly id: string;
  readonly same: boolean;
  /** In a scenario with faults: of the first run that differs. */
  readonly first: (FirstDifference & { readonly fault?: string }) | null;
  readonly diffs: readonly KindDiff[];
  readonly objects: readonly ObjectDiff[];
}

/** What several scenarios say together. */
export interface Summary {
  readonly diffs: readonly KindDiff[];
  readonly objects: readonly ObjectDiff[];
  readonly handovers: readonly Handover[];
}
export function summary(found: readonly ScenarioDiff[]): Summary {
  const objects = sumObjects(found.map((d) => d.objects));
  return { diffs: sum(found.map((d) => d.diffs)), objects, handovers: handovers(objects) };
}

/** What is asked of a state besides the scenarios: that it comes up. */
export const BOOT: ScenarioFor<object> = {
  id: "boot",
  summary: "the machine is switched on",
  machine: {},
  processes: [],
  run: () => {},
};

const words = (value: unknown): string => JSON.stringify(plain(value)) ?? "undefined";

/** One run as a list of steps. @schedule: for this run; undefined for the quiet one */
export function recordRun<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  schedule?: unknown,
): readonly Step[] {
  const recorder = new Recorder();
  const hear = recorder.hear.bind(recorder);
  const result = runScenario(kernel, scenario, { hear, hearBoot: scenario.id === BOOT.id, schedule });
  return recorder.end(result, words);
}

/** Runs with faults, by what failed: an allocation that one state does not make has no partner in the other. */
function recordFaults<K extends RunnableKernel>(kernel: K, scenario: ScenarioFor<K>): Map<string, readonly Step[]> {
  const found = new Map<string, readonly Step[]>();
  const seen = new Map<string, number>();
  let recorder = new Recorder();
  for (const { result, place } of faultRuns(kernel, scenario, { hear: (event) => recorder.hear(event) })) {
    const n = (seen.get(place ?? "") ?? 0) + 1;
    seen.set(place ?? "", n);
    found.set(place === null ? "no fault" : `no memory in ${place}, ${n}`, recorder.end(result, words));
    recorder = new Recorder();
  }
  return found;
}

function compareFaults<K extends RunnableKernel>(one: K, two: K, scenario: ScenarioFor<K>): ScenarioDiff {
  const [runs1, runs2] = [recordFaults(one, scenario), recordFaults(two, scenario)];
  let first: ScenarioDiff["first"] = null;
  const diffs: (readonly KindDiff[])[] = [];
  const objects: (readonly ObjectDiff[])[] = [];
  for (const fault of new Set([...runs1.keys(), ...runs2.keys()])) {
    const [steps1, steps2] = [runs1.get(fault), runs2.get(fault)];
    // Only one state asks for this memory: what it does then has no counterpart, and says so in one line.
    const only: Step[] = [{ kind: "result", line: `a run: ${fault.replace(/, \d+$/, "")}` }];
    const found = align(steps1 && steps2 ? steps1 : steps1 ? only : [], steps1 && steps2 ? steps2 : steps2 ? only : []);
    if (found.first) first ??= { ...found.first, fault };
    diffs.push(found.diffs);
    if (steps1 && steps2) objects.push(objectsOf(steps1, steps2));
  }
  return { id: scenario.id, same: first === null, first, diffs: sum(diffs), objects: sumObjects(objects) };
}

/** Two runs of a scenario side by side. */
export function compareRuns(id: string, one: readonly Step[], two: readonly Step[]): ScenarioDiff {
  return { id, ...align(one, two), objects: objectsOf(one, two) };
}

/**
 * Runs a scenario in both states and lays the runs side by side.
 * @schedule: makes a schedule for each of the two runs, or undefined for the quiet one
 */
export function compareScenario<K extends RunnableKernel>(
  one: K,
  two: K,
  scenario: ScenarioFor<K>,
  schedule: () => unknown = () => undefined,
): ScenarioDiff {
  if (scenario.faults) return compareFaults(one, two, scenario);
  return compareRuns(scenario.id, recordRun(one, scenario, schedule()), recordRun(two, scenario, schedule()));
}
