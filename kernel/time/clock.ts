// SPDX-License-Identifier: GPL-2.0-only
/** Virtual time. It stands still while anybody can run, and jumps to the next timer when nobody can. */
import { per_boot_books } from "../boot.ts";
import { touch_everything } from "../sched/footprint.ts";

/** Ticks per second, as on s390. */
export const HZ = 100;
export const NSEC_PER_SEC = 1_000_000_000;
export const NSEC_PER_JIFFY = NSEC_PER_SEC / HZ;
export const MAX_SCHEDULE_TIMEOUT = Number.MAX_SAFE_INTEGER;

export const clock = per_boot_books(() => ({
  /** Nanoseconds since power-on. */
  ns: 0,
}));

export function jiffies(): number {
  return Math.floor(clock.ns / NSEC_PER_JIFFY);
}
export function msecs_to_jiffies(ms: number): number {
  return Math.ceil((ms * HZ) / 1000);
}
export function jiffies_to_msecs(j: number): number {
  return (j * 1000) / HZ;
}
export function usecs_to_jiffies(us: number): number {
  return Math.ceil((us * HZ) / 1_000_000);
}
export function ktime_get_ns(): number {
  return clock.ns;
}
/** Keeps the CPU busy for `us` microseconds. */
export function udelay(us: number): void {
  touch_everything();
  clock.ns += us * 1000;
}
