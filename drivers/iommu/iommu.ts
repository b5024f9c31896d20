// SPDX-License-Identifier: GPL-2.0-only
/**
 * IOMMUs: the devices behind them, their groups, domains, and what is mapped in these.
 *
 * Not here: faults that devices report, firmware specifications, shared virtual addresses, scatter lists, tracepoints and the
 * command line.
 */
import { amba_bustype } from "#linux/amba/bus.ts";
import type { device } from "#linux/device.ts";
import {
  dev_err,
  dev_err_ratelimited,
  dev_info,
  dev_name,
  dev_warn,
  device_is_bound,
  device_lock,
  device_unlock,
  get_device,
  put_device,
} from "#linux/device.ts";
import {
  BUS_NOTIFY_ADD_DEVICE,
  BUS_NOTIFY_REMOVED_DEVICE,
  bus_for_each_dev,
  bus_register_notifier,
  type bus_type,
} from "#linux/device/bus.ts";
import { EACCES, EBUSY, EEXIST, EINVAL, EIO, ENODEV, ENOMEM, EPERM } from "#linux/errno.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { capable, CAP_SYS_ADMIN, CAP_SYS_RAWIO } from "#linux/capability.ts";
import { kbuild } from "#linux/export.ts";
import { core_initcall, subsys_initcall } from "#linux/init.ts";
import { DEFINE_IDA, ida_alloc, ida_free } from "#linux/idr.ts";
import {
  __IOMMU_DOMAIN_PAGING,
  dev_iommu,
  dev_iommu_ops,
  type iommu_cap,
  type iommu_device,
  type iommu_domain,
  IOMMU_DOMAIN_BLOCKED,
  IOMMU_DOMAIN_DMA,
  IOMMU_DOMAIN_DMA_FQ,
  IOMMU_DOMAIN_IDENTITY,
  IOMMU_DOMAIN_UNMANAGED,
  iommu_flush_iotlb_all,
  iommu_iotlb_gather,
  iommu_iotlb_gather_init,
  iommu_iotlb_sync,
  iommu_is_dma_domain,
  type iommu_ops,
  IOMMU_RESV_DIRECT,
  IOMMU_RESV_DIRECT_RELAXABLE,
  iommu_resv_region,
  type iommu_resv_type,
} from "#linux/iommu.ts";
import { type bitmap, new_bitmap } from "#linux/bitmap.ts";
import { __ffs, fls64, GENMASK_ULL, test_and_set_bit } from "#linux/bitops.ts";
import { BUG_ON, WARN, WARN_ON, WARN_ON_ONCE } from "#linux/bug.ts";
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
  list_del_init,
  list_empty,
  list_first_entry,
  list_for_each_entry,
  list_for_each_entry_reverse,
  list_for_each_entry_safe,
  list_head,
  list_move_tail,
  list_splice,
} from "#linux/list.ts";
import { fsl_mc_bus_type, fsl_mc_cont_dev } from "#linux/fsl/mc.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import { module_put, try_module_get } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  dev_is_pci,
  PCI_ACS_CR,
  PCI_ACS_RR,
  PCI_ACS_SV,
  PCI_ACS_UF,
  PCI_ANY_ID,
  PCI_SLOT,
  pci_acs_enabled,
  pci_acs_path_enabled,
  pci_bus_type,
  type pci_dev,
  pci_dev_put,
  pci_devs_are_dma_aliases,
  pci_for_each_dma_alias,
  pci_get_device,
  pci_is_root_bus,
  to_pci_dev,
} from "#linux/pci.ts";
import { platform_bus_type } from "#linux/platform_device.ts";
import { NOTIFY_DONE, NOTIFY_OK, notifier_block } from "#linux/notifier.ts";
import { sprintf } from "#linux/kernel.ts";
import { pr_debug, pr_err, pr_info, pr_warn } from "#linux/printk.ts";
import {
  __ratelimit,
  DEFAULT_RATELIMIT_BURST,
  DEFAULT_RATELIMIT_INTERVAL,
  DEFINE_RATELIMIT_STATE,
} from "#linux/ratelimit.ts";
import { either, might_sleep } from "#linux/sched.ts";
import { GFP_ATOMIC, GFP_KERNEL, kasprintf, kfree, kstrdup, kzalloc } from "#linux/slab.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_unlock } from "#linux/spinlock.ts";
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
  sysfs_streq,
} from "#linux/sysfs.ts";
import { container_of, embed, fn, int, ptr, type Sleeps, str, struct, u32 } from "#linux/types.ts";
import { iommu_dma_init_fq, iommu_get_dma_cookie, iommu_put_dma_cookie } from "./dma-iommu.ts";
import { iommu_device_link, iommu_device_unlink } from "./iommu-sysfs.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  iommu_group_kset: null as kset | null,
  iommu_group_ida: DEFINE_IDA(),
  iommu_def_domain_type: IOMMU_DOMAIN_DMA,
  /** CONFIG_IOMMU_DEFAULT_DMA_LAZY, as on x86 */
  iommu_dma_strict: false,
  iommu_device_list: LIST_HEAD(),
  iommu_device_lock: DEFINE_SPINLOCK("iommu_device_lock"),
  iommu_probe_device_lock: new_mutex(),
  // Of the two pr_err_ratelimited() of iommu_group_store_type()
  store_type_count: DEFINE_RATELIMIT_STATE(DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST),
  store_type_bound: DEFINE_RATELIMIT_STATE(DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST),
}));

