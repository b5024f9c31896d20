// SPDX-License-Identifier: GPL-2.0-only
/** Devices and buses that go. Source: drivers/pci/remove.c. Not here: the removal of root buses, /proc/bus/pci. */
import { device_del, device_release_driver, device_unregister, put_device } from "#linux/device.ts";
import { kbuild } from "#linux/export.ts";
import { release_resource } from "#linux/ioport.ts";
import { list_del, list_for_each_entry_safe, list_for_each_entry_safe_reverse } from "#linux/list.ts";
import { type pci_bus, pci_dev, pci_dev_assign_added, pci_dev_is_added } from "#linux/pci.ts";
import { down_write, up_write } from "#linux/rwsem.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { pci_bus_sem } from "./pci.ts";
import { pci_remove_sysfs_dev_files } from "./pci-sysfs.ts";
import { pci_bus_release_busn_res, pci_lock_rescan_remove, pci_unlock_rescan_remove } from "./probe.ts";

const { EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

function* pci_free_resources(dev: pci_dev): Spins {
  for (const res of dev.resource) if (res.parent) yield* release_resource(res);
}

function* pci_stop_dev(dev: pci_dev): Sleeps {
  if (pci_dev_is_added(dev)) {
    yield* device_release_driver(dev.dev);
    yield* pci_remove_sysfs_dev_files(dev);

    pci_dev_assign_added(dev, false);
  }
}

function* pci_destroy_dev(dev: pci_dev): Sleeps {
  if (!dev.dev.kobj.parent) return;

  yield* device_del(dev.dev);

  yield* down_write(pci_bus_sem());
  list_del(dev.bus_list);
  up_write(pci_bus_sem());

  yield* pci_free_resources(dev);
  yield* put_device(dev.dev);
}

/** Takes a bus without devices away. May sleep. */
export function* pci_remove_bus(bus: pci_bus): Sleeps {
  yield* down_write(pci_bus_sem());
  list_del(bus.node);
  yield* pci_bus_release_busn_res(bus);
  up_write(pci_bus_sem());

  yield* device_unregister(bus.dev);
}
EXPORT_SYMBOL(pci_remove_bus);

function* pci_stop_bus_device(dev: pci_dev): Sleeps {
  const bus = dev.subordinate;

  // Backwards: a physical function takes its virtual ones, which come behind it, along.
  if (bus)
    for (const child of list_for_each_entry_safe_reverse(bus.devices, pci_dev, "bus_list"))
      yield* pci_stop_bus_device(child);

  yield* pci_stop_dev(dev);
}

function* pci_remove_bus_device(dev: pci_dev): Sleeps {
  const bus = dev.subordinate;

  if (bus) {
    for (const child of list_for_each_entry_safe(bus.devices, pci_dev, "bus_list")) yield* pci_remove_bus_device(child);

    yield* pci_remove_bus(bus);
    dev.subordinate = null;
  }

  yield* pci_destroy_dev(dev);
}

/**
 * Takes a device away, and what is behind it: first all drivers, then all devices. pci_lock_rescan_remove() held. May sleep.
 * Source: drivers/pci/remove.c
 */
export function* pci_stop_and_remove_bus_device(dev: pci_dev): Sleeps {
  yield* pci_stop_bus_device(dev);
  yield* pci_remove_bus_device(dev);
}
EXPORT_SYMBOL(pci_stop_and_remove_bus_device);

export function* pci_stop_and_remove_bus_device_locked(dev: pci_dev): Sleeps {
  yield* pci_lock_rescan_remove();
  yield* pci_stop_and_remove_bus_device(dev);
  pci_unlock_rescan_remove();
}
EXPORT_SYMBOL_GPL(pci_stop_and_remove_bus_device_locked);
