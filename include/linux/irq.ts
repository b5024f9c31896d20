// SPDX-License-Identifier: GPL-2.0-only
// custom: interrupt handlers
export {
  IRQ_HANDLED,
  IRQ_NONE,
  IRQ_WAKE_THREAD,
  type irq_handler_t,
  type irqreturn_t,
  request_irq,
} from "../../kernel/arch/s390/irq.ts";
