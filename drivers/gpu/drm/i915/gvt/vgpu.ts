// SPDX-License-Identifier: GPL-2.0-only
/**
 * The life of a virtual GPU. Port of drivers/gpu/drm/i915/gvt/vgpu.c. Left out is what only a guest would notice: populate_pvinfo_page and
 * intel_gvt_update_reg_whitelist, and of a reset the resubmission, the ppgtt and the monitor's status.
 */
import { WARN } from "#linux/bug.ts";
import { ERR_PTR } from "#linux/err.ts";
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import { idr_alloc, idr_init_base, idr_remove } from "#linux/idr.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import type { mdev_type } from "#linux/mdev.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kcalloc, kfree } from "#linux/slab.ts";
import { sprintf } from "#linux/kernel.ts";
import { ptr, type Sleeps } from "#linux/types.ts";
import { atomic_read } from "#linux/atomic.ts";
import { vfree, vzalloc } from "#linux/vmalloc.ts";
import { I915_NUM_ENGINES, IS_BROADWELL, PORT_B, PORT_D } from "../i915_drv.ts";
import { intel_vgpu_alloc_resource, intel_vgpu_free_resource } from "./aperture_gm.ts";
import { intel_vgpu_init_cfg_space, intel_vgpu_reset_cfg_space } from "./cfg_space.ts";
import { gvt_dbg_core } from "./debug.ts";
import { intel_gvt_debugfs_add_vgpu, intel_gvt_debugfs_remove_vgpu } from "./debugfs.ts";
import { intel_vgpu_clean_display, intel_vgpu_init_display } from "./display.ts";
import { intel_vgpu_dmabuf_cleanup } from "./dmabuf.ts";
import { intel_vgpu_clean_gtt, intel_vgpu_init_gtt } from "./gtt.ts";
import {
  BYTES_TO_MB,
  gvt_aperture_sz,
  GVT_EDID_1024_768,
  GVT_EDID_1920_1200,
  gvt_hidden_sz,
  GVT_MAX_VGPU,
  HOST_HIGH_GM_SIZE,
  HOST_LOW_GM_SIZE,
  type intel_gvt,
  intel_vgpu,
  type intel_vgpu_config,
  intel_vgpu_type,
  MB_TO_BYTES,
  vgpu_edid_str,
} from "./gvt.ts";
import { intel_gvt_set_edid, intel_gvt_set_opregion, intel_vgpu_detach_regions } from "./kvmgt.ts";
import { intel_vgpu_clean_mmio, intel_vgpu_init_mmio, intel_vgpu_reset_mmio } from "./mmio.ts";
import { intel_vgpu_clean_opregion, intel_vgpu_init_opregion } from "./opregion.ts";
import {
  intel_vgpu_clean_sched_policy,
  intel_vgpu_init_sched_policy,
  intel_vgpu_stop_schedule,
} from "./sched_policy.ts";
import { intel_gvt_wait_vgpu_idle, intel_vgpu_clean_submission, intel_vgpu_setup_submission } from "./scheduler.ts";

/** Every engine. */
export const ALL_ENGINES = 0xffffffff;

const VGPU_MAX_WEIGHT = 16;
const VGPU_WEIGHT = (vgpu_num: number): number => VGPU_MAX_WEIGHT / vgpu_num;

/** Types are called GVTg_Vx_y: the generation of the device, and how many of the kind there can be at most. */
const intel_vgpu_configs: readonly intel_vgpu_config[] = [
  {
    low_mm: MB_TO_BYTES(64),
    high_mm: MB_TO_BYTES(384),
    fence: 4,
    weight: VGPU_WEIGHT(8),
    edid: GVT_EDID_1024_768,
    name: "8",
  },
  {
    low_mm: MB_TO_BYTES(128),
    high_mm: MB_TO_BYTES(512),
    fence: 4,
    weight: VGPU_WEIGHT(4),
    edid: GVT_EDID_1920_1200,
    name: "4",
  },
  {
    low_mm: MB_TO_BYTES(256),
    high_mm: MB_TO_BYTES(1024),
    fence: 4,
    weight: VGPU_WEIGHT(2),
    edid: GVT_EDID_1920_1200,
    name: "2",
  },
  {
    low_mm: MB_TO_BYTES(512),
    high_mm: MB_TO_BYTES(2048),
    fence: 4,
    weight: VGPU_WEIGHT(1),
    edid: GVT_EDID_1920_1200,
    name: "1",
  },
];

