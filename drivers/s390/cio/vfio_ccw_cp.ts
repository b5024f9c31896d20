// SPDX-License-Identifier: GPL-2.0-only
/**
 * Channel programs of a guest, translated into such that the host can run. Port of drivers/s390/cio/vfio_ccw_cp.c and
 * vfio_ccw_cp.h; nothing is left out. A page array's two C arrays in one allocation are one array of pairs here.
 */
import {
  CCW_CMD_BASIC_SENSE,
  CCW_CMD_NOOP,
  CCW_CMD_TIC,
  CCW_FLAG_CC,
  CCW_FLAG_DC,
  CCW_FLAG_IDA,
  CCW_FLAG_SKIP,
  ccw0,
  ccw1,
} from "#asm/cio.ts";
import { idal_nr_words } from "#asm/idals.ts";
import { __pa, __va, behind, PAGE_DEFAULT_KEY, page_to_phys, virt_to_phys } from "#asm/page.ts";
import type { scsw } from "#asm/scsw.ts";
import { dev_warn } from "#linux/device.ts";
import { EBUSY, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP } from "#linux/errno.ts";
import { IOMMU_READ, IOMMU_WRITE } from "#linux/iommu.ts";
import { HZ } from "#linux/jiffies.ts";
import { min } from "#linux/kernel.ts";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del,
  list_first_entry,
  list_for_each_entry,
  list_for_each_entry_continue,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
import { kmap_local_page, kunmap_local, type page, PAGE_SHIFT, PAGE_SIZE } from "#linux/mm.ts";
import { kbuild } from "#linux/module.ts";
import { __ratelimit, DEFINE_RATELIMIT_STATE } from "#linux/ratelimit.ts";
import { GFP_DMA, GFP_KERNEL, kcalloc, kfree, kzalloc } from "#linux/slab.ts";
import { memcpy } from "#linux/string.ts";
import {
  bool,
  type byte_memory,
  bytes_at,
  cast_to,
  container_of,
  embed,
  int,
  kbuf,
  ptr,
  type Sleeps,
  sizeof,
  struct,
  struct_array,
  u64,
} from "#linux/types.ts";
import {
  type page_pointers,
  page_pointers_at,
  type vfio_device,
  vfio_pin_pages,
  vfio_unpin_pages,
} from "#linux/vfio.ts";
import { type orb, orb as struct_orb } from "./orb.ts";
import { vfio_ccw_private } from "./vfio_ccw_private.ts";

const { per_boot } = kbuild(import.meta.url);

/** Most CCWs of a chain. */
export const CCWCHAIN_LEN_MAX = 256;

/** The channel program of the current start, and its translation. */
export class channel_program extends struct("channel_program", {
  ccwchain_list: embed(() => list_head),
  orb: embed(() => struct_orb),
  initialized: bool(),
  /** Where CCWs of the guest are looked at first. */
  guest_cp: ptr<kbuf>(),
}) {}

/* Where a page is for the guest, and the page once it is pinned: C has two arrays, one behind the other in one piece of memory. */
class pa_slot extends struct("pa_slot", {
  iova: u64(),
  page: ptr<page>(),
}) {}

class page_array extends struct("page_array", {
  /** Owns the memory of both. */
  pa_iova: ptr<struct_array<pa_slot>>(),
  /** Looks into it. */
  pa_page: ptr<page_pointers>(),
  pa_nr: int(),
}) {}

class pa_pages implements page_pointers {
  readonly slots: struct_array<pa_slot>;
  constructor(slots: struct_array<pa_slot>) {
    this.slots = slots;
  }
  at(i: number): page | null {
    return this.slots.at(i).page;
  }
  set(i: number, v: page | null): void {
    this.slots.at(i).page = v;
  }
}

class ccwchain extends struct("ccwchain", {
  next: embed(() => list_head),
  /** The CCWs, behind the struct. */
  ch_ccw: ptr<kbuf>(),
  /** The guest's address of the chain. */
  ch_iova: u64(),
  /** CCWs in it that count. */
  ch_len: int(),
  /** Pinned pages of each CCW, behind the CCWs. */
  ch_pa: ptr<struct_array<page_array>>(),
}) {}

const SIZEOF_CCW = 8;
const element = embed(() => page_array);
const PAGE_OFFSET_MASK = BigInt(PAGE_SIZE - 1);

