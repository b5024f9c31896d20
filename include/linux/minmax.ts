// SPDX-License-Identifier: GPL-2.0-only
// dup: smaller and larger
export function min<T extends number | bigint>(a: T, b: T): T {
  return a < b ? a : b;
}
export function max<T extends number | bigint>(a: T, b: T): T {
  return a > b ? a : b;
}
export const min3 = <T extends number | bigint>(a: T, b: T, c: T): T => min(min(a, b), c);
export const max3 = <T extends number | bigint>(a: T, b: T, c: T): T => max(max(a, b), c);
/** min() of two values that are not 0. */
export function min_not_zero<T extends number | bigint>(a: T, b: T): T {
  return !a ? b : !b ? a : min(a, b);
}
export function clamp<T extends number | bigint>(v: T, lo: T, hi: T): T {
  return min(max(v, lo), hi);
}
/** The type is in the arguments: min_t(u32, a, b) is min_t(a, b). */
export const min_t = min;
export const max_t = max;
export const clamp_t = clamp;
