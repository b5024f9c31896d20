// SPDX-License-Identifier: GPL-2.0-only
/**
 * debugfs, at /sys/kernel/debug. Directories and files with operations, and those of debugfs_files.ts; blobs, links and
 * automounts are not here, and a file that is open while it is removed goes on working.
 */
import { ERR_PTR, IS_ERR } from "#linux/err.ts";
import { EEXIST } from "#linux/errno.ts";
import type { file_operations } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { might_sleep } from "#linux/kernel.ts";
import { per_boot } from "../boot.ts";
import { kbuild } from "../modpost.ts";
import { pr_err } from "../printk.ts";
import { tree_entry, tree_filesystem, usable } from "./file_tree.ts";
import { register_filesystem_root } from "./namei.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({ root: new tree_entry("debug", 0o700, null) }));

function start_creating(name: string, parent: tree_entry | null): tree_entry {
  if (parent && IS_ERR(parent)) return parent;
  const dir = parent ?? s.root;
  const there = dir.children.get(name);
  if (!there) return dir;
  const dir_name = dir === s.root ? "/" : dir.name;
  if (there.fops) pr_err("debugfs: File '%s' in directory '%s' already present!\n", name, dir_name);
  else pr_err("debugfs: Directory '%s' with parent '%s' already present!\n", name, dir_name);
  return ERR_PTR(-EEXIST);
}

/**
 * Makes a file. @mode: permissions; @parent: NULL for the root; @data: the inode's i_private; @fops: what it does
 * @return the file, or ERR_PTR, which callers do not look at. Context: process, may sleep. Source: fs/debugfs/inode.c
 */
export function debugfs_create_file(
  name: string,
  mode: number,
  parent: tree_entry | null,
  data: object | null,
  fops: file_operations,
): tree_entry {
  might_sleep();
  const dir = start_creating(name, parent);
  return usable(dir) ? new tree_entry(name, mode, dir, fops, data) : dir;
}
EXPORT_SYMBOL_GPL(debugfs_create_file);

/** Makes a directory. @return it, or ERR_PTR. Context: process, may sleep. Source: fs/debugfs/inode.c */
export function debugfs_create_dir(name: string, parent: tree_entry | null): tree_entry {
  might_sleep();
  const dir = start_creating(name, parent);
  return usable(dir) ? new tree_entry(name, 0o755, dir) : dir;
}
EXPORT_SYMBOL_GPL(debugfs_create_dir);

/** @return what is called `name` in `parent`, or NULL. Context: process, may sleep. Source: fs/debugfs/inode.c */
export function debugfs_lookup(name: string, parent: tree_entry | null): tree_entry | null {
  might_sleep();
  if (parent && IS_ERR(parent)) return null;
  return (parent ?? s.root).children.get(name) ?? null;
}
EXPORT_SYMBOL_GPL(debugfs_lookup);

/** Removes a file, or a directory with all that is in it; NULL and error pointers are allowed. Context: process, may sleep. Source: fs/debugfs/inode.c */
export function debugfs_remove(dentry: tree_entry | null): void {
  might_sleep();
  usable(dentry)?.remove();
}
EXPORT_SYMBOL_GPL(debugfs_remove);

function debugfs_init(): number {
  register_filesystem_root(
    "/sys/kernel/debug",
    tree_filesystem("debugfs", () => s.root),
  );
  return 0;
}
fs_initcall(debugfs_init);
