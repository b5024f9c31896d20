// SPDX-License-Identifier: GPL-2.0-only
// custom: runtime power management; in a kernel without CONFIG_PM, which s390 is, every device is always on
import { atomic_add_unless, atomic_inc } from "./atomic.ts";
import type { device } from "./device.ts";
import { kconfig } from "./kconfig.ts";
import { RPM_ACTIVE, RPM_SUSPENDED } from "./pm.ts";
import { atomic_context, type Sleeps, type Spins } from "./types.ts";
import {
  __pm_runtime_disable,
  __pm_runtime_idle,
  __pm_runtime_resume,
  __pm_runtime_set_status,
  __pm_runtime_suspend,
} from "../../drivers/base/power/runtime.ts";

/** Let a worker do it: nothing of it sleeps. */
export const RPM_ASYNC = 0x01;
/** Do not wait for what is in progress. */
export const RPM_NOWAIT = 0x02;
/** Count the use, or the end of it. */
export const RPM_GET_PUT = 0x04;
/** Autosuspend, which nothing here uses: no delay. */
export const RPM_AUTO = 0x08;

/** One use more, without waking the device. Any context. */
export function pm_runtime_get_noresume(dev: device): void {
  if (kconfig.CONFIG_PM) atomic_inc(dev.power.usage_count);
}
/** One use less, without asking whether the device may sleep now. Any context. */
export function pm_runtime_put_noidle(dev: device): void {
  if (kconfig.CONFIG_PM) atomic_add_unless(dev.power.usage_count, -1, 0);
}
export function pm_suspend_ignore_children(dev: device, enable: boolean): void {
  if (kconfig.CONFIG_PM) dev.power.ignore_children = enable;
}
export function pm_runtime_suspended(dev: device): boolean {
  return kconfig.CONFIG_PM && dev.power.runtime_status === RPM_SUSPENDED && !dev.power.disable_depth;
}
export function pm_runtime_active(dev: device): boolean {
  return !kconfig.CONFIG_PM || dev.power.runtime_status === RPM_ACTIVE || dev.power.disable_depth !== 0;
}
export function pm_runtime_status_suspended(dev: device): boolean {
  return kconfig.CONFIG_PM && dev.power.runtime_status === RPM_SUSPENDED;
}
export function pm_runtime_enabled(dev: device): boolean {
  return kconfig.CONFIG_PM && !dev.power.disable_depth;
}

/** @return 0, 1 if it was awake, or -errno. May sleep */
export function pm_runtime_resume(dev: device): Sleeps<number> {
  return __pm_runtime_resume(dev, 0);
}
/** Counts a use and wakes the device. The use is counted even if it cannot be woken. @return as pm_runtime_resume(). May sleep */
export function pm_runtime_get_sync(dev: device): Sleeps<number> {
  return __pm_runtime_resume(dev, RPM_GET_PUT);
}
/** The same, but a device that cannot be woken is not counted as used. @return 0 or -errno. May sleep */
export function* pm_runtime_resume_and_get(dev: device): Sleeps<number> {
  const ret = yield* __pm_runtime_resume(dev, RPM_GET_PUT);
  if (ret < 0) {
    pm_runtime_put_noidle(dev);
    return ret;
  }
  return 0;
}
export function pm_runtime_get(dev: device): Spins<number> {
  return atomic_context(__pm_runtime_resume(dev, RPM_GET_PUT | RPM_ASYNC));
}
export function pm_request_resume(dev: device): Spins<number> {
  return atomic_context(__pm_runtime_resume(dev, RPM_ASYNC));
}
/** One use less; if it was the last, a worker looks whether the device may sleep. @return 0 or -errno */
export function pm_runtime_put(dev: device): Spins<number> {
  return atomic_context(__pm_runtime_idle(dev, RPM_GET_PUT | RPM_ASYNC));
}
/** The same, at once. May sleep */
export function pm_runtime_put_sync(dev: device): Sleeps<number> {
  return __pm_runtime_idle(dev, RPM_GET_PUT);
}
export function pm_runtime_idle(dev: device): Sleeps<number> {
  return __pm_runtime_idle(dev, 0);
}
export function pm_request_idle(dev: device): Spins<number> {
  return atomic_context(__pm_runtime_idle(dev, RPM_ASYNC));
}
export function pm_runtime_suspend(dev: device): Sleeps<number> {
  return __pm_runtime_suspend(dev, 0);
}
export function pm_runtime_set_active(dev: device): Spins<number> {
  return __pm_runtime_set_status(dev, RPM_ACTIVE);
}
export function pm_runtime_set_suspended(dev: device): Spins<number> {
  return __pm_runtime_set_status(dev, RPM_SUSPENDED);
}
export function pm_runtime_disable(dev: device): Sleeps {
  return __pm_runtime_disable(dev, true);
}

export {
  __pm_runtime_disable,
  __pm_runtime_idle,
  __pm_runtime_resume,
  __pm_runtime_set_status,
  __pm_runtime_suspend,
  pm_runtime_active_time,
  pm_runtime_allow,
  pm_runtime_barrier,
  pm_runtime_enable,
  pm_runtime_forbid,
  pm_runtime_get_if_active,
  pm_runtime_init,
  pm_runtime_reinit,
  pm_runtime_remove,
  pm_runtime_suspended_time,
} from "../../drivers/base/power/runtime.ts";
export { pm_wq } from "../../kernel/power/main.ts";
