// SPDX-License-Identifier: GPL-2.0-only
/** Virtually contiguous memory. Source: mm/vmalloc.c */
import { per_boot } from "../boot.ts";
import { bytes_at, kbuf } from "../lib/bytestruct.ts";
import { addr_of, type kobj_memory, layout_of, sizeof } from "../lib/struct.ts";
import { WARN } from "../panic.ts";
import { might_sleep } from "../sched/debug.ts";
import { in_interrupt } from "../sched/task.ts";
import { should_failslab } from "./failslab.ts";
import { kmsan_poison_memory } from "./kmsan.ts";
import { vm_insert_page } from "./memory.ts";
import { type vm_area_struct, VM_DONTDUMP, VM_DONTEXPAND } from "./mm_struct.ts";
import type { mem_object } from "./object.ts";
import { type page, page_at, put_page } from "./page.ts";
import { PAGE_ALIGN, PAGE_SIZE, VMALLOC_START } from "./page_size.ts";
import { bury, give_birth, memory_of, might_alloc, type struct_ctor } from "./slab.ts";
import { EINVAL } from "../../include/linux/errno.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";

const s = per_boot(() => ({
  next: VMALLOC_START,
  /** Pages of areas that user space may have mapped: VM_USERMAP. */
  user: new Map<mem_object, page[]>(),
}));

function area(size: number): { addr: number; usable: number } {
  const usable = PAGE_ALIGN(size);
  const addr = s.next;
  s.next += usable + PAGE_SIZE; // the guard page
  return { addr, usable };
}

/** Memory of `of` bytes, or for a struct. May sleep. @return NULL if there is none. What C leaves uninitialised reads as zero here. */
export function vmalloc<T extends kobj_memory>(of: struct_ctor<T>): T | null;
export function vmalloc(of: number): kbuf | null;
export function vmalloc(of: struct_ctor<kobj_memory> | number): kobj_memory | null {
  const object = typeof of === "number" ? vzalloc(of) : vzalloc(of);
  if (object instanceof kbuf) kmsan_poison_memory(object);
  return object;
}
/** vmalloc() of memory that is zero. */
export function vzalloc<T extends kobj_memory>(of: struct_ctor<T>): T | null;
export function vzalloc(of: number): kbuf | null;
export function vzalloc(of: struct_ctor<kobj_memory> | number): kobj_memory | null {
  const size = typeof of === "number" ? of : sizeof(of);
  might_alloc(GFP_KERNEL);
  if (size === 0 || should_failslab("vmalloc", PAGE_ALIGN(size), GFP_KERNEL)) return null;
  const { addr, usable } = area(size);
  const type = typeof of === "number" ? "buffer" : (layout_of(of)?.name ?? of.name);
  return give_birth({ kind: "vmalloc", addr, size, usable, cache: null, type, usersize: usable }, () =>
    typeof of === "number" ? new kbuf(of) : new of(),
  );
}

export function is_vmalloc_addr(p: object): boolean {
  return memory_of(p).kind === "vmalloc";
}

/** Zeroed memory that may be mapped to user space. @size: bytes, rounded up to pages. May sleep. @return NULL if there is none */
export function vmalloc_user(size: number): kbuf | null {
  const area = vzalloc(PAGE_ALIGN(size));
  if (!area) return null;
  const pages: page[] = [];
  for (let at = 0; at < area.length; at += PAGE_SIZE) pages.push(page_at(bytes_at(area, at, PAGE_SIZE)));
  s.user.set(area.$mem, pages);
  return area;
}

/**
 * Maps memory of vmalloc_user() as a whole area of user space.
 * @addr: its beginning; @pgoff: first page of it. @return 0, or -EINVAL if it is too short or not such memory
 */
export function remap_vmalloc_range(vma: vm_area_struct, addr: kbuf, pgoff: number): number {
  const pages = s.user.get(addr.$mem);
  const count = Number(vma.vm_end - vma.vm_start) / PAGE_SIZE;
  if (!pages || pgoff + count > pages.length) return -EINVAL;
  for (const [i, p] of pages.slice(pgoff, pgoff + count).entries()) {
    const ret = vm_insert_page(vma, vma.vm_start + BigInt(i * PAGE_SIZE), p);
    if (ret < 0) return ret;
  }
  vma.vm_flags |= BigInt(VM_DONTEXPAND | VM_DONTDUMP);
  return 0;
}

/** Frees what vmalloc() gave; NULL is fine. May sleep, but in interrupts. */
export function vfree(p: kobj_memory | null): void {
  if (!p) return;
  if (!in_interrupt()) might_sleep();
  const mem = memory_of(p);
  if (mem.kind !== "vmalloc" || mem.freed || addr_of(p) !== mem.addr) {
    WARN(true, "Trying to vfree() nonexistent vm area (%px)\n", p);
    return;
  }
  // What user space has mapped stays.
  for (const p of s.user.get(mem) ?? []) put_page(p);
  s.user.delete(mem);
  bury(mem);
}
