// SPDX-License-Identifier: GPL-2.0-only
/** Pages of real memory: what user space is made of, and what __get_free_page() gives. Source: mm/page_alloc.c */
import { per_boot_books } from "../boot.ts";
import { kbuf } from "../lib/bytestruct.ts";
import { embed, opaque, struct, u32 } from "../lib/struct.ts";
import { should_failslab } from "./failslab.ts";
import { bury, check_free, give_birth, might_alloc, take_addresses } from "./slab.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "./page_size.ts";
import { atomic_inc, atomic_read, atomic_set, atomic_sub_and_test, atomic_t } from "../../include/linux/atomic.ts";
import { __GFP_DMA, type gfp_t } from "../../include/linux/gfp_types.ts";

class page_base extends struct("page", {
  flags: u32(),
  /** References: the allocation, each mapping, each pin. */
  _refcount: embed(() => atomic_t),
  pfn: opaque<number>(() => 0),
  /** Its PAGE_SIZE bytes. */
  $data: opaque<kbuf | null>(() => null),
}) {}
export class page extends page_base {}

const s = per_boot_books(() => ({ by_pfn: new Map<number, page>() }));

function make_page(data: kbuf): page {
  const p = new page();
  p.pfn = data.$mem.addr / PAGE_SIZE;
  p.$data = data;
  atomic_set(p._refcount, 1);
  s.by_pfn.set(p.pfn, p);
  return p;
}

function take_page(gfp: gfp_t, type: string, pages: number): kbuf | null {
  might_alloc(gfp);
  const size = pages * PAGE_SIZE;
  if (should_failslab("pages", size, gfp)) return null;
  const addr = take_addresses(size, (gfp & __GFP_DMA) !== 0, PAGE_SIZE);
  return give_birth(
    { kind: "page", addr, size, usable: size, cache: null, type, usersize: size },
    () => new kbuf(size),
  );
}

/** A page, zeroed. @return NULL if there is no memory */
export function alloc_page(gfp: gfp_t): page | null {
  const data = take_page(gfp, "page", 1);
  return data && make_page(data);
}
/** `2 ** order` pages that lie together, zeroed. @return the first one, which the reference is to; NULL if there is no memory */
export function alloc_pages(gfp: gfp_t, order: number): page | null {
  const data = take_page(gfp, "page", 2 ** order);
  return data && make_page(data);
}
/** What alloc_pages() gave. */
export function __free_pages(p: page, _order: number): void {
  put_page(p);
}
/** A page of user memory: belongs to the process, so that no fault is injected and no leak is looked for. */
export function alloc_user_page(): page {
  return page_at(new kbuf(PAGE_SIZE));
}
/** The page of PAGE_SIZE bytes that belong to somebody else. */
export function page_at(data: kbuf): page {
  const p = new page();
  p.pfn = take_addresses(PAGE_SIZE, false, PAGE_SIZE) / PAGE_SIZE;
  p.$data = data;
  atomic_set(p._refcount, 1);
  s.by_pfn.set(p.pfn, p);
  return p;
}

/** `2 ** order` pages as one piece of byte memory, zeroed. @return NULL if there is no memory */
export function __get_free_pages(gfp: gfp_t, order: number): kbuf | null {
  return take_page(gfp, "buffer", 2 ** order);
}
export function __get_free_page(gfp: gfp_t): kbuf | null {
  return __get_free_pages(gfp, 0);
}
export const get_zeroed_page = __get_free_page;
/** NULL is fine. */
export function free_pages(p: kbuf | null, order: number): void {
  if (!p) return;
  const mem = check_free(p, "__free_pages", ["page"]);
  if (mem) bury(mem);
}
export function free_page(p: kbuf | null): void {
  free_pages(p, 0);
}

export function get_page(p: page): void {
  atomic_inc(p._refcount);
}
/** The last reference frees the page. */
export function put_page(p: page): void {
  put_page_refs(p, 1);
}
/** As put_page(), for `refs` references. */
export function put_page_refs(p: page, refs: number): void {
  if (!atomic_sub_and_test(refs, p._refcount)) return;
  s.by_pfn.delete(p.pfn);
  const data = p.$data;
  if (data && data.$mem.kind === "page") bury(data.$mem);
}
export function __free_page(p: page): void {
  put_page(p);
}
export function page_count(p: page): number {
  return atomic_read(p._refcount);
}

export function page_to_pfn(p: page): number {
  return p.pfn;
}
/** NULL if there is no such page. */
export function pfn_to_page(pfn: number): page | null {
  return s.by_pfn.get(pfn) ?? null;
}
export function pfn_valid(pfn: number): boolean {
  return s.by_pfn.has(pfn);
}
/** The page's bytes; all memory is mapped, so nothing is done and nothing can fail. */
export function kmap_local_page(p: page): kbuf {
  return page_address(p);
}
export const kmap = kmap_local_page;
export function kunmap_local(_addr: kbuf): void {}
export const kunmap = kunmap_local;
export function page_address(p: page): kbuf {
  return p.$data ?? new kbuf(PAGE_SIZE);
}
/** Real address of a page's first byte. */
export function page_to_phys(p: page): bigint {
  return BigInt(p.pfn) << BigInt(PAGE_SHIFT);
}
