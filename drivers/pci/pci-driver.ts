// SPDX-License-Identifier: GPL-2.0-only
/**
 * The PCI bus and its drivers: who gets which device, and what a driver is told. Source: drivers/pci/pci-driver.c
 *
 * Not here: probing on the CPU of a memory node, allocation of interrupts at probe, system sleep, DMA configuration by
 * firmware, PTM, quirks.
 */
import {
  bus_register,
  bus_type,
  dev_WARN_ONCE,
  type device,
  type device_driver,
  driver_attach,
  DRIVER_ATTR_WO,
  driver_register,
  driver_unregister,
  get_device,
  put_device,
} from "#linux/device.ts";
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOMEM, ENOSYS } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { postcore_initcall } from "#linux/init.ts";
import { IORESOURCE_BUSY } from "#linux/ioport.ts";
import { iommu_device_unuse_default_domain, iommu_device_use_default_domain } from "#linux/iommu.ts";
import { kconfig } from "#linux/kconfig.ts";
import { sscanf, symbol_name } from "#linux/kernel.ts";
import { add_uevent_var, type kobj_uevent_env } from "#linux/kobject.ts";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del,
  list_for_each_entry,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
import type { module } from "#linux/module.ts";
import {
  PCI_ANY_ID,
  PCI_D0,
  pci_dbg,
  pci_dev,
  type pci_device_id,
  pci_driver,
  pci_err,
  pci_name,
  pci_num_vf,
  PCI_ROM_RESOURCE,
  PCI_UNKNOWN,
  pci_warn,
  to_pci_dev,
  to_pci_driver,
} from "#linux/pci.ts";
import type { dev_pm_ops } from "#linux/pm.ts";
import {
  pm_runtime_barrier,
  pm_runtime_get_sync,
  pm_runtime_put_noidle,
  pm_runtime_put_sync,
  pm_runtime_resume,
} from "#linux/pm_runtime.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "#linux/spinlock.ts";
import { ATTRIBUTE_GROUPS } from "#linux/sysfs.ts";
import { embed, initialise, opaque, type Sleeps, type Spins, struct } from "#linux/types.ts";
import { on_x86 } from "#asm/setup.ts";
import {
  pci_finish_runtime_suspend,
  pci_power_up,
  pci_restore_state,
  pci_save_state,
  pci_update_current_state,
} from "./pci.ts";
import { pci_bus_groups, pci_dev_groups } from "./pci-sysfs.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

class pci_dynid extends struct("pci_dynid", {
  node: embed(() => list_head),
  id: opaque<pci_device_id>(() => ({})),
}) {}

/**
 * Lets a driver have devices of an id that its table does not have, from now on until it goes.
 * @return 0 or -ENOMEM. May sleep. Source: drivers/pci/pci-driver.c
 */
export function* pci_add_dynid(
  drv: pci_driver,
  vendor: number,
  dev: number,
  subvendor: number,
  subdevice: number,
  cls: number,
  class_mask: number,
  driver_data: bigint,
): Sleeps<number> {
  const dynid = kzalloc(pci_dynid, GFP_KERNEL);
  if (!dynid) return -ENOMEM;

  dynid.id = { vendor, device: dev, subvendor, subdevice, class: cls, class_mask, driver_data };

  yield* spin_lock(drv.dynids.lock);
  list_add_tail(dynid.node, drv.dynids.list);
  spin_unlock(drv.dynids.lock);

  return yield* driver_attach(drv.driver);
}
EXPORT_SYMBOL_GPL(pci_add_dynid);

function* pci_free_dynids(drv: pci_driver): Spins {
  yield* spin_lock(drv.dynids.lock);
  for (const dynid of list_for_each_entry_safe(drv.dynids.list, pci_dynid, "node")) {
    list_del(dynid.node);
    kfree(dynid);
  }
  spin_unlock(drv.dynids.lock);
}

