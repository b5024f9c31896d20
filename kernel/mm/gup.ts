// SPDX-License-Identifier: GPL-2.0-only
/**
 * Pinning user pages. Without the zero page, reserved pages and copies on write: an anonymous page is made at its first
 * touch and stays. Sources: mm/gup.c, include/linux/mmap_lock.h
 */
import { down_read, down_read_trylock, down_write, down_write_killable, up_read, up_write } from "../locking/rwsem.ts";
import type { Sleeps } from "../sched/types.ts";
import { type mm_struct, user_page, VM_READ, VM_WRITE } from "./mm_struct.ts";
import { type page, put_page_refs } from "./page.ts";
import { PAGE_SIZE } from "./page_size.ts";
import { atomic_add } from "../../include/linux/atomic.ts";
import { EFAULT } from "../../include/linux/errno.ts";

export const FOLL_WRITE = 0x01;
export const FOLL_FORCE = 0x10;
export const FOLL_LONGTERM = 0x10000;
/** A pin counts as that many references. */
export const GUP_PIN_COUNTING_BIAS = 1 << 10;

/** `struct page **` as something to write to. */
export interface page_slots {
  at(i: number): page | null;
  set(i: number, v: page | null): void;
}

/**
 * Pins pages of an address space. @start: user address; @nr_pages: how many; @gup_flags: FOLL_WRITE; @pages: filled
 * @return how many, at least one, or -EFAULT. Context: mmap_lock held.
 */
export function pin_user_pages_remote(
  mm: mm_struct,
  start: bigint,
  nr_pages: number,
  gup_flags: number,
  pages: page_slots,
): number {
  for (let i = 0; i < nr_pages; i++) {
    const p = user_page(mm, start + BigInt(i * PAGE_SIZE), gup_flags & FOLL_WRITE ? VM_WRITE : VM_READ);
    if (!p) return i || -EFAULT;
    atomic_add(GUP_PIN_COUNTING_BIAS, p._refcount);
    pages.set(i, p);
  }
  return nr_pages;
}

/** Any context. */
export function unpin_user_page(p: page): void {
  put_page_refs(p, GUP_PIN_COUNTING_BIAS);
}
export function unpin_user_pages(pages: page_slots, npages: number): void {
  for (let i = 0; i < npages; i++) unpin_user_page(pages.at(i)!);
}

/** There is no writing back: a dirty page is like any other. */
export function unpin_user_pages_dirty_lock(pages: page_slots, npages: number, _make_dirty: boolean): void {
  unpin_user_pages(pages, npages);
}

export function mmap_read_lock(mm: mm_struct): Sleeps {
  return down_read(mm.mmap_lock);
}
/** @return 1 or 0. Any context */
export function mmap_read_trylock(mm: mm_struct): number {
  return down_read_trylock(mm.mmap_lock);
}
export function mmap_read_unlock(mm: mm_struct): void {
  up_read(mm.mmap_lock);
}
export function mmap_write_lock(mm: mm_struct): Sleeps {
  return down_write(mm.mmap_lock);
}
/** @return 0, or -EINTR if a fatal signal ended the wait */
export function mmap_write_lock_killable(mm: mm_struct): Sleeps<number> {
  return down_write_killable(mm.mmap_lock);
}
export function mmap_write_unlock(mm: mm_struct): void {
  up_write(mm.mmap_lock);
}
