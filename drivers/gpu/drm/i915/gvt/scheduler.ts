// SPDX-License-Identifier: GPL-2.0-only
/**
 * Threads that would submit a guest's work, and what a vGPU needs for it. Port of drivers/gpu/drm/i915/gvt/scheduler.c without work: i915
 * contexts and ppgtt, submission interfaces (intel_vgpu_select_submission_ops), and everything about a workload are left out.
 */
import { atomic_read, atomic_set } from "#linux/atomic.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { ENOMEM } from "#linux/errno.ts";
import { kthread_run, kthread_should_stop, kthread_stop } from "#linux/kthread.ts";
import { INIT_LIST_HEAD, list_head } from "#linux/list.ts";
import { kmem_cache_create, kmem_cache_destroy, SLAB_HWCACHE_ALIGN } from "#linux/slab.ts";
import { embed, type Sleeps, struct } from "#linux/types.ts";
import { init_waitqueue_head, wait_event, wait_event_interruptible } from "#linux/wait.ts";
import { I915_NUM_ENGINES } from "../i915_drv.ts";
import { gvt_dbg_core, gvt_err } from "./debug.ts";
import type { intel_gvt, intel_vgpu } from "./gvt.ts";

/** A guest's work; there is none. */
class intel_vgpu_workload extends struct("intel_vgpu_workload", { list: embed(() => list_head) }) {}

interface workload_thread_param {
  readonly gvt: intel_gvt;
  readonly engine: number;
}

/* Waits for work, of which there is none, until it is told to stop. */
function* workload_thread(p: workload_thread_param): Sleeps<number> {
  while (!kthread_should_stop())
    yield* wait_event_interruptible(p.gvt.scheduler.waitq.at(p.engine), kthread_should_stop);
  return 0;
}

/** May sleep. */
export function* intel_gvt_wait_vgpu_idle(vgpu: intel_vgpu): Sleeps {
  const { running_workload_num } = vgpu.submission;

  if (atomic_read(running_workload_num))
    yield* wait_event(vgpu.gvt!.scheduler.workload_complete_wq, () => !atomic_read(running_workload_num));
}

/** May sleep. */
export function* intel_gvt_clean_workload_scheduler(gvt: intel_gvt): Sleeps {
  gvt_dbg_core("clean workload scheduler\n");

  for (let i = 0; i < I915_NUM_ENGINES; i++) yield* kthread_stop(gvt.scheduler.thread.at(i)!);
}

/** @return 0 or errno. May sleep. */
export function* intel_gvt_init_workload_scheduler(gvt: intel_gvt): Sleeps<number> {
  const { scheduler } = gvt;
  let ret: number;

  gvt_dbg_core("init workload scheduler\n");

  init_waitqueue_head(scheduler.workload_complete_wq, "&scheduler->workload_complete_wq");

  err: {
    for (let i = 0; i < I915_NUM_ENGINES; i++) {
      init_waitqueue_head(scheduler.waitq.at(i), "&scheduler->waitq[i]");

      const thread = kthread_run(workload_thread, { gvt, engine: i }, "gvt:%s", gvt.gt!.engine.at(i).name);
      scheduler.thread.set(i, thread);
      if (IS_ERR(thread)) {
        gvt_err("fail to create workload thread\n");
        ret = PTR_ERR(thread);
        break err;
      }
    }

    return 0;
  }
  yield* intel_gvt_clean_workload_scheduler(gvt);
  return ret;
}

/** May sleep. */
export function intel_vgpu_clean_submission(vgpu: intel_vgpu): void {
  kmem_cache_destroy(vgpu.submission.workloads);
}

/** @return 0 or -ENOMEM. May sleep. */
export function intel_vgpu_setup_submission(vgpu: intel_vgpu): number {
  const s = vgpu.submission;

  for (let i = 0; i < I915_NUM_ENGINES; i++) INIT_LIST_HEAD(s.workload_q_head.at(i));

  s.workloads = kmem_cache_create("gvt-g_vgpu_workload", intel_vgpu_workload, 0, SLAB_HWCACHE_ALIGN, null);

  if (!s.workloads) return -ENOMEM;

  atomic_set(s.running_workload_num, 0);

  return 0;
}
