// SPDX-License-Identifier: GPL-2.0-only
/** Small helpers for file operations. */
import { EFAULT, EINVAL } from "#linux/errno.ts";
import type { file, inode, loff_ptr } from "#linux/fs.ts";
import { bytes_at, type byte_memory } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import { kbuild } from "../modpost.ts";
import type { Sleeps } from "../sched/types.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

export function simple_open(inode: inode, file: file): number {
  if (inode.i_private) file.private_data = inode.i_private;
  return 0;
}
EXPORT_SYMBOL(simple_open);

/**
 * Copies out of @from, which holds @available bytes, at the file's position.
 * @return bytes copied, -EINVAL or -EFAULT. Context: may sleep. Source: fs/libfs.c
 */
export function* simple_read_from_buffer(
  to: bigint,
  count: number,
  ppos: loff_ptr,
  from: byte_memory,
  available: number,
): Sleeps<number> {
  const pos = ppos.value;
  if (pos < 0n) return -EINVAL;
  if (pos >= BigInt(available) || !count) return 0;
  const n = Math.min(count, available - Number(pos));
  const left = yield* copy_to_user(to, bytes_at(from, Number(pos), n), n);
  if (left === n) return -EFAULT;
  ppos.value = pos + BigInt(n - left);
  return n - left;
}
EXPORT_SYMBOL(simple_read_from_buffer);

/** The other direction: @to has room for @available bytes. Source: fs/libfs.c */
export function* simple_write_to_buffer(
  to: byte_memory,
  available: number,
  ppos: loff_ptr,
  from: bigint,
  count: number,
): Sleeps<number> {
  const pos = ppos.value;
  if (pos < 0n) return -EINVAL;
  if (pos >= BigInt(available) || !count) return 0;
  const n = Math.min(count, available - Number(pos));
  const left = yield* copy_from_user(bytes_at(to, Number(pos), n), from, n);
  if (left === n) return -EFAULT;
  ppos.value = pos + BigInt(n - left);
  return n - left;
}
EXPORT_SYMBOL(simple_write_to_buffer);
