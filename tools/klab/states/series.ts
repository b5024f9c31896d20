// SPDX-License-Identifier: GPL-2.0-only
/** The versions of the series: one folder each, with a quilt `series` file and the patches that it names. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { InputError, suggestion } from "../errors.ts";
import { PATCHES, ROOT } from "../paths.ts";
import { type Patch, readPatch } from "./patch.ts";

export interface Version {
  /** "v1" */
  readonly name: string;
  readonly folder: string;
  /** In order: patch n makes state n. */
  readonly patches: readonly Patch[];
}

function folders(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
}

/** Folder of each version: patches/SERIES/VERSION/. */
function versionFolders(root: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const series of folders(root)) {
    for (const version of folders(join(root, series))) {
      const folder = join(root, series, version);
      if (!statSync(join(folder, "series"), { throwIfNoEntry: false })?.isFile()) continue;
      const other = found.get(version);
      if (other) throw new InputError(`${version} is both in ${other} and in ${folder}; rename one of them`);
      found.set(version, folder);
    }
  }
  return found;
}

export function versionNames(root: string = PATCHES): string[] {
  return [...versionFolders(root).keys()].sort();
}

/** The patches that a quilt series file names. */
export function seriesFile(folder: string): string[] {
  const where = relative(ROOT, join(folder, "series"));
  const names: string[] = [];
  for (const [i, line] of readFileSync(join(folder, "series"), "utf8").split("\n").entries()) {
    const [name, ...options] = line
      .replace(/(^|\s)#.*$/, "")
      .trim()
      .split(/\s+/);
    if (name === undefined || name === "") continue;
    if (options.some((o) => o !== "-p1"))
      throw new InputError(`${where}:${i + 1}: only -p1 is understood, not ${options.join(" ")}`);
    if (/[/\\]/.test(name))
      throw new InputError(`${where}:${i + 1}: ${name} is not beside the series file; move it there`);
    names.push(name);
  }
  return names;
}

/** @throws InputError if there is no such version, or a patch of it cannot be read */
export function readVersion(name: string, root: string = PATCHES): Version {
  const all = versionFolders(root);
  const folder = all.get(name);
  if (folder === undefined) {
    const known = [...all.keys()];
    const hint =
      known.length > 0
        ? suggestion(name, known)
        : `; a version is a folder patches/SERIES/${name}/ with a file \`series\``;
    throw new InputError(`there is no version ${JSON.stringify(name)}${hint}`);
  }
  const patches = seriesFile(folder).map((file) => {
    const path = join(folder, file);
    const shown = relative(ROOT, path);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
      throw new InputError(`${relative(ROOT, join(folder, "series"))} names ${file}, but there is no ${shown}`);
    }
    return readPatch(shown, readFileSync(path, "utf8"));
  });
  return { name, folder, patches };
}
