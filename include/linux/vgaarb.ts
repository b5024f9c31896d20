// SPDX-License-Identifier: GPL-2.0-only
// stub: the VGA arbiter as in a kernel without CONFIG_VGA_ARB: nobody arbitrates
import type { pci_dev } from "./pci.ts";
import type { Sleeps } from "./types.ts";

export const VGA_RSRC_NONE = 0x00;
export const VGA_RSRC_LEGACY_IO = 0x01;
export const VGA_RSRC_LEGACY_MEM = 0x02;
export const VGA_RSRC_NORMAL_IO = 0x04;
export const VGA_RSRC_NORMAL_MEM = 0x08;

/** @set_decode: what the device decodes, as VGA_RSRC_… @return 0 */
export const vga_client_register = (
  _pdev: pci_dev,
  _set_decode: (pdev: pci_dev, single_vga: boolean) => Sleeps<number>,
): number => 0;
/** Waits for what @rsrc says, without end. @return 0 */
export const vga_get_interruptible = (_pdev: pci_dev, _rsrc: number): number => 0;
export const vga_put = (_pdev: pci_dev, _rsrc: number): void => {};
export const vga_client_unregister = (_pdev: pci_dev): void => {};
export const vga_set_legacy_decoding = (_pdev: pci_dev, _decodes: number): void => {};
