// SPDX-License-Identifier: GPL-2.0-only
/**
 * The directory `power` of devices: the files of a kernel with CONFIG_PM and without CONFIG_PM_ADVANCED_DEBUG. Nothing is
 * ever suspended, as for a driver that does not enable runtime power management; wakeup and QoS files are not there.
 * Part of drivers/base/power/sysfs.c.
 */
import { DEVICE_ATTR_RO, DEVICE_ATTR_RW, type device, type device_attribute } from "#linux/device.ts";
import { EINVAL, EIO } from "#linux/errno.ts";
import { kconfig } from "#linux/kconfig.ts";
import { kbuild } from "#linux/module.ts";
import {
  type attribute_group,
  type sysfs_buf,
  sysfs_create_group,
  sysfs_emit,
  sysfs_remove_group,
  sysfs_streq,
} from "#linux/sysfs.ts";
import { ready_int, READY, type Sleeps } from "#linux/types.ts";

const { per_boot } = kbuild(import.meta.url);

/** Devices with power.runtime_auto off: pm_runtime_forbid() was called. */
const s = per_boot(() => ({ forbidden: new WeakSet<device>() }));

function control_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%s\n", s.forbidden.has(dev) ? "on" : "auto");
}
function control_store(dev: device, _attr: device_attribute, buf: string, n: number): number {
  if (sysfs_streq(buf, "auto")) s.forbidden.delete(dev);
  else if (sysfs_streq(buf, "on")) s.forbidden.add(dev);
  else return -EINVAL;
  return n;
}
const dev_attr_control = DEVICE_ATTR_RW("control", control_show, control_store);

/** No time is counted while runtime power management is disabled. */
function runtime_active_time_show(_dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%llu\n", 0n);
}
const dev_attr_runtime_active_time = DEVICE_ATTR_RO("runtime_active_time", runtime_active_time_show);
const dev_attr_runtime_suspended_time = DEVICE_ATTR_RO("runtime_suspended_time", runtime_active_time_show);

function runtime_status_show(_dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "unsupported\n");
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
