// SPDX-License-Identifier: GPL-2.0-only
/** What `v1:4`, `v1`, `base` and a folder mean. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { InputError, suggestion } from "../errors.ts";
import { PATCHES } from "../paths.ts";
import { readVersion, versionNames } from "./series.ts";

export type StateName =
  | { readonly kind: "series"; readonly name: string; readonly version: string | null; readonly number: number }
  | { readonly kind: "canary"; readonly name: string; readonly canary: string }
  | { readonly kind: "folder"; readonly name: string; readonly folder: string };

export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** @throws InputError if nothing is called like that */
export function parseState(text: string, patches: string = PATCHES): StateName {
  if (text.trim() === "") throw new InputError("a state has a name; say v1:4, v1 (its last), base, or a folder");
  if (text === "base") return { kind: "series", name: "base", version: null, number: 0 };
  const canary = /^canary:(.+)$/.exec(text)?.[1];
  if (canary !== undefined) return { kind: "canary", name: text, canary };
  const found = /^([A-Za-z][\w.-]*)(?::(.*))?$/.exec(text);
  const versions = versionNames(patches);
  if (found && (versions.includes(found[1] ?? "") || found[2] !== undefined)) {
    const version = readVersion(found[1] ?? "", patches);
    const last = version.patches.length;
    if (found[2] === undefined)
      return { kind: "series", name: `${version.name}:${last}`, version: version.name, number: last };
    const number = /^\d{1,4}$/.test(found[2]) ? Number(found[2]) : found[2] === "base" ? 0 : -1;
    if (number < 0 || number > last) {
      throw new InputError(
        `there is no state ${JSON.stringify(text)}: ${version.name} has the states ${version.name}:0 to ${version.name}:${last}`,
      );
    }
    return { kind: "series", name: `${version.name}:${number}`, version: version.name, number };
  }
  const folder = resolve(text);
  if (isFolder(folder)) return { kind: "folder", name: text, folder };
  const known = ["base", ...versions];
  throw new InputError(
    `there is no state ${JSON.stringify(text)}, nor a folder of that name${suggestion(text, known)}`,
  );
}
