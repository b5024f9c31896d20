// SPDX-License-Identifier: GPL-2.0-only
/**
 * IOMMU groups and their domains.
 *
 * Not here: drivers of IOMMU hardware and what finds the devices behind them (iommu_device_register(), the bus notifiers,
 * iommu_probe_device(), groups of PCI aliases), mapping (iommu_map() and its relatives), faults, firmware specifications,
 * shared virtual addresses, tracepoints, the command line, and the change of a group's default domain through its file "type",
 * which answers -EINVAL. So devices are in a group only if somebody calls iommu_group_add_device().
 */
import type { bus_type, device } from "#linux/device.ts";
import { dev_err, dev_info } from "#linux/device.ts";
import { EACCES, EBUSY, EEXIST, EINVAL, EIO, ENODEV, ENOMEM, EPERM } from "#linux/errno.ts";
import { ERR_PTR } from "#linux/err.ts";
import { capable, CAP_SYS_ADMIN, CAP_SYS_RAWIO } from "#linux/capability.ts";
import { kbuild } from "#linux/export.ts";
import { core_initcall } from "#linux/init.ts";
import { DEFINE_IDA, ida_alloc, ida_free } from "#linux/idr.ts";
import {
  dev_iommu_ops,
  type iommu_cap,
  type iommu_domain,
  IOMMU_DOMAIN_BLOCKED,
  IOMMU_DOMAIN_DMA,
  IOMMU_DOMAIN_DMA_FQ,
  IOMMU_DOMAIN_IDENTITY,
  IOMMU_DOMAIN_UNMANAGED,
  iommu_resv_region,
  type iommu_resv_type,
} from "#linux/iommu.ts";
import { BUG_ON, WARN, WARN_ON } from "#linux/bug.ts";
import {
  kernel_kobj,
  type kobj_type,
  kobject,
  kobject_create_and_add,
  kobject_get,
  kobject_init_and_add,
  kobject_name,
  kobject_put,
  type kset,
  kset_create_and_add,
  kset_find_obj,
} from "#linux/kobject.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD,
  list_add_tail,
  list_del,
  list_first_entry,
  list_for_each_entry,
  list_for_each_entry_reverse,
  list_for_each_entry_safe,
  list_head,
  list_move_tail,
  list_splice,
} from "#linux/list.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { sprintf } from "#linux/kernel.ts";
import { pr_debug, pr_warn } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kasprintf, kfree, kstrdup, kzalloc } from "#linux/slab.ts";
import {
  __ATTR,
  attribute,
  type sysfs_buf,
  sysfs_create_file,
  sysfs_create_link,
  sysfs_create_link_nowarn,
  type sysfs_ops,
  sysfs_remove_file,
  sysfs_remove_link,
  type sysfs_result,
} from "#linux/sysfs.ts";
import { container_of, embed, fn, int, ptr, type Sleeps, str, struct, u32 } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  iommu_group_kset: null as kset | null,
  iommu_group_ida: DEFINE_IDA(),
}));

export class iommu_group extends struct("iommu_group", {
  kobj: embed(() => kobject),
  devices_kobj: ptr<kobject>(),
  devices: embed(() => list_head),
  mutex: embed(() => mutex),
  iommu_data: ptr<object>(),
  iommu_data_release: fn<(iommu_data: object | null) => void>(),
  name: str(),
  id: int(),
  default_domain: ptr<iommu_domain>(),
  blocking_domain: ptr<iommu_domain>(),
  domain: ptr<iommu_domain>(),
  entry: embed(() => list_head),
  owner_cnt: u32(),
  owner: ptr<object>(),
}) {}

class group_device extends struct("group_device", {
  list: embed(() => list_head),
  dev: ptr<device>(),
  name: str(),
}) {}

class iommu_group_attribute extends struct("iommu_group_attribute", {
  attr: embed(() => attribute),
  show: fn<(group: iommu_group, buf: sysfs_buf) => sysfs_result>(),
  store: fn<(group: iommu_group, buf: string, count: number) => sysfs_result>(),
}) {}

/** By iommu_resv_type. */
const iommu_group_resv_type_string = ["direct", "direct-relaxable", "reserved", "msi", "msi"] as const;

