// SPDX-License-Identifier: GPL-2.0-only
/** The log of the AP bus. Port of drivers/s390/crypto/ap_debug.h. */
import { debug_sprintf_event } from "#asm/debug.ts";
import type { printf_arg } from "#linux/printk.ts";
import { ap_bus } from "./ap_bus.ts";

export const DBF_ERR = 3;
export const DBF_WARN = 4;
export const DBF_INFO = 5;
export const DBF_DEBUG = 6;
export const DBF_MAX_SPRINTF_ARGS = 6;

export function AP_DBF_WARN(fmt: string, ...args: readonly printf_arg[]): void {
  debug_sprintf_event(ap_bus.ap_dbf_info, DBF_WARN, fmt, ...args);
}
export function AP_DBF_INFO(fmt: string, ...args: readonly printf_arg[]): void {
  debug_sprintf_event(ap_bus.ap_dbf_info, DBF_INFO, fmt, ...args);
}
export function AP_DBF_DBG(fmt: string, ...args: readonly printf_arg[]): void {
  debug_sprintf_event(ap_bus.ap_dbf_info, DBF_DEBUG, fmt, ...args);
}