/* chain->ch_ccw + idx, and the like */
function ccw_at(ccws: kbuf, idx: number): ccw1 {
  return cast_to(ccw1, ccws, idx * SIZEOF_CCW);
}

/*
 * Memory for the pages of `len` bytes from `iova` on. @pa: has to be empty
 * @return 0, -EINVAL if it is not empty or would stay so, -ENOMEM
 */
function page_array_alloc(pa: page_array, iova: bigint, len: number): number {
  if (pa.pa_nr || pa.pa_iova) return -EINVAL;

  pa.pa_nr = Math.floor((Number(iova & PAGE_OFFSET_MASK) + len + (PAGE_SIZE - 1)) / PAGE_SIZE);
  if (!pa.pa_nr) return -EINVAL;

  pa.pa_iova = kcalloc(pa.pa_nr, pa_slot, GFP_KERNEL);
  if (!pa.pa_iova) {
    pa.pa_nr = 0;
    return -ENOMEM;
  }
  pa.pa_page = new pa_pages(pa.pa_iova);

  pa.pa_iova.at(0).iova = iova;
  pa.pa_page.set(0, null);
  for (let i = 1; i < pa.pa_nr; i++) {
    pa.pa_iova.at(i).iova = pa.pa_iova.at(i - 1).iova + BigInt(PAGE_SIZE);
    pa.pa_page.set(i, null);
  }

  return 0;
}

/* Whether the pages from `first` to `next` are one piece for the guest: the next one goes on where these end. */
function goes_on(pa: page_array, first: number, npage: number): boolean {
  return pa.pa_iova!.at(first).iova + BigInt(npage * PAGE_SIZE) === pa.pa_iova!.at(first + npage).iova;
}

/* Unpins the first `pa_nr` pages, if any; the array counts as empty then. */
function* page_array_unpin(pa: page_array, vdev: vfio_device, pa_nr: number): Sleeps {
  let unpinned = 0;
  let npage = 1;

  while (unpinned < pa_nr) {
    const first = unpinned;

    if (unpinned + npage < pa_nr && goes_on(pa, first, npage)) {
      npage++;
      continue;
    }

    yield* vfio_unpin_pages(vdev, pa.pa_iova!.at(first).iova, npage);
    unpinned += npage;
    npage = 1;
  }

  pa.pa_nr = 0;
}

/*
 * Pins the pages, all or none.
 * @return pages pinned by the last call that it took, or errno
 */
function* page_array_pin(pa: page_array, vdev: vfio_device): Sleeps<number> {
  let pinned = 0;
  let npage = 1;
  let ret = 0;

  err_out: {
    while (pinned < pa.pa_nr) {
      const first = pinned;

      if (pinned + npage < pa.pa_nr && goes_on(pa, first, npage)) {
        npage++;
        continue;
      }

      ret = yield* vfio_pin_pages(
        vdev,
        pa.pa_iova!.at(first).iova,
        npage,
        IOMMU_READ | IOMMU_WRITE,
        new page_pointers_at(pa.pa_page!, pinned),
      );
      if (ret < 0) {
        break err_out;
      } else if (ret > 0 && ret !== npage) {
        pinned += ret;
        ret = -EINVAL;
        break err_out;
      }
      pinned += npage;
      npage = 1;
    }

    return ret;
  }
  yield* page_array_unpin(pa, vdev, pinned);
  return ret;
}

/* Unpins the pages, then frees the memory. */
function* page_array_unpin_free(pa: page_array, vdev: vfio_device): Sleeps {
  yield* page_array_unpin(pa, vdev, pa.pa_nr);
  kfree(pa.pa_iova);
}

