// SPDX-License-Identifier: GPL-2.0-only
/** krealloc(). Source: mm/slab_common.c, __do_krealloc() */
import { kbuf } from "../lib/bytestruct.ts";
import { addr_of, build_in, kobj_memory, struct_array } from "../lib/struct.ts";
import { copy_element } from "../lib/struct_copy.ts";
import { bug_type_of, kasan_report } from "./kasan_report.ts";
import { type array_of, kcalloc, kfree, kmalloc, ZERO_SIZE_PTR } from "./slab.ts";
import { kmsan_grow_memory } from "./kmsan.ts";
import { memcpy } from "../lib/string.ts";
import { __GFP_ZERO, type gfp_t } from "../../include/linux/gfp_types.ts";

/**
 * Makes an array longer or shorter, or a buffer. If the slab object has room it stays where it is; if not, the contents are
 * copied and the old memory is freed, so that pointers into it are stale. If there is no memory the old one stays.
 * @old: NULL for a first allocation, @n: number of elements, or bytes
 * @return NULL if there is no memory
 */
export function krealloc<T>(
  old: struct_array<T> | null,
  n: number,
  of: array_of<T>,
  gfp: gfp_t,
): struct_array<T> | null;
export function krealloc(old: kbuf | null, n: number, gfp: gfp_t): kbuf | null;
export function krealloc<T>(
  old: struct_array<T> | kbuf | null,
  n: number,
  of: array_of<T> | gfp_t,
  gfp: gfp_t = 0,
): struct_array<T> | kbuf | null {
  if (n === 0) {
    kfree(old);
    return typeof of === "number" ? ZERO_SIZE_PTR : kcalloc(0, of, gfp);
  }
  if (old?.$mem.freed) {
    kasan_report({ mem: old.$mem, type: bug_type_of(old.$mem), addr: addr_of(old), size: 1, write: false });
    return null;
  }
  if (typeof of === "number") return old instanceof struct_array ? null : resize_buffer(old, n, of);
  return old instanceof kbuf ? null : resize_array(old, n, of, gfp);
}
/** As krealloc(), with the sizes multiplied and checked. */
export const krealloc_array: typeof krealloc = krealloc;

function resize_array<T>(old: struct_array<T> | null, n: number, of: array_of<T>, gfp: gfp_t): struct_array<T> | null {
  if (!old) return kcalloc(n, of, gfp);
  const size = n * old.element.width();
  if (old.$mem.usable >= size) {
    const kept = old;
    build_in(old.$mem, () => {
      for (let i = kept.length; i < n; i++) {
        const item = kept.element.zero();
        if (item instanceof kobj_memory) {
          item.$up = kept;
          item.$member = `[${i}]`;
        }
        kept.$items.push(item as T);
      }
    });
    old.$items.length = n;
    old.$mem.size = size;
    Object.assign(old, { length: n });
    return old;
  }
  const longer = kcalloc(n, of, gfp);
  if (!longer) return null;
  for (let i = 0; i < Math.min(n, old.length); i++) copy_element(longer, old, i);
  kfree(old);
  return longer;
}

function resize_buffer(old: kbuf | null, n: number, gfp: gfp_t): kbuf | null {
  if (!old || old === ZERO_SIZE_PTR) return kmalloc(n, gfp);
  if (old.$mem.usable >= n) {
    const had = old.$bytes.length;
    old.$bytes = new Uint8Array(old.$bytes.buffer, 0, n);
    old.$mem.size = n;
    if (n > had && !(gfp & __GFP_ZERO)) kmsan_grow_memory(old, had);
    return old;
  }
  const longer = kmalloc(n, gfp);
  if (!longer) return null;
  memcpy(longer, old, Math.min(n, old.length));
  kfree(old);
  return longer;
}
