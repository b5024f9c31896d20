// SPDX-License-Identifier: GPL-2.0-only
// dup: indirect data address lists
export const IDA_SIZE_LOG = 12;
export const IDA_BLOCK_SIZE = 1 << IDA_SIZE_LOG;

/** Words of an indirect-data-address list that `length` bytes from real address `vaddr` on need. */
export function idal_nr_words(vaddr: bigint, length: number): number {
  return Math.floor((Number(vaddr & BigInt(IDA_BLOCK_SIZE - 1)) + length + (IDA_BLOCK_SIZE - 1)) / IDA_BLOCK_SIZE);
}
