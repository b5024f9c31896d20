// SPDX-License-Identifier: GPL-2.0-only
// custom: what interrupt handlers return, and the contexts they run in
export const IRQ_NONE = 0;
export const IRQ_HANDLED = 1;
export const IRQ_WAKE_THREAD = 2;
export type irqreturn_t = number;
export const IRQ_RETVAL = (x: boolean | number): irqreturn_t => (x ? IRQ_HANDLED : IRQ_NONE);

export * from "./irqflags.ts";
export {
  in_hardirq,
  in_interrupt,
  in_serving_softirq,
  in_softirq,
  local_bh_disable,
  local_bh_enable,
} from "./preempt.ts";
