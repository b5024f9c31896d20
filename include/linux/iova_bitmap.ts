// SPDX-License-Identifier: GPL-2.0-only
// dup: bitmaps of dirty I/O addresses in user memory
export {
  type iova_bitmap,
  type iova_bitmap_fn_t,
  iova_bitmap_alloc,
  iova_bitmap_for_each,
  iova_bitmap_free,
  iova_bitmap_set,
} from "../../drivers/vfio/iova_bitmap.ts";
