// SPDX-License-Identifier: GPL-2.0-only
/** Control registers 6 (I/O-interruption subclasses) and 14 (machine checks), which all CPUs have alike. */
import { per_boot } from "../../boot.ts";

const s = per_boot(() => ({
  registers: new Map<number, number>(),
}));

/** The machine's interrupt controller: looks again at what it holds back. */
const controller = { changed: (): void => {} };

/** Sets bit `bit`, counted from the right. Any context. */
export function ctl_set_bit(cr: number, bit: number): void {
  s.registers.set(cr, ctl_store(cr) | (1 << bit));
  controller.changed();
}
export function ctl_clear_bit(cr: number, bit: number): void {
  s.registers.set(cr, ctl_store(cr) & ~(1 << bit));
}
export function ctl_store(cr: number): number {
  return s.registers.get(cr) ?? 0;
}
/** Calls `changed` whenever a bit was set. File scope. */
export function ctl_on_set(changed: () => void): void {
  controller.changed = changed;
}
