// SPDX-License-Identifier: GPL-2.0-only
// custom: the tree behind sysfs
import { atomic_t } from "./atomic.ts";
import { list_head } from "./list.ts";
import { lockdep_map } from "./lockdep.ts";
import { mutex } from "./mutex.ts";
import { rw_semaphore } from "./rwsem.ts";
import { bool, embed, int, opaque, ptr, str, type Sleeps, struct, u16, u32, u64, type kbuf } from "./types.ts";
import { wait_queue_head } from "./wait.ts";
import type { sysfs_buf } from "../../kernel/fs/sysfs/attribute.ts";

export const KERNFS_DIR = 0x0001;
export const KERNFS_FILE = 0x0002;
export const KERNFS_LINK = 0x0004;
export const KERNFS_TYPE_MASK = 0x000f;
export const KERNFS_ACTIVATED = 0x0010;
export const KERNFS_HAS_SEQ_SHOW = 0x0040;
export const KERNFS_LOCKDEP = 0x0100;
export const KERNFS_SUICIDAL = 0x0400;
export const KERNFS_SUICIDED = 0x0800;
export const KERNFS_EMPTY_DIR = 0x1000;
export const KERNFS_REMOVING = 0x4000;

/** Value of kernfs_node.active while nobody may enter; operations that are still running count upwards from it. */
export const KN_DEACTIVATED_BIAS = -0x7fffffff;

/** How the files of one kind are read and written; all are called with an active reference and the open file's mutex held. */
export interface kernfs_ops {
  readonly seq_show?: (of: kernfs_open_file, buf: sysfs_buf) => Sleeps<number>;
  readonly write?: (of: kernfs_open_file, buf: string, count: number, pos: number) => Sleeps<number>;
  readonly bin_read?: (of: kernfs_open_file, buf: kbuf, count: number, pos: number) => Sleeps<number>;
  readonly bin_write?: (of: kernfs_open_file, buf: kbuf, count: number, pos: number) => Sleeps<number>;
}

export class kernfs_root extends struct("kernfs_root", {
  kn: ptr<kernfs_node>(),
  flags: u32(),
  $next_id: int(),
  deactivate_waitq: embed(() => wait_queue_head),
  kernfs_rwsem: embed(() => rw_semaphore),
}) {}

/** A directory, file or link. Children hang in a list here, in a tree sorted by hash in C. */
export class kernfs_node extends struct("kernfs_node", {
  count: embed(() => atomic_t),
  active: embed(() => atomic_t),
  dep_map: opaque(() => new lockdep_map()),
  parent: ptr<kernfs_node>(),
  name: str(),
  $sibling: embed(() => list_head),
  $children: embed(() => list_head),
  $root: ptr<kernfs_root>(),
  subdirs: int(),
  target_kn: ptr<kernfs_node>(),
  ops: opaque<kernfs_ops | null>(() => null),
  size: u64(),
  priv: ptr<object>(),
  id: u64(),
  flags: u16(),
  mode: u16(),
}) {}

/** An open file of the tree. */
export class kernfs_open_file extends struct("kernfs_open_file", {
  kn: ptr<kernfs_node>(),
  mutex: embed(() => mutex),
  f_mode: u32(),
  /** What seq_file keeps in C: the text of the last show(), how much of it was read, and the memory it stands for. */
  $text: str(),
  $from: int(),
  $shown: bool(),
  $buf: ptr<kbuf>(),
}) {}

export const kernfs_type = (kn: kernfs_node): number => kn.flags & KERNFS_TYPE_MASK;

export {
  kernfs_activate,
  kernfs_break_active_protection,
  kernfs_create_dir,
  kernfs_create_root,
  kernfs_find_and_get,
  kernfs_get,
  kernfs_get_active,
  kernfs_path,
  kernfs_put,
  kernfs_put_active,
  kernfs_remove,
  kernfs_remove_by_name,
  kernfs_remove_self,
  kernfs_rename,
  kernfs_unbreak_active_protection,
} from "../../kernel/fs/sysfs/kernfs_dir.ts";
export { kernfs_create_file, kernfs_create_link, kernfs_get_target_path } from "../../kernel/fs/sysfs/kernfs_file.ts";
