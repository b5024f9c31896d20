// SPDX-License-Identifier: GPL-2.0-only
// dup: mediated devices: what their drivers and their parents see
import { atomic_t } from "#linux/atomic.ts";
import { device, device_driver } from "#linux/device.ts";
import { kobject, type kset } from "#linux/kobject.ts";
import { list_head } from "#linux/list.ts";
import { rw_semaphore } from "#linux/rwsem.ts";
import type { sysfs_buf, sysfs_result } from "#linux/sysfs.ts";
import { bool, container_of, embed, fn, ptr, type Sleeps, str, struct, u32 } from "#linux/types.ts";
import { guid_t } from "#linux/uuid.ts";

export class mdev_device extends struct("mdev_device", {
  dev: embed(() => device),
  uuid: embed(() => guid_t),
  next: embed(() => list_head),
  type: ptr<mdev_type>(),
  active: bool(),
}) {}

export class mdev_type extends struct("mdev_type", {
  /** The driver sets these two before mdev_register_parent(). */
  sysfs_name: str(),
  pretty_name: str(),

  /** The core sets this; drivers may look. */
  parent: ptr<mdev_parent>(),

  /** The core's own. */
  kobj: embed(() => kobject),
  devices_kobj: ptr<kobject>(),
}) {}

/** `struct mdev_type **`: a C array, or any other array. */
export interface mdev_types {
  at(i: number): mdev_type | null | undefined;
}

/** Part of whatever the driver keeps for the device below which its mdevs are created. */
export class mdev_parent extends struct("mdev_parent", {
  dev: ptr<device>(),
  mdev_driver: ptr<mdev_driver>(),
  mdev_types_kset: ptr<kset>(),
  /** Creation and removal of mdevs read it, unregistering the parent writes it. */
  unreg_sem: embed(() => rw_semaphore),
  types: ptr<mdev_types>(),
  nr_types: u32(),
  available_instances: embed(() => atomic_t),
}) {}

/** The mdev of a device that is one. */
export function to_mdev_device(dev: device | null): mdev_device {
  return container_of(dev, mdev_device, "dev");
}

/** `get_available` gives the number of instances that can still be created, `show_description` fills a page like a sysfs show(). */
export class mdev_driver extends struct("mdev_driver", {
  device_api: str(),
  max_instances: u32(),
  probe: fn<(dev: mdev_device) => Sleeps<number> | number>(),
  remove: fn<(dev: mdev_device) => Sleeps | void>(),
  get_available: fn<(mtype: mdev_type) => sysfs_result>(),
  show_description: fn<(mtype: mdev_type, buf: sysfs_buf) => sysfs_result>(),
  driver: embed(() => device_driver),
}) {}

export { mdev_register_parent, mdev_unregister_parent } from "../../drivers/vfio/mdev/mdev_core.ts";
export { mdev_register_driver, mdev_unregister_driver } from "../../drivers/vfio/mdev/mdev_driver.ts";

/** The device of an mdev. */
export function mdev_dev(mdev: mdev_device): device {
  return mdev.dev;
}
