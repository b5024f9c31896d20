// SPDX-License-Identifier: GPL-2.0-only
/** Buses: who is on them and below. Source: drivers/pci/bus.c. Not here: addresses for devices that have none. */
import { device_attach, get_device, put_device } from "#linux/device.ts";
import { EPROBE_DEFER } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { list_entry, list_for_each_entry } from "#linux/list.ts";
import { type pci_bus, pci_dev, pci_dev_assign_added, pci_dev_is_added, pci_warn } from "#linux/pci.ts";
import { down_read, up_read } from "#linux/rwsem.ts";
import { either } from "#linux/sched.ts";
import type { Sleeps } from "#linux/types.ts";
import { pci_bus_sem } from "./pci.ts";
import { pci_create_sysfs_dev_files } from "./pci-sysfs.ts";

const { EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** Lets drivers have a device that has been found. May sleep. */
export function* pci_bus_add_device(dev: pci_dev): Sleeps {
  yield* pci_create_sysfs_dev_files(dev);

  dev.match_driver = true;
  const retval = yield* device_attach(dev.dev);
  if (retval < 0 && retval !== -EPROBE_DEFER) pci_warn(dev, "device attach failed (%d)\n", retval);

  pci_dev_assign_added(dev, true);
}
EXPORT_SYMBOL_GPL(pci_bus_add_device);

/** The same for all that are new on a bus and below. May sleep. */
export function* pci_bus_add_devices(bus: pci_bus): Sleeps {
  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    if (pci_dev_is_added(dev)) continue;
    yield* pci_bus_add_device(dev);
  }

  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    if (!pci_dev_is_added(dev)) continue;
    const child = dev.subordinate;
    if (child) yield* pci_bus_add_devices(child);
  }
}
EXPORT_SYMBOL(pci_bus_add_devices);

/** Calls `cb` for each device on a bus and on those behind it, bridges before what is behind them, until it returns something. May sleep. */
export function* pci_walk_bus<T>(
  top: pci_bus,
  cb: (dev: pci_dev, userdata: T) => Sleeps<number> | number,
  userdata: T,
): Sleeps {
  let bus = top;

  yield* down_read(pci_bus_sem());
  let { next } = top.devices;
  for (;;) {
    if (next === bus.devices) {
      // The end of this bus: up, or done.
      if (bus === top) break;
      next = bus.self!.bus_list.next;
      bus = bus.self!.bus!;
      continue;
    }
    const dev = list_entry(next, pci_dev, "bus_list");
    if (dev.subordinate) {
      next = dev.subordinate.devices.next;
      bus = dev.subordinate;
    } else next = dev.bus_list.next;

    if (yield* either(cb(dev, userdata))) break;
  }
  up_read(pci_bus_sem());
}
EXPORT_SYMBOL_GPL(pci_walk_bus);

/** One reference more; NULL is fine. Any context. */
export function pci_bus_get<T extends pci_bus | null>(bus: T): T {
  if (bus) get_device(bus.dev);
  return bus;
}
export function* pci_bus_put(bus: pci_bus | null): Sleeps {
  if (bus) yield* put_device(bus.dev);
}