function page_array_iova_pinned(pa: page_array, iova: bigint, length: bigint): boolean {
  const iova_pfn_start = iova >> BigInt(PAGE_SHIFT);
  const iova_pfn_end = BigInt.asUintN(64, iova + length - 1n) >> BigInt(PAGE_SHIFT);

  for (let i = 0; i < pa.pa_nr; i++) {
    const pfn = pa.pa_iova!.at(i).iova >> BigInt(PAGE_SHIFT);
    if (pfn >= iova_pfn_start && pfn <= iova_pfn_end) return true;
  }

  return false;
}
/* Makes the list of IDAWs for a page array. */
function page_array_idal_create_words(pa: page_array, idaws: kbuf): void {
  // All but the first rely on 4 KB alignment, which pages have in real memory as well.
  for (let i = 0; i < pa.pa_nr; i++) set_idaw(idaws, i, page_to_phys(pa.pa_page!.at(i)!));

  // The first one need not begin with a page.
  set_idaw(idaws, 0, idaw(idaws, 0) + (pa.pa_iova!.at(0).iova & PAGE_OFFSET_MASK));
}
/* `unsigned long *`, in the machine's byte order: that of s390, as nobody else has channels. */
function idaw(idaws: kbuf, i: number): bigint {
  return idaws.$view.getBigUint64(i * 8);
}
function set_idaw(idaws: kbuf, i: number, v: bigint): void {
  idaws.$view.setBigUint64(i * 8, v);
}

function convert_ccw0_to_ccw1(source: kbuf, len: number): void {
  const ccw0_ = new ccw0();

  for (let i = 0; i < len; i++) {
    const pccw1 = ccw_at(source, i);
    memcpy(ccw0_, pccw1, sizeof(ccw0));
    if ((pccw1.cmd_code & 0x0f) === CCW_CMD_TIC) {
      pccw1.cmd_code = CCW_CMD_TIC;
      pccw1.flags = 0;
      pccw1.count = 0;
    } else {
      pccw1.cmd_code = ccw0_.cmd_code;
      pccw1.flags = ccw0_.flags;
      pccw1.count = ccw0_.count;
    }
    pccw1.cda = ccw0_.cda;
  }
}

/*
 * Copies `n` bytes of the guest from `iova` on to `to`.
 * @return 0, or errno, or bytes that were not copied
 */
function* copy_from_iova(vdev: vfio_device, to: byte_memory, iova: bigint, n: number): Sleeps<number> {
  const pa = new page_array();

  let ret = page_array_alloc(pa, iova, n);
  if (ret < 0) return ret;

  ret = yield* page_array_pin(pa, vdev);
  if (ret < 0) {
    yield* page_array_unpin_free(pa, vdev);
    return ret;
  }

  let l = n;
  for (let i = 0; i < pa.pa_nr; i++) {
    const from = kmap_local_page(pa.pa_page!.at(i)!);
    let at = 0;

    let m = PAGE_SIZE;
    if (i === 0) {
      at = Number(iova & PAGE_OFFSET_MASK);
      m -= at;
    }

    m = min(l, m);
    memcpy(bytes_at(to, n - l, m), bytes_at(from, at, m), m);
    kunmap_local(from);

    l -= m;
    if (l === 0) break;
  }

  yield* page_array_unpin_free(pa, vdev);

  return l;
}

/*
 * Helpers to operate ccwchain.
 */
const ccw_is_read = (ccw: ccw1): boolean => (ccw.cmd_code & 0x03) === 0x02;
const ccw_is_read_backward = (ccw: ccw1): boolean => (ccw.cmd_code & 0x0f) === 0x0c;
const ccw_is_sense = (ccw: ccw1): boolean => (ccw.cmd_code & 0x0f) === CCW_CMD_BASIC_SENSE;

const ccw_is_noop = (ccw: ccw1): boolean => ccw.cmd_code === CCW_CMD_NOOP;

const ccw_is_tic = (ccw: ccw1): boolean => ccw.cmd_code === CCW_CMD_TIC;

const ccw_is_idal = (ccw: ccw1): boolean => (ccw.flags & CCW_FLAG_IDA) !== 0;
const ccw_is_skip = (ccw: ccw1): boolean => (ccw.flags & CCW_FLAG_SKIP) !== 0;

const ccw_is_chain = (ccw: ccw1): boolean => (ccw.flags & (CCW_FLAG_CC | CCW_FLAG_DC)) !== 0;

/* Whether a CCW moves data, so that pages have to be pinned for it. */
function ccw_does_data_transfer(ccw: ccw1): boolean {
  if (ccw.count === 0) return false;

  if (ccw_is_noop(ccw)) return false;

  if (!ccw_is_skip(ccw)) return true;

  // Skipping means something only for reading, reading backward, and sensing.
  if (ccw_is_read(ccw) || ccw_is_read_backward(ccw)) return false;

  if (ccw_is_sense(ccw)) return false;

  return true;
}

