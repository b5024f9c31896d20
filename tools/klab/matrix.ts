// SPDX-License-Identifier: GPL-2.0-only
/** The states of a version against the tests and the scenarios. */
import { findings, type RunnableKernel, runScenario, type ScenarioFor } from "./scenario.ts";
import { mustHold, runCase, type SeriesCase } from "./series-tests.ts";
import type { State } from "./states/index.ts";
import { loadKernel } from "./states/load.ts";

export type TestResult = "pass" | "fail" | "skip";

export interface TestRow {
  readonly id: string;
  readonly title: string;
  /** States in which it must pass; in the others it must fail, unless it says nothing about them (see `skip`). */
  readonly expect: readonly string[];
  readonly results: Readonly<Record<string, TestResult>>;
  /** States whose result is not what is expected. */
  readonly unexpected: readonly string[];
}
export interface ScenarioRow {
  readonly id: string;
  /** Titles of the reports, by state. A state that cannot run it says `error: …`. */
  readonly results: Readonly<Record<string, readonly string[]>>;
}
export interface Matrix {
  readonly version: string;
  readonly states: readonly { readonly state: string; readonly subject: string; readonly files: readonly string[] }[];
  readonly tests: readonly TestRow[];
  readonly scenarios: readonly ScenarioRow[];
  /** States that cannot be loaded, with the reason. */
  readonly broken: Readonly<Record<string, string>>;
}

function message(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n", 1)[0] ?? error.message) : String(error);
}

function scenarioIn(kernel: RunnableKernel, scenario: ScenarioFor<never>, state: State): string[] {
  try {
    return findings(runScenario(kernel, scenario as ScenarioFor<RunnableKernel>, { state: state.name }));
  } catch (error) {
    return [`error: ${message(error)}`];
  }
}

/** Runs everything in every state. @progress: told before each step */
export async function seriesMatrix(
  version: string,
  states: readonly State[],
  cases: readonly SeriesCase[],
  scenarios: readonly ScenarioFor<never>[],
  progress: (what: string) => void = () => {},
): Promise<Matrix> {
  const broken: Record<string, string> = {};
  const tests = cases.map((c) => ({
    id: c.id,
    title: c.title,
    expect: states.filter((s) => mustHold(c, version, s.number) === true).map((s) => s.name),
    results: {} as Record<string, TestResult>,
    unexpected: [] as string[],
  }));
  const found = scenarios.map((s) => ({ id: s.id, results: {} as Record<string, readonly string[]> }));
  for (const state of states) {
    progress(`${state.name} ${state.subject}`);
    let kernel: RunnableKernel;
    try {
      ({ kernel } = await loadKernel(state.dir));
    } catch (error) {
      broken[state.name] = message(error);
      for (const row of tests) row.results[state.name] = "skip";
      for (const row of found) row.results[state.name] = [`error: the state cannot be loaded: ${message(error)}`];
      continue;
    }
    for (const [i, c] of cases.entries()) {
      const row = tests[i];
      const expected = mustHold(c, version, state.number);
      if (!row) continue;
      const holds = expected === null ? null : (await runCase(c, state)).holds;
      row.results[state.name] = holds === null ? "skip" : holds ? "pass" : "fail";
      if (holds !== expected) row.unexpected.push(state.name);
    }
    for (const [i, scenario] of scenarios.entries()) {
      const row = found[i];
      if (row) row.results[state.name] = scenarioIn(kernel, scenario, state);
    }
  }
  return {
    version,
    states: states.map(({ name, subject, files }) => ({ state: name, subject, files })),
    tests,
    scenarios: found,
    broken,
  };
}

/** The states in which a row's result is another than in the state before, as "v1:4: fail → pass". */
export function turns(results: Readonly<Record<string, string>>, states: readonly string[]): string[] {
  const changes: string[] = [];
  for (let i = 1; i < states.length; i++) {
    const [before, after] = [results[states[i - 1] ?? ""], results[states[i] ?? ""]];
    if (before !== after && before !== "skip" && after !== "skip")
      changes.push(`${states[i] ?? ""}: ${before ?? "?"} → ${after ?? "?"}`);
  }
  return changes;
}
