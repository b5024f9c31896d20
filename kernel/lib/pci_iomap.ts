// SPDX-License-Identifier: GPL-2.0-only
/** BARs, mapped: memory or ports. Sources: lib/pci_iomap.c, lib/iomap.c */
import { type iomem, ioport_map, ioport_unmap, ioremap, iounmap } from "#linux/io.ts";
import { IORESOURCE_IO, IORESOURCE_MEM } from "#linux/ioport.ts";
import { type pci_dev, pci_resource_flags, pci_resource_len, pci_resource_start } from "#linux/pci.ts";

/** Maps a BAR, or its first @maxlen bytes; 0: all of it. @return NULL without memory, or without a BAR. May sleep */
export function pci_iomap(dev: pci_dev, bar: number, maxlen: number): iomem | null {
  const start = pci_resource_start(dev, bar);
  let len = pci_resource_len(dev, bar);
  const flags = pci_resource_flags(dev, bar);

  if (len <= 0n || !start) return null;
  if (maxlen && len > BigInt(maxlen)) len = BigInt(maxlen);
  if (flags & IORESOURCE_IO) return ioport_map(start, Number(len));
  if (flags & IORESOURCE_MEM) return ioremap(start, len);
  return null;
}
/** The opposite. May sleep. */
export function pci_iounmap(_dev: pci_dev, addr: iomem): void {
  if (addr.$ports) ioport_unmap(addr);
  else iounmap(addr);
}