function new_mutex(): mutex {
  const lock = new mutex();
  mutex_init(lock);
  return lock;
}

const PFX = "iommu: ";
const U64 = (v: bigint): bigint => BigInt.asUintN(64, v);

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

/** The buses whose devices can be behind an IOMMU, of those that this machine has. */
const iommu_buses = (): readonly bus_type[] =>
  [platform_bus_type(), pci_bus_type(), amba_bustype(), fsl_mc_bus_type()].filter((bus) => bus.p !== null);

function iommu_domain_type_str(t: number): string {
  switch (t) {
    case IOMMU_DOMAIN_BLOCKED:
      return "Blocked";
    case IOMMU_DOMAIN_IDENTITY:
      return "Passthrough";
    case IOMMU_DOMAIN_UNMANAGED:
      return "Unmanaged";
    case IOMMU_DOMAIN_DMA:
    case IOMMU_DOMAIN_DMA_FQ:
      return "Translated";
    default:
      return "Unknown";
  }
}

function* iommu_subsys_init(): Sleeps<number> {
  iommu_set_default_translated();

  if (!iommu_default_passthrough() && !s.iommu_dma_strict) s.iommu_def_domain_type = IOMMU_DOMAIN_DMA_FQ;

  pr_info("%sDefault domain type: %s %s\n", PFX, iommu_domain_type_str(s.iommu_def_domain_type), "");

  if (!iommu_default_passthrough())
    pr_info("%sDMA domain TLB invalidation policy: %s mode %s\n", PFX, s.iommu_dma_strict ? "strict" : "lazy", "");

  for (const bus of iommu_buses()) {
    const nb = kzalloc(notifier_block, GFP_KERNEL);
    if (!nb) return -ENOMEM;
    nb.notifier_call = iommu_bus_notifier;
    yield* bus_register_notifier(bus, nb);
  }

  return 0;
}
subsys_initcall(iommu_subsys_init);

function* remove_iommu_group(dev: device, data: object | null): Sleeps<number> {
  if (dev.iommu && dev.iommu.iommu_dev === data) yield* iommu_release_device(dev);

  return 0;
}

