// SPDX-License-Identifier: GPL-2.0-only
/**
 * The IOMMU of Intel's chipsets (VT-d), as the kernel's users see it: domains with page tables of up to five levels and large
 * pages, and reserved regions.
 *
 * Not here: scalable mode (PASIDs, first-level tables), device TLBs, what turns translation on and flushes caches in the
 * hardware's registers, tables left by an earlier kernel, hot-plugged units, quirks of graphics devices.
 */
import { on_x86 } from "#asm/setup.ts";
import { BUG_ON, WARN_ON } from "#linux/bug.ts";
import { type bitmap, bitmap_weight, bitmap_zalloc } from "#linux/bitmap.ts";
import { clear_bit, find_first_zero_bit, fls, set_bit } from "#linux/bitops.ts";
import {
  dev_err,
  dev_get_drvdata,
  dev_warn,
  DEVICE_ATTR_RO,
  type device,
  type device_attribute,
} from "#linux/device.ts";
import { EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM } from "#linux/errno.ts";
import { ERR_PTR } from "#linux/err.ts";
import { kbuild } from "#linux/export.ts";
import { fs_initcall } from "#linux/init.ts";
import {
  dev_iommu_priv_get,
  dev_iommu_priv_set,
  generic_device_group,
  iommu_alloc_resv_region,
  type iommu_cap,
  IOMMU_CAP_CACHE_COHERENCY,
  IOMMU_CAP_INTR_REMAP,
  iommu_device,
  iommu_device_register,
  iommu_device_sysfs_add,
  iommu_domain,
  IOMMU_DOMAIN_DMA,
  IOMMU_DOMAIN_DMA_FQ,
  IOMMU_DOMAIN_IDENTITY,
  IOMMU_DOMAIN_UNMANAGED,
  type iommu_domain_ops,
  type iommu_group,
  type iommu_iotlb_gather,
  iommu_iotlb_gather_add_page,
  iommu_iotlb_gather_queued,
  type iommu_ops,
  IOMMU_READ,
  IOMMU_RESV_DIRECT,
  IOMMU_RESV_DIRECT_RELAXABLE,
  IOMMU_RESV_MSI,
  iommu_set_dma_strict,
  pci_device_group,
  IOMMU_WRITE,
} from "#linux/iommu.ts";
import { sprintf } from "#linux/kernel.ts";
import {
  INIT_LIST_HEAD,
  list_add,
  list_add_tail,
  list_del,
  list_empty,
  list_for_each_entry,
  list_head,
} from "#linux/list.ts";
import { __free_page, alloc_page, type page, page_address, PAGE_SIZE, page_to_pfn, pfn_to_page } from "#linux/mm.ts";
import {
  dev_is_pci,
  PCI_BASE_CLASS_DISPLAY,
  PCI_BUS_NUM,
  PCI_CLASS_BRIDGE_ISA,
  PCI_CLASS_SERIAL_USB,
  type pci_dev,
  pci_domain_nr,
  pci_for_each_dma_alias,
  pci_physfn,
  to_pci_dev,
} from "#linux/pci.ts";
import { pr_crit, pr_err, pr_info } from "#linux/printk.ts";
import { GFP_ATOMIC, GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  assert_spin_locked,
  spin_lock,
  spin_lock_init,
  spin_lock_irqsave,
  spinlock,
  spin_unlock,
  spin_unlock_irqrestore,
} from "#linux/spinlock.ts";
import type { attribute_groups, sysfs_buf } from "#linux/sysfs.ts";
import {
  b64,
  bool,
  bytestruct,
  cast_to,
  container_of,
  embed,
  int,
  type kbuf,
  opaque,
  ptr,
  type Sleeps,
  sizeof,
  type Spins,
  str,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "#linux/types.ts";
import { xa_cmpxchg, xa_erase, xa_err, xa_for_each, xa_init, xa_load, xarray } from "#linux/xarray.ts";
import {
  type dmar_drhd_unit,
  dmar_rmrr_units,
  type dmar_rmrr_unit,
  dmar_table_init,
  for_each_drhd_unit,
  for_each_rmrr_units,
  irq_remapping_enabled,
} from "./dmar.ts";

const { per_boot } = kbuild(import.meta.url);

export const VTD_PAGE_SHIFT = 12;
export const VTD_PAGE_SIZE = 1n << BigInt(VTD_PAGE_SHIFT);
const VTD_STRIDE_SHIFT = 9;
const VTD_STRIDE_MASK = (1n << BigInt(VTD_STRIDE_SHIFT)) - 1n;

export const DMA_PTE_READ = 1 << 0;
export const DMA_PTE_WRITE = 1 << 1;
export const DMA_PTE_LARGE_PAGE = 1 << 7;
export const DMA_PTE_SNP = 1 << 11;
const DMA_FL_PTE_PRESENT = 1 << 0;

/** The first-level and pass-through domains of each unit. */
const FLPT_DEFAULT_DID = 1;

// Fields of the capability registers
const field = (v: bigint, shift: number, mask: number): number => Number((v >> BigInt(shift)) & BigInt(mask));
const cap_ndoms = (c: bigint): number => 1 << (4 + 2 * field(c, 0, 7));
const cap_caching_mode = (c: bigint): number => field(c, 7, 1);
const cap_sagaw = (c: bigint): number => field(c, 8, 0x1f);
const cap_mgaw = (c: bigint): number => field(c, 16, 0x3f) + 1;
const cap_super_page_val = (c: bigint): number => field(c, 34, 0xf);
const ecap_coherent = (e: bigint): number => field(e, 0, 1);
const ecap_pass_through = (e: bigint): number => field(e, 6, 1);
const ecap_sc_support = (e: bigint): number => field(e, 7, 1);

/** An entry of a page table: bits DMA_PTE_, and a physical address. */
export class dma_pte extends bytestruct("dma_pte", { val: b64() }) {}

/** How a unit knows a domain. */
class iommu_domain_info extends struct("iommu_domain_info", {
  iommu: ptr<intel_iommu>(),
  /** Devices of the domain behind this unit. */
  refcnt: u32(),
  did: u16(),
}) {}

export class dmar_domain extends struct("dmar_domain", {
  nid: int(),
  iommu_array: embed(() => xarray),
  has_iotlb_device: bool(),
  iommu_coherency: bool(),
  force_snooping: bool(),
  set_pte_snp: bool(),
  lock: embed(() => spinlock),
  /** device_domain_info.link, under lock */
  devices: embed(() => list_head),
  /** The uppermost page table. */
  pgd: ptr<kbuf>(),
  /** Bits of an address that a device can give. */
  gaw: int(),
  /** Levels of page tables, less two. */
  agaw: int(),
  flags: int(),
  /** 0: 4 KiB only; 1: 2 MiB as well; 2: 1 GiB as well. */
  iommu_superpage: int(),
  /** First address above everything that was mapped. */
  max_addr: u64(),
  domain: embed(() => iommu_domain),
}) {}

/** What a unit finds for a device: the entry of its context table, under the unit's lock. */
export interface context_entry {
  readonly domain_id: number;
  /** Physical address of the uppermost page table; 0 if addresses are passed through. */
  readonly address_root: bigint;
  /** dmar_domain.agaw */
  readonly address_width: number;
}

export class intel_iommu extends struct("intel_iommu", {
  reg_phys: u64(),
  cap: u64(),
  ecap: u64(),
  seq_id: int(),
  agaw: int(),
  msagaw: int(),
  segment: u16(),
  name: str(),
  domain_ids: ptr<bitmap>(),
  lock: embed(() => spinlock),
  /** By bus number << 8 | devfn. */
  $context: opaque<Map<number, context_entry>>(() => new Map()),
  iommu: embed(() => iommu_device),
  node: int(),
  drhd: ptr<dmar_drhd_unit>(),
}) {}

/** What the driver knows about a device. */
export class device_domain_info extends struct("device_domain_info", {
  link: embed(() => list_head),
  segment: u32(),
  bus: u8(),
  devfn: u8(),
  ats_supported: bool(),
  ats_enabled: bool(),
  dev: ptr<device>(),
  iommu: ptr<intel_iommu>(),
  domain: ptr<dmar_domain>(),
}) {}

const IOAPIC_RANGE_START = 0xfee00000n;
const IOAPIC_RANGE_END = 0xfeefffffn;

const DEFAULT_DOMAIN_ADDRESS_WIDTH = 57;

const MAX_AGAW_WIDTH = 64;
const MAX_AGAW_PFN_WIDTH = MAX_AGAW_WIDTH - VTD_PAGE_SHIFT;

const __DOMAIN_MAX_ADDR = (gaw: number): bigint => (1n << BigInt(gaw)) - 1n;
const DOMAIN_MAX_PFN = (gaw: number): bigint => (1n << BigInt(gaw - VTD_PAGE_SHIFT)) - 1n;

const SZ_4K = 0x1000n;
const SZ_2M = 0x200000n;
const SZ_1G = 0x40000000n;

const NUMA_NO_NODE = -1;

// Page tables

const LEVEL_STRIDE = 9;
const LEVEL_MASK = (1 << LEVEL_STRIDE) - 1;

const agaw_to_level = (agaw: number): number => agaw + 2;
const agaw_to_width = (agaw: number): number => Math.min(30 + agaw * LEVEL_STRIDE, MAX_AGAW_WIDTH);
const width_to_agaw = (width: number): number => Math.ceil((width - 30) / LEVEL_STRIDE);
const level_to_offset_bits = (level: number): number => (level - 1) * LEVEL_STRIDE;
const pfn_level_offset = (pfn: bigint, level: number): number =>
  Number(pfn >> BigInt(level_to_offset_bits(level))) & LEVEL_MASK;
const level_size = (level: number): bigint => 1n << BigInt(level_to_offset_bits(level));
const level_mask = (level: number): bigint => ~(level_size(level) - 1n);
const align_to_level = (pfn: bigint, level: number): bigint => (pfn + level_size(level) - 1n) & level_mask(level);
const lvl_to_nr_pages = (lvl: number): bigint => 1n << BigInt(Math.min((lvl - 1) * LEVEL_STRIDE, MAX_AGAW_PFN_WIDTH));
const virt_to_page = (p: kbuf): page => pfn_to_page(p.$mem.addr / PAGE_SIZE)!;
const virt_to_dma_pfn = (p: kbuf): bigint => BigInt(page_to_pfn(virt_to_page(p)));
const virt_to_phys = (p: kbuf): bigint => virt_to_dma_pfn(p) << BigInt(VTD_PAGE_SHIFT);
const phys_to_virt = (phys: bigint): kbuf => page_address(pfn_to_page(Number(phys >> BigInt(VTD_PAGE_SHIFT)))!);

const to_dmar_domain = (dom: iommu_domain): dmar_domain => container_of(dom, dmar_domain, "domain");

/** A pointer to an entry: a page of entries, and which. */
interface pte_ptr {
  readonly table: kbuf;
  readonly i: number;
}
const at = ({ table, i }: pte_ptr): dma_pte => cast_to(dma_pte, table, i * sizeof(dma_pte));
const pte_val = (pte: pte_ptr): bigint => at(pte).val;
const set_pte = (pte: pte_ptr, val: bigint): void => {
  at(pte).val = val;
};
const next_pte = ({ table, i }: pte_ptr): pte_ptr => ({ table, i: i + 1 });
const LAST_PTE = 1 << VTD_STRIDE_SHIFT;
/** So it is behind the last one of a page as well. */
const first_pte_in_page = ({ i }: pte_ptr): boolean => i % LAST_PTE === 0;
const nr_pte_to_next_page = (pte: pte_ptr): number => LAST_PTE - (pte.i % LAST_PTE);

const pte_present = (val: bigint): boolean => (val & BigInt(DMA_PTE_READ | DMA_PTE_WRITE)) !== 0n;
const pte_superpage = (val: bigint): boolean => (val & BigInt(DMA_PTE_LARGE_PAGE)) !== 0n;
/** Without the bits that are no address: below the page, and 52 and up. */
const pte_addr = (val: bigint): bigint => val & ((1n << 52n) - VTD_PAGE_SIZE);

const s = per_boot(() => ({
  /** Addresses are passed through. */
  si_domain: null as dmar_domain | null,
  hw_pass_through: true,
  intel_iommu_superpage: true,
  batching_said: false,
}));

function alloc_pgtable_page(_node: number): kbuf | null {
  const page = alloc_page(GFP_ATOMIC);
  return page ? page_address(page) : null;
}

function free_pgtable_page(vaddr: kbuf): void {
  __free_page(virt_to_page(vaddr));
}

function put_pages_list(pages: page[]): void {
  for (const page of pages.splice(0)) __free_page(page);
}

const domain_type_is_si = (domain: dmar_domain): boolean => domain.domain.type === IOMMU_DOMAIN_IDENTITY;

function domain_pfn_supported(domain: dmar_domain, pfn: bigint): boolean {
  const addr_width = agaw_to_width(domain.agaw) - VTD_PAGE_SHIFT;

  return !(addr_width < 64 && pfn >> BigInt(addr_width));
}

/** Without scalable mode only the second level counts. */
const __iommu_calculate_sagaw = (iommu: intel_iommu): number => cap_sagaw(iommu.cap);

function __iommu_calculate_agaw(iommu: intel_iommu, max_gaw: number): number {
  const sagaw = __iommu_calculate_sagaw(iommu);
  let agaw = width_to_agaw(max_gaw);

  for (; agaw >= 0; agaw--) if (sagaw & (1 << agaw)) break;

  return agaw;
}

const iommu_calculate_max_sagaw = (iommu: intel_iommu): number => __iommu_calculate_agaw(iommu, MAX_AGAW_WIDTH);
const iommu_calculate_agaw = (iommu: intel_iommu): number =>
  __iommu_calculate_agaw(iommu, DEFAULT_DOMAIN_ADDRESS_WIDTH);

const iommu_paging_structure_coherency = (iommu: intel_iommu): boolean => ecap_coherent(iommu.ecap) !== 0;

function domain_update_iommu_coherency(domain: dmar_domain): void {
  let found = false;

  domain.iommu_coherency = true;
  for (const [, info] of xa_for_each<iommu_domain_info>(domain.iommu_array)) {
    found = true;
    if (!iommu_paging_structure_coherency(info.iommu!)) {
      domain.iommu_coherency = false;
      break;
    }
  }
  if (found) return;

  // Without a unit: what all of them can
  for (const drhd of for_each_drhd_unit()) {
    if (!iommu_paging_structure_coherency(drhd.iommu!)) {
      domain.iommu_coherency = false;
      break;
    }
  }
}

function domain_update_iommu_superpage(): number {
  let mask = 0x3;

  if (!s.intel_iommu_superpage) return 0;

  for (const drhd of for_each_drhd_unit()) {
    mask &= cap_super_page_val(drhd.iommu!.cap);
    if (!mask) break;
  }

  return fls(mask);
}

function domain_super_pgsize_bitmap(domain: dmar_domain): bigint {
  let bitmap = 0n;

  if (domain.iommu_superpage === 1) bitmap |= SZ_2M;
  else if (domain.iommu_superpage === 2) bitmap |= SZ_2M | SZ_1G;

  return bitmap;
}

/** What the domain can changes with the units it is on. */
function* domain_update_iommu_cap(domain: dmar_domain): Spins {
  domain_update_iommu_coherency(domain);
  domain.iommu_superpage = domain_update_iommu_superpage();

  domain.domain.geometry.aperture_end = __DOMAIN_MAX_ADDR(domain.gaw);

  domain.domain.pgsize_bitmap |= domain_super_pgsize_bitmap(domain);
  yield* domain_update_iotlb(domain);
}

/** Whether a device is on the far side of a bridge. */
function is_downstream_to_pci_bridge(dev: device, bridge: device): boolean {
  if (!dev_is_pci(dev) || !dev_is_pci(bridge)) return false;

  const pdev = to_pci_dev(dev);
  const { subordinate } = to_pci_dev(bridge);

  return (
    subordinate !== null &&
    subordinate.number <= pdev.bus!.number &&
    subordinate.busn_res.end >= BigInt(pdev.bus!.number)
  );
}

/** The unit in front of a device, and as what that knows the device; or null. */
function device_to_iommu(dev: device | null): { iommu: intel_iommu; bus: number; devfn: number } | null {
  if (!dev) return null;
  const pdev = dev_is_pci(dev) ? to_pci_dev(dev) : null;
  // Virtual functions are behind the unit of the physical one
  const named = pdev ? pci_physfn(pdev).dev : dev;
  const segment = pdev ? pci_domain_nr(pdev.bus!) : 0;

  for (const drhd of for_each_drhd_unit()) {
    if (pdev && segment !== drhd.segment) continue;

    for (const scope of drhd.devices) {
      if (scope.dev === named && !pdev?.is_virtfn) return { iommu: drhd.iommu!, bus: scope.bus, devfn: scope.devfn };
      if (pdev && (scope.dev === named || is_downstream_to_pci_bridge(named, scope.dev)))
        return { iommu: drhd.iommu!, bus: pdev.bus!.number, devfn: pdev.devfn };
    }

    if (pdev && drhd.include_all) return { iommu: drhd.iommu!, bus: pdev.bus!.number, devfn: pdev.devfn };
  }
  return null;
}

const source_id = (bus: number, devfn: number): number => (bus << 8) | devfn;

function* device_context_mapped(iommu: intel_iommu, bus: number, devfn: number): Spins<boolean> {
  yield* spin_lock(iommu.lock);
  const ret = iommu.$context.has(source_id(bus, devfn));
  spin_unlock(iommu.lock);
  return ret;
}

/**
 * The entry for a page. @target_level: at which level, tables above it are made; 0: wherever there is one, and set to where
 * @return null beyond the addresses of the domain, or if there is no memory
 */
function pfn_to_dma_pte(domain: dmar_domain, pfn: bigint, target_level: { value: number }): pte_ptr | null {
  let level = agaw_to_level(domain.agaw);
  let pte: pte_ptr;

  BUG_ON(!domain.pgd);

  if (!domain_pfn_supported(domain, pfn)) return null;

  let parent = domain.pgd!;

  for (;;) {
    pte = { table: parent, i: pfn_level_offset(pfn, level) };
    let val = pte_val(pte);
    if (!target_level.value && (pte_superpage(val) || !pte_present(val))) break;
    if (level === target_level.value) break;

    if (!pte_present(val)) {
      const tmp_page = alloc_pgtable_page(domain.nid);

      if (!tmp_page) return null;

      val = (virt_to_dma_pfn(tmp_page) << BigInt(VTD_PAGE_SHIFT)) | BigInt(DMA_PTE_READ | DMA_PTE_WRITE);
      set_pte(pte, val);
    }
    if (level === 1) break;

    parent = phys_to_virt(pte_addr(val));
    level--;
  }

  if (!target_level.value) target_level.value = level;

  return pte;
}

/** The entry at a level; one above it if that is a large page, null if nothing is there. @large_page: set to its level then */
function dma_pfn_level_pte(
  domain: dmar_domain,
  pfn: bigint,
  level: number,
  large_page: { value: number },
): pte_ptr | null {
  let total = agaw_to_level(domain.agaw);
  let parent = domain.pgd!;

  while (level <= total) {
    const pte = { table: parent, i: pfn_level_offset(pfn, total) };
    if (level === total) return pte;

    const val = pte_val(pte);
    if (!pte_present(val)) {
      large_page.value = total;
      break;
    }

    if (pte_superpage(val)) {
      large_page.value = total;
      return pte;
    }

    parent = phys_to_virt(pte_addr(val));
    total--;
  }
  return null;
}

/** Clears the entries of the last level. */
function dma_pte_clear_range(domain: dmar_domain, start_pfn: bigint, last_pfn: bigint): void {
  BUG_ON(!domain_pfn_supported(domain, start_pfn));
  BUG_ON(!domain_pfn_supported(domain, last_pfn));
  BUG_ON(start_pfn > last_pfn);

  do {
    const large_page = { value: 1 };
    let pte = dma_pfn_level_pte(domain, start_pfn, 1, large_page);
    if (!pte) {
      start_pfn = align_to_level(start_pfn + 1n, large_page.value + 1);
      continue;
    }
    do {
      set_pte(pte, 0n);
      start_pfn += lvl_to_nr_pages(large_page.value);
      pte = next_pte(pte);
    } while (start_pfn <= last_pfn && !first_pte_in_page(pte));
  } while (start_pfn && start_pfn <= last_pfn);
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);

function dma_pte_free_level(
  domain: dmar_domain,
  level: number,
  retain_level: number,
  table: kbuf,
  pfn: bigint,
  start_pfn: bigint,
  last_pfn: bigint,
): void {
  pfn = max(start_pfn, pfn);
  let pte: pte_ptr = { table, i: pfn_level_offset(pfn, level) };

  do {
    const val = pte_val(pte);

    if (pte_present(val) && !pte_superpage(val)) {
      const level_pfn = pfn & level_mask(level);
      const level_pte = phys_to_virt(pte_addr(val));

      if (level > 2) dma_pte_free_level(domain, level - 1, retain_level, level_pte, level_pfn, start_pfn, last_pfn);

      // A table that is covered whole, below what is to stay
      if (level < retain_level && !(start_pfn > level_pfn || last_pfn < level_pfn + level_size(level) - 1n)) {
        set_pte(pte, 0n);
        free_pgtable_page(level_pte);
      }
    }
    pfn += level_size(level);
    pte = next_pte(pte);
  } while (!first_pte_in_page(pte) && pfn <= last_pfn);
}

/** Clears the entries of a range and frees the tables below a level. */
function dma_pte_free_pagetable(domain: dmar_domain, start_pfn: bigint, last_pfn: bigint, retain_level: number): void {
  dma_pte_clear_range(domain, start_pfn, last_pfn);

  dma_pte_free_level(domain, agaw_to_level(domain.agaw), retain_level, domain.pgd!, 0n, start_pfn, last_pfn);

  if (start_pfn === 0n && last_pfn === DOMAIN_MAX_PFN(domain.gaw)) {
    free_pgtable_page(domain.pgd!);
    domain.pgd = null;
  }
}

/** Collects a table and those below it: they may be free when the hardware has forgotten them. @parent: its entry */
function dma_pte_list_pagetables(domain: dmar_domain, level: number, parent: bigint, freelist: page[]): void {
  const pg = pfn_to_page(Number(pte_addr(parent) >> BigInt(VTD_PAGE_SHIFT)))!;
  freelist.push(pg);

  if (level === 1) return;

  let pte: pte_ptr = { table: page_address(pg), i: 0 };
  do {
    const val = pte_val(pte);
    if (pte_present(val) && !pte_superpage(val)) dma_pte_list_pagetables(domain, level - 1, val, freelist);
    pte = next_pte(pte);
  } while (!first_pte_in_page(pte));
}

function dma_pte_clear_level(
  domain: dmar_domain,
  level: number,
  table: kbuf,
  pfn: bigint,
  start_pfn: bigint,
  last_pfn: bigint,
  freelist: page[],
): void {
  pfn = max(start_pfn, pfn);
  let pte: pte_ptr = { table, i: pfn_level_offset(pfn, level) };

  do {
    const level_pfn = pfn & level_mask(level);
    const val = pte_val(pte);

    if (pte_present(val)) {
      if (start_pfn <= level_pfn && last_pfn >= level_pfn + level_size(level) - 1n) {
        // Tables that go whole need no clearing
        if (level > 1 && !pte_superpage(val)) dma_pte_list_pagetables(domain, level - 1, val, freelist);

        set_pte(pte, 0n);
      } else if (level > 1) {
        const below = phys_to_virt(pte_addr(val));
        dma_pte_clear_level(domain, level - 1, below, level_pfn, start_pfn, last_pfn, freelist);
      }
    }
    pfn = level_pfn + level_size(level);
    pte = next_pte(pte);
  } while (!first_pte_in_page(pte) && pfn <= last_pfn);
}

function domain_unmap(domain: dmar_domain, start_pfn: bigint, last_pfn: bigint, freelist: page[]): void {
  BUG_ON(!domain_pfn_supported(domain, start_pfn));
  BUG_ON(!domain_pfn_supported(domain, last_pfn));
  BUG_ON(start_pfn > last_pfn);

  dma_pte_clear_level(domain, agaw_to_level(domain.agaw), domain.pgd!, 0n, start_pfn, last_pfn, freelist);

  if (start_pfn === 0n && last_pfn === DOMAIN_MAX_PFN(domain.gaw)) {
    freelist.push(virt_to_page(domain.pgd!));
    domain.pgd = null;
  }
}

/** No device has a TLB of its own here. */
function* domain_update_iotlb(domain: dmar_domain): Spins {
  let has_iotlb_device = false;

  const flags = yield* spin_lock_irqsave(domain.lock);
  for (const info of list_for_each_entry(domain.devices, device_domain_info, "link")) {
    if (info.ats_enabled) {
      has_iotlb_device = true;
      break;
    }
  }
  domain.has_iotlb_device = has_iotlb_device;
  yield* spin_unlock_irqrestore(domain.lock, flags);
}

function iommu_init_domains(iommu: intel_iommu): number {
  const ndomains = cap_ndoms(iommu.cap);

  spin_lock_init(iommu.lock);

  iommu.domain_ids = bitmap_zalloc(ndomains, GFP_KERNEL);
  if (!iommu.domain_ids) return -ENOMEM;

  // 0 tags what is not valid; the other one is for first-level and pass-through domains.
  set_bit(0, iommu.domain_ids);
  set_bit(FLPT_DEFAULT_DID, iommu.domain_ids);

  return 0;
}

function alloc_domain(_type: number): dmar_domain | null {
  const domain = kzalloc(dmar_domain, GFP_KERNEL);
  if (!domain) return null;

  domain.nid = NUMA_NO_NODE;
  domain.has_iotlb_device = false;
  INIT_LIST_HEAD(domain.devices);
  spin_lock_init(domain.lock);
  xa_init(domain.iommu_array);

  return domain;
}

function* domain_attach_iommu(domain: dmar_domain, iommu: intel_iommu): Spins<number> {
  let ret = -ENOSPC;

  const info = kzalloc(iommu_domain_info, GFP_KERNEL);
  if (!info) return -ENOMEM;

  yield* spin_lock(iommu.lock);
  const known = xa_load<iommu_domain_info>(domain.iommu_array, iommu.seq_id);
  if (known) {
    known.refcnt++;
    spin_unlock(iommu.lock);
    kfree(info);
    return 0;
  }

  err_unlock: {
    const ndomains = cap_ndoms(iommu.cap);
    const num = find_first_zero_bit(iommu.domain_ids!, ndomains);
    if (num >= ndomains) {
      pr_err("DMAR: %s: No free domain ids\n", iommu.name);
      break err_unlock;
    }

    set_bit(num, iommu.domain_ids!);
    info.refcnt = 1;
    info.did = num;
    info.iommu = iommu;
    const curr = yield* xa_cmpxchg<iommu_domain_info>(domain.iommu_array, iommu.seq_id, null, info, GFP_ATOMIC);
    if (curr) {
      ret = xa_err(curr) || -EBUSY;
      clear_bit(info.did, iommu.domain_ids!);
      break err_unlock;
    }
    yield* domain_update_iommu_cap(domain);

    spin_unlock(iommu.lock);
    return 0;
  }
  spin_unlock(iommu.lock);
  kfree(info);
  return ret;
}

function* domain_detach_iommu(domain: dmar_domain, iommu: intel_iommu): Spins {
  yield* spin_lock(iommu.lock);
  const info = xa_load<iommu_domain_info>(domain.iommu_array, iommu.seq_id)!;
  if (--info.refcnt === 0) {
    clear_bit(info.did, iommu.domain_ids!);
    yield* xa_erase(domain.iommu_array, iommu.seq_id);
    domain.nid = NUMA_NO_NODE;
    yield* domain_update_iommu_cap(domain);
    kfree(info);
  }
  spin_unlock(iommu.lock);
}

function guestwidth_to_adjustwidth(gaw: number): number {
  const r = (gaw - 12) % 9;
  const agaw = r === 0 ? gaw : gaw + 9 - r;

  return Math.min(agaw, 64);
}

function domain_exit(domain: dmar_domain): void {
  if (domain.pgd) {
    const freelist: page[] = [];

    domain_unmap(domain, 0n, DOMAIN_MAX_PFN(domain.gaw), freelist);
    put_pages_list(freelist);
  }

  if (WARN_ON(!list_empty(domain.devices))) return;

  kfree(domain);
}

function* domain_context_mapping_one(
  domain: dmar_domain,
  iommu: intel_iommu,
  bus: number,
  devfn: number,
): Spins<number> {
  const did = domain_type_is_si(domain)
    ? FLPT_DEFAULT_DID
    : xa_load<iommu_domain_info>(domain.iommu_array, iommu.seq_id)!.did;

  yield* spin_lock(iommu.lock);
  const id = source_id(bus, devfn);
  // Another alias of the device may be there already
  if (!iommu.$context.has(id)) {
    // A unit with fewer levels begins further down
    let pgd = domain.pgd!;
    for (let agaw = domain.agaw; agaw > iommu.agaw; agaw--) {
      const val = pte_val({ table: pgd, i: 0 });
      if (!pte_present(val)) {
        spin_unlock(iommu.lock);
        return -ENOMEM;
      }
      pgd = phys_to_virt(pte_addr(val));
    }
    iommu.$context.set(
      id,
      domain_type_is_si(domain) && s.hw_pass_through
        ? { domain_id: did, address_root: 0n, address_width: iommu.msagaw }
        : { domain_id: did, address_root: virt_to_phys(pgd), address_width: iommu.agaw },
    );
  }
  spin_unlock(iommu.lock);

  return 0;
}

interface domain_context_mapping_data {
  readonly domain: dmar_domain;
  readonly iommu: intel_iommu;
}

function domain_context_mapping_cb(_pdev: pci_dev, alias: number, data: domain_context_mapping_data): Sleeps<number> {
  return domain_context_mapping_one(data.domain, data.iommu, PCI_BUS_NUM(alias), alias & 0xff);
}

function* domain_context_mapping(domain: dmar_domain, dev: device): Sleeps<number> {
  const found = device_to_iommu(dev);
  if (!found) return -ENODEV;

  if (!dev_is_pci(dev)) return yield* domain_context_mapping_one(domain, found.iommu, found.bus, found.devfn);

  const data = { domain, iommu: found.iommu };
  return yield* pci_for_each_dma_alias(to_pci_dev(dev), domain_context_mapping_cb, data);
}

function* domain_context_mapped_cb(_pdev: pci_dev, alias: number, iommu: intel_iommu): Sleeps<number> {
  return (yield* device_context_mapped(iommu, PCI_BUS_NUM(alias), alias & 0xff)) ? 0 : 1;
}

function* domain_context_mapped(dev: device): Sleeps<boolean> {
  const found = device_to_iommu(dev);
  // C gives -ENODEV, which counts as true
  if (!found) return true;

  if (!dev_is_pci(dev)) return yield* device_context_mapped(found.iommu, found.bus, found.devfn);

  return !(yield* pci_for_each_dma_alias(to_pci_dev(dev), domain_context_mapped_cb, found.iommu));
}

/** Pages that `size` bytes from an address on touch. */
function aligned_nrpages(host_addr: bigint, size: bigint): bigint {
  host_addr &= VTD_PAGE_SIZE - 1n;
  return (host_addr + size + VTD_PAGE_SIZE - 1n) >> BigInt(VTD_PAGE_SHIFT);
}

/** The highest level at which a mapping can be one entry. */
function hardware_largepage_caps(domain: dmar_domain, iov_pfn: bigint, phy_pfn: bigint, pages: bigint): number {
  let level = 1;
  let support = domain.iommu_superpage;

  // Both addresses have to be aligned
  let pfnmerge = iov_pfn | phy_pfn;

  while (support && !(pfnmerge & VTD_STRIDE_MASK)) {
    pages >>= BigInt(VTD_STRIDE_SHIFT);
    if (!pages) break;
    pfnmerge >>= BigInt(VTD_STRIDE_SHIFT);
    level++;
    support--;
  }
  return level;
}

/** Removes what smaller tables there are where large pages are to be. */
function switch_to_super_page(domain: dmar_domain, start_pfn: bigint, end_pfn: bigint, level: number): void {
  const lvl_pages = lvl_to_nr_pages(level);
  let pte: pte_ptr | null = null;

  if (WARN_ON((start_pfn & (lvl_pages - 1n)) !== 0n || ((end_pfn + 1n) & (lvl_pages - 1n)) !== 0n)) return;

  while (start_pfn <= end_pfn) {
    // At a given level there is one, unless there is no memory; C looks no further either
    pte ??= pfn_to_dma_pte(domain, start_pfn, { value: level });

    if (pte_present(pte_val(pte!))) dma_pte_free_pagetable(domain, start_pfn, start_pfn + lvl_pages - 1n, level + 1);

    pte = next_pte(pte!);
    start_pfn += lvl_pages;
    if (first_pte_in_page(pte)) pte = null;
  }
}

function __domain_mapping(
  domain: dmar_domain,
  iov_pfn: bigint,
  phys_pfn: bigint,
  nr_pages: bigint,
  prot: number,
): number {
  let pte: pte_ptr | null = null;
  const largepage_lvl = { value: 0 };
  let lvl_pages = 0n;

  BUG_ON(!domain_pfn_supported(domain, iov_pfn + nr_pages - 1n));

  if ((prot & (DMA_PTE_READ | DMA_PTE_WRITE)) === 0) return -EINVAL;

  let attr = prot & (DMA_PTE_READ | DMA_PTE_WRITE | DMA_PTE_SNP);
  attr |= DMA_FL_PTE_PRESENT;

  let pteval = (phys_pfn << BigInt(VTD_PAGE_SHIFT)) | BigInt(attr);

  while (nr_pages > 0n) {
    if (!pte) {
      largepage_lvl.value = hardware_largepage_caps(domain, iov_pfn, phys_pfn, nr_pages);

      pte = pfn_to_dma_pte(domain, iov_pfn, largepage_lvl);
      if (!pte) return -ENOMEM;

      lvl_pages = lvl_to_nr_pages(largepage_lvl.value);

      if (largepage_lvl.value > 1) {
        pteval |= BigInt(DMA_PTE_LARGE_PAGE);
        const whole = nr_pages - (nr_pages % lvl_pages);
        const room = BigInt(nr_pte_to_next_page(pte)) * lvl_pages;
        const pages_to_remove = whole < room ? whole : room;
        const end_pfn = iov_pfn + pages_to_remove - 1n;
        switch_to_super_page(domain, iov_pfn, end_pfn, largepage_lvl.value);
      } else {
        pteval &= ~BigInt(DMA_PTE_LARGE_PAGE);
      }
    }
    const tmp = pte_val(pte);
    if (tmp) {
      pr_crit("DMAR: ERROR: DMA PTE for vPFN 0x%lx already set (to %llx not %llx)\n", iov_pfn, tmp, pteval);
      WARN_ON(true);
    } else set_pte(pte, pteval);

    nr_pages -= lvl_pages;
    iov_pfn += lvl_pages;
    phys_pfn += lvl_pages;
    pteval += lvl_pages * VTD_PAGE_SIZE;

    // A new table begins, or what is left is less than a large page
    pte = next_pte(pte);
    if (!nr_pages || first_pte_in_page(pte) || (largepage_lvl.value > 1 && nr_pages < lvl_pages)) pte = null;
  }

  return 0;
}

function* domain_context_clear_one(info: device_domain_info, bus: number, devfn: number): Spins {
  const iommu = info.iommu!;

  yield* spin_lock(iommu.lock);
  iommu.$context.delete(source_id(bus, devfn));
  spin_unlock(iommu.lock);
}

function si_domain_init(): number {
  const domain = alloc_domain(IOMMU_DOMAIN_IDENTITY);
  if (!domain) return -EFAULT;

  if (md_domain_init(domain, DEFAULT_DOMAIN_ADDRESS_WIDTH)) {
    domain_exit(domain);
    return -EFAULT;
  }
  s.si_domain = domain;

  return 0;
}

function* domain_add_dev_info(domain: dmar_domain, dev: device): Sleeps<number> {
  const info = dev_iommu_priv_get<device_domain_info>(dev)!;

  const found = device_to_iommu(dev);
  if (!found) return -ENODEV;

  let ret = yield* domain_attach_iommu(domain, found.iommu);
  if (ret) return ret;
  info.domain = domain;
  const flags = yield* spin_lock_irqsave(domain.lock);
  list_add(info.link, domain.devices);
  yield* spin_unlock_irqrestore(domain.lock, flags);

  ret = yield* domain_context_mapping(domain, dev);
  if (ret) {
    dev_err(dev, "Domain context map failed\n");
    yield* device_block_translation(dev);
    return ret;
  }

  return 0;
}

function device_has_rmrr(dev: device): boolean {
  for (const rmrr of for_each_rmrr_units()) if (is_in_scope(dev, rmrr)) return true;
  return false;
}
const is_in_scope = (dev: device, rmrr: dmar_rmrr_unit): boolean =>
  rmrr.devices.some((d) => d === dev || is_downstream_to_pci_bridge(dev, d));

const IS_GFX_DEVICE = (pdev: pci_dev): boolean => pdev.class >> 16 === PCI_BASE_CLASS_DISPLAY;
const IS_USB_DEVICE = (pdev: pci_dev): boolean => pdev.class >> 8 === PCI_CLASS_SERIAL_USB;
const IS_ISA_DEVICE = (pdev: pci_dev): boolean => pdev.class >> 8 === PCI_CLASS_BRIDGE_ISA;

/** USB and graphics devices have theirs for the time of the boot. */
function device_rmrr_is_relaxable(dev: device): boolean {
  if (!dev_is_pci(dev)) return false;

  const pdev = to_pci_dev(dev);
  return IS_USB_DEVICE(pdev) || IS_GFX_DEVICE(pdev);
}

/** Such a device cannot be given away: its reserved region would have to stay mapped in every domain. */
function device_is_rmrr_locked(dev: device): boolean {
  if (!device_has_rmrr(dev)) return false;

  if (device_rmrr_is_relaxable(dev)) return false;

  return true;
}

/** None of the devices that need a domain of one type is here. */
function device_def_domain_type(_dev: device): number {
  return 0;
}

function* init_dmars(): Sleeps<number> {
  for (const drhd of for_each_drhd_unit()) {
    const ret = iommu_init_domains(drhd.iommu!);
    if (ret) return ret;

    if (!ecap_pass_through(drhd.iommu!.ecap)) s.hw_pass_through = false;
  }

  return si_domain_init();
}

const iommu_of = (dev: device): intel_iommu => container_of(dev_get_drvdata<iommu_device>(dev), intel_iommu, "iommu");

function version_show(_dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%d:%d\n", 1, 0));
}
const dev_attr_version = DEVICE_ATTR_RO("version", version_show);

function address_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%llx\n", iommu_of(dev).reg_phys));
}
const dev_attr_address = DEVICE_ATTR_RO("address", address_show);

