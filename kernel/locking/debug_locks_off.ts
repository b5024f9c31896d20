// SPDX-License-Identifier: GPL-2.0-only
/**
 * The switch that all lock debugging hangs on: the first report turns it off, as what comes after a broken lock is mostly noise, and so
 * does whatever else makes the kernel doubt itself. Source: lib/debug_locks.c
 */
import { per_boot_books } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { touch_named } from "../sched/footprint.ts";

export const debug_locks = per_boot_books(() => ({ on: checkers.on }));

/** Turns lock debugging off for the rest of the boot. @return whether it was on: only then may the caller speak */
export function debug_locks_off(): boolean {
  // Only the first to complain is heard.
  touch_named("debug_locks", true);
  const was = debug_locks.on;
  debug_locks.on = false;
  return was;
}
