// SPDX-License-Identifier: GPL-2.0-only
/**
 * The IOMMU back end "type 1": what user space maps for the devices of a container, what that maps in IOMMUs, and the pages
 * that it or the devices pin. Without the zero page, which is never locked.
 */
import { capable, CAP_IPC_LOCK } from "#linux/capability.ts";
import { type bitmap, bitmap_clear, bitmap_or, bitmap_set, bitmap_shift_left, new_bitmap } from "#linux/bitmap.ts";
import { __ffs, BITS_PER_LONG } from "#linux/bitops.ts";
import { BUG_ON, WARN_ON, WARN_ONCE } from "#linux/bug.ts";
import {
  EACCES,
  EAGAIN,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  EPERM,
  ESRCH,
} from "#linux/errno.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { kbuild } from "#linux/export.ts";
import { param_bool, param_uint } from "#linux/moduleparam.ts";
import type { device } from "#linux/device.ts";
import {
  device_iommu_capable,
  iommu_attach_group,
  type iommu_cap,
  IOMMU_CACHE,
  IOMMU_CAP_INTR_REMAP,
  iommu_detach_group,
  type iommu_domain,
  iommu_domain_alloc,
  iommu_domain_free,
  iommu_enable_nesting,
  iommu_get_group_resv_regions,
  iommu_get_msi_cookie,
  type iommu_group,
  iommu_group_for_each_dev,
  iommu_iotlb_gather,
  iommu_iotlb_gather_init,
  iommu_iotlb_sync,
  iommu_iova_to_phys,
  iommu_map,
  IOMMU_READ,
  IOMMU_RESV_DIRECT_RELAXABLE,
  IOMMU_RESV_MSI,
  iommu_resv_region,
  IOMMU_RESV_SW_MSI,
  iommu_unmap,
  iommu_unmap_fast,
  IOMMU_WRITE,
} from "#linux/iommu.ts";
import { irq_domain_check_msi_remap } from "#linux/irqdomain.ts";
import { kthread_should_stop } from "#linux/kthread.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD,
  list_add,
  list_add_tail,
  list_del,
  list_empty,
  list_first_entry,
  list_for_each_entry,
  list_for_each_entry_continue,
  list_for_each_entry_continue_reverse,
  list_for_each_entry_safe,
  list_head,
  list_is_singular,
  list_last_entry,
  list_splice_tail,
} from "#linux/list.ts";
import {
  __account_locked_vm,
  __free_pages,
  alloc_pages,
  current_mm,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_WRITE,
  fixup_user_fault,
  FOLL_LONGTERM,
  FOLL_WRITE,
  follow_pte,
  get_order,
  kthread_unuse_mm,
  kthread_use_mm,
  type mm_struct,
  mmap_read_lock,
  mmap_read_unlock,
  mmap_write_lock_killable,
  mmap_write_unlock,
  mmdrop,
  mmget_not_zero,
  mmgrab,
  mmput,
  type page,
  PAGE_SHIFT,
  PAGE_SIZE,
  page_to_phys,
  pfn_to_page,
  pfn_valid,
  page_to_pfn,
  pin_user_pages_remote,
  unpin_user_pages_dirty_lock,
  type vm_area_struct,
  VM_PFNMAP,
  vma_lookup,
} from "#linux/mm.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { pr_warn } from "#linux/printk.ts";
import {
  RB_EMPTY_ROOT,
  rb_entry,
  rb_erase,
  rb_first,
  rb_insert_color,
  rb_link_left,
  rb_link_node,
  rb_link_right,
  rb_link_root,
  rb_linked,
  rb_next,
  rb_node,
  rb_prev,
  rb_root,
} from "#linux/rbtree.ts";
import { rlimit, RLIMIT_MEMLOCK, task_rlimit } from "#linux/resource.ts";
import { fatal_signal_pending } from "#linux/sched/signal.ts";
import { cond_resched, current, either, schedule, TASK_KILLABLE, task_pid_nr, type task_struct } from "#linux/sched.ts";
import { __GFP_NOWARN, GFP_KERNEL, kcalloc, kfree, kmalloc, kvfree, kzalloc } from "#linux/slab.ts";
import { memcpy } from "#linux/string.ts";
import {
  b64,
  bool,
  array,
  type byte_memory,
  bytes_at,
  bytestruct,
  cast_to,
  embed,
  int,
  kbuf,
  offsetofend,
  opaque,
  ptr,
  ready,
  type Sleeps,
  sizeof,
  struct,
  struct_array,
  u32,
  u64,
  ulong,
} from "#linux/types.ts";
import { access_ok, copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import {
  type out,
  type page_pointers,
  vfio_device,
  vfio_info_add_capability,
  vfio_info_cap,
  vfio_info_cap_add,
  vfio_info_cap_shift,
} from "#linux/vfio.ts";
import {
  DEFINE_WAIT,
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_queue_head_t,
  wake_up_all,
} from "#linux/wait.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_CC_IOMMU,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
  vfio_bitmap,
  vfio_iommu_type1_dirty_bitmap,
  vfio_iommu_type1_dirty_bitmap_get,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  vfio_iommu_type1_info,
  vfio_iommu_type1_info_cap_iova_range,
  vfio_iommu_type1_info_cap_migration,
  vfio_iommu_type1_info_dma_avail,
  vfio_iova_range,
} from "#uapi/linux/vfio.ts";
import {
  VFIO_EMULATED_IOMMU,
  type vfio_group_type,
  VFIO_IOMMU_CONTAINER_CLOSE,
  type vfio_iommu_driver_ops,
  type vfio_iommu_notify_type,
  vfio_register_iommu_driver,
  vfio_unregister_iommu_driver,
} from "./vfio.ts";

const { THIS_MODULE, per_boot, module_param_named, module_init, module_exit, MODULE_LICENSE, MODULE_VERSION } = kbuild(
  import.meta.url,
);

const DRIVER_VERSION = "0.2";

const p = per_boot(() => ({
  /** Devices that may send any interrupt can be given away. */
  allow_unsafe_interrupts: false,
  /** Pages are pinned and mapped one by one. */
  disable_hugepages: false,
  /** Most mappings that a container can have. */
  dma_entry_limit: 65535,
}));
module_param_named(
  "allow_unsafe_interrupts",
  param_bool(() => p, "allow_unsafe_interrupts"),
  0o644,
);
module_param_named(
  "disable_hugepages",
  param_bool(() => p, "disable_hugepages"),
  0o644,
);
module_param_named(
  "dma_entry_limit",
  param_uint(() => p, "dma_entry_limit"),
  0o644,
);

class vfio_iommu extends struct("vfio_iommu", {
  domain_list: embed(() => list_head),
  iova_list: embed(() => list_head),
  lock: embed(() => mutex),
  dma_list: embed(() => rb_root),
  device_list: embed(() => list_head),
  device_list_lock: embed(() => mutex),
  dma_avail: u32(),
  vaddr_invalid_count: u32(),
  pgsize_bitmap: u64(),
  num_non_pinned_groups: u64(),
  vaddr_wait: embed(() => wait_queue_head_t),
  v2: bool(),
  nesting: bool(),
  dirty_page_tracking: bool(),
  container_open: bool(),
  emulated_iommu_groups: embed(() => list_head),
}) {}

class vfio_domain extends struct("vfio_domain", {
  domain: ptr<iommu_domain>(),
  next: embed(() => list_head),
  group_list: embed(() => list_head),
  /** "Fine-grained super pages": unmapping one page of what was mapped together unmaps more. */
  fgsp: bool(),
  enforce_cache_coherency: bool(),
}) {}

class vfio_dma extends struct("vfio_dma", {
  node: embed(() => rb_node),
  /** Where the device sees it, and where the process does. */
  iova: u64(),
  vaddr: ulong(),
  /** Bytes. */
  size: ulong(),
  prot: int(),
  iommu_mapped: bool(),
  /** Whether RLIMIT_MEMLOCK does not count for who mapped it. */
  lock_cap: bool(),
  vaddr_invalid: bool(),
  task: ptr<task_struct>(),
  /** Pages that devices have pinned. */
  pfn_list: embed(() => rb_root),
  bitmap: ptr<bitmap>(),
  mm: ptr<mm_struct>(),
  /** Pages. */
  locked_vm: opaque(() => 0),
}) {}

/** Pages that are pinned and not used yet. */
class vfio_batch extends struct("vfio_batch", {
  pages: ptr<page_pointers>(),
  /** If there is no memory for more. */
  fallback_page: array(1, ptr<page>()),
  capacity: int(),
  size: int(),
  /** Of the first that is not used. */
  offset: int(),
}) {}

class vfio_iommu_group extends struct("vfio_iommu_group", {
  iommu_group: ptr<iommu_group>(),
  next: embed(() => list_head),
  pinned_page_dirty_scope: bool(),
}) {}

class vfio_iova extends struct("vfio_iova", {
  list: embed(() => list_head),
  start: u64(),
  end: u64(),
}) {}

/** A page that devices have pinned. */
class vfio_pfn extends struct("vfio_pfn", {
  node: embed(() => rb_node),
  iova: u64(),
  pfn: opaque(() => 0),
  ref_count: u32(),
}) {}

/** What has been unmapped and is not unpinned yet. */
class vfio_regions extends struct("vfio_regions", {
  list: embed(() => list_head),
  iova: u64(),
  phys: u64(),
  len: ulong(),
}) {}

const PAGE = BigInt(PAGE_SIZE);
/** Bytes of so many pages, and pages of so many bytes. */
const bytes_of = (npage: number): bigint => BigInt(npage) << BigInt(PAGE_SHIFT);
const pages_of = (bytes: bigint): number => Number(bytes >> BigInt(PAGE_SHIFT));
const PAGE_MASK = BigInt.asUintN(64, ~(PAGE - 1n));
const U64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const U64_MAX = U64(-1n);
/** Bits of an address shifted right as the processor does: a shift by 64 is one by 0. */
const shr = (v: bigint, n: number): bigint => v >> BigInt(n & 63);
/** __ffs(), which for 0 is whatever the machine makes of it: 64 here, as on newer ones. */
const ffs64 = (v: bigint): number => (v === 0n ? 64 : __ffs(v));

const DIRTY_BITMAP_BYTES = (n: bigint): bigint => (U64(n + 63n) / 64n) * 8n;

/** bitmap_set() takes an int. */
const DIRTY_BITMAP_PAGES_MAX = 0x7fffffffn;
const DIRTY_BITMAP_SIZE_MAX = DIRTY_BITMAP_BYTES(DIRTY_BITMAP_PAGES_MAX);

const WAITED = 1;

const dma_of = (node: rb_node): vfio_dma => rb_entry(node, vfio_dma, "node");
const vpfn_of = (node: rb_node): vfio_pfn => rb_entry(node, vfio_pfn, "node");

/** A mapping that overlaps the range. */
function vfio_find_dma(iommu: vfio_iommu, start: bigint, size: bigint): vfio_dma | null {
  let node = iommu.dma_list.rb_node;

  while (node) {
    const dma = dma_of(node);

    if (U64(start + size) <= dma.iova) node = node.rb_left;
    else if (start >= U64(dma.iova + dma.size)) node = node.rb_right;
    else return dma;
  }

  return null;
}

/** The first mapping that overlaps the range, or that lies behind its beginning if size is 0. */
function vfio_find_dma_first_node(iommu: vfio_iommu, start: bigint, size: bigint): rb_node | null {
  let res: rb_node | null = null;
  let node = iommu.dma_list.rb_node;
  let dma_res: vfio_dma | null = null;

  while (node) {
    const dma = dma_of(node);

    if (start < U64(dma.iova + dma.size)) {
      res = node;
      dma_res = dma;
      if (start >= dma.iova) break;
      node = node.rb_left;
    } else {
      node = node.rb_right;
    }
  }
  if (res && size && dma_res!.iova >= U64(start + size)) res = null;
  return res;
}