const to_iommu_group_attr = (attr: attribute): iommu_group_attribute =>
  container_of(attr, iommu_group_attribute, "attr");
const to_iommu_group = (kobj: kobject): iommu_group => container_of(kobj, iommu_group, "kobj");

function* iommu_group_attr_show(kobj: kobject, __attr: attribute, buf: sysfs_buf): Sleeps<number> {
  const attr = to_iommu_group_attr(__attr);
  const group = to_iommu_group(kobj);
  let ret = -EIO;

  if (attr.show) ret = yield* either(attr.show(group, buf));
  return ret;
}

function* iommu_group_attr_store(kobj: kobject, __attr: attribute, buf: string, count: number): Sleeps<number> {
  const attr = to_iommu_group_attr(__attr);
  const group = to_iommu_group(kobj);
  let ret = -EIO;

  if (attr.store) ret = yield* either(attr.store(group, buf, count));
  return ret;
}

const iommu_group_sysfs_ops: sysfs_ops = {
  show: iommu_group_attr_show,
  store: iommu_group_attr_store,
};

function iommu_group_create_file(group: iommu_group, attr: iommu_group_attribute): Sleeps<number> {
  return sysfs_create_file(group.kobj, attr.attr);
}

function iommu_group_remove_file(group: iommu_group, attr: iommu_group_attribute): Sleeps {
  return sysfs_remove_file(group.kobj, attr.attr);
}

function iommu_group_show_name(group: iommu_group, buf: sysfs_buf): number {
  return buf.write(0, sprintf("%s\n", group.name));
}

/** Inserts a copy, sorted by address; what overlaps and is of the same type becomes one. */
function iommu_insert_resv_region(new_: iommu_resv_region, regions: list_head): number {
  const stack = LIST_HEAD();

  const nr = iommu_alloc_resv_region(new_.start, new_.length, new_.prot, new_.type, GFP_KERNEL);
  if (!nr) return -ENOMEM;

  let before = regions;
  for (const iter of list_for_each_entry(regions, iommu_resv_region, "list")) {
    if (nr.start < iter.start || (nr.start === iter.start && nr.type <= iter.type)) {
      before = iter.list;
      break;
    }
  }
  list_add_tail(nr.list, before);

  next: for (const iter of list_for_each_entry_safe(regions, iommu_resv_region, "list")) {
    const iter_end = iter.start + iter.length - 1n;

    // Only what is of the type of the new one
    if (iter.type !== new_.type) {
      list_move_tail(iter.list, stack);
      continue;
    }

    for (const top of list_for_each_entry_reverse(stack, iommu_resv_region, "list")) {
      if (top.type !== iter.type) continue;
      const top_end = top.start + top.length - 1n;

      if (iter.start > top_end + 1n) {
        list_move_tail(iter.list, stack);
      } else {
        top.length = (top_end > iter_end ? top_end : iter_end) - top.start + 1n;
        list_del(iter.list);
        kfree(iter);
      }
      continue next;
    }

    list_move_tail(iter.list, stack);
  }
  list_splice(stack, regions);
  return 0;
}

function iommu_insert_device_resv_regions(dev_resv_regions: list_head, group_resv_regions: list_head): number {
  let ret = 0;

  for (const entry of list_for_each_entry(dev_resv_regions, iommu_resv_region, "list")) {
    ret = iommu_insert_resv_region(entry, group_resv_regions);
    if (ret) break;
  }
  return ret;
}

/** Adds the reserved regions of a group's devices to a list. @return 0 or -ENOMEM. Context: may sleep. */
export function* iommu_get_group_resv_regions(group: iommu_group, head: list_head): Sleeps<number> {
  let ret = 0;

  yield* mutex_lock(group.mutex);
  for (const device of list_for_each_entry(group.devices, group_device, "list")) {
    // Groups without an IOMMU have the file in sysfs as well
    if (!device.dev!.iommu) break;

    const dev_resv_regions = LIST_HEAD();
    iommu_get_resv_regions(device.dev!, dev_resv_regions);
    ret = iommu_insert_device_resv_regions(dev_resv_regions, head);
    iommu_put_resv_regions(device.dev!, dev_resv_regions);
    if (ret) break;
  }
  mutex_unlock(group.mutex);
  return ret;
}
EXPORT_SYMBOL_GPL(iommu_get_group_resv_regions);

