// SPDX-License-Identifier: GPL-2.0-only
/** The states of a version against the tests and the scenarios. */
import { watchModules } from "./modules-seen.ts";
import type { FileResults } from "./results.ts";
import { findings, type RunnableKernel, runScenario, type ScenarioFor } from "./scenario.ts";
import { type CaseResult, mustHold, runCase, type SeriesCase } from "./series-tests.ts";
import { sourceFileOf } from "./source-files.ts";
import type { State } from "./states/index.ts";
import { loadKernel } from "./states/load.ts";

/** "skip": the state cannot be loaded. */
export type TestResult = "pass" | "fail" | "skip";

export interface TestRow {
  readonly id: string;
  readonly title: string;
  /** States in which it must pass; in the others it must fail. Null: it says nothing about this version. */
  readonly expect: readonly string[] | null;
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

function scenarioIn(
  kernel: RunnableKernel,
  scenario: ScenarioFor<never>,
  state: Pick<State, "name">,
): readonly string[] {
  try {
    return findings(runScenario(kernel, scenario as ScenarioFor<RunnableKernel>, { state: state.name, titles: true }));
  } catch (error) {
    return [`error: ${message(error)}`];
  }
}

/** What one state gave, by id. */
export interface Column extends FileResults {
  /** Why the state cannot be loaded. */
  readonly broken?: string;
  /** By file of scenarios: the modules that its runs had to do with. */
  readonly modules?: Readonly<Record<string, readonly string[]>>;
}

/** Runs everything in one state. */
export async function columnOf(
  state: Pick<State, "name" | "dir">,
  cases: readonly SeriesCase[],
  scenarios: readonly ScenarioFor<never>[],
): Promise<Column> {
  let kernel: RunnableKernel;
  try {
    ({ kernel } = await loadKernel(state.dir));
  } catch (error) {
    const broken = message(error);
    const why = [`error: the state cannot be loaded: ${broken}`];
    return { cases: {}, scenarios: Object.fromEntries(scenarios.map((s) => [s.id, why])), broken };
  }
  const results: Record<string, CaseResult> = {};
  for (const c of cases) results[c.id] = await runCase(c, state);
  const seen = watchModules(kernel);
  const modules: Record<string, readonly string[]> = {};
  const found: Record<string, readonly string[]> = {};
  for (const file of new Set(scenarios.map((s) => sourceFileOf(s) ?? ""))) {
    seen.clear();
    for (const s of scenarios) if ((sourceFileOf(s) ?? "") === file) found[s.id] = scenarioIn(kernel, s, state);
    modules[file] = [...seen].sort();
  }
  return { cases: results, scenarios: found, modules };
}

/** Lays the columns of all states side by side. @run: one state; they may run at the same time */
export async function seriesMatrix(
  version: string,
  states: readonly State[],
  cases: readonly SeriesCase[],
  scenarios: readonly ScenarioFor<never>[],
  run: (state: State) => Promise<Column> = (state) => columnOf(state, cases, scenarios),
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
    tests: cases.map((c) => ({
      id: c.id,
      title: c.title,
      expect:
        mustHold(c, version, 0) === null
          ? null
          : states.filter((s) => mustHold(c, version, s.number)).map((s) => s.name),
      results: inEach(({ cases: all }) => (c.id in all ? (all[c.id]?.holds ? "pass" : "fail") : "skip")),
      unexpected: columns
        .filter(({ state, column }) => {
          const expected = mustHold(c, version, state.number);
          return expected !== null && c.id in column.cases && column.cases[c.id]?.holds !== expected;
        })
        .map(({ state }) => state.name),
    })),
    scenarios: scenarios.map((s) => ({ id: s.id, results: inEach((column) => column.scenarios[s.id] ?? []) })),
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
