// SPDX-License-Identifier: GPL-2.0-only
/**
 * The AMBA bus: devices of ARM systems that tell who they are in their last registers. Source: drivers/amba/bus.c
 *
 * Not here: clocks, power domains and reset lines (they are always on), system sleep, and the runtime hooks, which only
 * stop the clock.
 */
import {
  AMBA_CID,
  AMBA_NR_IRQS,
  type amba_cs_uci_id,
  amba_device,
  amba_driver,
  CORESIGHT_CID,
  to_amba_device,
  UCI_REG_DEVARCH_OFFSET,
  UCI_REG_DEVTYPE_OFFSET,
} from "#linux/amba/bus.ts";
import { on_arm64 } from "#asm/setup.ts";
import { WARN } from "#linux/bug.ts";
import {
  bus_register,
  bus_type,
  dev_name,
  dev_set_name,
  dev_set_uevent_suppress,
  type device,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  device_add,
  type device_attribute,
  type device_driver,
  device_initialize,
  device_lock,
  device_unlock,
  device_unregister,
  driver_register,
  driver_set_override,
  driver_unregister,
  put_device,
} from "#linux/device.ts";
import { EBUSY, EINVAL, ENODEV, ENOMEM, EPROBE_DEFER } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { late_initcall, postcore_initcall } from "#linux/init.ts";
import { ioremap, iounmap, readl } from "#linux/io.ts";
import { iommu_device_unuse_default_domain, iommu_device_use_default_domain } from "#linux/iommu.ts";
import {
  IORESOURCE_MEM,
  release_mem_region,
  release_resource,
  request_mem_region,
  request_resource,
  type resource,
  resource_size,
} from "#linux/ioport.ts";
import { add_uevent_var, KOBJ_ADD, type kobj_uevent_env, kobject_uevent } from "#linux/kobject.ts";
import type { amba_id } from "#linux/mod_devicetable.ts";
import { mutex_destroy, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { of_node_put } from "#linux/of.ts";
import { of_irq_get } from "#linux/of_irq.ts";
import {
  pm_runtime_disable,
  pm_runtime_enable,
  pm_runtime_get_noresume,
  pm_runtime_get_sync,
  pm_runtime_put_noidle,
  pm_runtime_set_active,
  pm_runtime_set_suspended,
} from "#linux/pm_runtime.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { type attribute_groups, ATTRIBUTE_GROUPS, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import { container_of, initialise, type Sleeps } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const to_amba_driver = (d: device_driver | null): amba_driver => container_of(d, amba_driver, "drv");

/* Of CoreSight devices the identity alone says too little. */
function amba_cs_uci_id_match(table: amba_id, dev: amba_device): boolean {
  const uci = table.data as amba_cs_uci_id | null | undefined;

  if (!uci || uci.devarch_mask === 0) return true;

  return dev.uci.devtype === uci.devtype && (dev.uci.devarch & uci.devarch_mask) >>> 0 === uci.devarch;
}

function amba_lookup(table: readonly amba_id[], dev: amba_device): amba_id | null {
  for (const id of table) {
    if (!id.mask) break;
    if ((dev.periphid & id.mask) >>> 0 === id.id && (dev.cid !== CORESIGHT_CID || amba_cs_uci_id_match(id, dev)))
      return id;
  }
  return null;
}

function* driver_override_show(_dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const dev = to_amba_device(_dev);

  yield* device_lock(_dev);
  const len = sysfs_emit(buf, "%s\n", dev.driver_override);
  device_unlock(_dev);
  return len;
}

/* `&dev->driver_override` */
class driver_override_of {
  readonly dev: amba_device;
  constructor(dev: amba_device) {
    this.dev = dev;
  }
  get value(): string | null {
    return this.dev.driver_override;
  }
  set value(v: string | null) {
    this.dev.driver_override = v;
  }
}

function* driver_override_store(_dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const dev = to_amba_device(_dev);

  const ret = yield* driver_set_override(_dev, new driver_override_of(dev), buf, count);
  if (ret) return ret;

  return count;
}
const dev_attr_driver_override = DEVICE_ATTR_RW("driver_override", driver_override_show, driver_override_store);

function id_show(_dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%08x\n", to_amba_device(_dev).periphid);
}
const dev_attr_id = DEVICE_ATTR_RO("id", id_show);

function resource_show(_dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const { start, end, flags } = to_amba_device(_dev).res;
  return sysfs_emit(buf, "\t%016llx\t%016llx\t%016lx\n", start, end, flags);
}
const dev_attr_resource = DEVICE_ATTR_RO("resource", resource_show);

const amba_dev_groups: attribute_groups = ATTRIBUTE_GROUPS([
  dev_attr_id.attr,
  dev_attr_resource.attr,
  dev_attr_driver_override.attr,
]);

/** Asks the device who it is. @return 0; -ENOMEM; -ENODEV if it does not say. May sleep */
function amba_read_periphid(dev: amba_device): number {
  const size = Number(BigInt.asUintN(32, resource_size(dev.res)));
  const tmp = ioremap(dev.res.start, BigInt(size));
  let ret = 0;

  if (!tmp) return -ENOMEM;

  // Both are in the lowest bytes of four registers each, at the end of the range.
  let pid = 0;
  let cid = 0;
  for (let i = 0; i < 4; i++) pid |= (readl(tmp, size - 0x20 + 4 * i) & 255) << (i * 8);
  for (let i = 0; i < 4; i++) cid |= (readl(tmp, size - 0x10 + 4 * i) & 255) << (i * 8);
  pid >>>= 0;
  cid >>>= 0;

  if (cid === CORESIGHT_CID) {
    // In the last 4k block
    const csbase = size - 4096;

    dev.uci.devarch = readl(tmp, csbase + UCI_REG_DEVARCH_OFFSET);
    dev.uci.devtype = readl(tmp, csbase + UCI_REG_DEVTYPE_OFFSET) & 0xff;
  }

  if (cid === AMBA_CID || cid === CORESIGHT_CID) {
    dev.periphid = pid;
    dev.cid = cid;
  }

  if (!dev.periphid) ret = -ENODEV;

  iounmap(tmp);
  return ret;
}

function* amba_match(dev: device, drv: device_driver): Sleeps<number> {
  const pcdev = to_amba_device(dev);
  const pcdrv = to_amba_driver(drv);

  yield* mutex_lock(pcdev.periphid_lock);
  if (!pcdev.periphid) {
    const ret = amba_read_periphid(pcdev);

    // Any other error would keep the driver from being registered.
    if (ret) {
      mutex_unlock(pcdev.periphid_lock);
      return -EPROBE_DEFER;
    }
    dev_set_uevent_suppress(dev, false);
    yield* kobject_uevent(dev.kobj, KOBJ_ADD);
  }
  mutex_unlock(pcdev.periphid_lock);

  if (pcdev.driver_override !== null) return Number(pcdev.driver_override === drv.name);

  return Number(amba_lookup(pcdrv.id_table!, pcdev) !== null);
}

function amba_uevent(dev: device, env: kobj_uevent_env): number {
  const pcdev = to_amba_device(dev);

  let retval = add_uevent_var(env, "AMBA_ID=%08x", pcdev.periphid);
  if (retval) return retval;

  retval = add_uevent_var(env, "MODALIAS=amba:d%08X", pcdev.periphid);
  return retval;
}

function of_amba_device_decode_irq(dev: amba_device): number {
  const node = dev.dev.of_node;

  if (node) {
    for (let i = 0; i < AMBA_NR_IRQS; i++) {
      let irq = of_irq_get(node, i);
      if (irq < 0) {
        if (irq === -EPROBE_DEFER) return irq;
        irq = 0;
      }

      dev.irq.set(i, irq);
    }
  }

  return 0;
}

function* amba_probe(dev: device): Sleeps<number> {
  const pcdev = to_amba_device(dev);
  const pcdrv = to_amba_driver(dev.driver);
  const id = amba_lookup(pcdrv.id_table!, pcdev);

  let ret = of_amba_device_decode_irq(pcdev);
  if (ret) return ret;

  pm_runtime_get_noresume(dev);
  yield* pm_runtime_set_active(dev);
  yield* pm_runtime_enable(dev);

  ret = yield* either(pcdrv.probe!(pcdev, id));
  if (ret === 0) return ret;

  yield* pm_runtime_disable(dev);
  yield* pm_runtime_set_suspended(dev);
  pm_runtime_put_noidle(dev);

  return ret;
}

function* amba_remove(dev: device): Sleeps {
  const pcdev = to_amba_device(dev);
  const drv = to_amba_driver(dev.driver);

  yield* pm_runtime_get_sync(dev);
  if (drv.remove) yield* either(drv.remove(pcdev));
  pm_runtime_put_noidle(dev);

  // What amba_probe() did
  yield* pm_runtime_disable(dev);
  yield* pm_runtime_set_suspended(dev);
  pm_runtime_put_noidle(dev);
}

function* amba_shutdown(dev: device): Sleeps {
  if (!dev.driver) return;

  const drv = to_amba_driver(dev.driver);
  if (drv.shutdown) yield* either(drv.shutdown(to_amba_device(dev)));
}

/* As platform_dma_configure(). */
function* amba_dma_configure(dev: device): Sleeps<number> {
  const drv = to_amba_driver(dev.driver);
  let ret = 0;

  if (!drv.driver_managed_dma) ret = yield* iommu_device_use_default_domain(dev);

  return ret;
}

function* amba_dma_cleanup(dev: device): Sleeps {
  const drv = to_amba_driver(dev.driver);

  if (!drv.driver_managed_dma) yield* iommu_device_unuse_default_domain(dev);
}

const s = per_boot(() => {
  const amba_proxy_drv = initialise(new amba_driver(), { probe: amba_proxy_probe, id_table: [] });
  initialise(amba_proxy_drv.drv, { name: "amba-proxy" });
  return {
    amba_bustype: initialise(new bus_type(), {
      name: "amba",
      dev_groups: amba_dev_groups,
      match: amba_match,
      uevent: amba_uevent,
      probe: amba_probe,
      remove: amba_remove,
      shutdown: amba_shutdown,
      dma_configure: amba_dma_configure,
      dma_cleanup: amba_dma_cleanup,
    }),
    amba_proxy_drv,
  };
});
/** `&amba_bustype` */
export const amba_bustype = (): bus_type => s.amba_bustype;
EXPORT_SYMBOL_GPL(amba_bustype);

function* amba_init(): Sleeps<number> {
  return yield* bus_register(amba_bustype());
}
postcore_initcall(on_arm64(amba_init));

function amba_proxy_probe(_adev: amba_device, _id: amba_id | null): number {
  WARN(true, "Stub driver should never match any device.\n");
  return -ENODEV;
}

/*
 * A device whose registers cannot be read when it is added is asked again by amba_match(), which is only called if there
 * is a driver. With all of them in modules, loaded for the uevent that this device has not sent yet, there would be none.
 */
function* amba_stub_drv_init(): Sleeps<number> {
  return yield* amba_driver_register(s.amba_proxy_drv);
}
late_initcall(on_arm64(amba_stub_drv_init));

/** Makes a driver known. @return 0; -EINVAL without a probe(); errno. May sleep */
export function* amba_driver_register(drv: amba_driver): Sleeps<number> {
  if (!drv.probe) return -EINVAL;

  drv.drv.bus = amba_bustype();

  return yield* driver_register(drv.drv);
}
EXPORT_SYMBOL(amba_driver_register);

/** The opposite: its devices lose it. May sleep. */
export function* amba_driver_unregister(drv: amba_driver): Sleeps {
  yield* driver_unregister(drv.drv);
}
EXPORT_SYMBOL(amba_driver_unregister);

function* amba_device_release(dev: device): Sleeps {
  const d = to_amba_device(dev);

  of_node_put(d.dev.of_node);
  if (d.res.parent) yield* release_resource(d.res);
  mutex_destroy(d.periphid_lock);
  kfree(d);
}

/** Claims the registers and adds the device. @parent: who the addresses belong to. @return 0 or errno. May sleep */
export function* amba_device_add(dev: amba_device, parent: resource): Sleeps<number> {
  let ret = yield* request_resource(parent, dev.res);
  if (ret) return ret;

  // No uevent before it has said who it is: amba_match() asks again.
  if (!dev.periphid && amba_read_periphid(dev)) dev_set_uevent_suppress(dev.dev, true);

  ret = yield* device_add(dev.dev);
  if (ret) yield* release_resource(dev.res);

  return ret;
}
EXPORT_SYMBOL_GPL(amba_device_add);

/* `&dev->dev.coherent_dma_mask` */
class coherent_dma_mask_of {
  readonly dev: device;
  constructor(dev: device) {
    this.dev = dev;
  }
  get value(): bigint {
    return this.dev.coherent_dma_mask;
  }
  set value(v: bigint) {
    this.dev.coherent_dma_mask = v;
  }
}

function amba_device_initialize(dev: amba_device, name: string | null): void {
  device_initialize(dev.dev);
  if (name) dev_set_name(dev.dev, "%s", name);
  dev.dev.release = amba_device_release;
  dev.dev.bus = amba_bustype();
  dev.dev.dma_mask = new coherent_dma_mask_of(dev.dev);
  dev.dev.dma_parms = dev.dma_parms;
  dev.res.name = dev_name(dev.dev);
  mutex_init(dev.periphid_lock);
}

/** A device that is freed with its last reference. @base, @size: its registers. @return NULL without memory. May sleep */
export function amba_device_alloc(name: string | null, base: bigint, size: bigint): amba_device | null {
  const dev = kzalloc(amba_device, GFP_KERNEL);
  if (dev) {
    amba_device_initialize(dev, name);
    dev.res.start = base;
    dev.res.end = base + size - 1n;
    dev.res.flags = IORESOURCE_MEM;
  }

  return dev;
}
EXPORT_SYMBOL_GPL(amba_device_alloc);

/** Initialises a device and adds it. @return 0 or errno. May sleep */
export function* amba_device_register(dev: amba_device, parent: resource): Sleeps<number> {
  amba_device_initialize(dev, dev.dev.init_name);
  dev.dev.init_name = null;

  return yield* amba_device_add(dev, parent);
}
EXPORT_SYMBOL(amba_device_register);

/** Drops a reference. May sleep. */
export function* amba_device_put(dev: amba_device): Sleeps {
  yield* put_device(dev.dev);
}
EXPORT_SYMBOL_GPL(amba_device_put);

/** Takes a device off the bus and drops the reference. May sleep. */
export function* amba_device_unregister(dev: amba_device): Sleeps {
  yield* device_unregister(dev.dev);
}
EXPORT_SYMBOL(amba_device_unregister);

/** Marks the registers as in use. @name: default the driver's. @return 0 or -EBUSY. May sleep */
export function* amba_request_regions(dev: amba_device, name: string | null): Sleeps<number> {
  let ret = 0;

  if (!name) name = dev.dev.driver!.name;

  const size = resource_size(dev.res);

  if (!(yield* request_mem_region(dev.res.start, size, name))) ret = -EBUSY;

  return ret;
}
EXPORT_SYMBOL(amba_request_regions);

/** The opposite. */
export function* amba_release_regions(dev: amba_device): Sleeps {
  const size = resource_size(dev.res);
  yield* release_mem_region(dev.res.start, size);
}
EXPORT_SYMBOL(amba_release_regions);
