// SPDX-License-Identifier: GPL-2.0-only
/** What a vGPU gets of the device: graphics memory and fences. Port of drivers/gpu/drm/i915/gvt/aperture_gm.c; registers are not written. */
import { IS_ERR } from "#linux/err.ts";
import { EINVAL, ENOSPC } from "#linux/errno.ts";
import { WARN_ON } from "#linux/bug.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { Sleeps } from "#linux/types.ts";
import { drm_mm_remove_node, i915_gem_gtt_insert, i915_reserve_fence, i915_unreserve_fence } from "../i915_gem_gtt.ts";
import { gvt_dbg_core, gvt_err, gvt_vgpu_err } from "./debug.ts";
import {
  BYTES_TO_MB,
  gvt_aperture_gmadr_base,
  gvt_aperture_gmadr_end,
  gvt_aperture_sz,
  gvt_fence_sz,
  gvt_hidden_gmadr_base,
  gvt_hidden_gmadr_end,
  gvt_hidden_sz,
  HOST_FENCE,
  HOST_HIGH_GM_SIZE,
  HOST_LOW_GM_SIZE,
  type intel_vgpu,
  type intel_vgpu_config,
  vgpu_aperture_offset,
  vgpu_aperture_sz,
  vgpu_fence_sz,
  vgpu_hidden_offset,
  vgpu_hidden_sz,
} from "./gvt.ts";

const I915_GTT_PAGE_SIZE = 4096;
const ALIGN = (n: number): number => Math.ceil(n / I915_GTT_PAGE_SIZE) * I915_GTT_PAGE_SIZE;

function* alloc_gm(vgpu: intel_vgpu, high_gm: boolean): Sleeps<number> {
  const gvt = vgpu.gvt!;
  const { ggtt } = gvt.gt!;

  const node = high_gm ? vgpu.gm.high_gm_node : vgpu.gm.low_gm_node;
  const size = high_gm ? vgpu_hidden_sz(vgpu) : vgpu_aperture_sz(vgpu);
  const start = ALIGN(high_gm ? gvt_hidden_gmadr_base(gvt) : gvt_aperture_gmadr_base(gvt));
  const end = ALIGN(high_gm ? gvt_hidden_gmadr_end(gvt) : gvt_aperture_gmadr_end(gvt));

  yield* mutex_lock(ggtt.vm_mutex);
  const ret = i915_gem_gtt_insert(ggtt, node, size, start, end);
  mutex_unlock(ggtt.vm_mutex);
  if (ret) gvt_err("fail to alloc %s gm space from host\n", high_gm ? "high" : "low");

  return ret;
}

function* alloc_vgpu_gm(vgpu: intel_vgpu): Sleeps<number> {
  const { ggtt } = vgpu.gvt!.gt!;

  let ret = yield* alloc_gm(vgpu, false);
  if (ret) return ret;

  out_free_aperture: {
    ret = yield* alloc_gm(vgpu, true);
    if (ret) break out_free_aperture;

    gvt_dbg_core(
      "vgpu%d: alloc low GM start %llx size %llx\n",
      vgpu.id,
      vgpu_aperture_offset(vgpu),
      vgpu_aperture_sz(vgpu),
    );

    gvt_dbg_core(
      "vgpu%d: alloc high GM start %llx size %llx\n",
      vgpu.id,
      vgpu_hidden_offset(vgpu),
      vgpu_hidden_sz(vgpu),
    );

    return 0;
  }
  yield* mutex_lock(ggtt.vm_mutex);
  drm_mm_remove_node(vgpu.gm.low_gm_node);
  mutex_unlock(ggtt.vm_mutex);
  return ret;
}

function* free_vgpu_gm(vgpu: intel_vgpu): Sleeps {
  const { ggtt } = vgpu.gvt!.gt!;

  yield* mutex_lock(ggtt.vm_mutex);
  drm_mm_remove_node(vgpu.gm.low_gm_node);
  drm_mm_remove_node(vgpu.gm.high_gm_node);
  mutex_unlock(ggtt.vm_mutex);
}

function* free_vgpu_fence(vgpu: intel_vgpu): Sleeps {
  const { ggtt } = vgpu.gvt!.gt!;

  if (WARN_ON(!vgpu_fence_sz(vgpu))) return;

  yield* mutex_lock(ggtt.vm_mutex);
  for (let i = 0; i < vgpu_fence_sz(vgpu); i++) {
    const reg = vgpu.fence.regs.at(i);
    i915_unreserve_fence(reg!);
    vgpu.fence.regs.set(i, null);
  }
  mutex_unlock(ggtt.vm_mutex);
}

