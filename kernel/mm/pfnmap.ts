// SPDX-License-Identifier: GPL-2.0-only
/** Registers of devices that are mapped to user space. Source: mm/memory.c; what loads and stores do is the machine's */
import { EFAULT, EINVAL } from "../../include/linux/errno.ts";
import { BUG_ON } from "../panic.ts";
import { mmio_at } from "../arch/mmio.ts";
import {
  type mm_struct,
  type vm_area_struct,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_IO,
  VM_PFNMAP,
  VM_READ,
  VM_WRITE,
  vma_lookup,
} from "./mm_struct.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "./page_size.ts";

const PAGE = BigInt(PAGE_SIZE);
const SHIFT = BigInt(PAGE_SHIFT);

const PROT_NONCACHED = 1n << 54n;
export const pgprot_noncached = (prot: bigint): bigint => prot | PROT_NONCACHED;

/**
 * Maps page frames that have no struct page into an area, which becomes one of registers.
 * @addr: in the area; @pfn: the first frame; @size: bytes. @return 0 or -EINVAL. Context: mmap_lock held for writing
 */
export function remap_pfn_range(vma: vm_area_struct, addr: bigint, pfn: bigint, size: bigint, _prot: bigint): number {
  if (addr % PAGE !== 0n || addr + size > vma.vm_end) return -EINVAL;
  vma.vm_flags |= BigInt(VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
  const pfns = vma.vm_mm!.$pfns;
  for (let at = 0n; at < size; at += PAGE) {
    BUG_ON(pfns.has((addr + at) >> SHIFT));
    pfns.set((addr + at) >> SHIFT, pfn + (at >> SHIFT));
  }
  return 0;
}

export function is_pfnmap(mm: mm_struct, addr: bigint): boolean {
  return mm.$pfns.has(addr >> SHIFT);
}

/**
 * One load or store of user space, of 1, 2, 4 or 8 bytes, or several of 4. @return 0 or -EFAULT, where a signal would end it.
 * Context: mmap_lock held
 */
export function access_registers(mm: mm_struct, addr: bigint, bytes: Uint8Array, write: boolean): number {
  const width = [1, 2, 4, 8].includes(bytes.length) ? bytes.length : bytes.length % 4 === 0 ? 4 : 1;
  const need = BigInt(write ? VM_WRITE : VM_READ);
  for (let i = 0; i < bytes.length; i += width) {
    const at = addr + BigInt(i);
    const pfn = mm.$pfns.get(at >> SHIFT);
    const vma = vma_lookup(mm, at);
    if (pfn === undefined || !vma || (vma.vm_flags & need) === 0n) return -EFAULT;
    const phys = (pfn << SHIFT) + (at % PAGE);
    const window = mmio_at(phys);
    const off = window ? Number(phys - window.start) : 0;
    if (write) {
      let v = 0n;
      for (let b = width; b-- > 0;) v = (v << 8n) | BigInt(bytes[i + b] ?? 0);
      window?.device.write(off, width, v);
    } else {
      const v = window ? window.device.read(off, width) : -1n;
      for (let b = 0; b < width; b++) bytes[i + b] = Number((v >> BigInt(8 * b)) & 0xffn);
    }
  }
  return 0;
}
