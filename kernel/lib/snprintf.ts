// SPDX-License-Identifier: GPL-2.0-only
/** Printing into byte memory. Source: lib/vsprintf.c */
import type { byte_memory } from "./bytestruct.ts";
import { strscpy } from "./string.ts";
import { type printf_arg, sprintf } from "./vsprintf.ts";

/** Prints at most `size` bytes, the NUL included. @return length that the whole text has */
export function snprintf(buf: byte_memory, size: number, fmt: string, ...args: readonly printf_arg[]): number {
  const text = sprintf(fmt, ...args);
  if (size > 0) strscpy(buf, text, size);
  return text.length;
}
/** @return length of what was printed */
export function scnprintf(buf: byte_memory, size: number, fmt: string, ...args: readonly printf_arg[]): number {
  return Math.min(snprintf(buf, size, fmt, ...args), Math.max(0, size - 1));
}
