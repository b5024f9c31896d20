// SPDX-License-Identifier: GPL-2.0-only
// custom: memory as devices see it: at its real address, with no IOMMU between
import type { device } from "#linux/device.ts";
import { EINVAL } from "#linux/errno.ts";
import { type page, page_to_phys } from "#linux/mm.ts";
import type { sg_table } from "#linux/scatterlist.ts";

/** The addresses of `n` bits. */
export const DMA_BIT_MASK = (n: number): bigint => (1n << BigInt(n)) - 1n;

export const DMA_BIDIRECTIONAL = 0;
export const DMA_TO_DEVICE = 1;
export const DMA_FROM_DEVICE = 2;
export const DMA_NONE = 3;
export type dma_data_direction = number;

/** @return 0 or -EINVAL. Any context. Source: kernel/dma/mapping.c, kernel/dma/direct.c */
export function dma_map_sgtable(
  _dev: device | null,
  sgt: sg_table,
  direction: dma_data_direction,
  _attrs: number,
): number {
  if (direction < DMA_BIDIRECTIONAL || direction >= DMA_NONE || !sgt.orig_nents) return -EINVAL;
  for (const sg of sgt.sgl!) {
    sg.dma_address = page_to_phys(sg.page!) + BigInt(sg.offset);
    sg.dma_length = sg.length;
  }
  sgt.nents = sgt.orig_nents;
  return 0;
}
/** Caches are coherent: nothing is left to do. */
export function dma_unmap_sgtable(
  _dev: device | null,
  _sgt: sg_table,
  _direction: dma_data_direction,
  _attrs: number,
): void {}

/** @offset, @size: bytes. @return the page's address for the device; dma_mapping_error() says whether it is one. Any context. */
export function dma_map_page(
  _dev: device | null,
  page: page,
  offset: number,
  _size: number,
  _direction: dma_data_direction,
): bigint {
  return page_to_phys(page) + BigInt(offset);
}
export function dma_unmap_page(
  _dev: device | null,
  _addr: bigint,
  _size: number,
  _direction: dma_data_direction,
): void {}
/** @return 0: devices reach all memory there is */
export function dma_mapping_error(_dev: device | null, _addr: bigint): number {
  return 0;
}
