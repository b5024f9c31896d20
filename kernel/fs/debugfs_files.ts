// SPDX-License-Identifier: GPL-2.0-only
/** Ready-made files of debugfs that show a member of a struct. They can only be read here. Source: fs/debugfs/file.c */
import { type file, type file_operations, type loff_ptr, simple_read_from_buffer } from "#linux/fs.ts";
import { kbuf, type Sleeps } from "#linux/types.ts";
import { kbuild } from "../modpost.ts";
import { debugfs_create_file } from "./debugfs.ts";
import type { tree_entry } from "./file_tree.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** `&p->member`: the struct can be gone when somebody reads. */
interface shown {
  readonly text: () => string;
}

function* show_read(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const text = (f.f_inode!.i_private as shown).text();
  const bytes = new kbuf(text.length);
  for (let i = 0; i < text.length; i++) bytes.$bytes[i] = text.charCodeAt(i);
  return yield* simple_read_from_buffer(buf, count, ppos, bytes, text.length);
}
const show_fops: file_operations = { read: show_read };

type bools<T> = { [K in keyof T]: T[K] extends boolean ? K : never }[keyof T];
type numbers<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T];

/** A file that says Y or N. @of, @member: what it shows. May sleep. */
export function debugfs_create_bool<T extends object>(
  name: string,
  mode: number,
  parent: tree_entry | null,
  of: T,
  member: bools<T>,
): void {
  debugfs_create_file(name, mode, parent, { of, text: () => (of[member] ? "Y\n" : "N\n") }, show_fops);
}
EXPORT_SYMBOL_GPL(debugfs_create_bool);

/** A file that shows a number. */
export function debugfs_create_ulong<T extends object>(
  name: string,
  mode: number,
  parent: tree_entry | null,
  of: T,
  member: numbers<T>,
): void {
  debugfs_create_file(name, mode, parent, { of, text: () => `${String(of[member])}\n` }, show_fops);
}
EXPORT_SYMBOL_GPL(debugfs_create_ulong);
