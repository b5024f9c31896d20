// SPDX-License-Identifier: GPL-2.0-only
/** klab series, and klab series check. */
import { COLUMNS, type PatchVerdict } from "../verdict.ts";
import { InputError, nearest } from "../errors.ts";
import type { ExitCode, Shell } from "../main.ts";
import { type Matrix, seriesMatrix, turns } from "../matrix.ts";
import { allScenarios } from "../scenario.ts";
import { allCases } from "../series-tests.ts";
import { PLACES, statesOf } from "../states/index.ts";
import { readVersion, versionNames } from "../states/series.ts";
import { table, type Terminal } from "../terminal.ts";
import { threadPool } from "../threads.ts";

function printTests(terminal: Terminal, matrix: Matrix): void {
  const states = matrix.states.map((s) => s.state);
  const mark = { pass: terminal.style("green", "✓"), fail: terminal.style("dim", "✗"), skip: " " };
  const rows = matrix.tests.map((row) => [
    row.id,
    ...states.map((s) =>
      row.unexpected.includes(s)
        ? terminal.style("red", row.results[s] === "pass" ? "✓!" : "✗!")
        : mark[row.results[s] ?? "skip"],
    ),
    turns(row.results, states).join(", ") || "the same in all states",
  ]);
  terminal.line();
  if (rows.length === 0) return terminal.line("There is no test in test/series/.");
  for (const line of table([["test", ...states.map((_, i) => String(i)), "changes in"], ...rows])) terminal.line(line);
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

/** @withFindings: also say in one line per state what the scenarios found */
export async function showSeries(terminal: Terminal, version: string, withFindings: boolean): Promise<ExitCode> {
  if (!versionNames().includes(version) && nearest(version, ["check"]) !== null) {
    throw new InputError(`there is no version ${JSON.stringify(version)}; did you mean klab series check?`);
  }
  const states = await statesOf(version);
  // Tests and scenarios may take long to load too.
  const progress = terminal.progress(states.length);
  const run = threadPool(version, (state) => progress.step(`${state.name} ${state.subject}`));
  const matrix = await seriesMatrix(version, states, await allCases(), await allScenarios(), run);
  progress.end();
  const { broken } = matrix;
  terminal.line(terminal.style("bold", `${version}: ${states.length - 1} patches on the base`));
  for (const line of table(
    matrix.states.map((s) => [s.state, s.subject, s.state in broken ? terminal.style("red", "cannot be loaded") : ""]),
  ))
    terminal.line(line);
  printTests(terminal, matrix);
  printScenarios(terminal, matrix);
  if (withFindings) printFindings(terminal, matrix);
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
    const bad = COLUMNS.filter((column) => patch[column] !== true);
    const sign = bad.length === 0 ? terminal.style("green", "✓") : terminal.style("red", "✗");
    terminal.line(`${sign} ${terminal.style("bold", `${patch.version}:${patch.number}`)} ${patch.subject}`);
    for (const column of bad) {
      for (const line of patch[column] === true ? [] : patch[column]) terminal.line(`    ${column}: ${line}`);
    }
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
  const ok = patches.every((patch) => COLUMNS.every((column) => patch[column] === true));
  printVerdicts(terminal, patches);
  const complete = patches.filter((p) => p.missing.length === 0).length;
  terminal.line(
    `${ok ? "Every patch is" : "Not every patch is"} an equivalent of its C patch${complete < patches.length ? ", as far as its files are ported" : ""}.`,
  );
  terminal.document({ ok, patches });
  return ok ? 0 : 1;
}

export function series({ program, does }: Shell): void {
  const command = program
    .command("series")
    .description("states × tests and states × scenarios; where each test changes its result")
    .argument("[version]", "default v1")
    .option("--json", "print one JSON document")
    .action((version: string | undefined, options: { json?: boolean }) =>
      does(options, (terminal) => showSeries(terminal, version ?? "v1", false)),
    );
  command
    .command("check")
    .description("is each patch an equivalent of its C patch?")
    .argument("[version]", "default: every version there is")
    .option("--json", "print one JSON document")
    .action((version: string | undefined, _options: object, self: { optsWithGlobals(): { json?: boolean } }) =>
      does(self.optsWithGlobals(), (terminal) => {
        const versions = version === undefined ? versionNames() : [version];
        if (versions.length === 0)
          throw new InputError("there is no version in patches/: put one in patches/SERIES/v1/, with a file `series`");
        return showCheck(terminal, versions);
      }),
    );
}