function cap_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%llx\n", iommu_of(dev).cap));
}
const dev_attr_cap = DEVICE_ATTR_RO("cap", cap_show);

function ecap_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%llx\n", iommu_of(dev).ecap));
}
const dev_attr_ecap = DEVICE_ATTR_RO("ecap", ecap_show);

function domains_supported_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%ld\n", cap_ndoms(iommu_of(dev).cap)));
}
const dev_attr_domains_supported = DEVICE_ATTR_RO("domains_supported", domains_supported_show);

function domains_used_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const iommu = iommu_of(dev);
  return buf.write(0, sprintf("%d\n", bitmap_weight(iommu.domain_ids!, cap_ndoms(iommu.cap))));
}
const dev_attr_domains_used = DEVICE_ATTR_RO("domains_used", domains_used_show);

const intel_iommu_groups: attribute_groups = [
  {
    name: "intel-iommu",
    attrs: [
      dev_attr_version,
      dev_attr_address,
      dev_attr_cap,
      dev_attr_ecap,
      dev_attr_domains_supported,
      dev_attr_domains_used,
    ].map((a) => a.attr),
  },
];

function* intel_iommu_init(): Sleeps<number> {
  if (dmar_table_init() < 0) return -ENODEV;

  if (list_empty(dmar_rmrr_units())) pr_info("DMAR: No RMRR found\n");

  pr_info("DMAR: No ATSR found\n");
  pr_info("DMAR: No SATC found\n");

  for (const drhd of for_each_drhd_unit()) {
    drhd.iommu!.agaw = iommu_calculate_agaw(drhd.iommu!);
    drhd.iommu!.msagaw = iommu_calculate_max_sagaw(drhd.iommu!);
  }

  const ret = yield* init_dmars();
  if (ret) {
    pr_err("DMAR: Initialization failed\n");
    return ret;
  }

  for (const drhd of for_each_drhd_unit()) {
    const iommu = drhd.iommu!;
    // In a virtual machine flushing one by one is no worse than all at once
    if (cap_caching_mode(iommu.cap)) {
      if (!s.batching_said) pr_info("DMAR: IOMMU batching disallowed due to virtualization\n");
      s.batching_said = true;
      iommu_set_dma_strict();
    }
    yield* iommu_device_sysfs_add(iommu.iommu, null, intel_iommu_groups, "%s", iommu.name!);
    yield* iommu_device_register(iommu.iommu, intel_iommu_ops, null);
  }

  pr_info("DMAR: Intel(R) Virtualization Technology for Directed I/O\n");

  return 0;
}
// Behind the enumeration of buses, before drivers
fs_initcall(on_x86(intel_iommu_init));

