// SPDX-License-Identifier: GPL-2.0-only
// custom: interrupt handlers of machines with numbered interrupts
export {
  disable_irq,
  disable_irq_nosync,
  enable_irq,
  free_irq,
  generic_handle_irq,
  IRQ_HANDLED,
  IRQ_NONE,
  IRQ_TYPE_EDGE_FALLING,
  IRQ_TYPE_EDGE_RISING,
  IRQ_TYPE_LEVEL_HIGH,
  IRQ_TYPE_LEVEL_LOW,
  IRQ_TYPE_LEVEL_MASK,
  IRQ_TYPE_NONE,
  IRQ_WAKE_THREAD,
  irq_get_trigger_type,
  type irq_handler_t,
  irq_set_trigger_type,
  type irq_thread_t,
  irq_to_desc,
  IRQF_NO_AUTOEN,
  IRQF_NO_SUSPEND,
  IRQF_ONESHOT,
  IRQF_SHARED,
  type irqreturn_t,
  request_irq,
  request_threaded_irq,
  synchronize_irq,
} from "../../kernel/irq/manage.ts";
/** The number of an interrupt that leads nowhere. */
export const IRQ_NOTCONNECTED = 2 ** 31;

export { devm_free_irq, devm_request_threaded_irq } from "../../kernel/irq/devres.ts";
