// SPDX-License-Identifier: GPL-2.0-only
/** Objects from slab caches. Source: mm/slub.c */
import type { kobj_memory } from "../lib/struct.ts";
import { WARN } from "../panic.ts";
import { should_failslab } from "./failslab.ts";
import { bug_type_of, kasan_report } from "./kasan_report.ts";
import { cache_layout, cache_of, type kmem_cache, set_cache_of, SLAB_CACHE_DMA } from "./kmem_cache.ts";
import { bury, check_free, free_of_null, give_birth, might_alloc, take_addresses } from "./slab.ts";
import { kmsan_poison_memory } from "./kmsan.ts";
import { __GFP_DMA, __GFP_ZERO, type gfp_t } from "../../include/linux/gfp_types.ts";

/** The fields of a cache are read in any case, so a destroyed one must speak here, under the name of the function. */
function check_cache(s: kmem_cache, func: string): void {
  if (s.$mem.freed)
    kasan_report({
      mem: s.$mem,
      type: bug_type_of(s.$mem),
      addr: s.$mem.addr,
      size: 4,
      write: false,
      reading_in: func,
    });
}

/**
 * An object of the cache. A NULL cache oopses.
 * @gfp: GFP_KERNEL may sleep. @return NULL if there is no memory
 */
export function kmem_cache_alloc<T extends kobj_memory>(s: kmem_cache<T>, gfp: gfp_t): T | null {
  if (s.$mem.freed) return alloc_from_destroyed(s, gfp);
  might_alloc(gfp);
  if (should_failslab(s.name ?? "", s.object_size, gfp)) return null;
  const of = s.of;
  if (!of) return null;
  const [size, usable] = [s.object_size, s.object_size];
  const addr = take_addresses(s.size, (gfp & __GFP_DMA) !== 0 || (s.flags & SLAB_CACHE_DMA) !== 0);
  const object = give_birth(
    {
      kind: "slab",
      addr,
      size,
      usable,
      cache: s.name,
      type: cache_layout(s),
      useroffset: s.useroffset,
      usersize: s.usersize,
    },
    () => new of() as T, // the cache was made for this class
  );
  set_cache_of(object, s);
  if (s.ctor) s.ctor(object);
  else if (!(gfp & __GFP_ZERO)) kmsan_poison_memory(object);
  return object;
}
/** What is left of a destroyed cache still works, as it does until its memory is used again. */
function alloc_from_destroyed<T extends kobj_memory>(s: kmem_cache<T>, gfp: gfp_t): T | null {
  check_cache(s, "kmem_cache_alloc");
  s.$mem.freed = false;
  const object = kmem_cache_alloc(s, gfp);
  s.$mem.freed = true;
  return object;
}

/** As above; the memory is zero. */
export function kmem_cache_zalloc<T extends kobj_memory>(s: kmem_cache<T>, gfp: gfp_t): T | null {
  return kmem_cache_alloc(s, gfp | __GFP_ZERO);
}

/** Gives an object back to its cache. A NULL object oopses. Any context. */
export function kmem_cache_free<T extends kobj_memory>(s: kmem_cache<T>, object: T | null): void {
  if (s.$mem.freed) check_cache(s, "kmem_cache_free");
  if (object === null) return free_of_null();
  const mem = check_free(object, "kmem_cache_free");
  if (!mem) return;
  const from = cache_of(object);
  if (from !== s)
    WARN(true, "%s: Wrong slab cache. %s but object is from %s\n", "kmem_cache_free", s.name, mem.cache ?? "(null)");
  bury(mem);
}
