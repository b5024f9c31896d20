// SPDX-License-Identifier: GPL-2.0-only
/** Making and destroying slab caches. Sources: mm/slab_common.c, mm/slub.c, __kmem_cache_shutdown() */
import { per_boot } from "../boot.ts";
import { bool, type kobj_memory, layout_of, opaque, sizeof, str, struct, u32 } from "../lib/struct.ts";
import { report, WARN, WARN_ON, where_we_are } from "../panic.ts";
import { LOGLEVEL_ERR, LOGLEVEL_WARNING, pr_warn } from "../printk.ts";
import { format_place, stack_trace } from "../stacktrace.ts";
import { add_taint, LOCKDEP_NOW_UNRELIABLE, print_tainted, TAINT_BAD_PAGE } from "../taint.ts";
import { jiffies } from "../time/clock.ts";
import { should_failslab } from "./failslab.ts";
import { kasan_check_range } from "./kasan.ts";
import { bury, give_birth, live_memory, might_alloc, type struct_ctor, take_addresses } from "./slab.ts";
import { EEXIST, ENOMEM } from "../../include/linux/errno.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";

class kmem_cache_base extends struct("kmem_cache", {
  name: str(),
  object_size: u32(),
  size: u32(),
  flags: u32(),
  useroffset: u32(),
  usersize: u32(),
  destroyed: bool(),
  ctor: opaque<((object: kobj_memory) => void) | null>(() => null),
  of: opaque<struct_ctor<kobj_memory> | null>(() => null),
}) {}
/** A cache of objects of one struct. */
export class kmem_cache<T extends kobj_memory = kobj_memory> extends kmem_cache_base {
  declare readonly $object_type?: T;
}

export const SLAB_HWCACHE_ALIGN = 0x2000;
export const SLAB_CACHE_DMA = 0x4000;
export const SLAB_STORE_USER = 0x10000;
export const SLAB_RECLAIM_ACCOUNT = 0x20000;
export const SLAB_PANIC = 0x40000;
export const SLAB_ACCOUNT = 0x4000000;

const CACHE_LINE = 256;

/** All caches are on a list, so that one that its owner forgot is no leak. */
const caches = per_boot(() => ({ all: new Set<object>(), names: new Set<string>() }));

/**
 * A cache of which all of `of` from `useroffset` on, `usersize` bytes, may be copied to and from user space.
 * @of: class of the objects, @align: 0 for none, @ctor: runs on every new object. May sleep.
 * @return NULL if there is no memory
 */
export function kmem_cache_create_usercopy<T extends kobj_memory>(
  name: string,
  of: struct_ctor<T>,
  align: number,
  flags: number,
  useroffset: number,
  usersize: number,
  ctor: ((object: T) => void) | null = null,
): kmem_cache<T> | null {
  might_alloc(GFP_KERNEL);
  // The struct kmem_cache itself cannot be made to fail, its per-node part can.
  if (should_failslab("kmem_cache_node", 64, GFP_KERNEL)) {
    pr_warn("%s(%s) failed with error %d\n", kmem_cache_create_usercopy.name, name, -ENOMEM);
    return null;
  }
  // A cache that cannot be merged with others has a directory of its own name in sysfs. Source: sysfs_slab_add() of mm/slub.c
  if (usersize > 0 && caches.names.has(name)) {
    const title = `sysfs: cannot create duplicate filename '/kernel/slab/${name}'`;
    report({ checker: "kobject", title, text: `${title}\n${where_we_are()}`, level: LOGLEVEL_WARNING });
    pr_warn("%s(%s) failed with error %d\n", kmem_cache_create_usercopy.name, name, -EEXIST);
    return null;
  }
  const object_size = sizeof(of);
  const unit = Math.max(8, align, flags & SLAB_HWCACHE_ALIGN ? CACHE_LINE : 0);
  const made = give_birth(
    { kind: "slab", addr: take_addresses(256, false), size: 232, usable: 232, cache: "kmem_cache", type: "kmem_cache" },
    () => new kmem_cache<T>(),
  );
  made.name = name;
  made.object_size = object_size;
  made.size = Math.ceil(object_size / unit) * unit;
  made.flags = flags;
  // An impossible region becomes none at all.
  const fits = usersize > 0 && usersize <= object_size && object_size - usersize >= useroffset;
  WARN_ON((usersize === 0 && useroffset !== 0) || object_size < usersize || object_size - usersize < useroffset);
  made.useroffset = fits ? useroffset : 0;
  made.usersize = fits ? usersize : 0;
  made.ctor = ctor === null ? null : (object) => ctor(object as T);
  made.of = of;
  caches.all.add(made);
  if (usersize > 0) caches.names.add(name);
  return made;
}
/** As above, with nothing for user space. */
export function kmem_cache_create<T extends kobj_memory>(
  name: string,
  of: struct_ctor<T>,
  align: number,
  flags: number,
  ctor: ((object: T) => void) | null = null,
): kmem_cache<T> | null {
  return kmem_cache_create_usercopy(name, of, align, flags, 0, 0, ctor);
}