function vfio_link_dma(iommu: vfio_iommu, new_: vfio_dma): void {
  let link = rb_link_root(iommu.dma_list);
  let parent: rb_node | null = null;

  for (let at = rb_linked(link); at; at = rb_linked(link)) {
    parent = at;
    const dma = dma_of(parent);

    if (U64(new_.iova + new_.size) <= dma.iova) link = rb_link_left(parent);
    else link = rb_link_right(parent);
  }

  rb_link_node(new_.node, parent, link);
  rb_insert_color(new_.node, iommu.dma_list);
}

function vfio_unlink_dma(iommu: vfio_iommu, old: vfio_dma): void {
  rb_erase(old.node, iommu.dma_list);
}

function vfio_dma_bitmap_alloc(dma: vfio_dma, pgsize: bigint): number {
  const npages = dma.size / pgsize;

  if (npages > DIRTY_BITMAP_PAGES_MAX) return -EINVAL;

  // One word more: shifting for user space's alignment needs the room
  // kvzalloc(); for what is more than kmalloc() gives this machine has no memory
  dma.bitmap = kcalloc(Number(DIRTY_BITMAP_BYTES(npages)) / 8 + 1, ulong(), GFP_KERNEL | __GFP_NOWARN);
  if (!dma.bitmap) return -ENOMEM;

  return 0;
}

function vfio_dma_bitmap_free(dma: vfio_dma): void {
  kvfree(dma.bitmap);
  dma.bitmap = null;
}

function vfio_dma_populate_bitmap(dma: vfio_dma, pgsize: bigint): void {
  const pgshift = ffs64(pgsize);

  for (let p = rb_first(dma.pfn_list); p; p = rb_next(p)) {
    const vpfn = vpfn_of(p);

    bitmap_set(dma.bitmap!, Number(shr(vpfn.iova - dma.iova, pgshift)), 1);
  }
}

function vfio_iommu_populate_bitmap_full(iommu: vfio_iommu): void {
  const pgshift = ffs64(iommu.pgsize_bitmap);

  for (let n = rb_first(iommu.dma_list); n; n = rb_next(n)) {
    const dma = dma_of(n);

    bitmap_set(dma.bitmap!, 0, Number(shr(dma.size, pgshift)));
  }
}

function vfio_dma_bitmap_alloc_all(iommu: vfio_iommu, pgsize: bigint): number {
  for (let n = rb_first(iommu.dma_list); n; n = rb_next(n)) {
    const dma = dma_of(n);

    const ret = vfio_dma_bitmap_alloc(dma, pgsize);
    if (ret) {
      for (let p = rb_prev(n); p; p = rb_prev(p)) vfio_dma_bitmap_free(dma_of(p));
      return ret;
    }
    vfio_dma_populate_bitmap(dma, pgsize);
  }
  return 0;
}

function vfio_dma_bitmap_free_all(iommu: vfio_iommu): void {
  for (let n = rb_first(iommu.dma_list); n; n = rb_next(n)) vfio_dma_bitmap_free(dma_of(n));
}

// Pinned pages by I/O address

function vfio_find_vpfn(dma: vfio_dma, iova: bigint): vfio_pfn | null {
  let node = dma.pfn_list.rb_node;

  while (node) {
    const vpfn = vpfn_of(node);

    if (iova < vpfn.iova) node = node.rb_left;
    else if (iova > vpfn.iova) node = node.rb_right;
    else return vpfn;
  }
  return null;
}

function vfio_link_pfn(dma: vfio_dma, new_: vfio_pfn): void {
  let link = rb_link_root(dma.pfn_list);
  let parent: rb_node | null = null;

  for (let at = rb_linked(link); at; at = rb_linked(link)) {
    parent = at;
    const vpfn = vpfn_of(parent);

    if (new_.iova < vpfn.iova) link = rb_link_left(parent);
    else link = rb_link_right(parent);
  }

  rb_link_node(new_.node, parent, link);
  rb_insert_color(new_.node, dma.pfn_list);
}

function vfio_unlink_pfn(dma: vfio_dma, old: vfio_pfn): void {
  rb_erase(old.node, dma.pfn_list);
}

function vfio_add_to_pfn_list(dma: vfio_dma, iova: bigint, pfn: number): number {
  const vpfn = kzalloc(vfio_pfn, GFP_KERNEL);
  if (!vpfn) return -ENOMEM;

  vpfn.iova = iova;
  vpfn.pfn = pfn;
  vpfn.ref_count = 1;
  vfio_link_pfn(dma, vpfn);
  return 0;
}

function vfio_remove_from_pfn_list(dma: vfio_dma, vpfn: vfio_pfn): void {
  vfio_unlink_pfn(dma, vpfn);
  kfree(vpfn);
}

function vfio_iova_get_vfio_pfn(dma: vfio_dma, iova: bigint): vfio_pfn | null {
  const vpfn = vfio_find_vpfn(dma, iova);

  if (vpfn) vpfn.ref_count++;
  return vpfn;
}

function vfio_iova_put_vfio_pfn(dma: vfio_dma, vpfn: vfio_pfn): number {
  let ret = 0;

  vpfn.ref_count--;
  if (!vpfn.ref_count) {
    ret = put_pfn(vpfn.pfn, dma.prot);
    vfio_remove_from_pfn_list(dma, vpfn);
  }
  return ret;
}

function* mm_lock_acct(task: task_struct, mm: mm_struct, lock_cap: boolean, npage: number): Sleeps<number> {
  let ret = yield* mmap_write_lock_killable(mm);

  if (ret) return ret;

  ret = __account_locked_vm(mm, Math.abs(npage), npage > 0, task, lock_cap);
  mmap_write_unlock(mm);
  return ret;
}

function* vfio_lock_acct(dma: vfio_dma, npage: number, async_: boolean): Sleeps<number> {
  if (!npage) return 0;

  const mm = dma.mm!;
  if (async_ && !mmget_not_zero(mm)) return -ESRCH; // the process is gone

  const ret = yield* mm_lock_acct(dma.task!, mm, dma.lock_cap, npage);
  if (!ret) dma.locked_vm += npage;

  if (async_) yield* mmput(mm);

  return ret;
}

/** Memory of a device, say, is no page and is not counted as locked. There are no reserved pages here. */
function is_invalid_reserved_pfn(pfn: number): boolean {
  if (pfn_valid(pfn)) return false;

  return true;
}

function put_pfn(pfn: number, prot: number): number {
  if (!is_invalid_reserved_pfn(pfn)) {
    const pages = new struct_array<page | null>(1, ptr<page>());
    pages.set(0, pfn_to_page(pfn));

    unpin_user_pages_dirty_lock(pages, 1, (prot & IOMMU_WRITE) !== 0);
    return 1;
  }
  return 0;
}

const VFIO_BATCH_MAX_CAPACITY = PAGE_SIZE / 8;

function vfio_batch_init(batch: vfio_batch): void {
  batch.size = 0;
  batch.offset = 0;

  fallback: {
    if (p.disable_hugepages) break fallback;

    batch.pages = kcalloc(VFIO_BATCH_MAX_CAPACITY, ptr<page>(), GFP_KERNEL);
    if (!batch.pages) break fallback;

    batch.capacity = VFIO_BATCH_MAX_CAPACITY;
    return;
  }
  batch.pages = batch.fallback_page;
  batch.capacity = 1;
}

function vfio_batch_unpin(batch: vfio_batch, dma: vfio_dma): void {
  while (batch.size) {
    const pfn = page_to_pfn(batch.pages!.at(batch.offset)!);

    put_pfn(pfn, dma.prot);
    batch.offset++;
    batch.size--;
  }
}

function vfio_batch_fini(batch: vfio_batch): void {
  if (batch.capacity === VFIO_BATCH_MAX_CAPACITY) kfree(batch.pages);
}

/** The page of an area without struct pages, faulted in if it is not there. @return 0, -EAGAIN, errno */
function* follow_fault_pfn(
  vma: vm_area_struct,
  mm: mm_struct,
  vaddr: bigint,
  pfn: out<number>,
  write_fault: boolean,
): Sleeps<number> {
  let ptep = follow_pte(vma.vm_mm!, vaddr);
  if (!ptep) {
    const unlocked = { value: false };

    const ret = yield* fixup_user_fault(mm, vaddr, FAULT_FLAG_REMOTE | (write_fault ? FAULT_FLAG_WRITE : 0), unlocked);
    if (unlocked.value) return -EAGAIN;

    if (ret) return ret;

    ptep = follow_pte(vma.vm_mm!, vaddr);
    if (!ptep) return -EINVAL;
  }

  if (write_fault && !ptep.write) return -EFAULT;
  pfn.value = ptep.pfn;
  return 0;
}

/** @return number of pages, or errno. */
function* vaddr_get_pfns(
  mm: mm_struct,
  vaddr: bigint,
  npages: number,
  prot: number,
  pfn: out<number>,
  pages: page_pointers,
): Sleeps<number> {
  let flags = 0;

  if (prot & IOMMU_WRITE) flags |= FOLL_WRITE;

  yield* mmap_read_lock(mm);
  let ret = pin_user_pages_remote(mm, vaddr, npages, flags | FOLL_LONGTERM, pages);
  done: {
    if (ret > 0) {
      pfn.value = page_to_pfn(pages.at(0)!);
      break done;
    }

    for (;;) {
      const vma = vma_lookup(mm, vaddr);

      if (vma && vma.vm_flags & BigInt(VM_PFNMAP)) {
        ret = yield* follow_fault_pfn(vma, mm, vaddr, pfn, (prot & IOMMU_WRITE) !== 0);
        if (ret === -EAGAIN) continue;

        if (!ret) {
          if (is_invalid_reserved_pfn(pfn.value)) ret = 1;
          else ret = -EFAULT;
        }
      }
      break;
    }
  }
  mmap_read_unlock(mm);
  return ret;
}

function* vfio_wait(iommu: vfio_iommu): Sleeps<number> {
  const wait = DEFINE_WAIT();

  yield* prepare_to_wait(iommu.vaddr_wait, wait, TASK_KILLABLE);
  mutex_unlock(iommu.lock);
  yield* schedule({ wchan: "vfio_wait", what: "a new address of a mapping" });
  yield* mutex_lock(iommu.lock);
  yield* finish_wait(iommu.vaddr_wait, wait);
  if (kthread_should_stop() || !iommu.container_open || fatal_signal_pending(current())) {
    return -EFAULT;
  }
  return WAITED;
}

/**
 * A mapping whose user address is valid; waits for that, without the lock meanwhile.
 * @return 0, WAITED, or errno. Context: iommu->lock held.
 */
function* vfio_find_dma_valid(
  iommu: vfio_iommu,
  start: bigint,
  size: bigint,
  dma_p: out<vfio_dma | null>,
): Sleeps<number> {
  let ret = 0;

  do {
    dma_p.value = vfio_find_dma(iommu, start, size);
    if (!dma_p.value) return -EINVAL;
    else if (!dma_p.value.vaddr_invalid) return ret;
    else ret = yield* vfio_wait(iommu);
  } while (ret === WAITED);

  return ret;
}

/** Waits until all addresses are valid, without the lock meanwhile. @return 0, WAITED, or errno. Context: iommu->lock held. */
function* vfio_wait_all_valid(iommu: vfio_iommu): Sleeps<number> {
  let ret = 0;

  while (iommu.vaddr_invalid_count && ret >= 0) ret = yield* vfio_wait(iommu);

  return ret;
}

/**
 * Pins pages as long as one lies behind the other in memory. @limit: pages that may be locked; @batch: what was pinned beyond
 * @return how many, or errno
 */
