// SPDX-License-Identifier: GPL-2.0-only
// custom: message-signalled interrupts
export { pci_msi_create_irq_domain } from "../../drivers/pci/msi/irqdomain.ts";
export {
  DOMAIN_BUS_ANY,
  DOMAIN_BUS_FSL_MC_MSI,
  DOMAIN_BUS_PCI_MSI,
  get_cached_msi_msg,
  irq_domain,
  irq_domain_add_msi,
  irq_domain_add_msi_remap,
  irq_find_host,
  irq_get_msi_desc,
  msi_add_msi_desc,
  msi_desc,
  msi_domain_alloc_irqs,
  msi_domain_alloc_irqs_descs_locked,
  msi_domain_free_irqs,
  msi_domain_free_irqs_descs_locked,
  msi_first_desc,
  msi_for_each_desc,
  msi_free_msi_descs,
  msi_get_virq,
  msi_lock_descs,
  msi_msg,
  msi_setup_device_data,
  msi_unlock_descs,
} from "../../kernel/irq/msi.ts";
