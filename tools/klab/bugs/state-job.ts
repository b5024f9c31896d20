// SPDX-License-Identifier: GPL-2.0-only
/** One state's search as a piece of work: in a thread of its own, or right here in tests. */
import { writeToken } from "../explore/token.ts";
import { allScenarios, type Scenario } from "../scenario.ts";
import type { State } from "../states/index.ts";
import { loadState } from "../states/load.ts";
import { type Explained, readCatalogue } from "./catalogue.ts";
import { type Found, Hunt } from "./hunt.ts";

/** What a search may cost. */
export interface Budget {
  /** Executions of each state. */
  readonly executions: number;
  /** Seconds for each state; null: as long as the executions take. */
  readonly seconds: number | null;
  readonly seed: number;
}
export interface StateJob extends Budget {
  readonly state: State;
  /** Fingerprint of the source, for the tokens. */
  readonly source: string;
  /** The catalogue whose faults are looked for. */
  readonly catalogue: "faults.json" | "canaries.json";
}

/** A finding as the table and the document show it. */
export interface FoundRecord {
  readonly state: string;
  readonly id: string | null;
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  readonly object: string;
  readonly places: readonly string[];
  /** Stack of what failed before, innermost first. */
  readonly fault: readonly string[] | null;
  readonly scenario: string;
  readonly token: string;
  readonly switches: number;
  readonly faults: number;
  readonly executions: number;
  readonly seconds: number;
}
export interface StateEnd {
  readonly executions: number;
  readonly runs: number;
  /** What scenarios threw. */
  readonly broken: readonly string[];
}
export interface Listener {
  found(record: FoundRecord): void;
  progress(executions: number): void;
  /** Looked at between executions. */
  stopped(): boolean;
}

export function isGeneral({ id }: { readonly id: string }): boolean {
  return id.startsWith("general-");
}
export async function generalScenarios(): Promise<Scenario[]> {
  return (await allScenarios()).filter(isGeneral);
}

function recordOf(found: Found, job: StateJob): FoundRecord {
  const { finding, scenario, mode, choices, size } = found;
  const { checker, title, text, object, places, injected } = finding;
  return {
    state: job.state.name,
    id: found.explanation,
    checker,
    title,
    text,
    object,
    places: places.filter((p) => p !== ""),
    fault: injected[0]?.stack ?? null,
    scenario,
    token: writeToken({ scenario, state: job.state.name, source: job.source, mode, decisions: choices }),
    switches: size.switches,
    faults: size.faults,
    executions: found.executions,
    seconds: Math.round(found.seconds * 10) / 10,
  };
}

export async function runStateJob(
  job: StateJob,
  listener: Listener,
  explained: readonly Explained[] = readCatalogue("findings.json"),
): Promise<StateEnd> {
  const scenarios = await generalScenarios();
  const kernel = await loadState(job.state);
  const began = performance.now();
  const clock = (): number => (performance.now() - began) / 1000;
  const catalogue = readCatalogue(job.catalogue);
  const hunt = new Hunt(kernel, scenarios, { state: job.state.name, seed: job.seed, catalogue, explained, clock });
  while (hunt.executions < job.executions && (job.seconds === null || clock() < job.seconds) && !listener.stopped()) {
    for (const found of hunt.step()) listener.found(recordOf(found, job));
    listener.progress(hunt.executions);
    // Only between executions is there anybody who could hear of an end.
    await new Promise((next) => setImmediate(next));
  }
  return { executions: hunt.executions, runs: hunt.runs, broken: hunt.broken };
}
