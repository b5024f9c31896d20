// SPDX-License-Identifier: GPL-2.0-only
/** I/O interrupts and machine checks of an s390 machine: from what the hardware stored to the handler. Port of parts of arch/s390/kernel/irq.c. */
import { per_boot } from "../../boot.ts";
import { crw_handle_channel_report } from "#asm/crw.ts";
import { tpi_info } from "#asm/tpi.ts";
import type { Spins } from "#linux/types.ts";
import { per_cpu, this_cpu_ptr } from "./percpu.ts";

export const EXT_INTERRUPT = 0;
export const IO_INTERRUPT = 1;
export const THIN_INTERRUPT = 2;

/** enum interruption_class, as far as it is counted here. */
export const IRQIO_CIO = "CIO";
export const IRQIO_ADP = "ADP";

export const IRQ_NONE = 0;
export const IRQ_HANDLED = 1;
export const IRQ_WAKE_THREAD = 2;
export type irqreturn_t = number;
export type irq_handler_t = (irq: number, dev_id: object | null) => Spins<irqreturn_t>;

export interface irq_regs {
  tpi_info: tpi_info;
}

const s = per_boot(() => ({
  actions: new Map<number, { handler: irq_handler_t; name: string; dev_id: object | null }>(),
  regs: new per_cpu<irq_regs>(() => ({ tpi_info: new tpi_info() })),
  /** /proc/interrupts */
  stat: new Map<string, number>(),
}));

/** Installs the one handler of an interrupt. @return 0 or -EBUSY. Context: process */
export function request_irq(
  irq: number,
  handler: irq_handler_t,
  _flags: number,
  name: string,
  dev_id: object | null,
): number {
  if (s.actions.has(irq)) return -16;
  s.actions.set(irq, { handler, name, dev_id });
  return 0;
}

export function get_irq_regs(): irq_regs {
  return this_cpu_ptr(s.regs);
}
export function inc_irq_stat(irq: string): void {
  s.stat.set(irq, (s.stat.get(irq) ?? 0) + 1);
}
/** How often each class of interrupt was counted, as /proc/interrupts has it. */
export function irq_stat(): ReadonlyMap<string, number> {
  return s.stat;
}

/** An I/O interruption is taken. @code: what the machine stored for it. Context: hard interrupt */
export function* do_io_irq(code: tpi_info): Spins {
  get_irq_regs().tpi_info = code;
  const irq = code.adapter_IO ? THIN_INTERRUPT : IO_INTERRUPT;
  const action = s.actions.get(irq);
  if (action) yield* action.handler(irq, action.dev_id);
}

/** A machine check that says that channel reports are pending. Context: hard interrupt */
export function do_crw_machine_check(): Spins {
  return crw_handle_channel_report();
}
