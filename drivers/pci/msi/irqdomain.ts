// SPDX-License-Identifier: GPL-2.0-only
/** The domain that gives PCI functions numbers for their messages. Source: drivers/pci/msi/irqdomain.c */
import { WARN_ON_ONCE } from "#linux/bug.ts";
import { dev_get_msi_domain } from "#linux/device.ts";
import { ENODEV } from "#linux/errno.ts";
import {
  DOMAIN_BUS_PCI_MSI,
  irq_domain_add_msi,
  type msi_desc,
  msi_domain_alloc_irqs_descs_locked,
  msi_domain_free_irqs_descs_locked,
  msi_free_msi_descs,
  type msi_msg,
} from "#linux/msi.ts";
import type { pci_dev } from "#linux/pci.ts";
import type { Spins } from "#linux/types.ts";
import { __pci_write_msi_msg, pci_msi_mask_irq, pci_msi_unmask_irq } from "./msi.ts";

/* Without a domain the architecture is asked, if it has an answer (CONFIG_PCI_MSI_ARCH_FALLBACKS): none here. */
function pci_msi_legacy_setup_msi_irqs(): number {
  WARN_ON_ONCE(true);
  return -ENODEV;
}
function pci_msi_legacy_teardown_msi_irqs(): void {
  WARN_ON_ONCE(true);
}

/** Numbers for the messages that a function has descriptors of. @return 0 or -errno. Context: their lock held. Source: drivers/pci/msi/irqdomain.c */
export function* pci_msi_setup_msi_irqs(dev: pci_dev): Spins<number> {
  const domain = dev_get_msi_domain(dev.dev);
  if (!domain) return pci_msi_legacy_setup_msi_irqs();

  return yield* msi_domain_alloc_irqs_descs_locked(domain, dev.dev);
}

/** The opposite, descriptors included. Context: as above */
export function* pci_msi_teardown_msi_irqs(dev: pci_dev): Spins {
  const domain = dev_get_msi_domain(dev.dev);
  if (domain) yield* msi_domain_free_irqs_descs_locked(domain, dev.dev);
  else pci_msi_legacy_teardown_msi_irqs();
  msi_free_msi_descs(dev.dev);
}

function pci_msi_domain_write_msg(desc: msi_desc, msg: msi_msg): void {
  __pci_write_msi_msg(desc, msg);
}

/** The domain of the machine's PCI devices. @doorbell: address that their messages go to. From the machine. Source: drivers/pci/msi/irqdomain.c */
export function pci_msi_create_irq_domain(name: string, doorbell: bigint): void {
  const domain = irq_domain_add_msi(name, doorbell, DOMAIN_BUS_PCI_MSI);
  domain.$activate_early = true;
  domain.$must_reactivate = true;
  domain.$write_msg = pci_msi_domain_write_msg;
  domain.$mask = pci_msi_mask_irq;
  domain.$unmask = pci_msi_unmask_irq;
}
