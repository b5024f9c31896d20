// SPDX-License-Identifier: GPL-2.0-only
/** Is every patch of a version an equivalent of its C patch? */
import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import { InputError } from "./errors.ts";
import { ROOT } from "./paths.ts";
import { runTool } from "./process.ts";
import { allCases, mustHold, runCase, type SeriesCase } from "./series-tests.ts";
import { compare } from "./source/changes.ts";
import { type CPatch, expectedPatch, expectedVersions } from "./source/expected.ts";
import { materialiseTree, PLACES, type Places, type State } from "./states/index.ts";
import { applyTo, type Patch } from "./states/patch.ts";
import { readVersion } from "./states/series.ts";
import { readTree, type Tree } from "./states/tree.ts";
import type { PatchVerdict, Verdict } from "./verdict.ts";

/** What a tree on disk is asked; the tests have answers of their own. */
export interface Judges {
  typecheck(dir: string): Promise<Verdict>;
  lint(dir: string, files: readonly string[]): Promise<Verdict>;
  tests(version: string, number: number, before: State, after: State): Promise<Verdict>;
}

function verdict(differing: readonly string[]): Verdict {
  return differing.length === 0 ? true : differing;
}

export async function typecheck(dir: string): Promise<Verdict> {
  const { code, stdout, stderr } = await runTool("tsc", ["--noEmit", "--pretty", "false", "-p", "."], dir);
  if (code === 0) return true;
  const lines = (stdout || stderr).split("\n").filter((line) => line !== "" && !line.startsWith(" "));
  if (lines.length === 0) return [`tsc ended with ${code ?? "a signal"}`];
  // An out-of-tree module that a patch breaks is what the module is there to show.
  return verdict(lines.filter((line) => !line.startsWith("test/modules/")));
}

interface LintedFile {
  readonly filePath: string;
  readonly messages: readonly {
    readonly line?: number;
    readonly message: string;
    readonly ruleId: string | null;
    readonly severity: number;
  }[];
}

async function lint(dir: string, files: readonly string[]): Promise<Verdict> {
  const config = resolve(ROOT, "eslint.config.js");
  const present = files.filter((file) => existsSync(resolve(dir, file)));
  if (!existsSync(config)) return ["there is no eslint.config.js"];
  if (present.length === 0) return true;
  const { code, stdout, stderr } = await runTool("eslint", ["--config", config, "--format", "json", ...present], dir);
  try {
    const found = (JSON.parse(stdout) as LintedFile[]).flatMap(({ filePath, messages }) =>
      messages.map((m) => `${relative(dir, filePath)}:${m.line ?? 0}: ${m.message} (${m.ruleId ?? "eslint"})`),
    );
    return verdict(found);
  } catch {
    const [first] = stderr.split("\n").filter((line) => line.trim() !== "");
    return [`eslint ended with ${code ?? "a signal"}: ${first ?? "no word why"}`];
  }
}

async function judgeCase(
  c: SeriesCase,
  version: string,
  number: number,
  before: State,
  after: State,
): Promise<{ wrong: string[]; tells: boolean }> {
  const [old, now] = [await runCase(c, before), await runCase(c, after)];
  const wrong: string[] = [];
  for (const [state, n, result] of [
    [before, number - 1, old],
    [after, number, now],
  ] as const) {
    const expected = mustHold(c, version, n);
    if (result.holds === expected) continue;
    wrong.push(
      `${c.id}: ${expected ? "fails" : "passes"} in ${state.name}${expected ? `: ${result.reason}` : ", and should not"}`,
    );
  }
  return { wrong, tells: !old.holds && now.holds };
}

async function tests(version: string, number: number, before: State, after: State): Promise<Verdict> {
  const own = (await allCases()).filter((c) => c.patch === number && mustHold(c, version, number) !== null);
  if (own.length === 0) return [`no case of test/series/ is about patch ${number}`];
  const wrong: string[] = [];
  let tells = false;
  try {
    for (const c of own) {
      const judged = await judgeCase(c, version, number, before, after);
      wrong.push(...judged.wrong);
      tells ||= judged.tells;
    }
  } catch (error) {
    return [`cannot be loaded: ${error instanceof Error ? error.message : String(error)}`];
  }
  if (!tells) wrong.push(`no case fails in ${before.name} and passes in ${after.name}`);
  return verdict(wrong);
}

export const JUDGES: Judges = { typecheck, lint, tests };

function stateFor(version: string, number: number, tree: Tree, dir: string, patch: Patch | null): State {
  return {
    name: `${version}:${number}`,
    version,
    number,
    subject: patch?.subject ?? "base",
    files: patch?.changes.map((c) => c.path) ?? [],
    dir,
    tree,
  };
}

const NOT_APPLIED = ["not looked at: the patch does not apply"];

function refused(version: string, number: number, patch: Patch, why: readonly string[]): PatchVerdict {
  const rest = {
    files: NOT_APPLIED,
    functions: NOT_APPLIED,
    members: NOT_APPLIED,
    exports: NOT_APPLIED,
    typechecks: NOT_APPLIED,
    lints: NOT_APPLIED,
    tests: NOT_APPLIED,
  };
  return { version, number, subject: patch.subject, applies: why, ...rest, missing: [] };
}

/**
 * Checks the patches of a version one by one.
 * @progress: told before each step
 */
export async function checkVersion(
  name: string,
  places: Places = PLACES,
  judges: Judges = JUDGES,
  progress: (what: string) => void = () => {},
  expected: (version: string, number: number) => CPatch | null = expectedPatch,
): Promise<PatchVerdict[]> {
  const { patches } = readVersion(name, places.patches);
  const verdicts: PatchVerdict[] = [];
  let tree = readTree(places.root);
  let before: State | null = null;
  for (const [i, patch] of patches.entries()) {
    const number = i + 1;
    progress(`${name}:${number} ${patch.subject}`);
    if (verdicts.some((v) => v.applies !== true)) {
      verdicts.push(refused(name, number, patch, ["an earlier patch does not apply"]));
      continue;
    }
    let after: Tree;
    try {
      after = applyTo(tree, patch);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      verdicts.push(refused(name, number, patch, [error.message]));
      continue;
    }
    before ??= stateFor(name, 0, tree, await materialiseTree(tree, places), null);
    const files = patch.changes.map((change) => change.path);
    const state = stateFor(name, number, after, await materialiseTree(after, places), patch);
    const cPatch = expected(name, number);
    const own = !expectedVersions().includes(name) && !cPatch;
    const unknown = own ? null : [`patches/expected/series-changes.json knows nothing of patch ${number} of ${name}`];
    const compared = (list: readonly string[] | undefined): Verdict | null =>
      list ? verdict(list) : unknown && verdict(unknown);
    const [typechecks, lints] = await Promise.all([judges.typecheck(state.dir), judges.lint(state.dir, files)]);
    const difference = cPatch ? compare(tree, after, files, cPatch) : null;
    verdicts.push({
      version: name,
      number,
      subject: patch.subject,
      applies: true,
      files: compared(difference?.files),
      functions: compared(difference?.functions),
      members: compared(difference?.members),
      exports: compared(difference?.exports),
      typechecks,
      lints,
      tests: own ? null : await judges.tests(name, number, before, state),
      missing: difference?.missing ?? [],
    });
    tree = after;
    before = state;
  }
  return verdicts;
}
