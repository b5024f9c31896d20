// SPDX-License-Identifier: GPL-2.0-only
/**
 * The platform bus: devices that are told of by the firmware or by code. Source: drivers/base/platform.c
 *
 * Not here: ACPI, software nodes, power domains and clocks, system sleep, devm_platform_get_irqs_affinity().
 */
import { WARN } from "#linux/bug.ts";
import {
  bus_find_device,
  bus_register,
  bus_type,
  dev_err,
  dev_err_probe,
  dev_name,
  dev_set_name,
  dev_to_node,
  dev_warn,
  device,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  device_add,
  type device_attribute,
  device_del,
  type device_driver,
  device_initialize,
  device_lock,
  device_register,
  device_unlock,
  device_unregister,
  driver_register,
  driver_set_override,
  driver_unregister,
  kobj_to_dev,
  PROBE_FORCE_SYNCHRONOUS,
  PROBE_PREFER_ASYNCHRONOUS,
  put_device,
} from "#linux/device.ts";
import { DMA_BIT_MASK } from "#linux/dma-mapping.ts";
import { ERR_PTR, IS_ERR_OR_NULL } from "#linux/err.ts";
import { EINVAL, ENODEV, ENOMEM, ENXIO, EPROBE_DEFER } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { DEFINE_IDA, ida_alloc, ida_free } from "#linux/idr.ts";
import { irq_set_trigger_type, irq_to_desc } from "#linux/interrupt.ts";
import { devm_ioremap_resource, type iomem } from "#linux/io.ts";
import { iommu_device_unuse_default_domain, iommu_device_use_default_domain } from "#linux/iommu.ts";
import {
  insert_resource,
  iomem_resource,
  IORESOURCE_BITS,
  IORESOURCE_IO,
  IORESOURCE_IRQ,
  IORESOURCE_MEM,
  ioport_resource,
  release_resource,
  resource,
  resource_type,
} from "#linux/ioport.ts";
import { add_uevent_var, type kobj_uevent_env, type kobject } from "#linux/kobject.ts";
import { PLATFORM_MODULE_PREFIX, type platform_device_id } from "#linux/mod_devicetable.ts";
import type { module } from "#linux/module.ts";
import { of_driver_match_device, of_node_put, of_property_strings } from "#linux/of.ts";
import { of_irq_get, of_irq_get_byname } from "#linux/of_irq.ts";
import {
  platform_device,
  type platform_device_info,
  type platform_driver,
  PLATFORM_DEVID_AUTO,
  PLATFORM_DEVID_NONE,
  to_platform_device,
  to_platform_driver,
} from "#linux/platform_device.ts";
import { list_empty } from "#linux/list.ts";
import { pr_debug, pr_err } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kmemdup, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import { type attribute, type attribute_groups, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import {
  container_of,
  embed,
  initialise,
  type kobj_memory,
  type Sleeps,
  sizeof,
  struct,
  type struct_array,
} from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const NUMA_NO_NODE = -1;

const s = per_boot(() => ({
  platform_devid_ida: DEFINE_IDA(),
  platform_bus: initialise(new device(), { init_name: "platform" }),
  platform_bus_type: initialise(new bus_type(), {
    name: "platform",
    dev_groups: platform_dev_groups,
    match: platform_match,
    uevent: platform_uevent,
    probe: platform_probe,
    remove: platform_remove,
    shutdown: platform_shutdown,
    dma_configure: platform_dma_configure,
    dma_cleanup: platform_dma_cleanup,
  }),
}));
/** `&platform_bus` */
export const platform_bus = (): device => s.platform_bus;
EXPORT_SYMBOL_GPL(platform_bus);
/** `&platform_bus_type` */
export const platform_bus_type = (): bus_type => s.platform_bus_type;
EXPORT_SYMBOL_GPL(platform_bus_type);

function* resources_of(dev: platform_device): IterableIterator<resource> {
  for (let i = 0; i < dev.num_resources; i++) yield dev.resource!.at(i);
}

/** The `num`th resource of a type, or NULL. Any context */
export function platform_get_resource(dev: platform_device, type: number, num: number): resource | null {
  for (const r of resources_of(dev)) if (type === resource_type(r) && num-- === 0) return r;
  return null;
}
EXPORT_SYMBOL_GPL(platform_get_resource);

/** The `num`th range of registers, of either kind, or NULL. Any context */
export function platform_get_mem_or_io(dev: platform_device, num: number): resource | null {
  for (const r of resources_of(dev)) if (resource_type(r) & (IORESOURCE_MEM | IORESOURCE_IO) && num-- === 0) return r;
  return null;
}
EXPORT_SYMBOL_GPL(platform_get_mem_or_io);

/** Claims and maps the `index`th range, for as long as the driver is there. @res: set to it. @return ERR_PTR on error. May sleep */
export function* devm_platform_get_and_ioremap_resource(
  pdev: platform_device,
  index: number,
  res: { value: resource | null } | null,
): Sleeps<iomem> {
  const r = platform_get_resource(pdev, IORESOURCE_MEM, index);
  if (res) res.value = r;
  return yield* devm_ioremap_resource(pdev.dev, r);
}
EXPORT_SYMBOL_GPL(devm_platform_get_and_ioremap_resource);
export function devm_platform_ioremap_resource(pdev: platform_device, index: number): Sleeps<iomem> {
  return devm_platform_get_and_ioremap_resource(pdev, index, null);
}
EXPORT_SYMBOL_GPL(devm_platform_ioremap_resource);
export function devm_platform_ioremap_resource_byname(pdev: platform_device, name: string): Sleeps<iomem> {
  const res = platform_get_resource_byname(pdev, IORESOURCE_MEM, name);
  return devm_ioremap_resource(pdev.dev, res);
}
EXPORT_SYMBOL_GPL(devm_platform_ioremap_resource_byname);

/** The `num`th interrupt of a device. @return its number, above 0; -ENXIO if there is none; -EINVAL for 0, with a warning. Any context */
export function platform_get_irq_optional(dev: platform_device, num: number): number {
  let ret: number;

  out: {
    out_not_found: {
      if (dev.dev.of_node) {
        ret = of_irq_get(dev.dev.of_node, num);
        if (ret > 0 || ret === -EPROBE_DEFER) break out;
      }

      const r = platform_get_resource(dev, IORESOURCE_IRQ, num);
      // The bits that a bus may keep for itself are the trigger here.
      if (r && r.flags & IORESOURCE_BITS) {
        if (!irq_to_desc(Number(r.start))) break out_not_found;
        irq_set_trigger_type(Number(r.start), r.flags & IORESOURCE_BITS);
      }

      if (r) {
        ret = Number(r.start);
        break out;
      }
    }
    ret = -ENXIO;
  }
  if (WARN(!ret, "0 is an invalid IRQ number\n")) return -EINVAL;
  return ret;
}
EXPORT_SYMBOL_GPL(platform_get_irq_optional);

/** The same, and says so if there is none. */
export function platform_get_irq(dev: platform_device, num: number): number {
  const ret = platform_get_irq_optional(dev, num);
  if (ret < 0) return dev_err_probe(dev.dev, ret, "IRQ index %u not found\n", num);

  return ret;
}
EXPORT_SYMBOL_GPL(platform_get_irq);

/** How many interrupts a device has, or -EPROBE_DEFER. */
export function platform_irq_count(dev: platform_device): number {
  let ret: number;
  let nr = 0;

  while ((ret = platform_get_irq_optional(dev, nr)) >= 0) nr++;

  if (ret === -EPROBE_DEFER) return ret;

  return nr;
}
EXPORT_SYMBOL_GPL(platform_irq_count);

export function platform_get_resource_byname(dev: platform_device, type: number, name: string): resource | null {
  for (const r of resources_of(dev)) {
    if (r.name === null) continue;

    if (type === resource_type(r) && r.name === name) return r;
  }
  return null;
}
EXPORT_SYMBOL_GPL(platform_get_resource_byname);

function __platform_get_irq_byname(dev: platform_device, name: string): number {
  if (dev.dev.of_node) {
    const ret = of_irq_get_byname(dev.dev.of_node, name);
    if (ret > 0 || ret === -EPROBE_DEFER) return ret;
  }

  const r = platform_get_resource_byname(dev, IORESOURCE_IRQ, name);
  if (r) {
    if (WARN(!r.start, "0 is an invalid IRQ number\n")) return -EINVAL;
    return Number(r.start);
  }

  return -ENXIO;
}

export function platform_get_irq_byname(dev: platform_device, name: string): number {
  const ret = __platform_get_irq_byname(dev, name);
  if (ret < 0) return dev_err_probe(dev.dev, ret, "IRQ %s not found\n", name);
  return ret;
}
EXPORT_SYMBOL_GPL(platform_get_irq_byname);

export function platform_get_irq_byname_optional(dev: platform_device, name: string): number {
  return __platform_get_irq_byname(dev, name);
}
EXPORT_SYMBOL_GPL(platform_get_irq_byname_optional);

/** Registers several devices, or none. @return 0 or errno. May sleep */
export function* platform_add_devices(devs: readonly platform_device[]): Sleeps<number> {
  let ret = 0;

  for (let i = 0; i < devs.length; i++) {
    ret = yield* platform_device_register(devs[i]!);
    if (ret) {
      while (--i >= 0) yield* platform_device_unregister(devs[i]!);
      break;
    }
  }

  return ret;
}
EXPORT_SYMBOL_GPL(platform_add_devices);

/** The name is in the same memory. */
class platform_object extends struct("platform_object", { pdev: embed(() => platform_device) }) {}

function setup_pdev_dma_masks(pdev: platform_device): void {
  pdev.dev.dma_parms = pdev.dma_parms;

  if (!pdev.dev.coherent_dma_mask) pdev.dev.coherent_dma_mask = DMA_BIT_MASK(32);
  if (!pdev.dev.dma_mask) {
    pdev.platform_dma_mask = DMA_BIT_MASK(32);
    pdev.dev.dma_mask = new platform_dma_mask_of(pdev);
  }
}
/* `&pdev->platform_dma_mask` */
class platform_dma_mask_of {
  readonly pdev: platform_device;
  constructor(pdev: platform_device) {
    this.pdev = pdev;
  }
  get value(): bigint {
    return this.pdev.platform_dma_mask;
  }
  set value(v: bigint) {
    this.pdev.platform_dma_mask = v;
  }
}

/** Drops a reference; NULL and errors are fine. May sleep. */
export function* platform_device_put(pdev: platform_device | null): Sleeps {
  if (!IS_ERR_OR_NULL(pdev)) yield* put_device(pdev!.dev);
}
EXPORT_SYMBOL_GPL(platform_device_put);

function platform_device_release(dev: device): void {
  const pa = container_of(to_platform_device(dev), platform_object, "pdev");

  of_node_put(pa.pdev.dev.of_node);
  kfree(pa.pdev.dev.platform_data);
  kfree(pa.pdev.resource);
  kfree(pa.pdev.driver_override);
  kfree(pa);
}

/** A device that is freed with its last reference, resources included. @return NULL without memory. May sleep */
export function platform_device_alloc(name: string, id: number): platform_device | null {
  const pa = kzalloc(platform_object, GFP_KERNEL, sizeof(platform_object) + name.length + 1);
  if (pa) {
    pa.pdev.name = name;
    pa.pdev.id = id;
    device_initialize(pa.pdev.dev);
    pa.pdev.dev.release = platform_device_release;
    setup_pdev_dma_masks(pa.pdev);
  }

  return pa ? pa.pdev : null;
}
EXPORT_SYMBOL_GPL(platform_device_alloc);

/** Gives a device a copy of these resources. @return 0 or -ENOMEM. May sleep */
export function platform_device_add_resources(
  pdev: platform_device,
  res: struct_array<resource> | null,
  num: number,
): number {
  let r: struct_array<resource> | null = null;

  if (res) {
    r = kmemdup(res, sizeof(resource) * num, GFP_KERNEL);
    if (!r) return -ENOMEM;
  }

  kfree(pdev.resource);
  pdev.resource = r;
  pdev.num_resources = num;
  return 0;
}
EXPORT_SYMBOL_GPL(platform_device_add_resources);

/** Gives a device a copy of what its driver wants to know. @return 0 or -ENOMEM. May sleep */
export function platform_device_add_data(pdev: platform_device, data: kobj_memory | null, size: number): number {
  let d: kobj_memory | null = null;

  if (data) {
    d = kmemdup(data, size, GFP_KERNEL);
    if (!d) return -ENOMEM;
  }

  kfree(pdev.dev.platform_data);
  pdev.dev.platform_data = d;
  return 0;
}
EXPORT_SYMBOL_GPL(platform_device_add_data);

/** Adds a device that is initialised to the bus. @return 0; -EINVAL for NULL; -EBUSY if addresses are taken; errno. May sleep */
export function* platform_device_add(pdev: platform_device | null): Sleeps<number> {
  let i: number;
  let ret: number;

  if (!pdev) return -EINVAL;

  if (!pdev.dev.parent) pdev.dev.parent = platform_bus();

  pdev.dev.bus = platform_bus_type();

  err_out: {
    switch (pdev.id) {
      default:
        dev_set_name(pdev.dev, "%s.%d", pdev.name, pdev.id);
        break;
      case PLATFORM_DEVID_NONE:
        dev_set_name(pdev.dev, "%s", pdev.name);
        break;
      case PLATFORM_DEVID_AUTO:
        // Marked, so that it is given back; the suffix keeps it apart from numbers that were asked for.
        ret = ida_alloc(s.platform_devid_ida, GFP_KERNEL);
        if (ret < 0) break err_out;
        pdev.id = ret;
        pdev.id_auto = true;
        dev_set_name(pdev.dev, "%s.%d.auto", pdev.name, pdev.id);
        break;
    }

    failed: {
      for (i = 0; i < pdev.num_resources; i++) {
        const r = pdev.resource!.at(i);

        if (r.name === null) r.name = dev_name(pdev.dev);

        let p = r.parent;
        if (!p) {
          if (resource_type(r) === IORESOURCE_MEM) p = iomem_resource();
          else if (resource_type(r) === IORESOURCE_IO) p = ioport_resource();
        }

        if (p) {
          ret = yield* insert_resource(p, r);
          if (ret) {
            dev_err(pdev.dev, "failed to claim resource %d: %pR\n", i, r);
            break failed;
          }
        }
      }

      pr_debug("Registering platform device '%s'. Parent at %s\n", dev_name(pdev.dev), dev_name(pdev.dev.parent));

      ret = yield* device_add(pdev.dev);
      if (ret === 0) return ret;
    }
    if (pdev.id_auto) {
      ida_free(s.platform_devid_ida, pdev.id);
      pdev.id = PLATFORM_DEVID_AUTO;
    }

    while (i--) {
      const r = pdev.resource!.at(i);
      if (r.parent) yield* release_resource(r);
    }
  }
  return ret;
}
EXPORT_SYMBOL_GPL(platform_device_add);

/** Takes a device off the bus, and its resources with it; the references stay. May sleep. */
export function* platform_device_del(pdev: platform_device | null): Sleeps {
  if (IS_ERR_OR_NULL(pdev)) return;
  const p = pdev!;

  yield* device_del(p.dev);

  if (p.id_auto) {
    ida_free(s.platform_devid_ida, p.id);
    p.id = PLATFORM_DEVID_AUTO;
  }

  for (const r of resources_of(p)) if (r.parent) yield* release_resource(r);
}
EXPORT_SYMBOL_GPL(platform_device_del);

/** Initialises a device and adds it. On an error too: platform_device_put(), never kfree(). May sleep. @return 0 or errno */
export function* platform_device_register(pdev: platform_device): Sleeps<number> {
  device_initialize(pdev.dev);
  setup_pdev_dma_masks(pdev);
  return yield* platform_device_add(pdev);
}
EXPORT_SYMBOL_GPL(platform_device_register);

/** Takes it off the bus and drops the reference. May sleep. */
export function* platform_device_unregister(pdev: platform_device | null): Sleeps {
  yield* platform_device_del(pdev);
  yield* platform_device_put(pdev);
}
EXPORT_SYMBOL_GPL(platform_device_unregister);

/** Allocates a device, gives it resources and adds it. @return the device, or ERR_PTR. May sleep */
export function* platform_device_register_full(pdevinfo: platform_device_info): Sleeps<platform_device> {
  let ret: number;

  const pdev = platform_device_alloc(pdevinfo.name, pdevinfo.id);
  if (!pdev) return ERR_PTR(-ENOMEM);

  pdev.dev.parent = pdevinfo.parent ?? null;

  if (pdevinfo.dma_mask) {
    pdev.platform_dma_mask = pdevinfo.dma_mask;
    pdev.dev.dma_mask = new platform_dma_mask_of(pdev);
    pdev.dev.coherent_dma_mask = pdevinfo.dma_mask;
  }

  err: {
    ret = platform_device_add_resources(pdev, pdevinfo.res ?? null, pdevinfo.num_res ?? 0);
    if (ret) break err;

    ret = platform_device_add_data(pdev, pdevinfo.data ?? null, pdevinfo.size_data ?? 0);
    if (ret) break err;

    ret = yield* platform_device_add(pdev);
    if (ret) break err;

    return pdev;
  }
  yield* platform_device_put(pdev);
  return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(platform_device_register_full);

/** Makes a driver known. @owner: THIS_MODULE. @return 0 or errno. May sleep */
export function* __platform_driver_register(drv: platform_driver, owner: module | null): Sleeps<number> {
  drv.driver.owner = owner;
  drv.driver.bus = platform_bus_type();

  return yield* driver_register(drv.driver);
}
EXPORT_SYMBOL_GPL(__platform_driver_register);

/** The opposite: its devices lose it. May sleep. */
export function* platform_driver_unregister(drv: platform_driver): Sleeps {
  yield* driver_unregister(drv.driver);
}
EXPORT_SYMBOL_GPL(platform_driver_unregister);

function platform_probe_fail(_pdev: platform_device): number {
  return -ENXIO;
}

type platform_probe_t = NonNullable<platform_driver["probe"]>;

/**
 * Registers a driver for devices that are there already and do not come later; `probe` runs only now.
 * @return 0 if it got one; -ENODEV if not, and it is not registered; -EINVAL if it wants to be probed asynchronously; errno. May sleep
 */
export function* __platform_driver_probe(
  drv: platform_driver,
  probe: platform_probe_t,
  module: module | null,
): Sleeps<number> {
  if (drv.driver.probe_type === PROBE_PREFER_ASYNCHRONOUS) {
    pr_err(
      "%s: drivers registered with %s can not be probed asynchronously\n",
      drv.driver.name,
      "__platform_driver_probe",
    );
    return -EINVAL;
  }

  // Whether it got a device is asked at once.
  drv.driver.probe_type = PROBE_FORCE_SYNCHRONOUS;

  drv.prevent_deferred_probe = true;

  drv.driver.suppress_bind_attrs = true;

  drv.probe = probe;
  const code = yield* __platform_driver_register(drv, module);
  let retval = code;
  if (retval) return retval;

  // Devices that come from now on are refused.
  const lock = drv.driver.bus!.p!.klist_drivers.k_lock;
  yield* spin_lock(lock);
  drv.probe = platform_probe_fail;
  if (code === 0 && list_empty(drv.driver.p!.klist_devices.k_list)) retval = -ENODEV;
  spin_unlock(lock);

  if (code !== retval) yield* platform_driver_unregister(drv);
  return retval;
}
EXPORT_SYMBOL_GPL(__platform_driver_probe);

/** A driver and the one device that it is for. @return the device, or ERR_PTR. May sleep */
export function* __platform_create_bundle(
  driver: platform_driver,
  probe: platform_probe_t,
  res: struct_array<resource> | null,
  n_res: number,
  data: kobj_memory | null,
  size: number,
  module: module | null,
): Sleeps<platform_device> {
  let error: number;

  const pdev = platform_device_alloc(driver.driver.name!, -1);
  if (!pdev) return ERR_PTR(-ENOMEM);

  err_pdev_put: {
    error = platform_device_add_resources(pdev, res, n_res);
    if (error) break err_pdev_put;

    error = platform_device_add_data(pdev, data, size);
    if (error) break err_pdev_put;

    error = yield* platform_device_add(pdev);
    if (error) break err_pdev_put;

    err_pdev_del: {
      error = yield* __platform_driver_probe(driver, probe, module);
      if (error) break err_pdev_del;

      return pdev;
    }
    yield* platform_device_del(pdev);
  }
  yield* platform_device_put(pdev);
  return ERR_PTR(error);
}
EXPORT_SYMBOL_GPL(__platform_create_bundle);

/** Registers several drivers, or none. @return 0 or errno. May sleep */
export function* __platform_register_drivers(
  drivers: readonly platform_driver[],
  owner: module | null,
): Sleeps<number> {
  for (let i = 0; i < drivers.length; i++) {
    const drv = drivers[i]!;
    pr_debug("registering platform driver %s\n", drv.driver.name);

    const err = yield* __platform_driver_register(drv, owner);
    if (err < 0) {
      pr_err("failed to register platform driver %s: %d\n", drv.driver.name, err);
      yield* platform_unregister_drivers(drivers.slice(0, i));
      return err;
    }
  }

  return 0;
}
EXPORT_SYMBOL_GPL(__platform_register_drivers);

/** The opposite, the last one first. May sleep. */
export function* platform_unregister_drivers(drivers: readonly platform_driver[]): Sleeps {
  for (const drv of drivers.toReversed()) {
    pr_debug("unregistering platform driver %s\n", drv.driver.name);
    yield* platform_driver_unregister(drv);
  }
}
EXPORT_SYMBOL_GPL(platform_unregister_drivers);

function platform_match_id(id_table: readonly platform_device_id[], pdev: platform_device): platform_device_id | null {
  for (const id of id_table) {
    if (!id.name) break;
    if (pdev.name === id.name) {
      pdev.id_entry = id;
      return id;
    }
  }
  return null;
}

/* What modprobe is given to find the driver: of:NnameT<type>Ccompatible… */
function of_device_modalias(dev: device): string | null {
  const node = dev.of_node;
  if (!node) return null;
  return `of:N${node.name}T(null)${of_property_strings(node, "compatible")
    .map((c) => `C${c.replaceAll(" ", "_")}`)
    .join("")}`;
}

function modalias_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const pdev = to_platform_device(dev);

  const of = of_device_modalias(dev);
  if (of !== null) return sysfs_emit(buf, "%s\n", of);

  return sysfs_emit(buf, "platform:%s\n", pdev.name);
}
const dev_attr_modalias = DEVICE_ATTR_RO("modalias", modalias_show);

function numa_node_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", dev_to_node(dev));
}
const dev_attr_numa_node = DEVICE_ATTR_RO("numa_node", numa_node_show);