/** Makes the types that the device has room for. @return 0, -ENOMEM or -EINVAL. May sleep. */
export function intel_gvt_init_vgpu_types(gvt: intel_gvt): number {
  const low_avail = gvt_aperture_sz(gvt) - HOST_LOW_GM_SIZE;
  const high_avail = gvt_hidden_sz(gvt) - HOST_HIGH_GM_SIZE;
  const num_types = intel_vgpu_configs.length;
  let i: number;

  gvt.types = kcalloc(num_types, intel_vgpu_type, GFP_KERNEL);
  if (!gvt.types) return -ENOMEM;

  out_free_types: {
    gvt.mdev_types = kcalloc(num_types, ptr<mdev_type>(), GFP_KERNEL);
    if (!gvt.mdev_types) break out_free_types;

    out_free_mdev_types: {
      for (i = 0; i < num_types; ++i) {
        const conf = intel_vgpu_configs[i]!;
        const type = gvt.types.at(i);

        if (Math.floor(low_avail / conf.low_mm) === 0) break;
        if (conf.weight < 1 || conf.weight > VGPU_MAX_WEIGHT) break out_free_mdev_types;

        type.name = sprintf("GVTg_V%u_%s", gvt.gt!.i915!.graphics_ver === 8 ? 4 : 5, conf.name);
        type.conf = conf;

        gvt_dbg_core(
          "type[%d]: %s avail %u low %u high %u fence %u weight %u res %s\n",
          i,
          type.name,
          Math.min(Math.floor(low_avail / conf.low_mm), Math.floor(high_avail / conf.high_mm)),
          conf.low_mm,
          conf.high_mm,
          conf.fence,
          conf.weight,
          vgpu_edid_str(conf.edid),
        );

        gvt.mdev_types.set(i, type.type);
        gvt.mdev_types.at(i)!.sysfs_name = type.name;
      }

      gvt.num_types = i;
      return 0;
    }
    kfree(gvt.mdev_types);
  }
  kfree(gvt.types);
  return -EINVAL;
}

export function intel_gvt_clean_vgpu_types(gvt: intel_gvt): void {
  kfree(gvt.mdev_types);
  kfree(gvt.types);
}

/** May sleep. */
export function* intel_gvt_activate_vgpu(vgpu: intel_vgpu): Sleeps {
  yield* mutex_lock(vgpu.vgpu_lock);
  vgpu.active = true;
  mutex_unlock(vgpu.vgpu_lock);
}

/** Stops it. May sleep. */
export function* intel_gvt_deactivate_vgpu(vgpu: intel_vgpu): Sleeps {
  yield* mutex_lock(vgpu.vgpu_lock);

  vgpu.active = false;

  if (atomic_read(vgpu.submission.running_workload_num)) {
    mutex_unlock(vgpu.vgpu_lock);
    yield* intel_gvt_wait_vgpu_idle(vgpu);
    yield* mutex_lock(vgpu.vgpu_lock);
  }

  yield* intel_vgpu_stop_schedule(vgpu);

  mutex_unlock(vgpu.vgpu_lock);
}

/** Stops it, and forgets what it did. May sleep. */
export function* intel_gvt_release_vgpu(vgpu: intel_vgpu): Sleeps {
  yield* intel_gvt_deactivate_vgpu(vgpu);

  yield* mutex_lock(vgpu.vgpu_lock);
  vgpu.d3_entered = false;
  yield* intel_vgpu_dmabuf_cleanup(vgpu);
  mutex_unlock(vgpu.vgpu_lock);
}