function* iommu_group_show_resv_regions(group: iommu_group, buf: sysfs_buf): Sleeps<number> {
  const group_resv_regions = LIST_HEAD();
  let at = 0;

  yield* iommu_get_group_resv_regions(group, group_resv_regions);

  for (const region of list_for_each_entry_safe(group_resv_regions, iommu_resv_region, "list")) {
    at += buf.write(
      at,
      sprintf(
        "0x%016llx 0x%016llx %s\n",
        region.start,
        region.start + region.length - 1n,
        iommu_group_resv_type_string[region.type],
      ),
    );
    kfree(region);
  }

  return at;
}

function* iommu_group_show_type(group: iommu_group, buf: sysfs_buf): Sleeps<number> {
  let type = "unknown\n";

  yield* mutex_lock(group.mutex);
  if (group.default_domain) {
    switch (group.default_domain.type) {
      case IOMMU_DOMAIN_BLOCKED:
        type = "blocked\n";
        break;
      case IOMMU_DOMAIN_IDENTITY:
        type = "identity\n";
        break;
      case IOMMU_DOMAIN_UNMANAGED:
        type = "unmanaged\n";
        break;
      case IOMMU_DOMAIN_DMA:
        type = "DMA\n";
        break;
      case IOMMU_DOMAIN_DMA_FQ:
        type = "DMA-FQ\n";
        break;
    }
  }
  mutex_unlock(group.mutex);
  return buf.write(0, type);
}

const iommu_group_attr_name = __ATTR(iommu_group_attribute, "name", 0o444, iommu_group_show_name, null);

const iommu_group_attr_reserved_regions = __ATTR(
  iommu_group_attribute,
  "reserved_regions",
  0o444,
  iommu_group_show_resv_regions,
  null,
);

const iommu_group_attr_type = __ATTR(
  iommu_group_attribute,
  "type",
  0o644,
  iommu_group_show_type,
  iommu_group_store_type,
);

function iommu_group_release(kobj: kobject): void {
  const group = to_iommu_group(kobj);

  pr_debug("iommu: Releasing group %d\n", group.id);

  if (group.iommu_data_release) group.iommu_data_release(group.iommu_data);

  ida_free(s.iommu_group_ida, group.id);

  if (group.default_domain) iommu_domain_free(group.default_domain);
  if (group.blocking_domain) iommu_domain_free(group.blocking_domain);

  kfree(group.name);
  kfree(group);
}

const iommu_group_ktype: kobj_type = {
  sysfs_ops: iommu_group_sysfs_ops,
  release: iommu_group_release,
};

/**
 * A new group, without devices. It goes when the reference that is returned, and those of its devices, have been put.
 * @return the group or ERR_PTR. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_group_alloc(): Sleeps<iommu_group> {
  const group = kzalloc(iommu_group, GFP_KERNEL);
  if (!group) return ERR_PTR(-ENOMEM);

  group.kobj.kset = s.iommu_group_kset;
  mutex_init(group.mutex);
  INIT_LIST_HEAD(group.devices);
  INIT_LIST_HEAD(group.entry);

  let ret = ida_alloc(s.iommu_group_ida, GFP_KERNEL);
  if (ret < 0) {
    kfree(group);
    return ERR_PTR(ret);
  }
  group.id = ret;

  ret = yield* kobject_init_and_add(group.kobj, iommu_group_ktype, null, "%d", group.id);
  if (ret) {
    yield* kobject_put(group.kobj);
    return ERR_PTR(ret);
  }

  group.devices_kobj = yield* kobject_create_and_add("devices", group.kobj);
  if (!group.devices_kobj) {
    // Frees the group
    yield* kobject_put(group.kobj);
    return ERR_PTR(-ENOMEM);
  }

  // "devices" holds a reference of the group, so from here on it is the one that is counted.
  yield* kobject_put(group.kobj);

  ret = yield* iommu_group_create_file(group, iommu_group_attr_reserved_regions);
  if (ret) {
    yield* kobject_put(group.devices_kobj);
    return ERR_PTR(ret);
  }

  ret = yield* iommu_group_create_file(group, iommu_group_attr_type);
  if (ret) {
    yield* kobject_put(group.devices_kobj);
    return ERR_PTR(ret);
  }

  pr_debug("iommu: Allocated group %d\n", group.id);

  return group;
}
EXPORT_SYMBOL_GPL(iommu_group_alloc);

/** The group of that number with a reference, or NULL. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_group_get_by_id(id: number): Sleeps<iommu_group | null> {
  if (!s.iommu_group_kset) return null;

  const name = kasprintf(GFP_KERNEL, "%d", id);
  if (!name) return null;

  const group_kobj = yield* kset_find_obj(s.iommu_group_kset, name);
  kfree(name);

  if (!group_kobj) return null;

  const group = container_of(group_kobj, iommu_group, "kobj");
  BUG_ON(group.id !== id);

  kobject_get(group.devices_kobj);
  yield* kobject_put(group.kobj);

  return group;
}
EXPORT_SYMBOL_GPL(iommu_group_get_by_id);

/** What an IOMMU driver has stored. Context: any, with a reference. Source: drivers/iommu/iommu.c */
export function iommu_group_get_iommudata(group: iommu_group): object | null {
  return group.iommu_data;
}
EXPORT_SYMBOL_GPL(iommu_group_get_iommudata);