/**
 * Registers an IOMMU, and looks for devices behind it on all buses.
 * @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_device_register(iommu: iommu_device, ops: iommu_ops, _hwdev: device | null): Sleeps<number> {
  let err = 0;

  // One driver for all buses
  const first = iommu_buses()[0];
  if (first?.iommu_ops && first.iommu_ops !== ops) return -EBUSY;

  iommu.ops = ops;

  yield* spin_lock(s.iommu_device_lock);
  list_add_tail(iommu.list, s.iommu_device_list);
  spin_unlock(s.iommu_device_lock);

  for (const bus of iommu_buses()) {
    bus.iommu_ops = ops;
    err = yield* bus_iommu_probe(bus);
    if (err) break;
  }
  if (err) yield* iommu_device_unregister(iommu);
  return err;
}
EXPORT_SYMBOL_GPL(iommu_device_register);

/** The opposite. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_device_unregister(iommu: iommu_device): Sleeps {
  for (const bus of iommu_buses()) yield* bus_for_each_dev(bus, null, iommu, remove_iommu_group);

  yield* spin_lock(s.iommu_device_lock);
  list_del(iommu.list);
  spin_unlock(s.iommu_device_lock);
}
EXPORT_SYMBOL_GPL(iommu_device_unregister);

function dev_iommu_get(dev: device): dev_iommu | null {
  let param = dev.iommu;

  if (param) return param;

  param = kzalloc(dev_iommu, GFP_KERNEL);
  if (!param) return null;

  mutex_init(param.lock);
  dev.iommu = param;
  return param;
}

function dev_iommu_free(dev: device): void {
  const param = dev.iommu;

  dev.iommu = null;
  kfree(param);
}

function* __iommu_probe_device(dev: device, group_list: list_head | null): Sleeps<number> {
  const ops = dev.bus!.iommu_ops;
  let ret;

  if (!ops) return -ENODEV;
  // Two drivers may register at once
  lockdep_assert_held(s.iommu_probe_device_lock);
  if (!dev_iommu_get(dev)) return -ENOMEM;

  err_free: {
    if (!try_module_get(ops.owner ?? null)) {
      ret = -EINVAL;
      break err_free;
    }

    out_module_put: {
      const iommu_dev = yield* either(ops.probe_device!(dev));
      if (IS_ERR(iommu_dev)) {
        ret = PTR_ERR(iommu_dev);
        break out_module_put;
      }

      dev.iommu!.iommu_dev = iommu_dev;

      out_release: {
        const group = yield* iommu_group_get_for_dev(dev);
        if (IS_ERR(group)) {
          ret = PTR_ERR(group);
          break out_release;
        }

        yield* mutex_lock(group.mutex);
        if (group_list && !group.default_domain && list_empty(group.entry)) list_add_tail(group.entry, group_list);
        mutex_unlock(group.mutex);
        yield* iommu_group_put(group);

        yield* iommu_device_link(iommu_dev, dev);

        return 0;
      }
      if (ops.release_device) yield* either(ops.release_device(dev));
    }
    module_put(ops.owner ?? null);
  }
  dev_iommu_free(dev);

  return ret;
}

/**
 * Finds the IOMMU in front of a device, if there is one, and puts the device into a group and the group's default domain.
 * @return 0; -ENODEV without an IOMMU; errno. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* iommu_probe_device(dev: device): Sleeps<number> {
  let ret;

  err_out: {
    yield* mutex_lock(s.iommu_probe_device_lock);
    ret = yield* __iommu_probe_device(dev, null);
    mutex_unlock(s.iommu_probe_device_lock);
    if (ret) break err_out;

    err_release: {
      const group = iommu_group_get(dev);
      if (!group) {
        ret = -ENODEV;
        break err_release;
      }

      // Not every driver has default domains
      yield* mutex_lock(group.mutex);
      iommu_alloc_default_domain(group, dev);

      // Not while somebody owns the group's DMA
      if (group.default_domain && !group.owner) {
        ret = yield* __iommu_attach_device(group.default_domain, dev);
        if (ret) {
          mutex_unlock(group.mutex);
          yield* iommu_group_put(group);
          break err_release;
        }
      }

      iommu_create_device_direct_mappings(group, dev);

      mutex_unlock(group.mutex);
      yield* iommu_group_put(group);

      const ops = dev_iommu_ops(dev);
      if (ops.probe_finalize) ops.probe_finalize(dev);

      return 0;
    }
    yield* iommu_release_device(dev);
  }
  return ret;
}

/** The opposite. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* iommu_release_device(dev: device): Sleeps {
  if (!dev.iommu) return;

  yield* iommu_device_unlink(dev.iommu.iommu_dev, dev);

  const ops = dev_iommu_ops(dev);
  if (ops.release_device) yield* either(ops.release_device(dev));

  yield* iommu_group_remove_device(dev);
  module_put(ops.owner ?? null);
  dev_iommu_free(dev);
}

/** What is unmapped for the kernel's own DMA is flushed at once from now on. Source: drivers/iommu/iommu.c */
export function iommu_set_dma_strict(): void {
  s.iommu_dma_strict = true;
  if (s.iommu_def_domain_type === IOMMU_DOMAIN_DMA_FQ) s.iommu_def_domain_type = IOMMU_DOMAIN_DMA;
}

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

function iommu_create_device_direct_mappings(group: iommu_group, dev: device): number {
  const domain = group.default_domain;
  let ret = 0;

  if (!domain || !iommu_is_dma_domain(domain)) return 0;

  BUG_ON(!domain.pgsize_bitmap);

  const pg_size = 1n << BigInt(__ffs(domain.pgsize_bitmap));
  const align = (v: bigint): bigint => U64(v + pg_size - 1n) & ~(pg_size - 1n);
  const mappings = LIST_HEAD();

  iommu_get_resv_regions(dev, mappings);

  // Regions of the devices of a group may overlap
  out: {
    for (const entry of list_for_each_entry(mappings, iommu_resv_region, "list")) {
      let map_size = 0n;

      const start = align(entry.start);
      const end = align(entry.start + entry.length);

      if (entry.type !== IOMMU_RESV_DIRECT && entry.type !== IOMMU_RESV_DIRECT_RELAXABLE) continue;

      for (let addr = start; addr <= end; addr += pg_size) {
        if (addr !== end) {
          const phys_addr = iommu_iova_to_phys(domain, addr);
          if (!phys_addr) {
            map_size += pg_size;
            continue;
          }
        }

        if (map_size) {
          ret = iommu_map(domain, addr - map_size, addr - map_size, map_size, entry.prot);
          if (ret) break out;
          map_size = 0n;
        }
      }
    }

    iommu_flush_iotlb_all(domain);
  }
  iommu_put_resv_regions(dev, mappings);

  return ret;
}

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

/** What ACS has to give for devices to be apart: nobody speaks for another or reaches another but through the IOMMU. */
const REQ_ACS_FLAGS = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF;

