// SPDX-License-Identifier: GPL-2.0-only
// custom: message-signalled interrupts
export {
  DOMAIN_BUS_ANY,
  DOMAIN_BUS_FSL_MC_MSI,
  irq_domain,
  irq_domain_add_msi_remap,
  irq_find_host,
  msi_desc,
  msi_domain_alloc_irqs,
  msi_domain_free_irqs,
  msi_first_desc,
  msi_get_virq,
  msi_lock_descs,
  msi_msg,
  msi_setup_device_data,
  msi_unlock_descs,
} from "../../kernel/irq/msi.ts";
