// SPDX-License-Identifier: GPL-2.0-only
/** What of mediated devices is in sysfs: the types below their parents, and the file that removes one. */
import { atomic_read } from "#linux/atomic.ts";
import {
  dev_driver_string,
  dev_name,
  type device,
  type device_attribute,
  DEVICE_ATTR_WO,
  device_remove_file_self,
  get_device,
  put_device,
} from "#linux/device.ts";
import { EINVAL, EIO, ENOMEM } from "#linux/errno.ts";
import { kstrtoul, sprintf } from "#linux/kernel.ts";
import {
  type kobj_type,
  type kobject,
  kobject_create_and_add,
  kobject_del,
  kobject_init_and_add,
  kobject_put,
  kset_create_and_add,
  kset_unregister,
} from "#linux/kobject.ts";
import { type mdev_device, type mdev_parent, type mdev_type, to_mdev_device } from "#linux/mdev.ts";
import { pr_debug } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kstrndup } from "#linux/slab.ts";
import {
  __ATTR,
  attribute,
  type attribute_group,
  type attribute_groups,
  type sysfs_buf,
  sysfs_create_link,
  sysfs_emit,
  type sysfs_ops,
  sysfs_remove_link,
  type sysfs_result,
} from "#linux/sysfs.ts";
import { container_of, embed, fn, type Sleeps, struct } from "#linux/types.ts";
import { guid_parse, guid_t, UUID_STRING_LEN } from "#linux/uuid.ts";
import { mdev_device_create, mdev_device_remove, to_mdev_type } from "./mdev_private.ts";

class mdev_type_attribute extends struct("mdev_type_attribute", {
  attr: embed(() => attribute),
  show: fn<(mtype: mdev_type, attr: mdev_type_attribute, buf: sysfs_buf) => sysfs_result>(),
  store: fn<(mtype: mdev_type, attr: mdev_type_attribute, buf: string, count: number) => sysfs_result>(),
}) {}
type show_fn = NonNullable<mdev_type_attribute["show"]>;
type store_fn = NonNullable<mdev_type_attribute["store"]>;
const MDEV_TYPE_ATTR_RO = (name: string, show: show_fn): mdev_type_attribute =>
  __ATTR(mdev_type_attribute, name, 0o444, show, null);
const MDEV_TYPE_ATTR_WO = (name: string, store: store_fn): mdev_type_attribute =>
  __ATTR(mdev_type_attribute, name, 0o200, null, store);
const to_mdev_type_attr = (attr: attribute): mdev_type_attribute => container_of(attr, mdev_type_attribute, "attr");

function* mdev_type_attr_show(kobj: kobject, __attr: attribute, buf: sysfs_buf): Sleeps<number> {
  const attr = to_mdev_type_attr(__attr);
  const type = to_mdev_type(kobj);
  let ret = -EIO;

  if (attr.show) ret = yield* either(attr.show(type, attr, buf));
  return ret;
}

function* mdev_type_attr_store(kobj: kobject, __attr: attribute, buf: string, count: number): Sleeps<number> {
  const attr = to_mdev_type_attr(__attr);
  const type = to_mdev_type(kobj);
  let ret = -EIO;

  if (attr.store) ret = yield* either(attr.store(type, attr, buf, count));
  return ret;
}

const mdev_type_sysfs_ops: sysfs_ops = {
  show: mdev_type_attr_show,
  store: mdev_type_attr_store,
};

function* create_store(mtype: mdev_type, _attr: mdev_type_attribute, buf: string, count: number): Sleeps<number> {
  const uuid = new guid_t();

  if (count < UUID_STRING_LEN || count > UUID_STRING_LEN + 1) return -EINVAL;

  const str = kstrndup(buf, count, GFP_KERNEL);
  if (!str) return -ENOMEM;

  let ret = guid_parse(str, uuid);
  kfree(str);
  if (ret) return ret;

  ret = yield* mdev_device_create(mtype, uuid);
  if (ret) return ret;

  return count;
}
const mdev_type_attr_create = MDEV_TYPE_ATTR_WO("create", create_store);

function device_api_show(mtype: mdev_type, _attr: mdev_type_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%s\n", mtype.parent!.mdev_driver!.device_api);
}
const mdev_type_attr_device_api = MDEV_TYPE_ATTR_RO("device_api", device_api_show);

function name_show(mtype: mdev_type, _attr: mdev_type_attribute, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%s\n", mtype.pretty_name ? mtype.pretty_name : mtype.sysfs_name));
}
const mdev_type_attr_name = MDEV_TYPE_ATTR_RO("name", name_show);

function* available_instances_show(mtype: mdev_type, _attr: mdev_type_attribute, buf: sysfs_buf): Sleeps<number> {
  const drv = mtype.parent!.mdev_driver!;

  if (drv.get_available) return sysfs_emit(buf, "%u\n", yield* either(drv.get_available(mtype)));
  return sysfs_emit(buf, "%u\n", atomic_read(mtype.parent!.available_instances));
}
const mdev_type_attr_available_instances = MDEV_TYPE_ATTR_RO("available_instances", available_instances_show);

