// SPDX-License-Identifier: GPL-2.0-only
/** Address spaces as system calls see them: mapping devices, and what of a mapping has to be closed. */
import { atomic_dec_and_test } from "#linux/atomic.ts";
import { EACCES, EBADF, EEXIST, EINVAL, ENODEV, ENOMEM, EOVERFLOW } from "#linux/errno.ts";
import { file, FMODE_READ, FMODE_WRITE, get_file } from "#linux/fs.ts";
import { copy_struct } from "../lib/struct_copy.ts";
import {
  current_mm,
  find_vma,
  get_unmapped_area,
  insert_vm_struct,
  mm_alloc,
  mmap_anon,
  mmdrop,
  type mm_struct,
  munmap,
  set_task_mm,
  task_mm,
  TASK_SIZE,
  unmap_all,
  user_read,
  user_write,
  vm_area_struct,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_NONE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "../mm/mm_struct.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../mm/page_size.ts";
import { either } from "../sched/either.ts";
import type { task_struct } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { might_sleep } from "#linux/kernel.ts";
import { down_write, up_write } from "#linux/rwsem.ts";
import { fget } from "./file.ts";
import { fput } from "./file_table.ts";

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_ANONYMOUS = 0x20;

const page_up = (n: number): number => Math.ceil(n / PAGE_SIZE) * PAGE_SIZE;

function* close_areas(areas: readonly vm_area_struct[]): Sleeps {
  for (const vma of areas) {
    if (vma.vm_ops?.close) yield* either(vma.vm_ops.close(vma));
    if (vma.vm_file instanceof file) fput(vma.vm_file);
  }
}

function* mmap_file(mm: mm_struct, f: file, len: number, prot: number, flags: number, off: bigint): Sleeps<bigint> {
  if (!(flags & (MAP_SHARED | MAP_PRIVATE))) return BigInt(-EINVAL);
  if (prot & PROT_READ && !(f.f_mode & FMODE_READ)) return BigInt(-EACCES);
  if (flags & MAP_SHARED && prot & PROT_WRITE && !(f.f_mode & FMODE_WRITE)) return BigInt(-EACCES);
  if (!f.f_op!.mmap) return BigInt(-ENODEV);
  const vma = new vm_area_struct();
  let vm_flags = VM_MAYREAD | VM_MAYWRITE | (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0);
  if (flags & MAP_SHARED) {
    vm_flags |= VM_SHARED;
    if (!(f.f_mode & FMODE_WRITE)) vm_flags &= ~(VM_MAYWRITE | VM_SHARED);
  }
  vma.vm_start = get_unmapped_area(mm, len);
  vma.vm_end = vma.vm_start + BigInt(page_up(len));
  vma.vm_mm = mm;
  vma.vm_flags = BigInt(vm_flags);
  vma.vm_pgoff = off >> BigInt(PAGE_SHIFT);
  vma.vm_file = get_file(f);
  const error = yield* either(f.f_op!.mmap(f, vma));
  if (error) {
    fput(f);
    return BigInt(error);
  }
  insert_vm_struct(mm, vma);
  return vma.vm_start;
}

/**
 * mmap(2) without a wished address.
 * @len: bytes; @fd: -1 with MAP_ANONYMOUS; @off: bytes, a multiple of the page size
 * @return the address or errno. Context: process. Source: mm/mmap.c
 */
export function* ksys_mmap(len: number, prot: number, flags: number, fd: number, off: bigint): Sleeps<bigint> {
  const mm = current_mm()!;
  if (off & BigInt(PAGE_SIZE - 1)) return BigInt(-EINVAL);
  const f = flags & MAP_ANONYMOUS ? null : fget(fd);
  if (!(flags & MAP_ANONYMOUS) && !f) return BigInt(-EBADF);
  let ret: bigint;
  out_fput: {
    if (!len) {
      ret = BigInt(-EINVAL);
      break out_fput;
    }
    if (BigInt(len) > TASK_SIZE) {
      ret = BigInt(-ENOMEM);
      break out_fput;
    }
    if ((BigInt.asUintN(64, off) >> BigInt(PAGE_SHIFT)) + BigInt(page_up(len) >> PAGE_SHIFT) >= 1n << 52n) {
      ret = BigInt(-EOVERFLOW);
      break out_fput;
    }
    yield* down_write(mm.mmap_lock);
    const vm_flags = prot & (PROT_READ | PROT_WRITE) ? (prot & PROT_WRITE ? VM_READ | VM_WRITE : VM_READ) : VM_NONE;
    ret = f ? yield* mmap_file(mm, f, len, prot, flags, off) : mmap_anon(mm, len, vm_flags);
    up_write(mm.mmap_lock);
  }
  if (f) fput(f);
  return ret;
}

/**
 * mmap(2) of anonymous memory with MAP_FIXED_NOREPLACE.
 * @addr: of a page; @len: bytes. @return the address, -EINVAL, -EEXIST where something is. Context: process. Source: mm/mmap.c
 */
export function* ksys_mmap_fixed(addr: bigint, len: number, prot: number): Sleeps<bigint> {
  const mm = current_mm()!;
  if (addr & BigInt(PAGE_SIZE - 1) || !len) return BigInt(-EINVAL);
  const end = addr + BigInt(page_up(len));
  yield* down_write(mm.mmap_lock);
  const next = find_vma(mm, addr);
  let ret = BigInt(-EEXIST);
  if (!next || next.vm_start >= end) {
    const vma = new vm_area_struct();
    vma.vm_start = addr;
    vma.vm_end = end;
    vma.vm_flags = BigInt(
      prot & (PROT_READ | PROT_WRITE) ? (prot & PROT_WRITE ? VM_READ | VM_WRITE : VM_READ) : VM_NONE,
    );
    insert_vm_struct(mm, vma);
    ret = addr;
  }
  up_write(mm.mmap_lock);
  return ret;
}

/** munmap(2) of whole areas. @return 0 or -EINVAL. Context: process. Source: mm/mmap.c */
export function* ksys_munmap(addr: bigint, len: number): Sleeps<number> {
  const mm = current_mm()!;
  if (addr & BigInt(PAGE_SIZE - 1) || !len) return -EINVAL;
  yield* down_write(mm.mmap_lock);
  yield* close_areas(munmap(mm, addr, len));
  up_write(mm.mmap_lock);
  return 0;
}

/** A device that is mapped is the child's too; pages that its driver gives out are asked for again. */
function dup_device_area(mm: mm_struct, old: vm_area_struct, f: file): void {
  const vma = new vm_area_struct();
  copy_struct(vma, old);
  vma.vm_file = get_file(f);
  insert_vm_struct(mm, vma);
  if (old.vm_flags & BigInt(VM_PFNMAP)) {
    for (const [number, pfn] of old.vm_mm!.$pfns) {
      const at = number << BigInt(PAGE_SHIFT);
      if (at >= old.vm_start && at < old.vm_end) mm.$pfns.set(number, pfn);
    }
  }
  vma.vm_ops?.open?.(vma);
}

/** A child's memory: the same areas, with copies of the pages. Source: dup_mmap() of kernel/fork.c */
export function dup_mm(oldmm: mm_struct): mm_struct {
  const mm = mm_alloc();
  for (const old of oldmm.$areas) {
    if (old.vm_file instanceof file) {
      dup_device_area(mm, old, old.vm_file);
      continue;
    }
    const vma = new vm_area_struct();
    vma.vm_start = old.vm_start;
    vma.vm_end = old.vm_end;
    vma.vm_flags = old.vm_flags | BigInt(VM_READ | VM_WRITE);
    insert_vm_struct(mm, vma);
    for (const number of oldmm.$pages.keys()) {
      const at = number << BigInt(PAGE_SHIFT);
      if (at >= old.vm_start && at < old.vm_end && old.vm_flags & BigInt(VM_READ))
        user_write(mm, at, user_read(oldmm, at, PAGE_SIZE));
    }
    vma.vm_flags = old.vm_flags;
  }
  mm.$next = oldmm.$next;
  return mm;
}

/**
 * The last user takes the memory along and closes what is mapped: the process at its exit, or who has looked at it meanwhile.
 * Context: may sleep. Sources: kernel/fork.c, exit_mmap() of mm/mmap.c
 */
export function* mmput(mm: mm_struct): Sleeps {
  might_sleep();
  if (!atomic_dec_and_test(mm.mm_users)) return;
  yield* down_write(mm.mmap_lock);
  yield* close_areas(unmap_all(mm));
  up_write(mm.mmap_lock);
  mmdrop(mm);
}

/** The current process has no memory any more. Context: its exit. Source: kernel/exit.c */
export function* exit_mm(t: task_struct): Sleeps {
  const mm = task_mm(t);
  if (!mm) return;
  set_task_mm(t, null);
  yield* mmput(mm);
}
