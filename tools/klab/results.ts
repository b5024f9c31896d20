// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the files of test/series/ and test/scenarios/ gave in a state, kept by content: that of the state, of the file with all
 * that it imports, and of the code that runs them. Equal names therefore mean equal results, whoever asks.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { contentFor } from "./modules-seen.ts";
import { CACHE, ROOT } from "./paths.ts";
import type { CaseResult } from "./series-tests.ts";
import type { State } from "./states/index.ts";

/** By the id of the case or of the scenario. */
export interface FileResults {
  readonly cases: Readonly<Record<string, CaseResult>>;
  /** What the scenario found. */
  readonly scenarios: Readonly<Record<string, readonly string[]>>;
}

const FOLDER = join(CACHE, "results");
const DAY = 24 * 3600_000;
const KEEP_MS = 14 * DAY;

/** Whatever a file may load at run time; imports of types alone are gone by then. */
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(?!type\b)(?:[^;"']*?\bfrom\s*)?["'](\.[^"']+)["']|\bimport\(\s*["'](\.[^"']+)["']\s*\)/g;

const texts = new Map<string, { text: string; next: readonly string[] }>();

/** What looks like an import may be one in a string, of a file that is not there. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function read(path: string): { text: string; next: readonly string[] } {
  let found = texts.get(path);
  if (!found) {
    const text = textOf(path);
    const next = [...text.matchAll(IMPORT)].map((m) => resolve(dirname(path), m[1] ?? m[2] ?? ""));
    texts.set(path, (found = { text, next }));
  }
  return found;
}

/** Names the content of files and of all that they import, directly or not. */
export function contentOf(first: string, ...others: readonly string[]): string {
  const seen = new Set<string>();
  const todo = [first, ...others];
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    todo.push(...read(path).next);
  }
  const hash = createHash("sha256").update(process.version);
  for (const path of [...seen].sort()) hash.update(`\0${relative(dirname(first), path)}\0${read(path).text}`);
  return hash.digest("hex");
}

/** The code that makes states and runs files: what a thread loads before it gets any, and the versions of the packages. */
const RUNNERS = ["thread.mjs", "states/index.ts", "states/hooks.mjs"]
  .map((name) => resolve(import.meta.dirname, name))
  .concat(resolve(ROOT, "package-lock.json"));
const keys = new Map<string, string>();

function keyOf(file: string): string {
  let key = keys.get(file);
  if (key === undefined) keys.set(file, (key = contentOf(file, ...RUNNERS)));
  return key;
}

/** @state: what names its content; @file: of test/series/ or test/scenarios/ */
function pathOf(state: string, file: string, folder: string): string {
  const name = createHash("sha256")
    .update(`${state}\0${keyOf(file)}`)
    .digest("hex")
    .slice(0, 40);
  return join(folder, `${name}.json`);
}

function readJson<T>(path: string): T | null {
  try {
    const found = JSON.parse(readFileSync(path, "utf8")) as T;
    const now = new Date();
    utimesSync(path, now, now);
    return found;
  } catch {
    return null;
  }
}

/** A cache that cannot be written only means that all of it is done again the next time. */
function writeJson(path: string, value: unknown): void {
  const making = `${path}.${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(making, JSON.stringify(value));
    renameSync(making, path);
  } catch {
    try {
      rmSync(making, { force: true });
    } catch {
      // Nor is there anything to remove.
    }
  }
}

type Known = Pick<State, "dir" | "tree">;

/** The sets of modules that runs of a file had to do with, so far. */
function setsOf(file: string, folder: string): readonly (readonly string[])[] {
  return readJson<string[][]>(pathOf("modules", file, folder)) ?? [];
}

/** What is known: of this state, or of another that differs in modules only that have nothing to do with it; null if nothing is. */
export async function knownResults(state: Known, file: string, folder: string = FOLDER): Promise<FileResults | null> {
  const own = readJson<FileResults>(pathOf(basename(state.dir), file, folder));
  if (own) return own;
  for (const modules of setsOf(file, folder)) {
    const content = await contentFor(state.tree, modules);
    const shared = content === null ? null : readJson<FileResults>(pathOf(content, file, folder));
    if (shared) return shared;
  }
  return null;
}

/** Keeps results. @modules: with which they have to do; without, they are this state's only */
export async function keepResults(
  state: Known,
  file: string,
  results: FileResults,
  modules?: readonly string[],
  folder: string = FOLDER,
): Promise<void> {
  writeJson(pathOf(basename(state.dir), file, folder), results);
  const content = modules ? await contentFor(state.tree, modules) : null;
  if (!modules || content === null) return;
  writeJson(pathOf(content, file, folder), results);
  const sets = setsOf(file, folder);
  if (!sets.some((set) => set.join() === modules.join()))
    writeJson(pathOf("modules", file, folder), [...sets, modules]);
}

/** Forgets what nobody asked for in a long time. */
export function forgetOldResults(folder: string = FOLDER): void {
  try {
    for (const name of readdirSync(folder)) {
      const age = Date.now() - (statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > KEEP_MS) rmSync(join(folder, name), { force: true });
    }
  } catch {
    // There is nothing yet.
  }
}
