// SPDX-License-Identifier: GPL-2.0-only
/** What the C patches change: patches/expected/series-changes.json and exports.json. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { EXPECTED } from "../paths.ts";

export const LISTS = [
  "functions_changed",
  "functions_added",
  "functions_removed",
  "members_added",
  "members_removed",
  "prototypes_added",
  "prototypes_removed",
  "exports_added",
  "exports_removed",
] as const;
export type List = (typeof LISTS)[number];
export type Changes = Readonly<Record<List, readonly string[]>>;

/** What the C patch does to one C file. */
export interface CChanges extends Partial<Changes> {
  readonly created?: boolean;
}
/** By C file. */
export type CPatch = Readonly<Record<string, CChanges>>;
type ExpectedFile = Readonly<Record<string, Readonly<Record<string, CPatch>>>>;

function readExpected(name: string): ExpectedFile {
  const path = resolve(EXPECTED, name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as ExpectedFile) : {};
}

/** The versions with a C patch behind each of theirs. */
export function expectedVersions(): readonly string[] {
  versions ??= Object.keys(readExpected("series-changes.json"));
  return versions;
}
let versions: readonly string[] | undefined;

/** What the C patch changes, exports included, by C file; null if nothing is known about it. */
export function expectedPatch(version: string, number: number): CPatch | null {
  const changes = readExpected("series-changes.json")[version]?.[number];
  if (!changes) return null;
  const exports = readExpected("exports.json")[version]?.[number] ?? {};
  return Object.fromEntries(Object.entries(changes).map(([file, c]) => [file, { ...c, ...exports[file] }]));
}
