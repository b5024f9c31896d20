// SPDX-License-Identifier: GPL-2.0-only
// custom: so many messages per interval of virtual time
import { int, opaque, struct, u32 } from "../../kernel/lib/struct.ts";
import { LOGLEVEL_WARNING, printk } from "../../kernel/printk.ts";
import { format_place, stack_trace } from "../../kernel/stacktrace.ts";
import { HZ, jiffies } from "../../kernel/time/clock.ts";

export const DEFAULT_RATELIMIT_INTERVAL = 5 * HZ;
export const DEFAULT_RATELIMIT_BURST = 10;
export const RATELIMIT_MSG_ON_RELEASE = 1;

export class ratelimit_state extends struct("ratelimit_state", {
  /** In jiffies; 0 limits nothing. */
  interval: int(),
  burst: int(),
  printed: int(),
  missed: int(),
  begin: opaque(() => 0),
  flags: u32(),
}) {}

export function ratelimit_state_init(rs: ratelimit_state, interval: number, burst: number): void {
  rs.interval = interval;
  rs.burst = burst;
  rs.printed = 0;
  rs.missed = 0;
  rs.begin = 0;
  rs.flags = 0;
}
/** A static state, initialised. */
export function DEFINE_RATELIMIT_STATE(interval: number, burst: number): ratelimit_state {
  const rs = new ratelimit_state();
  ratelimit_state_init(rs, interval, burst);
  return rs;
}

/**
 * Whether to go on and say it. @func: who asks, for the message about what was left out. @return 1 or 0. Any context.
 * Source: lib/ratelimit.c
 */
export function ___ratelimit(rs: ratelimit_state, func: () => string): number {
  if (!rs.interval) return 1;
  // 0 stands for "not begun", so the interval of somebody who asks in the very first jiffy begins anew with each of them.
  if (!rs.begin) rs.begin = jiffies();
  if (jiffies() > rs.begin + rs.interval) {
    if (rs.missed && !(rs.flags & RATELIMIT_MSG_ON_RELEASE)) {
      printk(LOGLEVEL_WARNING, "%s: %d callbacks suppressed\n", func(), rs.missed);
      rs.missed = 0;
    }
    rs.begin = jiffies();
    rs.printed = 0;
  }
  if (rs.burst && rs.burst > rs.printed) {
    rs.printed++;
    return 1;
  }
  rs.missed++;
  return 0;
}
/** ___ratelimit() in the name of the calling function. */
export function __ratelimit(rs: ratelimit_state): number {
  return ___ratelimit(rs, () => format_place(stack_trace()));
}
