// SPDX-License-Identifier: GPL-2.0-only
/** Inodes: made by the file systems, held by nodes and open files, freed with the last of them. */
import { atomic_dec_and_test, atomic_inc, atomic_set } from "#linux/atomic.ts";
import { cd_forget } from "#linux/cdev.ts";
import { inode } from "#linux/fs.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { S_IFCHR, S_IFMT } from "#linux/stat.ts";
import { per_boot_books } from "../boot.ts";
import type { Sleeps } from "../sched/types.ts";

const s = per_boot_books(() => ({ next_ino: 1n }));

/** @mode: type and permissions. @return an inode with one reference, or NULL. Any context. Source: fs/inode.c */
export function new_inode(mode: number): inode | null {
  const i = kzalloc(inode, GFP_KERNEL);
  if (!i) return null;
  i.i_mode = mode;
  i.i_ino = s.next_ino++;
  i.i_data.host = i;
  i.i_mapping = i.i_data;
  INIT_LIST_HEAD(i.i_devices);
  atomic_set(i.i_count, 1);
  return i;
}
export function ihold(i: inode): void {
  atomic_inc(i.i_count);
}
/** Drops a reference. Context: may sleep. Source: fs/inode.c */
export function* iput(i: inode | null): Sleeps {
  if (!i || !atomic_dec_and_test(i.i_count)) return;
  if ((i.i_mode & S_IFMT) === S_IFCHR && i.i_cdev) yield* cd_forget(i);
  i.$evict?.(i);
  kfree(i);
}
