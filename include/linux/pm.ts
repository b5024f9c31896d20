// SPDX-License-Identifier: GPL-2.0-only
// dup: power management of devices; system sleep is not there: its callbacks exist and nobody calls them
import { atomic_t } from "./atomic.ts";
import type { device } from "./device.ts";
import { spinlock } from "./spinlock.ts";
import { bool, embed, int, opaque, type Sleeps, struct } from "./types.ts";
import { wait_queue_head } from "./wait.ts";
import { work_struct } from "./workqueue.ts";

export type pm_callback = (dev: device) => Sleeps<number> | number;

export interface dev_pm_ops {
  readonly prepare?: pm_callback;
  readonly complete?: (dev: device) => void;
  readonly suspend?: pm_callback;
  readonly resume?: pm_callback;
  readonly freeze?: pm_callback;
  readonly thaw?: pm_callback;
  readonly poweroff?: pm_callback;
  readonly restore?: pm_callback;
  readonly runtime_suspend?: pm_callback;
  readonly runtime_resume?: pm_callback;
  readonly runtime_idle?: pm_callback;
}

export const RPM_INVALID = -1;
export const RPM_ACTIVE = 0;
export const RPM_RESUMING = 1;
export const RPM_SUSPENDED = 2;
export const RPM_SUSPENDING = 3;

export const RPM_REQ_NONE = 0;
export const RPM_REQ_IDLE = 1;
export const RPM_REQ_SUSPEND = 2;
export const RPM_REQ_AUTOSUSPEND = 3;
export const RPM_REQ_RESUME = 4;

/** The part of a device that runtime power management keeps; without autosuspend, wakeup, QoS and interrupt-safe callbacks. */
export class dev_pm_info extends struct("dev_pm_info", {
  early_init: bool(),
  lock: embed(() => spinlock),
  work: embed(() => work_struct),
  wait_queue: embed(() => wait_queue_head),
  usage_count: embed(() => atomic_t),
  /** Children that are not suspended. */
  child_count: embed(() => atomic_t),
  /** Above 0 while it is disabled. */
  disable_depth: int(),
  idle_notification: bool(),
  request_pending: bool(),
  deferred_resume: bool(),
  ignore_children: bool(),
  /** Off: pm_runtime_forbid() holds a count. */
  runtime_auto: bool(),
  request: int(),
  runtime_status: int(),
  last_status: int(),
  runtime_error: int(),
  /** These three in nanoseconds. */
  accounting_timestamp: opaque(() => 0),
  active_time: opaque(() => 0),
  suspended_time: opaque(() => 0),
}) {}