/** Whether one entry is about the device. Source: drivers/pci/pci.h */
export function pci_match_one_device(id: pci_device_id, dev: pci_dev): boolean {
  const { vendor = 0, device: number = 0, subvendor = 0, subdevice = 0, class_mask = 0 } = id;

  return (
    (vendor === PCI_ANY_ID || vendor === dev.vendor) &&
    (number === PCI_ANY_ID || number === dev.device) &&
    (subvendor === PCI_ANY_ID || subvendor === dev.subsystem_vendor) &&
    (subdevice === PCI_ANY_ID || subdevice === dev.subsystem_device) &&
    !(((id.class ?? 0) ^ dev.class) & class_mask)
  );
}

const is_entry = (id: pci_device_id | undefined): id is pci_device_id =>
  id !== undefined && Boolean(id.vendor || id.subvendor || id.class_mask);

/** The first entry of a table, from `from` on, that is about the device; null. Any context. Source: drivers/pci/pci-driver.c */
export function pci_match_id(ids: readonly pci_device_id[] | null, dev: pci_dev, from = 0): pci_device_id | null {
  for (let i = from; ids && is_entry(ids[i]); i++) if (pci_match_one_device(ids[i]!, dev)) return ids[i]!;
  return null;
}
EXPORT_SYMBOL(pci_match_id);

const pci_device_id_any: pci_device_id = {
  vendor: PCI_ANY_ID,
  device: PCI_ANY_ID,
  subvendor: PCI_ANY_ID,
  subdevice: PCI_ANY_ID,
};

function* pci_match_device(drv: pci_driver, dev: pci_dev): Spins<pci_device_id | null> {
  let found_id: pci_device_id | null = null;

  // With an override, only that driver.
  if (dev.driver_override !== null && dev.driver_override !== drv.name) return null;

  yield* spin_lock(drv.dynids.lock);
  for (const dynid of list_for_each_entry(drv.dynids.list, pci_dynid, "node")) {
    if (pci_match_one_device(dynid.id, dev)) {
      found_id = dynid.id;
      break;
    }
  }
  spin_unlock(drv.dynids.lock);

  if (found_id) return found_id;

  for (let ids = 0; (found_id = pci_match_id(drv.id_table, dev, ids)); ids = drv.id_table!.indexOf(found_id) + 1) {
    if (found_id.override_only) {
      if (dev.driver_override !== null) return found_id;
    } else {
      return found_id;
    }
  }

  // The override is enough.
  if (dev.driver_override !== null) return pci_device_id_any;
  return null;
}

function* new_id_store(driver: device_driver, buf: string, count: number): Sleeps<number> {
  const pdrv = to_pci_driver(driver);
  const ids = pdrv.id_table;
  let retval = 0;

  const fields = sscanf(buf, "%x %x %x %x %x %x %x").map(Number);
  if (fields.length < 2) return -EINVAL;
  const [vendor = 0, dev = 0, subvendor = PCI_ANY_ID, subdevice = PCI_ANY_ID, cls = 0, class_mask = 0] = fields;
  const driver_data = BigInt(fields[6] ?? 0);

  if (fields.length !== 7) {
    const pdev = kzalloc(pci_dev, GFP_KERNEL);
    if (!pdev) return -ENOMEM;

    pdev.vendor = vendor;
    pdev.device = dev;
    pdev.subsystem_vendor = subvendor;
    pdev.subsystem_device = subdevice;
    pdev.class = cls;

    if (yield* pci_match_device(pdrv, pdev)) retval = -EEXIST;

    kfree(pdev);

    if (retval) return retval;
  }

  // Data that no static entry has would be news to the driver.
  if (ids) {
    retval = -EINVAL;
    for (const id of ids) {
      if (!is_entry(id)) break;
      if (driver_data === (id.driver_data ?? 0n)) {
        retval = 0;
        break;
      }
    }
    if (retval) return retval;
  }

  retval = yield* pci_add_dynid(pdrv, vendor, dev, subvendor, subdevice, cls, class_mask, driver_data);
  if (retval) return retval;
  return count;
}
const driver_attr_new_id = DRIVER_ATTR_WO("new_id", new_id_store);