function* vfio_pin_pages_remote(
  dma: vfio_dma,
  vaddr: bigint,
  npage: number,
  pfn_base: out<number>,
  limit: bigint,
  batch: vfio_batch,
): Sleeps<number> {
  const pfn = { value: 0 };
  const mm = current_mm();
  let ret = 0;
  let pinned = 0;
  let lock_acct = 0;
  let rsvd = false;
  let iova = U64(vaddr - dma.vaddr + dma.iova);

  // Only user space asks for this
  if (!mm) return -ENODEV;

  if (batch.size) {
    // Left over by an earlier call
    pfn_base.value = page_to_pfn(batch.pages!.at(batch.offset)!);
    pfn.value = pfn_base.value;
    rsvd = is_invalid_reserved_pfn(pfn_base.value);
  } else {
    pfn_base.value = 0;
  }

  unpin_out: {
    out: while (npage) {
      if (!batch.size) {
        yield* cond_resched();

        const req_pages = Math.min(npage, batch.capacity);

        ret = yield* vaddr_get_pfns(mm, vaddr, req_pages, dma.prot, pfn, batch.pages!);
        if (ret < 0) break unpin_out;

        batch.size = ret;
        batch.offset = 0;

        if (!pfn_base.value) {
          pfn_base.value = pfn.value;
          rsvd = is_invalid_reserved_pfn(pfn_base.value);
        }
      }

      // A page without struct page comes alone: batch->pages is only looked at when there are more.
      for (;;) {
        if (pfn.value !== pfn_base.value + pinned || rsvd !== is_invalid_reserved_pfn(pfn.value)) break out;

        // Reserved pages do not count, and what a device has pinned has been counted.
        if (!rsvd && !vfio_find_vpfn(dma, iova)) {
          if (!dma.lock_cap && mm.locked_vm + BigInt(lock_acct + 1) > limit) {
            pr_warn("%s: RLIMIT_MEMLOCK (%ld) exceeded\n", vfio_pin_pages_remote.name, limit << BigInt(PAGE_SHIFT));
            ret = -ENOMEM;
            break unpin_out;
          }
          lock_acct++;
        }

        pinned++;
        npage--;
        vaddr = U64(vaddr + PAGE);
        iova = U64(iova + PAGE);
        batch.offset++;
        batch.size--;

        if (!batch.size) break;

        pfn.value = page_to_pfn(batch.pages!.at(batch.offset)!);
      }

      if (p.disable_hugepages) break;
    }

    ret = yield* vfio_lock_acct(dma, lock_acct, false);
  }
  if (batch.size === 1 && !batch.offset) {
    // It may be a page without struct page, which the batch cannot remember.
    put_pfn(pfn.value, dma.prot);
    batch.size = 0;
  }

  if (ret < 0) {
    if (pinned && !rsvd) {
      for (pfn.value = pfn_base.value; pinned; pfn.value++, pinned--) put_pfn(pfn.value, dma.prot);
    }
    vfio_batch_unpin(batch, dma);

    return ret;
  }

  return pinned;
}

function* vfio_unpin_pages_remote(
  dma: vfio_dma,
  iova: bigint,
  pfn: number,
  npage: number,
  do_accounting: boolean,
): Sleeps<number> {
  let unlocked = 0;
  let locked = 0;

  for (let i = 0; i < npage; i++, iova = U64(iova + PAGE)) {
    if (put_pfn(pfn++, dma.prot)) {
      unlocked++;
      if (vfio_find_vpfn(dma, iova)) locked++;
    }
  }

  if (do_accounting) yield* vfio_lock_acct(dma, locked - unlocked, true);

  return unlocked;
}

function* vfio_pin_page_external(
  dma: vfio_dma,
  vaddr: bigint,
  pfn_base: out<number>,
  do_accounting: boolean,
): Sleeps<number> {
  const pages = new struct_array<page | null>(1, ptr<page>());

  const mm = dma.mm!;
  if (!mmget_not_zero(mm)) return -ENODEV;

  let ret = yield* vaddr_get_pfns(mm, vaddr, 1, dma.prot, pfn_base, pages);
  out: {
    if (ret !== 1) break out;

    ret = 0;

    if (do_accounting && !is_invalid_reserved_pfn(pfn_base.value)) {
      ret = yield* vfio_lock_acct(dma, 1, false);
      if (ret) {
        put_pfn(pfn_base.value, dma.prot);
        if (ret === -ENOMEM)
          pr_warn(
            "%s: Task %s (%d) RLIMIT_MEMLOCK (%ld) exceeded\n",
            vfio_pin_page_external.name,
            dma.task!.comm,
            task_pid_nr(dma.task!),
            task_rlimit(dma.task!, RLIMIT_MEMLOCK),
          );
      }
    }
  }
  yield* mmput(mm);
  return ret;
}

function* vfio_unpin_page_external(dma: vfio_dma | null, iova: bigint, do_accounting: boolean): Sleeps<number> {
  const vpfn = vfio_find_vpfn(dma!, iova);

  if (!vpfn) return 0;

  const unlocked = vfio_iova_put_vfio_pfn(dma!, vpfn);

  if (do_accounting) yield* vfio_lock_acct(dma!, -unlocked, true);

  return unlocked;
}

function* vfio_iommu_type1_pin_pages(
  iommu_data: object | null,
  iommu_group: iommu_group | null,
  user_iova: bigint,
  npage: number,
  prot: number,
  pages: page_pointers | null,
): Sleeps<number> {
  const iommu = iommu_data as vfio_iommu | null;
  let ret;

  if (!iommu || !pages) return -EINVAL;

  // v1 cannot
  if (!iommu.v2) return -EACCES;

  yield* mutex_lock(iommu.lock);

  pin_done: {
    let i;
    let do_accounting;
    pin_unwind: {
      if (WARN_ONCE(iommu.vaddr_invalid_count !== 0, "vfio_pin_pages not allowed with VFIO_UPDATE_VADDR\n")) {
        ret = -EBUSY;
        break pin_done;
      }

      // All addresses have to be valid before the loop below, which may not drop the lock any more.
      again: for (;;) {
        if (iommu.vaddr_invalid_count) {
          const dma = { value: null };
          for (i = 0; i < npage; i++) {
            const iova = U64(user_iova + PAGE * BigInt(i));
            ret = yield* vfio_find_dma_valid(iommu, iova, PAGE, dma);
            if (ret < 0) break pin_done;
            if (ret === WAITED) continue again;
          }
        }
        break;
      }

      // Nobody could be asked to unpin
      if (list_empty(iommu.device_list)) {
        ret = -EINVAL;
        break pin_done;
      }

      // With a real IOMMU in the container everything has been pinned and counted when it was mapped.
      do_accounting = list_empty(iommu.domain_list);

      for (i = 0; i < npage; i++) {
        const phys_pfn = { value: 0 };

        const iova = U64(user_iova + PAGE * BigInt(i));
        const dma = vfio_find_dma(iommu, iova, PAGE);
        if (!dma) {
          ret = -EINVAL;
          break pin_unwind;
        }

        if ((dma.prot & prot) !== prot) {
          ret = -EPERM;
          break pin_unwind;
        }

        const vpfn = vfio_iova_get_vfio_pfn(dma, iova);
        if (vpfn) {
          pages.set(i, pfn_to_page(vpfn.pfn));
          continue;
        }

        const remote_vaddr = U64(dma.vaddr + (iova - dma.iova));
        ret = yield* vfio_pin_page_external(dma, remote_vaddr, phys_pfn, do_accounting);
        if (ret) break pin_unwind;

        if (!pfn_valid(phys_pfn.value)) {
          ret = -EINVAL;
          break pin_unwind;
        }

        ret = vfio_add_to_pfn_list(dma, iova, phys_pfn.value);
        if (ret) {
          if (put_pfn(phys_pfn.value, dma.prot) && do_accounting) yield* vfio_lock_acct(dma, -1, true);
          break pin_unwind;
        }

        pages.set(i, pfn_to_page(phys_pfn.value));

        if (iommu.dirty_page_tracking) {
          const pgshift = ffs64(iommu.pgsize_bitmap);

          // A bit for each page of the smallest size
          bitmap_set(dma.bitmap!, Number(shr(iova - dma.iova, pgshift)), 1);
        }
      }
      ret = i;

      const group = vfio_iommu_find_iommu_group(iommu, iommu_group);
      if (!group!.pinned_page_dirty_scope) {
        group!.pinned_page_dirty_scope = true;
        iommu.num_non_pinned_groups--;
      }

      break pin_done;
    }
    pages.set(i, null);
    for (let j = 0; j < i; j++) {
      const iova = U64(user_iova + PAGE * BigInt(j));
      const dma = vfio_find_dma(iommu, iova, PAGE);
      yield* vfio_unpin_page_external(dma, iova, do_accounting);
      pages.set(j, null);
    }
  }
  mutex_unlock(iommu.lock);
  return ret;
}

function* vfio_iommu_type1_unpin_pages(iommu_data: object | null, user_iova: bigint, npage: number): Sleeps {
  const iommu = iommu_data as vfio_iommu;
  let i;

  // v1 cannot
  if (WARN_ON(!iommu.v2)) return;

  yield* mutex_lock(iommu.lock);

  const do_accounting = list_empty(iommu.domain_list);
  for (i = 0; i < npage; i++) {
    const iova = U64(user_iova + PAGE * BigInt(i));

    const dma = vfio_find_dma(iommu, iova, PAGE);
    if (!dma) break;

    yield* vfio_unpin_page_external(dma, iova, do_accounting);
  }

  mutex_unlock(iommu.lock);

  WARN_ON(i !== npage);
}

function* vfio_sync_unpin(
  dma: vfio_dma,
  domain: vfio_domain,
  regions: list_head,
  iotlb_gather: iommu_iotlb_gather,
): Sleeps<number> {
  let unlocked = 0;

  iommu_iotlb_sync(domain.domain!, iotlb_gather);

  for (const entry of list_for_each_entry_safe(regions, vfio_regions, "list")) {
    unlocked += yield* vfio_unpin_pages_remote(dma, entry.iova, pages_of(entry.phys), pages_of(entry.len), false);
    list_del(entry.list);
    kfree(entry);
  }

  yield* cond_resched();

  return unlocked;
}

/** Most regions that are unmapped before their pages are unpinned. */
const VFIO_IOMMU_TLB_SYNC_MAX = 512;

/** Where unmapping stands: C has these as separate variables of the caller. */
interface unmapping {
  iova: bigint;
  unlocked: number;
  readonly unmapped_list: list_head;
  unmapped_cnt: number;
}

function* unmap_unpin_fast(
  domain: vfio_domain,
  dma: vfio_dma,
  at: unmapping,
  len: bigint,
  phys: bigint,
  iotlb_gather: iommu_iotlb_gather,
): Sleeps<bigint> {
  let unmapped = 0n;
  const entry = kzalloc(vfio_regions, GFP_KERNEL);

  if (entry) {
    unmapped = iommu_unmap_fast(domain.domain!, at.iova, len, iotlb_gather);

    if (!unmapped) {
      kfree(entry);
    } else {
      entry.iova = at.iova;
      entry.phys = phys;
      entry.len = unmapped;
      list_add_tail(entry.list, at.unmapped_list);

      at.iova = U64(at.iova + unmapped);
      at.unmapped_cnt++;
    }
  }

  // When it is many, and on errors
  if (at.unmapped_cnt >= VFIO_IOMMU_TLB_SYNC_MAX || !unmapped) {
    at.unlocked += yield* vfio_sync_unpin(dma, domain, at.unmapped_list, iotlb_gather);
    at.unmapped_cnt = 0;
  }

  return unmapped;
}

