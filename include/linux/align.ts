// SPDX-License-Identifier: GPL-2.0-only
// dup: rounding to powers of two
/** @to: a power of two */
export function ALIGN<T extends number | bigint>(x: T, to: T): T;
export function ALIGN(x: number | bigint, to: number | bigint): number | bigint {
  if (typeof x === "number" && typeof to === "number") return Math.ceil(x / to) * to;
  const [v, unit] = [BigInt(x), BigInt(to)];
  return ((v + unit - 1n) / unit) * unit;
}
export function ALIGN_DOWN<T extends number | bigint>(x: T, to: T): T;
export function ALIGN_DOWN(x: number | bigint, to: number | bigint): number | bigint {
  if (typeof x === "number" && typeof to === "number") return Math.floor(x / to) * to;
  return (BigInt(x) / BigInt(to)) * BigInt(to);
}
export function IS_ALIGNED(x: number | bigint, to: number | bigint): boolean {
  return BigInt(x) % BigInt(to) === 0n;
}
