// SPDX-License-Identifier: GPL-2.0-only
/** A module full of memory mistakes, one in each function, for the tests of the sanitizers. */
import { ALLOW_ERROR_INJECTION, error_injection } from "#linux/fault-inject.ts";
import { on_stack } from "#linux/kasan.ts";
import {
  kfree,
  kcalloc,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_create_usercopy,
  krealloc,
} from "#linux/slab.ts";
import {
  GFP_ATOMIC,
  GFP_KERNEL,
  kasprintf,
  kmem_cache_destroy,
  kmem_cache_free,
  kzalloc,
  type kmem_cache,
} from "#linux/slab.ts";
import { preempt_disable, preempt_enable } from "#linux/preempt.ts";
import {
  array,
  b32,
  bytestruct,
  cast_to,
  embed,
  type kbuf,
  ptr,
  READY,
  type Sleeps,
  struct,
  u32,
} from "#linux/types.ts";
import { byte_at, memcpy, memset, set_byte_at } from "#linux/string.ts";
import { vfree, vmalloc } from "#linux/vmalloc.ts";
import { copy_to_user } from "#linux/uaccess.ts";
import { kbuild } from "../../kernel/modpost.ts";

export class inner extends struct("inner", { a: u32(), b: u32() }) {}
export class item extends struct("item", {
  id: u32(),
  in_: embed(() => inner),
  next: ptr<item>(),
  table: array(4, u32()),
}) {}
export class region extends bytestruct("region", { cmd: b32(), ret: b32() }) {}

const { per_boot } = kbuild(import.meta.url);
export const s = per_boot(() => ({
  kept: null as item | null,
  cache: null as kmem_cache<item> | null,
  buffer: null as kbuf | null,
  seen: 0,
  fate: "",
}));

export function* use_after_free(): Sleeps {
  const p = kzalloc(item, GFP_KERNEL)!;
  p.in_.b = 7;
  const { in_ } = p;
  kfree(p);
  s.seen = in_.b;
  in_.b = 8;
  yield* READY;
}
export function* use_after_free_twice(): Sleeps {
  const p = kzalloc(item, GFP_KERNEL)!;
  kfree(p);
  for (let i = 0; i < 3; i++) s.seen = p.id;
  yield* READY;
}
export function* use_after_free_bytes(): Sleeps {
  const p = kzalloc(region, GFP_KERNEL)!;
  kfree(p);
  p.cmd = 1;
  yield* READY;
}
export function* double_free(): Sleeps {
  const p = kzalloc(item, GFP_KERNEL)!;
  kfree(p);
  kfree(p);
  yield* READY;
}
export function* free_of_member(): Sleeps {
  kfree(kzalloc(item, GFP_KERNEL)!.in_);
  yield* READY;
}
export function* free_of_static(): Sleeps {
  kfree(new item());
  yield* READY;
}
export function* out_of_bounds(): Sleeps {
  const p = kcalloc(3, item, GFP_KERNEL)!;
  p.at(3).id = 1;
  kfree(p);
  yield* READY;
}
export function* index_of_member(): Sleeps {
  const p = kzalloc(item, GFP_KERNEL)!;
  s.seen = p.table.at(4);
  kfree(p);
  yield* READY;
}
export function* overrun_of_view(): Sleeps {
  const buf = kzalloc(6, GFP_KERNEL)!;
  s.seen = cast_to(region, buf).ret;
  kfree(buf);
  yield* READY;
}
export function* overrun_of_memcpy(): Sleeps {
  const [a, b] = [kmalloc(8, GFP_KERNEL)!, kmalloc(16, GFP_KERNEL)!];
  memset(b, 0xff, 16);
  memcpy(a, b, 16);
  s.seen = byte_at(a, 0);
  kfree(a);
  kfree(b);
  yield* READY;
}
export function* overrun_of_vmalloc(): Sleeps {
  const p = vmalloc(100)!;
  s.seen = byte_at(p, 100);
  vfree(p);
  yield* READY;
}
export function* end_of_scope(): Sleeps {
  let leaked: item;
  {
    using here = on_stack(item);
    leaked = here;
  }
  leaked.id = 3;
  yield* READY;
}
export function* stale_element(): Sleeps {
  const old = kcalloc(2, item, GFP_KERNEL)!;
  const first = old.at(0);
  first.id = 42;
  const longer = krealloc(old, 20, item, GFP_KERNEL)!;
  s.seen = longer.at(0).id;
  first.id = 43;
  kfree(longer);
  yield* READY;
}
export function* sleeping_allocation(): Sleeps {
  preempt_disable();
  kfree(kmalloc(8, GFP_ATOMIC));
  kfree(kmalloc(8, GFP_KERNEL));
  preempt_enable();
  yield* READY;
}

