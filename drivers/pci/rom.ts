// SPDX-License-Identifier: GPL-2.0-only
/** Option ROMs. Source: drivers/pci/rom.c */
import { kbuild } from "#linux/export.ts";
import { type iomem, ioremap, iounmap, ioread8, ioread16, readl } from "#linux/io.ts";
import { IORESOURCE_ROM_ENABLE, IORESOURCE_ROM_SHADOW } from "#linux/ioport.ts";
import {
  type pci_dev,
  pci_info,
  pci_read_config_dword,
  pci_resource_len,
  pci_resource_start,
  PCI_ROM_ADDRESS_ENABLE,
  PCI_ROM_ADDRESS_MASK,
  PCI_ROM_RESOURCE,
  pci_write_config_dword,
} from "#linux/pci.ts";
import type { Spins } from "#linux/types.ts";
import { pci_assign_resource } from "./setup-res.ts";

const { EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** Has a device answer at the addresses of its ROM. @return 0, -1 without one. Any context */
export function pci_enable_rom(pdev: pci_dev): number {
  const res = pdev.resource.at(PCI_ROM_RESOURCE);
  const rom_addr = { value: 0 };

  if (!res.flags) return -1;

  // A copy in memory
  if (res.flags & IORESOURCE_ROM_SHADOW) return 0;

  // The address as well: some devices forget it.
  pci_read_config_dword(pdev, pdev.rom_base_reg, rom_addr);
  rom_addr.value &= ~PCI_ROM_ADDRESS_MASK;
  rom_addr.value |= Number(res.start) | PCI_ROM_ADDRESS_ENABLE;
  pci_write_config_dword(pdev, pdev.rom_base_reg, rom_addr.value >>> 0);
  return 0;
}
EXPORT_SYMBOL_GPL(pci_enable_rom);

/** The opposite. Any context. */
export function pci_disable_rom(pdev: pci_dev): void {
  const res = pdev.resource.at(PCI_ROM_RESOURCE);
  const rom_addr = { value: 0 };

  if (res.flags & IORESOURCE_ROM_SHADOW) return;

  pci_read_config_dword(pdev, pdev.rom_base_reg, rom_addr);
  rom_addr.value &= ~PCI_ROM_ADDRESS_ENABLE;
  pci_write_config_dword(pdev, pdev.rom_base_reg, rom_addr.value >>> 0);
}
EXPORT_SYMBOL_GPL(pci_disable_rom);

/** @return bytes of all its images, 0 if it is none */
function pci_get_rom_size(pdev: pci_dev, rom: iomem, size: number): number {
  let image = 0;
  let last_image: number;
  let length: number;

  do {
    if (ioread16(rom, image) !== 0xaa55) {
      pci_info(pdev, "Invalid PCI ROM header signature: expecting 0xaa55, got %#06x\n", ioread16(rom, image));
      break;
    }
    const pds = image + ioread16(rom, image + 24);
    if (readl(rom, pds) !== 0x52494350) {
      pci_info(pdev, "Invalid PCI ROM data signature: expecting 0x52494350, got %#010x\n", readl(rom, pds));
      break;
    }
    last_image = ioread8(rom, pds + 21) & 0x80;
    length = ioread16(rom, pds + 16);
    image += length * 512;
    // Never beyond what was mapped
    if (image >= size) break;
    if (!last_image) {
      if (ioread16(rom, image) !== 0xaa55) {
        pci_info(pdev, "No more image in the PCI ROM\n");
        break;
      }
    }
  } while (length && !last_image);

  // Some say more than there is.
  return Math.min(image, size);
}

/** Maps a ROM. @size: gets the bytes of its images. @return the mapping, which pci_unmap_rom() takes back, or NULL. May sleep */
export function* pci_map_rom(pdev: pci_dev, size: { value: number }): Spins<iomem | null> {
  const res = pdev.resource.at(PCI_ROM_RESOURCE);

  if (res.parent === null && (yield* pci_assign_resource(pdev, PCI_ROM_RESOURCE))) return null;

  const start = pci_resource_start(pdev, PCI_ROM_RESOURCE);
  size.value = Number(pci_resource_len(pdev, PCI_ROM_RESOURCE));
  if (size.value === 0) return null;

  if (pci_enable_rom(pdev)) return null;

  err_ioremap: {
    const rom = ioremap(start, BigInt(size.value));
    if (!rom) break err_ioremap;

    invalid_rom: {
      size.value = pci_get_rom_size(pdev, rom, size.value);
      if (!size.value) break invalid_rom;

      return rom;
    }
    iounmap(rom);
  }
  if (!(res.flags & IORESOURCE_ROM_ENABLE)) pci_disable_rom(pdev);
  return null;
}
EXPORT_SYMBOL(pci_map_rom);

/** The opposite. May sleep. */
export function pci_unmap_rom(pdev: pci_dev, rom: iomem): void {
  const res = pdev.resource.at(PCI_ROM_RESOURCE);

  iounmap(rom);

  if (!(res.flags & IORESOURCE_ROM_ENABLE)) pci_disable_rom(pdev);
}
EXPORT_SYMBOL(pci_unmap_rom);