function* domain_context_clear_one_cb(_pdev: pci_dev, alias: number, info: device_domain_info): Sleeps<number> {
  yield* domain_context_clear_one(info, PCI_BUS_NUM(alias), alias & 0xff);
  return 0;
}

/** As in C, aliases go for all devices that have them. */
function* domain_context_clear(info: device_domain_info): Sleeps {
  if (!dev_is_pci(info.dev!)) {
    yield* domain_context_clear_one(info, info.bus, info.devfn);
    return;
  }

  yield* pci_for_each_dma_alias(to_pci_dev(info.dev!), domain_context_clear_one_cb, info);
}

function* dmar_remove_one_dev_info(dev: device): Sleeps {
  const info = dev_iommu_priv_get<device_domain_info>(dev)!;
  const domain = info.domain!;
  const iommu = info.iommu!;

  yield* domain_context_clear(info);

  const flags = yield* spin_lock_irqsave(domain.lock);
  list_del(info.link);
  yield* spin_unlock_irqrestore(domain.lock, flags);

  yield* domain_detach_iommu(domain, iommu);
  info.domain = null;
}

/** The device reaches nothing any more. */
function* device_block_translation(dev: device): Sleeps {
  const info = dev_iommu_priv_get<device_domain_info>(dev)!;
  const iommu = info.iommu!;

  yield* domain_context_clear(info);

  if (!info.domain) return;

  const flags = yield* spin_lock_irqsave(info.domain.lock);
  list_del(info.link);
  yield* spin_unlock_irqrestore(info.domain.lock, flags);

  yield* domain_detach_iommu(info.domain, iommu);
  info.domain = null;
}

