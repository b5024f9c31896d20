// SPDX-License-Identifier: GPL-2.0-only
/**
 * Orders between locks that interrupts take and locks that are held with interrupts on, through any number of classes.
 * Source: kernel/locking/lockdep.c, check_irq_usage(), check_usage_forwards(), check_usage_backwards()
 */
import type { held_lock } from "./lockdep.ts";
import { bfs, bfs_init_root, bfs_init_rootb, type lock_list } from "./lockdep_graph.ts";
import { print_bad_irq_dependency, print_irq_inversion_bug } from "./lockdep_irq_report.ts";

/** Every second pair of bits: used in an interrupt, and held with it on. */
const USED_IN_ALL = 0x33;
const ENABLED_ALL = 0xcc;
const WRITE_BITS = 0x55;
const READ_BITS = 0xaa;

function invert_dir_mask(mask: number): number {
  return ((mask & ENABLED_ALL) >> 2) | ((mask & USED_IN_ALL) << 2);
}
/** All usages that do not go together with one of `mask`: a reader of either side is enough. */
function exclusive_mask(mask: number): number {
  const excl = invert_dir_mask(mask);
  return excl | ((excl & READ_BITS) >> 1) | ((excl & WRITE_BITS) << 1);
}

/** What of its usages counts for the way that leads to it. */
function usage_on(entry: lock_list): number {
  return entry.only_xr ? entry.cls.usage_mask & WRITE_BITS : entry.cls.usage_mask;
}

/** The order from `prev` to `next` is about to be recorded. @return false if it spoke */
export function check_irq_usage(prev: held_lock, next: held_lock): boolean {
  let usage_mask = 0;
  const before = bfs_init_rootb(prev);
  bfs(before, false, (entry) => {
    usage_mask |= usage_on(entry);
    return false;
  });
  usage_mask &= USED_IN_ALL;
  if (!usage_mask) return true;
  const forward_mask = exclusive_mask(usage_mask);
  const unsafe = bfs(bfs_init_root(next), true, (entry) => (usage_on(entry) & forward_mask) !== 0);
  if (!unsafe) return true;
  const backward_mask = exclusive_mask(unsafe.cls.usage_mask & ENABLED_ALL);
  const safe = bfs(before, false, (entry) => (usage_on(entry) & backward_mask) !== 0);
  if (!safe) return true;
  for (let bit = 0; bit < 8; bit++) {
    const against = exclusive_mask(1 << bit) & unsafe.cls.usage_mask;
    if (!(safe.cls.usage_mask & (1 << bit)) || !against) continue;
    print_bad_irq_dependency(prev, next, safe, unsafe, bit, 31 - Math.clz32(against & -against));
    return false;
  }
  return true;
}

/**
 * `h` has just been seen to be used in the way of `new_bit`. @excl_bit: of exclusive usages, the one that does not go
 * together with it. @return false if it spoke
 */
export function check_usage_of_others(h: held_lock, new_bit: number, excl_bit: number): boolean {
  const mask = (1 << excl_bit) | (2 << excl_bit);
  // Held with interrupts on: nobody that an interrupt takes may have come before. And the other way round.
  const ahead = !((1 << new_bit) & ENABLED_ALL);
  const other = bfs(ahead ? bfs_init_root(h) : bfs_init_rootb(h), ahead, (entry) => (usage_on(entry) & mask) !== 0);
  if (!other) return true;
  print_irq_inversion_bug(h, other, ahead, other.cls.usage_mask & (1 << excl_bit) ? excl_bit : excl_bit + 1);
  return false;
}
