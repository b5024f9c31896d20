// SPDX-License-Identifier: GPL-2.0-only
/** Address spaces of processes: areas of anonymous memory, page by page, filled in when first touched. */
import { atomic_dec, atomic_inc, atomic_inc_not_zero, atomic_set, atomic_t } from "../../include/linux/atomic.ts";
import { per_boot } from "../boot.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { embed, opaque, ptr, s64, struct, u32, u64 } from "../lib/struct.ts";
import { init_rwsem, rw_semaphore } from "../locking/rwsem.ts";
import { current, type task_struct } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { alloc_user_page, kmap_local_page, type page, put_page } from "./page.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "./page_size.ts";

export const VM_NONE = 0;
export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_PFNMAP = 0x400;
export const VM_IO = 0x4000;
export const VM_DONTEXPAND = 0x40000;
export const VM_DONTDUMP = 0x4000000;

/** First address that is not user space's: 48 bits. */
export const TASK_SIZE = 1n << 48n;
/** Where mmap() without a wish begins. */
const MMAP_BASE = 0x3ff_8000_0000n;
const PAGE = BigInt(PAGE_SIZE);

export class vm_area_struct extends struct("vm_area_struct", {
  vm_start: u64(),
  vm_end: u64(),
  vm_mm: ptr<mm_struct>(),
  vm_flags: u64(),
  vm_pgoff: u64(),
  vm_page_prot: u64(),
  vm_ops: ptr<vm_operations_struct>(),
  vm_file: ptr<object>(),
  vm_private_data: ptr<object>(),
}) {}

/** What a fault handler answers: bits of VM_FAULT_, 0 if it has left a page in vmf.page. */
export type vm_fault_t = number;
export const VM_FAULT_OOM = 0x1;
export const VM_FAULT_SIGBUS = 0x2;
export const VM_FAULT_SIGSEGV = 0x40;
export const VM_FAULT_NOPAGE = 0x100;

export class vm_fault extends struct("vm_fault", {
  vma: ptr<vm_area_struct>(),
  /** Page number in the file. */
  pgoff: u64(),
  /** Beginning of the page that is missing. */
  address: u64(),
  /** The handler puts the page here, with a reference for the mapping. */
  page: ptr<page>(),
}) {}

export interface vm_operations_struct {
  readonly open?: (vma: vm_area_struct) => void;
  readonly close?: (vma: vm_area_struct) => Sleeps | void;
  readonly fault?: (vmf: vm_fault) => Sleeps<vm_fault_t> | vm_fault_t;
}

class mm_fields extends struct("mm_struct", {
  /** Users of the address space: threads, and mmget(). */
  mm_users: embed(() => atomic_t),
  /** References to the struct: mmgrab(). */
  mm_count: embed(() => atomic_t),
  mmap_lock: embed(() => rw_semaphore),
  locked_vm: s64(),
  pinned_vm: s64(),
  total_vm: s64(),
  map_count: u32(),
  $areas: opaque<vm_area_struct[]>(() => []),
  /** By page number. */
  $pages: opaque<Map<bigint, page>>(() => new Map()),
  /** What VM_PFNMAP areas map, by page number: page frames that have no struct page. */
  $pfns: opaque<Map<bigint, bigint>>(() => new Map(), 0),
  $next: opaque<bigint>(() => MMAP_BASE),
}) {}
export class mm_struct extends mm_fields {}

const s = per_boot(() => ({ spaces: [] as mm_struct[] }));

/** An empty address space, as after exec(). */
export function mm_alloc(): mm_struct {
  const mm = new mm_struct();
  atomic_set(mm.mm_users, 1);
  atomic_set(mm.mm_count, 1);
  init_rwsem(mm.mmap_lock);
  s.spaces.push(mm);
  return mm;
}
export function mmgrab(mm: mm_struct): void {
  atomic_inc(mm.mm_count);
}
export function mmdrop(mm: mm_struct): void {
  atomic_dec(mm.mm_count);
}
export function mmget(mm: mm_struct): void {
  atomic_inc(mm.mm_users);
}
export function mmget_not_zero(mm: mm_struct): boolean {
  return atomic_inc_not_zero(mm.mm_users);
}
/** Nothing is mapped any more, and the pages go. @return the areas, for who has to close them */
export function unmap_all(mm: mm_struct): vm_area_struct[] {
  for (const p of mm.$pages.values()) put_page(p);
  mm.$pages.clear();
  mm.$pfns.clear();
  s.spaces.splice(s.spaces.indexOf(mm), 1);
  return mm.$areas.splice(0);
}

/** Key of a task's address space in task_struct.attached. Kernel threads have none. */
export const TASK_MM = Symbol("mm");

export function set_task_mm(task: task_struct, mm: mm_struct | null): void {
  if (mm) task.attached.set(TASK_MM, mm);
  else task.attached.delete(TASK_MM);
}
/** task->mm */
export function task_mm(task: task_struct): mm_struct | null {
  const mm = task.attached.get(TASK_MM);
  return mm instanceof mm_struct ? mm : null;
}
/** current->mm */
export function current_mm(): mm_struct | null {
  return task_mm(current());
}

