// SPDX-License-Identifier: GPL-2.0-only
/** Tests over states: what holds in which states, and whether it does. Used by ava and by `klab series` alike. */
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { InputError } from "./errors.ts";
import { ROOT } from "./paths.ts";
import { type Lab, makeLab } from "./scenario.ts";
import { expectedVersions } from "./source/expected.ts";
import { cameFrom } from "./source-files.ts";
import type { State } from "./states/index.ts";
import { loadKernel } from "./states/load.ts";

export interface SeriesCase {
  /** Short, unique, for tables: "free-in-release". */
  readonly id: string;
  /** The patch that it is about: `klab series check` wants it to fail before this one and to pass after it. */
  readonly patch: number;
  /**
   * Where it holds: "v1:4-7", "v1:0-2,5, v2:0-2", "all:1-7". In the other states of a version that is named it must not, with
   * "v3:none" in none of them. "all" is every version with a C patch behind it: what a user adds, nothing is said about.
   */
  readonly holds: string;
  /** One line: what is true where it holds. */
  readonly title: string;
  /** False, or a throw, means that it does not hold. */
  readonly run: (lab: Lab) => boolean | void | Promise<boolean | void>;
}

const CLAIM = /^([A-Za-z][\w.-]*):(none|\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)$/;

/** Version and numbers of one part of `holds`. */
function parseClaim(claim: string): { version: string; numbers: Set<number> } {
  const found = CLAIM.exec(claim);
  if (!found)
    throw new InputError(`${JSON.stringify(claim)} names no states; write "v1:4-7, v2:0,3", "all:1-7" or "v3:none"`);
  const numbers = new Set<number>();
  for (const part of found[2] === "none" ? [] : (found[2] ?? "").split(",")) {
    const [first = 0, last = first] = part.split("-").map(Number);
    for (let n = first; n <= last; n++) numbers.add(n);
  }
  return { version: found[1] ?? "", numbers };
}

/** Whether `c` must hold in a state; null if it says nothing about that version. */
export function mustHold(c: SeriesCase, version: string, number: number): boolean | null {
  const claims = c.holds.split(", ").map(parseClaim);
  const all = expectedVersions().includes(version);
  const about = claims.filter((claim) => claim.version === version || (all && claim.version === "all"));
  return about.length === 0 ? null : about.some((claim) => claim.numbers.has(number));
}

export interface CaseResult {
  readonly holds: boolean;
  /** Why it does not. */
  readonly reason: string;
}

/** Runs a case in a state that is on disk. @throws if the state cannot be loaded */
export async function runCase(c: SeriesCase, state: Pick<State, "name" | "dir">): Promise<CaseResult> {
  const { kernel } = await loadKernel(state.dir);
  try {
    const result = await c.run(makeLab(kernel, state.name));
    return result === false ? { holds: false, reason: "it said so" } : { holds: true, reason: "" };
  } catch (error) {
    return { holds: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

// Test files call seriesTest() while they are loaded. Under ava that makes tests; here they are collected.
let collected: SeriesCase[] | null = null;

/** Called by test/helpers/states.ts. @return false if nobody is collecting, and ava is to have the case */
export function collect(c: SeriesCase): boolean {
  collected?.push(c);
  return collected !== null;
}
export function isCollecting(): boolean {
  return collected !== null;
}

export const SERIES_TESTS = resolve(ROOT, "test/series");
const byFolder = new Map<string, Promise<readonly SeriesCase[]>>();

async function load(folder: string): Promise<readonly SeriesCase[]> {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  } catch {
    return [];
  }
  const cases: SeriesCase[] = [];
  collected = cases;
  try {
    for (const name of names.sort()) {
      const before = cases.length;
      await import(pathToFileURL(resolve(folder, name)).href).catch((error: unknown) => {
        throw new InputError(
          `test/series/${name} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
      cameFrom(resolve(folder, name), cases.slice(before));
    }
  } finally {
    collected = null;
  }
  for (const c of cases) {
    if (cases.some((other) => other !== c && other.id === c.id))
      throw new InputError(`test/series/: two cases are called ${c.id}`);
    mustHold(c, "", 0);
  }
  return cases;
}

/** The cases of all files of test/series/. */
export function allCases(folder: string = SERIES_TESTS): Promise<readonly SeriesCase[]> {
  let cases = byFolder.get(folder);
  if (!cases) byFolder.set(folder, (cases = load(folder)));
  return cases;
}