export function* leak(): Sleeps {
  const kept = kzalloc(item, GFP_KERNEL)!;
  kept.next = kzalloc(item, GFP_KERNEL);
  s.kept = kept;
  const lost = kcalloc(2, item, GFP_KERNEL)!;
  lost.at(1).next = kzalloc(item, GFP_KERNEL);
  yield* READY;
}

/** A buffer of 20 of 32 bytes with another one behind it. */
function two_buffers(): kbuf {
  const first = kmalloc(20, GFP_KERNEL)!;
  s.buffer = kmalloc(32, GFP_KERNEL);
  return first;
}
export function* shadow_past(): Sleeps {
  set_byte_at(two_buffers(), 21, 0);
  yield* READY;
}
export function* shadow_far_past(): Sleeps {
  set_byte_at(two_buffers(), 24, 0);
  yield* READY;
}
export function* shadow_freed(): Sleeps {
  const p = two_buffers();
  kfree(s.buffer);
  kfree(p);
  set_byte_at(p, 0, 0);
  yield* READY;
}

export function* leak_bytes(): Sleeps {
  const lost = kzalloc(20, GFP_KERNEL)!;
  for (const [i, c] of [..."klab"].entries()) set_byte_at(lost, i, c.charCodeAt(0));
  for (let i = 4; i < 20; i++) set_byte_at(lost, i, i - 4);
  yield* READY;
}

export function* busy_cache(): Sleeps {
  const cache = kmem_cache_create("item_cache", item, 0, 0)!;
  kmem_cache_alloc(cache, GFP_KERNEL);
  kmem_cache_destroy(cache);
  yield* READY;
}
export function* gone_cache(): Sleeps {
  const cache = kmem_cache_create("item_cache", item, 0, 0)!;
  kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
  kmem_cache_destroy(cache);
  kmem_cache_alloc(cache, GFP_KERNEL);
  yield* READY;
}
export function* no_cache(): Sleeps {
  kmem_cache_alloc(s.cache!, GFP_KERNEL);
  yield* READY;
}
export function* hidden_from_user(): Sleeps {
  const cache = kmem_cache_create_usercopy("region_cache", region, 0, 0, 4, 4)!;
  yield* copy_to_user(0n, kmem_cache_alloc(cache, GFP_KERNEL), 8);
}

/** Returns what it got done, to count the places where memory can be refused. */
export function* three_allocations(): Sleeps {
  s.seen = 0;
  const a = kzalloc(item, GFP_KERNEL);
  if (!a) return;
  s.seen++;
  const name = kasprintf(GFP_KERNEL, "item%d", 1);
  if (name !== null) s.seen++;
  const b = kmalloc(64, GFP_KERNEL);
  if (b) s.seen++;
  kfree(b);
  kfree(a);
  yield* READY;
}

export function may_fail(n: number): number {
  const retval = error_injection(may_fail);
  if (retval !== null) return retval;
  s.seen += n;
  return 0;
}
ALLOW_ERROR_INJECTION(may_fail, "ERRNO");
/** What ten calls and ten allocations gave: a digit for each, 1 for a failure. */
export function* twenty_chances(): Sleeps {
  s.fate = "";
  for (let i = 0; i < 10; i++) s.fate += may_fail(1) < 0 ? "1" : "0";
  for (let i = 0; i < 10; i++) {
    const p = kzalloc(item, GFP_KERNEL);
    s.fate += p ? "0" : "1";
    kfree(p);
  }
  yield* READY;
}
