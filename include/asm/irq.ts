// SPDX-License-Identifier: GPL-2.0-only
// custom: interrupts of an s390 machine
export {
  EXT_INTERRUPT,
  get_irq_regs,
  inc_irq_stat,
  IO_INTERRUPT,
  IRQIO_CIO,
  IRQIO_ADP,
  THIN_INTERRUPT,
} from "../../kernel/arch/s390/irq.ts";