/* Whether a CCW's address lies in a chain of `len` from `head` on, ends included. */
function is_cpa_within_range(cpa: number, head: number, len: number): boolean {
  const tail = (head + (len - 1) * SIZEOF_CCW) >>> 0;

  return head <= cpa && cpa <= tail;
}

function is_tic_within_range(ccw: ccw1, head: number, len: number): boolean {
  if (!ccw_is_tic(ccw)) return false;

  return is_cpa_within_range(ccw.cda, head, len);
}

function ccwchain_alloc(cp: channel_program, len: number): ccwchain | null {
  const at = Math.ceil(sizeof(ccwchain) / 8) * 8;
  const size = at + SIZEOF_CCW * len + sizeof(page_array) * len;
  const chain = kzalloc(ccwchain, GFP_DMA | GFP_KERNEL, size);
  if (!chain) return null;

  chain.ch_ccw = bytes_at(
    behind(chain, () => new kbuf(size)),
    at,
    SIZEOF_CCW * len,
  );
  chain.ch_pa = behind(chain, () => new struct_array<page_array>(len, element));

  chain.ch_len = len;

  list_add_tail(chain.next, cp.ccwchain_list);

  return chain;
}

function ccwchain_free(chain: ccwchain): void {
  list_del(chain.next);
  kfree(chain);
}

/* Frees what a CCW's data address points to. */
function ccwchain_cda_free(chain: ccwchain, idx: number): void {
  const ccw = ccw_at(chain.ch_ccw!, idx);

  if (ccw_is_tic(ccw)) return;

  kfree(__va(ccw.cda));
}

/*
 * Length of the chain that is in cp->guest_cp, without what its TICs lead to. Indirect addresses of a kind that is not
 * supported are found here.
 * @return CCWs, or errno
 */
function ccwchain_calc_length(iova: bigint, cp: channel_program): number {
  let cnt = 0;

  do {
    // Nothing has been copied behind the last one that is allowed; C looks there all the same.
    const ccw = ccw_at(cp.guest_cp!, cnt);
    cnt++;

    // Only now, so that direct addressing works with an ORB that specifies an unsupported format.
    if ((!cp.orb.cmd.c64 || cp.orb.cmd.i2k) && ccw_is_idal(ccw)) return -EOPNOTSUPP;

    // It goes on after a CCW that chains, and after a TIC back into this chain: the CCW before may skip that TIC.
    if (!ccw_is_chain(ccw) && !is_tic_within_range(ccw, u32(iova), cnt)) break;
  } while (cnt < CCWCHAIN_LEN_MAX + 1);

  if (cnt === CCWCHAIN_LEN_MAX + 1) cnt = -EINVAL;

  return cnt;
}
/* (u32)x */
function u32(x: bigint): number {
  return Number(BigInt.asUintN(32, x));
}

function tic_target_chain_exists(tic: ccw1, cp: channel_program): boolean {
  for (const chain of list_for_each_entry(cp.ccwchain_list, ccwchain, "next")) {
    const ccw_head = u32(chain.ch_iova);
    if (is_cpa_within_range(tic.cda, ccw_head, chain.ch_len)) return true;
  }

  return false;
}

function* ccwchain_handle_ccw(cda: number, cp: channel_program): Sleeps<number> {
  const { vdev } = container_of(cp, vfio_ccw_private, "cp");

  // 2 KB is the longest chain that is supported.
  let len = yield* copy_from_iova(vdev, cp.guest_cp!, BigInt(cda), CCWCHAIN_LEN_MAX * SIZEOF_CCW);
  if (len) return len;

  if (!cp.orb.cmd.fmt) convert_ccw0_to_ccw1(cp.guest_cp!, CCWCHAIN_LEN_MAX);

  len = ccwchain_calc_length(BigInt(cda), cp);
  if (len < 0) return len;

  const chain = ccwchain_alloc(cp, len);
  if (!chain) return -ENOMEM;
  chain.ch_iova = BigInt(cda);

  memcpy(chain.ch_ccw!, cp.guest_cp!, len * SIZEOF_CCW);

  const ret = yield* ccwchain_loop_tic(chain, cp);

  if (ret) ccwchain_free(chain);

  return ret;
}

/* A chain for each target of a TIC. */
function* ccwchain_loop_tic(chain: ccwchain, cp: channel_program): Sleeps<number> {
  for (let i = 0; i < chain.ch_len; i++) {
    const tic = ccw_at(chain.ch_ccw!, i);

    if (!ccw_is_tic(tic)) continue;

    if (tic_target_chain_exists(tic, cp)) continue;

    const ret = yield* ccwchain_handle_ccw(tic.cda, cp);
    if (ret) return ret;
  }

  return 0;
}

