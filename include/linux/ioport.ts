// SPDX-License-Identifier: GPL-2.0-only
// dup: ranges of addresses, and interrupts, that devices have
import { ptr, str, struct, u32, u64 } from "./types.ts";

class resource_base extends struct("resource", {
  start: u64(),
  /** The last one that belongs to it. */
  end: u64(),
  name: str(),
  flags: u32(),
  parent: ptr<resource>(),
  sibling: ptr<resource>(),
  child: ptr<resource>(),
}) {}
export class resource extends resource_base {}

/** What a bus keeps for itself. */
export const IORESOURCE_BITS = 0x000000ff;
export const IORESOURCE_TYPE_BITS = 0x00001f00;
export const IORESOURCE_IO = 0x00000100;
export const IORESOURCE_MEM = 0x00000200;
export const IORESOURCE_IRQ = 0x00000400;
export const IORESOURCE_DMA = 0x00000800;
export const IORESOURCE_BUS = 0x00001000;
export const IORESOURCE_PREFETCH = 0x00002000;
export const IORESOURCE_READONLY = 0x00004000;
export const IORESOURCE_SIZEALIGN = 0x00040000;
export const IORESOURCE_MEM_64 = 0x00100000;
export const IORESOURCE_WINDOW = 0x00200000;
export const IORESOURCE_EXCLUSIVE = 0x08000000;
export const IORESOURCE_DISABLED = 0x10000000;
export const IORESOURCE_UNSET = 0x20000000;
export const IORESOURCE_BUSY = 0x80000000;

/** What IORESOURCE_BITS are for PCI. */
export const IORESOURCE_ROM_ENABLE = 1 << 0;
export const IORESOURCE_ROM_SHADOW = 1 << 1;
export const IORESOURCE_PCI_FIXED = 1 << 4;

export const resource_size = (res: resource): bigint => res.end - res.start + 1n;
export const resource_type = (res: resource): number => res.flags & IORESOURCE_TYPE_BITS;

export {
  __release_region,
  __request_region,
  insert_resource,
  iomem_resource,
  ioport_resource,
  release_mem_region,
  release_region,
  release_resource,
  request_mem_region,
  request_region,
  request_resource,
  request_resource_conflict,
} from "../../kernel/resource.ts";
export { devm_release_mem_region, devm_request_mem_region } from "../../kernel/resource_devres.ts";
