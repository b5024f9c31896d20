// SPDX-License-Identifier: GPL-2.0-only
// custom: lists of pieces of memory; a table is one array, never chained
import { ptr, struct, type struct_array, u32, u64 } from "#linux/types.ts";
import type { page } from "#linux/mm.ts";

export class scatterlist extends struct("scatterlist", {
  /** First page of the piece; page_link in C. */
  page: ptr<page>(),
  offset: u32(),
  length: u32(),
  dma_address: u64(),
  dma_length: u32(),
}) {}

export class sg_table extends struct("sg_table", {
  sgl: ptr<struct_array<scatterlist>>(),
  /** Pieces for the device. */
  nents: u32(),
  orig_nents: u32(),
}) {}

export { sg_alloc_table_from_pages, sg_free_table } from "../../kernel/lib/scatterlist.ts";