/** Takes apart what intel_gvt_create_vgpu() has made. May sleep. */
export function* intel_gvt_destroy_vgpu(vgpu: intel_vgpu): Sleeps {
  const gvt = vgpu.gvt!;

  WARN(vgpu.active, "vGPU is still active!\n");

  // First, so that what follows sees whether any is left
  yield* mutex_lock(gvt.lock);
  idr_remove(gvt.vgpu_idr, vgpu.id);
  mutex_unlock(gvt.lock);

  yield* mutex_lock(vgpu.vgpu_lock);
  intel_gvt_debugfs_remove_vgpu(vgpu);
  yield* intel_vgpu_clean_sched_policy(vgpu);
  intel_vgpu_clean_submission(vgpu);
  intel_vgpu_clean_display(vgpu);
  intel_vgpu_clean_opregion(vgpu);
  intel_vgpu_clean_gtt(vgpu);
  intel_vgpu_detach_regions(vgpu);
  yield* intel_vgpu_free_resource(vgpu);
  intel_vgpu_clean_mmio(vgpu);
  yield* intel_vgpu_dmabuf_cleanup(vgpu);
  mutex_unlock(vgpu.vgpu_lock);
}

const IDLE_VGPU_IDR = 0;

/** The vGPU whose turn it is when it is nobody's. @return ERR_PTR(-ENOMEM) if there is no memory. May sleep. */
export function* intel_gvt_create_idle_vgpu(gvt: intel_gvt): Sleeps<intel_vgpu> {
  const vgpu = vzalloc(intel_vgpu);
  if (!vgpu) return ERR_PTR(-ENOMEM);

  vgpu.id = IDLE_VGPU_IDR;
  vgpu.gvt = gvt;
  mutex_init(vgpu.vgpu_lock, "&vgpu->vgpu_lock");

  for (let i = 0; i < I915_NUM_ENGINES; i++) INIT_LIST_HEAD(vgpu.submission.workload_q_head.at(i));

  const ret = yield* intel_vgpu_init_sched_policy(vgpu);
  out_free_vgpu: {
    if (ret) break out_free_vgpu;

    vgpu.active = false;

    return vgpu;
  }
  vfree(vgpu);
  return ERR_PTR(ret);
}

/** May sleep. */
export function* intel_gvt_destroy_idle_vgpu(vgpu: intel_vgpu): Sleeps {
  yield* mutex_lock(vgpu.vgpu_lock);
  yield* intel_vgpu_clean_sched_policy(vgpu);
  mutex_unlock(vgpu.vgpu_lock);

  vfree(vgpu);
}