/** Stores something, and what frees it when the group goes. Context: any, with a reference. Source: drivers/iommu/iommu.c */
export function iommu_group_set_iommudata(
  group: iommu_group,
  iommu_data: object | null,
  release: ((iommu_data: object | null) => void) | null,
): void {
  group.iommu_data = iommu_data;
  group.iommu_data_release = release;
}
EXPORT_SYMBOL_GPL(iommu_group_set_iommudata);

/**
 * Gives the group a name, which shows as a file; NULL takes it away.
 * @return 0, -ENOMEM, or what making the file gives. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_group_set_name(group: iommu_group, name: string | null): Sleeps<number> {
  if (group.name) {
    yield* iommu_group_remove_file(group, iommu_group_attr_name);
    kfree(group.name);
    group.name = null;
    if (!name) return 0;
  }

  group.name = kstrdup(name, GFP_KERNEL);
  if (!group.name) return -ENOMEM;

  const ret = yield* iommu_group_create_file(group, iommu_group_attr_name);
  if (ret) {
    kfree(group.name);
    group.name = null;
    return ret;
  }

  return 0;
}
EXPORT_SYMBOL_GPL(iommu_group_set_name);

function iommu_is_attach_deferred(dev: device): boolean {
  const ops = dev_iommu_ops(dev);

  if (ops.is_attach_deferred) return ops.is_attach_deferred(dev);

  return false;
}

/**
 * Adds a device to a group, with links in both directions.
 * @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_group_add_device(group: iommu_group, dev: device): Sleeps<number> {
  let ret;
  let i = 0;

  const device = kzalloc(group_device, GFP_KERNEL);
  if (!device) return -ENOMEM;

  device.dev = dev;

  err_free_device: {
    ret = yield* sysfs_create_link(dev.kobj, group.kobj, "iommu_group");
    if (ret) break err_free_device;

    device.name = kasprintf(GFP_KERNEL, "%s", kobject_name(dev.kobj));
    err_remove_link: {
      err_free_name: {
        for (;;) {
          if (!device.name) {
            ret = -ENOMEM;
            break err_remove_link;
          }

          ret = yield* sysfs_create_link_nowarn(group.devices_kobj, dev.kobj, device.name);
          if (!ret) break;
          if (ret === -EEXIST && i >= 0) {
            // Devices of two buses may have the same name: the second gets a number.
            kfree(device.name);
            device.name = kasprintf(GFP_KERNEL, "%s.%d", kobject_name(dev.kobj), i++);
            continue;
          }
          break err_free_name;
        }

        kobject_get(group.devices_kobj);

        dev.iommu_group = group;

        err_put_group: {
          yield* mutex_lock(group.mutex);
          list_add_tail(device.list, group.devices);
          if (group.domain && !iommu_is_attach_deferred(dev)) ret = yield* __iommu_attach_device(group.domain, dev);
          mutex_unlock(group.mutex);
          if (ret) break err_put_group;

          dev_info(dev, "Adding to iommu group %d\n", group.id);

          return 0;
        }
        yield* mutex_lock(group.mutex);
        list_del(device.list);
        mutex_unlock(group.mutex);
        dev.iommu_group = null;
        yield* kobject_put(group.devices_kobj);
        yield* sysfs_remove_link(group.devices_kobj, device.name);
      }
      kfree(device.name);
    }
    yield* sysfs_remove_link(dev.kobj, "iommu_group");
  }
  kfree(device);
  dev_err(dev, "Failed to add to iommu group %d: %d\n", group.id, ret);
  return ret;
}
EXPORT_SYMBOL_GPL(iommu_group_add_device);

/** Takes a device out of its group, if it has one. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_group_remove_device(dev: device): Sleeps {
  const group = dev.iommu_group;
  let device: group_device | null = null;

  if (!group) return;

  dev_info(dev, "Removing from iommu group %d\n", group.id);

  yield* mutex_lock(group.mutex);
  for (const tmp_device of list_for_each_entry(group.devices, group_device, "list")) {
    if (tmp_device.dev === dev) {
      device = tmp_device;
      list_del(device.list);
      break;
    }
  }
  mutex_unlock(group.mutex);

  if (!device) return;

  yield* sysfs_remove_link(group.devices_kobj, device.name!);
  yield* sysfs_remove_link(dev.kobj, "iommu_group");

  kfree(device.name);
  kfree(device);
  dev.iommu_group = null;
  yield* kobject_put(group.devices_kobj);
}
EXPORT_SYMBOL_GPL(iommu_group_remove_device);

function iommu_group_device_count(group: iommu_group): number {
  let ret = 0;

  for (const _entry of list_for_each_entry(group.devices, group_device, "list")) ret++;

  return ret;
}

type for_each_dev = (dev: device, data: object | null) => Sleeps<number> | number;

function* __iommu_group_for_each_dev(group: iommu_group, data: object | null, fn: for_each_dev): Sleeps<number> {
  let ret = 0;

  for (const device of list_for_each_entry(group.devices, group_device, "list")) {
    ret = yield* either(fn(device.dev!, data));
    if (ret) break;
  }
  return ret;
}

/**
 * Calls `fn` for each device of a group, which may not change meanwhile, until it gives something else than 0.
 * @return that, or 0. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_group_for_each_dev(group: iommu_group, data: object | null, fn: for_each_dev): Sleeps<number> {
  yield* mutex_lock(group.mutex);
  const ret = yield* __iommu_group_for_each_dev(group, data, fn);
  mutex_unlock(group.mutex);

  return ret;
}
EXPORT_SYMBOL_GPL(iommu_group_for_each_dev);

/** The group of a device, with a reference, or NULL. Any context. Source: drivers/iommu/iommu.c */
export function iommu_group_get(dev: device): iommu_group | null {
  const group = dev.iommu_group;

  if (group) kobject_get(group.devices_kobj);

  return group;
}
EXPORT_SYMBOL_GPL(iommu_group_get);

