// SPDX-License-Identifier: GPL-2.0-only
/** kmalloc() and kfree(): typed objects and byte memory from slab caches. Sources: mm/slab_common.c, mm/slub.c */
import { per_boot_books } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { kbuf } from "../lib/bytestruct.ts";
import { addr_of, build_in, embed, type field, kobj_memory, layout_of, sizeof, struct_array } from "../lib/struct.ts";
import { kcsan_check_free } from "../kcsan/access.ts";
import { debug_check_no_obj_freed } from "../locking/debug_objects.ts";
import { bad_dereference, WARN_ON_ONCE } from "../panic.ts";
import { might_sleep } from "../sched/debug.ts";
import { spend_work } from "../sched/limits.ts";
import { sched } from "../sched/task.ts";
import { traced } from "../trace/emitter.ts";
import { trace_kfree, trace_kmalloc } from "../trace/events.ts";
import { footprint_free } from "./footprint.ts";
import { bug_type_of, kasan_report } from "./kasan_report.ts";
import { should_failslab } from "./failslab.ts";
import { kmsan_poison_memory } from "./kmsan.ts";
import { mem_object, type memory_kind } from "./object.ts";
import {
  get_order,
  KMALLOC_MAX_CACHE_SIZE,
  KMALLOC_MAX_SIZE,
  PAGE_SIZE,
  ZONE_DMA_START,
  ZONE_NORMAL_START,
} from "./page_size.ts";
import { take_track } from "./track.ts";
import {
  __GFP_ACCOUNT,
  __GFP_DMA,
  __GFP_NOWARN,
  __GFP_RECLAIMABLE,
  __GFP_ZERO,
  gfpflags_allow_blocking,
  type gfp_t,
} from "../../include/linux/gfp_types.ts";

/** A struct class that memory can be had for. */
export type struct_ctor<T> = new () => T;

const s = per_boot_books(() => ({
  /** Everything allocated and not freed yet, in order of birth. */
  live: new Map<number, mem_object>(),
  births: 0,
  /** Next free address of each zone. Freed addresses are never given out again: that is what the quarantine is for. */
  dma: ZONE_DMA_START,
  normal: ZONE_NORMAL_START,
}));

/** The allocator's own books, which keep nothing alive. */
export const slab_books: object = s;

/** Objects allocated and not freed, oldest first. */
export function live_memory(): Iterable<mem_object> {
  return s.live.values();
}

/** Speaks if an allocation with these flags may not be made here. Source: include/linux/sched/mm.h */
export function might_alloc(gfp: gfp_t): void {
  if (sched.current && gfpflags_allow_blocking(gfp)) might_sleep();
}

/** Next `size` bytes of a zone. */
export function take_addresses(size: number, dma: boolean, align = 8): number {
  const zone = dma ? "dma" : "normal";
  const addr = Math.ceil(s[zone] / align) * align;
  s[zone] = addr + Math.max(size, 8);
  return addr;
}

/** Whether nothing has been allocated there yet, in the zone of this address. */
export function never_allocated(addr: number): boolean {
  return addr >= (addr >= ZONE_NORMAL_START ? s.normal : s.dma);
}

export interface allocation {
  readonly kind: memory_kind;
  readonly addr: number;
  readonly size: number;
  readonly usable: number;
  readonly cache: string | null;
  readonly type: string;
  readonly useroffset?: number;
  readonly usersize?: number;
}

/** Makes an object that the sanitizers know about. */
export function give_birth<T extends object>(what: allocation, make: () => T): T {
  spend_work();
  const mem = new mem_object();
  mem.kind = what.kind;
  mem.addr = what.addr;
  mem.size = what.size;
  mem.usable = what.usable;
  mem.cache = what.cache;
  mem.type = what.type;
  mem.useroffset = what.useroffset ?? 0;
  mem.usersize = what.usersize ?? 0;
  mem.birth = ++s.births;
  const root = build_in(mem, make);
  mem.root = root;
  if (checkers.on) {
    mem.alloc_track = take_track(give_birth);
    s.live.set(mem.birth, mem);
  }
  if (traced.kernel) trace_kmalloc(mem);
  return root;
}

/** The object is gone: every pointer to it, or to what is embedded in it, is stale from here on. */
export function bury(mem: mem_object): void {
  if (traced.kernel) trace_kfree(mem);
  footprint_free(mem);
  if (!checkers.on) return;
  debug_check_no_obj_freed(mem);
  kcsan_check_free(mem);
  mem.freed = true;
  mem.free_track = take_track(bury);
  s.live.delete(mem.birth);
}

