// SPDX-License-Identifier: GPL-2.0-only
// dup: numbers of PCI classes and vendors
export const PCI_CLASS_DISPLAY_OTHER = 0x0380;
export const PCI_VENDOR_ID_REDHAT = 0x1b36;
export const PCI_SUBVENDOR_ID_REDHAT_QUMRANET = 0x1af4;
export const PCI_SUBDEVICE_ID_QEMU = 0x1100;
