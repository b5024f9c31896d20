// SPDX-License-Identifier: GPL-2.0-only
/** Canaries: the base with a fault that Linux had once, to see that the search finds such things. One patch each. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { InputError, suggestion } from "../errors.ts";
import { PATCHES, ROOT } from "../paths.ts";
import { type Patch, readPatch } from "./patch.ts";

const FOLDER = "canaries";

export function canaryNames(patches: string = PATCHES): string[] {
  return readdirSync(resolve(patches, FOLDER))
    .filter((name) => name.endsWith(".patch"))
    .map((name) => name.slice(0, -".patch".length))
    .sort();
}

/** @throws InputError if there is no such canary */
export function readCanary(name: string, patches: string = PATCHES): Patch {
  const known = canaryNames(patches);
  if (!known.includes(name))
    throw new InputError(`there is no canary ${JSON.stringify(name)}${suggestion(name, known)}`);
  const path = join(patches, FOLDER, `${name}.patch`);
  return readPatch(relative(ROOT, path), readFileSync(path, "utf8"));
}