function* driver_override_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const pdev = to_platform_device(dev);

  yield* device_lock(dev);
  const len = sysfs_emit(buf, "%s\n", pdev.driver_override);
  device_unlock(dev);

  return len;
}

/* `&pdev->driver_override` */
class driver_override_of {
  readonly pdev: platform_device;
  constructor(pdev: platform_device) {
    this.pdev = pdev;
  }
  get value(): string | null {
    return this.pdev.driver_override;
  }
  set value(v: string | null) {
    this.pdev.driver_override = v;
  }
}

function* driver_override_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const pdev = to_platform_device(dev);

  const ret = yield* driver_set_override(dev, new driver_override_of(pdev), buf, count);
  if (ret) return ret;

  return count;
}
const dev_attr_driver_override = DEVICE_ATTR_RW("driver_override", driver_override_show, driver_override_store);

function platform_dev_attrs_visible(kobj: kobject, a: attribute, _n: number): number {
  const dev = kobj_to_dev(kobj);

  if (a === dev_attr_numa_node.attr && dev_to_node(dev) === NUMA_NO_NODE) return 0;

  return a.mode;
}

const platform_dev_groups: attribute_groups = [
  {
    attrs: [dev_attr_modalias.attr, dev_attr_numa_node.attr, dev_attr_driver_override.attr],
    is_visible: platform_dev_attrs_visible,
  },
];