/** One more reference. Any context. Source: drivers/iommu/iommu.c */
export function iommu_group_ref_get(group: iommu_group): iommu_group {
  kobject_get(group.devices_kobj);
  return group;
}
EXPORT_SYMBOL_GPL(iommu_group_ref_get);

/** Drops a reference; NULL is fine. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_group_put(group: iommu_group | null): Sleeps {
  if (group) yield* kobject_put(group.devices_kobj);
}
EXPORT_SYMBOL_GPL(iommu_group_put);

/** The number of a group, its name in sysfs. Any context. Source: drivers/iommu/iommu.c */
export function iommu_group_id(group: iommu_group): number {
  return group.id;
}
EXPORT_SYMBOL_GPL(iommu_group_id);

export function iommu_group_default_domain(group: iommu_group): iommu_domain | null {
  return group.default_domain;
}

/** Whether the devices of a bus can be behind an IOMMU. Any context. Source: drivers/iommu/iommu.c */
export function iommu_present(bus: bus_type): boolean {
  return bus.iommu_ops !== null;
}
EXPORT_SYMBOL_GPL(iommu_present);

/** Whether the IOMMU in front of a device has a capability; false without one. Any context. Source: drivers/iommu/iommu.c */
export function device_iommu_capable(dev: device, cap: iommu_cap): boolean {
  if (!dev.iommu || !dev.iommu.iommu_dev) return false;

  const ops = dev_iommu_ops(dev);
  if (!ops.capable) return false;

  return ops.capable(dev, cap);
}
EXPORT_SYMBOL_GPL(device_iommu_capable);

