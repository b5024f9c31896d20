// SPDX-License-Identifier: GPL-2.0-only
/** Numbers for things: IDA gives numbers out, IDR finds a pointer by one. Source: lib/idr.c */
import type { kbuf } from "./bytestruct.ts";
import { radix_tree_node, xas_node } from "./radix_nodes.ts";
import { opaque, struct, u32 } from "./struct.ts";
import { kfree, kzalloc } from "../mm/slab.ts";
import { WARN, WARN_ON_ONCE } from "../panic.ts";
import { EINVAL, ENOMEM, ENOSPC } from "../../include/linux/errno.ts";
import { GFP_NOWAIT, type gfp_t } from "../../include/linux/gfp_types.ts";

const INT_MAX = 0x7fff_ffff;
/** Bytes of a bitmap, its bits, and how many bits fit into the pointer that would go to it. */
const IDA_CHUNK_SIZE = 128;
const IDA_BITMAP_BITS = IDA_CHUNK_SIZE * 8;
const BITS_PER_XA_VALUE = 63;

interface ida_chunk {
  readonly used: Set<number>;
  bitmap: kbuf | null;
}

class ida_base extends struct("ida", {
  $chunks: opaque<Map<bigint, ida_chunk>>(() => new Map<bigint, ida_chunk>(), 16),
}) {}
export class ida extends ida_base {}

export function ida_init(ida: ida): void {
  ida.$chunks = new Map();
}
/** A static IDA. */
export function DEFINE_IDA(): ida {
  return new ida();
}
export function ida_is_empty(ida: ida): boolean {
  return ida.$chunks.size === 0;
}

function lowest_free(ida: ida, min: number, max: number): number | null {
  for (let id = min; id <= max; id++) {
    if (!ida.$chunks.get(BigInt(Math.floor(id / IDA_BITMAP_BITS)))?.used.has(id % IDA_BITMAP_BITS)) return id;
  }
  return null;
}

/**
 * The lowest free number between `min` and `max`, inclusive. Any context that `gfp` allows.
 * @max: ~0 for no limit. @return the number, -ENOSPC or -ENOMEM
 */
export function ida_alloc_range(ida: ida, min: number, max: number, gfp: gfp_t): number {
  if ((min | 0) < 0) return -ENOSPC;
  const id = lowest_free(ida, min, (max | 0) < 0 ? INT_MAX : max);
  if (id === null) return -ENOSPC;
  const at = BigInt(Math.floor(id / IDA_BITMAP_BITS));
  const bit = id % IDA_BITMAP_BITS;
  let chunk = ida.$chunks.get(at);
  let bitmap = chunk?.bitmap ?? null;
  if (!bitmap && bit >= BITS_PER_XA_VALUE) {
    bitmap = kzalloc(IDA_CHUNK_SIZE, GFP_NOWAIT) ?? kzalloc(IDA_CHUNK_SIZE, gfp);
    if (!bitmap) return -ENOMEM;
  }
  if (!chunk) {
    if (!xas_node(ida.$chunks, at, gfp)) {
      kfree(bitmap);
      return -ENOMEM;
    }
    chunk = { used: new Set(), bitmap: null };
    ida.$chunks.set(at, chunk);
  }
  chunk.bitmap = bitmap;
  chunk.used.add(bit);
  return id;
}
export function ida_alloc(ida: ida, gfp: gfp_t): number {
  return ida_alloc_range(ida, 0, ~0, gfp);
}
export function ida_alloc_min(ida: ida, min: number, gfp: gfp_t): number {
  return ida_alloc_range(ida, min, ~0, gfp);
}
export function ida_alloc_max(ida: ida, max: number, gfp: gfp_t): number {
  return ida_alloc_range(ida, 0, max, gfp);
}
/** @end: exclusive; 0 for no limit */
export function ida_simple_get(ida: ida, start: number, end: number, gfp: gfp_t): number {
  return ida_alloc_range(ida, start, end - 1, gfp);
}

/** Gives a number back. Speaks if nobody has it. Any context. */
export function ida_free(ida: ida, id: number): void {
  if ((id | 0) < 0) return;
  const at = BigInt(Math.floor(id / IDA_BITMAP_BITS));
  const chunk = ida.$chunks.get(at);
  if (!chunk?.used.delete(id % IDA_BITMAP_BITS)) {
    WARN(true, "ida_free called for id=%d which is not allocated.\n", id);
    return;
  }
  if (chunk.used.size > 0) return;
  kfree(chunk.bitmap);
  ida.$chunks.delete(at);
}
export const ida_simple_remove = ida_free;

