// SPDX-License-Identifier: GPL-2.0-only
/** Git-format patches: reading one, and applying it to a tree in memory. No fuzz: what does not fit is refused. */
import { basename } from "node:path";
import { applyPatch, parsePatch, type StructuredPatch } from "diff";
import { InputError } from "../errors.ts";
import { inRooms, portOf } from "../paths.ts";
import { sortedTree, type Tree } from "./tree.ts";

export interface Patch {
  /** Name of the file, for messages. */
  readonly name: string;
  /** First line of the commit message, without the `[PATCH …]`. */
  readonly subject: string;
  readonly text: string;
  readonly changes: readonly FileChange[];
}

export interface FileChange {
  readonly path: string;
  readonly kind: "changed" | "created" | "deleted";
  readonly diff: StructuredPatch;
}

/** Git's own version at the end of the mail, which would pass for a removed line. */
const SIGNATURE = /\n-- \n\d+\.\d[^\n]*\n*$/;
const NULL_FILE = "/dev/null";

/** A patch without a subject goes by the name of its file. */
function nameOf(file: string): string {
  return basename(file)
    .replace(/\.(patch|diff)$/, "")
    .replace(/^\d+-/, "");
}
function subjectOf(head: string): string {
  const folded = /^Subject: (.*(?:\n[ \t].*)*)/m.exec(head)?.[1] ?? "";
  return folded
    .replace(/\n[ \t]+/g, " ")
    .replace(/^(\[[^\]]*\]\s*)+/, "")
    .trim();
}

/** The path that `name` (`a/x`, `b/x`) stands for. @throws InputError if it is outside of what a series may change */
function treePath(patch: string, name: string): string {
  const path = name.replace(/^[ab]\//, "");
  const steps = path.split("/");
  if (
    path.startsWith("/") ||
    path.includes("\\") ||
    path.includes("\0") ||
    steps.some((s) => s === "" || s === "." || s === "..")
  ) {
    throw new InputError(
      `${patch}: ${JSON.stringify(name)} leads out of the tree; a patch names files as a/drivers/… and b/drivers/…`,
    );
  }
  if (!inRooms(path)) {
    throw new InputError(
      `${patch}: ${path} is not in include/, kernel/, drivers/, samples/ or test/modules/; a series changes nothing else`,
    );
  }
  return path;
}

function changeOf(patch: string, diff: StructuredPatch): FileChange {
  const refuse = (why: string): never => {
    throw new InputError(`${patch}: ${diff.newFileName ?? diff.oldFileName ?? "a change"}: ${why}`);
  };
  if (diff.oldFileName === undefined || diff.newFileName === undefined)
    return refuse("the change names no file; is the patch complete?");
  if (diff.isRename || diff.isCopy)
    return refuse("renames and copies are not understood; make the patch with --no-renames");
  if (diff.isBinary) return refuse("it is binary; a series holds text only");
  const mode = diff.newMode ?? "100644";
  if (mode !== "100644") return refuse(`mode ${mode} is not a plain file's (100644)`);
  const created = diff.isCreate === true || diff.oldFileName === NULL_FILE;
  const deleted = diff.isDelete === true || diff.newFileName === NULL_FILE;
  if (!created && !deleted) {
    const [before, after] = [treePath(patch, diff.oldFileName), treePath(patch, diff.newFileName)];
    if (before !== after) return refuse(`the old name is ${before}; make the patch with --no-renames`);
    return { path: after, kind: "changed", diff };
  }
  return {
    path: treePath(patch, created ? diff.newFileName : diff.oldFileName),
    kind: created ? "created" : "deleted",
    diff,
  };
}

/** Reads a patch as `git format-patch` writes it. @throws InputError if it is none, or not one for this tree */
export function readPatch(name: string, text: string): Patch {
  // Above the first diff is the mail, in which anything may stand.
  const start = text.search(/^diff --git /m);
  if (start < 0) throw new InputError(`${name}: no \`diff --git\` in it; make it with git format-patch`);
  let diffs: StructuredPatch[];
  try {
    diffs = parsePatch(text.slice(start).replace(SIGNATURE, "\n"));
  } catch (error) {
    throw new InputError(`${name}: not a patch: ${error instanceof Error ? error.message : String(error)}`);
  }
  const changes = diffs.map((diff) => changeOf(name, diff));
  const twice = changes.find((c, i) => changes.findIndex((other) => other.path === c.path) !== i);
  if (twice) throw new InputError(`${name}: ${twice.path} is changed twice; make the patch with git format-patch`);
  return { name, subject: subjectOf(text.slice(0, start)) || nameOf(name), text, changes };
}

const STRICT = { fuzzFactor: 0, autoConvertLineEndings: false };

/** The first hunk that does not fit, for the message. */
function failingHunk(before: string, diff: StructuredPatch): string {
  for (let n = 1; n <= diff.hunks.length; n++) {
    if (applyPatch(before, { ...diff, hunks: diff.hunks.slice(0, n) }, STRICT) === false) {
      const hunk = diff.hunks[n - 1];
      return `hunk ${n} of ${diff.hunks.length} (@@ -${hunk?.oldStart ?? 0},${hunk?.oldLines ?? 0} @@)`;
    }
  }
  return "the end of the file";
}

function applyChange(patch: string, before: string | undefined, change: FileChange): string | null {
  const refuse = (why: string): never => {
    throw new InputError(`${patch} does not apply: ${change.path}: ${why}`);
  };
  if (change.kind === "created" && before !== undefined) return refuse("it is there already");
  if (change.kind !== "created" && before === undefined) {
    const hint = /\.[ch]$/.test(change.path)
      ? `; the port of it is ${portOf(change.path)}, and a patch has to be one of that`
      : "";
    return refuse(`there is no such file${hint}`);
  }
  const after = applyPatch(before ?? "", change.diff, STRICT);
  if (after === false)
    return refuse(`${failingHunk(before ?? "", change.diff)} does not fit; refresh the patch on the tree before it`);
  if (change.kind !== "deleted") return after;
  return after === "" ? null : refuse("it is deleted, but has lines that the patch does not know");
}

/** The tree after `patch`. All of it applies, or none. @throws InputError naming file and hunk */
export function applyTo(tree: Tree, patch: Patch): Tree {
  const after = new Map(tree);
  for (const change of patch.changes) {
    const text = applyChange(patch.name, tree.get(change.path), change);
    if (text === null) after.delete(change.path);
    else after.set(change.path, text);
  }
  return sortedTree(after);
}
