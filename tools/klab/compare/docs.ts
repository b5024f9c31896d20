// SPDX-License-Identifier: GPL-2.0-only
/** Documentation/series/000k.md: what each patch changes in what the machine does, over all scenarios. */
import { resolve } from "node:path";
import { ROOT } from "../paths.ts";
import { allScenarios, type Scenario } from "../scenario.ts";
import { type State, statesOf } from "../states/index.ts";
import { loadKernel } from "../states/load.ts";
import { sum } from "./align.ts";
import { BOOT, compareRuns, recordRun, type ScenarioDiff } from "./scenario-diff.ts";
import { firstLines, kindLines } from "./show.ts";
import type { Step } from "./stream.ts";

export const PAGES = resolve(ROOT, "Documentation/series");

export function pageName(number: number): string {
  return `${String(number).padStart(4, "0")}.md`;
}

function block(lines: readonly string[]): string[] {
  return ["```", ...lines.map((line) => line.replace(/^ {2}/, "")), "```"];
}

/** The part of a page that says where the runs of one scenario part. */
export function firstSection(diff: ScenarioDiff, names: readonly [string, string]): string {
  return [`### ${diff.id}`, "", ...block(firstLines(diff, names))].join("\n");
}

function page(before: State, after: State, found: readonly ScenarioDiff[], left: readonly string[]): string {
  const names = [before.name, after.name] as const;
  const differing = found.filter((d) => !d.same);
  const same = found.filter((d) => d.same).map((d) => d.id);
  const out = [
    "<!-- SPDX-License-Identifier: GPL-2.0-only -->",
    "<!-- made by `npx klab compare --docs` -->",
    "",
    `# ${after.name}: ${after.subject}`,
    "",
    `What \`${after.name}\` does otherwise than \`${before.name}\`, under the quiet schedule. ${differing.length} of ${found.length} scenarios differ.`,
    `\`npx klab compare ${before.name} ${after.name} SCENARIO\` shows one of them.`,
    "",
  ];
  if (differing.length > 0) {
    out.push("## All scenarios, added up", "");
    out.push(...block(kindLines(sum(differing.map((d) => d.diffs)))), "");
    out.push("## First difference of each", "");
    for (const d of differing) out.push(firstSection(d, names), "");
  }
  out.push("## The same in both", "", same.length > 0 ? same.join(", ") : "None.", "");
  if (left.length > 0)
    out.push("## Not compared", "", `${left.join(", ")}: a run for each allocation that can fail.`, "");
  return out.join("\n");
}

/** Runs everything once in each state of a version. @return the pages by name */
export async function makePages(
  version: string,
  progress: (what: string) => void = () => {},
): Promise<Map<string, string>> {
  const all = await allScenarios();
  const scenarios = [BOOT as Scenario, ...all.filter((s) => !s.faults)];
  const left = all.filter((s) => s.faults).map((s) => s.id);
  const pages = new Map<string, string>();
  let before: { state: State; runs: readonly (readonly Step[])[] } | null = null;
  for (const state of await statesOf(version)) {
    progress(`${state.name} ${state.subject}`);
    const { kernel } = await loadKernel(state.dir);
    const runs: readonly (readonly Step[])[] = scenarios.map((s) => recordRun(kernel, s));
    if (before) {
      const last = before;
      const found = scenarios.map((s, i) => compareRuns(s.id, last.runs[i] ?? [], runs[i] ?? []));
      pages.set(pageName(state.number), page(last.state, state, found, left));
    }
    before = { state, runs };
  }
  return pages;
}