function __iommu_domain_alloc(bus: bus_type | null, type: number): iommu_domain | null {
  if (bus === null || bus.iommu_ops === null) return null;

  const domain = bus.iommu_ops.domain_alloc!(type);
  if (!domain) return null;

  domain.type = type;
  // Unless the driver knows better
  if (!domain.pgsize_bitmap) domain.pgsize_bitmap = bus.iommu_ops.pgsize_bitmap ?? 0n;

  if (!domain.ops) domain.ops = bus.iommu_ops.default_domain_ops ?? null;

  return domain;
}

/** A domain for the addresses of user space. @return NULL if the bus has no IOMMU. Source: drivers/iommu/iommu.c */
export function iommu_domain_alloc(bus: bus_type | null): iommu_domain | null {
  return __iommu_domain_alloc(bus, IOMMU_DOMAIN_UNMANAGED);
}
EXPORT_SYMBOL_GPL(iommu_domain_alloc);

export function iommu_domain_free(domain: iommu_domain): void {
  domain.ops!.free!(domain);
}
EXPORT_SYMBOL_GPL(iommu_domain_free);

/** Puts the group into the domain it is in when nobody has attached another: blocking if it has an owner. */
function* __iommu_group_set_core_domain(group: iommu_group): Sleeps {
  let new_domain;

  if (group.owner) new_domain = group.blocking_domain;
  else new_domain = group.default_domain;

  const ret = yield* __iommu_group_set_domain(group, new_domain);
  WARN(ret !== 0, "iommu driver failed to attach the default/blocking domain");
}

function* __iommu_attach_device(domain: iommu_domain, dev: device): Sleeps<number> {
  if (!domain.ops!.attach_dev) return -ENODEV;

  return yield* either(domain.ops!.attach_dev(domain, dev));
}

