// SPDX-License-Identifier: GPL-2.0-only
/** klab series, and klab series check. */
import { relative } from "node:path";
import type { Command } from "commander";
import { InputError, nearest } from "../errors.ts";
import type { ExitCode, Shell } from "../main.ts";
import { type Column, type Matrix, seriesMatrix, turns } from "../matrix.ts";
import { ROOT } from "../paths.ts";
import { allScenarios } from "../scenario.ts";
import { allCases } from "../series-tests.ts";
import { expectedVersions } from "../source/expected.ts";
import { PLACES, statesOf } from "../states/index.ts";
import { readVersion, versionNames } from "../states/series.ts";
import { table, type Terminal } from "../terminal.ts";
import { ColumnMaker } from "../threads.ts";
import { COLUMNS, type PatchVerdict } from "../verdict.ts";

const SUBCOMMANDS = ["check", "add", "remove"];

function printTests(terminal: Terminal, matrix: Matrix): void {
  const states = matrix.states.map((s) => s.state);
  const mark = { pass: terminal.style("green", "✓"), fail: terminal.style("dim", "✗"), skip: " " };
  // What no patch changes is not what the series is about.
  const moving = matrix.tests.filter((row) => row.unexpected.length > 0 || turns(row.results, states).length > 0);
  const still = matrix.tests.length - moving.length;
  const rows = moving.map((row) => [
    row.id,
    ...states.map((s) =>
      row.unexpected.includes(s)
        ? terminal.style("red", row.results[s] === "pass" ? "✓!" : "✗!")
        : mark[row.results[s] ?? "skip"],
    ),
    turns(row.results, states).join(", "),
  ]);
  terminal.line();
  if (matrix.tests.length === 0) return terminal.line("There is no test in test/series/.");
  if (rows.length > 0) {
    terminal.line("✓: passes in this state; a test that is named after a fault passes where the fault is");
    for (const line of table([["test", ...states.map((_, i) => String(i)), "changes in"], ...rows]))
      terminal.line(line);
  }
  if (still > 0) terminal.line(`${still} ${still === 1 ? "test gives" : "tests give"} the same in all states`);
  if (matrix.tests.some((row) => row.unexpected.length > 0)) terminal.line("! is not what the test expects there");
}

function printScenarios(terminal: Terminal, matrix: Matrix): void {
  const states = matrix.states.map((s) => s.state);
  terminal.line();
  if (matrix.scenarios.length === 0) return terminal.line("There is no scenario in test/scenarios/.");
  const rows = matrix.scenarios.map((row) => [
    row.id,
    ...states.map((s) => {
      const n = row.results[s]?.length ?? 0;
      return n === 0 ? terminal.style("dim", "·") : terminal.style("red", String(n));
    }),
  ]);
  for (const line of table([["scenario: reports", ...states.map((_, i) => String(i))], ...rows])) terminal.line(line);
}

function patchesOf(n: number): string {
  return `${n} ${n === 1 ? "patch" : "patches"}`;
}

/** What was found in a state, with the scenarios that found it. */
function foundIn(matrix: Matrix, state: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const row of matrix.scenarios)
    for (const title of row.results[state] ?? []) found.set(title, [...(found.get(title) ?? []), row.id]);
  return found;
}

/** A line per state, and below it what is new there and what is gone; what is the same everywhere comes first. */
function printFindings(terminal: Terminal, matrix: Matrix): void {
  terminal.line();
  if (matrix.scenarios.length === 0) return;
  const perState = matrix.states.map((s) => foundIn(matrix, s.state));
  const everywhere = [...(perState[0]?.keys() ?? [])].filter((title) => perState.every((found) => found.has(title)));
  if (everywhere.length > 0) terminal.line(terminal.style("bold", "In every state"));
  for (const title of everywhere) terminal.line(`    ${title}`);
  let before = new Map(everywhere.map((title) => [title, [""]]));
  for (const [i, found] of perState.entries()) {
    const { state = "", subject = "" } = matrix.states[i] ?? {};
    const added = [...found].filter(([title]) => !before.has(title));
    const gone = [...before.keys()].filter((title) => !found.has(title));
    const changes = [added.length > 0 ? `${added.length} new` : "", gone.length > 0 ? `${gone.length} gone` : ""];
    const summary = changes.filter((c) => c !== "").join(", ");
    terminal.line(`${terminal.style("bold", state)}  ${subject}: ${found.size} found${summary && `; ${summary}`}`);
    for (const [title, scenarios] of added)
      terminal.line(`  ${terminal.style("red", "+")} ${title}  [${scenarios.join(" ")}]`);
    for (const title of gone) terminal.line(`  ${terminal.style("green", "-")} ${title}`);
    before = found;
  }
}

