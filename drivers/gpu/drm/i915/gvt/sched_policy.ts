// SPDX-License-Identifier: GPL-2.0-only
/**
 * Whose turn it is on the device. Port of drivers/gpu/drm/i915/gvt/sched_policy.c: what is kept for the device and for each vGPU. No vGPU ever
 * starts to be scheduled (a guest would have to submit work), so the timer, time slices, intel_gvt_schedule and the rest are left out.
 */
import { ENOMEM } from "#linux/errno.ts";
import { INIT_LIST_HEAD, list_del_init } from "#linux/list.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import type { Sleeps } from "#linux/types.ts";
import { gvt_dbg_core } from "./debug.ts";
import { gvt_sched_data, type intel_gvt, type intel_vgpu, vgpu_sched_data } from "./gvt.ts";

function tbs_sched_init(gvt: intel_gvt): number {
  const data = kzalloc(gvt_sched_data, GFP_KERNEL);
  if (!data) return -ENOMEM;

  INIT_LIST_HEAD(data.lru_runq_head);
  data.gvt = gvt;

  gvt.scheduler.sched_data = data;

  return 0;
}

function tbs_sched_clean(gvt: intel_gvt): void {
  kfree(gvt.scheduler.sched_data);
  gvt.scheduler.sched_data = null;
}

function tbs_sched_init_vgpu(vgpu: intel_vgpu): number {
  const data = kzalloc(vgpu_sched_data, GFP_KERNEL);
  if (!data) return -ENOMEM;

  data.sched_ctl.weight = vgpu.sched_ctl.weight;
  data.vgpu = vgpu;
  INIT_LIST_HEAD(data.lru_list);

  vgpu.sched_data = data;

  return 0;
}

function tbs_sched_clean_vgpu(vgpu: intel_vgpu): void {
  kfree(vgpu.sched_data);
  vgpu.sched_data = null;
}

function tbs_sched_stop_schedule(vgpu: intel_vgpu): void {
  const vgpu_data = vgpu.sched_data!;

  list_del_init(vgpu_data.lru_list);
  vgpu_data.active = false;
}

/** @return 0 or -ENOMEM. May sleep. */
export function* intel_gvt_init_sched_policy(gvt: intel_gvt): Sleeps<number> {
  yield* mutex_lock(gvt.sched_lock);
  const ret = tbs_sched_init(gvt);
  mutex_unlock(gvt.sched_lock);

  return ret;
}

/** May sleep. */
export function* intel_gvt_clean_sched_policy(gvt: intel_gvt): Sleeps {
  yield* mutex_lock(gvt.sched_lock);
  tbs_sched_clean(gvt);
  mutex_unlock(gvt.sched_lock);
}

/** @return 0 or -ENOMEM. May sleep. */
export function* intel_vgpu_init_sched_policy(vgpu: intel_vgpu): Sleeps<number> {
  yield* mutex_lock(vgpu.gvt!.sched_lock);
  const ret = tbs_sched_init_vgpu(vgpu);
  mutex_unlock(vgpu.gvt!.sched_lock);

  return ret;
}

/** May sleep. */
export function* intel_vgpu_clean_sched_policy(vgpu: intel_vgpu): Sleeps {
  yield* mutex_lock(vgpu.gvt!.sched_lock);
  tbs_sched_clean_vgpu(vgpu);
  mutex_unlock(vgpu.gvt!.sched_lock);
}

/** May sleep. */
export function* intel_vgpu_stop_schedule(vgpu: intel_vgpu): Sleeps {
  const { scheduler } = vgpu.gvt!;

  if (!vgpu.sched_data!.active) return;

  gvt_dbg_core("vgpu%d: stop schedule\n", vgpu.id);

  yield* mutex_lock(vgpu.gvt!.sched_lock);
  tbs_sched_stop_schedule(vgpu);

  if (scheduler.next_vgpu === vgpu) scheduler.next_vgpu = null;

  if (scheduler.current_vgpu === vgpu) {
    scheduler.need_reschedule = true;
    scheduler.current_vgpu = null;
  }
  mutex_unlock(vgpu.gvt!.sched_lock);
}