function* remove_id_store(driver: device_driver, buf: string, count: number): Sleeps<number> {
  const pdrv = to_pci_driver(driver);
  let retval = -ENODEV;

  const fields = sscanf(buf, "%x %x %x %x %x %x").map(Number);
  if (fields.length < 2) return -EINVAL;
  const [vendor = 0, dev = 0, subvendor = PCI_ANY_ID, subdevice = PCI_ANY_ID, cls = 0, class_mask = 0] = fields;

  yield* spin_lock(pdrv.dynids.lock);
  for (const dynid of list_for_each_entry_safe(pdrv.dynids.list, pci_dynid, "node")) {
    const { id } = dynid;
    if (
      id.vendor === vendor &&
      id.device === dev &&
      (subvendor === PCI_ANY_ID || id.subvendor === subvendor) &&
      (subdevice === PCI_ANY_ID || id.subdevice === subdevice) &&
      !(((id.class ?? 0) ^ cls) & class_mask)
    ) {
      list_del(dynid.node);
      kfree(dynid);
      retval = count;
      break;
    }
  }
  spin_unlock(pdrv.dynids.lock);

  return retval;
}
const driver_attr_remove_id = DRIVER_ATTR_WO("remove_id", remove_id_store);

const pci_drv_groups = ATTRIBUTE_GROUPS([driver_attr_new_id.attr, driver_attr_remove_id.attr]);

function* local_pci_probe(pci_drv: pci_driver, dev: pci_dev, id: pci_device_id): Sleeps<number> {
  // A device is awake during probe, and counted as used: a driver that lets it sleep drops that count, and takes it in remove().
  yield* pm_runtime_get_sync(dev.dev);
  dev.driver = pci_drv;
  const rc = yield* either(pci_drv.probe!(dev, id));
  if (!rc) return rc;
  if (rc < 0) {
    dev.driver = null;
    yield* pm_runtime_put_sync(dev.dev);
    return rc;
  }
  pci_warn(dev, "Driver probe function unexpectedly returned %d\n", rc);
  return 0;
}

function* pci_call_probe(drv: pci_driver, dev: pci_dev, id: pci_device_id): Sleeps<number> {
  dev.is_probed = true;

  const error = yield* local_pci_probe(drv, dev, id);
  dev.is_probed = false;
  return error;
}

function* __pci_device_probe(drv: pci_driver, dev: pci_dev): Sleeps<number> {
  let error = 0;

  if (drv.probe) {
    error = -ENODEV;

    const id = yield* pci_match_device(drv, dev);
    if (id) error = yield* pci_call_probe(drv, dev, id);
  }
  return error;
}

function* pci_device_probe(dev: device): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const drv = to_pci_driver(dev.driver!);

  pci_dev_get(pdev);
  const error = yield* __pci_device_probe(drv, pdev);
  if (error) yield* pci_dev_put(pdev);

  return error;
}

function* pci_device_remove(dev: device): Sleeps {
  const pdev = to_pci_dev(dev);
  const drv = pdev.driver!;

  if (drv.remove) {
    yield* pm_runtime_get_sync(dev);
    // A runtime_idle() that has begun ends first.
    yield* pm_runtime_barrier(dev);
    yield* either(drv.remove(pdev));
    pm_runtime_put_noidle(dev);
  }
  pdev.driver = null;

  // What local_pci_probe() did.
  yield* pm_runtime_put_sync(dev);

  // It may change before the next driver comes.
  if (pdev.current_state === PCI_D0) pdev.current_state = PCI_UNKNOWN;

  yield* pci_dev_put(pdev);
}