function* unmap_unpin_slow(
  domain: vfio_domain,
  dma: vfio_dma,
  at: unmapping,
  len: bigint,
  phys: bigint,
): Sleeps<bigint> {
  const unmapped = iommu_unmap(domain.domain!, at.iova, len);

  if (unmapped) {
    at.unlocked += yield* vfio_unpin_pages_remote(dma, at.iova, pages_of(phys), pages_of(unmapped), false);
    at.iova = U64(at.iova + unmapped);
    yield* cond_resched();
  }
  return unmapped;
}

/** @return pages that are not locked any more, unless they are accounted here */
function* vfio_unmap_unpin(iommu: vfio_iommu, dma: vfio_dma, do_accounting: boolean): Sleeps<number> {
  const end = U64(dma.iova + dma.size);
  const iotlb_gather = new iommu_iotlb_gather();
  const at: unmapping = { iova: dma.iova, unlocked: 0, unmapped_list: LIST_HEAD(), unmapped_cnt: 0 };

  if (!dma.size) return 0;

  if (list_empty(iommu.domain_list)) return 0;

  // One domain knows which pages they were; the others are unmapped first, so that nobody reaches a page that is unpinned.
  const domain = list_first_entry(iommu.domain_list, vfio_domain, "next");

  for (const d of list_for_each_entry_continue(domain, iommu.domain_list, vfio_domain, "next")) {
    iommu_unmap(d.domain!, dma.iova, dma.size);
    yield* cond_resched();
  }

  iommu_iotlb_gather_init(iotlb_gather);
  while (at.iova < end) {
    const phys = iommu_iova_to_phys(domain.domain!, at.iova);
    if (WARN_ON(!phys)) {
      at.iova = U64(at.iova + PAGE);
      continue;
    }

    // As much as lies together in memory
    let len = PAGE;
    for (; !domain.fgsp && at.iova + len < end; len += PAGE) {
      const next = iommu_iova_to_phys(domain.domain!, at.iova + len);
      if (next !== phys + len) break;
    }

    let unmapped = yield* unmap_unpin_fast(domain, dma, at, len, phys, iotlb_gather);
    if (!unmapped) {
      unmapped = yield* unmap_unpin_slow(domain, dma, at, len, phys);
      if (WARN_ON(!unmapped)) break;
    }
  }

  dma.iommu_mapped = false;

  if (at.unmapped_cnt) {
    at.unlocked += yield* vfio_sync_unpin(dma, domain, at.unmapped_list, iotlb_gather);
  }

  if (do_accounting) {
    yield* vfio_lock_acct(dma, -at.unlocked, true);
    return 0;
  }
  return at.unlocked;
}

function* vfio_remove_dma(iommu: vfio_iommu, dma: vfio_dma): Sleeps {
  WARN_ON(!RB_EMPTY_ROOT(dma.pfn_list));
  yield* vfio_unmap_unpin(iommu, dma, true);
  vfio_unlink_dma(iommu, dma);
  mmdrop(dma.mm!);
  vfio_dma_bitmap_free(dma);
  if (dma.vaddr_invalid) {
    iommu.vaddr_invalid_count--;
    yield* wake_up_all(iommu.vaddr_wait);
  }
  kfree(dma);
  iommu.dma_avail++;
}

function vfio_update_pgsize_bitmap(iommu: vfio_iommu): void {
  iommu.pgsize_bitmap = U64_MAX;

  for (const domain of list_for_each_entry(iommu.domain_list, vfio_domain, "next"))
    iommu.pgsize_bitmap &= domain.domain!.pgsize_bitmap;

  // Smaller pages than the processor's are hidden: pinning knows only the latter.
  if (iommu.pgsize_bitmap & ~PAGE_MASK) {
    iommu.pgsize_bitmap &= PAGE_MASK;
    iommu.pgsize_bitmap |= PAGE;
  }
}

class bitmap_word extends bytestruct("bitmap_word", { word: b64() }) {}

/** The first `n` bytes of a bitmap as they lie in memory. */
function bitmap_bytes(map: bitmap, n: number): kbuf {
  const bytes = new kbuf(n);
  for (let i = 0; i < n / 8; i++) cast_to(bitmap_word, bytes, i * 8).word = map.at(i);
  return bytes;
}

function* update_user_bitmap(
  bitmap: bigint,
  iommu: vfio_iommu,
  dma: vfio_dma,
  base_iova: bigint,
  pgsize: bigint,
): Sleeps<number> {
  const pgshift = ffs64(pgsize);
  const nbits = Number(shr(dma.size, pgshift));
  const bit_offset = shr(U64(dma.iova - base_iova), pgshift);
  const copy_offset = bit_offset / BigInt(BITS_PER_LONG);
  const shift = Number(bit_offset % BigInt(BITS_PER_LONG));
  const leftover = new bitmap_word();

  // Groups that cannot say what they wrote may have written to everything.
  if (iommu.num_non_pinned_groups && dma.iommu_mapped) bitmap_set(dma.bitmap!, 0, nbits);

  if (shift) {
    bitmap_shift_left(dma.bitmap!, dma.bitmap!, shift, nbits + shift);

    if (yield* copy_from_user(leftover, bitmap + copy_offset * 8n, sizeof(leftover))) return -EFAULT;

    const word = new_bitmap(BITS_PER_LONG);
    word.set(0, leftover.word);
    bitmap_or(dma.bitmap!, dma.bitmap!, word, shift);
  }

  const n = Number(DIRTY_BITMAP_BYTES(BigInt(nbits + shift)));
  if (yield* copy_to_user(bitmap + copy_offset * 8n, bitmap_bytes(dma.bitmap!, n), n)) return -EFAULT;

  return 0;
}

function* vfio_iova_dirty_bitmap(
  bitmap: bigint,
  iommu: vfio_iommu,
  iova: bigint,
  size: bigint,
  pgsize: bigint,
): Sleeps<number> {
  const pgshift = ffs64(pgsize);

  // The range may cover several mappings, but has to begin and end with one.
  let dma = vfio_find_dma(iommu, iova, 1n);
  if (dma && dma.iova !== iova) return -EINVAL;

  dma = vfio_find_dma(iommu, U64(iova + size - 1n), 0n);
  if (dma && U64(dma.iova + dma.size) !== U64(iova + size)) return -EINVAL;

  for (let n = rb_first(iommu.dma_list); n; n = rb_next(n)) {
    const dma = dma_of(n);

    if (dma.iova < iova) continue;

    if (dma.iova > U64(iova + size - 1n)) break;

    const ret = yield* update_user_bitmap(bitmap, iommu, dma, iova, pgsize);
    if (ret) return ret;

    // What is still pinned may be written to at any time; everything else starts clean.
    bitmap_clear(dma.bitmap!, 0, Number(shr(dma.size, pgshift)));
    vfio_dma_populate_bitmap(dma, pgsize);
  }
  return 0;
}

function verify_bitmap_size(npages: bigint, bitmap_size: bigint): number {
  if (!npages || !bitmap_size || bitmap_size > DIRTY_BITMAP_SIZE_MAX || bitmap_size < DIRTY_BITMAP_BYTES(npages))
    return -EINVAL;

  return 0;
}

/** Asks the devices to unpin what they have of a mapping. Context: iommu->lock held, dropped meanwhile. */
function* vfio_notify_dma_unmap(iommu: vfio_iommu, dma: vfio_dma): Sleeps {
  if (list_empty(iommu.device_list)) return;

  // vfio_unpin_pages(), which they will call, takes iommu->lock.
  yield* mutex_lock(iommu.device_list_lock);
  mutex_unlock(iommu.lock);

  for (const device of list_for_each_entry(iommu.device_list, vfio_device, "iommu_entry"))
    yield* either(device.ops!.dma_unmap!(device, dma.iova, dma.size));

  mutex_unlock(iommu.device_list_lock);
  yield* mutex_lock(iommu.lock);
}

function* vfio_dma_do_unmap(iommu: vfio_iommu, unmap: vfio_iommu_type1_dma_unmap, bitmap: vfio_bitmap): Sleeps<number> {
  let dma: vfio_dma | null;
  let dma_last: vfio_dma | null = null;
  let unmapped = 0n;
  let ret = -EINVAL;
  let retries = 0;
  const iova = unmap.iova;
  let size = unmap.size;
  const unmap_all = (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  const invalidate_vaddr = (unmap.flags & VFIO_DMA_UNMAP_FLAG_VADDR) !== 0;

  yield* mutex_lock(iommu.lock);

  unlock: {
    // Devices of emulated groups could not go on meanwhile
    if (invalidate_vaddr && !list_empty(iommu.emulated_iommu_groups)) {
      ret = -EBUSY;
      break unlock;
    }

    const pgshift = ffs64(iommu.pgsize_bitmap);
    const pgsize = 1n << BigInt(pgshift);

    if (iova & (pgsize - 1n)) break unlock;

    if (unmap_all) {
      if (iova || size) break unlock;
      size = U64_MAX;
    } else if (!size || size & (pgsize - 1n) || U64(iova + size - 1n) < iova) {
      break unlock;
    }

    // Dirty tracking knows only the smallest page size
    if (
      unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP &&
      (!iommu.dirty_page_tracking || bitmap.pgsize !== pgsize)
    ) {
      break unlock;
    }

    WARN_ON(((pgsize - 1n) & PAGE_MASK) !== 0n);

    again: for (;;) {
      // v1 took any range and unmapped what the IOMMU happened to have made of it; that is imitated: a range that begins
      // inside a mapping unmaps nothing and succeeds, one that covers its beginning unmaps all of it. v2 wants whole
      // mappings, one or more, and refuses to cut one in two.
      if (iommu.v2 && !unmap_all) {
        dma = vfio_find_dma(iommu, iova, 1n);
        if (dma && dma.iova !== iova) break unlock;

        dma = vfio_find_dma(iommu, U64(iova + size - 1n), 0n);
        if (dma && U64(dma.iova + dma.size) !== U64(iova + size)) break unlock;
      }

      ret = 0;
      const first_n = vfio_find_dma_first_node(iommu, iova, size);
      let n = first_n;

      while (n) {
        dma = dma_of(n);
        if (dma.iova >= U64(iova + size)) break;

        if (!iommu.v2 && iova > dma.iova) break;

        if (invalidate_vaddr) {
          if (dma.vaddr_invalid) {
            const last_n: rb_node = n;

            for (n = first_n; n !== last_n; n = rb_next(n!)) {
              dma = dma_of(n!);
              dma.vaddr_invalid = false;
              iommu.vaddr_invalid_count--;
            }
            ret = -EINVAL;
            unmapped = 0n;
            break;
          }
          dma.vaddr_invalid = true;
          iommu.vaddr_invalid_count++;
          unmapped += dma.size;
          n = rb_next(n);
          continue;
        }

        if (!RB_EMPTY_ROOT(dma.pfn_list)) {
          if (dma_last === dma) {
            BUG_ON(++retries > 10);
          } else {
            dma_last = dma;
            retries = 0;
          }

          yield* vfio_notify_dma_unmap(iommu, dma);
          continue again;
        }

        if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) {
          ret = yield* update_user_bitmap(bitmap.data, iommu, dma, iova, pgsize);
          if (ret) break;
        }

        unmapped += dma.size;
        n = rb_next(n);
        yield* vfio_remove_dma(iommu, dma);
      }
      break;
    }
  }
  mutex_unlock(iommu.lock);

  // What the user gets to know
  unmap.size = unmapped;

  return ret;
}

function* vfio_iommu_map(iommu: vfio_iommu, iova: bigint, pfn: number, npage: number, prot: number): Sleeps<number> {
  let ret;

  for (const d of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
    ret = iommu_map(d.domain!, iova, bytes_of(pfn), bytes_of(npage), prot | IOMMU_CACHE);
    if (ret) {
      for (const u of list_for_each_entry_continue_reverse(d, iommu.domain_list, vfio_domain, "next")) {
        iommu_unmap(u.domain!, iova, bytes_of(npage));
        yield* cond_resched();
      }

      return ret;
    }

    yield* cond_resched();
  }

  return 0;
}