function description_show(mtype: mdev_type, _attr: mdev_type_attribute, buf: sysfs_buf): sysfs_result {
  return mtype.parent!.mdev_driver!.show_description!(mtype, buf);
}
const mdev_type_attr_description = MDEV_TYPE_ATTR_RO("description", description_show);

const mdev_types_core_attrs: readonly attribute[] = [
  mdev_type_attr_create.attr,
  mdev_type_attr_device_api.attr,
  mdev_type_attr_name.attr,
  mdev_type_attr_available_instances.attr,
  mdev_type_attr_description.attr,
];

function mdev_types_core_is_visible(kobj: kobject, attr: attribute, _n: number): number {
  if (attr === mdev_type_attr_description.attr && !to_mdev_type(kobj).parent!.mdev_driver!.show_description) return 0;
  return attr.mode;
}

const mdev_type_core_group: attribute_group = {
  attrs: mdev_types_core_attrs,
  is_visible: mdev_types_core_is_visible,
};

const mdev_type_groups: attribute_groups = [mdev_type_core_group];

function* mdev_type_release(kobj: kobject): Sleeps {
  const type = to_mdev_type(kobj);

  pr_debug("Releasing group %s\n", kobj.name);
  // Pairs with the get in mdev_type_add()
  yield* put_device(type.parent!.dev);
}

const mdev_type_ktype: kobj_type = {
  sysfs_ops: mdev_type_sysfs_ops,
  release: mdev_type_release,
  default_groups: mdev_type_groups,
};

function* mdev_type_add(parent: mdev_parent, type: mdev_type): Sleeps<number> {
  type.kobj.kset = parent.mdev_types_kset;
  type.parent = parent;
  // Pairs with the put in mdev_type_release()
  get_device(parent.dev!);

  let ret = yield* kobject_init_and_add(
    type.kobj,
    mdev_type_ktype,
    null,
    "%s-%s",
    dev_driver_string(parent.dev!),
    type.sysfs_name,
  );
  if (ret) {
    yield* kobject_put(type.kobj);
    return ret;
  }

  attr_devices_failed: {
    type.devices_kobj = yield* kobject_create_and_add("devices", type.kobj);
    if (!type.devices_kobj) {
      ret = -ENOMEM;
      break attr_devices_failed;
    }

    return 0;
  }
  yield* kobject_del(type.kobj);
  yield* kobject_put(type.kobj);
  return ret;
}

function* mdev_type_remove(type: mdev_type): Sleeps {
  yield* kobject_put(type.devices_kobj);
  yield* kobject_del(type.kobj);
  yield* kobject_put(type.kobj);
}

/** Context: may sleep. */
export function* parent_remove_sysfs_files(parent: mdev_parent): Sleeps {
  for (let i = 0; i < parent.nr_types; i++) yield* mdev_type_remove(parent.types!.at(i)!);
  yield* kset_unregister(parent.mdev_types_kset);
}

/** The directory mdev_supported_types with its types. @return 0 or errno. Context: may sleep. */
export function* parent_create_sysfs_files(parent: mdev_parent): Sleeps<number> {
  let ret = 0;
  let i;

  parent.mdev_types_kset = yield* kset_create_and_add("mdev_supported_types", null, parent.dev!.kobj);
  if (!parent.mdev_types_kset) return -ENOMEM;

  out_err: {
    for (i = 0; i < parent.nr_types; i++) {
      ret = yield* mdev_type_add(parent, parent.types!.at(i)!);
      if (ret) break out_err;
    }
    return 0;
  }
  while (--i >= 0) yield* mdev_type_remove(parent.types!.at(i)!);
  yield* kset_unregister(parent.mdev_types_kset);
  return ret;
}

function* remove_store(dev: device, attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const mdev = to_mdev_device(dev);
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value && (yield* device_remove_file_self(dev, attr))) {
    const ret = yield* mdev_device_remove(mdev);
    if (ret) return ret;
  }

  return count;
}

const dev_attr_remove = DEVICE_ATTR_WO("remove", remove_store);

const mdev_device_attrs: readonly attribute[] = [dev_attr_remove.attr];

const mdev_device_group: attribute_group = {
  attrs: mdev_device_attrs,
};

export const mdev_device_groups: attribute_groups = [mdev_device_group];

/** The links between an mdev and its type. @return 0 or errno. Context: may sleep. */
export function* mdev_create_sysfs_files(mdev: mdev_device): Sleeps<number> {
  const type = mdev.type!;
  const kobj = mdev.dev.kobj;

  let ret = yield* sysfs_create_link(type.devices_kobj, kobj, dev_name(mdev.dev)!);
  if (ret) return ret;

  type_link_failed: {
    ret = yield* sysfs_create_link(kobj, type.kobj, "mdev_type");
    if (ret) break type_link_failed;
    return ret;
  }
  yield* sysfs_remove_link(mdev.type!.devices_kobj, dev_name(mdev.dev)!);
  return ret;
}

/** The opposite. Context: may sleep. */
export function* mdev_remove_sysfs_files(mdev: mdev_device): Sleeps {
  const kobj = mdev.dev.kobj;

  yield* sysfs_remove_link(kobj, "mdev_type");
  yield* sysfs_remove_link(mdev.type!.devices_kobj, dev_name(mdev.dev)!);
}
