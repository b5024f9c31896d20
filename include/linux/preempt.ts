// SPDX-License-Identifier: GPL-2.0-only
// custom: the preemption count and what it says about the context
export {
  HARDIRQ_OFFSET,
  in_atomic,
  in_hardirq,
  in_hardirq as in_irq,
  in_interrupt,
  in_task,
  irqs_disabled,
  preempt_count,
  preempt_disable,
  preempt_enable,
  PREEMPT_OFFSET,
  smp_processor_id,
  smp_processor_id as raw_smp_processor_id,
  SOFTIRQ_OFFSET,
} from "../../kernel/sched/task.ts";
export {
  in_serving_softirq,
  in_softirq,
  local_bh_disable,
  local_bh_enable,
  SOFTIRQ_DISABLE_OFFSET,
} from "../../kernel/locking/irqflags.ts";