/** The group of a function of the same device that is not apart, or that has an alias in a group. @devfns: looked at */
function* get_pci_function_alias_group(pdev: pci_dev, devfns: bitmap): Sleeps<iommu_group | null> {
  let tmp: pci_dev | null = null;

  if (!pdev.multifunction || pci_acs_enabled(pdev, REQ_ACS_FLAGS)) return null;

  while ((tmp = yield* pci_get_device(PCI_ANY_ID, PCI_ANY_ID, tmp))) {
    if (
      tmp === pdev ||
      tmp.bus !== pdev.bus ||
      PCI_SLOT(tmp.devfn) !== PCI_SLOT(pdev.devfn) ||
      pci_acs_enabled(tmp, REQ_ACS_FLAGS)
    )
      continue;

    const group: iommu_group | null = yield* get_pci_alias_group(tmp, devfns);
    if (group) {
      yield* pci_dev_put(tmp);
      return group;
    }
  }

  return null;
}

/** The group of a device, or of one that shares requester IDs with it. */
function* get_pci_alias_group(pdev: pci_dev, devfns: bitmap): Sleeps<iommu_group | null> {
  let tmp: pci_dev | null = null;

  if (test_and_set_bit(pdev.devfn & 0xff, devfns)) return null;

  const own = iommu_group_get(pdev.dev);
  if (own) return own;

  while ((tmp = yield* pci_get_device(PCI_ANY_ID, PCI_ANY_ID, tmp))) {
    if (tmp === pdev || tmp.bus !== pdev.bus) continue;

    if (pci_devs_are_dma_aliases(pdev, tmp)) {
      let group: iommu_group | null = yield* get_pci_alias_group(tmp, devfns);
      if (group) {
        yield* pci_dev_put(tmp);
        return group;
      }

      group = yield* get_pci_function_alias_group(tmp, devfns);
      if (group) {
        yield* pci_dev_put(tmp);
        return group;
      }
    }
  }

  return null;
}

interface group_for_pci_data {
  pdev: pci_dev;
  group: iommu_group | null;
}

/** The last device seen; a group on the way ends the search. */
function get_pci_alias_or_group(pdev: pci_dev, _alias: number, data: group_for_pci_data): number {
  data.pdev = pdev;
  data.group = iommu_group_get(pdev.dev);

  return data.group !== null ? 1 : 0;
}

/** A group for each device. @return the group or ERR_PTR. Context: may sleep. Source: drivers/iommu/iommu.c */
export function generic_device_group(_dev: device): Sleeps<iommu_group> {
  return iommu_group_alloc();
}
EXPORT_SYMBOL_GPL(generic_device_group);

/**
 * The group of a PCI device: alone, or with all that it cannot be told or kept apart from.
 * @return the group or ERR_PTR. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* pci_device_group(dev: device): Sleeps<iommu_group> {
  const devfns = new_bitmap(256);

  if (WARN_ON(!dev_is_pci(dev))) return ERR_PTR(-EINVAL);

  // Whose requester ID its DMA has, up to the root
  const data: group_for_pci_data = { pdev: to_pci_dev(dev), group: null };
  if (yield* pci_for_each_dma_alias(data.pdev, get_pci_alias_or_group, data)) return data.group!;

  let pdev = data.pdev;

  // Up to where nobody can reach his neighbour
  for (let bus = pdev.bus!; !pci_is_root_bus(bus); bus = bus.parent!) {
    if (!bus.self) continue;

    if (pci_acs_path_enabled(bus.self, null, REQ_ACS_FLAGS)) break;

    pdev = bus.self;

    const group = iommu_group_get(pdev.dev);
    if (group) return group;
  }

  let group = yield* get_pci_alias_group(pdev, devfns);
  if (group) return group;

  group = yield* get_pci_function_alias_group(pdev, devfns);
  if (group) return group;

  return yield* iommu_group_alloc();
}
EXPORT_SYMBOL_GPL(pci_device_group);

/** The group of the container. @return the group or ERR_PTR. Context: may sleep. Source: drivers/iommu/iommu.c */
export function* fsl_mc_device_group(dev: device): Sleeps<iommu_group> {
  const cont_dev = fsl_mc_cont_dev(dev)!;

  return iommu_group_get(cont_dev) ?? (yield* iommu_group_alloc());
}
EXPORT_SYMBOL_GPL(fsl_mc_device_group);

function iommu_get_def_domain_type(dev: device): number {
  const ops = dev_iommu_ops(dev);

  if (ops.def_domain_type) return ops.def_domain_type(dev);

  return 0;
}

function iommu_group_alloc_default_domain(bus: bus_type | null, group: iommu_group, type: number): number {
  let dom = __iommu_domain_alloc(bus, type);
  if (!dom && type !== IOMMU_DOMAIN_DMA) {
    dom = __iommu_domain_alloc(bus, IOMMU_DOMAIN_DMA);
    if (dom)
      pr_warn(
        "%sFailed to allocate default IOMMU domain of type %u for group %s - Falling back to IOMMU_DOMAIN_DMA",
        PFX,
        type,
        group.name,
      );
  }

  if (!dom) return -ENOMEM;

  group.default_domain = dom;
  if (!group.domain) group.domain = dom;
  return 0;
}

