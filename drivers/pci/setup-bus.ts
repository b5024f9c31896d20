// SPDX-License-Identifier: GPL-2.0-only
/**
 * Addresses for devices that are found while the machine runs: the ones they have, or the first that are free in the window
 * of their bus. What remains of drivers/pci/setup-bus.c, which also makes windows and moves what is in the way.
 */
import { IORESOURCE_PREFETCH, request_resource, type resource, resource_size, resource_type } from "#linux/ioport.ts";
import { list_for_each_entry } from "#linux/list.ts";
import { type pci_bus, pci_claim_resource, pci_dev, pci_info, PCI_ROM_RESOURCE } from "#linux/pci.ts";
import type { Spins } from "#linux/types.ts";
import { pci_resource_name } from "./pci.ts";
import { pci_update_resource } from "./setup-res.ts";

/** The first address of that size, aligned to it, that nobody has in a window; null. */
function find_hole(window: resource, size: bigint): bigint | null {
  let at = window.start;
  for (let child = window.child; ; child = child.sibling) {
    at = ((at + size - 1n) / size) * size;
    const end = child ? child.start - 1n : window.end;
    if (at + size - 1n <= end) return at;
    if (!child) return null;
    if (child.end + 1n > at) at = child.end + 1n;
  }
}

export function* pci_assign_resource(dev: pci_dev, i: number): Spins<boolean> {
  const res = dev.resource.at(i);
  const size = resource_size(res);
  const bus = dev.bus!;

  for (const window of [...bus.resource, ...bus.resources]) {
    if (!window || resource_type(window) !== resource_type(res)) continue;
    if (window.flags & IORESOURCE_PREFETCH && !(res.flags & IORESOURCE_PREFETCH)) continue;
    const start = find_hole(window, size);
    if (start === null) continue;
    res.start = start;
    res.end = start + size - 1n;
    if (yield* request_resource(window, res)) continue;
    pci_info(dev, "%s %pR: assigned\n", pci_resource_name(dev, i), res);
    pci_update_resource(dev, i);
    return true;
  }
  pci_info(dev, "%s %pR: can't assign; no space\n", pci_resource_name(dev, i), res);
  return false;
}

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
