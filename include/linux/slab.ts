// SPDX-License-Identifier: GPL-2.0-only
// custom: the slab allocator
export {
  kcalloc,
  kfree,
  kfree_const,
  kfree_sensitive,
  kmalloc,
  kmalloc_array,
  kmalloc_size_roundup,
  ksize,
  kzalloc,
  kzfree,
  ZERO_SIZE_PTR,
} from "../../kernel/mm/slab.ts";
export { krealloc, krealloc_array } from "../../kernel/mm/slab_realloc.ts";
export {
  kmem_cache,
  kmem_cache_create,
  kmem_cache_create_usercopy,
  kmem_cache_destroy,
  SLAB_ACCOUNT,
  SLAB_CACHE_DMA,
  SLAB_HWCACHE_ALIGN,
  SLAB_PANIC,
  SLAB_RECLAIM_ACCOUNT,
  SLAB_STORE_USER,
} from "../../kernel/mm/kmem_cache.ts";
export { kmem_cache_alloc, kmem_cache_free, kmem_cache_zalloc } from "../../kernel/mm/slab_cache.ts";
export {
  kmemdup,
  kstrdup,
  kstrdup_const,
  kstrndup,
  kvcalloc,
  kvfree,
  kvmalloc,
  kvmalloc_array,
  kvzalloc,
} from "../../kernel/mm/util.ts";
export { kasprintf, kvasprintf, kvasprintf_const } from "../../kernel/lib/kasprintf.ts";
export { KMALLOC_MAX_CACHE_SIZE, KMALLOC_MAX_SIZE } from "../../kernel/mm/page_size.ts";
export * from "./gfp_types.ts";
