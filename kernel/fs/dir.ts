// SPDX-License-Identifier: GPL-2.0-only
/** Open directories, of every tree: they can be opened and closed, and reading one as a file fails. */
import { ERR_PTR } from "#linux/err.ts";
import { EISDIR, ENOMEM } from "#linux/errno.ts";
import { type file_operations, type inode, new_inode, noop_llseek } from "#linux/fs.ts";

const generic_read_dir = (): number => -EISDIR;
const directory_fops: file_operations = { read: generic_read_dir, llseek: noop_llseek };

/** @return an inode to open a directory with, or ERR_PTR */
export function directory_inode(mode: number): inode {
  const i = new_inode(mode);
  if (!i) return ERR_PTR(-ENOMEM);
  i.i_fop = directory_fops;
  return i;
}