function md_domain_init(domain: dmar_domain, guest_width: number): number {
  domain.gaw = guest_width;
  const adjust_width = guestwidth_to_adjustwidth(guest_width);
  domain.agaw = width_to_agaw(adjust_width);

  domain.iommu_coherency = false;
  domain.iommu_superpage = 0;
  domain.max_addr = 0n;

  domain.pgd = alloc_pgtable_page(domain.nid);
  if (!domain.pgd) return -ENOMEM;
  return 0;
}

function intel_iommu_domain_alloc(type: number): iommu_domain | null {
  switch (type) {
    case IOMMU_DOMAIN_DMA:
    case IOMMU_DOMAIN_DMA_FQ:
    case IOMMU_DOMAIN_UNMANAGED: {
      const dmar_domain = alloc_domain(type);
      if (!dmar_domain) {
        pr_err("DMAR: Can't allocate dmar_domain\n");
        return null;
      }
      if (md_domain_init(dmar_domain, DEFAULT_DOMAIN_ADDRESS_WIDTH)) {
        pr_err("DMAR: Domain initialization failed\n");
        domain_exit(dmar_domain);
        return null;
      }

      const domain = dmar_domain.domain;
      domain.geometry.aperture_start = 0n;
      domain.geometry.aperture_end = __DOMAIN_MAX_ADDR(dmar_domain.gaw);
      domain.geometry.force_aperture = true;

      return domain;
    }
    case IOMMU_DOMAIN_IDENTITY:
      return s.si_domain!.domain;
    default:
      return null;
  }
}