function* vfio_pin_map_dma(iommu: vfio_iommu, dma: vfio_dma, map_size: bigint): Sleeps<number> {
  const iova = dma.iova;
  const vaddr = dma.vaddr;
  const batch = new vfio_batch();
  let size = map_size;
  const pfn = { value: 0 };
  const limit = rlimit(RLIMIT_MEMLOCK) >> BigInt(PAGE_SHIFT);
  let ret = 0;

  vfio_batch_init(batch);

  while (size) {
    // What lies together in memory
    const npage = yield* vfio_pin_pages_remote(dma, U64(vaddr + dma.size), pages_of(size), pfn, limit, batch);
    if (npage <= 0) {
      WARN_ON(!npage);
      ret = npage;
      break;
    }

    ret = yield* vfio_iommu_map(iommu, U64(iova + dma.size), pfn.value, npage, dma.prot);
    if (ret) {
      yield* vfio_unpin_pages_remote(dma, U64(iova + dma.size), pfn.value, npage, true);
      vfio_batch_unpin(batch, dma);
      break;
    }

    size -= bytes_of(npage);
    dma.size += bytes_of(npage);
  }

  vfio_batch_fini(batch);
  dma.iommu_mapped = true;

  if (ret) yield* vfio_remove_dma(iommu, dma);

  return ret;
}

/** Whether the IOMMUs of the container allow the range. */
function vfio_iommu_iova_dma_valid(iommu: vfio_iommu, start: bigint, end: bigint): boolean {
  const iova = iommu.iova_list;

  for (const node of list_for_each_entry(iova, vfio_iova, "list")) {
    if (start >= node.start && end <= node.end) return true;
  }

  // None: then there are only emulated groups.
  return list_empty(iova);
}

function* vfio_change_dma_owner(dma: vfio_dma): Sleeps<number> {
  const task = current();
  const mm = current_mm()!;
  const npage = dma.locked_vm;

  if (mm === dma.mm) return 0;

  const lock_cap = capable(CAP_IPC_LOCK);
  const ret = yield* mm_lock_acct(task, mm, lock_cap, npage);
  if (ret) return ret;

  if (mmget_not_zero(dma.mm!)) {
    yield* mm_lock_acct(dma.task!, dma.mm!, dma.lock_cap, -npage);
    yield* mmput(dma.mm!);
  }

  if (dma.task !== task) dma.task = task;
  mmdrop(dma.mm!);
  dma.mm = mm;
  mmgrab(dma.mm);
  dma.lock_cap = lock_cap;
  return 0;
}

function* vfio_dma_do_map(iommu: vfio_iommu, map: vfio_iommu_type1_dma_map): Sleeps<number> {
  const set_vaddr = (map.flags & VFIO_DMA_MAP_FLAG_VADDR) !== 0;
  const iova = map.iova;
  const vaddr = map.vaddr;
  const size = map.size;
  let ret = 0;
  let prot = 0;

  // As the device sees it
  if (map.flags & VFIO_DMA_MAP_FLAG_WRITE) prot |= IOMMU_WRITE;
  if (map.flags & VFIO_DMA_MAP_FLAG_READ) prot |= IOMMU_READ;

  if ((prot && set_vaddr) || (!prot && !set_vaddr)) return -EINVAL;

  yield* mutex_lock(iommu.lock);

  out_unlock: {
    const pgsize = 1n << BigInt(ffs64(iommu.pgsize_bitmap));

    WARN_ON(((pgsize - 1n) & PAGE_MASK) !== 0n);

    if (!size || (size | iova | vaddr) & (pgsize - 1n)) {
      ret = -EINVAL;
      break out_unlock;
    }

    // Neither address may wrap
    if (U64(iova + size - 1n) < iova || U64(vaddr + size - 1n) < vaddr) {
      ret = -EINVAL;
      break out_unlock;
    }

    let dma = vfio_find_dma(iommu, iova, size);
    if (set_vaddr) {
      if (!dma) {
        ret = -ENOENT;
      } else if (!dma.vaddr_invalid || dma.iova !== iova || dma.size !== size) {
        ret = -EINVAL;
      } else {
        ret = yield* vfio_change_dma_owner(dma);
        if (ret) break out_unlock;
        dma.vaddr = vaddr;
        dma.vaddr_invalid = false;
        iommu.vaddr_invalid_count--;
        yield* wake_up_all(iommu.vaddr_wait);
      }
      break out_unlock;
    } else if (dma) {
      ret = -EEXIST;
      break out_unlock;
    }

    if (!iommu.dma_avail) {
      ret = -ENOSPC;
      break out_unlock;
    }

    if (!vfio_iommu_iova_dma_valid(iommu, iova, U64(iova + size - 1n))) {
      ret = -EINVAL;
      break out_unlock;
    }

    dma = kzalloc(vfio_dma, GFP_KERNEL);
    if (!dma) {
      ret = -ENOMEM;
      break out_unlock;
    }

    iommu.dma_avail--;
    dma.iova = iova;
    dma.vaddr = vaddr;
    dma.prot = prot;

    // Pages may be pinned when this task is long gone: its limit counts, and its address space is kept.
    dma.task = current();
    dma.lock_cap = capable(CAP_IPC_LOCK);
    dma.mm = current_mm();
    mmgrab(dma.mm!);

    dma.pfn_list.rb_node = null;

    // Its size is 0 until it is mapped
    vfio_link_dma(iommu, dma);

    // Without a domain nothing is pinned
    if (list_empty(iommu.domain_list)) dma.size = size;
    else ret = yield* vfio_pin_map_dma(iommu, dma, size);

    if (!ret && iommu.dirty_page_tracking) {
      ret = vfio_dma_bitmap_alloc(dma, pgsize);
      if (ret) yield* vfio_remove_dma(iommu, dma);
    }
  }
  mutex_unlock(iommu.lock);
  return ret;
}

/** How much lies together in memory from `iova` on, as the domain has it. @phys: where it begins; @end: of the mapping */
function contiguous(domain: iommu_domain, iova: bigint, phys: bigint, end: bigint): bigint {
  let size = PAGE;
  while (iova + size < end && phys + size === iommu_iova_to_phys(domain, iova + size)) size += PAGE;
  return size;
}

/** Maps in a new domain what is mapped. @return 0 or errno, with nothing mapped there. Context: iommu->lock held, may be dropped */
function* vfio_iommu_replay(iommu: vfio_iommu, domain: vfio_domain): Sleeps<number> {
  const batch = new vfio_batch();
  let d: vfio_domain | null = null;
  const limit = rlimit(RLIMIT_MEMLOCK) >> BigInt(PAGE_SHIFT);

  let ret = yield* vfio_wait_all_valid(iommu);
  if (ret < 0) return ret;

  // Any of them knows the pages
  if (!list_empty(iommu.domain_list)) d = list_first_entry(iommu.domain_list, vfio_domain, "next");

  vfio_batch_init(batch);

  let n = rb_first(iommu.dma_list);

  unwind: {
    for (; n; n = rb_next(n)) {
      const dma = dma_of(n);
      let iova = dma.iova;
      const end = U64(dma.iova + dma.size);

      while (iova < end) {
        let phys;
        let size;

        if (dma.iommu_mapped) {
          if (WARN_ON(!d)) {
            ret = -EINVAL;
            break unwind;
          }

          phys = iommu_iova_to_phys(d!.domain!, iova);

          if (WARN_ON(!phys)) {
            iova += PAGE;
            continue;
          }

          size = contiguous(d!.domain!, iova, phys, end);
        } else {
          const pfn = { value: 0 };
          const vaddr = U64(dma.vaddr + (iova - dma.iova));
          const left = end - iova;

          const npage = yield* vfio_pin_pages_remote(dma, vaddr, pages_of(left), pfn, limit, batch);
          if (npage <= 0) {
            WARN_ON(!npage);
            ret = npage;
            break unwind;
          }

          phys = bytes_of(pfn.value);
          size = bytes_of(npage);
        }

        ret = iommu_map(domain.domain!, iova, phys, size, dma.prot | IOMMU_CACHE);
        if (ret) {
          if (!dma.iommu_mapped) {
            yield* vfio_unpin_pages_remote(dma, iova, pages_of(phys), pages_of(size), true);
            vfio_batch_unpin(batch, dma);
          }
          break unwind;
        }

        iova += size;
      }
    }

    // Until here it was needed for unwinding which were mapped before
    for (let n = rb_first(iommu.dma_list); n; n = rb_next(n)) dma_of(n).iommu_mapped = true;

    vfio_batch_fini(batch);
    return 0;
  }

  for (; n; n = rb_prev(n)) {
    const dma = dma_of(n);

    if (dma.iommu_mapped) {
      iommu_unmap(domain.domain!, dma.iova, dma.size);
      continue;
    }

    let iova = dma.iova;
    const end = U64(dma.iova + dma.size);
    while (iova < end) {
      const phys = iommu_iova_to_phys(domain.domain!, iova);
      if (!phys) {
        iova += PAGE;
        continue;
      }

      // C goes on at the same address, where nothing is mapped any more
      const size = contiguous(domain.domain!, iova, phys, end);
      iommu_unmap(domain.domain!, iova, size);
      yield* vfio_unpin_pages_remote(dma, iova, pages_of(phys), pages_of(size), true);
    }
  }

  vfio_batch_fini(batch);
  return ret;
}

/** Finds out what unmapping half of two pages unmaps. @regions: where two pages may be mapped for that */
function vfio_test_domain_fgsp(domain: vfio_domain, regions: list_head): void {
  const order = get_order(PAGE_SIZE * 2);

  const pages = alloc_pages(GFP_KERNEL, order);
  if (!pages) return;

  for (const region of list_for_each_entry(regions, vfio_iova, "list")) {
    const start = U64(region.start + PAGE * 2n - 1n) & ~(PAGE * 2n - 1n);
    if (start >= region.end || region.end - start < PAGE * 2n) continue;

    const ret = iommu_map(
      domain.domain!,
      start,
      page_to_phys(pages),
      PAGE * 2n,
      IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE,
    );
    if (!ret) {
      const unmapped = iommu_unmap(domain.domain!, start, PAGE);

      if (unmapped === PAGE) iommu_unmap(domain.domain!, start + PAGE, PAGE);
      else domain.fgsp = true;
    }
    break;
  }

  __free_pages(pages, order);
}

function find_iommu_group(domain: vfio_domain, iommu_group: iommu_group | null): vfio_iommu_group | null {
  for (const g of list_for_each_entry(domain.group_list, vfio_iommu_group, "next"))
    if (g.iommu_group === iommu_group) return g;

  return null;
}

function vfio_iommu_find_iommu_group(iommu: vfio_iommu, iommu_group: iommu_group | null): vfio_iommu_group | null {
  for (const domain of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
    const group = find_iommu_group(domain, iommu_group);
    if (group) return group;
  }

  for (const group of list_for_each_entry(iommu.emulated_iommu_groups, vfio_iommu_group, "next"))
    if (group.iommu_group === iommu_group) return group;
  return null;
}

/** Whether the MSI window is the kernel's to choose. @base: where, then */
function vfio_iommu_has_sw_msi(group_resv_regions: list_head, base: out<bigint>): boolean {
  let ret = false;

  for (const region of list_for_each_entry(group_resv_regions, iommu_resv_region, "list")) {
    // A window that the hardware has counts more
    if (region.type === IOMMU_RESV_MSI) {
      ret = false;
      break;
    }

    if (region.type === IOMMU_RESV_SW_MSI) {
      base.value = region.start;
      ret = true;
    }
  }

  return ret;
}