/** Frees all numbers. */
export function ida_destroy(ida: ida): void {
  for (const chunk of ida.$chunks.values()) kfree(chunk.bitmap);
  ida.$chunks.clear();
}

class idr_base extends struct("idr", {
  idr_base: u32(),
  idr_next: u32(),
  $entries: opaque<Map<bigint, object | null>>(() => new Map<bigint, object | null>(), 16),
}) {}
export class idr extends idr_base {}

export function idr_init(idr: idr): void {
  idr_init_base(idr, 0);
}
export function idr_init_base(idr: idr, base: number): void {
  idr.$entries = new Map();
  idr.idr_base = base;
  idr.idr_next = 0;
}
/** A static IDR. */
export function DEFINE_IDR(): idr {
  return new idr();
}
export function idr_is_empty(idr: idr): boolean {
  return idr.$entries.size === 0;
}

/** @nextid: where to begin, and what was found; @max: inclusive. @return 0, -ENOSPC or -ENOMEM */
export function idr_alloc_u32(
  idr: idr,
  ptr: object | null,
  nextid: { value: number },
  max: number,
  gfp: gfp_t,
): number {
  const base = idr.idr_base;
  if (max < base) return -ENOSPC;
  for (let id = Math.max(nextid.value, base); id <= max; id++) {
    const at = BigInt(id - base);
    if (idr.$entries.has(at)) continue;
    if (!radix_tree_node(idr.$entries, at, gfp)) return -ENOMEM;
    idr.$entries.set(at, ptr);
    nextid.value = id;
    return 0;
  }
  return -ENOSPC;
}
/** The lowest free number from `start` to below `end`; 0 for no end. @return the number, -EINVAL, -ENOSPC or -ENOMEM */
export function idr_alloc(idr: idr, ptr: object | null, start: number, end: number, gfp: gfp_t): number {
  if (WARN_ON_ONCE(start < 0)) return -EINVAL;
  const id = { value: start };
  return idr_alloc_u32(idr, ptr, id, end > 0 ? end - 1 : INT_MAX, gfp) || id.value;
}
/** The same, but goes on from the one given out last. */
export function idr_alloc_cyclic(idr: idr, ptr: object | null, start: number, end: number, gfp: gfp_t): number {
  const max = end > 0 ? end - 1 : INT_MAX;
  const id = { value: (idr.idr_next | 0) < start ? start : idr.idr_next };
  let err = idr_alloc_u32(idr, ptr, id, max, gfp);
  if (err === -ENOSPC && id.value > start) {
    id.value = start;
    err = idr_alloc_u32(idr, ptr, id, max, gfp);
  }
  if (err) return err;
  idr.idr_next = id.value + 1;
  return id.value;
}
/** @return the pointer, or NULL */
export function idr_find<T extends object>(idr: idr, id: number): T | null {
  return (idr.$entries.get(BigInt(id - idr.idr_base)) ?? null) as T | null; // what it holds is the caller's business, as with void *
}
/** @return what was there, or NULL */
export function idr_remove<T extends object>(idr: idr, id: number): T | null {
  const there = idr_find<T>(idr, id);
  idr.$entries.delete(BigInt(id - idr.idr_base));
  return there;
}
function sorted_ids(idr: idr): number[] {
  return [...idr.$entries.keys()].sort((a, b) => (a < b ? -1 : 1)).map((at) => Number(at) + idr.idr_base);
}
/** Calls `fn` for each number in order, until it gives something else than 0. @return that */
export function idr_for_each<D>(idr: idr, fn: (id: number, p: object | null, data: D) => number, data: D): number {
  for (const id of sorted_ids(idr)) {
    const ret = fn(id, idr_find(idr, id), data);
    if (ret) return ret;
  }
  return 0;
}
/** `[id, pointer]` in order; those that were there when it began and still are. */
export function* idr_for_each_entry<T extends object>(idr: idr): IterableIterator<[number, T]> {
  for (const id of sorted_ids(idr)) {
    const entry = idr_find<T>(idr, id);
    if (entry) yield [id, entry];
  }
}
export function idr_destroy(idr: idr): void {
  idr.$entries.clear();
  idr.idr_base = 0;
}
export function idr_preload(_gfp: gfp_t): void {}
export function idr_preload_end(): void {}
