// SPDX-License-Identifier: GPL-2.0-only
/**
 * Addresses for devices that are found while the machine runs: the ones they have, or the first that are free in the window
 * of their bus. What remains of drivers/pci/setup-bus.c, which also makes windows and moves what is in the way.
 */
import { list_for_each_entry } from "#linux/list.ts";
import { type pci_bus, pci_claim_resource, pci_dev, PCI_ROM_RESOURCE } from "#linux/pci.ts";
import type { Spins } from "#linux/types.ts";
import { pci_assign_resource } from "./setup-res.ts";

/** Gives devices on a bus and below the addresses that they lack. */
export function* pci_assign_unassigned_bus_resources(bus: pci_bus): Spins {
  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    for (let i = 0; i < PCI_ROM_RESOURCE; i++) {
      const res = dev.resource.at(i);
      if (!res.flags || res.parent) continue;
      if (res.start !== 0n && (yield* pci_claim_resource(dev, i)) === 0) continue;
      yield* pci_assign_resource(dev, i);
    }
    if (dev.subordinate) yield* pci_assign_unassigned_bus_resources(dev.subordinate);
  }
}
