// SPDX-License-Identifier: GPL-2.0-only
/** The log of vfio_ap. Port of drivers/s390/crypto/vfio_ap_debug.h. */
import { debug_sprintf_event } from "#asm/debug.ts";
import type { printf_arg } from "#linux/printk.ts";
import { vfio_ap } from "./vfio_ap_drv.ts";

export const DBF_ERR = 3;
export const DBF_WARN = 4;
export const DBF_INFO = 5;
export const DBF_DEBUG = 6;
export const DBF_MAX_SPRINTF_ARGS = 10;

export function VFIO_AP_DBF_WARN(fmt: string, ...args: readonly printf_arg[]): void {
  debug_sprintf_event(vfio_ap.vfio_ap_dbf_info, DBF_WARN, fmt, ...args);
}
