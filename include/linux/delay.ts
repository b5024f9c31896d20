// SPDX-License-Identifier: GPL-2.0-only
// custom: delays on virtual time
import { might_sleep } from "../../kernel/sched/debug.ts";
import { msleep, msleep_interruptible } from "../../kernel/sched/timeout.ts";
import { udelay } from "../../kernel/time/clock.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";

export { msleep, msleep_interruptible, udelay };

/** Keeps the CPU busy for `ms` milliseconds. */
export const mdelay = (ms: number): void => udelay(ms * 1000);
export const ndelay = (ns: number): void => udelay(ns / 1000);

/** Sleeps for `seconds`. May sleep. */
export function ssleep(seconds: number): Sleeps {
  return msleep(seconds * 1000);
}
/** Sleeps for at least `min` microseconds; the wheel has a tick for its unit, as without high-resolution timers. May sleep. */
export function usleep_range(min: number, _max: number): Sleeps {
  might_sleep();
  return msleep(Math.ceil(min / 1000));
}
/** Sleeps for at least `usecs`. May sleep. */
export function fsleep(usecs: number): Sleeps {
  return usleep_range(usecs, 2 * usecs);
}
