// SPDX-License-Identifier: GPL-2.0-only
/**
 * /sys/kernel/debug/s390dbf: for each log `level`, `pages` (to be read) and `flush`. The files that show the entries, and changing
 * the number of pages, are not here. Source: arch/s390/kernel/debug.c
 */
import { debugfs_create_dir, debugfs_create_file, debugfs_remove, type dentry } from "#linux/debugfs.ts";
import { EFAULT, EINVAL, EPIPE } from "#linux/errno.ts";
import type { file, file_operations, inode, loff_ptr } from "#linux/fs.ts";
import { simple_strtoul } from "#linux/kernel.ts";
import { type seq_file, seq_printf, seq_read, single_open, single_release } from "#linux/seq_file.ts";
import { kbuf, type Sleeps } from "#linux/types.ts";
import { copy_from_user } from "#linux/uaccess.ts";
import { per_boot } from "../../boot.ts";
import { pr_warn } from "../../printk.ts";
import { debug_flush, type debug_info_t, DEBUG_OFF_LEVEL, debug_set_level } from "./debug.ts";

const s = per_boot(() => ({ root: null as dentry | null }));

const MAX_INPUT = 0x10000;

const log_of = (f: file): debug_info_t => f.f_inode!.i_private as debug_info_t;

/** What was written, without a newline at its end. @return it, or -EFAULT */
function* debug_get_user_string(user_buf: bigint, user_len: number): Sleeps<string | number> {
  const bytes = new kbuf(user_len);
  if (yield* copy_from_user(bytes, user_buf, user_len)) return -EFAULT;
  return String.fromCharCode(...bytes.$bytes)
    .replace(/\0.*$/s, "")
    .replace(/\n$/, "");
}
function debug_get_uint(text: string): number {
  const { v, endp } = simple_strtoul(text.trimStart(), 10);
  return endp === "" ? v : -EINVAL;
}

function debug_prolog_level_fn(m: seq_file, id: object | null): number {
  const { level } = id as debug_info_t;
  if (level === DEBUG_OFF_LEVEL) seq_printf(m, "-\n");
  else seq_printf(m, "%i\n", level);
  return 0;
}
function* debug_input_level_fn(f: file, user_buf: bigint, count: number, offset: loff_ptr): Sleeps<number> {
  const user_len = Math.min(count, MAX_INPUT);
  let rc = -EPIPE;
  if (offset.value === 0n) {
    const str = yield* debug_get_user_string(user_buf, user_len);
    if (typeof str === "number") rc = str;
    else {
      const new_level = str.startsWith("-") ? DEBUG_OFF_LEVEL : debug_get_uint(str);
      if (new_level < 0 && !str.startsWith("-")) {
        pr_warn("s390dbf: %s is not a valid level for a debug feature\n", str);
        rc = -EINVAL;
      } else {
        debug_set_level(log_of(f), new_level);
        rc = user_len;
      }
    }
  }
  offset.value += BigInt(user_len);
  return rc;
}
function debug_level_open(inode: inode, f: file): number {
  return single_open(f, debug_prolog_level_fn, inode.i_private);
}

function debug_prolog_pages_fn(m: seq_file, id: object | null): number {
  seq_printf(m, "%i\n", (id as debug_info_t).pages_per_area);
  return 0;
}
function debug_pages_open(inode: inode, f: file): number {
  return single_open(f, debug_prolog_pages_fn, inode.i_private);
}

function* debug_input_flush_fn(f: file, user_buf: bigint, count: number, offset: loff_ptr): Sleeps<number> {
  const user_len = Math.min(count, MAX_INPUT);
  let rc = user_len;
  if (offset.value !== 0n) rc = -EPIPE;
  else {
    const input = new kbuf(1);
    if (yield* copy_from_user(input, user_buf, 1)) rc = -EFAULT;
    // '-' or the number of the area: there is one.
    else if ("-0".includes(String.fromCharCode(...input.$bytes))) debug_flush(log_of(f).name ?? "");
  }
  offset.value += BigInt(user_len);
  return rc;
}

const level_ops: file_operations = {
  open: debug_level_open,
  read: seq_read,
  write: debug_input_level_fn,
  release: single_release,
};
const pages_ops: file_operations = { open: debug_pages_open, read: seq_read, release: single_release };
const flush_ops: file_operations = { write: debug_input_flush_fn };
const VIEWS: Readonly<Record<string, { mode: number; ops: file_operations }>> = {
  level: { mode: 0o666, ops: level_ops },
  pages: { mode: 0o444, ops: pages_ops },
  flush: { mode: 0o222, ops: flush_ops },
};

/** The directory of a log. Context: process, debug_mutex held */
export function debug_create_dir(id: debug_info_t): void {
  s.root ??= debugfs_create_dir("s390dbf", null);
  id.debugfs_root_entry = debugfs_create_dir(id.name ?? "", s.root);
}
/** The file of a view, if it is one that has its file here. */
export function debug_create_view(id: debug_info_t, name: string): void {
  const view = VIEWS[name];
  if (view) debugfs_create_file(name, id.mode & view.mode, id.debugfs_root_entry, id, view.ops);
}
export function debug_remove_dir(id: debug_info_t): void {
  debugfs_remove(id.debugfs_root_entry);
  id.debugfs_root_entry = null;
}
