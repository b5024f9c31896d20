// SPDX-License-Identifier: GPL-2.0-only
// stub: there is no speculation to bound
/** @return the index if it is below `size`, else 0 */
export function array_index_nospec(index: number, size: number): number {
  return index >= 0 && index < size ? index : 0;
}