/** Puts the only device of a group into a domain. @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_attach_device(domain: iommu_domain, dev: device): Sleeps<number> {
  const group = iommu_group_get(dev);
  if (!group) return -ENODEV;

  // No device may come or go meanwhile
  yield* mutex_lock(group.mutex);
  let ret = -EINVAL;
  out_unlock: {
    if (iommu_group_device_count(group) !== 1) break out_unlock;

    ret = yield* __iommu_attach_group(domain, group);
  }
  mutex_unlock(group.mutex);
  yield* iommu_group_put(group);

  return ret;
}
EXPORT_SYMBOL_GPL(iommu_attach_device);

function* __iommu_detach_device(domain: iommu_domain, dev: device): Sleeps {
  if (iommu_is_attach_deferred(dev)) return;

  yield* either(domain.ops!.detach_dev!(domain, dev));
}

/** The opposite of iommu_attach_device(). Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_detach_device(domain: iommu_domain, dev: device): Sleeps {
  const group = iommu_group_get(dev);
  if (!group) return;

  yield* mutex_lock(group.mutex);
  out_unlock: {
    if (WARN_ON(domain !== group.domain) || WARN_ON(iommu_group_device_count(group) !== 1)) break out_unlock;
    yield* __iommu_group_set_core_domain(group);
  }
  mutex_unlock(group.mutex);
  yield* iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_detach_device);

/** The domain that a device is in, or NULL. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_get_domain_for_dev(dev: device): Sleeps<iommu_domain | null> {
  const group = iommu_group_get(dev);
  if (!group) return null;

  const domain = group.domain;

  yield* iommu_group_put(group);

  return domain;
}
EXPORT_SYMBOL_GPL(iommu_get_domain_for_dev);

function iommu_group_do_attach_device(dev: device, data: object | null): Sleeps<number> {
  const domain = data as iommu_domain;

  return __iommu_attach_device(domain, dev);
}

function* __iommu_attach_group(domain: iommu_domain, group: iommu_group): Sleeps<number> {
  if (group.domain && group.domain !== group.default_domain && group.domain !== group.blocking_domain) return -EBUSY;

  const ret = yield* __iommu_group_for_each_dev(group, domain, iommu_group_do_attach_device);
  if (ret === 0) {
    group.domain = domain;
  } else {
    // Some devices are in the new domain: all go back to the old one, which they were in before.
    const old_domain = group.domain;

    group.domain = null;
    WARN(
      (yield* __iommu_group_set_domain(group, old_domain)) !== 0,
      "iommu driver failed to attach a compatible domain",
    );
  }

  return ret;
}

/** Puts all devices of a group into a domain. @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_attach_group(domain: iommu_domain, group: iommu_group): Sleeps<number> {
  yield* mutex_lock(group.mutex);
  const ret = yield* __iommu_attach_group(domain, group);
  mutex_unlock(group.mutex);

  return ret;
}
EXPORT_SYMBOL_GPL(iommu_attach_group);

function* iommu_group_do_detach_device(dev: device, data: object | null): Sleeps<number> {
  const domain = data as iommu_domain;

  yield* __iommu_detach_device(domain, dev);

  return 0;
}

function* __iommu_group_set_domain(group: iommu_group, new_domain: iommu_domain | null): Sleeps<number> {
  if (group.domain === new_domain) return 0;

  // Drivers with default domains never come here: then NULL means what the platform makes of it.
  if (!new_domain) {
    if (WARN_ON(!group.domain!.ops!.detach_dev)) return -EINVAL;
    yield* __iommu_group_for_each_dev(group, group.domain, iommu_group_do_detach_device);
    group.domain = null;
    return 0;
  }

  // One device after the other: in between, each is in the old domain or in the new one, and never in a third.
  const ret = yield* __iommu_group_for_each_dev(group, new_domain, iommu_group_do_attach_device);
  if (ret) return ret;
  group.domain = new_domain;
  return 0;
}

/** The opposite of iommu_attach_group(). Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_detach_group(_domain: iommu_domain, group: iommu_group): Sleeps {
  yield* mutex_lock(group.mutex);
  yield* __iommu_group_set_core_domain(group);
  mutex_unlock(group.mutex);
}
EXPORT_SYMBOL_GPL(iommu_detach_group);

function* iommu_init(): Sleeps<number> {
  s.iommu_group_kset = yield* kset_create_and_add("iommu_groups", null, kernel_kobj());
  BUG_ON(!s.iommu_group_kset);

  return 0;
}
core_initcall(iommu_init);

/** Adds the reserved regions of a device that is behind an IOMMU to a list. */
export function iommu_get_resv_regions(dev: device, list: list_head): void {
  const ops = dev_iommu_ops(dev);

  if (ops.get_resv_regions) ops.get_resv_regions(dev, list);
}

/** Frees a list of reserved regions. Source: drivers/iommu/iommu.c */
export function iommu_put_resv_regions(dev: device, list: list_head): void {
  for (const entry of list_for_each_entry_safe(list, iommu_resv_region, "list")) {
    if (entry.free) entry.free(dev, entry);
    else kfree(entry);
  }
}
EXPORT_SYMBOL(iommu_put_resv_regions);

export function iommu_alloc_resv_region(
  start: bigint,
  length: bigint,
  prot: number,
  type: iommu_resv_type,
  gfp: number,
): iommu_resv_region | null {
  const region = kzalloc(iommu_resv_region, gfp);
  if (!region) return null;

  INIT_LIST_HEAD(region.list);
  region.start = start;
  region.length = length;
  region.prot = prot;
  region.type = type;
  return region;
}
EXPORT_SYMBOL_GPL(iommu_alloc_resv_region);

function iommu_group_store_type(group: iommu_group, _buf: string, _count: number): number {
  if (!capable(CAP_SYS_ADMIN) || !capable(CAP_SYS_RAWIO)) return -EACCES;

  // Groups without a default domain answer so in C, and there are no others yet.
  if (WARN_ON(!group) || !group.default_domain) return -EINVAL;

  pr_warn("iommu: changing the default domain of a group is not modelled\n");
  return -EINVAL;
}

