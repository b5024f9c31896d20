// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a domain carries for who uses its addresses. Not here: the kernel's own DMA through such a domain; drivers get physical
 * addresses (include/linux/dma-mapping.ts).
 */
import { EEXIST, EINVAL, ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { type iommu_domain, IOMMU_DOMAIN_UNMANAGED } from "#linux/iommu.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { ptr, struct, u32, u64 } from "#linux/types.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

const IOMMU_DMA_IOVA_COOKIE = 0;
const IOMMU_DMA_MSI_COOKIE = 1;

class iommu_dma_cookie extends struct("iommu_dma_cookie", {
  type: u32(),
  msi_iova: u64(),
  fq_domain: ptr<iommu_domain>(),
}) {}

function cookie_alloc(type: number): iommu_dma_cookie | null {
  const cookie = kzalloc(iommu_dma_cookie, GFP_KERNEL);
  if (cookie) cookie.type = type;
  return cookie;
}

/** For a domain of the kernel's own DMA. @return 0, -EEXIST, -ENOMEM. Source: drivers/iommu/dma-iommu.c */
export function iommu_get_dma_cookie(domain: iommu_domain): number {
  if (domain.iova_cookie) return -EEXIST;

  domain.iova_cookie = cookie_alloc(IOMMU_DMA_IOVA_COOKIE);
  if (!domain.iova_cookie) return -ENOMEM;

  return 0;
}

/**
 * For a domain of user space whose MSI window the kernel chooses. @base: where it begins
 * @return 0, -EINVAL, -EEXIST, -ENOMEM. Source: drivers/iommu/dma-iommu.c
 */
export function iommu_get_msi_cookie(domain: iommu_domain, base: bigint): number {
  if (domain.type !== IOMMU_DOMAIN_UNMANAGED) return -EINVAL;

  if (domain.iova_cookie) return -EEXIST;

  const cookie = cookie_alloc(IOMMU_DMA_MSI_COOKIE);
  if (!cookie) return -ENOMEM;

  cookie.msi_iova = base;
  domain.iova_cookie = cookie;
  return 0;
}
EXPORT_SYMBOL(iommu_get_msi_cookie);

/** Frees it, if there is one. Source: drivers/iommu/dma-iommu.c */
export function iommu_put_dma_cookie(domain: iommu_domain): void {
  const cookie = domain.iova_cookie;

  if (!cookie) return;

  kfree(cookie);
  domain.iova_cookie = null;
}

/** What is unmapped is flushed later, many at once. @return 0. Source: drivers/iommu/dma-iommu.c */
export function iommu_dma_init_fq(domain: iommu_domain): number {
  const cookie = domain.iova_cookie as iommu_dma_cookie;

  if (cookie.fq_domain) return 0;

  cookie.fq_domain = domain;
  return 0;
}