function vfio_iommu_iova_insert(head: list_head, start: bigint, end: bigint): number {
  const region = kmalloc(vfio_iova, GFP_KERNEL);
  if (!region) return -ENOMEM;

  INIT_LIST_HEAD(region.list);
  region.start = start;
  region.end = end;

  list_add_tail(region.list, head);
  return 0;
}

/** Whether an aperture has nothing in common with the present one, or leaves mappings out. */
function vfio_iommu_aper_conflict(iommu: vfio_iommu, start: bigint, end: bigint): boolean {
  const iova = iommu.iova_list;

  if (list_empty(iova)) return false;

  const first = list_first_entry(iova, vfio_iova, "list");
  const last = list_last_entry(iova, vfio_iova, "list");
  if (start > last.end || end < first.start) return true;

  if (start > first.start) {
    if (vfio_find_dma(iommu, first.start, start - first.start)) return true;
  }

  if (end < last.end) {
    if (vfio_find_dma(iommu, end + 1n, last.end - end)) return true;
  }

  return false;
}

/** What has been found to be without conflict. */
function vfio_iommu_aper_resize(iova: list_head, start: bigint, end: bigint): number {
  if (list_empty(iova)) return vfio_iommu_iova_insert(iova, start, end);

  for (const node of list_for_each_entry_safe(iova, vfio_iova, "list")) {
    if (start < node.start) break;
    if (start >= node.start && start < node.end) {
      node.start = start;
      break;
    }
    list_del(node.list);
    kfree(node);
  }

  for (const node of list_for_each_entry_safe(iova, vfio_iova, "list")) {
    if (end > node.end) continue;
    if (end > node.start && end <= node.end) {
      node.end = end;
      continue;
    }
    list_del(node.list);
    kfree(node);
  }

  return 0;
}

function vfio_iommu_resv_conflict(iommu: vfio_iommu, resv_regions: list_head): boolean {
  for (const region of list_for_each_entry(resv_regions, iommu_resv_region, "list")) {
    if (region.type === IOMMU_RESV_DIRECT_RELAXABLE) continue;

    if (vfio_find_dma(iommu, region.start, region.length)) return true;
  }

  return false;
}

/** Takes reserved regions out of what may be mapped. */
function vfio_iommu_resv_exclude(iova: list_head, resv_regions: list_head): number {
  for (const resv of list_for_each_entry(resv_regions, iommu_resv_region, "list")) {
    if (resv.type === IOMMU_RESV_DIRECT_RELAXABLE) continue;

    const start = resv.start;
    const end = U64(resv.start + resv.length - 1n);

    for (const n of list_for_each_entry_safe(iova, vfio_iova, "list")) {
      let ret = 0;

      if (start > n.end || end < n.start) continue;

      // What is left on both sides comes before it, and it goes
      if (start > n.start) ret = vfio_iommu_iova_insert(n.list, n.start, start - 1n);
      if (!ret && end < n.end) ret = vfio_iommu_iova_insert(n.list, end + 1n, n.end);
      if (ret) return ret;

      list_del(n.list);
      kfree(n);
    }
  }

  if (list_empty(iova)) return -EINVAL;

  return 0;
}

function vfio_iommu_resv_free(resv_regions: list_head): void {
  for (const n of list_for_each_entry_safe(resv_regions, iommu_resv_region, "list")) {
    list_del(n.list);
    kfree(n);
  }
}

function vfio_iommu_iova_free(iova: list_head): void {
  for (const n of list_for_each_entry_safe(iova, vfio_iova, "list")) {
    list_del(n.list);
    kfree(n);
  }
}

function vfio_iommu_iova_get_copy(iommu: vfio_iommu, iova_copy: list_head): number {
  for (const n of list_for_each_entry(iommu.iova_list, vfio_iova, "list")) {
    const ret = vfio_iommu_iova_insert(iova_copy, n.start, n.end);
    if (ret) {
      vfio_iommu_iova_free(iova_copy);
      return ret;
    }
  }

  return 0;
}

function vfio_iommu_iova_insert_copy(iommu: vfio_iommu, iova_copy: list_head): void {
  const iova = iommu.iova_list;

  vfio_iommu_iova_free(iova);

  list_splice_tail(iova_copy, iova);
}

function vfio_iommu_device_capable(dev: device, data: iommu_cap): number {
  return device_iommu_capable(dev, data) ? 1 : 0;
}

function vfio_iommu_domain_alloc(dev: device, domain: vfio_domain): number {
  domain.domain = iommu_domain_alloc(dev.bus);
  return 1; // the first one will do
}

function* vfio_iommu_type1_attach_group(
  iommu_data: object | null,
  iommu_group: iommu_group | null,
  type: vfio_group_type,
): Sleeps<number> {
  const iommu = iommu_data as vfio_iommu;
  const resv_msi_base = { value: 0n };
  const iova_copy = LIST_HEAD();
  const group_resv_regions = LIST_HEAD();
  let ret = -EBUSY;

  yield* mutex_lock(iommu.lock);

  out_unlock: {
    // Attaching may pin
    if (iommu.vaddr_invalid_count) break out_unlock;

    ret = -EINVAL;
    if (vfio_iommu_find_iommu_group(iommu, iommu_group)) break out_unlock;

    ret = -ENOMEM;
    const group = kzalloc(vfio_iommu_group, GFP_KERNEL);
    if (!group) break out_unlock;
    group.iommu_group = iommu_group;

    if (type === VFIO_EMULATED_IOMMU) {
      list_add(group.next, iommu.emulated_iommu_groups);
      // Such a device writes to memory only by the functions that track it.
      group.pinned_page_dirty_scope = true;
      ret = 0;
      break out_unlock;
    }

    out_free_group: {
      ret = -ENOMEM;
      const domain = kzalloc(vfio_domain, GFP_KERNEL);
      if (!domain) break out_free_group;

      out_free_domain: {
        // The bus of the first device, if there is one
        ret = -EIO;
        yield* iommu_group_for_each_dev(iommu_group!, domain, (dev) => vfio_iommu_domain_alloc(dev, domain));
        if (!domain.domain) break out_free_domain;

        out_domain: {
          if (iommu.nesting) {
            ret = iommu_enable_nesting(domain.domain);
            if (ret) break out_domain;
          }

          ret = yield* iommu_attach_group(domain.domain, group.iommu_group!);
          if (ret) break out_domain;

          out_detach: {
            const geo = domain.domain.geometry;
            if (vfio_iommu_aper_conflict(iommu, geo.aperture_start, geo.aperture_end)) {
              ret = -EINVAL;
              break out_detach;
            }

            ret = yield* iommu_get_group_resv_regions(iommu_group!, group_resv_regions);
            if (ret) break out_detach;

            if (vfio_iommu_resv_conflict(iommu, group_resv_regions)) {
              ret = -EINVAL;
              break out_detach;
            }

            // The list stays as it is if anything fails: everything is done to a copy.
            ret = vfio_iommu_iova_get_copy(iommu, iova_copy);
            if (ret) break out_detach;

            ret = vfio_iommu_aper_resize(iova_copy, geo.aperture_start, geo.aperture_end);
            if (ret) break out_detach;

            ret = vfio_iommu_resv_exclude(iova_copy, group_resv_regions);
            if (ret) break out_detach;

            const resv_msi = vfio_iommu_has_sw_msi(group_resv_regions, resv_msi_base);

            INIT_LIST_HEAD(domain.group_list);
            list_add(group.next, domain.group_list);

            const msi_remap =
              irq_domain_check_msi_remap() ||
              (yield* iommu_group_for_each_dev(iommu_group!, null, (dev) =>
                vfio_iommu_device_capable(dev, IOMMU_CAP_INTR_REMAP),
              )) !== 0;

            if (!p.allow_unsafe_interrupts && !msi_remap) {
              pr_warn(
                '%s: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform\n',
                vfio_iommu_type1_attach_group.name,
              );
              ret = -EPERM;
              break out_detach;
            }

            // On Intel's platforms KVM then need not emulate wbinvd.
            if (domain.domain.ops!.enforce_cache_coherency)
              domain.enforce_cache_coherency = yield* either(domain.domain.ops!.enforce_cache_coherency(domain.domain));

            done: {
              // A domain of the same driver that is alike is taken instead, whatever the bus
              for (const d of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
                if (
                  d.domain!.ops === domain.domain.ops &&
                  d.enforce_cache_coherency === domain.enforce_cache_coherency
                ) {
                  yield* iommu_detach_group(domain.domain, group.iommu_group!);
                  if (!(yield* iommu_attach_group(d.domain!, group.iommu_group!))) {
                    list_add(group.next, d.group_list);
                    iommu_domain_free(domain.domain);
                    kfree(domain);
                    break done;
                  }

                  ret = yield* iommu_attach_group(domain.domain, group.iommu_group!);
                  if (ret) break out_domain;
                }
              }

              vfio_test_domain_fgsp(domain, iova_copy);

              ret = yield* vfio_iommu_replay(iommu, domain);
              if (ret) break out_detach;

              if (resv_msi) {
                ret = iommu_get_msi_cookie(domain.domain, resv_msi_base.value);
                if (ret && ret !== -ENODEV) break out_detach;
              }

              list_add(domain.next, iommu.domain_list);
              vfio_update_pgsize_bitmap(iommu);
            }
            vfio_iommu_iova_insert_copy(iommu, iova_copy);

            // Such a group writes to memory by itself; it may say that it does so only where it has pinned pages.
            iommu.num_non_pinned_groups++;
            mutex_unlock(iommu.lock);
            vfio_iommu_resv_free(group_resv_regions);

            return 0;
          }
          yield* iommu_detach_group(domain.domain, group.iommu_group!);
        }
        iommu_domain_free(domain.domain);
        vfio_iommu_iova_free(iova_copy);
        vfio_iommu_resv_free(group_resv_regions);
      }
      kfree(domain);
    }
    kfree(group);
  }
  mutex_unlock(iommu.lock);
  return ret;
}

function* vfio_iommu_unmap_unpin_all(iommu: vfio_iommu): Sleeps {
  for (let node = rb_first(iommu.dma_list); node; node = rb_first(iommu.dma_list))
    yield* vfio_remove_dma(iommu, dma_of(node));
}

/** The last domain goes, and only what devices have pinned themselves stays locked. */
function* vfio_iommu_unmap_unpin_reaccount(iommu: vfio_iommu): Sleeps {
  for (let n = rb_first(iommu.dma_list); n; n = rb_next(n)) {
    let locked = 0;
    let unlocked = 0;

    const dma = dma_of(n);
    unlocked += yield* vfio_unmap_unpin(iommu, dma, false);
    for (let p = rb_first(dma.pfn_list); p; p = rb_next(p)) {
      const vpfn = vpfn_of(p);

      if (!is_invalid_reserved_pfn(vpfn.pfn)) locked++;
    }
    yield* vfio_lock_acct(dma, locked - unlocked, true);
  }
}

/** A domain has gone, which may have been what limited the addresses. */
function vfio_iommu_aper_expand(iommu: vfio_iommu, iova_copy: list_head): void {
  let start = 0n;
  let end = U64_MAX;

  if (list_empty(iova_copy)) return;

  for (const domain of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
    const geo = domain.domain!.geometry;

    if (geo.aperture_start > start) start = geo.aperture_start;
    if (geo.aperture_end < end) end = geo.aperture_end;
  }

  list_first_entry(iova_copy, vfio_iova, "list").start = start;
  list_last_entry(iova_copy, vfio_iova, "list").end = end;
}