function iommu_is_default_domain(group: iommu_group): boolean {
  if (group.domain === group.default_domain) return true;

  // An identity domain is as good as another
  if (
    group.default_domain &&
    group.default_domain.type === IOMMU_DOMAIN_IDENTITY &&
    group.domain &&
    group.domain.type === IOMMU_DOMAIN_IDENTITY
  )
    return true;
  return false;
}

/**
 * A driver of the kernel begins to use a device: nobody may own the group's DMA now.
 * @return 0 or -EBUSY. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_device_use_default_domain(dev: device): Sleeps<number> {
  const group = iommu_group_get(dev);
  let ret = 0;

  if (!group) return 0;

  yield* mutex_lock(group.mutex);
  unlock_out: {
    if (group.owner_cnt) {
      if (group.owner || !iommu_is_default_domain(group)) {
        ret = -EBUSY;
        break unlock_out;
      }
    }

    group.owner_cnt++;
  }
  mutex_unlock(group.mutex);
  yield* iommu_group_put(group);

  return ret;
}

/** The opposite. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_device_unuse_default_domain(dev: device): Sleeps {
  const group = iommu_group_get(dev);

  if (!group) return;

  yield* mutex_lock(group.mutex);
  if (!WARN_ON(!group.owner_cnt)) group.owner_cnt--;

  mutex_unlock(group.mutex);
  yield* iommu_group_put(group);
}

function __iommu_group_alloc_blocking_domain(group: iommu_group): number {
  const dev = list_first_entry(group.devices, group_device, "list");

  if (group.blocking_domain) return 0;

  group.blocking_domain = __iommu_domain_alloc(dev.dev!.bus, IOMMU_DOMAIN_BLOCKED);
  if (!group.blocking_domain) {
    // A domain without mappings blocks as well
    group.blocking_domain = __iommu_domain_alloc(dev.dev!.bus, IOMMU_DOMAIN_UNMANAGED);
    if (!group.blocking_domain) return -EINVAL;
  }
  return 0;
}

/**
 * Takes the group's DMA for `owner`: no driver of the kernel may use it any more.
 * @return 0; -EPERM if somebody has it or uses it; -EBUSY; -EINVAL without an IOMMU. Context: may sleep.
 * Source: drivers/iommu/iommu.c
 */
export function* iommu_group_claim_dma_owner(group: iommu_group, owner: object | null): Sleeps<number> {
  let ret = 0;

  yield* mutex_lock(group.mutex);
  unlock_out: {
    if (group.owner_cnt) {
      ret = -EPERM;
      break unlock_out;
    } else {
      if (group.domain && group.domain !== group.default_domain) {
        ret = -EBUSY;
        break unlock_out;
      }

      ret = __iommu_group_alloc_blocking_domain(group);
      if (ret) break unlock_out;

      ret = yield* __iommu_group_set_domain(group, group.blocking_domain);
      if (ret) break unlock_out;
      group.owner = owner;
    }

    group.owner_cnt++;
  }
  mutex_unlock(group.mutex);

  return ret;
}
EXPORT_SYMBOL_GPL(iommu_group_claim_dma_owner);

/** The opposite. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_group_release_dma_owner(group: iommu_group): Sleeps {
  yield* mutex_lock(group.mutex);
  unlock_out: {
    if (WARN_ON(!group.owner_cnt || !group.owner)) break unlock_out;

    group.owner_cnt = 0;
    group.owner = null;
    const ret = yield* __iommu_group_set_domain(group, group.default_domain);
    WARN(ret !== 0, "iommu driver failed to attach the default domain");
  }
  mutex_unlock(group.mutex);
}
EXPORT_SYMBOL_GPL(iommu_group_release_dma_owner);

/** Whether somebody owns or uses the group's DMA. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_group_dma_owner_claimed(group: iommu_group): Sleeps<boolean> {
  yield* mutex_lock(group.mutex);
  const user = group.owner_cnt;
  mutex_unlock(group.mutex);

  return user !== 0;
}
EXPORT_SYMBOL_GPL(iommu_group_dma_owner_claimed);
