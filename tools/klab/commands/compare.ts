// SPDX-License-Identifier: GPL-2.0-only
/** klab compare: what two states do differently. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { makePages, PAGES, pageVersions } from "../compare/docs.ts";
import { BOOT, compareScenario, type ScenarioDiff, summary } from "../compare/scenario-diff.ts";
import { handoverLines, objectLines, scenarioLines } from "../compare/show.ts";
import { InputError } from "../errors.ts";
import type { ExitCode, Shell } from "../main.ts";
import { ROOT } from "../paths.ts";
import { allScenarios, type Scenario, scenarioOf } from "../scenario.ts";
import { state as stateOf } from "../states/index.ts";
import { loadState } from "../states/load.ts";
import type { Terminal } from "../terminal.ts";

async function chosen(ids: readonly string[]): Promise<{ scenarios: Scenario[]; left: string[] }> {
  if (ids.length > 0) {
    const scenarios: Scenario[] = [];
    for (const id of ids) scenarios.push(id === BOOT.id ? (BOOT as Scenario) : await scenarioOf(id));
    return { scenarios, left: [] };
  }
  const all = await allScenarios();
  // One run for each allocation: minutes, which nobody asked for.
  const left = all.filter((s) => s.faults).map((s) => s.id);
  return { scenarios: [BOOT as Scenario, ...all.filter((s) => !s.faults)], left };
}

async function compareStates(terminal: Terminal, one: string, two: string, ids: readonly string[]): Promise<ExitCode> {
  const [state1, state2] = [await stateOf(one), await stateOf(two)];
  const { scenarios, left } = await chosen(ids);
  const [kernel1, kernel2] = [await loadState(state1), await loadState(state2)];
  const progress = terminal.progress(scenarios.length);
  const found: ScenarioDiff[] = [];
  const paint = {
    gone: (text: string) => terminal.style("red", text),
    come: (text: string) => terminal.style("green", text),
    head: (text: string) => terminal.style("bold", text),
  };
  for (const scenario of scenarios) {
    progress.step(scenario.id);
    const diff = compareScenario(kernel1, kernel2, scenario);
    found.push(diff);
    progress.end();
    for (const line of scenarioLines(diff, [state1.name, state2.name], paint)) terminal.line(line);
  }
  const all = summary(found);
  if (all.objects.length > 0) {
    terminal.line(paint.head("Who allocates and frees what, in all of them"));
    for (const line of objectLines(all.objects, paint)) terminal.line(line);
    for (const line of handoverLines(all.handovers)) terminal.line(line);
  }
  const differing = found.filter((d) => !d.same).length;
  terminal.line(`${differing} of ${found.length} scenarios differ between ${state1.name} and ${state2.name}`);
  if (left.length > 0) terminal.line(`not compared unless named, as they take minutes: ${left.join(", ")}`);
  terminal.document({ scenarios: found, summary: all });
  return differing > 0 ? 1 : 0;
}

async function writePages(terminal: Terminal): Promise<ExitCode> {
  const progress = terminal.progress(8 * pageVersions().length);
  const pages = await makePages((what) => progress.step(what));
  progress.end();
  await mkdir(PAGES, { recursive: true });
  for (const [name, text] of pages) {
    const path = join(PAGES, name);
    // Beside its place first, so that no page is ever half a page.
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
    terminal.line(relative(ROOT, path));
  }
  terminal.document({ pages: [...pages.keys()] });
  return 0;
}

export function compare({ program, does }: Shell): void {
  program
    .command("compare")
    .description("what two states do differently under the same scenario and schedule")
    .argument("[state1]", "v1:4, v1, base, or a folder")
    .argument("[state2]", "the other one")
    .argument("[scenarios...]", "default: all but those in which every allocation fails in turn")
    .option("--docs", "write Documentation/series/ instead: each patch of each version against the state before it")
    .option("--json", "print one JSON document")
    .action(
      (
        one: string | undefined,
        two: string | undefined,
        ids: readonly string[],
        options: { docs?: boolean; json?: boolean },
      ) =>
        does(options, (terminal) => {
          if (options.docs) {
            if (one !== undefined)
              throw new InputError("--docs is about all states of all versions; leave the states out");
            return writePages(terminal);
          }
          if (one === undefined || two === undefined)
            throw new InputError("compare what? name two states, for example klab compare v1:3 v1:4");
          return compareStates(terminal, one, two, ids);
        }),
    );
}
