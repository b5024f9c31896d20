// SPDX-License-Identifier: GPL-2.0-only
/**
 * The units that the firmware's DMA remapping table names, and the memory that it reserves for devices. Scopes name devices;
 * what is not in a scope is behind the unit that has all of PCI.
 *
 * Not here: what reads the table as it lies in memory, faults, queued invalidation, hot-plugged units.
 */
import type { device } from "#linux/device.ts";
import { ENODEV } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { INIT_LIST_HEAD, LIST_HEAD, list_add_tail, list_empty, list_for_each_entry, list_head } from "#linux/list.ts";
import { pr_info } from "#linux/printk.ts";
import { GFP_KERNEL, kzalloc } from "#linux/slab.ts";
import { bool, embed, opaque, ptr, struct, u16, u64 } from "#linux/types.ts";
import { vtd_table } from "#asm/vtd.ts";
import { intel_iommu } from "./iommu.ts";

const { per_boot } = kbuild(import.meta.url);

export interface dmar_dev_scope {
  readonly dev: device;
  readonly bus: number;
  readonly devfn: number;
}

export class dmar_drhd_unit extends struct("dmar_drhd_unit", {
  list: embed(() => list_head),
  reg_base_addr: u64(),
  devices: opaque<dmar_dev_scope[]>(() => []),
  segment: u16(),
  include_all: bool(),
  iommu: ptr<intel_iommu>(),
}) {}

export class dmar_rmrr_unit extends struct("dmar_rmrr_unit", {
  list: embed(() => list_head),
  base_address: u64(),
  end_address: u64(),
  devices: opaque<device[]>(() => []),
}) {}

const s = per_boot(() => ({
  dmar_drhd_units: LIST_HEAD(),
  dmar_rmrr_units: LIST_HEAD(),
  irq_remapping_enabled: false,
}));

export const dmar_rmrr_units = (): list_head => s.dmar_rmrr_units;
export const for_each_drhd_unit = (): Iterable<dmar_drhd_unit> =>
  list_for_each_entry(s.dmar_drhd_units, dmar_drhd_unit, "list");
export const for_each_rmrr_units = (): Iterable<dmar_rmrr_unit> =>
  list_for_each_entry(s.dmar_rmrr_units, dmar_rmrr_unit, "list");
/** Whether a device cannot send just any interrupt. */
export const irq_remapping_enabled = (): boolean => s.irq_remapping_enabled;

function alloc_iommu(drhd: dmar_drhd_unit, seq_id: number, cap: bigint, ecap: bigint): boolean {
  const iommu = kzalloc(intel_iommu, GFP_KERNEL);
  if (!iommu) return false;

  iommu.seq_id = seq_id;
  iommu.name = `dmar${seq_id}`;
  iommu.reg_phys = drhd.reg_base_addr;
  iommu.cap = cap;
  iommu.ecap = ecap;
  iommu.segment = drhd.segment;
  INIT_LIST_HEAD(iommu.iommu.list);
  pr_info(
    "DMAR: %s: reg_base_addr %llx ver %d:%d cap %llx ecap %llx\n",
    iommu.name,
    drhd.reg_base_addr,
    1,
    0,
    cap,
    ecap,
  );
  drhd.iommu = iommu;
  iommu.drhd = drhd;
  return true;
}

/** Reads the table. @return 0, or -ENODEV if there is none, no unit is in it, or there is no memory. Source: drivers/iommu/intel/dmar.c */
export function dmar_table_init(): number {
  const table = vtd_table();
  if (!table) return -ENODEV;

  pr_info("DMAR: Host address width %d\n", table.host_address_width);
  for (const [seq_id, unit] of table.units.entries()) {
    const drhd = kzalloc(dmar_drhd_unit, GFP_KERNEL);
    if (!drhd) return -ENODEV;
    drhd.reg_base_addr = unit.reg_base_addr;
    drhd.include_all = true;
    if (!alloc_iommu(drhd, seq_id, unit.cap, unit.ecap)) return -ENODEV;
    list_add_tail(drhd.list, s.dmar_drhd_units);
  }
  s.irq_remapping_enabled = table.interrupt_remapping;

  return list_empty(s.dmar_drhd_units) ? -ENODEV : 0;
}

/** A device that a unit's scope names: one that is on no PCI bus. @bus, @devfn: as what it accesses memory */
export function dmar_insert_dev_scope(dev: device, bus: number, devfn: number): void {
  for (const drhd of for_each_drhd_unit()) {
    drhd.devices.push({ dev, bus, devfn });
    break;
  }
}
/** Memory that the firmware goes on using with a device. @end: its last byte. @return false without memory */
export function dmar_insert_rmrr(base: bigint, end: bigint, devices: device[]): boolean {
  const rmrr = kzalloc(dmar_rmrr_unit, GFP_KERNEL);
  if (!rmrr) return false;
  rmrr.base_address = base;
  rmrr.end_address = end;
  rmrr.devices = devices;
  list_add_tail(rmrr.list, s.dmar_rmrr_units);
  return true;
}
