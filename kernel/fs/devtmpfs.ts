// SPDX-License-Identifier: GPL-2.0-only
/**
 * /dev. Nodes come and go with their devices. In Linux a kernel thread does this while the device's owner waits for it;
 * here the owner does it himself.
 */
import { ERR_PTR } from "#linux/err.ts";
import { EEXIST, ENOENT, ENOMEM, ENOTDIR } from "#linux/errno.ts";
import { type dir_entry, type filesystem_root, ihold, type inode, iput, new_inode } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import type { dev_t } from "#linux/kdev_t.ts";
import { S_IFCHR, S_IFDIR } from "#linux/stat.ts";
import { per_boot } from "../boot.ts";
import { ready, ready_int, type Sleeps } from "../sched/types.ts";
import { def_chr_fops } from "./char_dev.ts";
import { directory_inode } from "./dir.ts";
import { register_filesystem_root } from "./namei.ts";

/** One node; a directory if it has no inode. */
interface dev_node {
  readonly inode: inode | null;
  readonly mode: number;
  readonly rdev: dev_t;
}

const s = per_boot(() => ({ nodes: new Map<string, dev_node>() }));

const DIRECTORY: dev_node = { inode: null, mode: S_IFDIR | 0o755, rdev: 0 };

/** Paths of the directories that @name lies in, outermost first. */
function directories_of(name: string): string[] {
  const parts = name.split("/").slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join("/"));
}

/**
 * Makes /dev/@name.
 * @name: may contain slashes, and '!' for them; directories are made as needed; @mode: permissions, 0 for the default of 0600
 * @return 0, -EEXIST, -ENOTDIR or -ENOMEM. Context: may sleep. Source: drivers/base/devtmpfs.c
 */
export function devtmpfs_create_node(name: string, devt: dev_t, mode: number): Sleeps<number> {
  const path = name.replaceAll("!", "/");
  if (s.nodes.has(path)) return ready_int(-EEXIST);
  if (directories_of(path).some((dir) => s.nodes.get(dir)?.inode)) return ready_int(-ENOTDIR);
  const made = new_inode(S_IFCHR | (mode || 0o600));
  if (!made) return ready_int(-ENOMEM);
  made.i_rdev = devt;
  made.i_fop = def_chr_fops;
  for (const dir of directories_of(path)) s.nodes.set(dir, DIRECTORY);
  s.nodes.set(path, { inode: made, mode: made.i_mode, rdev: devt });
  return ready_int(0);
}

/**
 * Removes it, and the directories that are empty then. What is open stays open, and what is not the node of @devt stays.
 * @return 0 or -ENOENT. Context: may sleep. Source: drivers/base/devtmpfs.c
 */
export function* devtmpfs_delete_node(name: string, devt: dev_t): Sleeps<number> {
  const path = name.replaceAll("!", "/");
  const node = s.nodes.get(path);
  if (!node) return -ENOENT;
  if (!node.inode || node.rdev !== devt) return 0;
  s.nodes.delete(path);
  for (const dir of directories_of(path).reverse()) {
    if ([...s.nodes.keys()].some((other) => other.startsWith(`${dir}/`))) break;
    s.nodes.delete(dir);
  }
  yield* iput(node.inode);
  return 0;
}

function entry_of(path: string, node: dev_node): dir_entry {
  return { name: path.slice(path.lastIndexOf("/") + 1), mode: node.mode, rdev: node.rdev, node };
}
function lookup(path: string): Sleeps<dir_entry | null> {
  const node = path === "" ? DIRECTORY : s.nodes.get(path);
  return ready(node ? entry_of(path, node) : null);
}
function list(path: string): Sleeps<readonly dir_entry[]> {
  const below = path === "" ? "" : `${path}/`;
  const inside = [...s.nodes].filter(([p]) => p.startsWith(below) && !p.slice(below.length).includes("/"));
  return ready(inside.map(([p, node]) => entry_of(p, node)));
}
function readlink(): Sleeps<number> {
  return ready_int(-ENOENT);
}
function get_inode(path: string): Sleeps<inode> {
  const node = path === "" ? DIRECTORY : s.nodes.get(path);
  if (!node) return ready(ERR_PTR<inode>(-ENOENT));
  if (!node.inode) return ready(directory_inode(node.mode));
  ihold(node.inode);
  return ready(node.inode);
}

const devtmpfs: filesystem_root = { name: "devtmpfs", lookup, readlink, list, get_inode };

function devtmpfs_init(): number {
  register_filesystem_root("/dev", devtmpfs);
  return 0;
}
fs_initcall(devtmpfs_init);