/** @return 0 or errno, and then everything is undone, but see findings. May sleep. */
export function* intel_gvt_create_vgpu(vgpu: intel_vgpu, conf: intel_vgpu_config): Sleeps<number> {
  const gvt = vgpu.gvt!;

  gvt_dbg_core("low %u MB high %u MB fence %u\n", BYTES_TO_MB(conf.low_mm), BYTES_TO_MB(conf.high_mm), conf.fence);

  yield* mutex_lock(gvt.lock);
  let ret = idr_alloc(gvt.vgpu_idr, vgpu, IDLE_VGPU_IDR + 1, GVT_MAX_VGPU, GFP_KERNEL);
  out_unlock: {
    if (ret < 0) break out_unlock;

    vgpu.id = ret;
    vgpu.sched_ctl.weight = conf.weight;
    mutex_init(vgpu.vgpu_lock, "&vgpu->vgpu_lock");
    mutex_init(vgpu.dmabuf_lock, "&vgpu->dmabuf_lock");
    INIT_LIST_HEAD(vgpu.dmabuf_obj_list_head);
    idr_init_base(vgpu.object_idr, 1);
    intel_vgpu_init_cfg_space(vgpu, true);
    vgpu.d3_entered = false;

    out_clean_idr: {
      ret = intel_vgpu_init_mmio(vgpu);
      if (ret) break out_clean_idr;

      out_clean_vgpu_mmio: {
        ret = yield* intel_vgpu_alloc_resource(vgpu, conf);
        if (ret) break out_clean_vgpu_mmio;

        out_clean_vgpu_resource: {
          ret = intel_vgpu_init_gtt(vgpu);
          if (ret) break out_clean_vgpu_resource;

          out_clean_gtt: {
            ret = intel_vgpu_init_opregion(vgpu);
            if (ret) break out_clean_gtt;

            out_clean_opregion: {
              ret = intel_vgpu_init_display(vgpu, conf.edid);
              if (ret) break out_clean_opregion;

              out_clean_display: {
                ret = intel_vgpu_setup_submission(vgpu);
                if (ret) break out_clean_display;

                out_clean_submission: {
                  ret = yield* intel_vgpu_init_sched_policy(vgpu);
                  if (ret) break out_clean_submission;

                  intel_gvt_debugfs_add_vgpu(vgpu);

                  out_clean_sched_policy: {
                    ret = intel_gvt_set_opregion(vgpu);
                    if (ret) break out_clean_sched_policy;

                    ret = intel_gvt_set_edid(vgpu, IS_BROADWELL(gvt.gt!.i915!) ? PORT_B : PORT_D);
                    if (ret) break out_clean_sched_policy;

                    mutex_unlock(gvt.lock);
                    return 0;
                  }
                  yield* intel_vgpu_clean_sched_policy(vgpu);
                }
                intel_vgpu_clean_submission(vgpu);
              }
              intel_vgpu_clean_display(vgpu);
            }
            intel_vgpu_clean_opregion(vgpu);
          }
          intel_vgpu_clean_gtt(vgpu);
        }
        yield* intel_vgpu_free_resource(vgpu);
      }
      intel_vgpu_clean_mmio(vgpu);
    }
    idr_remove(gvt.vgpu_idr, vgpu.id);
  }
  mutex_unlock(gvt.lock);
  return ret;
}

/** @dmlr: the whole vGPU, and not only the engines of `engine_mask`. vgpu_lock held, and given up for a while. May sleep. */
export function* intel_gvt_reset_vgpu_locked(vgpu: intel_vgpu, dmlr: boolean, engine_mask: number): Sleeps {
  const { scheduler } = vgpu.gvt!;
  const resetting_eng = dmlr ? ALL_ENGINES : engine_mask;

  gvt_dbg_core("------------------------------------------\n");
  gvt_dbg_core("resseting vgpu%d, dmlr %d, engine_mask %08x\n", vgpu.id, dmlr, engine_mask);

  vgpu.resetting_eng = resetting_eng;

  yield* intel_vgpu_stop_schedule(vgpu);
  if (scheduler.current_vgpu === null) {
    mutex_unlock(vgpu.vgpu_lock);
    yield* intel_gvt_wait_vgpu_idle(vgpu);
    yield* mutex_lock(vgpu.vgpu_lock);
  }

  if (engine_mask === ALL_ENGINES || dmlr) {
    intel_vgpu_reset_mmio(vgpu, dmlr);

    if (dmlr) {
      intel_vgpu_reset_cfg_space(vgpu);
      vgpu.failsafe = false;
      if (vgpu.d3_entered) vgpu.d3_entered = false;
      else vgpu.pv_notified = false;
    }
  }

  vgpu.resetting_eng = 0;
  gvt_dbg_core("reset vgpu%d done\n", vgpu.id);
  gvt_dbg_core("------------------------------------------\n");
}

/** May sleep. */
export function* intel_gvt_reset_vgpu(vgpu: intel_vgpu): Sleeps {
  yield* mutex_lock(vgpu.vgpu_lock);
  yield* intel_gvt_reset_vgpu_locked(vgpu, true, 0);
  mutex_unlock(vgpu.vgpu_lock);
}