function iommu_alloc_default_domain(group: iommu_group, dev: device): number {
  if (group.default_domain) return 0;

  const type = iommu_get_def_domain_type(dev) || s.iommu_def_domain_type;

  return iommu_group_alloc_default_domain(dev.bus, group, type);
}

/** The group of a device, which it is in afterwards, with a reference. */
function* iommu_group_get_for_dev(dev: device): Sleeps<iommu_group> {
  const ops = dev_iommu_ops(dev);

  const old = iommu_group_get(dev);
  if (old) return old;

  const group = yield* ops.device_group!(dev);
  if (WARN_ON_ONCE(group === null)) return ERR_PTR(-EINVAL);

  if (IS_ERR(group)) return group;

  const ret = yield* iommu_group_add_device(group, dev);
  if (ret) {
    yield* iommu_group_put(group);
    return ERR_PTR(ret);
  }

  return group;
}

export function iommu_group_default_domain(group: iommu_group): iommu_domain | null {
  return group.default_domain;
}

function* probe_iommu_group(dev: device, group_list: list_head): Sleeps<number> {
  // Probed already if it is in a group
  const group = iommu_group_get(dev);
  if (group) {
    yield* iommu_group_put(group);
    return 0;
  }

  yield* mutex_lock(s.iommu_probe_device_lock);
  let ret = yield* __iommu_probe_device(dev, group_list);
  mutex_unlock(s.iommu_probe_device_lock);
  if (ret === -ENODEV) ret = 0;

  return ret;
}

function* iommu_bus_notifier(_nb: notifier_block, action: number, data: unknown): Sleeps<number> {
  const dev = data as device;

  if (action === BUS_NOTIFY_ADD_DEVICE) {
    const ret = yield* iommu_probe_device(dev);
    return ret ? NOTIFY_DONE : NOTIFY_OK;
  } else if (action === BUS_NOTIFY_REMOVED_DEVICE) {
    yield* iommu_release_device(dev);
    return NOTIFY_OK;
  }

  return 0;
}

interface __group_domain_type {
  dev: device | null;
  type: number;
}

function probe_get_default_domain_type(dev: device, data: object | null): number {
  const gtype = data as __group_domain_type;
  const type = iommu_get_def_domain_type(dev);

  if (type) {
    if (gtype.type && gtype.type !== type) {
      dev_warn(
        dev,
        "Device needs domain type %s, but device %s in the same iommu group requires type %s - using default\n",
        iommu_domain_type_str(type),
        dev_name(gtype.dev!),
        iommu_domain_type_str(gtype.type),
      );
      gtype.type = 0;
    }

    if (!gtype.dev) {
      gtype.dev = dev;
      gtype.type = type;
    }
  }

  return 0;
}

function* probe_alloc_default_domain(bus: bus_type, group: iommu_group): Sleeps {
  if (group.default_domain) return;

  const gtype: __group_domain_type = { dev: null, type: 0 };

  yield* __iommu_group_for_each_dev(group, gtype, probe_get_default_domain_type);

  if (!gtype.type) gtype.type = s.iommu_def_domain_type;

  iommu_group_alloc_default_domain(bus, group, gtype.type);
}

function* iommu_group_do_dma_attach(dev: device, data: object | null): Sleeps<number> {
  const domain = data as iommu_domain;
  let ret = 0;

  if (!iommu_is_attach_deferred(dev)) ret = yield* __iommu_attach_device(domain, dev);

  return ret;
}

function __iommu_group_dma_attach(group: iommu_group): Sleeps<number> {
  return __iommu_group_for_each_dev(group, group.default_domain, iommu_group_do_dma_attach);
}

function iommu_group_do_probe_finalize(dev: device, _data: object | null): number {
  const ops = dev_iommu_ops(dev);

  if (ops.probe_finalize) ops.probe_finalize(dev);

  return 0;
}

function* __iommu_group_dma_finalize(group: iommu_group): Sleeps {
  yield* __iommu_group_for_each_dev(group, group.default_domain, iommu_group_do_probe_finalize);
}

function iommu_do_create_direct_mappings(dev: device, data: object | null): number {
  const group = data as iommu_group;

  iommu_create_device_direct_mappings(group, dev);

  return 0;
}

function iommu_group_create_direct_mappings(group: iommu_group): Sleeps<number> {
  return __iommu_group_for_each_dev(group, group, iommu_do_create_direct_mappings);
}

