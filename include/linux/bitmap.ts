// SPDX-License-Identifier: GPL-2.0-only
// custom: bits in arrays of unsigned long
export {
  type bitmap,
  bitmap_alloc,
  bitmap_and,
  bitmap_clear,
  bitmap_copy,
  bitmap_empty,
  bitmap_fill,
  bitmap_free,
  bitmap_full,
  bitmap_or,
  bitmap_set,
  bitmap_shift_left,
  bitmap_subset,
  bitmap_weight,
  bitmap_zalloc,
  bitmap_zero,
  BITS_TO_LONGS,
  DECLARE_BITMAP,
  new_bitmap,
} from "../../kernel/lib/bitmap.ts";