function intel_iommu_domain_free(domain: iommu_domain): void {
  if (domain !== s.si_domain!.domain) domain_exit(to_dmar_domain(domain));
}

function prepare_domain_attach_device(domain: iommu_domain, dev: device): number {
  const dmar_domain = to_dmar_domain(domain);

  const iommu = device_to_iommu(dev)?.iommu;
  if (!iommu) return -ENODEV;

  if (dmar_domain.force_snooping && !ecap_sc_support(iommu.ecap)) return -EOPNOTSUPP;

  let addr_width = agaw_to_width(iommu.agaw);
  if (addr_width > cap_mgaw(iommu.cap)) addr_width = cap_mgaw(iommu.cap);

  if (dmar_domain.max_addr > 1n << BigInt(addr_width)) {
    dev_err(
      dev,
      "%s: iommu width (%d) is not sufficient for the mapped address (%llx)\n",
      prepare_domain_attach_device.name,
      addr_width,
      dmar_domain.max_addr,
    );
    return -EFAULT;
  }
  dmar_domain.gaw = addr_width;

  // Levels that the unit has not go
  while (iommu.agaw < dmar_domain.agaw) {
    const pte = dmar_domain.pgd!;
    const val = pte_val({ table: pte, i: 0 });
    if (pte_present(val)) {
      dmar_domain.pgd = phys_to_virt(pte_addr(val));
      free_pgtable_page(pte);
    }
    dmar_domain.agaw--;
  }

  return 0;
}

