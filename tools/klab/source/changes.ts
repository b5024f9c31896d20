// SPDX-License-Identifier: GPL-2.0-only
/** What a patch changes, in the terms of patches/expected/series-changes.json, and how that differs from the C patch. */
import { portOf } from "../paths.ts";
import type { Tree } from "../states/tree.ts";
import { type Changes, type CPatch, type List, LISTS } from "./expected.ts";
import { portName } from "./port-name.ts";
import { definitionOf } from "./resolve.ts";
import { type Summary, summaryOf } from "./summary.ts";

function minus(a: Iterable<string>, b: Iterable<string>): string[] {
  const without = new Set(b);
  return [...new Set(a)].filter((x) => !without.has(x)).sort();
}

function functionsOf(summary: Summary): Map<string, string> {
  return new Map([...summary.declared].filter(([, d]) => d.kind === "function").map(([name, d]) => [name, d.text]));
}

/** Functions that a file hands on from another: what a header's prototypes are here. */
function prototypesOf(tree: Tree, file: string, summary: Summary): string[] {
  return [...summary.reexports.keys()].filter((name) => definitionOf(tree, file, name)?.kind === "function");
}

/** What changes in one file from one tree to the next. */
export function changesOf(before: Tree, after: Tree, file: string): Changes {
  const [old, now] = [summaryOf(before.get(file) ?? ""), summaryOf(after.get(file) ?? "")];
  const [oldFunctions, nowFunctions] = [functionsOf(old), functionsOf(now)];
  const [oldPrototypes, nowPrototypes] = [prototypesOf(before, file, old), prototypesOf(after, file, now)];
  return {
    functions_changed: [...nowFunctions]
      .flatMap(([name, text]) => (oldFunctions.has(name) && oldFunctions.get(name) !== text ? [name] : []))
      .sort(),
    functions_added: minus(nowFunctions.keys(), oldFunctions.keys()),
    functions_removed: minus(oldFunctions.keys(), nowFunctions.keys()),
    members_added: minus(now.structMembers, old.structMembers),
    members_removed: minus(old.structMembers, now.structMembers),
    prototypes_added: minus(nowPrototypes, oldPrototypes),
    prototypes_removed: minus(oldPrototypes, nowPrototypes),
    exports_added: minus(now.symbols, old.symbols),
    exports_removed: minus(old.symbols, now.symbols),
  };
}

/** What is expected of one file of the port: of the C file and its header together. */
function expectedChanges(patch: CPatch, file: string): Changes {
  const sum = Object.fromEntries(LISTS.map((list): [List, Set<string>] => [list, new Set()])) as Record<
    List,
    Set<string>
  >;
  for (const [cFile, changes] of Object.entries(patch)) {
    if (portOf(cFile) !== file) continue;
    for (const list of LISTS) {
      // A prototype in a .c file is a forward declaration, which TypeScript does without.
      if (list.startsWith("prototypes_") && cFile.endsWith(".c")) continue;
      for (const name of changes[list] ?? []) sum[list].add(portName(name));
    }
  }
  return Object.fromEntries(LISTS.map((list): [List, string[]] => [list, [...sum[list]].sort()])) as Record<
    List,
    string[]
  >;
}

const WORDS: Readonly<Record<List, string>> = {
  functions_changed: "is changed",
  functions_added: "is added",
  functions_removed: "is removed",
  members_added: "is added",
  members_removed: "is removed",
  prototypes_added: "gets a prototype",
  prototypes_removed: "loses its prototype",
  exports_added: "is exported to modules",
  exports_removed: "is no longer exported to modules",
};

export interface Comparison {
  readonly files: readonly string[];
  readonly functions: readonly string[];
  readonly members: readonly string[];
  readonly exports: readonly string[];
  /** Files of the C patch that have not been ported, so that nothing can be said about them. */
  readonly missing: readonly string[];
}

/** How a patch differs from the C patch; empty lists where it does not. @changed: the files of the patch */
export function compare(before: Tree, after: Tree, changed: readonly string[], patch: CPatch): Comparison {
  const cFiles = Object.keys(patch);
  const missing = cFiles.filter((c) => !patch[c]?.created && !before.has(portOf(c)) && !after.has(portOf(c)));
  const expected = new Set(cFiles.filter((c) => !missing.includes(c)).map(portOf));
  const result = { functions: [] as string[], members: [] as string[], exports: [] as string[] };
  for (const file of [...new Set([...expected, ...changed])].sort()) {
    const want = expectedChanges(patch, file);
    const have = changesOf(before, after, file);
    for (const list of LISTS) {
      const kind = list.startsWith("functions") ? "functions" : list.startsWith("members") ? "members" : "exports";
      const says = (name: string, where: string): string => `${file}: ${name} ${WORDS[list]} ${where}`;
      result[kind].push(...minus(want[list], have[list]).map((name) => says(name, "in C, not here")));
      result[kind].push(...minus(have[list], want[list]).map((name) => says(name, "here, not in C")));
    }
  }
  return {
    files: [
      ...minus(expected, changed).map((file) => `${file} is not changed, and its C file is`),
      ...minus(changed, expected).map((file) => `${file} is changed, and its C file is not`),
    ],
    ...result,
    missing,
  };
}
