// SPDX-License-Identifier: GPL-2.0-only
/** Bitmaps of dirty I/O addresses in user memory, pinned window by window. */
import { EFAULT, ENOMEM } from "#linux/errno.ts";
import { ERR_PTR } from "#linux/err.ts";
import { kbuild } from "#linux/export.ts";
import { GFP_KERNEL, kcalloc, kfree, kzalloc } from "#linux/slab.ts";
import {
  current_mm,
  FOLL_WRITE,
  kmap_local_page,
  kunmap_local,
  mmap_read_lock,
  mmap_read_unlock,
  offset_in_page,
  type page,
  PAGE_SHIFT,
  PAGE_SIZE,
  pin_user_pages_remote,
  unpin_user_pages,
} from "#linux/mm.ts";
import { b64, bytestruct, cast_to, embed, ptr, type Sleeps, struct, type struct_array, ulong } from "#linux/types.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const BITS_PER_BYTE = 8n;
const BITS_PER_PAGE = BigInt(PAGE_SIZE) * BITS_PER_BYTE;
const U64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** The part of the bitmap that is pinned now: bit 0 of the first page stands for `iova`. */
class iova_bitmap_map extends struct("iova_bitmap_map", {
  iova: ulong(),
  /** log2 of the bytes that a bit stands for. */
  pgshift: ulong(),
  /** Where in the first page the bitmap begins. */
  pgoff: ulong(),
  npages: ulong(),
  pages: ptr<struct_array<page | null>>(),
}) {}

export class iova_bitmap extends struct("iova_bitmap", {
  mapped: embed(() => iova_bitmap_map),
  /** User address. */
  bitmap: ulong(),
  /** First byte of the bitmap that `mapped` covers, and number of bytes in all. */
  mapped_base_index: ulong(),
  mapped_total_index: ulong(),
  iova: ulong(),
  length: ulong(),
}) {}

/** Bitmaps are arrays of unsigned long. */
class bitmap_word extends bytestruct("bitmap_word", { word: b64() }) {}

/** Called for each range of addresses whose part of the bitmap is there. @return 0 to go on */
export type iova_bitmap_fn_t = (
  bitmap: iova_bitmap,
  iova: bigint,
  length: bigint,
  opaque: object | null,
) => Sleeps<number>;

function iova_bitmap_offset_to_index(bitmap: iova_bitmap, iova: bigint): bigint {
  return (iova >> bitmap.mapped.pgshift) / BITS_PER_BYTE;
}

/** Relative to the beginning of the bitmap. */
function iova_bitmap_index_to_offset(bitmap: iova_bitmap, index: bigint): bigint {
  return U64((index * BITS_PER_BYTE) << bitmap.mapped.pgshift);
}

function iova_bitmap_mapped_iova(bitmap: iova_bitmap): bigint {
  return U64(bitmap.iova + iova_bitmap_index_to_offset(bitmap, bitmap.mapped_base_index));
}

/** Pins the window that begins at mapped_base_index. */
function* iova_bitmap_get(bitmap: iova_bitmap): Sleeps<number> {
  const mapped = bitmap.mapped;

  let npages = (bitmap.mapped_total_index - bitmap.mapped_base_index + BigInt(PAGE_SIZE) - 1n) >> BigInt(PAGE_SHIFT);

  const addr = bitmap.bitmap + bitmap.mapped_base_index;

  // As many as page pointers fit in a page
  npages = min(npages + (offset_in_page(addr) ? 1n : 0n), BigInt(PAGE_SIZE) / 8n);

  const mm = current_mm()!;
  yield* mmap_read_lock(mm);
  const ret = pin_user_pages_remote(mm, addr - BigInt(offset_in_page(addr)), Number(npages), FOLL_WRITE, mapped.pages!);
  mmap_read_unlock(mm);
  if (ret <= 0) return -EFAULT;

  mapped.npages = BigInt(ret);
  mapped.iova = iova_bitmap_mapped_iova(bitmap);

  mapped.pgoff = BigInt(offset_in_page(addr));
  return 0;
}

function iova_bitmap_put(bitmap: iova_bitmap): void {
  const mapped = bitmap.mapped;

  if (mapped.npages) {
    unpin_user_pages(mapped.pages!, Number(mapped.npages));
    mapped.npages = 0n;
  }
}

/**
 * A bitmap in user memory for a range of I/O addresses, with its first window pinned.
 * @iova, @length: the range, bytes; @page_size: what a bit stands for, a power of two; @data: user address
 * @return it, or ERR_PTR(-ENOMEM), ERR_PTR(-EFAULT). Context: may sleep. Source: drivers/vfio/iova_bitmap.c
 */
