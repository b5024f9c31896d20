// SPDX-License-Identifier: GPL-2.0-only
/** What a user address is mapped to, for who cannot pin it: pages without struct page. Sources: mm/memory.c, mm/gup.c */
import { EFAULT, EINTR, ENOMEM } from "../../include/linux/errno.ts";
import { current } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { fatal_signal_pending } from "../signal.ts";
import { handle_mm_fault } from "./memory.ts";
import {
  type mm_struct,
  VM_FAULT_OOM,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
  VM_READ,
  VM_WRITE,
  vma_lookup,
} from "./mm_struct.ts";
import { page_to_pfn } from "./page.ts";
import { PAGE_SHIFT } from "./page_size.ts";

export const FAULT_FLAG_WRITE = 0x1;
export const FAULT_FLAG_REMOTE = 0x80;

/** What of an entry of the process' page table matters. */
export interface followed_pte {
  readonly pfn: number;
  readonly write: boolean;
}

/** @return what is at the address, NULL if nothing is (C: -EINVAL). Context: mmap_lock held. */
export function follow_pte(mm: mm_struct, address: bigint): followed_pte | null {
  const vma = vma_lookup(mm, address);
  const number = address >> BigInt(PAGE_SHIFT);
  const p = mm.$pages.get(number);
  const pfn = p ? page_to_pfn(p) : mm.$pfns.get(number);
  if (!vma || pfn === undefined) return null;
  return { pfn: Number(pfn), write: (vma.vm_flags & BigInt(VM_WRITE)) !== 0n };
}

/**
 * Makes a page be there as if its process touched it. @fault_flags: FAULT_FLAG_
 * @return 0, -EFAULT, -ENOMEM, -EINTR. Context: mmap_lock held, and never dropped here, so that `unlocked` stays as it is.
 */
export function* fixup_user_fault(
  mm: mm_struct,
  address: bigint,
  fault_flags: number,
  _unlocked: { value: boolean },
): Sleeps<number> {
  const need = fault_flags & FAULT_FLAG_WRITE ? VM_WRITE : VM_READ;
  const vma = vma_lookup(mm, address);
  if (!vma) return -EFAULT;

  if ((vma.vm_flags & BigInt(need)) === 0n) return -EFAULT;

  if (fatal_signal_pending(current())) return -EINTR;

  const ret = yield* handle_mm_fault(vma, address, need);

  if (ret & VM_FAULT_OOM) return -ENOMEM;
  if (ret & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)) return -EFAULT;

  return 0;
}
