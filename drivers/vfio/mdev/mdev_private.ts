// SPDX-License-Identifier: GPL-2.0-only
/** What the files of the mdev core share. */
import type { kobject } from "#linux/kobject.ts";
import { mdev_type } from "#linux/mdev.ts";
import { container_of } from "#linux/types.ts";

export { mdev_bus_type } from "./mdev_driver.ts";
export {
  mdev_create_sysfs_files,
  mdev_device_groups,
  mdev_remove_sysfs_files,
  parent_create_sysfs_files,
  parent_remove_sysfs_files,
} from "./mdev_sysfs.ts";
export { mdev_device_create, mdev_device_remove } from "./mdev_core.ts";

/** The type whose directory this is. */
export const to_mdev_type = (kobj: kobject | null): mdev_type => container_of(kobj, mdev_type, "kobj");
