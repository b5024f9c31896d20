// SPDX-License-Identifier: GPL-2.0-only
// custom: switching interrupts off and on
export { irqs_disabled } from "../../kernel/sched/task.ts";
export {
  irqs_disabled_flags,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  raw_local_irq_restore,
  raw_local_irq_save,
} from "../../kernel/locking/irqflags.ts";
