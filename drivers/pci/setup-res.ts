// SPDX-License-Identifier: GPL-2.0-only
/**
 * The addresses of devices: those that the firmware has assigned, or else the first that are free in the window of their bus.
 * Source: drivers/pci/setup-res.c. Not here: moving them, and going back to what the firmware said.
 */
import { EBUSY, EINVAL, ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_MEM_64,
  IORESOURCE_PCI_FIXED,
  IORESOURCE_PREFETCH,
  IORESOURCE_ROM_ENABLE,
  IORESOURCE_ROM_SHADOW,
  IORESOURCE_UNSET,
  request_resource,
  request_resource_conflict,
  type resource,
  resource_size,
  resource_type,
} from "#linux/ioport.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_IO_MASK,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  type pci_dev,
  pci_err,
  pci_info,
  pci_read_config_dword,
  pci_read_config_word,
  PCI_ROM_ADDRESS_ENABLE,
  PCI_ROM_ADDRESS_MASK,
  PCI_ROM_RESOURCE,
  pci_write_config_dword,
  pci_write_config_word,
} from "#linux/pci.ts";
import type { Spins } from "#linux/types.ts";
import { pci_find_parent_resource, pci_resource_name } from "./pci.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

function pci_std_update_resource(dev: pci_dev, resno: number): void {
  const cmd = { value: 0 };
  const check = { value: 0 };
  let mask: number;
  let reg: number;
  const res = dev.resource.at(resno);
  const res_name = pci_resource_name(dev, resno);

  if (dev.is_virtfn) return;

  // A BAR that is not there, or the upper half of one.
  if (!res.flags) return;

  if (res.flags & IORESOURCE_UNSET) return;

  if (res.flags & IORESOURCE_PCI_FIXED) return;

  let new_ = Number(BigInt.asUintN(32, res.start));

  if (res.flags & IORESOURCE_IO) {
    mask = PCI_BASE_ADDRESS_IO_MASK;
    new_ |= res.flags & ~PCI_BASE_ADDRESS_IO_MASK;
  } else if (resno === PCI_ROM_RESOURCE) {
    mask = PCI_ROM_ADDRESS_MASK;
  } else {
    mask = PCI_BASE_ADDRESS_MEM_MASK;
    new_ |= res.flags & ~PCI_BASE_ADDRESS_MEM_MASK;
  }

  if (resno < PCI_ROM_RESOURCE) {
    reg = PCI_BASE_ADDRESS_0 + 4 * resno;
  } else if (resno === PCI_ROM_RESOURCE) {
    if (!(res.flags & IORESOURCE_ROM_ENABLE)) return;

    reg = dev.rom_base_reg;
    new_ |= PCI_ROM_ADDRESS_ENABLE;
  } else return;
  new_ >>>= 0;

  // Two halves are written one after the other: nobody may be misled in between.
  const disable = (res.flags & IORESOURCE_MEM_64) !== 0;
  if (disable) {
    pci_read_config_word(dev, PCI_COMMAND, cmd);
    pci_write_config_word(dev, PCI_COMMAND, cmd.value & ~PCI_COMMAND_MEMORY);
  }

  pci_write_config_dword(dev, reg, new_);
  pci_read_config_dword(dev, reg, check);

  if ((new_ ^ check.value) & mask) pci_err(dev, "%s: error updating (%#010x != %#010x)\n", res_name, new_, check.value);

  if (res.flags & IORESOURCE_MEM_64) {
    new_ = Number(res.start >> 32n);
    pci_write_config_dword(dev, reg + 4, new_);
    pci_read_config_dword(dev, reg + 4, check);
    if (check.value !== new_) pci_err(dev, "%s: error updating (high %#010x != %#010x)\n", res_name, new_, check.value);
  }

  if (disable) pci_write_config_word(dev, PCI_COMMAND, cmd.value);
}

/** Writes a resource to its BAR. */
export function pci_update_resource(dev: pci_dev, resno: number): void {
  if (resno <= PCI_ROM_RESOURCE) pci_std_update_resource(dev, resno);
}