/** Object size of the kmalloc cache for `size` bytes. */
function kmalloc_bucket(size: number): number {
  if (size > 64 && size <= 96) return 96;
  if (size > 128 && size <= 192) return 192;
  return size <= 8 ? 8 : 1 << (32 - Math.clz32(size - 1));
}

/** Bytes that kmalloc(size) really gives. Source: mm/slab_common.c */
export function kmalloc_size_roundup(size: number): number {
  if (size === 0) return 0;
  return size > KMALLOC_MAX_CACHE_SIZE ? PAGE_SIZE << get_order(size) : kmalloc_bucket(size);
}

function kmalloc_cache_name(bucket: number, gfp: gfp_t): string {
  const kind =
    gfp & __GFP_DMA
      ? "dma-kmalloc-"
      : gfp & __GFP_RECLAIMABLE
        ? "kmalloc-rcl-"
        : gfp & __GFP_ACCOUNT
          ? "kmalloc-cg-"
          : "kmalloc-";
  return kind + (bucket >= 1024 ? `${bucket / 1024}k` : `${bucket}`);
}

/** Whether kmalloc(size) gives memory now; asks fault injection. @return name of the cache, "" for whole pages, null: no memory */
export function kmalloc_decides(size: number, gfp: gfp_t): string | null {
  might_alloc(gfp);
  if (size > KMALLOC_MAX_SIZE) {
    if (!(gfp & __GFP_NOWARN)) WARN_ON_ONCE(true);
    return null;
  }
  // Whole pages have a fault attribute of their own in Linux, fail_page_alloc; here it is the same one.
  const large = size > KMALLOC_MAX_CACHE_SIZE;
  const bucket = kmalloc_size_roundup(size);
  const name = large ? "" : kmalloc_cache_name(bucket, gfp);
  return should_failslab(large ? "pages" : name, bucket, gfp) ? null : name;
}

function allocate<T extends object>(size: number, gfp: gfp_t, type: string, make: (usable: number) => T): T | null {
  const cache = kmalloc_decides(size, gfp);
  if (cache === null) return null;
  const usable = kmalloc_size_roundup(size);
  const dma = (gfp & __GFP_DMA) !== 0;
  const large = cache === "";
  const addr = take_addresses(usable, dma, large ? PAGE_SIZE : 8);
  return give_birth(
    { kind: large ? "page" : "slab", addr, size, usable, cache: large ? null : cache, type, usersize: usable },
    () => make(usable),
  );
}

/** Memory for a string of `length` characters and its NUL. @return whether there is any */
export function string_memory(length: number, gfp: gfp_t): boolean {
  return kmalloc_decides(length + 1, gfp) !== null;
}

/** What kmalloc(0) gives: not NULL, and of no use. */
export const ZERO_SIZE_PTR = new kbuf(0);

/** Byte memory of which the first `size` of `usable` bytes may be used. */
function make_buffer(size: number, usable: number): kbuf {
  const buf = new kbuf(usable);
  buf.$bytes = buf.$bytes.subarray(0, size);
  return buf;
}

/**
 * Memory for a struct, or `size` bytes. What C leaves uninitialised is zero here.
 * @of: class or bytes, @gfp: GFP_KERNEL may sleep, @size: of a struct that has more at its end than its class says
 * @return NULL if there is no memory. Source: include/linux/slab.h
 */
export function kmalloc<T extends kobj_memory>(of: struct_ctor<T>, gfp: gfp_t, size?: number): T | null;
export function kmalloc(of: number, gfp: gfp_t): kbuf | null;
export function kmalloc(of: struct_ctor<kobj_memory> | number, gfp: gfp_t, size?: number): kobj_memory | null {
  if (typeof of === "number") {
    if (of === 0) return ZERO_SIZE_PTR;
    return unwritten(
      gfp,
      allocate(of, gfp, "buffer", (usable) => make_buffer(of, usable)),
    );
  }
  return unwritten(
    gfp,
    allocate(size ?? sizeof(of), gfp, layout_of(of)?.name ?? of.name, () => new of()),
  );
}
/** Notes, of memory with bytes in it, that nobody has written them. */
function unwritten<T extends kobj_memory>(gfp: gfp_t, object: T | null): T | null {
  if (object && !(gfp & __GFP_ZERO)) kmsan_poison_memory(object);
  return object;
}
/** kmalloc() of memory that is zero. */
export function kzalloc<T extends kobj_memory>(of: struct_ctor<T>, gfp: gfp_t, size?: number): T | null;
export function kzalloc(of: number, gfp: gfp_t): kbuf | null;
export function kzalloc(of: struct_ctor<kobj_memory> | number, gfp: gfp_t, size?: number): kobj_memory | null {
  const zeroed = gfp | __GFP_ZERO;
  return typeof of === "number" ? kmalloc(of, zeroed) : kmalloc(of, zeroed, size);
}

