// SPDX-License-Identifier: GPL-2.0-only
/**
 * What KASAN's shadow would say of the memory around an address, worked out from what is allocated. Addresses are never given out
 * twice, so what lies between live objects has been freed. Sources: mm/kasan/kasan.h, mm/kasan/report.c, print_memory_metadata()
 */
import type { mem_object } from "./object.ts";
import { live_memory, never_allocated } from "./slab.ts";

const GRANULE = 8;
const BYTES_PER_ROW = 16;
const ROW = BYTES_PER_ROW * GRANULE;
const ROWS_AROUND = 2;

const PAGE_FREE = 0xff;
const PAGE_REDZONE = 0xfe;
const SLAB_REDZONE = 0xfc;
const SLAB_FREE = 0xfb;
/** The first granule of a freed object, behind which the free stack is kept. */
const SLAB_FREETRACK = 0xfa;
const VMALLOC_INVALID = 0xf8;

/** How many of the granule's bytes may be used, or why none. */
function shadow_of(mem: mem_object, at: number): number {
  if (mem.kind === "vmalloc") return mem.freed ? VMALLOC_INVALID : within(mem, at, VMALLOC_INVALID);
  if (mem.kind === "page") return mem.freed ? PAGE_FREE : within(mem, at, PAGE_REDZONE);
  if (mem.freed) return at < mem.addr + GRANULE ? SLAB_FREETRACK : SLAB_FREE;
  return within(mem, at, SLAB_REDZONE);
}
function within(mem: mem_object, at: number, redzone: number): number {
  const left = mem.addr + mem.size - at;
  return left >= GRANULE ? 0 : left > 0 ? left : redzone;
}
const contains = (mem: mem_object, at: number): boolean =>
  at + GRANULE > mem.addr && at < mem.addr + Math.max(mem.usable, GRANULE);

/** One byte for each granule of [from, from + n * 8). @bug: the memory that a report is about, which may be freed */
function shadow(bug: mem_object, from: number, n: number): number[] {
  const end = from + n * GRANULE;
  const near = [...live_memory()].filter((m) => m.addr < end && m.addr + m.usable > from);
  near.push(bug);
  return Array.from({ length: n }, (_, i) => {
    const at = from + i * GRANULE;
    const mem = near.find((m) => contains(m, at));
    if (mem) return shadow_of(mem, at);
    if (bug.kind === "vmalloc") return VMALLOC_INVALID;
    return never_allocated(at) ? SLAB_REDZONE : SLAB_FREE;
  });
}

/** Where an access of `size` bytes first goes wrong. Source: kasan_find_first_bad_addr() */
function first_bad_addr(mem: mem_object, addr: number, size: number): number {
  const granules = shadow(mem, Math.floor(addr / GRANULE) * GRANULE, Math.ceil(size / GRANULE) + 1);
  let at = addr;
  for (let i = 0; at < addr + size && granules[i] === 0; i++) at += GRANULE;
  return at;
}

/** The lines at the end of a report; none for memory that has no address here. */
export function print_memory_metadata(mem: mem_object, addr: number, size: number): string[] {
  if (mem.kind === "static" || mem.kind === "stack") return [];
  const bad = first_bad_addr(mem, addr, size);
  const guilty = Math.floor(bad / ROW) * ROW;
  const lines = ["Memory state around the buggy address:"];
  for (let i = -ROWS_AROUND; i <= ROWS_AROUND; i++) {
    const row = guilty + i * ROW;
    const bytes = shadow(mem, row, BYTES_PER_ROW).map((b) => b.toString(16).padStart(2, "0"));
    lines.push(`${i === 0 ? ">" : " "}${row.toString(16).padStart(16, "0")}: ${bytes.join(" ")}`);
    if (i === 0) lines.push(`${" ".repeat(19 + Math.floor((bad - row) / GRANULE) * 3)}^`);
  }
  return lines;
}
