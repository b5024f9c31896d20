// SPDX-License-Identifier: GPL-2.0-only
/** Copies of strings and memory. Strings are JavaScript's: allocating one can fail, but nobody can tell whether it leaks. Source: mm/util.c */
import { kbuf } from "../lib/bytestruct.ts";
import { kobj_memory, sizeof, struct_array } from "../lib/struct.ts";
import { copy_struct } from "../lib/struct_copy.ts";
import { memcpy } from "../lib/string.ts";
import { WARN_ON_ONCE } from "../panic.ts";
import { kasan_check_range } from "./kasan.ts";
import { kcalloc, kfree, kmalloc, string_memory, type struct_ctor, ZERO_SIZE_PTR } from "./slab.ts";
import { vfree, vmalloc, vzalloc } from "./vmalloc.ts";
import { PAGE_SIZE } from "./page_size.ts";
import {
  __GFP_NOFAIL,
  __GFP_NORETRY,
  __GFP_NOWARN,
  __GFP_RETRY_MAYFAIL,
  __GFP_ZERO,
  type gfp_t,
} from "../../include/linux/gfp_types.ts";

/** A copy of `s`; NULL gives NULL. @return NULL if there is no memory */
export function kstrdup(s: string | null, gfp: gfp_t): string | null {
  if (s === null || !string_memory(s.length, gfp)) return null;
  return s;
}
/** Strings of the read-only data are not copied: allocation cannot fail for a constant. Here all strings count as such. */
export function kstrdup_const(s: string | null, _gfp: gfp_t): string | null {
  return s;
}
/** A copy of at most `max` characters. */
export function kstrndup(s: string | null, max: number, gfp: gfp_t): string | null {
  if (s === null || !string_memory(Math.min(max, s.length), gfp)) return null;
  return s.slice(0, max);
}

/**
 * A copy of `len` bytes: of a struct, of an array or of byte memory, whose type it gets.
 * @return NULL if there is no memory
 */
export function kmemdup<T extends kobj_memory>(src: T, len: number, gfp: gfp_t): T | null {
  const copy = same_kind(src, len, gfp);
  if (!copy || !kasan_check_range(src, 0, len, false)) return copy;
  if (copy instanceof kbuf && src instanceof kbuf) memcpy(copy, src, len);
  else copy_struct(copy, src);
  return copy;
}
function same_kind<T extends kobj_memory>(src: T, len: number, gfp: gfp_t): T | null {
  if (src instanceof kbuf) return kmalloc(len, gfp) as kobj_memory as T | null;
  if (src instanceof struct_array)
    return kcalloc(Math.floor(len / src.element.width()), src.element, gfp) as kobj_memory as T | null;
  if (len !== sizeof(src)) throw new TypeError("kmemdup() of a part of a struct");
  return kmalloc(src.constructor as struct_ctor<T>, gfp); // the class it was made by
}

/**
 * Slab memory if there is any, else pages that are only virtually contiguous. Free with kvfree().
 * @return NULL if there is neither
 */
export function kvmalloc<T extends kobj_memory>(of: struct_ctor<T>, gfp: gfp_t): T | null;
export function kvmalloc(of: number, gfp: gfp_t): kbuf | null;
export function kvmalloc(of: struct_ctor<kobj_memory> | number, gfp: gfp_t): kobj_memory | null {
  const size = typeof of === "number" ? of : sizeof(of);
  let first = gfp;
  if (size > PAGE_SIZE) {
    first |= __GFP_NOWARN;
    if (!(first & __GFP_RETRY_MAYFAIL)) first |= __GFP_NORETRY;
    first &= ~__GFP_NOFAIL;
  }
  const got = typeof of === "number" ? kmalloc(of, first) : kmalloc(of, first);
  if (got || size <= PAGE_SIZE) return got;
  if (size > 0x7fff_ffff) {
    WARN_ON_ONCE(!(gfp & __GFP_NOWARN));
    return null;
  }
  if (typeof of !== "number") return vzalloc(of);
  return gfp & __GFP_ZERO ? vzalloc(of) : vmalloc(of);
}
/** kvmalloc() of memory that is zero. */
export function kvzalloc<T extends kobj_memory>(of: struct_ctor<T>, gfp: gfp_t): T | null;
export function kvzalloc(of: number, gfp: gfp_t): kbuf | null;
export function kvzalloc(of: struct_ctor<kobj_memory> | number, gfp: gfp_t): kobj_memory | null {
  return typeof of === "number" ? kvmalloc(of, gfp | __GFP_ZERO) : kvmalloc(of, gfp | __GFP_ZERO);
}
/** kvmalloc() for `n` times `of` bytes. */
export function kvmalloc_array(n: number, of: number, gfp: gfp_t): kbuf | null {
  return kvmalloc(n * of, gfp);
}
export function kvcalloc(n: number, of: number, gfp: gfp_t): kbuf | null {
  return kvmalloc_array(n, of, gfp | __GFP_ZERO);
}

/** Frees what kvmalloc() gave; NULL is fine. May sleep if it came from vmalloc(). */
export function kvfree(p: object | string | null): void {
  if (p instanceof kobj_memory && p.$mem.kind === "vmalloc" && p !== ZERO_SIZE_PTR) vfree(p);
  else kfree(p);
}
