// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the files of test/series/ and test/scenarios/ gave in a state, kept by content: that of the state, of the file with all
 * that it imports, and of the code that runs them. Equal names therefore mean equal results, whoever asks.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { CACHE, ROOT } from "./paths.ts";
import type { CaseResult } from "./series-tests.ts";

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

/** The code that runs files: what a thread loads before it gets any, and the versions of the packages. */
const RUNNERS = [resolve(import.meta.dirname, "thread.mjs"), resolve(ROOT, "package-lock.json")];
const keys = new Map<string, string>();

/** @dir: of the state; @file: of test/series/ or test/scenarios/ */
function pathOf(dir: string, file: string, folder: string): string {
  let key = keys.get(file);
  if (key === undefined) keys.set(file, (key = contentOf(file, ...RUNNERS)));
  const name = createHash("sha256")
    .update(`${basename(dir)}\0${key}`)
    .digest("hex")
    .slice(0, 40);
  return join(folder, `${name}.json`);
}

/** What is known; null if nothing is. */
export function knownResults(dir: string, file: string, folder: string = FOLDER): FileResults | null {
  const path = pathOf(dir, file, folder);
  try {
    const results = JSON.parse(readFileSync(path, "utf8")) as FileResults;
    const now = new Date();
    utimesSync(path, now, now);
    return results;
  } catch {
    return null;
  }
}

/** Keeps results. A cache that cannot be written only means that all of it is done again the next time. */
export function keepResults(dir: string, file: string, results: FileResults, folder: string = FOLDER): void {
  const path = pathOf(dir, file, folder);
  const making = `${path}.${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(making, JSON.stringify(results));
    renameSync(making, path);
  } catch {
    try {
      rmSync(making, { force: true });
    } catch {
      // Nor is there anything to remove.
    }
  }
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
