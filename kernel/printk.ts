// SPDX-License-Identifier: GPL-2.0-only
/** The kernel log. */
import { per_boot_books } from "./boot.ts";
import { type printf_arg, sprintf } from "./lib/vsprintf.ts";
import { clock } from "./time/clock.ts";
import { traced } from "./trace/emitter.ts";
import { trace_console } from "./trace/events.ts";

export const LOGLEVEL_EMERG = 0;
export const LOGLEVEL_ERR = 3;
export const LOGLEVEL_WARNING = 4;
export const LOGLEVEL_NOTICE = 5;
export const LOGLEVEL_INFO = 6;
export const LOGLEVEL_DEBUG = 7;

export interface log_line {
  readonly level: number;
  /** Virtual nanoseconds since power-on. */
  readonly ns: number;
  readonly text: string;
}

const s = per_boot_books(() => ({
  lines: [] as log_line[],
}));

/** @return the log since power-on; do not change it */
export function kernel_log(): readonly log_line[] {
  return s.lines;
}

function emit(level: number, text: string): void {
  s.lines.push({ level, ns: clock.ns, text });
  if (traced.kernel) trace_console(level, text);
}

/** Logs formatted text, a line for each newline. Any context. */
export function printk(level: number, fmt: string, ...args: readonly printf_arg[]): void {
  const lines = sprintf(fmt, ...args).split("\n");
  // The newline ends the record; one that lacks it is a line of its own all the same.
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) emit(level, line);
}

export const pr_emerg = (fmt: string, ...args: readonly printf_arg[]): void => printk(LOGLEVEL_EMERG, fmt, ...args);
export const pr_err = (fmt: string, ...args: readonly printf_arg[]): void => printk(LOGLEVEL_ERR, fmt, ...args);
export const pr_warn = (fmt: string, ...args: readonly printf_arg[]): void => printk(LOGLEVEL_WARNING, fmt, ...args);
export const pr_notice = (fmt: string, ...args: readonly printf_arg[]): void => printk(LOGLEVEL_NOTICE, fmt, ...args);
export const pr_info = (fmt: string, ...args: readonly printf_arg[]): void => printk(LOGLEVEL_INFO, fmt, ...args);
/** Compiled out of a kernel without dynamic debug, as here: the arguments are evaluated and dropped. */
export const pr_debug = (_fmt: string, ..._args: readonly printf_arg[]): void => {};