/** A group has gone, and with it its reserved regions, unless others have them too: the list is made afresh. */
function* vfio_iommu_resv_refresh(iommu: vfio_iommu, iova_copy: list_head): Sleeps<number> {
  const resv_regions = LIST_HEAD();
  let ret = 0;

  if (list_empty(iova_copy)) return -EINVAL;

  done: {
    for (const d of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
      for (const g of list_for_each_entry(d.group_list, vfio_iommu_group, "next")) {
        ret = yield* iommu_get_group_resv_regions(g.iommu_group!, resv_regions);
        if (ret) break done;
      }
    }

    const start = list_first_entry(iova_copy, vfio_iova, "list").start;
    const end = list_last_entry(iova_copy, vfio_iova, "list").end;

    vfio_iommu_iova_free(iova_copy);

    ret = vfio_iommu_aper_resize(iova_copy, start, end);
    if (ret) break done;

    ret = vfio_iommu_resv_exclude(iova_copy, resv_regions);
  }
  vfio_iommu_resv_free(resv_regions);
  return ret;
}

function* vfio_iommu_type1_detach_group(iommu_data: object | null, iommu_group: iommu_group | null): Sleeps {
  const iommu = iommu_data as vfio_iommu;
  let update_dirty_scope = false;
  const iova_copy = LIST_HEAD();

  yield* mutex_lock(iommu.lock);
  detach_group_done: {
    for (const group of list_for_each_entry(iommu.emulated_iommu_groups, vfio_iommu_group, "next")) {
      if (group.iommu_group !== iommu_group) continue;
      update_dirty_scope = !group.pinned_page_dirty_scope;
      list_del(group.next);
      kfree(group);

      if (list_empty(iommu.emulated_iommu_groups) && list_empty(iommu.domain_list)) {
        WARN_ON(!list_empty(iommu.device_list));
        yield* vfio_iommu_unmap_unpin_all(iommu);
      }
      break detach_group_done;
    }

    // The list stays as it is if anything fails
    vfio_iommu_iova_get_copy(iommu, iova_copy);

    for (const domain of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
      const group = find_iommu_group(domain, iommu_group);
      if (!group) continue;

      yield* iommu_detach_group(domain.domain!, group.iommu_group!);
      update_dirty_scope = !group.pinned_page_dirty_scope;
      list_del(group.next);
      kfree(group);

      // Owning a group is what allows mapping: a domain without groups goes, and with the last one all mappings go, unless
      // emulated groups are left.
      if (list_empty(domain.group_list)) {
        if (list_is_singular(iommu.domain_list)) {
          if (list_empty(iommu.emulated_iommu_groups)) {
            WARN_ON(!list_empty(iommu.device_list));
            yield* vfio_iommu_unmap_unpin_all(iommu);
          } else {
            yield* vfio_iommu_unmap_unpin_reaccount(iommu);
          }
        }
        iommu_domain_free(domain.domain!);
        list_del(domain.next);
        kfree(domain);
        vfio_iommu_aper_expand(iommu, iova_copy);
        vfio_update_pgsize_bitmap(iommu);
      }
      break;
    }

    if (!(yield* vfio_iommu_resv_refresh(iommu, iova_copy))) vfio_iommu_iova_insert_copy(iommu, iova_copy);
    else vfio_iommu_iova_free(iova_copy);
  }

  // With one group less that cannot tell, the others' bitmaps may become exact
  if (update_dirty_scope) {
    iommu.num_non_pinned_groups--;
    if (iommu.dirty_page_tracking) vfio_iommu_populate_bitmap_full(iommu);
  }
  mutex_unlock(iommu.lock);
}

function vfio_iommu_type1_open(arg: bigint): Sleeps<object | null> {
  const iommu = kzalloc(vfio_iommu, GFP_KERNEL);
  if (!iommu) return ready(ERR_PTR<vfio_iommu>(-ENOMEM));

  switch (arg) {
    case BigInt(VFIO_TYPE1_IOMMU):
      break;
    case BigInt(VFIO_TYPE1_NESTING_IOMMU):
      iommu.nesting = true;
    // falls through
    case BigInt(VFIO_TYPE1v2_IOMMU):
      iommu.v2 = true;
      break;
    default:
      kfree(iommu);
      return ready(ERR_PTR<vfio_iommu>(-EINVAL));
  }

  INIT_LIST_HEAD(iommu.domain_list);
  INIT_LIST_HEAD(iommu.iova_list);
  iommu.dma_list.rb_node = null;
  iommu.dma_avail = p.dma_entry_limit;
  iommu.container_open = true;
  mutex_init(iommu.lock);
  mutex_init(iommu.device_list_lock);
  INIT_LIST_HEAD(iommu.device_list);
  init_waitqueue_head(iommu.vaddr_wait);
  iommu.pgsize_bitmap = PAGE_MASK;
  INIT_LIST_HEAD(iommu.emulated_iommu_groups);

  return ready(iommu);
}

function* vfio_release_domain(domain: vfio_domain): Sleeps {
  for (const group of list_for_each_entry_safe(domain.group_list, vfio_iommu_group, "next")) {
    yield* iommu_detach_group(domain.domain!, group.iommu_group!);
    list_del(group.next);
    kfree(group);
  }

  iommu_domain_free(domain.domain!);
}

function* vfio_iommu_type1_release(iommu_data: object | null): Sleeps {
  const iommu = iommu_data as vfio_iommu;

  for (const group of list_for_each_entry_safe(iommu.emulated_iommu_groups, vfio_iommu_group, "next")) {
    list_del(group.next);
    kfree(group);
  }

  yield* vfio_iommu_unmap_unpin_all(iommu);

  for (const domain of list_for_each_entry_safe(iommu.domain_list, vfio_domain, "next")) {
    yield* vfio_release_domain(domain);
    list_del(domain.next);
    kfree(domain);
  }

  vfio_iommu_iova_free(iommu.iova_list);

  kfree(iommu);
}

function* vfio_domains_have_enforce_cache_coherency(iommu: vfio_iommu): Sleeps<number> {
  let ret = 1;

  yield* mutex_lock(iommu.lock);
  for (const domain of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
    if (!domain.enforce_cache_coherency) {
      ret = 0;
      break;
    }
  }
  mutex_unlock(iommu.lock);

  return ret;
}

function* vfio_iommu_has_emulated(iommu: vfio_iommu): Sleeps<boolean> {
  yield* mutex_lock(iommu.lock);
  const ret = !list_empty(iommu.emulated_iommu_groups);
  mutex_unlock(iommu.lock);
  return ret;
}

function* vfio_iommu_type1_check_extension(iommu: vfio_iommu | null, arg: bigint): Sleeps<number> {
  switch (arg) {
    case BigInt(VFIO_TYPE1_IOMMU):
    case BigInt(VFIO_TYPE1v2_IOMMU):
    case BigInt(VFIO_TYPE1_NESTING_IOMMU):
    case BigInt(VFIO_UNMAP_ALL):
      return 1;
    case BigInt(VFIO_UPDATE_VADDR):
      // Emulated devices cannot cope with addresses that come and go
      return iommu && !(yield* vfio_iommu_has_emulated(iommu)) ? 1 : 0;
    case BigInt(VFIO_DMA_CC_IOMMU):
      if (!iommu) return 0;
      return yield* vfio_domains_have_enforce_cache_coherency(iommu);
    default:
      return 0;
  }
}

function vfio_iommu_iova_add_cap(caps: vfio_info_cap, cap_iovas: kbuf, size: number): number {
  const header = vfio_info_cap_add(caps, size, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1);
  if (IS_ERR(header)) return PTR_ERR(header);

  // Everything but the header and "reserved"
  const iova_cap = cast_to(vfio_iommu_type1_info_cap_iova_range, caps.buf!, caps.size - size);
  iova_cap.nr_iovas = cast_to(vfio_iommu_type1_info_cap_iova_range, cap_iovas).nr_iovas;
  const at = sizeof(vfio_iommu_type1_info_cap_iova_range);
  memcpy(bytes_at(caps.buf!, caps.size - size + at, size - at), bytes_at(cap_iovas, at, size - at), size - at);
  return 0;
}

function vfio_iommu_iova_build_caps(iommu: vfio_iommu, caps: vfio_info_cap): number {
  let iovas = 0;
  let i = 0;

  for (const _iova of list_for_each_entry(iommu.iova_list, vfio_iova, "list")) iovas++;

  if (!iovas) {
    // Only emulated groups: any address will do
    return 0;
  }

  const head = sizeof(vfio_iommu_type1_info_cap_iova_range);
  const size = head + iovas * sizeof(vfio_iova_range);

  const cap_iovas = kzalloc(size, GFP_KERNEL);
  if (!cap_iovas) return -ENOMEM;

  cast_to(vfio_iommu_type1_info_cap_iova_range, cap_iovas).nr_iovas = iovas;

  for (const iova of list_for_each_entry(iommu.iova_list, vfio_iova, "list")) {
    const range = cast_to(vfio_iova_range, cap_iovas, head + i * sizeof(vfio_iova_range));
    range.start = iova.start;
    range.end = iova.end;
    i++;
  }

  const ret = vfio_iommu_iova_add_cap(caps, cap_iovas, size);

  kfree(cap_iovas);
  return ret;
}

function vfio_iommu_migration_build_caps(iommu: vfio_iommu, caps: vfio_info_cap): number {
  const cap_mig = new vfio_iommu_type1_info_cap_migration();

  cap_mig.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
  cap_mig.header.version = 1;

  cap_mig.flags = 0;
  // Only the smallest page size
  cap_mig.pgsize_bitmap = 1n << BigInt(ffs64(iommu.pgsize_bitmap));
  cap_mig.max_dirty_bitmap_size = DIRTY_BITMAP_SIZE_MAX;

  return vfio_info_add_capability(caps, cap_mig.header, sizeof(cap_mig));
}

function vfio_iommu_dma_avail_build_caps(iommu: vfio_iommu, caps: vfio_info_cap): number {
  const cap_dma_avail = new vfio_iommu_type1_info_dma_avail();

  cap_dma_avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
  cap_dma_avail.header.version = 1;

  cap_dma_avail.avail = iommu.dma_avail;

  return vfio_info_add_capability(caps, cap_dma_avail.header, sizeof(cap_dma_avail));
}

function* vfio_iommu_type1_get_info(iommu: vfio_iommu, arg: bigint): Sleeps<number> {
  const info = new vfio_iommu_type1_info();
  const caps = new vfio_info_cap();

  let minsz = offsetofend(vfio_iommu_type1_info, "iova_pgsizes");

  // Older programs do not know of it
  const capsz = offsetofend(vfio_iommu_type1_info, "cap_offset");

  if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

  if (info.argsz < minsz) return -EINVAL;

  if (info.argsz >= capsz) {
    minsz = capsz;
    info.cap_offset = 0;
  }

  yield* mutex_lock(iommu.lock);
  info.flags = VFIO_IOMMU_INFO_PGSIZES;

  info.iova_pgsizes = iommu.pgsize_bitmap;

  let ret = vfio_iommu_migration_build_caps(iommu, caps);

  if (!ret) ret = vfio_iommu_dma_avail_build_caps(iommu, caps);

  if (!ret) ret = vfio_iommu_iova_build_caps(iommu, caps);

  mutex_unlock(iommu.lock);

  if (ret) return ret;

  if (caps.size) {
    info.flags |= VFIO_IOMMU_INFO_CAPS;

    if (info.argsz < sizeof(info) + caps.size) {
      info.argsz = sizeof(info) + caps.size;
    } else {
      vfio_info_cap_shift(caps, sizeof(info));
      if (yield* copy_to_user(arg + BigInt(sizeof(info)), caps.buf, caps.size)) {
        kfree(caps.buf);
        return -EFAULT;
      }
      info.cap_offset = sizeof(info);
    }

    kfree(caps.buf);
  }

  return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
}

