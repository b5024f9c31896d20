// SPDX-License-Identifier: GPL-2.0-only
/** Trees of files that the kernel makes one by one, for debugfs and tracefs. */
import { ERR_PTR, IS_ERR } from "#linux/err.ts";
import { ENOENT, ENOMEM } from "#linux/errno.ts";
import { type dir_entry, type file_operations, type filesystem_root, type inode, new_inode } from "#linux/fs.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "#linux/stat.ts";
import { ready, ready_int, type Sleeps } from "../sched/types.ts";
import { directory_inode } from "./dir.ts";

/** A directory, if it has no operations. */
export class tree_entry {
  readonly name: string;
  readonly mode: number;
  readonly parent: tree_entry | null;
  readonly fops: file_operations | null;
  /** What the file's inode has as i_private. */
  readonly data: object | null;
  readonly children = new Map<string, tree_entry>();

  constructor(
    name: string,
    mode: number,
    parent: tree_entry | null,
    fops: file_operations | null = null,
    data: object | null = null,
  ) {
    this.name = name;
    this.mode = mode & S_IFMT ? mode : mode | (fops ? S_IFREG : S_IFDIR);
    this.parent = parent;
    this.fops = fops;
    this.data = data;
    parent?.children.set(name, this);
  }
  /** With everything below it. What is open stays open. */
  remove(): void {
    if (this.parent?.children.get(this.name) === this) this.parent.children.delete(this.name);
  }
}

function find(root: tree_entry, path: string): tree_entry | null {
  let at: tree_entry | undefined = root;
  for (const name of path.split("/")) if (name !== "") at = at?.children.get(name);
  return at ?? null;
}
const entry_of = (e: tree_entry): dir_entry => ({ name: e.name, mode: e.mode, rdev: 0, node: e });

function inode_of(e: tree_entry): inode {
  if (!e.fops) return directory_inode(e.mode);
  const made = new_inode(e.mode);
  if (!made) return ERR_PTR(-ENOMEM);
  made.i_fop = e.fops;
  made.i_private = e.data;
  return made;
}

/** A tree for register_filesystem_root(). @name: of the file system; @root: gives its root, of this boot */
export function tree_filesystem(name: string, root: () => tree_entry): filesystem_root {
  return {
    name,
    lookup(path): Sleeps<dir_entry | null> {
      const e = find(root(), path);
      return ready(e && entry_of(e));
    },
    list(path): Sleeps<readonly dir_entry[]> {
      return ready([...(find(root(), path)?.children.values() ?? [])].map(entry_of));
    },
    readlink(): Sleeps<number> {
      return ready_int(-ENOENT);
    },
    get_inode(path): Sleeps<inode> {
      const e = find(root(), path);
      return ready(e ? inode_of(e) : ERR_PTR<inode>(-ENOENT));
    },
  };
}

/** @return the entry, or null where C passes on an error pointer or NULL */
export function usable(e: tree_entry | null): tree_entry | null {
  return e && !IS_ERR(e) ? e : null;
}