/** All states of a version with all tests and scenarios. @fresh: run everything, also what is known */
async function matrixOf(terminal: Terminal, version: string, fresh: boolean): Promise<Matrix> {
  const [cases, scenarios] = [await allCases(), await allScenarios()];
  const maker = new ColumnMaker(cases, scenarios, fresh);
  const progress = terminal.progress(readable(version));
  const columns = new Map<string, Promise<Column>>();
  try {
    // The first states run while the others are made.
    const states = await statesOf(version, PLACES, (state) => {
      const column = maker.column(state, () => progress.step(`${state.name} ${state.subject}`));
      // Whoever waits for it below hears of an error; until then it is nobody's.
      column.catch(() => {});
      columns.set(state.name, column);
    });
    return await seriesMatrix(
      version,
      states,
      cases,
      scenarios,
      (state) => columns.get(state.name) ?? maker.column(state, () => {}),
    );
  } finally {
    progress.end();
    await maker.close();
  }
}

/** Number of states, for the progress. */
function readable(version: string): number {
  return versionNames().includes(version) ? readVersion(version).patches.length + 1 : 2;
}

export async function showSeries(
  terminal: Terminal,
  version: string,
  { fresh = false }: { readonly fresh?: boolean } = {},
): Promise<ExitCode> {
  const near = versionNames().includes(version) ? null : nearest(version, SUBCOMMANDS);
  if (near !== null) {
    throw new InputError(`there is no version ${JSON.stringify(version)}; did you mean klab series ${near}?`);
  }
  const matrix = await matrixOf(terminal, version, fresh);
  const { broken } = matrix;
  terminal.line(terminal.style("bold", `${version}: ${patchesOf(matrix.states.length - 1)} on the base`));
  for (const line of table(
    matrix.states.map((s) => [s.state, s.subject, s.state in broken ? terminal.style("red", "cannot be loaded") : ""]),
  ))
    terminal.line(line);
  printTests(terminal, matrix);
  printScenarios(terminal, matrix);
  printFindings(terminal, matrix);
  for (const [state, reason] of Object.entries(broken)) terminal.note(`${state} cannot be loaded: ${reason}`);
  terminal.document({
    version,
    states: matrix.states,
    tests: matrix.tests.map(({ id, expect, results }) => ({ id, expect, results })),
    scenarios: matrix.scenarios,
  });
  const failed = matrix.scenarios.some((row) =>
    Object.values(row.results).some((titles) => titles.some((t) => t.startsWith("error: "))),
  );
  return failed || Object.keys(broken).length > 0 || matrix.tests.some((row) => row.unexpected.length > 0) ? 1 : 0;
}

function printVerdicts(terminal: Terminal, patches: readonly PatchVerdict[]): void {
  for (const patch of patches) {
    const bad = COLUMNS.filter((column) => patch[column] !== true && patch[column] !== null);
    const sign = bad.length === 0 ? terminal.style("green", "✓") : terminal.style("red", "✗");
    terminal.line(`${sign} ${terminal.style("bold", `${patch.version}:${patch.number}`)} ${patch.subject}`);
    for (const column of bad) {
      const lines = patch[column];
      if (typeof lines === "object") for (const line of lines ?? []) terminal.line(`    ${column}: ${line}`);
    }
    if (patch.files === null) terminal.line("    there is no C patch to compare it with");
    if (patch.missing.length > 0) terminal.line(`    not ported, so not compared: ${patch.missing.join(", ")}`);
  }
}

