// SPDX-License-Identifier: GPL-2.0-only
// dup: numbers of PCI classes and vendors
export const PCI_ANY_ID = 0xffffffff;
export const PCI_CLASS_NOT_DEFINED = 0x0000;
export const PCI_BASE_CLASS_DISPLAY = 0x03;
export const PCI_CLASS_DISPLAY_VGA = 0x0300;
export const PCI_CLASS_DISPLAY_OTHER = 0x0380;
export const PCI_CLASS_BRIDGE_HOST = 0x0600;
export const PCI_CLASS_BRIDGE_ISA = 0x0601;
export const PCI_CLASS_BRIDGE_PCI = 0x0604;
export const PCI_CLASS_SERIAL_USB = 0x0c03;
export const PCI_VENDOR_ID_REDHAT = 0x1b36;
export const PCI_SUBVENDOR_ID_REDHAT_QUMRANET = 0x1af4;
export const PCI_SUBDEVICE_ID_QEMU = 0x1100;
export const PCI_VENDOR_ID_INTEL = 0x8086;
export const PCI_DEVICE_ID_INTEL_DSA_SPR0 = 0x0b25;
export const PCI_DEVICE_ID_INTEL_IAX_SPR0 = 0x0cfe;
export const PCI_DEVICE_ID_INTEL_QAT_DH895XCC = 0x0435;
export const PCI_DEVICE_ID_INTEL_QAT_DH895XCC_VF = 0x0443;
export const PCI_DEVICE_ID_INTEL_QAT_C62X = 0x37c8;
export const PCI_DEVICE_ID_INTEL_QAT_C62X_VF = 0x37c9;
export const PCI_DEVICE_ID_INTEL_QAT_C3XXX = 0x19e2;
export const PCI_DEVICE_ID_INTEL_QAT_C3XXX_VF = 0x19e3;
