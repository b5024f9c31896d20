// SPDX-License-Identifier: GPL-2.0-only
/** Documentation/series/000k.md: what each patch changes in what the machine does, over all scenarios, version by version. */
import { resolve } from "node:path";
import { ROOT } from "../paths.ts";
import { allScenarios, type Scenario } from "../scenario.ts";
import { expectedVersions } from "../source/expected.ts";
import { type State, statesOf } from "../states/index.ts";
import { loadKernel } from "../states/load.ts";
import { versionNames } from "../states/series.ts";
import { BOOT, compareRuns, recordRun, type ScenarioDiff, summary } from "./scenario-diff.ts";
import { firstLines, handoverLines, kindLines, objectLines } from "./show.ts";
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
  return [`#### ${diff.id}`, "", ...block(firstLines(diff, names))].join("\n");
}

/** What there is to say of one patch of one version. */
function section(before: State, after: State, found: readonly ScenarioDiff[], left: readonly string[]): string {
  const names = [before.name, after.name] as const;
  const differing = found.filter((d) => !d.same);
  const same = found.filter((d) => d.same).map((d) => d.id);
  const { diffs, objects, handovers } = summary(found);
  const out = [
    `What \`${after.name}\` does otherwise than \`${before.name}\`, under the quiet schedule. ${differing.length} of ${found.length} scenarios differ.`,
    `\`npx klab compare ${before.name} ${after.name} SCENARIO\` shows one of them.`,
    "",
  ];
  if (objects.length > 0)
    out.push(
      "### Who allocates and frees what",
      "",
      ...block([...objectLines(objects), ...handoverLines(handovers)]),
      "",
    );
  if (differing.length > 0) {
    out.push("### All scenarios, added up", "", ...block(kindLines(diffs)), "");
    out.push("### First difference of each", "");
    for (const d of differing) out.push(firstSection(d, names), "");
  }
  out.push("### The same in both", "", same.length > 0 ? same.join(", ") : "None.", "");
  if (left.length > 0)
    out.push("### Not compared", "", `${left.join(", ")}: a run for each allocation that can fail.`, "");
  return out.join("\n");
}

interface Section {
  readonly version: string;
  readonly subject: string;
  readonly text: string;
}

/** A page for each patch, with a section for each version; what a version says as another did before is said once. */
function pagesOf(sections: ReadonlyMap<number, readonly Section[]>): Map<string, string> {
  const pages = new Map<string, string>();
  for (const [number, all] of sections) {
    const out = [
      "<!-- SPDX-License-Identifier: GPL-2.0-only -->",
      "<!-- made by `npx klab compare --docs` -->",
      "",
      `# Patch ${number}: ${all[0]?.subject ?? ""}`,
      "",
    ];
    const said = new Map<string, string>();
    for (const { version, text } of all) {
      const wording = text.replaceAll(`${version}:`, "");
      const before = said.get(wording);
      if (before === undefined) said.set(wording, version);
      out.push(`## ${version}:${number}`, "", before === undefined ? text : `As in ${before}, in everything.\n`);
    }
    pages.set(pageName(number), out.join("\n"));
  }
  return pages;
}

/** The versions that the pages are about. */
export function pageVersions(): string[] {
  return versionNames().filter((version) => expectedVersions().includes(version));
}

type Runs = readonly (readonly Step[])[];

/** Runs everything once in each state of all versions. @return the pages by name */
export async function makePages(progress: (what: string) => void = () => {}): Promise<Map<string, string>> {
  const all = await allScenarios();
  const scenarios = [BOOT as Scenario, ...all.filter((s) => !s.faults)];
  const left = all.filter((s) => s.faults).map((s) => s.id);
  const sections = new Map<number, Section[]>();
  // Every version has the same base.
  let base: { readonly dir: string; readonly runs: Runs } | null = null;
  for (const version of pageVersions()) {
    let before: { readonly state: State; readonly runs: Runs } | null = null;
    for (const state of await statesOf(version)) {
      progress(`${state.name} ${state.subject}`);
      const { kernel } = await loadKernel(state.dir);
      const runs: Runs = base?.dir === state.dir ? base.runs : scenarios.map((s) => recordRun(kernel, s));
      base ??= { dir: state.dir, runs };
      if (before) {
        const last: { readonly state: State; readonly runs: Runs } = before;
        const found = scenarios.map((s, i) => compareRuns(s.id, last.runs[i] ?? [], runs[i] ?? []));
        const text = section(last.state, state, found, left);
        const here = sections.get(state.number) ?? [];
        sections.set(state.number, [...here, { version, subject: state.subject, text }]);
      }
      before = { state, runs };
    }
  }
  return pagesOf(sections);
}
