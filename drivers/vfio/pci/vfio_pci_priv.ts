// SPDX-License-Identifier: GPL-2.0-only
/** What the files of vfio-pci-core share. Without user space's own ioeventfds, IGD and zPCI. */
import { ENOTTY } from "#linux/errno.ts";
import { PCI_CLASS_DISPLAY_VGA, type pci_dev, pci_warn } from "#linux/pci.ts";
import type { vfio_pci_core_device } from "#linux/vfio_pci_core.ts";

/** Default raw access. */
export const PCI_CAP_ID_INVALID = 0xff;
/** Default virtual access. */
export const PCI_CAP_ID_INVALID_VIRT = 0xfe;

/** @inline */
export function vfio_pci_is_vga(pdev: pci_dev): boolean {
  return pdev.class >> 8 === PCI_CLASS_DISPLAY_VGA;
}

/**
 * For what of the driver is not ported yet: says so in the log. @return -ENOTTY
 * @inline
 */
export function not_there_yet(vdev: vfio_pci_core_device, what: string): number {
  pci_warn(vdev.pdev!, "%s is not there yet\n", what);
  return -ENOTTY;
}
