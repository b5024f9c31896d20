// SPDX-License-Identifier: GPL-2.0-only
// dup: multiplicative hashing
const GOLDEN_RATIO_32 = 0x61c88647;
const GOLDEN_RATIO_64 = 0x61c8864680b583ebn;

/** @bits: of the result. Any context. */
export function hash_32(val: number, bits: number): number {
  return Math.imul(val, GOLDEN_RATIO_32) >>> (32 - bits);
}
export function hash_64(val: bigint, bits: number): number {
  return Number(BigInt.asUintN(64, val * GOLDEN_RATIO_64) >> BigInt(64 - bits));
}
export const hash_long = hash_64;