function ccwchain_fetch_tic(chain: ccwchain, idx: number, cp: channel_program): number {
  const ccw = ccw_at(chain.ch_ccw!, idx);

  for (const iter of list_for_each_entry(cp.ccwchain_list, ccwchain, "next")) {
    const ccw_head = u32(iter.ch_iova);
    if (is_cpa_within_range(ccw.cda, ccw_head, iter.ch_len)) {
      ccw.cda = u32(__pa(iter.ch_ccw)) + (ccw.cda - ccw_head);
      return 0;
    }
  }

  return -EFAULT;
}

function* ccwchain_fetch_direct(chain: ccwchain, idx: number, cp: channel_program): Sleeps<number> {
  const { vdev } = container_of(cp, vfio_ccw_private, "cp");
  let iova: bigint;
  let ret: number;
  let bytes = 1;

  const ccw = ccw_at(chain.ch_ccw!, idx);

  if (ccw.count) bytes = ccw.count;

  if (ccw_is_idal(ccw)) {
    // Whether the first IDAW is aligned decides how many there are; all others are.
    const first = new kbuf(8);
    ret = yield* copy_from_iova(vdev, first, BigInt(ccw.cda), 8);
    if (ret) return ret;
    iova = idaw(first, 0);
  } else {
    iova = BigInt(ccw.cda);
  }
  const idaw_nr = idal_nr_words(iova, bytes);
  const idal_len = idaw_nr * 8;

  out_init: {
    const idaws = kcalloc(idaw_nr, 8, GFP_DMA | GFP_KERNEL);
    if (!idaws) {
      ret = -ENOMEM;
      break out_init;
    }

    out_free_idaws: {
      // One page for each IDAW, as only IDAWs of 4 KB are supported.
      const pa = chain.ch_pa!.at(idx);
      ret = page_array_alloc(pa, iova, bytes);
      if (ret < 0) break out_free_idaws;

      out_unpin: {
        if (ccw_is_idal(ccw)) {
          ret = yield* copy_from_iova(vdev, idaws, BigInt(ccw.cda), idal_len);
          if (ret) break out_unpin;

          // What they point to need not be one piece.
          for (let i = 0; i < idaw_nr; i++) pa.pa_iova!.at(i).iova = idaw(idaws, i);
        } else {
          // page_array_alloc() has put the addresses there, one after the other.
        }

        if (ccw_does_data_transfer(ccw)) {
          ret = yield* page_array_pin(pa, vdev);
          if (ret < 0) break out_unpin;
        } else {
          pa.pa_nr = 0;
        }

        ccw.cda = u32(virt_to_phys(idaws));
        ccw.flags |= CCW_FLAG_IDA;

        page_array_idal_create_words(pa, idaws);

        return 0;
      }
      yield* page_array_unpin_free(pa, vdev);
    }
    kfree(idaws);
  }
  ccw.cda = 0;
  return ret;
}

/*
 * Translates one CCW: its data pages are pinned, and a direct address becomes an indirect one, so that the pages may lie
 * above 2 GB.
 */
function* ccwchain_fetch_one(chain: ccwchain, idx: number, cp: channel_program): Sleeps<number> {
  const ccw = ccw_at(chain.ch_ccw!, idx);

  if (ccw_is_tic(ccw)) return ccwchain_fetch_tic(chain, idx, cp);

  return yield* ccwchain_fetch_direct(chain, idx, cp);
}

/* The message is kept from flooding the log while a guest is booted. */
const s = per_boot(() => ({ ratelimit_state: DEFINE_RATELIMIT_STATE(5 * HZ, 1) }));

/**
 * Copies the guest's channel program that `orb` points to. IDALs of 64-bit words and 4 KB blocks are supported.
 * @return 0 or errno. Context: may sleep
 */