function* pci_device_shutdown(dev: device): Sleeps {
  const pdev = to_pci_dev(dev);
  const drv = pdev.driver;

  yield* pm_runtime_resume(dev);

  if (drv?.shutdown) yield* either(drv.shutdown(pdev));
}

function* pci_pm_default_resume_early(pdev: pci_dev): Sleeps {
  yield* pci_power_up(pdev);
  pci_update_current_state(pdev, PCI_D0);
  yield* pci_restore_state(pdev);
}

function* pci_pm_runtime_suspend(dev: device): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const pm = dev.driver ? dev.driver.pm : null;
  const prev = pdev.current_state;

  // Without a driver it stays in D0, but a bridge above it may take its power.
  if (!pdev.driver) {
    pci_save_state(pdev);
    return 0;
  }

  pdev.state_saved = false;
  if (pm?.runtime_suspend) {
    const error = yield* either(pm.runtime_suspend(dev));
    if (error === -EBUSY || error === -EAGAIN) {
      pci_dbg(pdev, "can't suspend now (%s returned %d)\n", symbol_name(pm.runtime_suspend), error);
      return error;
    } else if (error) {
      pci_err(pdev, "can't suspend (%s returned %d)\n", symbol_name(pm.runtime_suspend), error);
      return error;
    }
  }

  if (pm?.runtime_suspend && !pdev.state_saved && pdev.current_state !== PCI_D0 && pdev.current_state !== PCI_UNKNOWN) {
    dev_WARN_ONCE(
      dev,
      pdev.current_state !== prev,
      "PCI PM: State of device not saved by %s\n",
      symbol_name(pm.runtime_suspend),
    );
    return 0;
  }

  if (!pdev.state_saved) {
    pci_save_state(pdev);
    yield* pci_finish_runtime_suspend(pdev);
  }

  return 0;
}

function* pci_pm_runtime_resume(dev: device): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const pm = dev.driver ? dev.driver.pm : null;
  let error = 0;

  // Also without a driver: a bridge above may have taken its power.
  yield* pci_pm_default_resume_early(pdev);

  if (!pdev.driver) return 0;

  if (pm?.runtime_resume) error = yield* either(pm.runtime_resume(dev));

  return error;
}

function* pci_pm_runtime_idle(dev: device): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const pm = dev.driver ? dev.driver.pm : null;

  if (!pdev.driver) return 0;

  if (!pm) return -ENOSYS;

  if (pm.runtime_idle) return yield* either(pm.runtime_idle(dev));

  return 0;
}

const pci_dev_pm_ops: dev_pm_ops = {
  runtime_suspend: pci_pm_runtime_suspend,
  runtime_resume: pci_pm_runtime_resume,
  runtime_idle: pci_pm_runtime_idle,
};

/**
 * Makes a driver known. @owner: THIS_MODULE, @mod_name: KBUILD_MODNAME: pci_register_driver() in C adds them.
 * @return 0 or -errno. May sleep. Source: drivers/pci/pci-driver.c
 */
export function* __pci_register_driver(drv: pci_driver, owner: module | null, mod_name: string): Sleeps<number> {
  drv.driver.name = drv.name;
  drv.driver.bus = pci_bus_type();
  drv.driver.owner = owner;
  drv.driver.mod_name = mod_name;
  drv.driver.groups = drv.groups;
  drv.driver.dev_groups = drv.dev_groups;

  spin_lock_init(drv.dynids.lock);
  INIT_LIST_HEAD(drv.dynids.list);

  return yield* driver_register(drv.driver);
}
EXPORT_SYMBOL(__pci_register_driver);

/** The opposite: its devices lose it. May sleep. Source: drivers/pci/pci-driver.c */
export function* pci_unregister_driver(drv: pci_driver): Sleeps {
  yield* driver_unregister(drv.driver);
  yield* pci_free_dynids(drv);
}
EXPORT_SYMBOL(pci_unregister_driver);

