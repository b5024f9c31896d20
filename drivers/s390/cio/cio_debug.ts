// SPDX-License-Identifier: GPL-2.0-only
/** The three logs of common I/O. Port of drivers/s390/cio/cio_debug.h. */
import { debug_event, debug_sprintf_event, debug_text_event } from "#asm/debug.ts";
import type { byte_memory } from "#linux/types.ts";
import { cio_globals } from "./cio.ts";

type printf_args = readonly (string | number | bigint | boolean | object | null)[];

export function CIO_TRACE_EVENT(imp: number, txt: string | null): void {
  debug_text_event(cio_globals.cio_debug_trace_id, imp, txt);
}
export function CIO_MSG_EVENT(imp: number, fmt: string, ...args: printf_args): void {
  debug_sprintf_event(cio_globals.cio_debug_msg_id, imp, fmt, ...args);
}
export function CIO_CRW_EVENT(imp: number, fmt: string, ...args: printf_args): void {
  debug_sprintf_event(cio_globals.cio_debug_crw_id, imp, fmt, ...args);
}
export function CIO_HEX_EVENT(level: number, data: byte_memory | number, length: number): void {
  debug_event(cio_globals.cio_debug_trace_id, level, data, length);
}
