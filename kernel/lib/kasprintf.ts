// SPDX-License-Identifier: GPL-2.0-only
/** sprintf() into memory of its own. Source: lib/kasprintf.c */
import { string_memory } from "../mm/slab.ts";
import { type printf_arg, sprintf } from "./vsprintf.ts";
import type { gfp_t } from "../../include/linux/gfp_types.ts";

/** @return the formatted string, or NULL if there is no memory */
export function kvasprintf(gfp: gfp_t, fmt: string, args: readonly printf_arg[]): string | null {
  const text = sprintf(fmt, ...args);
  return string_memory(text.length, gfp) ? text : null;
}
export function kasprintf(gfp: gfp_t, fmt: string, ...args: readonly printf_arg[]): string | null {
  return kvasprintf(gfp, fmt, args);
}
/** A format without arguments may be used as it is. */
export function kvasprintf_const(gfp: gfp_t, fmt: string, args: readonly printf_arg[]): string | null {
  if (!fmt.includes("%")) return fmt;
  if (fmt === "%s" && typeof args[0] === "string") return args[0];
  return kvasprintf(gfp, fmt, args);
}