/* The override, then the device tree, then the driver's table, then the name. */
function platform_match(dev: device, drv: device_driver): number {
  const pdev = to_platform_device(dev);
  const pdrv = to_platform_driver(drv);

  if (pdev.driver_override !== null) return Number(pdev.driver_override === drv.name);

  if (of_driver_match_device(dev, drv)) return 1;

  if (pdrv.id_table) return Number(platform_match_id(pdrv.id_table, pdev) !== null);

  return Number(pdev.name === drv.name);
}

function platform_uevent(dev: device, env: kobj_uevent_env): number {
  const pdev = to_platform_device(dev);

  const of = of_device_modalias(dev);
  if (of !== null) return add_uevent_var(env, "MODALIAS=%s", of);

  add_uevent_var(env, "MODALIAS=%s%s", PLATFORM_MODULE_PREFIX, pdev.name);
  return 0;
}

function* platform_probe(_dev: device): Sleeps<number> {
  const drv = to_platform_driver(_dev.driver);
  const dev = to_platform_device(_dev);
  let ret = 0;

  // Of a driver that __platform_driver_probe() registered
  if (drv.probe === platform_probe_fail) return -ENXIO;

  if (drv.probe) ret = yield* either(drv.probe(dev));

  if (drv.prevent_deferred_probe && ret === -EPROBE_DEFER) {
    dev_warn(_dev, "probe deferral not supported\n");
    ret = -ENXIO;
  }

  return ret;
}