export function* cp_init(cp: channel_program, orb: orb): Sleeps<number> {
  const { vdev } = container_of(cp, vfio_ccw_private, "cp");

  // A fault of the caller.
  if (cp.initialized) return -EBUSY;

  // The program is always prefetched. That rarely does harm to a guest that did not ask for it, but if so this is the hint.
  if (!orb.cmd.pfch && __ratelimit(s.ratelimit_state))
    dev_warn(vdev.dev, "Prefetching channel program even though prefetch not specified in ORB");

  INIT_LIST_HEAD(cp.ccwchain_list);
  memcpy(cp.orb, orb, sizeof(orb));

  const ret = yield* ccwchain_handle_ccw(orb.cmd.cpa, cp);

  if (!ret) {
    cp.initialized = true;

    // If IDALs were used without it, ccwchain_calc_length() has refused.
    cp.orb.cmd.c64 = 1;
  }

  return ret;
}

/** Unpins and frees what cp_init() and cp_prefetch() took; nothing if there is nothing. Context: may sleep */
export function* cp_free(cp: channel_program): Sleeps {
  const { vdev } = container_of(cp, vfio_ccw_private, "cp");

  if (!cp.initialized) return;

  cp.initialized = false;
  for (const chain of list_for_each_entry_safe(cp.ccwchain_list, ccwchain, "next")) {
    for (let i = 0; i < chain.ch_len; i++) {
      yield* page_array_unpin_free(chain.ch_pa!.at(i), vdev);
      ccwchain_cda_free(chain, i);
    }
    ccwchain_free(chain);
  }
}

/**
 * Translates the guest's addresses of a program that cp_init() has copied. If that fails, ch_len of each chain is the
 * number of CCWs that were translated, so that cp_free() frees no more.
 * @return 0 or errno. Context: may sleep
 */
export function* cp_prefetch(cp: channel_program): Sleeps<number> {
  let idx = 0;
  let ret = 0;

  // A fault of the caller.
  if (!cp.initialized) return -EINVAL;

  let failed: ccwchain;
  out_err: {
    for (const chain of list_for_each_entry(cp.ccwchain_list, ccwchain, "next")) {
      const len = chain.ch_len;
      for (idx = 0; idx < len; idx++) {
        ret = yield* ccwchain_fetch_one(chain, idx, cp);
        if (ret) {
          failed = chain;
          break out_err;
        }
      }
    }

    return 0;
  }
  failed.ch_len = idx;
  for (const chain of list_for_each_entry_continue(failed, cp.ccwchain_list, ccwchain, "next")) {
    chain.ch_len = 0;
  }
  return ret;
}

/**
 * The ORB to start the translated program with.
 * @intparm: for it; @lpm: paths to use if the guest does not say. @return NULL without a program. Any context.
 */
export function cp_get_orb(cp: channel_program, intparm: number, lpm: number): orb | null {
  // A fault of the caller.
  if (!cp.initialized) return null;

  const { orb } = cp;

  orb.cmd.intparm = intparm;
  orb.cmd.fmt = 1;
  orb.cmd.key = PAGE_DEFAULT_KEY >> 4;

  if (orb.cmd.lpm === 0) orb.cmd.lpm = lpm;

  const chain = list_first_entry(cp.ccwchain_list, ccwchain, "next");
  const cpa = chain.ch_ccw;
  orb.cmd.cpa = u32(__pa(cpa));

  return orb;
}

/** Turns the address of the CCW in a status into the guest's. Any context. */
export function cp_update_scsw(cp: channel_program, scsw: scsw): void {
  let { cpa } = scsw.cmd;

  if (!cp.initialized) return;

  // Of the status only the address; what else changes (path status and so on) is left as it is.
  for (const chain of list_for_each_entry(cp.ccwchain_list, ccwchain, "next")) {
    const ccw_head = u32(__pa(chain.ch_ccw));
    // A program that ended well leaves the address behind its last CCW.
    if (is_cpa_within_range(cpa, ccw_head, chain.ch_len + 1)) {
      cpa = u32(chain.ch_iova + BigInt(cpa - ccw_head));
      break;
    }
  }

  scsw.cmd.cpa = cpa;
}

/** Whether the program has pinned pages in `length` bytes from `iova` on. Any context. */
export function cp_iova_pinned(cp: channel_program, iova: bigint, length: bigint): boolean {
  if (!cp.initialized) return false;

  for (const chain of list_for_each_entry(cp.ccwchain_list, ccwchain, "next")) {
    for (let i = 0; i < chain.ch_len; i++) if (page_array_iova_pinned(chain.ch_pa!.at(i), iova, length)) return true;
  }

  return false;
}