export function* iova_bitmap_alloc(iova: bigint, length: bigint, page_size: bigint, data: bigint): Sleeps<iova_bitmap> {
  const bitmap = kzalloc(iova_bitmap, GFP_KERNEL);
  if (!bitmap) return ERR_PTR(-ENOMEM);

  const mapped = bitmap.mapped;
  mapped.pgshift = BigInt(page_size.toString(2).length - 1 - page_size.toString(2).lastIndexOf("1"));
  bitmap.bitmap = data;
  bitmap.mapped_total_index = iova_bitmap_offset_to_index(bitmap, U64(length - 1n)) + 1n;
  bitmap.iova = iova;
  bitmap.length = length;
  mapped.iova = iova;
  let rc;
  err: {
    mapped.pages = kcalloc(PAGE_SIZE / 8, ptr<page>(), GFP_KERNEL);
    if (!mapped.pages) {
      rc = -ENOMEM;
      break err;
    }

    rc = yield* iova_bitmap_get(bitmap);
    if (rc) break err;
    return bitmap;
  }
  iova_bitmap_free(bitmap);
  return ERR_PTR(rc);
}

/** Source: drivers/vfio/iova_bitmap.c */
export function iova_bitmap_free(bitmap: iova_bitmap): void {
  const mapped = bitmap.mapped;

  iova_bitmap_put(bitmap);

  if (mapped.pages) {
    kfree(mapped.pages);
    mapped.pages = null;
  }

  kfree(bitmap);
}

/** Bytes of the bitmap that are left and pinned. */
function iova_bitmap_mapped_remaining(bitmap: iova_bitmap): bigint {
  const bytes = (bitmap.mapped.npages << BigInt(PAGE_SHIFT)) - bitmap.mapped.pgoff;

  return min(bitmap.mapped_total_index - bitmap.mapped_base_index, bytes);
}

function iova_bitmap_mapped_length(bitmap: iova_bitmap): bigint {
  const max_iova = U64(bitmap.iova + bitmap.length - 1n);
  const iova = iova_bitmap_mapped_iova(bitmap);

  // What the pinned bytes stand for, but not more than was asked for
  let remaining = iova_bitmap_index_to_offset(bitmap, iova_bitmap_mapped_remaining(bitmap));

  if (U64(iova + remaining - 1n) > max_iova) remaining = U64(remaining - (U64(iova + remaining - 1n) - max_iova));

  return remaining;
}

function iova_bitmap_done(bitmap: iova_bitmap): boolean {
  return bitmap.mapped_base_index >= bitmap.mapped_total_index;
}

/** The next window. */
function* iova_bitmap_advance(bitmap: iova_bitmap): Sleeps<number> {
  const iova = U64(iova_bitmap_mapped_length(bitmap) - 1n);
  const count = iova_bitmap_offset_to_index(bitmap, iova) + 1n;

  bitmap.mapped_base_index += count;

  iova_bitmap_put(bitmap);
  if (iova_bitmap_done(bitmap)) return 0;

  return yield* iova_bitmap_get(bitmap);
}

/**
 * Calls `fn` for all of the range, window by window. @return 0 or the first error. Context: may sleep.
 * Source: drivers/vfio/iova_bitmap.c
 */
export function* iova_bitmap_for_each(
  bitmap: iova_bitmap,
  opaque: object | null,
  fn: iova_bitmap_fn_t,
): Sleeps<number> {
  let ret = 0;

  for (; !iova_bitmap_done(bitmap) && !ret; ret = yield* iova_bitmap_advance(bitmap)) {
    ret = yield* fn(bitmap, iova_bitmap_mapped_iova(bitmap), iova_bitmap_mapped_length(bitmap), opaque);
    if (ret) break;
  }

  return ret;
}

/** Marks a range as dirty; what is not pinned is left out. Any context. Source: drivers/vfio/iova_bitmap.c */
export function iova_bitmap_set(bitmap: iova_bitmap, iova: bigint, length: bigint): void {
  const mapped = bitmap.mapped;
  let cur_bit = (U64(iova - mapped.iova) >> mapped.pgshift) + mapped.pgoff * BITS_PER_BYTE;
  const last_bit = (U64(iova + length - 1n - mapped.iova) >> mapped.pgshift) + mapped.pgoff * BITS_PER_BYTE;
  const last_page_idx = U64(mapped.npages - 1n);

  do {
    const page_idx = cur_bit / BITS_PER_PAGE;
    const offset = cur_bit % BITS_PER_PAGE;
    const nbits = min(BITS_PER_PAGE - offset, last_bit - cur_bit + 1n);

    if (page_idx > last_page_idx) break;

    const kaddr = kmap_local_page(mapped.pages!.at(Number(page_idx))!);
    for (let bit = Number(offset); bit < Number(offset + nbits); bit++)
      cast_to(bitmap_word, kaddr, Math.floor(bit / 64) * 8).word |= 1n << BigInt(bit % 64);
    kunmap_local(kaddr);
    cur_bit += nbits;
  } while (cur_bit <= last_bit);
}
EXPORT_SYMBOL_GPL(iova_bitmap_set);