function* platform_remove(_dev: device): Sleeps {
  const drv = to_platform_driver(_dev.driver);
  const dev = to_platform_device(_dev);

  if (drv.remove_new) {
    yield* either(drv.remove_new(dev));
  } else if (drv.remove) {
    const ret = yield* either(drv.remove(dev));

    if (ret) dev_warn(_dev, "remove callback returned a non-zero value. This will be ignored.\n");
  }
}

function* platform_shutdown(_dev: device): Sleeps {
  const dev = to_platform_device(_dev);

  if (!_dev.driver) return;

  const drv = to_platform_driver(_dev.driver);
  if (drv.shutdown) yield* either(drv.shutdown(dev));
}

/* The firmware's part, of_dma_configure(), has nothing to set up here: the IOMMU knows its devices. */
function* platform_dma_configure(dev: device): Sleeps<number> {
  const drv = to_platform_driver(dev.driver);
  let ret = 0;

  if (!drv.driver_managed_dma) ret = yield* iommu_device_use_default_domain(dev);

  return ret;
}

function* platform_dma_cleanup(dev: device): Sleeps {
  const drv = to_platform_driver(dev.driver);

  if (!drv.driver_managed_dma) yield* iommu_device_unuse_default_domain(dev);
}

function __platform_match(dev: device, drv: device_driver): boolean {
  return platform_match(dev, drv) !== 0;
}

/** The next device, behind `start`, that a driver would match; with a reference. May sleep. */
export function platform_find_device_by_driver(start: device | null, drv: device_driver): Sleeps<device | null> {
  return bus_find_device(platform_bus_type(), start, drv, __platform_match);
}
EXPORT_SYMBOL_GPL(platform_find_device_by_driver);

/** At the start of the driver model. @return 0 or errno. May sleep */
export function* platform_bus_init(): Sleeps<number> {
  let error = yield* device_register(platform_bus());
  if (error) {
    yield* put_device(platform_bus());
    return error;
  }
  error = yield* bus_register(platform_bus_type());
  if (error) yield* device_unregister(platform_bus());
  return error;
}
