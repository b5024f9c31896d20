// SPDX-License-Identifier: GPL-2.0-only
/** A source tree in memory: what is hashed, patched, and written out as a state. */
import { createHash } from "node:crypto";
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { ROOMS } from "../paths.ts";

/** Path with slashes, relative to the root of the tree, to the file's text. */
export type Tree = ReadonlyMap<string, string>;

/** What editors and patch tools leave behind. */
const LEFT_BEHIND = /^\.|~$|\.(orig|rej|swp|bak)$/;

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

/** One file at a time: several trees are read at once, and there are not as many descriptors as files. */
function readFolder(root: string, folder: string, into: Map<string, string>): void {
  for (const entry of entriesOf(join(root, folder))) {
    const path = `${folder}/${entry.name}`;
    if (LEFT_BEHIND.test(entry.name)) continue;
    if (entry.isDirectory()) readFolder(root, path, into);
    else if (entry.isFile()) into.set(path, readFileSync(join(root, path), "utf8"));
    else throw new InputError(`${join(root, path)} is neither a file nor a folder: a tree holds no links`);
  }
}

/** Reads the folders that make a tree. @throws InputError if it is none */
export function readTree(root: string): Tree {
  const files = new Map<string, string>();
  for (const room of ROOMS) readFolder(root, room, files);
  if (!files.has("kernel/Kbuild.ts")) {
    throw new InputError(
      `${root} is not a tree of this project: it has no kernel/Kbuild.ts; give the folder that has kernel/ in it`,
    );
  }
  files.set("package.json", manifest(root));
  files.set("tsconfig.json", readFileSync(join(root, "tsconfig.json"), "utf8"));
  return sortedTree(files);
}

/** In one order, whatever the file system's. */
export function sortedTree(files: ReadonlyMap<string, string>): Tree {
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What of package.json the tree means: how `#linux/…` is found. The rest may change without making another state. */
function manifest(root: string): string {
  const { imports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { imports?: unknown };
  return `${JSON.stringify({ name: "klab-state", private: true, type: "module", imports }, null, 2)}\n`;
}

/** Name of a tree's content: the same for equal trees only. @salt: what else decides how it is written out */
export function contentHash(tree: Tree, salt: string): string {
  const hash = createHash("sha256").update(salt);
  for (const [path, text] of tree) {
    hash.update(`\0${path}\0${Buffer.byteLength(text)}\0`).update(text);
  }
  return hash.digest("hex").slice(0, 32);
}