function* alloc_vgpu_fence(vgpu: intel_vgpu): Sleeps<number> {
  const { ggtt } = vgpu.gvt!.gt!;

  yield* mutex_lock(ggtt.vm_mutex);

  out_free_fence: {
    for (let i = 0; i < vgpu_fence_sz(vgpu); i++) {
      const reg = i915_reserve_fence(ggtt);
      if (IS_ERR(reg)) break out_free_fence;

      vgpu.fence.regs.set(i, reg);
    }

    mutex_unlock(ggtt.vm_mutex);
    return 0;
  }
  gvt_vgpu_err(vgpu, "Failed to alloc fences\n");
  for (let i = 0; i < vgpu_fence_sz(vgpu); i++) {
    const reg = vgpu.fence.regs.at(i);
    if (!reg) continue;
    i915_unreserve_fence(reg);
    vgpu.fence.regs.set(i, null);
  }
  mutex_unlock(ggtt.vm_mutex);
  return -ENOSPC;
}

function free_resource(vgpu: intel_vgpu): void {
  const gvt = vgpu.gvt!;

  gvt.gm.vgpu_allocated_low_gm_size -= vgpu_aperture_sz(vgpu);
  gvt.gm.vgpu_allocated_high_gm_size -= vgpu_hidden_sz(vgpu);
  gvt.fence.vgpu_allocated_fence_num -= vgpu_fence_sz(vgpu);
}

function alloc_resource(vgpu: intel_vgpu, conf: intel_vgpu_config): number {
  const gvt = vgpu.gvt!;

  if (!conf.low_mm || !conf.high_mm || !conf.fence) {
    gvt_vgpu_err(vgpu, "Invalid vGPU creation params\n");
    return -EINVAL;
  }

  let item = "low GM space";
  let max = gvt_aperture_sz(gvt) - HOST_LOW_GM_SIZE;
  let taken = gvt.gm.vgpu_allocated_low_gm_size;
  let avail = max - taken;
  let request = conf.low_mm;

  no_enough_resource: {
    if (request > avail) break no_enough_resource;

    vgpu.gm.aperture_sz = ALIGN(request);

    item = "high GM space";
    max = gvt_hidden_sz(gvt) - HOST_HIGH_GM_SIZE;
    taken = gvt.gm.vgpu_allocated_high_gm_size;
    avail = max - taken;
    request = conf.high_mm;

    if (request > avail) break no_enough_resource;

    vgpu.gm.hidden_sz = ALIGN(request);

    item = "fence";
    max = gvt_fence_sz(gvt) - HOST_FENCE;
    taken = gvt.fence.vgpu_allocated_fence_num;
    avail = max - taken;
    request = conf.fence;

    if (request > avail) break no_enough_resource;

    vgpu.fence.size = request;

    gvt.gm.vgpu_allocated_low_gm_size += conf.low_mm;
    gvt.gm.vgpu_allocated_high_gm_size += conf.high_mm;
    gvt.fence.vgpu_allocated_fence_num += conf.fence;
    return 0;
  }
  gvt_err("fail to allocate resource %s\n", item);
  gvt_err(
    "request %luMB avail %luMB max %luMB taken %luMB\n",
    BYTES_TO_MB(request),
    BYTES_TO_MB(avail),
    BYTES_TO_MB(max),
    BYTES_TO_MB(taken),
  );
  return -ENOSPC;
}

/** Gives back what a vGPU has. May sleep. */
export function* intel_vgpu_free_resource(vgpu: intel_vgpu): Sleeps {
  yield* free_vgpu_gm(vgpu);
  yield* free_vgpu_fence(vgpu);
  free_resource(vgpu);
}

/** @return 0, -EINVAL or -ENOSPC. May sleep. */
export function* intel_vgpu_alloc_resource(vgpu: intel_vgpu, conf: intel_vgpu_config): Sleeps<number> {
  let ret = alloc_resource(vgpu, conf);
  if (ret) return ret;

  out_free_resource: {
    ret = yield* alloc_vgpu_gm(vgpu);
    if (ret) break out_free_resource;

    out_free_vgpu_gm: {
      ret = yield* alloc_vgpu_fence(vgpu);
      if (ret) break out_free_vgpu_gm;

      return 0;
    }
    yield* free_vgpu_gm(vgpu);
  }
  free_resource(vgpu);
  return ret;
}
