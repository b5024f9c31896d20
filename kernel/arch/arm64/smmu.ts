// SPDX-License-Identifier: GPL-2.0-only
/**
 * The machine's IOMMU, in front of the devices that the tree says so of: domains that are tables of pages. It stands for an
 * SMMU of ARM, of whose registers, commands and faults it has nothing.
 */
import type { device } from "#linux/device.ts";
import { ERR_PTR } from "#linux/err.ts";
import { EEXIST, ENODEV } from "#linux/errno.ts";
import { dev_is_fsl_mc } from "#linux/fsl/mc.ts";
import {
  fsl_mc_device_group,
  generic_device_group,
  iommu_alloc_resv_region,
  IOMMU_CAP_CACHE_COHERENCY,
  IOMMU_CAP_NOEXEC,
  iommu_device,
  iommu_device_register,
  iommu_device_sysfs_add,
  iommu_domain,
  IOMMU_DOMAIN_BLOCKED,
  type iommu_group,
  type iommu_domain_ops,
  type iommu_ops,
  IOMMU_RESV_SW_MSI,
  IOMMU_NOEXEC,
  IOMMU_MMIO,
  IOMMU_WRITE,
} from "#linux/iommu.ts";
import { list_add_tail, type list_head } from "#linux/list.ts";
import { of_get_property } from "#linux/of.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { container_of, embed, opaque, type Sleeps, struct } from "#linux/types.ts";
import { per_boot } from "../../boot.ts";

const SZ_4K = 4096n;
/** Where user space must not map anything, as the windows of interrupt messages may be put there. */
const MSI_IOVA_BASE = 0x8000000n;
const MSI_IOVA_LENGTH = 0x100000n;

class smmu_domain extends struct("smmu_domain", {
  domain: embed(() => iommu_domain),
  /** Pages of the bus's addresses, and where they are in memory. */
  pages: opaque<Map<bigint, bigint>>(() => new Map()),
}) {}
const to_smmu_domain = (dom: iommu_domain): smmu_domain => container_of(dom, smmu_domain, "domain");

const s = per_boot(() => ({ smmu: new iommu_device() }));

function smmu_capable(_dev: device, cap: number): boolean {
  return cap === IOMMU_CAP_CACHE_COHERENCY || cap === IOMMU_CAP_NOEXEC;
}

function smmu_domain_alloc(type: number): iommu_domain | null {
  if (type === IOMMU_DOMAIN_BLOCKED) return null;
  const dom = kzalloc(smmu_domain, GFP_KERNEL);
  if (!dom) return null;
  dom.domain.pgsize_bitmap = SZ_4K;
  dom.domain.geometry.aperture_end = (1n << 48n) - 1n;
  dom.domain.geometry.force_aperture = true;
  return dom.domain;
}

function smmu_probe_device(dev: device): iommu_device {
  for (let d: device | null = dev; d; d = d.parent)
    if (of_get_property(d.of_node, "iommus") ?? of_get_property(d.of_node, "iommu-map")) return s.smmu;
  return ERR_PTR(-ENODEV);
}

function smmu_device_group(dev: device): Sleeps<iommu_group> {
  if (dev_is_fsl_mc(dev)) return fsl_mc_device_group(dev);
  return generic_device_group(dev);
}

function smmu_get_resv_regions(_dev: device, head: list_head): void {
  const prot = IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO;
  const region = iommu_alloc_resv_region(MSI_IOVA_BASE, MSI_IOVA_LENGTH, prot, IOMMU_RESV_SW_MSI, GFP_KERNEL);
  if (region) list_add_tail(region.list, head);
}

const smmu_domain_ops: iommu_domain_ops = {
  attach_dev: () => 0,
  map(domain, iova, paddr, size) {
    const { pages } = to_smmu_domain(domain);
    for (let off = 0n; off < size; off += SZ_4K) {
      if (pages.has(iova + off)) return -EEXIST;
      pages.set(iova + off, paddr + off);
    }
    return 0;
  },
  unmap(domain, iova, size) {
    const { pages } = to_smmu_domain(domain);
    let unmapped = 0n;
    while (unmapped < size && pages.delete(iova + unmapped)) unmapped += SZ_4K;
    return unmapped;
  },
  iova_to_phys(domain, iova) {
    const page = to_smmu_domain(domain).pages.get(iova - (iova % SZ_4K));
    return page === undefined ? 0n : page + (iova % SZ_4K);
  },
  free(domain) {
    kfree(to_smmu_domain(domain));
  },
};

const smmu_ops: iommu_ops = {
  capable: smmu_capable,
  domain_alloc: smmu_domain_alloc,
  probe_device: smmu_probe_device,
  release_device: () => {},
  device_group: smmu_device_group,
  get_resv_regions: smmu_get_resv_regions,
  pgsize_bitmap: SZ_4K,
  default_domain_ops: smmu_domain_ops,
};

/** Before the first device is made that it is in front of. @return 0 or errno. May sleep */
export function* smmu_init(): Sleeps<number> {
  const ret = yield* iommu_device_sysfs_add(s.smmu, null, null, "smmu3.0x%s", "0000000009050000");
  if (ret) return ret;
  return yield* iommu_device_register(s.smmu, smmu_ops, null);
}
