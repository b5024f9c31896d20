// SPDX-License-Identifier: GPL-2.0-only
/** What the driver core calls of power management. Source: drivers/base/power/power.h */
import type { device } from "#linux/device.ts";
import { pm_runtime_init } from "#linux/pm_runtime.ts";
import { spin_lock_init } from "#linux/spinlock.ts";

function device_pm_init_common(dev: device): void {
  if (!dev.power.early_init) {
    spin_lock_init(dev.power.lock, "&dev->power.lock");
    dev.power.early_init = true;
  }
}

/** For device_initialize(). */
export function device_pm_init(dev: device): void {
  device_pm_init_common(dev);
  pm_runtime_init(dev);
}
