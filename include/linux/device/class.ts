// SPDX-License-Identifier: GPL-2.0-only
// dup: device classes; `class` is a word of the language
import { embed, fn, opaque, ptr, type Sleeps, str, struct } from "../types.ts";
import type { attribute_groups } from "../sysfs.ts";
import type { kobj_uevent_env, kobject } from "../kobject.ts";
import type { dev_pm_ops } from "../pm.ts";
import type { device, umode_ptr } from "../device.ts";
import type { subsys_private } from "../../../drivers/base/base.ts";
import { klist_iter } from "../klist.ts";
import { list_head } from "../list.ts";
import type { device_type } from "../device.ts";
import type { module } from "../../../kernel/modpost.ts";

export class class_ extends struct("class_", {
  name: str(),
  owner: ptr<module>(),

  class_groups: opaque<attribute_groups | null>(() => null),
  dev_groups: opaque<attribute_groups | null>(() => null),
  dev_kobj: ptr<kobject>(),

  dev_uevent: fn<(dev: device, env: kobj_uevent_env) => number>(),
  /** Name of the device node below /dev, memory of its own in C; null for the device's own name. */
  devnode: fn<(dev: device, mode: umode_ptr | null) => string | null>(),

  class_release: fn<(cls: class_) => Sleeps | void>(),
  dev_release: fn<(dev: device) => Sleeps | void>(),

  shutdown_pre: fn<(dev: device) => Sleeps<number> | number>(),

  pm: opaque<dev_pm_ops | null>(() => null),
  p: ptr<subsys_private>(),
}) {}

export class class_dev_iter extends struct("class_dev_iter", {
  ki: embed(() => klist_iter),
  type: opaque<device_type | null>(() => null),
}) {}

export class class_interface extends struct("class_interface", {
  node: embed(() => list_head),
  class: ptr<class_>(),
  add_dev: fn<(dev: device, intf: class_interface) => Sleeps<number> | number>(),
  remove_dev: fn<(dev: device, intf: class_interface) => Sleeps | void>(),
}) {}

export { class_attribute, CLASS_ATTR_RO, CLASS_ATTR_RW, CLASS_ATTR_WO } from "../../../kernel/fs/sysfs/attribute.ts";
export {
  type class_compat,
  class_compat_create_link,
  class_compat_register,
  class_compat_remove_link,
  class_compat_unregister,
  class_create,
  class_create_file,
  class_destroy,
  class_dev_iter_exit,
  class_dev_iter_init,
  class_dev_iter_next,
  class_find_device,
  class_find_device_by_devt,
  class_find_device_by_name,
  class_for_each_device,
  class_interface_register,
  class_interface_unregister,
  class_register,
  class_remove_file,
  class_unregister,
} from "../../../drivers/base/class.ts";
