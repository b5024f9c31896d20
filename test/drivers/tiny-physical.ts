// SPDX-License-Identifier: GPL-2.0-only
/** Devices behind an IOMMU, on a bus of their own, with a VFIO driver as small as one can be; and an IOMMU that obeys the test. */
import { dev_set_name, device, device_add, device_initialize, device_unregister } from "#linux/device.ts";
import { bus_register, bus_type, bus_unregister } from "#linux/device/bus.ts";
import { device_driver, driver_register, driver_unregister } from "#linux/device/driver.ts";
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import {
  generic_device_group,
  iommu_alloc_resv_region,
  IOMMU_CAP_CACHE_COHERENCY,
  IOMMU_CAP_INTR_REMAP,
  iommu_device,
  iommu_device_sysfs_add,
  iommu_device_sysfs_remove,
  iommu_domain,
  IOMMU_DOMAIN_UNMANAGED,
  iommu_group_get,
  iommu_group_put,
  type iommu_group,
  type iommu_domain_ops,
  type iommu_ops,
  iommu_probe_device,
  iommu_release_device,
  type iommu_resv_type,
} from "#linux/iommu.ts";
import { list_add_tail } from "#linux/list.ts";
import {
  remap_pfn_range,
  type vm_area_struct,
  VM_FAULT_NOPAGE,
  VM_FAULT_SIGBUS,
  type vm_operations_struct,
  VM_PFNMAP,
} from "#linux/mm.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { container_of, embed, initialise, opaque, type Sleeps, struct } from "#linux/types.ts";
import {
  vfio_alloc_device,
  vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_group_dev,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import { dmar_insert_dev_scope } from "../../drivers/iommu/intel/dmar.ts";
import { intel_iommu_ops } from "../../drivers/iommu/intel/iommu.ts";
import { per_boot } from "../../kernel/boot.ts";

import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";

/** What the IOMMU is told to be; addresses in bytes. */
export interface Temper {
  /** Page sizes, a bit each. */
  readonly pgsizes: bigint;
  readonly aperture: readonly [bigint, bigint];
  readonly reserved: readonly (readonly [start: bigint, length: bigint, type: iommu_resv_type])[];
  /** Unmapping a page unmaps all that was mapped with it: what C calls fine-grained super pages. */
  readonly whole?: boolean;
  readonly remaps?: boolean;
  readonly coherent?: boolean;
  readonly snoops?: boolean;
  readonly nests?: boolean;
}
export const CALM: Temper = {
  pgsizes: 0x201000n,
  aperture: [0n, (1n << 40n) - 1n],
  reserved: [],
  remaps: true,
  coherent: true,
};

interface Mapped {
  readonly phys: bigint;
  /** Of the mapping that it belongs to. */
  readonly first: bigint;
  readonly size: bigint;
}
class tiny_domain extends struct("tiny_domain", {
  domain: embed(() => iommu_domain),
  /** Page by page, of the smallest size. */
  maps: opaque(() => new Map<bigint, Mapped>()),
}) {}
class tiny_iommu extends struct("tiny_iommu", { iommu: embed(() => iommu_device) }) {}
class tiny_physical extends struct("tiny_physical", { vdev: embed(() => vfio_device) }) {}

export const physical = per_boot(() => ({
  temper: CALM,
  /** Tempers of domains to come; the last one stays. */
  tempers: [] as Temper[],
  /** Calls of the IOMMU's functions that count, as they came. */
  calls: [] as string[],
  /** How many more mappings succeed. */
  maps_left: Infinity,
  attach_result: 0,
  domains: [] as tiny_domain[],
  iommu: new tiny_iommu(),
  bus: initialise(new bus_type(), { name: "tinybus" }),
  driver: initialise(new device_driver(), { name: "tiny-physical", probe: tinyProbe, remove: tinyRemove }),
  devices: [] as device[],
  groups: [] as iommu_group[],
}));

const say = (text: string): void => void physical.calls.push(text);
const tinyDomain = (domain: iommu_domain): tiny_domain => container_of(domain, tiny_domain, "domain");

function domainAlloc(type: number): iommu_domain | null {
  const d = kzalloc(tiny_domain, GFP_KERNEL);
  if (!d) return null;
  if (type === IOMMU_DOMAIN_UNMANAGED) physical.temper = physical.tempers.shift() ?? physical.temper;
  const { aperture, pgsizes } = physical.temper;
  d.domain.geometry.aperture_start = aperture[0];
  d.domain.geometry.aperture_end = aperture[1];
  d.domain.pgsize_bitmap = pgsizes;
  // Drivers of different IOMMUs have different operations
  d.domain.ops = { ...tinyDomainOps, ...(physical.temper.snoops ? { enforce_cache_coherency: () => true } : {}) };
  if (physical.temper.nests) d.domain.ops = { ...d.domain.ops, enable_nesting: () => 0 };
  physical.domains.push(d);
  return d.domain;
}
const pageOf = (domain: iommu_domain): bigint => domain.pgsize_bitmap & -domain.pgsize_bitmap;

function mapPages(
  domain: iommu_domain,
  iova: bigint,
  phys: bigint,
  pgsize: bigint,
  count: bigint,
  _prot: number,
  _gfp: number,
  mapped: { value: bigint },
): number {
  const { maps } = tinyDomain(domain);
  const size = pgsize * count;
  if (physical.maps_left-- <= 0) return -ENOMEM;
  for (let at = 0n; at < size; at += pageOf(domain)) {
    if (maps.has(iova + at)) return -EINVAL;
    maps.set(iova + at, { phys: phys + at, first: iova, size });
  }
  say(`map ${iova.toString(16)} ${size.toString(16)}`);
  mapped.value = size;
  return 0;
}
function unmapPages(domain: iommu_domain, iova: bigint, pgsize: bigint, count: bigint): bigint {
  const { maps } = tinyDomain(domain);
  const found = maps.get(iova);
  if (!found) return 0n;
  const [first, size] = physical.temper.whole ? [found.first, found.size] : [iova, pgsize * count];
  let at = first;
  while (at < first + size && maps.delete(at)) at += pageOf(domain);
  say(`unmap ${first.toString(16)} ${(at - first).toString(16)}`);
  return at - first;
}
const tinyDomainOps: iommu_domain_ops = {
  attach_dev: (domain, dev) => {
    say(`attach ${dev.kobj.name ?? ""} ${physical.domains.indexOf(tinyDomain(domain))}`);
    return physical.attach_result;
  },
  map_pages: mapPages,
  unmap_pages: unmapPages,
  iova_to_phys: (domain, iova) => {
    const offset = iova % pageOf(domain);
    const found = tinyDomain(domain).maps.get(iova - offset);
    return found ? found.phys + offset : 0n;
  },
  free: (domain) => {
    const d = tinyDomain(domain);
    say(`free ${physical.domains.indexOf(d)}${d.maps.size > 0 ? ` with ${d.maps.size} mapped` : ""}`);
    kfree(d);
  },
};
export const tinyIommuOps: iommu_ops = {
  capable: (_dev, cap) =>
    cap === IOMMU_CAP_CACHE_COHERENCY
      ? physical.temper.coherent === true
      : cap === IOMMU_CAP_INTR_REMAP && physical.temper.remaps === true,
  domain_alloc: domainAlloc,
  probe_device: () => physical.iommu.iommu,
  device_group: generic_device_group,
  get_resv_regions: (_dev, list) => {
    for (const [start, length, type] of physical.temper.reserved) {
      const region = iommu_alloc_resv_region(start, length, 0, type, GFP_KERNEL);
      if (region) list_add_tail(region.list, list);
    }
  },
  pgsize_bitmap: 0x1000n,
  default_domain_ops: tinyDomainOps,
};

/** Registers of the device, two pages: mapped at once, or, at an odd place in the file, when they are touched. */
const REGISTERS = 0xc000_0000n;
const registersOps: vm_operations_struct = {
  fault: ({ vma }) => {
    say("fault");
    return remap_pfn_range(vma!, vma!.vm_start, REGISTERS >> 12n, 0x2000n, 0n) ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
  },
};
function tinyMmap(_vdev: vfio_device, vma: vm_area_struct): number {
  vma.vm_ops = registersOps;
  vma.vm_flags |= BigInt(VM_PFNMAP);
  return vma.vm_pgoff % 2n ? 0 : remap_pfn_range(vma, vma.vm_start, REGISTERS >> 12n, 0x2000n, 0n);
}
const tinyOps: vfio_device_ops = {
  name: "tiny-physical",
  release: (vdev) => vfio_free_device(vdev),
  ioctl: () => -25,
  mmap: tinyMmap,
};

function* tinyProbe(dev: device): Sleeps<number> {
  const state = yield* vfio_alloc_device(tiny_physical, "vdev", dev, tinyOps);
  if (IS_ERR(state)) return PTR_ERR(state);
  const ret = yield* vfio_register_group_dev(state.vdev);
  if (ret) {
    yield* vfio_put_device(state.vdev);
    return ret;
  }
  dev.driver_data = state;
  return 0;
}
function* tinyRemove(dev: device): Sleeps<number> {
  const state = dev.driver_data as tiny_physical;
  yield* vfio_unregister_group_dev(state.vdev);
  yield* vfio_put_device(state.vdev);
  return 0;
}
function release(dev: device): void {
  kfree(dev);
}

/** Devices called tp0, tp1 and so on, each in a group, bound to the driver. @intel: behind the machine's unit */
export function* loadPhysical(count: number, intel = false): Sleeps<number> {
  const { bus, driver } = physical;
  let ret = yield* bus_register(bus);
  if (ret) return ret;
  if (!intel) {
    physical.iommu.iommu.ops = tinyIommuOps;
    ret = yield* iommu_device_sysfs_add(physical.iommu.iommu, null, null, "tiny");
    if (ret) return ret;
  }
  bus.iommu_ops = intel ? intel_iommu_ops : tinyIommuOps;
  for (let i = 0; i < count; i++) {
    const dev = kzalloc(device, GFP_KERNEL);
    if (!dev) return -ENOMEM;
    device_initialize(dev);
    dev_set_name(dev, "tp%d", i);
    dev.bus = bus;
    dev.release = release;
    if (intel) dmar_insert_dev_scope(dev, 0, (5 + i) << 3);
    ret = yield* device_add(dev);
    if (ret) return ret;
    ret = yield* iommu_probe_device(dev);
    if (ret) return ret;
    physical.devices.push(dev);
    physical.groups.push(iommu_group_get(dev)!);
  }
  driver.bus = bus;
  return yield* driver_register(driver);
}
export function* unloadPhysical(): Sleeps<number> {
  const { bus, driver, devices, groups } = physical;
  yield* driver_unregister(driver);
  for (const [i, dev] of devices.splice(0).entries()) {
    const group = groups[i];
    if (group) yield* iommu_group_put(group);
    yield* iommu_release_device(dev);
    yield* device_unregister(dev);
  }
  if (bus.iommu_ops === tinyIommuOps) yield* iommu_device_sysfs_remove(physical.iommu.iommu);
  yield* bus_unregister(bus);
  return 0;
}
