// SPDX-License-Identifier: GPL-2.0-only
// dup: IOMMU groups and domains
import type { device } from "./device.ts";
import type { iommu_group } from "../../drivers/iommu/iommu.ts";
import type { module } from "./module.ts";
import { list_head } from "./list.ts";
import type { page } from "./mm.ts";
import { mutex } from "./mutex.ts";
import { bool, embed, fn, int, opaque, ptr, type Sleeps, struct, u32, u64, ulong } from "./types.ts";

export const IOMMU_READ = 1 << 0;
export const IOMMU_WRITE = 1 << 1;
export const IOMMU_CACHE = 1 << 2;
export const IOMMU_NOEXEC = 1 << 3;
export const IOMMU_MMIO = 1 << 4;
export const IOMMU_PRIV = 1 << 5;

export const __IOMMU_DOMAIN_PAGING = 1 << 0;
export const __IOMMU_DOMAIN_DMA_API = 1 << 1;
export const __IOMMU_DOMAIN_PT = 1 << 2;
export const __IOMMU_DOMAIN_DMA_FQ = 1 << 3;

export const IOMMU_DOMAIN_BLOCKED = 0;
export const IOMMU_DOMAIN_IDENTITY = __IOMMU_DOMAIN_PT;
export const IOMMU_DOMAIN_UNMANAGED = __IOMMU_DOMAIN_PAGING;
export const IOMMU_DOMAIN_DMA = __IOMMU_DOMAIN_PAGING | __IOMMU_DOMAIN_DMA_API;
export const IOMMU_DOMAIN_DMA_FQ = __IOMMU_DOMAIN_PAGING | __IOMMU_DOMAIN_DMA_API | __IOMMU_DOMAIN_DMA_FQ;

export type iommu_cap = number;
export const IOMMU_CAP_CACHE_COHERENCY = 0;
export const IOMMU_CAP_INTR_REMAP = 1;
export const IOMMU_CAP_NOEXEC = 2;
export const IOMMU_CAP_PRE_BOOT_PROTECTION = 3;

export type iommu_resv_type = number;
export const IOMMU_RESV_DIRECT = 0;
export const IOMMU_RESV_DIRECT_RELAXABLE = 1;
export const IOMMU_RESV_RESERVED = 2;
export const IOMMU_RESV_MSI = 3;
export const IOMMU_RESV_SW_MSI = 4;

/** Addresses that may not be used, or only in one way. */
export class iommu_resv_region extends struct("iommu_resv_region", {
  list: embed(() => list_head),
  start: u64(),
  length: ulong(),
  prot: int(),
  type: u32(),
  free: fn<(dev: device, region: iommu_resv_region) => void>(),
}) {}

export class iommu_domain_geometry extends struct("iommu_domain_geometry", {
  aperture_start: u64(),
  aperture_end: u64(),
  force_aperture: bool(),
}) {}

export class iommu_domain extends struct("iommu_domain", {
  type: u32(),
  ops: ptr<iommu_domain_ops>(),
  /** Page sizes in use, a bit each. */
  pgsize_bitmap: ulong(),
  geometry: embed(() => iommu_domain_geometry),
  /** What the kernel's own DMA, or who maps MSI windows, keeps with it: drivers/iommu/dma-iommu.ts */
  iova_cookie: ptr<object>(),
}) {}

/** What has been unmapped and is not flushed yet. */
export class iommu_iotlb_gather extends struct("iommu_iotlb_gather", {
  start: ulong(),
  end: ulong(),
  pgsize: ulong(),
  /** Pages of page tables, free when it is flushed. */
  freelist: opaque<page[]>(() => []),
  queued: bool(),
}) {}

/** A callback may be of either colour. */
type may_sleep<T> = Sleeps<T> | T;

/** What a domain of an IOMMU driver can do. Addresses and sizes in bytes; unmap gives how much it unmapped. */
export interface iommu_domain_ops {
  readonly attach_dev?: (domain: iommu_domain, dev: device) => may_sleep<number>;
  readonly detach_dev?: (domain: iommu_domain, dev: device) => may_sleep<void>;
  readonly map?: (domain: iommu_domain, iova: bigint, paddr: bigint, size: bigint, prot: number, gfp: number) => number;
  readonly map_pages?: (
    domain: iommu_domain,
    iova: bigint,
    paddr: bigint,
    pgsize: bigint,
    pgcount: bigint,
    prot: number,
    gfp: number,
    mapped: { value: bigint },
  ) => number;
  readonly unmap?: (domain: iommu_domain, iova: bigint, size: bigint, iotlb_gather: iommu_iotlb_gather) => bigint;
  readonly unmap_pages?: (
    domain: iommu_domain,
    iova: bigint,
    pgsize: bigint,
    pgcount: bigint,
    iotlb_gather: iommu_iotlb_gather,
  ) => bigint;
  readonly flush_iotlb_all?: (domain: iommu_domain) => void;
  readonly iotlb_sync_map?: (domain: iommu_domain, iova: bigint, size: bigint) => void;
  readonly iotlb_sync?: (domain: iommu_domain, iotlb_gather: iommu_iotlb_gather) => void;
  readonly iova_to_phys?: (domain: iommu_domain, iova: bigint) => bigint;
  readonly enforce_cache_coherency?: (domain: iommu_domain) => may_sleep<boolean>;
  readonly enable_nesting?: (domain: iommu_domain) => number;
  readonly free?: (domain: iommu_domain) => void;
}

