// SPDX-License-Identifier: GPL-2.0-only
/** Geometry of memory. A leaf, for file scope. */

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
export const PAGE_MASK = ~(PAGE_SIZE - 1);
export const MAX_ORDER = 11;

/** Largest slab cache of kmalloc(); above it whole pages are given out. */
export const KMALLOC_MAX_CACHE_SIZE = 2 * PAGE_SIZE;
/** Largest kmalloc(). */
export const KMALLOC_MAX_SIZE = PAGE_SIZE << (MAX_ORDER - 1);

/** Where the allocators begin to hand out addresses: below 2 GB for DMA, then normal memory, then the vmalloc area. */
export const ZONE_DMA_START = 0x0100_0000;
export const ZONE_NORMAL_START = 0x8000_0000;
export const VMALLOC_START = 0x3ff_0000_0000;

/** Source: include/linux/mm.h */
export function PAGE_ALIGN(addr: number): number {
  return Math.ceil(addr / PAGE_SIZE) * PAGE_SIZE;
}
export function PAGE_ALIGNED(addr: number): boolean {
  return addr % PAGE_SIZE === 0;
}
/** @addr: any address. @return offset in its page */
export function offset_in_page(addr: number | bigint): number {
  return typeof addr === "bigint" ? Number(addr & BigInt(PAGE_SIZE - 1)) : addr % PAGE_SIZE;
}
/** Smallest order of pages that holds `size` bytes. */
export function get_order(size: number): number {
  let order = 0;
  while (PAGE_SIZE * 2 ** order < size) order++;
  return order;
}
