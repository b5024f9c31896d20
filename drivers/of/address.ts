// SPDX-License-Identifier: GPL-2.0-only
/**
 * Addresses in the device tree. Source: drivers/of/address.c
 *
 * An address and a size are one number each here, so that there are no cells to count, no flags in them, and no buses with addresses of their own
 * (pci, isa): all is memory. Not here: I/O ports, `dma-ranges`, `nonposted-mmio`, and what maps a node's registers.
 */
import { EINVAL } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { IORESOURCE_MEM, type resource } from "#linux/ioport.ts";
import { type device_node, OF_BAD_ADDR, of_get_property, of_property_strings } from "#linux/of.ts";
import { initialise } from "#linux/types.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

/** The numbers of a property, or null if it is not there. */
function numbers_of(np: device_node, name: string): bigint[] | null {
  const prop = of_get_property(np, name);
  return prop === null ? null : [...prop].map(BigInt);
}

/* Address, in the terms of the bus that `parent` is, in those of its own parent. */
function of_translate_one(parent: device_node, addr: bigint): bigint {
  const ranges = numbers_of(parent, "ranges");
  if (!ranges) return OF_BAD_ADDR;
  if (ranges.length === 0) return addr;

  for (let at = 0; at + 3 <= ranges.length; at += 3) {
    const [cp = 0n, to = 0n, s = 0n] = ranges.slice(at, at + 3);
    if (addr >= cp && addr < cp + s) return to + addr - cp;
  }
  return OF_BAD_ADDR;
}

/** An address of a node as the CPU sees it, or OF_BAD_ADDR if a bus on the way does not hand it on. Any context */
export function of_translate_address(dev: device_node, in_addr: bigint): bigint {
  let addr = in_addr;
  let bus = dev.parent;
  if (!bus) return OF_BAD_ADDR;

  for (; bus.parent; bus = bus.parent) {
    addr = of_translate_one(bus, addr);
    if (addr === OF_BAD_ADDR) break;
  }
  return addr;
}
EXPORT_SYMBOL(of_translate_address);

/** The `index`th range of a node's registers. @r: set to it. @return 0, or -EINVAL if there is none that the CPU can see. Any context */
export function of_address_to_resource(dev: device_node, index: number, r: resource): number {
  const reg = dev.parent ? numbers_of(dev, "reg") : null;
  const [addr, size] = reg?.slice(2 * index, 2 * index + 2) ?? [];
  if (addr === undefined || size === undefined) return -EINVAL;

  const name = of_property_strings(dev, "reg-names")[index];

  const taddr = of_translate_address(dev, addr);
  if (taddr === OF_BAD_ADDR) return -EINVAL;

  initialise(r, { start: taddr, end: taddr + size - 1n, flags: IORESOURCE_MEM, name: name ?? dev.full_name });

  return 0;
}
EXPORT_SYMBOL(of_address_to_resource);
