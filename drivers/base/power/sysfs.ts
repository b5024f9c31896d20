// SPDX-License-Identifier: GPL-2.0-only
/**
 * The directory `power` of devices: the files of a kernel with CONFIG_PM and without CONFIG_PM_ADVANCED_DEBUG. Wakeup and QoS
 * files are not there. Part of drivers/base/power/sysfs.c.
 */
import {
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  type device,
  type device_attribute,
  device_lock,
  device_unlock,
} from "#linux/device.ts";
import { EINVAL, EIO } from "#linux/errno.ts";
import { kconfig } from "#linux/kconfig.ts";
import { RPM_ACTIVE, RPM_RESUMING, RPM_SUSPENDED, RPM_SUSPENDING } from "#linux/pm.ts";
import {
  pm_runtime_active_time,
  pm_runtime_allow,
  pm_runtime_forbid,
  pm_runtime_suspended_time,
} from "#linux/pm_runtime.ts";
import {
  type attribute_group,
  type sysfs_buf,
  sysfs_create_group,
  sysfs_emit,
  sysfs_remove_group,
  sysfs_streq,
} from "#linux/sysfs.ts";
import { ready_int, READY, type Sleeps } from "#linux/types.ts";

const NSEC_PER_MSEC = 1_000_000;

function control_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%s\n", dev.power.runtime_auto ? "auto" : "on");
}
function* control_store(dev: device, _attr: device_attribute, buf: string, n: number): Sleeps<number> {
  yield* device_lock(dev);
  if (sysfs_streq(buf, "auto")) yield* pm_runtime_allow(dev);
  else if (sysfs_streq(buf, "on")) yield* pm_runtime_forbid(dev);
  else n = -EINVAL;
  device_unlock(dev);
  return n;
}
const dev_attr_control = DEVICE_ATTR_RW("control", control_show, control_store);

function* runtime_active_time_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  return sysfs_emit(buf, "%llu\n", Math.floor((yield* pm_runtime_active_time(dev)) / NSEC_PER_MSEC));
}
const dev_attr_runtime_active_time = DEVICE_ATTR_RO("runtime_active_time", runtime_active_time_show);

function* runtime_suspended_time_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  return sysfs_emit(buf, "%llu\n", Math.floor((yield* pm_runtime_suspended_time(dev)) / NSEC_PER_MSEC));
}
const dev_attr_runtime_suspended_time = DEVICE_ATTR_RO("runtime_suspended_time", runtime_suspended_time_show);

const STATUS: Readonly<Record<number, string>> = {
  [RPM_SUSPENDED]: "suspended",
  [RPM_SUSPENDING]: "suspending",
  [RPM_RESUMING]: "resuming",
  [RPM_ACTIVE]: "active",
};
function runtime_status_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  let output;

  if (dev.power.runtime_error) output = "error";
  else if (dev.power.disable_depth) output = "unsupported";
  else output = STATUS[dev.power.runtime_status];
  return output === undefined ? -EIO : sysfs_emit(buf, "%s\n", output);
}
const dev_attr_runtime_status = DEVICE_ATTR_RO("runtime_status", runtime_status_show);

/** No driver here uses autosuspend. */
const dev_attr_autosuspend_delay_ms = DEVICE_ATTR_RW(
  "autosuspend_delay_ms",
  () => -EIO,
  () => -EIO,
);

const pm_runtime_attr_group: attribute_group = {
  name: "power",
  attrs: [
    dev_attr_runtime_status.attr,
    dev_attr_control.attr,
    dev_attr_runtime_suspended_time.attr,
    dev_attr_runtime_active_time.attr,
    dev_attr_autosuspend_delay_ms.attr,
  ],
};

/** @return 0 or errno. Context: may sleep. */
export function dpm_sysfs_add(dev: device): Sleeps<number> {
  return kconfig.CONFIG_PM ? sysfs_create_group(dev.kobj, pm_runtime_attr_group) : ready_int(0);
}
/** Context: may sleep. */
export function dpm_sysfs_remove(dev: device): Sleeps {
  return kconfig.CONFIG_PM ? sysfs_remove_group(dev.kobj, pm_runtime_attr_group) : READY;
}