function* intel_iommu_attach_device(domain: iommu_domain, dev: device): Sleeps<number> {
  if (domain.type === IOMMU_DOMAIN_UNMANAGED && device_is_rmrr_locked(dev)) {
    dev_warn(
      dev,
      "Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor.\n",
    );
    return -EPERM;
  }

  if (yield* domain_context_mapped(dev)) {
    const info = dev_iommu_priv_get<device_domain_info>(dev)!;

    if (info.domain) yield* device_block_translation(dev);
  }

  const ret = prepare_domain_attach_device(domain, dev);
  if (ret) return ret;

  return yield* domain_add_dev_info(to_dmar_domain(domain), dev);
}

function* intel_iommu_detach_device(_domain: iommu_domain, dev: device): Sleeps {
  yield* dmar_remove_one_dev_info(dev);
}

function intel_iommu_map(
  domain: iommu_domain,
  iova: bigint,
  hpa: bigint,
  size: bigint,
  iommu_prot: number,
  _gfp: number,
): number {
  const dmar_domain = to_dmar_domain(domain);
  let prot = 0;

  if (iommu_prot & IOMMU_READ) prot |= DMA_PTE_READ;
  if (iommu_prot & IOMMU_WRITE) prot |= DMA_PTE_WRITE;
  if (dmar_domain.set_pte_snp) prot |= DMA_PTE_SNP;

  const max_addr = iova + size;
  if (dmar_domain.max_addr < max_addr) {
    const end = __DOMAIN_MAX_ADDR(dmar_domain.gaw) + 1n;
    if (end < max_addr) {
      pr_err(
        "DMAR: %s: iommu width (%d) is not sufficient for the mapped address (%llx)\n",
        intel_iommu_map.name,
        dmar_domain.gaw,
        max_addr,
      );
      return -EFAULT;
    }
    dmar_domain.max_addr = max_addr;
  }
  size = aligned_nrpages(hpa, size);
  return __domain_mapping(dmar_domain, iova >> BigInt(VTD_PAGE_SHIFT), hpa >> BigInt(VTD_PAGE_SHIFT), size, prot);
}

