// SPDX-License-Identifier: GPL-2.0-only
// stub: runtime power management as in a kernel without CONFIG_PM: every device is always on
import { ENOSYS } from "./errno.ts";
import type { device } from "./device.ts";

export const pm_runtime_get_sync = (_dev: device): number => 1;
export const pm_runtime_resume = (_dev: device): number => 1;
export const pm_runtime_resume_and_get = (_dev: device): number => 0;
export const pm_runtime_get_noresume = (_dev: device): void => {};
export const pm_runtime_get = (_dev: device): number => 1;
export const pm_runtime_put = (_dev: device): number => -ENOSYS;
export const pm_runtime_put_sync = (_dev: device): number => -ENOSYS;
export const pm_runtime_put_noidle = (_dev: device): void => {};
export const pm_runtime_enable = (_dev: device): void => {};
export const pm_runtime_disable = (_dev: device): void => {};
export const pm_runtime_allow = (_dev: device): void => {};
export const pm_runtime_forbid = (_dev: device): void => {};
export const pm_runtime_barrier = (_dev: device): number => 0;
export const pm_runtime_suspended = (_dev: device): boolean => false;
export const pm_runtime_active = (_dev: device): boolean => true;
