// SPDX-License-Identifier: GPL-2.0-only
// custom: bits counted from the most significant one, as the s390 architecture does it
import { BITS_PER_LONG, type bitmap, clear_bit, find_next_bit, set_bit, test_bit } from "../../kernel/lib/bitmap.ts";

const inverted = (nr: number): number => nr ^ (BITS_PER_LONG - 1);

export function set_bit_inv(nr: number, map: bitmap): void {
  set_bit(inverted(nr), map);
}
export function clear_bit_inv(nr: number, map: bitmap): void {
  clear_bit(inverted(nr), map);
}
export function test_bit_inv(nr: number, map: bitmap): boolean {
  return test_bit(inverted(nr), map);
}
/** First bit at `from` or above that is set; `size` if there is none. Source: arch/s390/lib/find.c */
export function find_next_bit_inv(map: bitmap, size: number, from: number): number {
  for (let nr = from; nr < size; nr++) {
    const bit = inverted(nr);
    if (find_next_bit(map, bit + 1, bit) === bit) return nr;
  }
  return size;
}
export const find_first_bit_inv = (map: bitmap, size: number): number => find_next_bit_inv(map, size, 0);

/** Numbers of the bits that are set, each looked for after the body has run. */
export function* for_each_set_bit_inv(map: bitmap, size: number): IterableIterator<number> {
  for (let nr = find_next_bit_inv(map, size, 0); nr < size; nr = find_next_bit_inv(map, size, nr + 1)) yield nr;
}
