// SPDX-License-Identifier: GPL-2.0-only
/** Text files of the kernel. One show() makes the whole text; iterators over records are not here. */
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import type { file, inode, loff_ptr } from "#linux/fs.ts";
import { seq_file } from "#linux/seq_file.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { kbuf } from "#linux/types.ts";
import { type printf_arg, sprintf } from "../lib/vsprintf.ts";
import { kbuild } from "../modpost.ts";
import { either } from "../sched/either.ts";
import type { Sleeps } from "../sched/types.ts";
import { simple_read_from_buffer } from "./libfs.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

export function seq_printf(m: seq_file, fmt: string, ...args: readonly printf_arg[]): void {
  m.$text += sprintf(fmt, ...args);
}
EXPORT_SYMBOL(seq_printf);
export function seq_puts(m: seq_file, text: string): void {
  m.$text += text;
}
EXPORT_SYMBOL(seq_puts);
export function seq_putc(m: seq_file, c: string): void {
  m.$text += c;
}
EXPORT_SYMBOL(seq_putc);

/** Bytes of a text; every character is one. */
export function bytes_of(text: string): kbuf {
  const buf = new kbuf(text.length);
  for (let i = 0; i < text.length; i++) buf.$bytes[i] = text.charCodeAt(i);
  return buf;
}

/**
 * For open(): reading gives what @show prints.
 * @data: handed to show() as `m.priv`. @return 0 or -ENOMEM. Context: process. Source: fs/seq_file.c
 */
export function single_open(
  f: file,
  show: (m: seq_file, v: object | null) => Sleeps<number> | number,
  data: object | null,
): number {
  const m = kzalloc(seq_file, GFP_KERNEL);
  if (!m) return -ENOMEM;
  m.$show = show;
  m.priv = data;
  f.private_data = m;
  return 0;
}
EXPORT_SYMBOL(single_open);

export function single_release(inode: inode, f: file): number {
  kfree(f.private_data);
  return 0;
}
EXPORT_SYMBOL(single_release);

export function* seq_read(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const m = f.private_data as seq_file;
  if (ppos.value === 0n) m.$shown = false;
  if (!m.$shown) {
    m.$text = "";
    const error = yield* either(m.$show!(m, m.priv));
    if (error < 0) return error;
    m.$shown = true;
  }
  const text = bytes_of(m.$text);
  return yield* simple_read_from_buffer(buf, count, ppos, text, text.length);
}
EXPORT_SYMBOL(seq_read);

export function seq_lseek(f: file, offset: bigint, whence: number): bigint {
  const to = whence === 1 ? f.f_pos + offset : offset;
  if (whence > 1 || to < 0n) return BigInt(-EINVAL);
  f.f_pos = to;
  return to;
}
EXPORT_SYMBOL(seq_lseek);
