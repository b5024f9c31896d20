// SPDX-License-Identifier: GPL-2.0-only
/** Planes as dma-bufs. Of drivers/gpu/drm/i915/gvt/dmabuf.c there is only the end: intel_vgpu_query_plane and intel_vgpu_get_dmabuf are left out, so there are none. */
import { WARN_ON } from "#linux/bug.ts";
import { list_empty } from "#linux/list.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { Sleeps } from "#linux/types.ts";
import type { intel_vgpu } from "./gvt.ts";

/** May sleep. */
export function* intel_vgpu_dmabuf_cleanup(vgpu: intel_vgpu): Sleeps {
  yield* mutex_lock(vgpu.dmabuf_lock);
  WARN_ON(!list_empty(vgpu.dmabuf_obj_list_head));
  mutex_unlock(vgpu.dmabuf_lock);
}
