// SPDX-License-Identifier: GPL-2.0-only
/** What the kernel knows against itself. Source: kernel/panic.c */
import { per_boot_books } from "./boot.ts";
import { debug_locks_off } from "./locking/debug_locks_off.ts";
import { LOGLEVEL_WARNING, printk } from "./printk.ts";

/** Release and version, as reports name them. */
export const UTS_IDENT = "6.1.0-rc1 #1";

export const TAINT_PROPRIETARY_MODULE = 0;
export const TAINT_FORCED_MODULE = 1;
export const TAINT_BAD_PAGE = 5;
export const TAINT_USER = 6;
export const TAINT_DIE = 7;
export const TAINT_WARN = 9;
export const TAINT_OOT_MODULE = 12;
export const TAINT_UNSIGNED_MODULE = 13;

export const LOCKDEP_STILL_OK = 0;
export const LOCKDEP_NOW_UNRELIABLE = 1;

/** Letter for each bit when it is set; the first one has a letter of its own when it is not. */
const LETTERS = "PFSRMBUDAWCIOELKXTN";

const s = per_boot_books(() => ({ mask: 0 }));

/** @flag: TAINT_*, @lockdep_ok: LOCKDEP_NOW_UNRELIABLE ends lock debugging. Any context. */
export function add_taint(flag: number, lockdep_ok: number): void {
  if (lockdep_ok === LOCKDEP_NOW_UNRELIABLE && debug_locks_off())
    printk(LOGLEVEL_WARNING, "Disabling lock debugging due to kernel taint\n");
  s.mask |= 1 << flag;
}
export function test_taint(flag: number): boolean {
  return (s.mask & (1 << flag)) !== 0;
}
/** "Not tainted", or the letters, as the head of an oops has them. */
export function print_tainted(): string {
  if (!s.mask) return "Not tainted";
  const letters = [...LETTERS].map((letter, bit) => (s.mask & (1 << bit) ? letter : bit === 0 ? "G" : " "));
  return `Tainted: ${letters.join("")}`;
}
