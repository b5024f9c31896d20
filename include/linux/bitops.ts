// SPDX-License-Identifier: GPL-2.0-only
// custom: single bits
export {
  __clear_bit,
  __set_bit,
  BITS_PER_LONG,
  BITS_TO_LONGS,
  clear_bit,
  find_first_bit,
  find_first_zero_bit,
  find_next_bit,
  find_next_zero_bit,
  for_each_set_bit,
  set_bit,
  test_and_clear_bit,
  test_and_set_bit,
  test_bit,
} from "../../kernel/lib/bitmap.ts";

export const BITS_PER_BYTE = 8;

/** For words of 32 bits; BIT_ULL() for longer ones. */
export function BIT(nr: number): number {
  return (1 << nr) >>> 0;
}
export function BIT_ULL(nr: number): bigint {
  return 1n << BigInt(nr);
}
/** Bits `h` down to `l`, both set. */
export function GENMASK(h: number, l: number): number {
  return 2 ** (h + 1) - 2 ** l;
}
export function GENMASK_ULL(h: number, l: number): bigint {
  return (1n << BigInt(h + 1)) - (1n << BigInt(l));
}
/** Number of the highest bit that is set, from 1 on; 0 for 0. */
export function fls(x: number): number {
  return 32 - Math.clz32(x);
}
/** Number of the lowest bit that is set, from 1 on; 0 for 0. */
export function ffs(x: number): number {
  return fls(x & -x);
}
/** As ffs(), from 0 on; not for 0. */
export function __ffs(x: number | bigint): number {
  let v = BigInt(x);
  let n = 0;
  while (v && !(v & 1n)) {
    v >>= 1n;
    n++;
  }
  return n;
}
export function fls64(x: bigint): number {
  return x === 0n ? 0 : x.toString(2).length;
}
export function ilog2(x: number | bigint): number {
  return BigInt(x).toString(2).length - 1;
}
export function is_power_of_2(n: number | bigint): boolean {
  const v = BigInt(n);
  return v !== 0n && (v & (v - 1n)) === 0n;
}
export function roundup_pow_of_two(n: number): number {
  return n <= 1 ? 1 : 2 ** (ilog2(n - 1) + 1);
}
export function rounddown_pow_of_two(n: number): number {
  return 2 ** ilog2(n);
}
export function hweight32(x: number): number {
  return [...(x >>> 0).toString(2)].filter((b) => b === "1").length;
}
export const hweight8 = (x: number): number => hweight32(x & 0xff);
export const hweight_long = (x: bigint): number => [...x.toString(2)].filter((b) => b === "1").length;
