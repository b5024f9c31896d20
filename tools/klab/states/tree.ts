// SPDX-License-Identifier: GPL-2.0-only
/** A source tree in memory: what is hashed, patched, and written out as a state. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { ROOMS } from "../paths.ts";

/** Path with slashes, relative to the root of the tree, to the file's text. */
export type Tree = ReadonlyMap<string, string>;

/** What editors and patch tools leave behind. */
const LEFT_BEHIND = /^\.|~$|\.(orig|rej|swp|bak)$/;

async function readFolder(root: string, folder: string, into: Map<string, string>): Promise<void> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
  await Promise.all(
    entries.map(async (entry) => {
      const path = `${folder}/${entry.name}`;
      if (LEFT_BEHIND.test(entry.name)) return;
      if (entry.isDirectory()) return readFolder(root, path, into);
      if (!entry.isFile()) {
        throw new InputError(`${join(root, path)} is neither a file nor a folder: a tree holds no links`);
      }
      // At once: of all files of all states together, more would be open than a process may have.
      // A file that is removed while we look belongs to an edit that we are not part of.
      into.set(path, readFileSync(join(root, path), "utf8"));
      return;
    }),
  );
}

/** Reads the folders that make a tree. @throws InputError if it is none */
export async function readTree(root: string): Promise<Tree> {
  const files = new Map<string, string>();
  await Promise.all(ROOMS.map((room) => readFolder(root, room, files)));
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