function intel_iommu_map_pages(
  domain: iommu_domain,
  iova: bigint,
  paddr: bigint,
  pgsize: bigint,
  pgcount: bigint,
  prot: number,
  gfp: number,
  mapped: { value: bigint },
): number {
  const size = pgcount * pgsize;

  if (pgsize !== SZ_4K && pgsize !== SZ_2M && pgsize !== SZ_1G) return -EINVAL;

  if ((iova | paddr) & (pgsize - 1n)) return -EINVAL;

  const ret = intel_iommu_map(domain, iova, paddr, size, prot, gfp);
  if (!ret) mapped.value = size;

  return ret;
}

function intel_iommu_unmap(domain: iommu_domain, iova: bigint, size: bigint, gather: iommu_iotlb_gather): bigint {
  const dmar_domain = to_dmar_domain(domain);
  const level = { value: 0 };

  // All of a large page goes if any of it does
  BUG_ON(!pfn_to_dma_pte(dmar_domain, iova >> BigInt(VTD_PAGE_SHIFT), level));

  const least = VTD_PAGE_SIZE << BigInt(level_to_offset_bits(level.value));
  if (size < least) size = least;

  const start_pfn = iova >> BigInt(VTD_PAGE_SHIFT);
  const last_pfn = (iova + size - 1n) >> BigInt(VTD_PAGE_SHIFT);

  domain_unmap(dmar_domain, start_pfn, last_pfn, gather.freelist);

  if (dmar_domain.max_addr === iova + size) dmar_domain.max_addr = iova;

  if (!iommu_iotlb_gather_queued(gather)) iommu_iotlb_gather_add_page(domain, gather, iova, size);

  return size;
}