/** What a driver of IOMMU hardware can do. */
export interface iommu_ops {
  readonly capable?: (dev: device, cap: iommu_cap) => boolean;
  readonly domain_alloc?: (type: number) => iommu_domain | null;
  /** @return the IOMMU in front of the device, or ERR_PTR */
  readonly probe_device?: (dev: device) => may_sleep<iommu_device>;
  readonly release_device?: (dev: device) => may_sleep<void>;
  readonly probe_finalize?: (dev: device) => void;
  /** @return with a reference */
  readonly device_group?: (dev: device) => Sleeps<iommu_group>;
  readonly get_resv_regions?: (dev: device, list: list_head) => void;
  readonly is_attach_deferred?: (dev: device) => boolean;
  /** @return type of domain that the device needs, 0 for any */
  readonly def_domain_type?: (dev: device) => number;
  readonly default_domain_ops?: iommu_domain_ops;
  readonly pgsize_bitmap?: bigint;
  readonly owner?: module | null;
}

export class iommu_device extends struct("iommu_device", {
  list: embed(() => list_head),
  ops: ptr<iommu_ops>(),
  dev: ptr<device>(),
}) {}

/** What the IOMMU knows about a device. */
export class dev_iommu extends struct("dev_iommu", {
  lock: embed(() => mutex),
  iommu_dev: ptr<iommu_device>(),
  priv: ptr<object>(),
}) {}

export function iommu_is_dma_domain(domain: iommu_domain): boolean {
  return (domain.type & __IOMMU_DOMAIN_DMA_API) !== 0;
}
/** Only for a device that has an IOMMU. */
export function dev_iommu_ops(dev: device): iommu_ops {
  return dev.iommu!.iommu_dev!.ops!;
}

export function dev_iommu_priv_get<T extends object>(dev: device): T | null {
  return dev.iommu ? (dev.iommu.priv as T | null) : null;
}
export function dev_iommu_priv_set(dev: device, priv: object | null): void {
  dev.iommu!.priv = priv;
}

export function iommu_iotlb_gather_init(gather: iommu_iotlb_gather): void {
  gather.start = (1n << 64n) - 1n;
  gather.end = 0n;
  gather.pgsize = 0n;
  gather.freelist = [];
  gather.queued = false;
}
export function iommu_flush_iotlb_all(domain: iommu_domain): void {
  if (domain.ops!.flush_iotlb_all) domain.ops!.flush_iotlb_all(domain);
}
/** Devices do not see any more what was unmapped. Any context. */
export function iommu_iotlb_sync(domain: iommu_domain, iotlb_gather: iommu_iotlb_gather): void {
  if (domain.ops!.iotlb_sync) domain.ops!.iotlb_sync(domain, iotlb_gather);

  iommu_iotlb_gather_init(iotlb_gather);
}
export function iommu_iotlb_gather_is_disjoint(gather: iommu_iotlb_gather, iova: bigint, size: bigint): boolean {
  const start = iova;
  const end = start + size - 1n;

  return gather.end !== 0n && (end + 1n < gather.start || start > gather.end + 1n);
}
export function iommu_iotlb_gather_add_range(gather: iommu_iotlb_gather, iova: bigint, size: bigint): void {
  const end = iova + size - 1n;

  if (gather.start > iova) gather.start = iova;
  if (gather.end < end) gather.end = end;
}
/** Remembers an unmapped range; what cannot be flushed with it is flushed now. */
export function iommu_iotlb_gather_add_page(
  domain: iommu_domain,
  gather: iommu_iotlb_gather,
  iova: bigint,
  size: bigint,
): void {
  if ((gather.pgsize && gather.pgsize !== size) || iommu_iotlb_gather_is_disjoint(gather, iova, size))
    iommu_iotlb_sync(domain, gather);

  gather.pgsize = size;
  iommu_iotlb_gather_add_range(gather, iova, size);
}
export function iommu_iotlb_gather_queued(gather: iommu_iotlb_gather | null): boolean {
  return gather !== null && gather.queued;
}

export { iommu_get_msi_cookie } from "../../drivers/iommu/dma-iommu.ts";
export {
  iommu_device_link,
  iommu_device_sysfs_add,
  iommu_device_sysfs_remove,
  iommu_device_unlink,
} from "../../drivers/iommu/iommu-sysfs.ts";
export {
  bus_iommu_probe,
  device_iommu_capable,
  fsl_mc_device_group,
  generic_device_group,
  iommu_alloc_resv_region,
  iommu_attach_device,
  iommu_attach_group,
  iommu_detach_device,
  iommu_default_passthrough,
  iommu_detach_group,
  iommu_device_register,
  iommu_device_unregister,
  iommu_device_unuse_default_domain,
  iommu_device_use_default_domain,
  iommu_domain_alloc,
  iommu_domain_free,
  iommu_enable_nesting,
  iommu_get_domain_for_dev,
  iommu_get_group_resv_regions,
  iommu_get_resv_regions,
  iommu_group,
  iommu_group_add_device,
  iommu_group_alloc,
  iommu_group_claim_dma_owner,
  iommu_group_default_domain,
  iommu_group_dma_owner_claimed,
  iommu_group_for_each_dev,
  iommu_group_get,
  iommu_group_get_by_id,
  iommu_group_get_iommudata,
  iommu_group_id,
  iommu_group_put,
  iommu_group_ref_get,
  iommu_group_release_dma_owner,
  iommu_group_remove_device,
  iommu_group_set_iommudata,
  iommu_group_set_name,
  iommu_iova_to_phys,
  iommu_map,
  iommu_map_atomic,
  iommu_present,
  iommu_probe_device,
  iommu_put_resv_regions,
  pci_device_group,
  iommu_release_device,
  iommu_set_dma_strict,
  iommu_unmap,
  iommu_unmap_fast,
} from "../../drivers/iommu/iommu.ts";
