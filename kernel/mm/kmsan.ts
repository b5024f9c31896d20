// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bytes that nobody has written and user space is given. kmalloc() of byte memory notes that none of its bytes are written;
 * whatever writes takes the note away, and copies take it along. Sources: mm/kmsan/core.c, mm/kmsan/hooks.c, mm/kmsan/report.c
 */
import { per_boot } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { written, type byte_memory } from "../lib/bytestruct.ts";
import { addr_of } from "../lib/struct.ts";
import { dump_stack_print_info, report } from "../panic.ts";
import { LOGLEVEL_ERR, printk } from "../printk.ts";
import { format_call, format_place, stack_trace } from "../stacktrace.ts";
import { add_taint, LOCKDEP_NOW_UNRELIABLE, TAINT_BAD_PAGE } from "../taint.ts";

const s = per_boot(() => ({
  /** One report for each place and object. */
  reported: new Set<string>(),
}));

const LINE = "=".repeat(53);

/** Nobody has written these bytes yet. @of: the whole of an allocation */
export function kmsan_poison_memory(of: byte_memory): void {
  if (checkers.on) of.$mem.unwritten = new Uint8Array(of.$bytes.length).fill(1);
}

/** An allocation has got longer where it is: what is behind the first `had` bytes is unwritten. */
export function kmsan_grow_memory(of: byte_memory, had: number): void {
  if (!checkers.on) return;
  const notes = new Uint8Array(of.$bytes.length).fill(1, had);
  if (of.$mem.unwritten) notes.set(of.$mem.unwritten.subarray(0, had));
  of.$mem.unwritten = notes;
}

/** Where `at` bytes into `of` is in the notes of its allocation; -1 for what lies behind the bytes that were asked for. */
function place_in(of: byte_memory, at: number): number {
  const { root } = of.$mem;
  if (root === of) return at;
  const whole = root && "$bytes" in root ? root.$bytes : null;
  if (!(whole instanceof Uint8Array) || whole.buffer !== of.$bytes.buffer) return -1;
  return of.$bytes.byteOffset - whole.byteOffset + at;
}

/** The bytes are written now, by the kernel or by a device. Any context. */
export function kmsan_unpoison_memory(of: byte_memory, at: number, n: number): void {
  const from = place_in(of, at);
  if (from >= 0) of.$mem.unwritten?.fill(0, from, from + n);
}
written.mark = kmsan_unpoison_memory;

/** `n` bytes have been copied: what was not written in `src` is not in `dst`. */
export function kmsan_copy_memory(dst: byte_memory, src: byte_memory, n: number): void {
  const from = place_in(src, 0);
  const to = place_in(dst, 0);
  if (!src.$mem.unwritten || from < 0 || to < 0) return;
  dst.$mem.unwritten ??= new Uint8Array(dst.$mem.size);
  dst.$mem.unwritten.set(src.$mem.unwritten.subarray(from, from + n).slice(0, dst.$mem.unwritten.length - to), to);
}

/**
 * `n` bytes of `from` go to user space: speaks of each run of bytes that nobody has written. A byte that is not zero was
 * written in a way that nobody saw. Source: kmsan_internal_check_memory()
 */
export function kmsan_copy_to_user(to: bigint, from: byte_memory, n: number): void {
  const { unwritten } = from.$mem;
  const start = place_in(from, 0);
  if (!unwritten || start < 0) return;
  const is_unwritten = (i: number): boolean => unwritten[start + i] === 1 && from.$bytes[i] === 0;
  for (let i = 0; i < n; i++) {
    if (!is_unwritten(i)) continue;
    const first = i;
    while (i + 1 < n && is_unwritten(i + 1)) i++;
    kmsan_report(to, from, n, first, i);
  }
}

function kmsan_report(to: bigint, from: byte_memory, size: number, first: number, last: number): void {
  const frames = stack_trace().filter((f) => f.file !== "kernel/mm/kmsan.ts" && f.file !== "kernel/mm/uaccess.ts");
  const place = format_place(frames);
  const key = `${place} ${from.$mem.birth} ${first}-${last}`;
  if (s.reported.has(key)) return;
  s.reported.add(key);
  const title = `BUG: KMSAN: kernel-infoleak in ${place}`;
  const born = from.$mem.alloc_track?.stack ?? [];
  const text = [
    title,
    ...frames.map((f) => ` ${format_call(f)}`),
    "",
    "Uninit was created at:",
    ...(born.length > 0 ? born.map((f) => ` ${f}`) : ["(stack is not available)"]),
    "",
    first === last
      ? `Byte ${first} of ${size} is uninitialized`
      : `Bytes ${first}-${last} of ${size} are uninitialized`,
    `Memory access of size ${size} starts at ${addr_of(from).toString(16).padStart(16, "0")}`,
    `Data copied to user address ${to.toString(16).padStart(16, "0")}`,
    "",
    dump_stack_print_info(),
  ].join("\n");
  printk(LOGLEVEL_ERR, "%s\n", LINE);
  report({ checker: "kmsan", title, text, level: LOGLEVEL_ERR, frames });
  printk(LOGLEVEL_ERR, "%s\n", LINE);
  add_taint(TAINT_BAD_PAGE, LOCKDEP_NOW_UNRELIABLE);
}
