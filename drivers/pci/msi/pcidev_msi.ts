// SPDX-License-Identifier: GPL-2.0-only
/** Messages of functions that are found. Source: drivers/pci/msi/pcidev_msi.c */
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  type pci_dev,
  pci_find_capability,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
  pci_read_config_word,
  pci_write_config_word,
} from "#linux/pci.ts";

/** Off, whatever the firmware left. Source: drivers/pci/msi/pcidev_msi.c */
export function pci_msi_init(dev: pci_dev): void {
  const ctrl = { value: 0 };

  dev.msi_cap = pci_find_capability(dev, PCI_CAP_ID_MSI);
  if (!dev.msi_cap) return;

  pci_read_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, ctrl);
  if (ctrl.value & PCI_MSI_FLAGS_ENABLE)
    pci_write_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, ctrl.value & ~PCI_MSI_FLAGS_ENABLE);
}

/** The same for MSI-X. */
export function pci_msix_init(dev: pci_dev): void {
  const ctrl = { value: 0 };

  dev.msix_cap = pci_find_capability(dev, PCI_CAP_ID_MSIX);
  if (!dev.msix_cap) return;

  pci_read_config_word(dev, dev.msix_cap + PCI_MSIX_FLAGS, ctrl);
  if (ctrl.value & PCI_MSIX_FLAGS_ENABLE)
    pci_write_config_word(dev, dev.msix_cap + PCI_MSIX_FLAGS, ctrl.value & ~PCI_MSIX_FLAGS_ENABLE);
}
