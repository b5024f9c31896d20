// SPDX-License-Identifier: GPL-2.0-only
// custom: interrupt domains, of which only those of message-signalled interrupts are there
export { irq_domain, irq_domain_check_msi_remap } from "../../kernel/irq/msi.ts";
