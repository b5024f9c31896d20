// SPDX-License-Identifier: GPL-2.0-only
/** Ready-made files of debugfs that show a member of a struct. They can only be read here. Source: fs/debugfs/file.c */
import { type file, type file_operations, type loff_ptr, simple_read_from_buffer } from "#linux/fs.ts";
import { kbuf, type Sleeps } from "#linux/types.ts";
import { kbuild } from "../modpost.ts";
import { debugfs_create_file } from "./debugfs.ts";
import type { tree_entry } from "./file_tree.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** `&p->member`: the struct can be gone when somebody reads. */
interface member {
  readonly of: object;
  readonly name: string;
}
function value_of(f: file): unknown {
  const { of, name } = f.f_inode!.i_private as member;
  return of[name as keyof typeof of];
}
function* show(text: string, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const bytes = new kbuf(text.length);
  for (let i = 0; i < text.length; i++) bytes.$bytes[i] = text.charCodeAt(i);
  return yield* simple_read_from_buffer(buf, count, ppos, bytes, text.length);
}
function debugfs_read_file_bool(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  return show(value_of(f) ? "Y\n" : "N\n", buf, count, ppos);
}
function debugfs_ulong_get(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  return show(`${String(value_of(f))}\n`, buf, count, ppos);
}
const fops_bool: file_operations = { read: debugfs_read_file_bool };
const fops_ulong: file_operations = { read: debugfs_ulong_get };

type bools<T> = { [K in keyof T]: T[K] extends boolean ? K : never }[keyof T] & string;
type numbers<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T] & string;

/** A file that says Y or N. @of, @member: what it shows. May sleep. */
export function debugfs_create_bool<T extends object>(
  name: string,
  mode: number,
  parent: tree_entry | null,
  of: T,
  member: bools<T>,
): void {
  debugfs_create_file(name, mode, parent, { of, name: member }, fops_bool);
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
  debugfs_create_file(name, mode, parent, { of, name: member }, fops_ulong);
}
EXPORT_SYMBOL_GPL(debugfs_create_ulong);