function intel_iommu_unmap_pages(
  domain: iommu_domain,
  iova: bigint,
  pgsize: bigint,
  pgcount: bigint,
  gather: iommu_iotlb_gather,
): bigint {
  return intel_iommu_unmap(domain, iova, pgcount * pgsize, gather);
}

/** The units look tables up each time, so that only the tables' own pages are left to be freed. */
function intel_iommu_tlb_sync(_domain: iommu_domain, gather: iommu_iotlb_gather): void {
  put_pages_list(gather.freelist);
}

function intel_iommu_iova_to_phys(domain: iommu_domain, iova: bigint): bigint {
  const dmar_domain = to_dmar_domain(domain);
  const level = { value: 0 };

  const pte = pfn_to_dma_pte(dmar_domain, iova >> BigInt(VTD_PAGE_SHIFT), level);
  const val = pte ? pte_val(pte) : 0n;
  if (!pte_present(val)) return 0n;

  const page_mask = (1n << BigInt(level_to_offset_bits(level.value) + VTD_PAGE_SHIFT)) - 1n;
  return pte_addr(val) + (iova & page_mask);
}

function domain_support_force_snooping(domain: dmar_domain): boolean {
  assert_spin_locked(domain.lock);
  for (const info of list_for_each_entry(domain.devices, device_domain_info, "link"))
    if (!ecap_sc_support(info.iommu!.ecap)) return false;

  return true;
}

function domain_set_force_snooping(domain: dmar_domain): void {
  assert_spin_locked(domain.lock);
  domain.set_pte_snp = true;
}

function* intel_iommu_enforce_cache_coherency(domain: iommu_domain): Spins<boolean> {
  const dmar_domain = to_dmar_domain(domain);

  if (dmar_domain.force_snooping) return true;

  const flags = yield* spin_lock_irqsave(dmar_domain.lock);
  if (!domain_support_force_snooping(dmar_domain)) {
    yield* spin_unlock_irqrestore(dmar_domain.lock, flags);
    return false;
  }

  domain_set_force_snooping(dmar_domain);
  dmar_domain.force_snooping = true;
  yield* spin_unlock_irqrestore(dmar_domain.lock, flags);

  return true;
}

function intel_iommu_capable(_dev: device, cap: iommu_cap): boolean {
  if (cap === IOMMU_CAP_CACHE_COHERENCY) return true;
  if (cap === IOMMU_CAP_INTR_REMAP) return irq_remapping_enabled();

  return false;
}

function intel_iommu_probe_device(dev: device): iommu_device {
  const found = device_to_iommu(dev);
  if (!found || !found.iommu.iommu.ops) return ERR_PTR(-ENODEV);

  const info = kzalloc(device_domain_info, GFP_KERNEL);
  if (!info) return ERR_PTR(-ENOMEM);

  info.bus = found.bus;
  info.devfn = found.devfn;
  info.segment = found.iommu.segment;

  info.dev = dev;
  info.iommu = found.iommu;

  dev_iommu_priv_set(dev, info);

  return found.iommu.iommu;
}

function* intel_iommu_release_device(dev: device): Sleeps {
  const info = dev_iommu_priv_get<device_domain_info>(dev);

  yield* dmar_remove_one_dev_info(dev);
  dev_iommu_priv_set(dev, null);
  kfree(info);
}

function intel_iommu_get_resv_regions(dev: device, head: list_head): void {
  const prot = DMA_PTE_READ | DMA_PTE_WRITE;

  for (const rmrr of for_each_rmrr_units()) {
    if (!is_in_scope(dev, rmrr)) continue;

    const length = rmrr.end_address - rmrr.base_address + 1n;
    const type = device_rmrr_is_relaxable(dev) ? IOMMU_RESV_DIRECT_RELAXABLE : IOMMU_RESV_DIRECT;

    const resv = iommu_alloc_resv_region(rmrr.base_address, length, prot, type, GFP_ATOMIC);
    if (!resv) break;

    list_add_tail(resv.list, head);
  }

  // CONFIG_INTEL_IOMMU_FLOPPY_WA
  if (dev_is_pci(dev) && IS_ISA_DEVICE(to_pci_dev(dev))) {
    const isa = iommu_alloc_resv_region(0n, 1n << 24n, prot, IOMMU_RESV_DIRECT_RELAXABLE, GFP_KERNEL);
    if (isa) list_add_tail(isa.list, head);
  }

  const reg = iommu_alloc_resv_region(
    IOAPIC_RANGE_START,
    IOAPIC_RANGE_END - IOAPIC_RANGE_START + 1n,
    0,
    IOMMU_RESV_MSI,
    GFP_KERNEL,
  );
  if (!reg) return;
  list_add_tail(reg.list, head);
}

function intel_iommu_device_group(dev: device): Sleeps<iommu_group> {
  if (dev_is_pci(dev)) return pci_device_group(dev);
  return generic_device_group(dev);
}

function intel_iommu_is_attach_deferred(_dev: device): boolean {
  return false;
}

const intel_domain_ops: iommu_domain_ops = {
  attach_dev: intel_iommu_attach_device,
  detach_dev: intel_iommu_detach_device,
  map_pages: intel_iommu_map_pages,
  unmap_pages: intel_iommu_unmap_pages,
  iotlb_sync: intel_iommu_tlb_sync,
  iova_to_phys: intel_iommu_iova_to_phys,
  free: intel_iommu_domain_free,
  enforce_cache_coherency: intel_iommu_enforce_cache_coherency,
};

export const intel_iommu_ops: iommu_ops = {
  capable: intel_iommu_capable,
  domain_alloc: intel_iommu_domain_alloc,
  probe_device: intel_iommu_probe_device,
  release_device: intel_iommu_release_device,
  get_resv_regions: intel_iommu_get_resv_regions,
  device_group: intel_iommu_device_group,
  is_attach_deferred: intel_iommu_is_attach_deferred,
  def_domain_type: device_def_domain_type,
  pgsize_bitmap: SZ_4K,
  default_domain_ops: intel_domain_ops,
};
