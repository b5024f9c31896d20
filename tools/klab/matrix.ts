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
    return findings(runScenario(kernel, scenario as ScenarioFor<RunnableKernel>, { state: state.name, titles: true }));
  } catch (error) {
    return [`error: ${message(error)}`];
  }
}

/** What one state gave. The results stand in the order of the cases and of the scenarios. */
export interface Column {
  /** Null: the case says nothing about this version. */
  readonly holds: readonly (boolean | null)[];
  readonly found: readonly (readonly string[])[];
  /** Why the state cannot be loaded. */
  readonly broken?: string;
}

/** Runs everything in one state. */
export async function columnOf(
  version: string,
  state: State,
  cases: readonly SeriesCase[],
  scenarios: readonly ScenarioFor<never>[],
): Promise<Column> {
  let kernel: RunnableKernel;
  try {
    ({ kernel } = await loadKernel(state.dir));
  } catch (error) {
    const broken = message(error);
    const why = [`error: the state cannot be loaded: ${broken}`];
    return { holds: cases.map(() => null), found: scenarios.map(() => why), broken };
  }
  const holds: (boolean | null)[] = [];
  for (const c of cases)
    holds.push(mustHold(c, version, state.number) === null ? null : (await runCase(c, state)).holds);
  return { holds, found: scenarios.map((scenario) => scenarioIn(kernel, scenario, state)) };
}

/** Runs everything in every state. @run: one state; they may run side by side */
export async function seriesMatrix(
  version: string,
  states: readonly State[],
  cases: readonly SeriesCase[],
  scenarios: readonly ScenarioFor<never>[],
  run: (state: State) => Promise<Column> = (state) => columnOf(version, state, cases, scenarios),
): Promise<Matrix> {
  const columns = await Promise.all(states.map(async (state) => ({ state, column: await run(state) })));
  const inEach = <T>(value: (column: Column, state: State) => T): Record<string, T> =>
    Object.fromEntries(columns.map(({ state, column }) => [state.name, value(column, state)]));
  const broken = columns.flatMap(({ state, column }) =>
    column.broken === undefined ? [] : [[state.name, column.broken] as const],
  );
  return {
    version,
    states: states.map(({ name, subject, files }) => ({ state: name, subject, files })),
    tests: cases.map((c, i) => ({
      id: c.id,
      title: c.title,
      expect: states.filter((s) => mustHold(c, version, s.number) === true).map((s) => s.name),
      results: inEach(({ holds }) => ((holds[i] ?? null) === null ? "skip" : holds[i] ? "pass" : "fail")),
      unexpected: columns
        .filter(({ state, column }) => !column.broken && column.holds[i] !== mustHold(c, version, state.number))
        .map(({ state }) => state.name),
    })),
    scenarios: scenarios.map((s, i) => ({ id: s.id, results: inEach(({ found }) => found[i] ?? []) })),
    broken: Object.fromEntries(broken),
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
