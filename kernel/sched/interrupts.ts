// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts and softirqs as the scheduler sees them: what is due, and where it may be taken. */
import { per_boot_books } from "../boot.ts";
import { kcsan_enter_context, kcsan_exit_context } from "../kcsan/order.ts";
import { decide } from "./decide.ts";
import { touch_everything } from "./footprint.ts";
import { HARDIRQ_OFFSET, sched, SOFTIRQ_OFFSET } from "./task.ts";
import type { Spins } from "./types.ts";

export interface pending_irq {
  /** Where it comes from, as /proc/interrupts would name it. */
  readonly name: string;
  readonly handler: () => Spins;
}

const s = per_boot_books(() => ({
  /** Raised and not yet taken, oldest first. They float: any CPU that lets interrupts in may take them. */
  hard: [] as pending_irq[],
  /** Work left by interrupts and by the clock, run with interrupts on. */
  soft: [] as (() => Spins)[],
}));

/** The machine raises an interrupt. Any context, also from outside the kernel. */
export function raise_irq(irq: pending_irq): void {
  // Whoever comes to its next point takes it.
  touch_everything();
  s.hard.push(irq);
}
export function raise_softirq(work: () => Spins): void {
  touch_everything();
  s.soft.push(work);
}

/** Whether anything is due, on whatever CPU lets it in. */
export function pending_anywhere(): boolean {
  return s.hard.length > 0 || s.soft.length > 0;
}
/** Whether the current task, on its CPU, would take something now. */
export function pending_here(): boolean {
  if (!pending_anywhere()) return false;
  const me = sched.current;
  if (!me || me.irqs_disabled || me.preempt_count >= HARDIRQ_OFFSET) return false;
  // Softirqs do not nest; they may come between preempt_disable() and preempt_enable(), as interrupts may.
  return s.hard.length > 0 || me.preempt_count < SOFTIRQ_OFFSET;
}

/** Takes one of what is due, on top of the current task. */
export function* deliver_pending(): Spins {
  const me = sched.current;
  if (!me) return;
  touch_everything();
  if (s.hard.length > 0) {
    const i = decide("irq", s.hard.length, (n) => s.hard[n]?.name ?? "?");
    const [irq] = s.hard.splice(i, 1);
    if (!irq) return;
    me.preempt_count += HARDIRQ_OFFSET;
    me.irqs_disabled = true;
    kcsan_enter_context();
    yield* irq.handler();
    kcsan_exit_context();
    me.irqs_disabled = false;
    me.preempt_count -= HARDIRQ_OFFSET;
    return;
  }
  const work = s.soft.shift();
  if (!work) return;
  me.preempt_count += SOFTIRQ_OFFSET;
  kcsan_enter_context();
  yield* work();
  kcsan_exit_context();
  me.preempt_count -= SOFTIRQ_OFFSET;
}
