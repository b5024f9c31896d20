// SPDX-License-Identifier: GPL-2.0-only
/** Messages that come once in a boot, for each place, and the levels that few use. Source: include/linux/printk.h */
import { per_boot_books } from "./boot.ts";
import type { printf_arg } from "./lib/vsprintf.ts";
import { LOGLEVEL_ERR, LOGLEVEL_INFO, LOGLEVEL_NOTICE, LOGLEVEL_WARNING, printk } from "./printk.ts";
import { format_place, stack_trace } from "./stacktrace.ts";

const s = per_boot_books(() => ({ said: new Set<string>() }));

function once(level: number, fmt: string, args: readonly printf_arg[]): void {
  const key = `${format_place(stack_trace())} ${fmt}`;
  if (s.said.has(key)) return;
  s.said.add(key);
  printk(level, fmt, ...args);
}
export const pr_err_once = (fmt: string, ...args: readonly printf_arg[]): void => once(LOGLEVEL_ERR, fmt, args);
export const pr_warn_once = (fmt: string, ...args: readonly printf_arg[]): void => once(LOGLEVEL_WARNING, fmt, args);
export const pr_notice_once = (fmt: string, ...args: readonly printf_arg[]): void => once(LOGLEVEL_NOTICE, fmt, args);
export const pr_info_once = (fmt: string, ...args: readonly printf_arg[]): void => once(LOGLEVEL_INFO, fmt, args);
export const pr_alert = (fmt: string, ...args: readonly printf_arg[]): void => printk(1, fmt, ...args);
export const pr_crit = (fmt: string, ...args: readonly printf_arg[]): void => printk(2, fmt, ...args);
