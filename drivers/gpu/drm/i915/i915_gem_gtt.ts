// SPDX-License-Identifier: GPL-2.0-only
/** Pieces of the global GTT, and fences. In place of i915_gem_gtt.c, drm_mm.c and gt/intel_ggtt_fencing.c: first fit, nothing is evicted. */
import { ERR_PTR } from "#linux/err.ts";
import { ENOSPC } from "#linux/errno.ts";
import { list_add_tail, list_del, list_for_each_entry } from "#linux/list.ts";
import { kbuild } from "#linux/module.ts";
import { drm_mm_node, type i915_fence_reg, type i915_ggtt } from "./i915_drv.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** @start, @end: where the piece may lie, in bytes. vm_mutex held. @return 0 or -ENOSPC */
export function i915_gem_gtt_insert(
  ggtt: i915_ggtt,
  node: drm_mm_node,
  size: number,
  start: number,
  end: number,
): number {
  const taken = [...list_for_each_entry(ggtt.vm_mm, drm_mm_node, "node_list")].sort((a, b) => a.start - b.start);
  let at = start;
  for (const n of taken) if (n.start < at + size && at < n.start + n.size) at = n.start + n.size;
  if (at + size > end) return -ENOSPC;
  node.start = at;
  node.size = size;
  node.allocated = true;
  list_add_tail(node.node_list, ggtt.vm_mm);
  return 0;
}
EXPORT_SYMBOL_GPL(i915_gem_gtt_insert);

/** vm_mutex held. */
export function drm_mm_remove_node(node: drm_mm_node): void {
  node.allocated = false;
  list_del(node.node_list);
}
EXPORT_SYMBOL_GPL(drm_mm_remove_node);

/** One of the device's fences; one always stays for the display. vm_mutex held. @return ERR_PTR(-ENOSPC) if there is none */
export function i915_reserve_fence(ggtt: i915_ggtt): i915_fence_reg {
  const free = [...ggtt.fence_regs].filter((f) => !f.reserved);
  const [first] = free;
  if (!first || free.length <= 1) return ERR_PTR(-ENOSPC);
  first.reserved = true;
  return first;
}
EXPORT_SYMBOL_GPL(i915_reserve_fence);

/** Gives it back. vm_mutex held. */
export function i915_unreserve_fence(fence: i915_fence_reg): void {
  fence.reserved = false;
}
EXPORT_SYMBOL_GPL(i915_unreserve_fence);