async function showCheck(terminal: Terminal, versions: readonly string[]): Promise<ExitCode> {
  const { checkVersion, JUDGES } = await import("../check.ts");
  const total = versions.reduce((sum, name) => sum + readVersion(name).patches.length, 0);
  const progress = terminal.progress(total);
  const patches: PatchVerdict[] = [];
  for (const name of versions)
    patches.push(...(await checkVersion(name, PLACES, JUDGES, (what) => progress.step(what))));
  progress.end();
  const ok = patches.every((patch) => COLUMNS.every((column) => patch[column] === true || patch[column] === null));
  printVerdicts(terminal, patches);
  const complete = patches.filter((p) => p.missing.length === 0).length;
  const compared = patches.some((p) => p.files !== null);
  const claim = compared ? "an equivalent of its C patch" : "fit for the tree";
  terminal.line(
    `${ok ? "Every patch is" : "Not every patch is"} ${claim}${complete < patches.length ? ", as far as its files are ported" : ""}.`,
  );
  terminal.document({ ok, patches });
  return ok ? 0 : 1;
}

export function series({ program, does }: Shell): void {
  const command = program
    .command("series")
    .description("states × tests and states × scenarios; where each test changes its result")
    .argument(
      "[version]",
      "default v1; also a series of your own, or a folder with a tree, which is laid beside the base",
    )
    .option("--fresh", "run everything, also what has been run on the same content before")
    .option("--json", "print one JSON document")
    .action((version: string | undefined, options: { json?: boolean; fresh?: boolean }) =>
      does(options, (terminal) => showSeries(terminal, version ?? "v1", { fresh: options.fresh === true })),
    );
  command
    .command("check")
    .description("is each patch an equivalent of its C patch?")
    .argument("[version]", "default: every version with C patches")
    .option("--json", "print one JSON document")
    .action((version: string | undefined, _options: object, self: { optsWithGlobals(): { json?: boolean } }) =>
      does(self.optsWithGlobals(), (terminal) => {
        const versions =
          version === undefined ? versionNames().filter((v) => expectedVersions().includes(v)) : [version];
        if (versions.length === 0)
          throw new InputError("there is no version in patches/: put one in patches/SERIES/v1/, with a file `series`");
        return showCheck(terminal, versions);
      }),
    );
  command
    .command("add")
    .description("make a series of patches of your own; everything that takes a version or a state takes it then")
    .argument("<name>", "what to call it: its states are NAME:0, NAME:1, …")
    .argument("<patches>", "a folder (its file `series`, or all *.patch in order), an mbox, or one patch")
    .option("--on <state>", "the state that they are for; the patches before it become part of the series", "base")
    .option("--json", "print one JSON document")
    .action((name: string, source: string, _options: object, self: Command) =>
      does(self.optsWithGlobals(), async (terminal) => {
        const [{ addSeries }, { typecheck }] = [await import("../states/own.ts"), await import("../check.ts")];
        const { on } = self.opts<{ on: string }>();
        const { folder, states } = await addSeries(name, source, { on, typecheck });
        terminal.line(
          `${name}: ${states.length - 1} patches in ${relative(ROOT, folder)}, states ${states[0] ?? ""} to ${states.at(-1) ?? ""}`,
        );
        terminal.document({ name, folder, states });
        return 0;
      }),
    );
  command
    .command("remove")
    .description("forget a series that was added")
    .argument("<name>", "as klab series add was told")
    .option("--json", "print one JSON document")
    .action((name: string, _options: object, self: Command) =>
      does(self.optsWithGlobals(), async (terminal) => {
        const { removeSeries } = await import("../states/own.ts");
        removeSeries(name);
        terminal.line(`${name} is gone`);
        terminal.document({ name });
        return 0;
      }),
    );
}
