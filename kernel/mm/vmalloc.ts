// SPDX-License-Identifier: GPL-2.0-only
/** Virtually contiguous memory. Source: mm/vmalloc.c */
import { per_boot } from "../boot.ts";
import { kbuf } from "../lib/bytestruct.ts";
import { addr_of, type kobj_memory, layout_of, sizeof } from "../lib/struct.ts";
import { WARN } from "../panic.ts";
import { might_sleep } from "../sched/debug.ts";
import { in_interrupt } from "../sched/task.ts";
import { should_failslab } from "./failslab.ts";
import { PAGE_ALIGN, PAGE_SIZE, VMALLOC_START } from "./page_size.ts";
import { bury, give_birth, memory_of, might_alloc, type struct_ctor } from "./slab.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";

const s = per_boot(() => ({ next: VMALLOC_START }));

function area(size: number): { addr: number; usable: number } {
  const usable = PAGE_ALIGN(size);
  const addr = s.next;
  s.next += usable + PAGE_SIZE; // the guard page
  return { addr, usable };
}

/** Memory of `of` bytes, or for a struct. May sleep. @return NULL if there is none. What C leaves uninitialised is zero here. */
export function vmalloc<T extends kobj_memory>(of: struct_ctor<T>): T | null;
export function vmalloc(of: number): kbuf | null;
export function vmalloc(of: struct_ctor<kobj_memory> | number): kobj_memory | null {
  const size = typeof of === "number" ? of : sizeof(of);
  might_alloc(GFP_KERNEL);
  if (size === 0 || should_failslab("vmalloc", PAGE_ALIGN(size), GFP_KERNEL)) return null;
  const { addr, usable } = area(size);
  const type = typeof of === "number" ? "buffer" : (layout_of(of)?.name ?? of.name);
  return give_birth({ kind: "vmalloc", addr, size, usable, cache: null, type, usersize: usable }, () =>
    typeof of === "number" ? new kbuf(of) : new of(),
  );
}
export const vzalloc: typeof vmalloc = vmalloc;

export function is_vmalloc_addr(p: object): boolean {
  return memory_of(p).kind === "vmalloc";
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
  bury(mem);
}