export type array_of<T> = struct_ctor<T> | field<T>;

function element_of<T>(of: array_of<T>): field<T> {
  // A struct class is the only function among them.
  return typeof of === "function" ? embed(() => of as struct_ctor<T & object>) : of;
}
function element_name(of: array_of<unknown>): string {
  return typeof of === "function" ? (layout_of(of)?.name ?? of.name) : `u${of.width() * 8}`;
}

/**
 * An array of `n` structs, of `n` members as in a struct (`ptr<foo>()`, `u32()`), or n * of bytes. Zeroed.
 * @return NULL if there is no memory
 */
export function kcalloc<T>(n: number, of: array_of<T>, gfp: gfp_t): struct_array<T> | null;
export function kcalloc(n: number, of: number, gfp: gfp_t): kbuf | null;
export function kcalloc<T>(n: number, of: array_of<T> | number, gfp: gfp_t): struct_array<T> | kbuf | null {
  if (typeof of === "number") return kzalloc(n * of, gfp);
  const element = element_of(of);
  if (n === 0) return new struct_array<T>(0, element);
  return allocate(n * element.width(), gfp, `${element_name(of)}[]`, () => new struct_array<T>(n, element));
}
/** The same; bytes are not zeroed. */
export const kmalloc_array: typeof kcalloc = <T>(n: number, of: array_of<T> | number, gfp: gfp_t) =>
  // Overloads do not reach inside: each kind of element goes to its own.
  (typeof of === "number" ? kmalloc(n * of, gfp) : kcalloc(n, of, gfp)) as struct_array<T> & kbuf;

/** ZERO_SIZE_PTR, as bytes or as an array. */
function is_zero_size(p: object): boolean {
  return p === ZERO_SIZE_PTR || (p instanceof struct_array && p.length === 0 && p.$mem.kind === "static");
}

/** Whether `p` is memory that kfree() could ever take; faults on poison and error pointers, as reading the page of one does. */
export function memory_of(p: object): mem_object {
  if (p instanceof kobj_memory) return p.$mem;
  // An error pointer faults here, at its address.
  const mem: unknown = (p as { $mem?: unknown }).$mem;
  if (mem instanceof mem_object) return mem;
  throw new TypeError("kfree() of something that kmalloc() never gives");
}

/**
 * What the freeing functions check first. Speaks of a pointer that is not the beginning of an object, or already freed.
 * @func: who frees. @return the object to free, or null. Source: mm/kasan/common.c, ____kasan_slab_free()
 */
export function check_free(
  p: object,
  func: string,
  kinds: readonly memory_kind[] = ["slab", "page"],
): mem_object | null {
  const mem = memory_of(p);
  const addr = p instanceof kobj_memory ? addr_of(p) : mem.addr;
  const bug = { mem, addr, size: 0, write: true, freeing: func };
  if (!kinds.includes(mem.kind) || addr !== mem.addr) {
    kasan_report({ ...bug, type: "invalid-free" });
    return null;
  }
  if (mem.freed) {
    kasan_report({ ...bug, type: "double-free" });
    return null;
  }
  return mem;
}

/** Frees what the kmalloc() family or a slab cache gave; NULL is fine. Any context. Source: mm/slab_common.c */
export function kfree(p: object | string | null): void {
  // Strings have no identity here: nobody can tell which copy it is.
  if (p === null || typeof p === "string" || is_zero_size(p)) return;
  const mem = check_free(p, "kfree");
  if (mem) bury(mem);
}
export const kfree_const = kfree;

/** Wipes the memory first. */
export function kfree_sensitive(p: object | string | null): void {
  if (p instanceof kobj_memory && "$bytes" in p && p.$bytes instanceof Uint8Array && !p.$mem.freed) p.$bytes.fill(0);
  kfree(p);
}
export const kzfree = kfree_sensitive;

/** Bytes that may be used of what kmalloc() gave. */
export function ksize(p: object | null): number {
  if (p === null || is_zero_size(p)) return 0;
  const mem = memory_of(p);
  if (!mem.freed) return mem.usable;
  kasan_report({ mem, type: bug_type_of(mem), addr: mem.addr, size: 1, write: false });
  return 0;
}

/** For the freeing functions of others that C would oops in. */
export function free_of_null(): never {
  return bad_dereference(0n, "slab_cache", false);
}
