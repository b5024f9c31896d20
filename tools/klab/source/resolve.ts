// SPDX-License-Identifier: GPL-2.0-only
/** Which file defines a name, through however many headers it is handed on. */
import { posix } from "node:path";
import type { Tree } from "../states/tree.ts";
import { type Declared, summaryOf } from "./summary.ts";

export interface Definition extends Declared {
  readonly file: string;
  readonly name: string;
}

/** The file of the tree that `specifier` in `file` means; null for a package. */
export function fileOf(file: string, specifier: string): string | null {
  if (specifier.startsWith(".")) return posix.join(posix.dirname(file), specifier);
  const room = /^#(linux|uapi|asm)\/(.*)$/.exec(specifier);
  return room ? `include/${room[1] ?? ""}/${room[2] ?? ""}` : null;
}

/** Finds what `name`, exported by `file`, is. @return null if nothing of that name is exported there */
export function definitionOf(tree: Tree, file: string, name: string, seen = new Set<string>()): Definition | null {
  const text = tree.get(file);
  const key = `${file}\0${name}`;
  if (text === undefined || seen.has(key)) return null;
  seen.add(key);
  const summary = summaryOf(text);
  const onward = (from: string, imported: string): Definition | null => {
    const next = fileOf(file, from);
    return next === null ? null : definitionOf(tree, next, imported, seen);
  };
  const handed = summary.reexports.get(name);
  if (handed) return onward(handed.from, handed.imported);
  const local = summary.exported.get(name);
  if (local !== undefined) {
    const declared = summary.declared.get(local);
    if (declared) return { ...declared, file, name: local };
    const imported = summary.imports.get(local);
    return imported ? onward(imported.from, imported.imported) : null;
  }
  for (const from of summary.reexportsAll) {
    const found = onward(from, name);
    if (found) return found;
  }
  return null;
}
