// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bytes that nobody has written and user space is given. kmalloc() of byte memory notes that none of its bytes are written;
 * whatever writes takes the note away, and copies take it along. Sources: mm/kmsan/core.c, mm/kmsan/hooks.c, mm/kmsan/report.c
 */
import { per_boot } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { written, type byte_memory } from "../lib/bytestruct.ts";
import { addr_of, kobj_memory, layout_of, struct_array } from "../lib/struct.ts";
import { dump_stack_print_info, report } from "../panic.ts";
import { LOGLEVEL_ERR, printk } from "../printk.ts";
import { format_call, format_place, stack_trace } from "../stacktrace.ts";
import { add_taint, LOCKDEP_NOW_UNRELIABLE, TAINT_BAD_PAGE } from "../taint.ts";

import { is_bytes } from "./kasan.ts";
import type { mem_object, track } from "./object.ts";
import { take_track } from "./track.ts";

const s = per_boot(() => ({
  /** One report for each place and object. */
  reported: new Set<string>(),
}));

const LINE = "=".repeat(53);

/** Whether a struct has members with bytes, by its class; outlives boots, as code does. */
const with_bytes = new WeakMap<object, boolean>();
function has_bytes(of: kobj_memory): boolean {
  if (of instanceof struct_array) return of.$items.some((item) => item instanceof kobj_memory && has_bytes(item));
  if (is_bytes(of)) return true;
  let known = with_bytes.get(of.constructor);
  if (known === undefined) {
    const embedded = Object.entries(layout_of(of)?.fields ?? {}).filter(([, f]) => f.kind !== "value");
    known = embedded.some(([name]) => {
      const member: unknown = Reflect.get(of, name);
      return member instanceof kobj_memory && has_bytes(member);
    });
    with_bytes.set(of.constructor, known);
  }
  return known;
}

/** Nobody has written these bytes yet, or those of the members that have some. @of: the whole of an allocation. Any context. */
export function kmsan_poison_memory(of: kobj_memory): void {
  if (!checkers.on) return;
  if (is_bytes(of)) of.$mem.unwritten = new Uint8Array(of.$bytes.length).fill(1);
  else if (has_bytes(of)) of.$mem.unwritten = new Uint8Array(of.$mem.size).fill(1);
}

/** An allocation has got longer where it is: what is behind the first `had` bytes is unwritten. */
export function kmsan_grow_memory(of: byte_memory, had: number): void {
  if (!checkers.on) return;
  const notes = new Uint8Array(of.$bytes.length).fill(1, had);
  if (of.$mem.unwritten) notes.set(of.$mem.unwritten.subarray(0, had));
  of.$mem.unwritten = notes;
}

/** Where `at` bytes into `of` is in the notes of its allocation; -1 for what lies behind the bytes that were asked for. */
function place_in(of: kobj_memory, at: number): number {
  const { root } = of.$mem;
  if (root === of) return at;
  // A part of a struct whose other members have no bytes.
  if (!is_bytes(root) || !is_bytes(of)) return addr_of(of) - of.$mem.addr + at;
  return root.$bytes.buffer === of.$bytes.buffer ? of.$bytes.byteOffset - root.$bytes.byteOffset + at : -1;
}

/** The bytes are written now, by the kernel or by a device. Any context. */
export function kmsan_unpoison_memory(of: kobj_memory, at: number, n: number): void {
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
  const notes = src.$mem.unwritten.slice(from, Math.min(from + n, from + dst.$mem.unwritten.length - to));
  dst.$mem.unwritten.set(notes, to);
  if (notes.includes(1)) stored.set(dst.$mem, { from: src.$mem, at: take_track(kmsan_copy_memory) });
}

/** Where what is not written came from by a copy, the last one of each memory. */
const stored = new WeakMap<mem_object, { readonly from: mem_object; readonly at: track }>();
const MAX_ORIGIN_DEPTH = 7;

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

/** Of a local variable the compiler knows the name; here that of its struct stands. */
function kmsan_print_origin(mem: mem_object): string[] {
  const lines: string[] = [];
  let at = mem;
  for (let depth = 0; depth < MAX_ORIGIN_DEPTH; depth++) {
    const copy = stored.get(at);
    if (!copy) break;
    lines.push("Uninit was stored to memory at:", ...copy.at.stack.map((f) => ` ${f}`), "");
    at = copy.from;
  }
  const born = (at.alloc_track?.stack ?? []).filter((f) => !/^on_stack\b/.test(f)).map((f) => ` ${f}`);
  if (at.kind === "stack") lines.push(`Local variable ${at.type} created at:`, ...born.slice(0, 2));
  else lines.push("Uninit was created at:", ...(born.length > 0 ? born : ["(stack is not available)"]));
  return lines;
}

function kmsan_report(to: bigint, from: byte_memory, size: number, first: number, last: number): void {
  const frames = stack_trace().filter((f) => f.file !== "kernel/mm/kmsan.ts" && f.file !== "kernel/mm/uaccess.ts");
  const place = format_place(frames);
  const key = `${place} ${from.$mem.birth} ${first}-${last}`;
  if (s.reported.has(key)) return;
  s.reported.add(key);
  const title = `BUG: KMSAN: kernel-infoleak in ${place}`;
  const text = [
    title,
    ...frames.map((f) => ` ${format_call(f)}`),
    "",
    ...kmsan_print_origin(from.$mem),
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
