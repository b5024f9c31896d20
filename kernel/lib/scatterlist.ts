// SPDX-License-Identifier: GPL-2.0-only
/** Tables of pieces of memory, made from pages. Source: lib/scatterlist.c */
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import type { page_pointers } from "#linux/vfio.ts";
import { type gfp_t, kcalloc, kfree } from "#linux/slab.ts";
import { scatterlist, type sg_table } from "#linux/scatterlist.ts";
import { PAGE_SIZE } from "../mm/page_size.ts";
import { page_to_pfn } from "../mm/page.ts";

/** Pages that lie one after the other are one piece: where the pieces begin. */
function pieces(pages: page_pointers, n_pages: number): number[] {
  const starts: number[] = [];
  for (let i = 0; i < n_pages; i++)
    if (i === 0 || page_to_pfn(pages.at(i)!) !== page_to_pfn(pages.at(i - 1)!) + 1) starts.push(i);
  return starts;
}

/**
 * @sgt: filled in; @offset: of the first byte in the first page; @size: bytes in all
 * @return 0 or errno. Free with sg_free_table(). Context: as @gfp says.
 */
export function sg_alloc_table_from_pages(
  sgt: sg_table,
  pages: page_pointers,
  n_pages: number,
  offset: number,
  size: number,
  gfp: gfp_t,
): number {
  const starts = pieces(pages, n_pages);
  if (starts.length === 0) return -EINVAL;
  const sgl = kcalloc(starts.length, scatterlist, gfp);
  if (!sgl) return -ENOMEM;
  let left = size;
  let from = offset;
  for (const [k, i] of starts.entries()) {
    const sg = sgl.at(k);
    const room = ((starts[k + 1] ?? n_pages) - i) * PAGE_SIZE - from;
    sg.page = pages.at(i);
    sg.offset = from;
    sg.length = Math.min(left, room);
    left -= sg.length;
    from = 0;
  }
  sgt.sgl = sgl;
  sgt.nents = sgt.orig_nents = starts.length;
  return 0;
}

/** Any context. */
export function sg_free_table(sgt: sg_table): void {
  kfree(sgt.sgl);
  sgt.sgl = null;
  sgt.nents = sgt.orig_nents = 0;
}
