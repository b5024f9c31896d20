// SPDX-License-Identifier: GPL-2.0-only
/**
 * Page tables of the graphics device, as they come and go. Port of drivers/gpu/drm/i915/gvt/gtt.c; all that shadows a guest's tables is left
 * out: entries and their formats, ppgtt mm objects, out-of-sync pages (which are off in C too), intel_gvt_restore_ggtt.
 */
import { IS_ERR, ERR_PTR, PTR_ERR } from "#linux/err.ts";
import { DMA_BIDIRECTIONAL, dma_map_page, dma_mapping_error, dma_unmap_page } from "#linux/dma-mapping.ts";
import { ENOMEM } from "#linux/errno.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { __free_page, alloc_page, PAGE_SHIFT } from "#linux/mm.ts";
import { mutex_init } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { vfree, vzalloc } from "#linux/vmalloc.ts";
import { gvt_dbg_core, gvt_err, gvt_vgpu_err } from "./debug.ts";
import {
  gvt_ggtt_gm_sz,
  type intel_gvt,
  type intel_vgpu,
  intel_vgpu_mm,
  NR_SCRATCH_PT,
  vgpu_aperture_sz,
  vgpu_hidden_sz,
} from "./gvt.ts";

const pages = (bytes: number): number => bytes / 2 ** PAGE_SHIFT;

function intel_vgpu_create_ggtt_mm(vgpu: intel_vgpu): intel_vgpu_mm {
  const mm = kzalloc(intel_vgpu_mm, GFP_KERNEL);
  if (!mm) return ERR_PTR(-ENOMEM);

  mm.vgpu = vgpu;

  const nr_entries = pages(gvt_ggtt_gm_sz(vgpu.gvt!));
  mm.virtual_ggtt = vzalloc(nr_entries * vgpu.gvt!.device_info.gtt_entry_size);
  if (!mm.virtual_ggtt) {
    kfree(mm);
    return ERR_PTR(-ENOMEM);
  }

  mm.host_ggtt_aperture = vzalloc(pages(vgpu_aperture_sz(vgpu)) * 8);
  if (!mm.host_ggtt_aperture) {
    vfree(mm.virtual_ggtt);
    kfree(mm);
    return ERR_PTR(-ENOMEM);
  }

  mm.host_ggtt_hidden = vzalloc(pages(vgpu_hidden_sz(vgpu)) * 8);
  if (!mm.host_ggtt_hidden) {
    vfree(mm.host_ggtt_aperture);
    vfree(mm.virtual_ggtt);
    kfree(mm);
    return ERR_PTR(-ENOMEM);
  }

  return mm;
}

function alloc_scratch_pages(vgpu: intel_vgpu, type: number): number {
  const { dev } = vgpu.gvt!.gt!.i915!.drm;
  const scratch = vgpu.gtt.scratch_pt.at(type);

  const page = alloc_page(GFP_KERNEL);
  if (!page) {
    gvt_vgpu_err(vgpu, "fail to allocate scratch page\n");
    return -ENOMEM;
  }

  const daddr = dma_map_page(dev, page, 0, 4096, DMA_BIDIRECTIONAL);
  if (dma_mapping_error(dev, daddr)) {
    gvt_vgpu_err(vgpu, "fail to dmamap scratch_pt\n");
    __free_page(page);
    return -ENOMEM;
  }
  scratch.page_mfn = daddr >> BigInt(PAGE_SHIFT);
  scratch.page = page;

  return 0;
}

function release_scratch_page_tree(vgpu: intel_vgpu): number {
  const { dev } = vgpu.gvt!.gt!.i915!.drm;

  for (const scratch of vgpu.gtt.scratch_pt) {
    if (scratch.page !== null) {
      const daddr = scratch.page_mfn << BigInt(PAGE_SHIFT);
      dma_unmap_page(dev, daddr, 4096, DMA_BIDIRECTIONAL);
      __free_page(scratch.page);
      scratch.page = null;
      scratch.page_mfn = 0n;
    }
  }

  return 0;
}

function create_scratch_page_tree(vgpu: intel_vgpu): number {
  let ret: number;

  err: {
    for (let i = 0; i < NR_SCRATCH_PT; i++) {
      ret = alloc_scratch_pages(vgpu, i);
      if (ret) break err;
    }

    return 0;
  }
  release_scratch_page_tree(vgpu);
  return ret;
}

/** @return 0 or -ENOMEM, in which case the mm of the global GTT may stay behind. May sleep. */
export function intel_vgpu_init_gtt(vgpu: intel_vgpu): number {
  const { gtt } = vgpu;

  gtt.ggtt_mm = intel_vgpu_create_ggtt_mm(vgpu);
  if (IS_ERR(gtt.ggtt_mm)) {
    gvt_vgpu_err(vgpu, "fail to create mm for ggtt.\n");
    return PTR_ERR(gtt.ggtt_mm);
  }

  return create_scratch_page_tree(vgpu);
}

function intel_vgpu_destroy_ggtt_mm(vgpu: intel_vgpu): void {
  const mm = vgpu.gtt.ggtt_mm!;

  vfree(mm.virtual_ggtt);
  vfree(mm.host_ggtt_aperture);
  vfree(mm.host_ggtt_hidden);
  kfree(mm);
  vgpu.gtt.ggtt_mm = null;
}

/** May sleep. */
export function intel_vgpu_clean_gtt(vgpu: intel_vgpu): void {
  intel_vgpu_destroy_ggtt_mm(vgpu);
  release_scratch_page_tree(vgpu);
}

/** @return 0 or -ENOMEM. May sleep. */
export function intel_gvt_init_gtt(gvt: intel_gvt): number {
  const { dev } = gvt.gt!.i915!.drm;

  gvt_dbg_core("init gtt\n");

  const page = alloc_page(GFP_KERNEL);
  if (!page) {
    gvt_err("fail to allocate scratch ggtt page\n");
    return -ENOMEM;
  }

  const daddr = dma_map_page(dev, page, 0, 4096, DMA_BIDIRECTIONAL);
  if (dma_mapping_error(dev, daddr)) {
    gvt_err("fail to dmamap scratch ggtt page\n");
    __free_page(page);
    return -ENOMEM;
  }

  gvt.gtt.scratch_page = page;
  gvt.gtt.scratch_mfn = daddr >> BigInt(PAGE_SHIFT);

  INIT_LIST_HEAD(gvt.gtt.ppgtt_mm_lru_list_head);
  mutex_init(gvt.gtt.ppgtt_mm_lock, "&gvt->gtt.ppgtt_mm_lock");
  return 0;
}

export function intel_gvt_clean_gtt(gvt: intel_gvt): void {
  const { dev } = gvt.gt!.i915!.drm;
  const daddr = gvt.gtt.scratch_mfn << BigInt(PAGE_SHIFT);

  dma_unmap_page(dev, daddr, 4096, DMA_BIDIRECTIONAL);

  __free_page(gvt.gtt.scratch_page!);
}
