// SPDX-License-Identifier: GPL-2.0-only
/**
 * The link table: which functions each module takes from elsewhere, and from where. It is what modpost reads out of the
 * object files; the mock kernel compares it with what is exported when it loads the module.
 */
import { type Definition, definitionOf, fileOf } from "../source/resolve.ts";
import { summaryOf } from "../source/summary.ts";
import { type Kbuild, modulesOf } from "./kbuild.ts";
import type { Tree } from "./tree.ts";

export interface NeededSymbol {
  readonly symbol: string;
  /** Module that defines it; null for vmlinux. */
  readonly from: string | null;
}
/** By module. */
export type LinkTable = Readonly<Record<string, readonly NeededSymbol[]>>;

/** Only code that is linked apart counts: of the mock kernel in kernel/, that is what is a module; the rest is always there. */
const LINKED = /^(drivers|samples|test\/modules)\//;

/** Module of each file that belongs to one. */
type Owners = ReadonlyMap<string, string>;

/** The functions that need linking when `found` is used: itself, or what it uses if it is an inline of a header. */
function linkedBy(tree: Tree, owner: Owners, found: Definition | null, seen: Set<string>): Definition[] {
  if (found?.kind !== "function" || seen.has(`${found.file}\0${found.name}`)) return [];
  seen.add(`${found.file}\0${found.name}`);
  if ((LINKED.test(found.file) || owner.has(found.file)) && !found.inline) return [found];
  if (!found.file.startsWith("include/") && !found.inline) return [];
  const { declared, imports } = summaryOf(tree.get(found.file) ?? "");
  return [...new Set(found.text.split(" "))].flatMap((word) => {
    const from = imports.get(word);
    const target = from ? fileOf(found.file, from.from) : null;
    if (from && target !== null) return linkedBy(tree, owner, definitionOf(tree, target, from.imported), seen);
    const beside = declared.get(word);
    return beside ? linkedBy(tree, owner, { ...beside, file: found.file, name: word }, seen) : [];
  });
}

export function linkTable(tree: Tree, kbuild: Kbuild): LinkTable {
  const modules = modulesOf(tree, kbuild);
  const owner = new Map([...modules].flatMap(([name, files]) => files.map((file) => [file, name] as const)));
  const table: Record<string, NeededSymbol[]> = {};
  for (const [name, files] of modules) {
    const needed = new Map<string, NeededSymbol>();
    for (const file of files) {
      const summary = summaryOf(tree.get(file) ?? "");
      for (const [local, { from, imported }] of summary.imports) {
        const target = fileOf(file, from);
        if (target === null) continue;
        const wanted = imported === "*" ? (summary.members.get(local) ?? []) : [imported];
        for (const symbol of wanted) {
          for (const found of linkedBy(tree, owner, definitionOf(tree, target, symbol), new Set())) {
            const home = owner.get(found.file) ?? null;
            if (home !== name) needed.set(found.name, { symbol: found.name, from: home });
          }
        }
      }
    }
    table[name] = [...needed.values()].sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
  }
  return table;
}