/**
 * Looks for IOMMUs in front of all devices of a bus.
 * @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function* bus_iommu_probe(bus: bus_type): Sleeps<number> {
  const group_list = LIST_HEAD();

  // First all groups, then their default domains
  let ret = yield* bus_for_each_dev(bus, null, group_list, probe_iommu_group);
  if (ret) return ret;

  for (const group of list_for_each_entry_safe(group_list, iommu_group, "entry")) {
    yield* mutex_lock(group.mutex);

    list_del_init(group.entry);

    yield* probe_alloc_default_domain(bus, group);

    if (!group.default_domain) {
      mutex_unlock(group.mutex);
      continue;
    }

    yield* iommu_group_create_direct_mappings(group);

    ret = yield* __iommu_group_dma_attach(group);

    mutex_unlock(group.mutex);

    if (ret) break;

    yield* __iommu_group_dma_finalize(group);
  }

  return ret;
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

  if (iommu_is_dma_domain(domain) && iommu_get_dma_cookie(domain)) {
    iommu_domain_free(domain);
    return null;
  }
  return domain;
}

/** A domain for the addresses of user space. @return NULL if the bus has no IOMMU. Source: drivers/iommu/iommu.c */
export function iommu_domain_alloc(bus: bus_type | null): iommu_domain | null {
  return __iommu_domain_alloc(bus, IOMMU_DOMAIN_UNMANAGED);
}
EXPORT_SYMBOL_GPL(iommu_domain_alloc);