function page_up(n: bigint): bigint {
  return ((n + PAGE - 1n) / PAGE) * PAGE;
}

/** Enters an area that somebody else filled in: for mmap() of a device. Takes vm_start and vm_end as they are. */
export function insert_vm_struct(mm: mm_struct, vma: vm_area_struct): void {
  vma.vm_mm = mm;
  mm.$areas.push(vma);
  mm.$areas.sort((a, b) => (a.vm_start < b.vm_start ? -1 : 1));
  mm.map_count = mm.$areas.length;
}
/** A free range of `length` bytes. */
export function get_unmapped_area(mm: mm_struct, length: number): bigint {
  const at = mm.$next;
  // A page that belongs to nobody between two areas: running off the end is noticed.
  mm.$next = at + page_up(BigInt(length)) + PAGE;
  return at;
}

/**
 * Anonymous memory. @length: bytes, rounded up to pages; @flags: VM_READ | VM_WRITE by default, VM_NONE for memory that faults
 * @return its address
 */
export function mmap_anon(mm: mm_struct, length: number, flags = VM_READ | VM_WRITE): bigint {
  const vma = new vm_area_struct();
  vma.vm_start = get_unmapped_area(mm, length);
  vma.vm_end = vma.vm_start + page_up(BigInt(length));
  vma.vm_flags = BigInt(flags);
  insert_vm_struct(mm, vma);
  return vma.vm_start;
}

/** Unmaps whole areas that begin in the range. @return the areas, for who has to close them */
export function munmap(mm: mm_struct, start: bigint, length: number): vm_area_struct[] {
  const end = start + page_up(BigInt(length));
  const gone = mm.$areas.filter((vma) => vma.vm_start >= start && vma.vm_start < end);
  mm.$areas = mm.$areas.filter((vma) => !gone.includes(vma));
  mm.map_count = mm.$areas.length;
  for (const vma of gone) {
    for (let at = vma.vm_start; at < vma.vm_end; at += PAGE) {
      const p = mm.$pages.get(at >> BigInt(PAGE_SHIFT));
      mm.$pages.delete(at >> BigInt(PAGE_SHIFT));
      mm.$pfns.delete(at >> BigInt(PAGE_SHIFT));
      if (p) put_page(p);
    }
  }
  return gone;
}
/** Changes what may be done with the area that begins at `start`. */
export function mprotect(mm: mm_struct, start: bigint, flags: number): void {
  for (const vma of mm.$areas) if (vma.vm_start === start) vma.vm_flags = BigInt(flags);
}

/** The area that `addr` lies in, or the next one above; NULL if there is none. */
export function find_vma(mm: mm_struct, addr: bigint): vm_area_struct | null {
  return mm.$areas.find((vma) => addr < vma.vm_end) ?? null;
}
export function vma_lookup(mm: mm_struct, addr: bigint): vm_area_struct | null {
  const vma = find_vma(mm, addr);
  return vma && vma.vm_start <= addr ? vma : null;
}

/** The page at `addr`, made if it was never touched; NULL where `need` is not allowed. @need: VM_READ or VM_WRITE */
export function user_page(mm: mm_struct, addr: bigint, need: number): page | null {
  const vma = vma_lookup(mm, addr);
  if (!vma || (vma.vm_flags & BigInt(need)) === 0n || vma.vm_flags & BigInt(VM_PFNMAP)) return null;
  const number = addr >> BigInt(PAGE_SHIFT);
  let p = mm.$pages.get(number);
  if (!p) {
    // Pages of a file come from its fault handler: handle_mm_fault().
    if (vma.vm_file) return null;
    p = alloc_user_page();
    mm.$pages.set(number, p);
    // Whoever finds it in the page table finds it whole.
    kcsan_release(p);
  } else kcsan_acquire(p);
  return p;
}

/** Copies between user memory and `bytes`. @return bytes that were not copied, because they are not there */
export function access_user(mm: mm_struct | null, addr: bigint, bytes: Uint8Array, write: boolean): number {
  let done = 0;
  while (mm && done < bytes.length) {
    const at = addr + BigInt(done);
    const p = at < TASK_SIZE ? user_page(mm, at, write ? VM_WRITE : VM_READ) : null;
    if (!p) break;
    const offset = Number(at % PAGE);
    const n = Math.min(PAGE_SIZE - offset, bytes.length - done);
    const there = kmap_local_page(p).$bytes.subarray(offset, offset + n);
    if (write) there.set(bytes.subarray(done, done + n));
    else bytes.set(there, done);
    done += n;
  }
  return bytes.length - done;
}

/** User space, or the test on its behalf, reads its own memory. @throws where it would get SIGSEGV */
export function user_read(mm: mm_struct, addr: bigint, n: number): Uint8Array {
  const bytes = new Uint8Array(n);
  if (access_user(mm, addr, bytes, false)) throw new RangeError(`SIGSEGV: read at 0x${addr.toString(16)}`);
  return bytes;
}
export function user_write(mm: mm_struct, addr: bigint, bytes: Uint8Array): void {
  if (access_user(mm, addr, bytes, true)) throw new RangeError(`SIGSEGV: write at 0x${addr.toString(16)}`);
}
