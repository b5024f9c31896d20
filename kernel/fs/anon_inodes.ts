// SPDX-License-Identifier: GPL-2.0-only
/** Files that no path leads to. They share one inode. */
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { ENODEV, ENOENT } from "#linux/errno.ts";
import { O_ACCMODE, O_NONBLOCK } from "#linux/fcntl.ts";
import { type file, type file_operations, ihold, type inode, new_inode } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { module_put, try_module_get } from "#linux/module.ts";
import { atomic_dec } from "#linux/atomic.ts";
import { per_boot } from "../boot.ts";
import { kbuild } from "../modpost.ts";
import { fd_install, get_unused_fd_flags, put_unused_fd } from "./file.ts";
import { alloc_file_pseudo } from "./file_table.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({ anon_inode_inode: null as inode | null }));

/**
 * @name: class of the file, `[eventfd]`; @fops: its module is held until the file is released; @priv: private_data;
 * @flags: O_ flags, of which access mode and O_NONBLOCK count
 * @return the file or ERR_PTR. Context: process. Source: fs/anon_inodes.c
 */
export function anon_inode_getfile(name: string, fops: file_operations, priv: object | null, flags: number): file {
  if (fops.owner && !try_module_get(fops.owner)) return ERR_PTR(-ENOENT);
  let f: file;
  err: {
    const inode = s.anon_inode_inode;
    if (!inode) {
      f = ERR_PTR(-ENODEV);
      break err;
    }
    ihold(inode);
    f = alloc_file_pseudo(inode, `anon_inode:${name}`, flags & (O_ACCMODE | O_NONBLOCK), fops);
    if (IS_ERR(f)) {
      // Never the last reference: the initcall's stays.
      atomic_dec(inode.i_count);
      break err;
    }
    f.private_data = priv;
    return f;
  }
  module_put(fops.owner ?? null);
  return f;
}
EXPORT_SYMBOL_GPL(anon_inode_getfile);

/** As anon_inode_getfile(), with a descriptor that is open when this returns. @return it or errno. Source: fs/anon_inodes.c */
export function anon_inode_getfd(name: string, fops: file_operations, priv: object | null, flags: number): number {
  const fd = get_unused_fd_flags(flags);
  if (fd < 0) return fd;
  const f = anon_inode_getfile(name, fops, priv, flags);
  if (IS_ERR(f)) {
    put_unused_fd(fd);
    return PTR_ERR(f);
  }
  fd_install(fd, f);
  return fd;
}
EXPORT_SYMBOL_GPL(anon_inode_getfd);

function anon_inode_init(): number {
  // The type bits are zero, as in Linux: such a file is of no kind.
  s.anon_inode_inode = new_inode(0o600);
  return 0;
}
fs_initcall(anon_inode_init);
