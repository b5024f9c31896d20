// SPDX-License-Identifier: GPL-2.0-only
// dup: device drivers
import { bool, fn, int, opaque, ptr, type Sleeps, str, struct } from "../types.ts";
import type { attribute_groups } from "../sysfs.ts";
import type { of_device_id } from "../mod_devicetable.ts";
import type { dev_pm_ops } from "../pm.ts";
import type { device } from "../device.ts";
import type { bus_type } from "./bus.ts";
import type { driver_private } from "../../../drivers/base/base.ts";
import type { module } from "../../../kernel/modpost.ts";

export const PROBE_DEFAULT_STRATEGY = 0;
/** Probed like any other here: nothing probes asynchronously. */
export const PROBE_PREFER_ASYNCHRONOUS = 1;
export const PROBE_FORCE_SYNCHRONOUS = 2;

export class device_driver extends struct("device_driver", {
  name: str(),
  bus: ptr<bus_type>(),
  owner: ptr<module>(),
  mod_name: str(),
  suppress_bind_attrs: bool(),
  probe_type: int(),

  of_match_table: opaque<readonly of_device_id[] | null>(() => null),

  probe: fn<(dev: device) => Sleeps<number> | number>(),
  sync_state: fn<(dev: device) => Sleeps | void>(),
  remove: fn<(dev: device) => Sleeps<number> | number>(),
  shutdown: fn<(dev: device) => Sleeps | void>(),
  groups: opaque<attribute_groups | null>(() => null),
  dev_groups: opaque<attribute_groups | null>(() => null),

  pm: opaque<dev_pm_ops | null>(() => null),
  coredump: fn<(dev: device) => Sleeps | void>(),

  p: ptr<driver_private>(),
}) {}

export {
  driver_attribute,
  DRIVER_ATTR_IGNORE_LOCKDEP,
  DRIVER_ATTR_RO,
  DRIVER_ATTR_RW,
  DRIVER_ATTR_WO,
} from "../../../kernel/fs/sysfs/attribute.ts";
export {
  driver_create_file,
  driver_find,
  driver_find_device,
  driver_find_device_by_name,
  driver_for_each_device,
  driver_register,
  driver_remove_file,
  driver_set_override,
  driver_unregister,
} from "../../../drivers/base/driver.ts";
export { driver_deferred_probe_add, driver_probe_done, wait_for_device_probe } from "../../../drivers/base/dd.ts";
