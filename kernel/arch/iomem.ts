// SPDX-License-Identifier: GPL-2.0-only
/** Registers of devices in memory: how the kernel reaches them. Little-endian, as such devices are. */
import { WARN_ON } from "#linux/bug.ts";
import {
  dev_err,
  dev_name,
  type device,
  devres_add,
  devres_alloc,
  devres_destroy,
  devres_free,
} from "#linux/device.ts";
import { ERR_PTR } from "#linux/err.ts";
import { EBUSY, EINVAL, ENOMEM } from "#linux/errno.ts";
import {
  devm_release_mem_region,
  devm_request_mem_region,
  IORESOURCE_MEM,
  type resource,
  resource_size,
  resource_type,
} from "#linux/ioport.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { bool, initialise, kbuf, type kobj_memory, ptr, type Sleeps, type Spins, struct, u64 } from "#linux/types.ts";
import { offset_in_page, PAGE_ALIGN } from "../mm/page_size.ts";
import { bad_dereference } from "../panic.ts";
import { might_sleep } from "../sched/debug.ts";
import { mmio_at, ports_at } from "./mmio.ts";

/** `void __iomem *`: a mapping, or ports. Functions take the offset that C adds to it as an argument of its own. */
export class iomem extends struct("vm_struct", {
  phys_addr: u64(),
  size: u64(),
  /** The address is that of a port. */
  $ports: bool(),
}) {}

/** Maps registers. May sleep. @return NULL without memory */
export function ioremap(phys_addr: bigint, size: bigint): iomem | null {
  might_sleep();
  const area = kzalloc(iomem, GFP_KERNEL);
  if (!area) return null;
  area.phys_addr = phys_addr;
  area.size = size;
  return area;
}
/** The opposite; NULL is fine. May sleep. */
export function iounmap(addr: iomem | null): void {
  if (addr) kfree(addr);
}

/** Ports in the clothes of registers: nothing is allocated. */
export function ioport_map(port: bigint, nr: number): iomem {
  return initialise(new iomem(), { phys_addr: port, size: BigInt(nr), $ports: true });
}
export function ioport_unmap(_addr: iomem | null): void {}

/* What is mapped are pages; behind them is a hole. */
function check_mapped(io: iomem, off: number, size: number, write: boolean): void {
  if (io.$ports) return;
  const at = offset_in_page(io.phys_addr) + off;
  if (at < 0 || at + size > PAGE_ALIGN(offset_in_page(io.phys_addr) + Number(io.size)))
    bad_dereference(BigInt(io.$mem.addr + off), "iomem", write);
}

/* Nobody answers where no device is: a bus reads ones there and drops writes. */
function read(io: iomem, off: number, size: number): bigint {
  check_mapped(io, off, size, false);
  const at = io.phys_addr + BigInt(off);
  const w = io.$ports ? ports_at(at) : mmio_at(at);
  return BigInt.asUintN(8 * size, w ? w.device.read(Number(at - w.start), size) : -1n);
}
function write(io: iomem, off: number, size: number, v: bigint): void {
  check_mapped(io, off, size, true);
  const at = io.phys_addr + BigInt(off);
  const w = io.$ports ? ports_at(at) : mmio_at(at);
  if (w) w.device.write(Number(at - w.start), size, BigInt.asUintN(8 * size, v));
}

export const ioread8 = (io: iomem, off = 0): number => Number(read(io, off, 1));
export const ioread16 = (io: iomem, off = 0): number => Number(read(io, off, 2));
export const ioread32 = (io: iomem, off = 0): number => Number(read(io, off, 4));
export const readl = ioread32;
export const readq = (io: iomem, off = 0): bigint => read(io, off, 8);
export const readq_relaxed = readq;
export const iowrite8 = (v: number, io: iomem, off = 0): void => write(io, off, 1, BigInt(v));
export const iowrite16 = (v: number, io: iomem, off = 0): void => write(io, off, 2, BigInt(v));
export const iowrite32 = (v: number, io: iomem, off = 0): void => write(io, off, 4, BigInt(v));
export const writel = iowrite32;
export const writeq = (v: bigint, io: iomem, off = 0): void => write(io, off, 8, v);
export const writeq_relaxed = writeq;
/** Ports have 32 bits at most: the lower half comes first. Source: lib/iomap.c */
export function iowrite64_lo_hi(v: bigint, io: iomem, off = 0): void {
  if (!io.$ports) return writeq(v, io, off);
  iowrite32(Number(BigInt.asUintN(32, v)), io, off);
  iowrite32(Number(v >> 32n), io, off + 4);
}

export const MEMREMAP_WB = 1;
/** Memory that is not the kernel's, as memory. May sleep. @return NULL where there is none, or without memory. Source: kernel/iomem.c */
export function memremap(offset: bigint, size: number, _flags: number): kbuf | null {
  const w = mmio_at(offset);
  const at = Number(offset - (w?.start ?? 0n));
  if (!w?.device.memory || at + size > w.device.memory.length) return null;
  const area = ioremap(offset, BigInt(size));
  if (!area) return null;
  const mem = new memremapped(w.device.memory.subarray(at, at + size));
  mem.area = area;
  return mem;
}
/** The opposite. May sleep. */
export function memunmap(addr: kbuf): void {
  if (addr instanceof memremapped) iounmap(addr.area);
}
class memremapped extends kbuf {
  area: iomem | null = null;
}

class ioremap_devres extends struct("ioremap_devres", { addr: ptr<iomem>() }) {}
function devm_ioremap_release(_dev: device, res: kobj_memory): void {
  iounmap((res as ioremap_devres).addr);
}
function devm_ioremap_match(_dev: device, res: kobj_memory, addr: iomem | null): boolean {
  return (res as ioremap_devres).addr === addr;
}

/** As ioremap(), for as long as the device has its driver. May sleep. Source: lib/devres.c */
export function* devm_ioremap(dev: device, offset: bigint, size: bigint): Spins<iomem | null> {
  const dr = devres_alloc(devm_ioremap_release, ioremap_devres, GFP_KERNEL);
  if (!dr) return null;

  const addr = ioremap(offset, size);
  if (addr) {
    dr.addr = addr;
    yield* devres_add(dev, dr);
  } else devres_free(dr);

  return addr;
}
export function* devm_iounmap(dev: device, addr: iomem | null): Sleeps {
  const rc = yield* devres_destroy(dev, devm_ioremap_release, devm_ioremap_match, addr);
  WARN_ON(rc !== 0);
  iounmap(addr);
}

/** Claims a range and maps it. @return the mapping, or ERR_PTR. May sleep. Source: lib/devres.c */
export function* devm_ioremap_resource(dev: device, res: resource | null): Sleeps<iomem> {
  if (!res || resource_type(res) !== IORESOURCE_MEM) {
    dev_err(dev, "invalid resource\n");
    return ERR_PTR(-EINVAL);
  }

  const size = resource_size(res);
  if (!(yield* devm_request_mem_region(dev, res.start, size, res.name ?? dev_name(dev)))) {
    dev_err(dev, "can't request region for resource %pR\n", res);
    return ERR_PTR(-EBUSY);
  }

  const dest_ptr = yield* devm_ioremap(dev, res.start, size);
  if (!dest_ptr) {
    dev_err(dev, "ioremap failed for resource %pR\n", res);
    yield* devm_release_mem_region(dev, res.start, size);
    return ERR_PTR(-ENOMEM);
  }
  return dest_ptr;
}
