// SPDX-License-Identifier: GPL-2.0-only
/**
 * A simple PCI display: its memory is BAR 0, what it shows is described, read-only, in the configuration space.
 * Port of samples/vfio-mdev/mdpy-defs.h.
 */
import { PCI_SUBDEVICE_ID_QEMU, PCI_SUBVENDOR_ID_REDHAT_QUMRANET, PCI_VENDOR_ID_REDHAT } from "#linux/pci_ids.ts";

export const MDPY_PCI_VENDOR_ID = PCI_VENDOR_ID_REDHAT;
export const MDPY_PCI_DEVICE_ID = 0x000f;
export const MDPY_PCI_SUBVENDOR_ID = PCI_SUBVENDOR_ID_REDHAT_QUMRANET;
export const MDPY_PCI_SUBDEVICE_ID = PCI_SUBDEVICE_ID_QEMU;

/** Places in the configuration space, of 32 bits each. */
export const MDPY_VENDORCAP_OFFSET = 0x40;
export const MDPY_VENDORCAP_SIZE = 0x10;
export const MDPY_FORMAT_OFFSET = MDPY_VENDORCAP_OFFSET + 0x04;
export const MDPY_WIDTH_OFFSET = MDPY_VENDORCAP_OFFSET + 0x08;
export const MDPY_HEIGHT_OFFSET = MDPY_VENDORCAP_OFFSET + 0x0c;
