// SPDX-License-Identifier: GPL-2.0-only
// custom: interrupt domains, of which only those of message-signalled interrupts are there
export { irq_domain } from "../../kernel/irq/msi.ts";

/**
 * Whether nobody can send an interrupt that is not his by a message. The domain for such interrupts that x86 always has lets
 * them through unchanged; where an IOMMU remaps them, the IOMMU says so (IOMMU_CAP_INTR_REMAP).
 */
export function irq_domain_check_msi_remap(): boolean {
  return false;
}
