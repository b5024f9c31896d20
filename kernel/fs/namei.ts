// SPDX-License-Identifier: GPL-2.0-only
/**
 * Paths. Instead of dentries and mounts there is a table of trees, each with the path that it hangs below, and every
 * tree says itself what its paths lead to. Nothing is cached: what a tree removes is gone for the next look-up.
 */
import { EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from "#linux/errno.ts";
import type { inode } from "#linux/fs.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "#linux/stat.ts";
import { per_boot } from "../boot.ts";
import type { Sleeps } from "../sched/types.ts";
import { current_euid } from "../cred.ts";

const PATH_MAX = 4096;
const MAXSYMLINKS = 40;

/** What a path leads to, as its tree knows it. */
export interface dir_entry {
  readonly name: string;
  /** Type and permissions. */
  readonly mode: number;
  readonly rdev: number;
  /** The tree's own. */
  readonly node: object | null;
}

/** A tree of files. Paths are relative to its root and canonical: "" is the root itself, no "." or "..", no links on the way. */
export interface filesystem_root {
  readonly name: string;
  readonly lookup: (path: string) => Sleeps<dir_entry | null>;
  readonly readlink: (path: string, entry: dir_entry) => Sleeps<string | number>;
  /** Without "." and "..". */
  readonly list: (path: string, entry: dir_entry) => Sleeps<readonly dir_entry[]>;
  /** An inode to open, with a reference for the caller; ERR_PTR on error. */
  readonly get_inode: (path: string, entry: dir_entry) => Sleeps<inode>;
}

const s = per_boot(() => ({ roots: new Map<string, filesystem_root>() }));

/**
 * Mounts a tree. @prefix: absolute path, "/sys"; one below another tree's, "/sys/kernel/debug", hides what is there.
 * Context: initcalls.
 */
export function register_filesystem_root(prefix: string, root: filesystem_root): void {
  s.roots.set(prefix, root);
}

/** Where a look-up has come to. */
export interface found_path {
  /** Canonical and absolute. */
  readonly path: string;
  readonly entry: dir_entry;
  /** The tree, and the path in it; null for "/" itself and for the way to a mount that no tree knows. */
  readonly root: filesystem_root | null;
  readonly relative: string;
}

/** Directories that exist because something is mounted below them. */
function is_way_to_mount(path: string): boolean {
  for (const prefix of s.roots.keys()) if (path === "/" || prefix.startsWith(`${path}/`)) return true;
  return false;
}
function* look_at(path: string): Sleeps<found_path | null> {
  let best = "";
  for (const prefix of s.roots.keys())
    if ((path === prefix || path.startsWith(`${prefix}/`)) && prefix.length > best.length) best = prefix;
  const root = s.roots.get(best) ?? null;
  const relative = root ? path.slice(best.length + 1) : "";
  const entry = root ? yield* root.lookup(relative) : null;
  if (entry) return { path, entry, root, relative };
  if (!is_way_to_mount(path)) return null;
  return { path, entry: { name: "", mode: S_IFDIR | 0o755, rdev: 0, node: null }, root: null, relative: "" };
}

const is_link = (e: dir_entry): boolean => (e.mode & S_IFMT) === S_IFLNK;
export const is_dir = (e: dir_entry): boolean => (e.mode & S_IFMT) === S_IFDIR;

/**
 * Finds what a path leads to.
 * @path: absolute; a relative one is taken from "/", which is everybody's working directory; @follow: also a link at the end
 * @return what is there, or errno. Context: may sleep. Source: fs/namei.c
 */
export function* path_lookup(path: string, follow: boolean): Sleeps<found_path | number> {
  if (path === "") return -ENOENT;
  if (path.length >= PATH_MAX) return -ENAMETOOLONG;
  const todo = path.split("/").filter((part) => part !== "");
  // A slash at the end asks for a directory, and for what a link at the end leads to.
  const must_be_dir = /\/\.{0,2}$/.test(path);
  let at = yield* look_at("/");
  let links = 0;
  for (let part = todo.shift(); part !== undefined && at; part = todo.shift()) {
    if (!is_dir(at.entry)) return -ENOTDIR;
    if (part === ".") continue;
    const dir: string = at.path;
    if (part === "..") {
      at = yield* look_at(dir.slice(0, dir.lastIndexOf("/")) || "/");
      continue;
    }
    const next: found_path | null = yield* look_at(`${dir === "/" ? "" : dir}/${part}`);
    if (!next) return -ENOENT;
    if (!is_link(next.entry) || (todo.length === 0 && !follow && !must_be_dir)) {
      at = next;
      continue;
    }
    if (++links > MAXSYMLINKS) return -ELOOP;
    const target = yield* link_target(next);
    if (typeof target === "number") return target;
    todo.unshift(...target.split("/").filter((p) => p !== ""));
    if (target.startsWith("/")) at = yield* look_at("/");
  }
  if (!at) return -ENOENT;
  return must_be_dir && !is_dir(at.entry) ? -ENOTDIR : at;
}

/** Text of a link. @return it or errno */
export function* link_target(at: found_path): Sleeps<string | number> {
  if (!at.root) return -ENOENT;
  return yield* at.root.readlink(at.relative, at.entry);
}

/** What is in a directory, mounts included. */
export function* list_dir(at: found_path): Sleeps<readonly dir_entry[]> {
  const own = at.root ? yield* at.root.list(at.relative, at.entry) : [];
  const names = new Set(own.map((e) => e.name));
  const below = at.path === "/" ? "/" : `${at.path}/`;
  const mounts: dir_entry[] = [];
  for (const prefix of s.roots.keys()) {
    const name = prefix.startsWith(below) ? prefix.slice(below.length).split("/", 1)[0] : undefined;
    if (name === undefined || names.has(name)) continue;
    names.add(name);
    mounts.push({ name, mode: S_IFDIR | 0o755, rdev: 0, node: null });
  }
  return [...own, ...mounts];
}

export const MAY_WRITE = 2;
export const MAY_READ = 4;

/** Everything belongs to user 0; the others have what the last three bits give. @return 0 or -EACCES */
export function inode_permission(mode: number, mask: number): number {
  if (current_euid() === 0) return 0;
  return mode & mask & 7 && (mode & mask) === mask ? 0 : -EACCES;
}
