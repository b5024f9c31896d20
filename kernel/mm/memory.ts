// SPDX-License-Identifier: GPL-2.0-only
/**
 * Page faults of user space, and pages that drivers map there. A page stays mapped until its area goes; the kernel's own
 * copies to and from user space do not fault pages of a file in. Source: mm/memory.c
 */
import { either } from "../sched/either.ts";
import type { Sleeps } from "../sched/types.ts";
import { mmap_read_lock, mmap_read_unlock } from "./gup.ts";
import {
  access_user,
  type mm_struct,
  user_page,
  VM_FAULT_NOPAGE,
  VM_FAULT_OOM,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
  type vm_area_struct,
  vm_fault,
  type vm_fault_t,
  VM_PFNMAP,
  VM_READ,
  VM_WRITE,
  vma_lookup,
} from "./mm_struct.ts";
import { get_page, type page } from "./page.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "./page_size.ts";
import { access_registers, is_pfnmap } from "./pfnmap.ts";
import { EBUSY, EFAULT } from "../../include/linux/errno.ts";

const VM_FAULT_ERROR = VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV;

/**
 * Maps a page at a place of an area, with a reference of its own.
 * @addr: user address in the area. @return 0, -EFAULT outside of it, -EBUSY if there is a page. Context: mmap_lock held.
 */
export function vm_insert_page(vma: vm_area_struct, addr: bigint, p: page): number {
  if (addr < vma.vm_start || addr >= vma.vm_end) return -EFAULT;
  const number = addr >> BigInt(PAGE_SHIFT);
  const pages = vma.vm_mm!.$pages;
  if (pages.has(number)) return -EBUSY;
  get_page(p);
  pages.set(number, p);
  return 0;
}

/** Takes pages that a driver has mapped out of an area: the next touch faults. @size: bytes. Context: mmap_lock held. */
export function zap_vma_ptes(vma: vm_area_struct, address: bigint, size: bigint): void {
  const { $pages, $pfns } = vma.vm_mm!;
  const shift = BigInt(PAGE_SHIFT);
  for (let number = address >> shift; number < (address + size) >> shift; number++) {
    $pages.delete(number);
    $pfns.delete(number);
  }
}

/** Makes the page at @address be there. @return bits of VM_FAULT_. Context: mmap_lock held. */
export function* handle_mm_fault(vma: vm_area_struct, address: bigint, need: number): Sleeps<vm_fault_t> {
  if ((vma.vm_flags & BigInt(need)) === 0n) return VM_FAULT_SIGSEGV;
  if (user_page(vma.vm_mm!, address, need)) return 0;
  if (vma.vm_mm!.$pfns.has(address >> BigInt(PAGE_SHIFT))) return 0;
  if (!vma.vm_ops?.fault) return VM_FAULT_SIGBUS;
  const vmf = new vm_fault();
  vmf.vma = vma;
  vmf.address = address - (address % BigInt(PAGE_SIZE));
  vmf.pgoff = vma.vm_pgoff + ((vmf.address - vma.vm_start) >> BigInt(PAGE_SHIFT));
  const ret = yield* either(vma.vm_ops.fault(vmf));
  // Without a page if the handler has mapped something itself
  if (ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) return ret;
  vma.vm_mm!.$pages.set(address >> BigInt(PAGE_SHIFT), vmf.page!);
  return ret;
}

/** User space touches its memory: loads or stores `bytes`. @return 0, or -EFAULT where a signal would end it. */
export function* user_touch(mm: mm_struct, addr: bigint, bytes: Uint8Array, write: boolean): Sleeps<number> {
  const need = write ? VM_WRITE : VM_READ;
  const last = addr + BigInt(Math.max(1, bytes.length) - 1);
  for (let at = addr - (addr % BigInt(PAGE_SIZE)); at <= last; at += BigInt(PAGE_SIZE)) {
    yield* mmap_read_lock(mm);
    const vma = vma_lookup(mm, at);
    let ret = VM_FAULT_SIGSEGV;
    // What was mapped may be taken away again before it is touched.
    do ret = vma ? yield* handle_mm_fault(vma, at, need) : VM_FAULT_SIGSEGV;
    while (!(ret & VM_FAULT_ERROR) && vma!.vm_flags & BigInt(VM_PFNMAP) && !is_pfnmap(mm, at));
    const done = !(ret & VM_FAULT_ERROR) && is_pfnmap(mm, at) ? access_registers(mm, addr, bytes, write) : null;
    mmap_read_unlock(mm);
    if (ret & VM_FAULT_ERROR) return -EFAULT;
    if (done !== null) return done;
  }
  return access_user(mm, addr, bytes, write) ? -EFAULT : 0;
}