/** Takes the addresses that a BAR or a window has, out of those of the bridge above. @return 0, -EINVAL, -EBUSY */
export function* pci_claim_resource(dev: pci_dev, n: number): Spins<number> {
  const res = dev.resource.at(n);
  const res_name = pci_resource_name(dev, n);

  if (res.flags & IORESOURCE_UNSET) {
    pci_info(dev, "%s %pR: can't claim; no address assigned\n", res_name, res);
    return -EINVAL;
  }

  // The device does not answer there.
  if (res.flags & IORESOURCE_ROM_SHADOW) return 0;

  const root = pci_find_parent_resource(dev, res);
  if (!root) {
    pci_info(dev, "%s %pR: can't claim; no compatible bridge window\n", res_name, res);
    res.flags |= IORESOURCE_UNSET;
    return -EINVAL;
  }

  const conflict = yield* request_resource_conflict(root, res);
  if (conflict) {
    pci_info(dev, "%s %pR: can't claim; address conflict with %s %pR\n", res_name, res, conflict.name, conflict);
    res.flags |= IORESOURCE_UNSET;
    return -EBUSY;
  }

  return 0;
}
EXPORT_SYMBOL(pci_claim_resource);

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

function* _pci_assign_resource(dev: pci_dev, resno: number, size: bigint): Spins<number> {
  const res = dev.resource.at(resno);
  const bus = dev.bus!;

  for (const window of [...bus.resource, ...bus.resources]) {
    if (!window || resource_type(window) !== resource_type(res)) continue;
    if (window.flags & IORESOURCE_PREFETCH && !(res.flags & IORESOURCE_PREFETCH)) continue;
    const start = find_hole(window, size);
    if (start === null) continue;
    res.start = start;
    res.end = start + size - 1n;
    if ((yield* request_resource(window, res)) === 0) return 0;
  }
  return -ENOMEM;
}

/** Gives a resource addresses, and writes them to its BAR. @return 0, -ENOMEM */
export function* pci_assign_resource(dev: pci_dev, resno: number): Spins<number> {
  const res = dev.resource.at(resno);
  const res_name = pci_resource_name(dev, resno);

  if (res.flags & IORESOURCE_PCI_FIXED) return 0;

  res.flags |= IORESOURCE_UNSET;
  const ret = yield* _pci_assign_resource(dev, resno, resource_size(res));
  if (ret < 0) {
    pci_info(dev, "%s %pR: can't assign; no space\n", res_name, res);
    pci_info(dev, "%s %pR: failed to assign\n", res_name, res);
    return ret;
  }

  res.flags &= ~IORESOURCE_UNSET;
  pci_info(dev, "%s %pR: assigned\n", res_name, res);
  pci_update_resource(dev, resno);

  return 0;
}
EXPORT_SYMBOL(pci_assign_resource);

/** Switches the decoding of those resources on whose bit is in `mask`. @return 0 or -EINVAL if one has no address */
export function pci_enable_resources(dev: pci_dev, mask: number): number {
  const cmd = { value: 0 };

  pci_read_config_word(dev, PCI_COMMAND, cmd);
  const old_cmd = cmd.value;

  for (let i = 0; i < dev.resource.length; i++) {
    const r = dev.resource.at(i);
    if (!(mask & (1 << i))) continue;

    const r_name = pci_resource_name(dev, i);

    if (!(r.flags & (IORESOURCE_IO | IORESOURCE_MEM))) continue;
    if (i === PCI_ROM_RESOURCE && !(r.flags & IORESOURCE_ROM_ENABLE)) continue;

    if (r.flags & IORESOURCE_UNSET) {
      pci_err(dev, "%s %pR: not assigned; can't enable device\n", r_name, r);
      return -EINVAL;
    }

    if (!r.parent) {
      pci_err(dev, "%s %pR: not claimed; can't enable device\n", r_name, r);
      return -EINVAL;
    }

    if (r.flags & IORESOURCE_IO) cmd.value |= PCI_COMMAND_IO;
    if (r.flags & IORESOURCE_MEM) cmd.value |= PCI_COMMAND_MEMORY;
  }

  if (cmd.value !== old_cmd) {
    pci_info(dev, "enabling device (%04x -> %04x)\n", old_cmd, cmd.value);
    pci_write_config_word(dev, PCI_COMMAND, cmd.value);
  }
  return 0;
}
EXPORT_SYMBOL(pci_enable_resources);