function* vfio_iommu_type1_map_dma(iommu: vfio_iommu, arg: bigint): Sleeps<number> {
  const map = new vfio_iommu_type1_dma_map();
  const mask = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;

  const minsz = offsetofend(vfio_iommu_type1_dma_map, "size");

  if (yield* copy_from_user(map, arg, minsz)) return -EFAULT;

  if (map.argsz < minsz || map.flags & ~mask) return -EINVAL;

  return yield* vfio_dma_do_map(iommu, map);
}

function* vfio_iommu_type1_unmap_dma(iommu: vfio_iommu, arg: bigint): Sleeps<number> {
  const unmap = new vfio_iommu_type1_dma_unmap();
  const bitmap = new vfio_bitmap();
  const mask = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL;
  let ret;

  const minsz = offsetofend(vfio_iommu_type1_dma_unmap, "size");

  if (yield* copy_from_user(unmap, arg, minsz)) return -EFAULT;

  if (unmap.argsz < minsz || unmap.flags & ~mask) return -EINVAL;

  if (
    unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP &&
    unmap.flags & (VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR)
  )
    return -EINVAL;

  if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) {
    if (unmap.argsz < minsz + sizeof(bitmap)) return -EINVAL;

    if (yield* copy_from_user(bitmap, arg + BigInt(minsz), sizeof(bitmap))) return -EFAULT;

    if (!access_ok(bitmap.data, Number(bitmap.size))) return -EINVAL;

    const pgshift = ffs64(bitmap.pgsize);
    ret = verify_bitmap_size(shr(unmap.size, pgshift), bitmap.size);
    if (ret) return ret;
  }

  ret = yield* vfio_dma_do_unmap(iommu, unmap, bitmap);
  if (ret) return ret;

  return (yield* copy_to_user(arg, unmap, minsz)) ? -EFAULT : 0;
}

function* vfio_iommu_type1_dirty_pages(iommu: vfio_iommu, arg: bigint): Sleeps<number> {
  const dirty = new vfio_iommu_type1_dirty_bitmap();
  const mask =
    VFIO_IOMMU_DIRTY_PAGES_FLAG_START | VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP | VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  let ret = 0;

  if (!iommu.v2) return -EACCES;

  const minsz = offsetofend(vfio_iommu_type1_dirty_bitmap, "flags");

  if (yield* copy_from_user(dirty, arg, minsz)) return -EFAULT;

  if (dirty.argsz < minsz || dirty.flags & ~mask) return -EINVAL;

  // One at a time; for none at all C compares two undefined values and then finds nothing to do
  if (dirty.flags === 0 || dirty.flags & (dirty.flags - 1)) return -EINVAL;

  if (dirty.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_START) {
    yield* mutex_lock(iommu.lock);
    const pgsize = 1n << BigInt(ffs64(iommu.pgsize_bitmap));
    if (!iommu.dirty_page_tracking) {
      ret = vfio_dma_bitmap_alloc_all(iommu, pgsize);
      if (!ret) iommu.dirty_page_tracking = true;
    }
    mutex_unlock(iommu.lock);
    return ret;
  } else if (dirty.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP) {
    yield* mutex_lock(iommu.lock);
    if (iommu.dirty_page_tracking) {
      iommu.dirty_page_tracking = false;
      vfio_dma_bitmap_free_all(iommu);
    }
    mutex_unlock(iommu.lock);
    return 0;
  } else if (dirty.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) {
    const range = new vfio_iommu_type1_dirty_bitmap_get();
    const data_size = dirty.argsz - minsz;

    if (!data_size || data_size < sizeof(range)) return -EINVAL;

    if (yield* copy_from_user(range, arg + BigInt(minsz), sizeof(range))) return -EFAULT;

    if (U64(range.iova + range.size) < range.iova) return -EINVAL;
    if (!access_ok(range.bitmap.data, Number(range.bitmap.size))) return -EINVAL;

    const pgshift = ffs64(range.bitmap.pgsize);
    ret = verify_bitmap_size(shr(range.size, pgshift), range.bitmap.size);
    if (ret) return ret;

    yield* mutex_lock(iommu.lock);

    const iommu_pgsize = 1n << BigInt(ffs64(iommu.pgsize_bitmap));

    out_unlock: {
      // Only the smallest page size
      if (range.bitmap.pgsize !== iommu_pgsize) {
        ret = -EINVAL;
        break out_unlock;
      }
      if (range.iova & (iommu_pgsize - 1n)) {
        ret = -EINVAL;
        break out_unlock;
      }
      if (!range.size || range.size & (iommu_pgsize - 1n)) {
        ret = -EINVAL;
        break out_unlock;
      }

      if (iommu.dirty_page_tracking)
        ret = yield* vfio_iova_dirty_bitmap(range.bitmap.data, iommu, range.iova, range.size, range.bitmap.pgsize);
      else ret = -EINVAL;
    }
    mutex_unlock(iommu.lock);

    return ret;
  }

  return -EINVAL;
}

function* vfio_iommu_type1_ioctl(iommu_data: object | null, cmd: number, arg: bigint): Sleeps<number> {
  const iommu = iommu_data as vfio_iommu;

  switch (cmd) {
    case VFIO_CHECK_EXTENSION:
      return yield* vfio_iommu_type1_check_extension(iommu, arg);
    case VFIO_IOMMU_GET_INFO:
      return yield* vfio_iommu_type1_get_info(iommu, arg);
    case VFIO_IOMMU_MAP_DMA:
      return yield* vfio_iommu_type1_map_dma(iommu, arg);
    case VFIO_IOMMU_UNMAP_DMA:
      return yield* vfio_iommu_type1_unmap_dma(iommu, arg);
    case VFIO_IOMMU_DIRTY_PAGES:
      return yield* vfio_iommu_type1_dirty_pages(iommu, arg);
    default:
      return -ENOTTY;
  }
}

function* vfio_iommu_type1_register_device(iommu_data: object | null, vdev: vfio_device): Sleeps {
  const iommu = iommu_data as vfio_iommu;

  if (!vdev.ops!.dma_unmap) return;

  // Whether the list is empty is asked under the one lock, the list is walked under the other.
  yield* mutex_lock(iommu.lock);
  yield* mutex_lock(iommu.device_list_lock);
  list_add(vdev.iommu_entry, iommu.device_list);
  mutex_unlock(iommu.device_list_lock);
  mutex_unlock(iommu.lock);
}

function* vfio_iommu_type1_unregister_device(iommu_data: object | null, vdev: vfio_device): Sleeps {
  const iommu = iommu_data as vfio_iommu;

  if (!vdev.ops!.dma_unmap) return;

  yield* mutex_lock(iommu.lock);
  yield* mutex_lock(iommu.device_list_lock);
  list_del(vdev.iommu_entry);
  mutex_unlock(iommu.device_list_lock);
  mutex_unlock(iommu.lock);
}

function* vfio_iommu_type1_dma_rw_chunk(
  iommu: vfio_iommu,
  user_iova: bigint,
  data: byte_memory,
  count: number,
  write: boolean,
  copied: out<number>,
): Sleeps<number> {
  const found: out<vfio_dma | null> = { value: null };
  const kthread = current_mm() === null;

  copied.value = 0;

  const ret = yield* vfio_find_dma_valid(iommu, user_iova, 1n, found);
  if (ret < 0) return ret;
  const dma = found.value!;

  if ((write && !(dma.prot & IOMMU_WRITE)) || !(dma.prot & IOMMU_READ)) return -EPERM;

  const mm = dma.mm!;
  if (!mmget_not_zero(mm)) return -EPERM;

  out: {
    if (kthread) kthread_use_mm(mm);
    else if (current_mm() !== mm) break out;

    const offset = user_iova - dma.iova;

    if (BigInt(count) > dma.size - offset) count = Number(dma.size - offset);

    const vaddr = dma.vaddr + offset;

    if (write) {
      copied.value = (yield* copy_to_user(vaddr, data, count)) ? 0 : count;
      if (copied.value && iommu.dirty_page_tracking) {
        const pgshift = ffs64(iommu.pgsize_bitmap);
        const first = Number(shr(offset, pgshift));
        // A bit for each page of the smallest size
        bitmap_set(dma.bitmap!, first, Number(shr(offset + BigInt(copied.value) - 1n, pgshift)) - first + 1);
      }
    } else copied.value = (yield* copy_from_user(data, vaddr, count)) ? 0 : count;
    if (kthread) kthread_unuse_mm(mm);
  }
  yield* mmput(mm);
  return copied.value ? 0 : -EFAULT;
}

function* vfio_iommu_type1_dma_rw(
  iommu_data: object | null,
  user_iova: bigint,
  data: byte_memory,
  count: number,
  write: boolean,
): Sleeps<number> {
  const iommu = iommu_data as vfio_iommu;
  let ret = 0;
  const done = { value: 0 };
  let at = 0;

  yield* mutex_lock(iommu.lock);

  out: {
    if (WARN_ONCE(iommu.vaddr_invalid_count !== 0, "vfio_dma_rw not allowed with VFIO_UPDATE_VADDR\n")) {
      ret = -EBUSY;
      break out;
    }

    while (count > 0) {
      ret = yield* vfio_iommu_type1_dma_rw_chunk(iommu, user_iova, bytes_at(data, at, count), count, write, done);
      if (ret) break;

      count -= done.value;
      at += done.value;
      user_iova = U64(user_iova + BigInt(done.value));
    }
  }
  mutex_unlock(iommu.lock);
  return ret;
}

function* vfio_iommu_type1_group_iommu_domain(
  iommu_data: object | null,
  iommu_group: iommu_group | null,
): Sleeps<iommu_domain> {
  let domain: iommu_domain = ERR_PTR(-ENODEV);
  const iommu = iommu_data as vfio_iommu | null;

  if (!iommu || !iommu_group) return ERR_PTR(-EINVAL);

  yield* mutex_lock(iommu.lock);
  for (const d of list_for_each_entry(iommu.domain_list, vfio_domain, "next")) {
    if (find_iommu_group(d, iommu_group)) {
      domain = d.domain!;
      break;
    }
  }
  mutex_unlock(iommu.lock);

  return domain;
}

function* vfio_iommu_type1_notify(iommu_data: object | null, event: vfio_iommu_notify_type): Sleeps {
  const iommu = iommu_data as vfio_iommu;

  if (event !== VFIO_IOMMU_CONTAINER_CLOSE) return;
  yield* mutex_lock(iommu.lock);
  iommu.container_open = false;
  mutex_unlock(iommu.lock);
  yield* wake_up_all(iommu.vaddr_wait);
}

const vfio_iommu_driver_ops_type1: vfio_iommu_driver_ops = {
  name: "vfio-iommu-type1",
  owner: THIS_MODULE,
  open: vfio_iommu_type1_open,
  release: vfio_iommu_type1_release,
  ioctl: vfio_iommu_type1_ioctl,
  attach_group: vfio_iommu_type1_attach_group,
  detach_group: vfio_iommu_type1_detach_group,
  pin_pages: vfio_iommu_type1_pin_pages,
  unpin_pages: vfio_iommu_type1_unpin_pages,
  register_device: vfio_iommu_type1_register_device,
  unregister_device: vfio_iommu_type1_unregister_device,
  dma_rw: vfio_iommu_type1_dma_rw,
  group_iommu_domain: vfio_iommu_type1_group_iommu_domain,
  notify: vfio_iommu_type1_notify,
};

function* vfio_iommu_type1_init(): Sleeps<number> {
  return yield* vfio_register_iommu_driver(vfio_iommu_driver_ops_type1);
}

function* vfio_iommu_type1_cleanup(): Sleeps {
  yield* vfio_unregister_iommu_driver(vfio_iommu_driver_ops_type1);
}

module_init(vfio_iommu_type1_init);
module_exit(vfio_iommu_type1_cleanup);

MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE("GPL v2");
