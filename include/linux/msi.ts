// SPDX-License-Identifier: GPL-2.0-only
// custom: message-signalled interrupts
export {
  irq_domain,
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
