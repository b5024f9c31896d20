// SPDX-License-Identifier: GPL-2.0-only
/**
 * Making and destroying workqueues. Source: kernel/workqueue.c. Of the allocations that can fail there is the first,
 * that of the workqueue itself; rescuers and attributes are missing, and so are the threads and memory they would need.
 */
import {
  __WQ_LEGACY,
  __WQ_ORDERED,
  __WQ_ORDERED_EXPLICIT,
  workqueue_struct,
  WQ_DFL_ACTIVE,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
  WQ_MAX_ACTIVE,
  WQ_MEM_RECLAIM,
  WQ_POWER_EFFICIENT,
  WQ_UNBOUND,
} from "../../include/linux/workqueue.ts";
import { GFP_KERNEL } from "../../include/linux/gfp_types.ts";
import { per_boot } from "../boot.ts";
import { type printf_arg, sprintf } from "../lib/vsprintf.ts";
import { lock_class_key, lockdep_init_map } from "../locking/lockdep.ts";
import { kfree, kzalloc } from "../mm/slab.ts";
import { WARN_ON } from "../panic.ts";
import { pr_warn } from "../printk.ts";
import { might_sleep } from "../sched/debug.ts";
import type { Sleeps } from "../sched/types.ts";
import { drain_workqueue } from "./flush.ts";

const WQ_NAME_LEN = 24;

function init_workqueue(wq: workqueue_struct, name: string, flags: number, max_active: number): void {
  const all = flags & WQ_UNBOUND && max_active === 1 ? flags | __WQ_ORDERED : flags;
  wq.flags = all;
  wq.name = name.slice(0, WQ_NAME_LEN - 1);
  wq.max_active = Math.min(Math.max(max_active || WQ_DFL_ACTIVE, 1), WQ_MAX_ACTIVE);
  wq.in_flight = new Set();
  wq.inactive_works = [];
  // Each workqueue is a class of its own.
  lockdep_init_map(wq.dep_map, wq, `(wq_completion)${wq.name}`, new lock_class_key());
}

/**
 * A new workqueue. @fmt: its name. @flags: WQ_…. @max_active: how many of its items may run at once, 0 for the default
 * @return it, or null if there is no memory. Process context, may sleep.
 */
export function alloc_workqueue(
  fmt: string,
  flags: number,
  max_active: number,
  ...args: readonly printf_arg[]
): workqueue_struct | null {
  might_sleep();
  const wq = kzalloc(workqueue_struct, GFP_KERNEL);
  if (!wq) return null;
  init_workqueue(wq, sprintf(fmt, ...args), flags, max_active);
  s.workqueues.add(wq);
  return wq;
}
/** A workqueue that runs one item after the other, in the order in which they were queued. */
export function alloc_ordered_workqueue(
  fmt: string,
  flags: number,
  ...args: readonly printf_arg[]
): workqueue_struct | null {
  return alloc_workqueue(fmt, WQ_UNBOUND | __WQ_ORDERED | __WQ_ORDERED_EXPLICIT | flags, 1, ...args);
}
export function create_singlethread_workqueue(name: string): workqueue_struct | null {
  return alloc_ordered_workqueue("%s", __WQ_LEGACY | WQ_MEM_RECLAIM, name);
}
export function create_workqueue(name: string): workqueue_struct | null {
  return alloc_workqueue("%s", __WQ_LEGACY | WQ_MEM_RECLAIM, 1, name);
}

/** Waits for everything queued, then frees the workqueue. May sleep. */
export function* destroy_workqueue(wq: workqueue_struct): Sleeps {
  yield* drain_workqueue(wq);
  if (WARN_ON(wq.in_flight.size > 0 || wq.nr_active > 0)) {
    pr_warn("%s: %s has the following busy pwq\n", "destroy_workqueue", wq.name);
    return;
  }
  s.workqueues.delete(wq);
  // Linux waits for an RCU grace period first; no reader here outlives the call.
  kfree(wq);
}

function builtin(name: string, flags: number): workqueue_struct {
  const wq = new workqueue_struct();
  init_workqueue(wq, name, flags, 0);
  return wq;
}

export let system_wq: workqueue_struct;
export let system_highpri_wq: workqueue_struct;
export let system_long_wq: workqueue_struct;
export let system_unbound_wq: workqueue_struct;
export let system_freezable_wq: workqueue_struct;
export let system_power_efficient_wq: workqueue_struct;

const s = per_boot(() => {
  system_wq = builtin("events", 0);
  system_highpri_wq = builtin("events_highpri", WQ_HIGHPRI);
  system_long_wq = builtin("events_long", 0);
  system_unbound_wq = builtin("events_unbound", WQ_UNBOUND);
  system_freezable_wq = builtin("events_freezable", WQ_FREEZABLE);
  system_power_efficient_wq = builtin("events_power_efficient", WQ_POWER_EFFICIENT);
  return { workqueues: new Set<workqueue_struct>() };
});