/** By identity: two caches may have the same name. Keyed by what the sanitizers know of the object, so it keeps nothing alive. */
const cache_of_object = new WeakMap<object, kmem_cache>();

/** Notes which cache an object is from; for kmem_cache_alloc(). */
export function set_cache_of(object: kobj_memory, s: kmem_cache): void {
  cache_of_object.set(object.$mem, s);
}
export function cache_of(object: kobj_memory): kmem_cache | null {
  return cache_of_object.get(object.$mem) ?? null;
}

/** Destroys a cache; NULL is fine. Speaks, and keeps it, if it still has objects. May sleep. */
export function kmem_cache_destroy(s: kmem_cache | null): void {
  if (!s || !kasan_check_range(s, 0, 1, false)) return;
  might_alloc(GFP_KERNEL);
  const left = [...live_memory()].filter((mem) => cache_of_object.get(mem) === s);
  if (left.length > 0) {
    objects_remaining(s, left);
    const caller = format_place(stack_trace().slice(1));
    WARN(true, "kmem_cache_destroy %s: Slab cache still has objects when called from %s", s.name, caller);
    return;
  }
  s.destroyed = true;
  caches.all.delete(s);
  if (s.usersize > 0) caches.names.delete(s.name ?? "");
  bury(s.$mem);
}

function objects_remaining(
  s: kmem_cache,
  left: readonly { addr: number; alloc_track: kobj_memory["$mem"]["alloc_track"] }[],
): void {
  const name = s.name ?? "";
  const title = `BUG ${name} (${print_tainted()}): Objects remaining in ${name} on __kmem_cache_shutdown()`;
  const [first] = left;
  const slab = first ? Math.floor(first.addr / 4096) * 4096 : 0;
  const hex = (n: number): string => n.toString(16).padStart(16, "0");
  const text = [
    title,
    "-".repeat(77),
    "",
    `Slab 0x${hex(slab)} objects=${left.length} used=${left.length}`,
    where_we_are(),
  ];
  for (const mem of left) {
    text.push(`Object 0x${hex(mem.addr)} @offset=${mem.addr - slab}`);
    const t = mem.alloc_track;
    if (t) text.push(`Allocated in ${t.place} age=${jiffies() - t.jiffies} cpu=0 pid=${t.pid}`);
  }
  report({ checker: "slab_cache", title, text: text.join("\n"), level: LOGLEVEL_ERR });
  add_taint(TAINT_BAD_PAGE, LOCKDEP_NOW_UNRELIABLE);
}

/** sizeof() of the objects of a cache, whatever its state. */
export function cache_layout(s: kmem_cache): string {
  return s.of ? (layout_of(s.of)?.name ?? s.of.name) : "";
}
