// SPDX-License-Identifier: GPL-2.0-only
/** Switching interrupts and softirqs off and on. Switching them on is where the pending ones are taken. */
import { cond_resched, point, slow, take_point } from "../sched/core.ts";
import { current, SOFTIRQ_OFFSET } from "../sched/task.ts";
import { READY, type Spins } from "../sched/types.ts";
import { lockdep_hardirqs_on, lockdep_softirqs_on } from "./lockdep.ts";

export const SOFTIRQ_DISABLE_OFFSET = 2 * SOFTIRQ_OFFSET;

/** Any context. */
export function local_irq_disable(): void {
  current().irqs_disabled = true;
}

/** @return flags for local_irq_restore(): 1 if interrupts were off already, else 0. Any context. */
export function local_irq_save(): number {
  const t = current();
  const flags = Number(t.irqs_disabled);
  t.irqs_disabled = true;
  return flags;
}
export const irqs_disabled_flags = (flags: number): boolean => flags !== 0;

/** Interrupts are on from here on, but none is taken yet: the caller has to look for those that wait. */
export function irqs_on(): void {
  const t = current();
  if (!t.irqs_disabled) return;
  lockdep_hardirqs_on();
  t.irqs_disabled = false;
}

/** Takes what is pending at once. Any context but hard interrupts. */
export function local_irq_enable(): Spins {
  irqs_on();
  return point() ? slow("local_irq_enable", take_point()) : READY;
}
/** @flags: from local_irq_save() */
export function local_irq_restore(flags: number): Spins {
  if (!irqs_disabled_flags(flags)) irqs_on();
  return point() ? slow("local_irq_restore", take_point()) : READY;
}
export { local_irq_restore as raw_local_irq_restore, local_irq_save as raw_local_irq_save };

/** Softirqs wait until local_bh_enable(). */
export function local_bh_disable(): void {
  current().preempt_count += SOFTIRQ_DISABLE_OFFSET;
}
export function local_bh_enable(): Spins {
  const t = current();
  t.preempt_count -= SOFTIRQ_DISABLE_OFFSET;
  if (t.preempt_count < SOFTIRQ_OFFSET) lockdep_softirqs_on();
  return cond_resched();
}
export const in_softirq = (): boolean => (current().preempt_count & 0xff00) !== 0;
/** Runs a softirq, rather than only keeping them away. */
export const in_serving_softirq = (): boolean => (current().preempt_count & SOFTIRQ_OFFSET) !== 0;
