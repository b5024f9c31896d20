// SPDX-License-Identifier: GPL-2.0-only
/** Documentation/series/000k.md: what each patch changes in what the machine does, over all scenarios. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ROOT } from "../paths.ts";
import { allScenarios, type Scenario, SCENARIOS } from "../scenario.ts";
import { type State, statesOf } from "../states/index.ts";
import { loadKernel } from "../states/load.ts";
import { contentHash } from "../states/tree.ts";
import { sum } from "./align.ts";
import { BOOT, compareRuns, recordRun, type ScenarioDiff } from "./scenario-diff.ts";
import { firstLines, kindLines } from "./show.ts";
import type { Step } from "./stream.ts";

export const PAGES = resolve(ROOT, "Documentation/series");

function textOf(folder: string): string {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .map((name) => readFileSync(resolve(folder, name), "utf8"))
    .join("\0");
}

/** Of everything that a page depends on: two trees, the scenarios, and the code that compares. */
export function fingerprint(before: State, after: State): string {
  const hash = createHash("sha256").update(contentHash(before.tree, "")).update(contentHash(after.tree, ""));
  for (const folder of [SCENARIOS, resolve(ROOT, "test/helpers"), import.meta.dirname]) hash.update(textOf(folder));
  return hash.digest("hex").slice(0, 16);
}

export function pageName(number: number): string {
  return `${String(number).padStart(4, "0")}.md`;
}

function page(before: State, after: State, found: readonly ScenarioDiff[], left: readonly string[]): string {
  const names = [before.name, after.name] as const;
  const differing = found.filter((d) => !d.same);
  const same = found.filter((d) => d.same).map((d) => d.id);
  const block = (lines: readonly string[]): string[] => [
    "```",
    ...lines.map((line) => line.replace(/^ {2}/, "")),
    "```",
  ];
  const out = [
    "<!-- SPDX-License-Identifier: GPL-2.0-only -->",
    `<!-- made by \`npx klab compare --docs\`; of ${fingerprint(before, after)} -->`,
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
    for (const d of differing) out.push(`### ${d.id}`, "", ...block(firstLines(d, names)), "");
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
