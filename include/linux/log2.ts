// SPDX-License-Identifier: GPL-2.0-only
// dup: powers of two
/** The smallest power of two that is not below `n`; undefined for 0, as in C. */
export const roundup_pow_of_two = (n: number): number => 2 ** Math.ceil(Math.log2(n));
