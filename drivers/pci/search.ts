// SPDX-License-Identifier: GPL-2.0-only
/** Finding buses and devices. Source: drivers/pci/search.c. Not here: explicit DMA aliases, which only quirks make. */
import { bus_find_device, type device } from "#linux/device.ts";
import { kbuild } from "#linux/export.ts";
import { list_entry, list_for_each_entry } from "#linux/list.ts";
import {
  PCI_ANY_ID,
  pci_bus,
  pci_bus_type,
  pci_dev,
  type pci_device_id,
  PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS,
  PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT,
  pci_dev_get,
  pci_dev_id,
  pci_dev_put,
  PCI_DEVFN,
  PCI_DEVID,
  pci_domain_nr,
  PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_PCI_BRIDGE,
  PCI_EXP_TYPE_PCIE_BRIDGE,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXP_TYPE_UPSTREAM,
  pci_is_pcie,
  pci_is_root_bus,
  pci_pcie_type,
  to_pci_dev,
} from "#linux/pci.ts";
import { down_read, up_read } from "#linux/rwsem.ts";
import { either } from "#linux/sched.ts";
import type { Sleeps } from "#linux/types.ts";
import { pci_bus_sem } from "./pci.ts";
import { pci_match_one_device } from "./pci-driver.ts";
import { pci_root_buses } from "./probe.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

/**
 * Calls `fn` for each requester ID that DMA of a device may come with at the root bus, until it returns something.
 * @return that, or 0. May sleep if fn does
 */
export function* pci_for_each_dma_alias<T>(
  pdev: pci_dev,
  fn: (pdev: pci_dev, alias: number, data: T) => Sleeps<number> | number,
  data: T,
): Sleeps<number> {
  let ret = yield* either(fn(pdev, pci_dev_id(pdev), data));
  if (ret) return ret;

  for (let bus = pdev.bus!; !pci_is_root_bus(bus); bus = bus.parent!) {
    // A bus of virtual functions.
    if (!bus.self) continue;

    const tmp = bus.self;

    if (tmp.dev_flags & PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT) return ret;

    // Bridges to PCI and PCI-X speak for what is behind them, with the number of the bus behind or with their own.
    if (pci_is_pcie(tmp)) {
      switch (pci_pcie_type(tmp)) {
        case PCI_EXP_TYPE_ROOT_PORT:
        case PCI_EXP_TYPE_UPSTREAM:
        case PCI_EXP_TYPE_DOWNSTREAM:
          continue;
        case PCI_EXP_TYPE_PCI_BRIDGE:
          ret = yield* either(fn(tmp, PCI_DEVID(tmp.subordinate!.number, PCI_DEVFN(0, 0)), data));
          if (ret) return ret;
          continue;
        case PCI_EXP_TYPE_PCIE_BRIDGE:
          ret = yield* either(fn(tmp, pci_dev_id(tmp), data));
          if (ret) return ret;
          continue;
      }
    } else {
      if (tmp.dev_flags & PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS)
        ret = yield* either(fn(tmp, PCI_DEVID(tmp.subordinate!.number, PCI_DEVFN(0, 0)), data));
      else ret = yield* either(fn(tmp, pci_dev_id(tmp), data));
      if (ret) return ret;
    }
  }

  return ret;
}

function pci_do_find_bus(bus: pci_bus, busnr: number): pci_bus | null {
  if (bus.number === busnr) return bus;

  for (const tmp of list_for_each_entry(bus.children, pci_bus, "node")) {
    const child = pci_do_find_bus(tmp, busnr);
    if (child) return child;
  }
  return null;
}

/** @return the bus of that number, without a reference; null. May sleep */
export function* pci_find_bus(domain: number, busnr: number): Sleeps<pci_bus | null> {
  let bus: pci_bus | null = null;

  while ((bus = yield* pci_find_next_bus(bus)) !== null) {
    if (pci_domain_nr(bus) !== domain) continue;
    const tmp_bus = pci_do_find_bus(bus, busnr);
    if (tmp_bus) return tmp_bus;
  }
  return null;
}
EXPORT_SYMBOL(pci_find_bus);

/** @return the root bus behind `from`, the first one if it is null, without a reference; null at the end. May sleep */
export function* pci_find_next_bus(from: pci_bus | null): Sleeps<pci_bus | null> {
  let b: pci_bus | null = null;

  yield* down_read(pci_bus_sem());
  const n = from ? from.node.next : pci_root_buses().next;
  if (n !== pci_root_buses()) b = list_entry(n, pci_bus, "node");
  up_read(pci_bus_sem());
  return b;
}
EXPORT_SYMBOL(pci_find_next_bus);

/** @return the function of a bus, with a reference; null. May sleep */
export function* pci_get_slot(bus: pci_bus, devfn: number): Sleeps<pci_dev | null> {
  let found: pci_dev | null = null;

  yield* down_read(pci_bus_sem());

  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    if (dev.devfn === devfn) {
      found = dev;
      break;
    }
  }

  pci_dev_get(found);
  up_read(pci_bus_sem());
  return found;
}
EXPORT_SYMBOL(pci_get_slot);

/** @return the function, with a reference; null. May sleep */
export function* pci_get_domain_bus_and_slot(domain: number, bus: number, devfn: number): Sleeps<pci_dev | null> {
  let dev: pci_dev | null = null;

  while ((dev = yield* pci_get_device(PCI_ANY_ID, PCI_ANY_ID, dev)) !== null) {
    if (pci_domain_nr(dev.bus!) === domain && dev.bus!.number === bus && dev.devfn === devfn) return dev;
  }
  return null;
}
EXPORT_SYMBOL(pci_get_domain_bus_and_slot);

function match_pci_dev_by_id(dev: device, id: pci_device_id): boolean {
  return pci_match_one_device(id, to_pci_dev(dev));
}

function* pci_get_dev_by_id(id: pci_device_id, from: pci_dev | null): Sleeps<pci_dev | null> {
  let pdev: pci_dev | null = null;

  const dev = yield* bus_find_device(pci_bus_type(), from ? from.dev : null, id, match_pci_dev_by_id);
  if (dev) pdev = to_pci_dev(dev);
  yield* pci_dev_put(from);
  return pdev;
}

/** @return the next device of these numbers behind `from`, whose reference is dropped, with a reference; null. May sleep */
export function pci_get_device(vendor: number, dev: number, from: pci_dev | null): Sleeps<pci_dev | null> {
  return pci_get_dev_by_id({ vendor, device: dev, subvendor: PCI_ANY_ID, subdevice: PCI_ANY_ID }, from);
}
EXPORT_SYMBOL(pci_get_device);

/** The same by class. */
export function pci_get_class(cls: number, from: pci_dev | null): Sleeps<pci_dev | null> {
  const id: pci_device_id = {
    vendor: PCI_ANY_ID,
    device: PCI_ANY_ID,
    subvendor: PCI_ANY_ID,
    subdevice: PCI_ANY_ID,
    class_mask: PCI_ANY_ID,
    class: cls,
  };

  return pci_get_dev_by_id(id, from);
}
EXPORT_SYMBOL(pci_get_class);
