// SPDX-License-Identifier: GPL-2.0-only
// custom: what everybody uses
import { layout_of, type struct_array } from "../../kernel/lib/struct.ts";

export * from "./printk.ts";
export * from "./bug.ts";
export * from "./minmax.ts";
export * from "./align.ts";
export * from "./limits.ts";
export { container_of } from "../../kernel/lib/struct.ts";
export { scnprintf, snprintf } from "../../kernel/lib/snprintf.ts";
export {
  kstrtobool,
  kstrtoint,
  kstrtol,
  kstrtoll,
  kstrtos64,
  kstrtou16,
  kstrtou32,
  kstrtou64,
  kstrtou8,
  kstrtouint,
  kstrtoul,
  kstrtoull,
  type parsed,
  simple_strtoul,
  sscanf,
} from "../../kernel/lib/kstrtox.ts";
export { might_sleep } from "../../kernel/sched/debug.ts";
export {
  add_taint,
  LOCKDEP_NOW_UNRELIABLE,
  LOCKDEP_STILL_OK,
  TAINT_OOT_MODULE,
  TAINT_USER,
  TAINT_WARN,
  test_taint,
} from "../../kernel/taint.ts";

export function ARRAY_SIZE(a: readonly unknown[] | struct_array<unknown>): number {
  return a.length;
}
/** @return ceil(n / d) */
export function DIV_ROUND_UP(n: number, d: number): number {
  return Math.ceil(n / d);
}
export function roundup(x: number, y: number): number {
  return Math.ceil(x / y) * y;
}
export function rounddown(x: number, y: number): number {
  return Math.floor(x / y) * y;
}
export function round_up(x: number, y: number): number {
  return roundup(x, y);
}
export function round_down(x: number, y: number): number {
  return rounddown(x, y);
}
export function upper_32_bits(n: bigint): number {
  return Number(BigInt.asUintN(32, n >> 32n));
}
export function lower_32_bits(n: bigint): number {
  return Number(BigInt.asUintN(32, n));
}
/** Bytes of a struct with `n` elements of `element` at its end. */
export function struct_size(of: new () => object, n: number, element: number): number {
  return (layout_of(of)?.size() ?? 0) + n * element;
}
/** Name of the function that a pointer points to, as %ps prints it. */
export function symbol_name(fn: ((...args: never[]) => unknown) | null): string {
  return fn?.name ?? "0x0";
}