export function iommu_domain_free(domain: iommu_domain): void {
  iommu_put_dma_cookie(domain);
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

/** Where a device's access to `iova` goes. @return physical address, 0 if nowhere. Any context. Source: drivers/iommu/iommu.c */
export function iommu_iova_to_phys(domain: iommu_domain, iova: bigint): bigint {
  if (domain.type === IOMMU_DOMAIN_IDENTITY) return iova;

  if (domain.type === IOMMU_DOMAIN_BLOCKED) return 0n;

  return domain.ops!.iova_to_phys!(domain, iova);
}
EXPORT_SYMBOL_GPL(iommu_iova_to_phys);

const __fls = (v: bigint): number => fls64(v) - 1;

/** The largest pages that fit, and how many of them come one after the other. */
function iommu_pgsize(
  domain: iommu_domain,
  iova: bigint,
  paddr: bigint,
  size: bigint,
): { pgsize: bigint; count: bigint } {
  const addr_merge = paddr | iova;

  // Not larger than what is to be mapped, nor than its alignment
  let pgsizes = domain.pgsize_bitmap & GENMASK_ULL(__fls(size), 0);
  if (addr_merge) pgsizes &= GENMASK_ULL(__ffs(addr_merge), 0);

  BUG_ON(!pgsizes);

  const pgsize_idx = __fls(pgsizes);
  const pgsize = 1n << BigInt(pgsize_idx);

  out_set_count: {
    pgsizes = domain.pgsize_bitmap & ~GENMASK_ULL(pgsize_idx, 0);
    if (!pgsizes) break out_set_count;

    const pgsize_next = 1n << BigInt(__ffs(pgsizes));

    // A larger page will never fit unless both addresses are equally far from its boundary.
    if ((iova ^ paddr) & (pgsize_next - 1n)) break out_set_count;

    const offset = pgsize_next - (addr_merge & (pgsize_next - 1n));

    // Up to that boundary, if one fits behind it
    const offset_end = offset + pgsize_next;
    if (offset_end === U64(offset_end) && offset_end <= size) size = offset;
  }
  return { pgsize, count: size >> BigInt(pgsize_idx) };
}

function __iommu_map_pages(
  domain: iommu_domain,
  iova: bigint,
  paddr: bigint,
  size: bigint,
  prot: number,
  gfp: number,
  mapped: { value: bigint },
): number {
  const ops = domain.ops!;

  const { pgsize, count } = iommu_pgsize(domain, iova, paddr, size);

  pr_debug("%smapping: iova 0x%lx pa 0x%llx pgsize 0x%zx count %zu\n", PFX, iova, paddr, pgsize, count);

  if (ops.map_pages) return ops.map_pages(domain, iova, paddr, pgsize, count, prot, gfp, mapped);
  const ret = ops.map!(domain, iova, paddr, pgsize, prot, gfp);
  mapped.value = ret ? 0n : pgsize;

  return ret;
}

function __iommu_map(
  domain: iommu_domain,
  iova: bigint,
  paddr: bigint,
  size: bigint,
  prot: number,
  gfp: number,
): number {
  const ops = domain.ops!;
  const orig_iova = iova;
  const orig_size = size;
  let ret = 0;

  if (!(ops.map || ops.map_pages) || domain.pgsize_bitmap === 0n) return -ENODEV;

  if (!(domain.type & __IOMMU_DOMAIN_PAGING)) return -EINVAL;

  const min_pagesz = 1n << BigInt(__ffs(domain.pgsize_bitmap));

  if ((iova | paddr | size) & (min_pagesz - 1n)) {
    pr_err(
      "%sunaligned: iova 0x%lx pa 0x%llx size 0x%zx min_pagesz 0x%x\n",
      PFX,
      iova,
      paddr,
      size,
      Number(min_pagesz),
    );
    return -EINVAL;
  }

  pr_debug("%smap: iova 0x%lx pa 0x%llx size 0x%zx\n", PFX, iova, paddr, size);

  while (size) {
    const mapped = { value: 0n };

    ret = __iommu_map_pages(domain, iova, paddr, size, prot, gfp, mapped);
    // Some may be mapped although an error came, and have to be unmapped then.
    size -= mapped.value;

    if (ret) break;

    iova += mapped.value;
    paddr += mapped.value;
  }

  if (ret) iommu_unmap(domain, orig_iova, orig_size - size);

  return ret;
}

function _iommu_map(
  domain: iommu_domain,
  iova: bigint,
  paddr: bigint,
  size: bigint,
  prot: number,
  gfp: number,
): number {
  const ops = domain.ops!;

  const ret = __iommu_map(domain, iova, paddr, size, prot, gfp);
  if (ret === 0 && ops.iotlb_sync_map) ops.iotlb_sync_map(domain, iova, size);

  return ret;
}

/**
 * Maps `size` bytes; all addresses are aligned to the smallest page.
 * @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu.c
 */
export function iommu_map(domain: iommu_domain, iova: bigint, paddr: bigint, size: bigint, prot: number): number {
  might_sleep();
  return _iommu_map(domain, iova, paddr, size, prot, GFP_KERNEL);
}
EXPORT_SYMBOL_GPL(iommu_map);

/** iommu_map() in any context. Source: drivers/iommu/iommu.c */
export function iommu_map_atomic(
  domain: iommu_domain,
  iova: bigint,
  paddr: bigint,
  size: bigint,
  prot: number,
): number {
  return _iommu_map(domain, iova, paddr, size, prot, GFP_ATOMIC);
}
EXPORT_SYMBOL_GPL(iommu_map_atomic);

function __iommu_unmap_pages(
  domain: iommu_domain,
  iova: bigint,
  size: bigint,
  iotlb_gather: iommu_iotlb_gather,
): bigint {
  const ops = domain.ops!;

  const { pgsize, count } = iommu_pgsize(domain, iova, iova, size);
  return ops.unmap_pages
    ? ops.unmap_pages(domain, iova, pgsize, count, iotlb_gather)
    : ops.unmap!(domain, iova, pgsize, iotlb_gather);
}

function __iommu_unmap(domain: iommu_domain, iova: bigint, size: bigint, iotlb_gather: iommu_iotlb_gather): bigint {
  const ops = domain.ops!;
  let unmapped = 0n;

  if (!(ops.unmap || ops.unmap_pages) || domain.pgsize_bitmap === 0n) return 0n;

  if (!(domain.type & __IOMMU_DOMAIN_PAGING)) return 0n;

  const min_pagesz = 1n << BigInt(__ffs(domain.pgsize_bitmap));

  if ((iova | size) & (min_pagesz - 1n)) {
    pr_err("%sunaligned: iova 0x%lx size 0x%zx min_pagesz 0x%x\n", PFX, iova, size, Number(min_pagesz));
    return 0n;
  }

  pr_debug("%sunmap this: iova 0x%lx size 0x%zx\n", PFX, iova, size);

  // Until all is unmapped, or more, or something is not mapped
  while (unmapped < size) {
    const unmapped_page = __iommu_unmap_pages(domain, iova, size - unmapped, iotlb_gather);
    if (!unmapped_page) break;

    pr_debug("%sunmapped: iova 0x%lx size 0x%zx\n", PFX, iova, unmapped_page);

    iova += unmapped_page;
    unmapped += unmapped_page;
  }

  return unmapped;
}

/** Unmaps, for devices as well. @return bytes unmapped, which may be more. Any context. Source: drivers/iommu/iommu.c */
export function iommu_unmap(domain: iommu_domain, iova: bigint, size: bigint): bigint {
  const iotlb_gather = new iommu_iotlb_gather();

  iommu_iotlb_gather_init(iotlb_gather);
  const ret = __iommu_unmap(domain, iova, size, iotlb_gather);
  iommu_iotlb_sync(domain, iotlb_gather);

  return ret;
}
EXPORT_SYMBOL_GPL(iommu_unmap);

/** Unmaps; devices may still see it until iommu_iotlb_sync(). @return bytes unmapped. Source: drivers/iommu/iommu.c */
export function iommu_unmap_fast(
  domain: iommu_domain,
  iova: bigint,
  size: bigint,
  iotlb_gather: iommu_iotlb_gather,
): bigint {
  return __iommu_unmap(domain, iova, size, iotlb_gather);
}
EXPORT_SYMBOL_GPL(iommu_unmap_fast);

function* iommu_init(): Sleeps<number> {
  s.iommu_group_kset = yield* kset_create_and_add("iommu_groups", null, kernel_kobj());
  BUG_ON(!s.iommu_group_kset);

  return 0;
}
core_initcall(iommu_init);

/** A domain that a guest's own page tables can be nested in. @return 0 or -EINVAL. Source: drivers/iommu/iommu.c */
export function iommu_enable_nesting(domain: iommu_domain): number {
  if (domain.type !== IOMMU_DOMAIN_UNMANAGED) return -EINVAL;
  if (!domain.ops!.enable_nesting) return -EINVAL;
  return domain.ops!.enable_nesting(domain);
}
EXPORT_SYMBOL_GPL(iommu_enable_nesting);

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

function iommu_set_default_translated(): void {
  s.iommu_def_domain_type = IOMMU_DOMAIN_DMA;
}

/** Whether devices see memory as it is unless somebody asks for a domain. Any context. Source: drivers/iommu/iommu.c */
export function iommu_default_passthrough(): boolean {
  return s.iommu_def_domain_type === IOMMU_DOMAIN_IDENTITY;
}
EXPORT_SYMBOL_GPL(iommu_default_passthrough);

/** Gives the only device of a group another default domain. @prev_dev: it; @type: 0 for the one it was booted with */
function* iommu_change_dev_def_domain(group: iommu_group, prev_dev: device, type: number): Sleeps<number> {
  let ret;

  yield* mutex_lock(group.mutex);

  out: {
    if (group.default_domain !== group.domain) {
      dev_err_ratelimited(prev_dev, "Group not assigned to default domain\n");
      ret = -EBUSY;
      break out;
    }

    // The group was not locked while the device was
    if (iommu_group_device_count(group) !== 1) {
      dev_err_ratelimited(prev_dev, "Cannot change default domain: Group has more than one device\n");
      ret = -EINVAL;
      break out;
    }

    const grp_dev = list_first_entry(group.devices, group_device, "list");
    const dev = grp_dev.dev!;

    if (prev_dev !== dev) {
      dev_err_ratelimited(prev_dev, "Cannot change default domain: Device has been changed\n");
      ret = -EBUSY;
      break out;
    }

    const prev_dom = group.default_domain;
    if (!prev_dom) {
      ret = -EINVAL;
      break out;
    }

    const dev_def_dom = iommu_get_def_domain_type(dev);
    if (!type) {
      type = dev_def_dom || s.iommu_def_domain_type;
    } else if (dev_def_dom && type !== dev_def_dom) {
      dev_err_ratelimited(prev_dev, "Device cannot be in %s domain\n", iommu_domain_type_str(type));
      ret = -EINVAL;
      break out;
    }

    if (prev_dom.type === type) {
      ret = 0;
      break out;
    }

    // Only how unmapping is made known changes
    if (type === IOMMU_DOMAIN_DMA_FQ && prev_dom.type === IOMMU_DOMAIN_DMA) {
      ret = iommu_dma_init_fq(prev_dom);
      if (!ret) prev_dom.type = IOMMU_DOMAIN_DMA_FQ;
      break out;
    }

    ret = iommu_group_alloc_default_domain(dev.bus, group, type);
    if (ret) break out;

    free_new_domain: {
      ret = iommu_create_device_direct_mappings(group, dev);
      if (ret) break free_new_domain;

      ret = yield* __iommu_attach_device(group.default_domain!, dev);
      if (ret) break free_new_domain;

      group.domain = group.default_domain;

      // Drivers may come back here for the mutex
      mutex_unlock(group.mutex);

      iommu_group_do_probe_finalize(dev, group.default_domain);
      iommu_domain_free(prev_dom);
      return 0;
    }
    iommu_domain_free(group.default_domain!);
    group.default_domain = prev_dom;
    group.domain = prev_dom;
  }
  mutex_unlock(group.mutex);

  return ret;
}

function* iommu_group_store_type(group: iommu_group, buf: string, count: number): Sleeps<number> {
  let req_type: number;

  if (!capable(CAP_SYS_ADMIN) || !capable(CAP_SYS_RAWIO)) return -EACCES;

  if (WARN_ON(!group) || !group.default_domain) return -EINVAL;

  if (sysfs_streq(buf, "identity")) req_type = IOMMU_DOMAIN_IDENTITY;
  else if (sysfs_streq(buf, "DMA")) req_type = IOMMU_DOMAIN_DMA;
  else if (sysfs_streq(buf, "DMA-FQ")) req_type = IOMMU_DOMAIN_DMA_FQ;
  else if (sysfs_streq(buf, "auto")) req_type = 0;
  else return -EINVAL;

  // The device has to be locked before the group, and is known only with the group locked.
  yield* mutex_lock(group.mutex);
  if (iommu_group_device_count(group) !== 1) {
    mutex_unlock(group.mutex);
    if (__ratelimit(s.store_type_count))
      pr_err("%sCannot change default domain: Group has more than one device\n", PFX);
    return -EINVAL;
  }

  const grp_dev = list_first_entry(group.devices, group_device, "list");
  const dev = grp_dev.dev!;
  get_device(dev);
  mutex_unlock(group.mutex);

  let ret: number;
  yield* device_lock(dev);
  out: {
    if (device_is_bound(dev) && !(req_type === IOMMU_DOMAIN_DMA_FQ && group.default_domain.type === IOMMU_DOMAIN_DMA)) {
      if (__ratelimit(s.store_type_bound)) pr_err("%sDevice is still bound to driver\n", PFX);
      ret = -EBUSY;
      break out;
    }

    ret = yield* iommu_change_dev_def_domain(group, dev, req_type);
    ret = ret || count;
  }
  device_unlock(dev);
  yield* put_device(dev);

  return ret;
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
