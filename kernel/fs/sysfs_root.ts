// SPDX-License-Identifier: GPL-2.0-only
/** sysfs as paths and open files. The tree, and what reading and writing its files does, are in sysfs/. */
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, EINVAL, ENOENT, ENOMEM } from "#linux/errno.ts";
import {
  type dir_entry,
  type file,
  type file_operations,
  type filesystem_root,
  FMODE_READ,
  FMODE_WRITE,
  generic_file_llseek,
  type inode,
  type loff_ptr,
  new_inode,
} from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import {
  KERNFS_DIR,
  KERNFS_HAS_SEQ_SHOW,
  KERNFS_LINK,
  kernfs_get,
  kernfs_get_target_path,
  kernfs_node,
  type kernfs_open_file,
  kernfs_put,
  kernfs_type,
} from "#linux/kernfs.ts";
import { atomic_read } from "#linux/atomic.ts";
import { down_read, up_read } from "#linux/rwsem.ts";
import { sysfs_buf, SYSFS_PAGE_SIZE, sysfs_root_kn } from "#linux/sysfs.ts";
import { kbuf } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import type { Sleeps } from "../sched/types.ts";
import { directory_inode } from "./dir.ts";
import { register_filesystem_root } from "./namei.ts";
import { bytes_of } from "./seq_file.ts";
import { kernfs_children, kernfs_find } from "./sysfs/kernfs_dir.ts";
import {
  kernfs_fop_bin,
  kernfs_fop_open,
  kernfs_fop_read,
  kernfs_fop_release,
  kernfs_fop_write,
} from "./sysfs/kernfs_file.ts";

/** Nodes that are being removed are not found any more. */
const visible = (kn: kernfs_node): boolean => atomic_read(kn.active) >= 0;

/** Context: kernfs_rwsem held, which is all that keeps the node. */
function walk(path: string): kernfs_node | null {
  let kn: kernfs_node = sysfs_root_kn();
  for (const name of path.split("/")) {
    if (name === "") continue;
    const next = kernfs_type(kn) === KERNFS_DIR ? kernfs_find(kn, name) : null;
    if (!next || !visible(next)) return null;
    kn = next;
  }
  return kn;
}
function entry_of(kn: kernfs_node): dir_entry {
  // Whoever comes back with an entry finds the node by its path: nothing keeps it meanwhile.
  return { name: kn.name ?? "", mode: kn.mode, rdev: 0, node: null };
}

function* lookup(path: string): Sleeps<dir_entry | null> {
  const root = sysfs_root_kn().$root!;
  yield* down_read(root.kernfs_rwsem);
  const kn = walk(path);
  const entry = kn && entry_of(kn);
  up_read(root.kernfs_rwsem);
  return entry;
}
function* list(path: string): Sleeps<readonly dir_entry[]> {
  const root = sysfs_root_kn().$root!;
  yield* down_read(root.kernfs_rwsem);
  const kn = walk(path);
  const entries = kn ? kernfs_children(kn).filter(visible).map(entry_of) : [];
  up_read(root.kernfs_rwsem);
  return entries;
}
function* readlink(path: string): Sleeps<string | number> {
  const root = sysfs_root_kn().$root!;
  yield* down_read(root.kernfs_rwsem);
  const kn = walk(path);
  let text: string | number = -ENOENT;
  if (kn) text = kernfs_type(kn) === KERNFS_LINK ? kernfs_get_target_path(kn.parent!, kn.target_kn!) : -EINVAL;
  up_read(root.kernfs_rwsem);
  return text;
}

function put_node(inode: inode): void {
  if (inode.i_private instanceof kernfs_node) kernfs_put(inode.i_private);
}
function* get_inode(path: string, entry: dir_entry): Sleeps<inode> {
  const root = sysfs_root_kn().$root!;
  yield* down_read(root.kernfs_rwsem);
  const kn = walk(path);
  kernfs_get(kn);
  up_read(root.kernfs_rwsem);
  if (!kn) return ERR_PTR(-ENOENT);
  if (kernfs_type(kn) === KERNFS_DIR) {
    kernfs_put(kn);
    return directory_inode(entry.mode);
  }
  const made = new_inode(kn.mode);
  if (!made) {
    kernfs_put(kn);
    return ERR_PTR(-ENOMEM);
  }
  made.i_fop = kernfs_file_fops;
  made.i_private = kn;
  made.i_size = kn.size;
  made.$evict = put_node;
  return made;
}

const open_file = (f: file): kernfs_open_file => f.private_data as kernfs_open_file;

function* sysfs_open(inode: inode, f: file): Sleeps<number> {
  const of = yield* kernfs_fop_open(inode.i_private as kernfs_node, f.f_mode & (FMODE_READ | FMODE_WRITE));
  if (IS_ERR(of)) return PTR_ERR(of);
  f.private_data = of;
  return 0;
}
function sysfs_release(inode: inode, f: file): number {
  kernfs_fop_release(open_file(f));
  return 0;
}

function* sysfs_read(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const of = open_file(f);
  let ret: number;
  let bytes: kbuf;
  if (of.kn!.flags & KERNFS_HAS_SEQ_SHOW) {
    const text = new sysfs_buf();
    ret = yield* kernfs_fop_read(of, text, count, Number(ppos.value));
    bytes = bytes_of(text.text);
  } else {
    bytes = new kbuf(Math.min(count, SYSFS_PAGE_SIZE));
    ret = yield* kernfs_fop_bin(of, bytes, bytes.length, Number(ppos.value), false);
  }
  if (ret <= 0) return ret;
  if (yield* copy_to_user(buf, bytes, ret)) return -EFAULT;
  ppos.value += BigInt(ret);
  return ret;
}

function* sysfs_write(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const of = open_file(f);
  const len = Math.min(count, SYSFS_PAGE_SIZE);
  const bytes = new kbuf(len);
  if (yield* copy_from_user(bytes, buf, len)) return -EFAULT;
  const ops = of.kn!.ops!;
  const ret =
    ops.bin_write || ops.bin_read
      ? yield* kernfs_fop_bin(of, bytes, len, Number(ppos.value), true)
      : yield* kernfs_fop_write(of, String.fromCharCode(...bytes.$bytes), Number(ppos.value));
  if (ret > 0) ppos.value += BigInt(ret);
  return ret;
}

const kernfs_file_fops: file_operations = {
  open: sysfs_open,
  release: sysfs_release,
  read: sysfs_read,
  write: sysfs_write,
  llseek: generic_file_llseek,
};

const sysfs: filesystem_root = { name: "sysfs", lookup, readlink, list, get_inode };

function sysfs_init(): number {
  register_filesystem_root("/sys", sysfs);
  return 0;
}
fs_initcall(sysfs_init);
