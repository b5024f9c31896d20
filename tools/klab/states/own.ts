// SPDX-License-Identifier: GPL-2.0-only
/** Series of the user's own: patches/user/NAME/, which git does not see. They are versions like all others. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import type { Verdict } from "../verdict.ts";
import { materialiseTree, PLACES, type Places, sourcesOf } from "./index.ts";
import { type Mail, readMails } from "./mbox.ts";
import { parseState } from "./names.ts";
import { applyTo, type Patch, readPatch } from "./patch.ts";
import { readVersion, versionNames } from "./series.ts";
import { readTree, type Tree } from "./tree.ts";

/** Words that mean something where the name of a version stands. */
const TAKEN = ["check", "add", "remove", "base", "all", "none"];

function userFolder(places: Places): string {
  return join(places.patches, "user");
}

function checkName(name: string, places: Places): void {
  if (!/^[A-Za-z][\w.-]*$/.test(name))
    throw new InputError(`${JSON.stringify(name)} is no name for a series; take letters, digits, dots and dashes`);
  if (TAKEN.includes(name)) throw new InputError(`a series cannot be called ${name}; take another name`);
  if (versionNames(places.patches).includes(name)) {
    const own = readVersion(name, places.patches).folder === join(userFolder(places), name);
    const or = own ? `, or klab series remove ${name} first` : "";
    throw new InputError(`there is a series ${name} already; take another name${or}`);
  }
}

function fileName(number: number, { subject }: Patch): string {
  const words = subject.replace(/[^A-Za-z0-9._]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return `${String(number).padStart(4, "0")}-${words.slice(0, 52) || "patch"}.patch`;
}

/** What the new series stands on: a state of another one, whose patches come first, or the base. */
async function ground(on: string, places: Places): Promise<{ patches: readonly Patch[]; tree: Tree }> {
  const { kind, ...name } = parseState(on, places.patches);
  const version = "version" in name ? name.version : null;
  if (kind === "folder" || (version === null && on !== "base"))
    throw new InputError(`--on takes a state of a series, for example v1:7; ${on} is a folder`);
  if (version === null || !("number" in name)) return { patches: [], tree: readTree(places.root) };
  const source = (await sourcesOf(version, places))[name.number];
  if (!source) throw new InputError(`there is no state ${on}`);
  return { patches: readVersion(version, places.patches).patches.slice(0, name.number), tree: source.tree };
}

/** Makes sure that a state holds. What is made for this and is not wanted goes again. */
async function mustCompile(
  patch: Patch,
  tree: Tree,
  places: Places,
  typecheck: (dir: string) => Promise<Verdict>,
): Promise<void> {
  const known = new Set<string>();
  const dir = await materialiseTree(tree, places, (folder) => known.add(folder));
  const verdict = await typecheck(dir);
  if (verdict === true) return;
  if (known.has(dir)) rmSync(dir, { recursive: true, force: true });
  const more = verdict.length > 1 ? ` (and ${verdict.length - 1} more)` : "";
  throw new InputError(`${patch.name} does not type-check: ${verdict[0] ?? ""}${more}`);
}

export interface Added {
  readonly name: string;
  /** Where the patches are now. */
  readonly folder: string;
  /** Names of the states. */
  readonly states: readonly string[];
}

/**
 * Makes a series of a folder of patches, or of an mbox. It is there whole or not at all.
 * @on: the state that the patches are for; @typecheck: judges a state's tree
 * @throws InputError naming patch, file and hunk if one cannot be read, leaves the tree, does not apply or does not type-check
 */
export async function addSeries(
  name: string,
  source: string,
  options: { readonly on: string; readonly typecheck: (dir: string) => Promise<Verdict> },
  places: Places = PLACES,
): Promise<Added> {
  checkName(name, places);
  const mails: readonly Mail[] = readMails(source);
  const below = await ground(options.on, places);
  const patches = mails.map((mail) => readPatch(mail.name, mail.text));
  // All of them first: applying is quick, and most mistakes show there.
  let { tree } = below;
  const trees = patches.map((patch) => (tree = applyTo(tree, patch)));
  for (const [i, patch] of patches.entries()) await mustCompile(patch, trees[i] ?? tree, places, options.typecheck);
  const files = [...below.patches, ...patches].map((patch, i) => [fileName(i + 1, patch), patch.text] as const);
  const folder = join(userFolder(places), name);
  const making = join(places.cache, `.series-${name}-${process.pid}`);
  try {
    mkdirSync(making, { recursive: true });
    for (const [file, text] of files) writeFileSync(join(making, file), text);
    writeFileSync(join(making, "series"), files.map(([file]) => `${file}\n`).join(""));
    mkdirSync(userFolder(places), { recursive: true });
    renameSync(making, folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return { name, folder, states: [0, ...files.keys()].map((_, n) => `${name}:${n}`) };
}

/** @throws InputError if there is none, or it is not the user's own */
export function removeSeries(name: string, places: Places = PLACES): void {
  const { folder } = readVersion(name, places.patches);
  if (folder !== join(userFolder(places), name) || !existsSync(folder))
    throw new InputError(`${name} belongs to this project; only what klab series add has added can be removed`);
  rmSync(folder, { recursive: true });
  if (readdirSync(userFolder(places)).length === 0) rmdirSync(userFolder(places));
}