/** The driver of a device; one called "compat" if somebody without a driver uses its addresses; null. Any context. */
export function pci_dev_driver(dev: pci_dev): pci_driver | null {
  if (dev.driver) return dev.driver;
  for (let i = 0; i <= PCI_ROM_RESOURCE; i++)
    if (dev.resource.at(i).flags & IORESOURCE_BUSY) return s.pci_compat_driver;
  return null;
}
EXPORT_SYMBOL(pci_dev_driver);

function* pci_bus_match(dev: device, drv: device_driver): Sleeps<number> {
  const pdev = to_pci_dev(dev);

  if (!pdev.match_driver) return 0;

  const found_id = yield* pci_match_device(to_pci_driver(drv), pdev);
  if (found_id) return 1;

  return 0;
}

/** One reference more; NULL is fine. Any context. */
export function pci_dev_get<T extends pci_dev | null>(dev: T): T {
  if (dev) get_device(dev.dev);
  return dev;
}
EXPORT_SYMBOL(pci_dev_get);

/** One reference less; NULL is fine. May sleep. */
export function* pci_dev_put(dev: pci_dev | null): Sleeps {
  if (dev) yield* put_device(dev.dev);
}
EXPORT_SYMBOL(pci_dev_put);

function pci_uevent(dev: device, env: kobj_uevent_env): number {
  const pdev = to_pci_dev(dev);

  if (add_uevent_var(env, "PCI_CLASS=%04X", pdev.class)) return -ENOMEM;

  if (add_uevent_var(env, "PCI_ID=%04X:%04X", pdev.vendor, pdev.device)) return -ENOMEM;

  if (add_uevent_var(env, "PCI_SUBSYS_ID=%04X:%04X", pdev.subsystem_vendor, pdev.subsystem_device)) return -ENOMEM;

  if (add_uevent_var(env, "PCI_SLOT_NAME=%s", pci_name(pdev))) return -ENOMEM;

  if (
    add_uevent_var(
      env,
      "MODALIAS=pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X",
      pdev.vendor,
      pdev.device,
      pdev.subsystem_vendor,
      pdev.subsystem_device,
      (pdev.class >> 16) & 0xff,
      (pdev.class >> 8) & 0xff,
      pdev.class & 0xff,
    )
  )
    return -ENOMEM;

  return 0;
}

function pci_bus_num_vf(dev: device): number {
  return pci_num_vf(to_pci_dev(dev));
}

function* pci_dma_configure(dev: device): Sleeps<number> {
  const driver = to_pci_driver(dev.driver!);
  let ret = 0;

  if (!driver.driver_managed_dma) ret = yield* iommu_device_use_default_domain(dev);

  return ret;
}

function* pci_dma_cleanup(dev: device): Sleeps {
  const driver = to_pci_driver(dev.driver!);

  if (!driver.driver_managed_dma) yield* iommu_device_unuse_default_domain(dev);
}

const s = per_boot(() => ({
  pci_bus_type: initialise(new bus_type(), {
    name: "pci",
    match: pci_bus_match,
    uevent: pci_uevent,
    probe: pci_device_probe,
    remove: pci_device_remove,
    shutdown: pci_device_shutdown,
    dev_groups: pci_dev_groups,
    bus_groups: pci_bus_groups,
    drv_groups: pci_drv_groups,
    num_vf: pci_bus_num_vf,
    dma_configure: pci_dma_configure,
    dma_cleanup: pci_dma_cleanup,
  }),
  pci_compat_driver: initialise(new pci_driver(), { name: "compat" }),
}));
/** `&pci_bus_type` */
export function pci_bus_type(): bus_type {
  return s.pci_bus_type;
}
EXPORT_SYMBOL(pci_bus_type);

function* pci_driver_init(): Sleeps<number> {
  // PCI_PM_OPS_PTR
  s.pci_bus_type.pm = kconfig.CONFIG_PM ? pci_dev_pm_ops : null;
  return yield* bus_register(s.pci_bus_type);
}
postcore_initcall(on_x86(pci_driver_init));
