// SPDX-License-Identifier: GPL-2.0-only
// dup: PCI; of it only the numbers, as there is no PCI bus
export * from "#uapi/linux/pci_regs.ts";
export * from "#linux/pci_ids.ts";
