// SPDX-License-Identifier: GPL-2.0-only
/**
 * The orders in which classes of locks were taken, and the searches along them. Readers that let others of their kind in
 * past a writer who waits make an order weak; only ways that stay strong from end to end can deadlock.
 * Source: kernel/locking/lockdep.c, __bfs(), check_deadlock(), check_prev_add(), check_prevs_add()
 */
import type { held_lock, lock_class, lockdep_map, trace } from "./lockdep.ts";
import { save_trace } from "./lockdep.ts";
import { check_irq_usage } from "./lockdep_irq.ts";
import { print_circular_bug, print_deadlock_bug } from "./lockdep_report.ts";

/** Kinds of an order whose first lock is shared, SR and SN; and of one whose second does not recurse, SN and EN. */
const DEP_SHARED = 0b0101;
const DEP_NOT_RECURSIVE = 0b1100;

/** That one class was taken while another was held. */
export class lock_edge {
  /** In which ways: a bit for each kind, as seen forwards and as seen backwards. */
  dep = 0;
  depb = 0;
  /** Where it first was. */
  readonly trace: trace;
  constructor(trace: trace) {
    this.trace = trace;
  }
}
function calc_dep(prev: held_lock, next: held_lock): number {
  return 1 << (Number(prev.read === 0) | (Number(next.read !== 2) << 1));
}
function calc_depb(prev: held_lock, next: held_lock): number {
  return 1 << (Number(next.read !== 2) | (Number(prev.read === 0) << 1));
}

/** A class on the way from where a search began. */
export interface lock_list {
  readonly cls: lock_class;
  readonly parent: lock_list | null;
  readonly edge: lock_edge | null;
  /** So far only ways end here that nothing shared may follow. */
  only_xr: boolean;
  /** Where the order to the one before was made; of the root, set by who prints it. */
  trace: trace;
}
const no_trace: trace = () => [];
function root(h: held_lock, only_xr: boolean): lock_list {
  return { cls: h.cls, parent: null, edge: null, only_xr, trace: no_trace };
}
export const bfs_init_root = (h: held_lock): lock_list => root(h, h.read === 2);
export const bfs_init_rootb = (h: held_lock): lock_list => root(h, h.read !== 0);

/** The nearest class, the root included, for which `match` holds, along strong ways in one direction. */
export function bfs(from: lock_list, forwards: boolean, match: (entry: lock_list) => boolean): lock_list | null {
  const accessed = new Set<lock_class>();
  const queue = [from];
  for (const entry of queue) {
    const { cls, parent, edge } = entry;
    if (accessed.has(cls)) continue;
    // As in C before it is known whether the way is strong: a class that is first come to by a weak one is done with.
    accessed.add(cls);
    if (parent && edge) {
      const dep = (forwards ? edge.dep : edge.depb) & (parent.only_xr ? ~DEP_SHARED : ~0);
      if (!dep) continue;
      entry.only_xr = !(dep & DEP_NOT_RECURSIVE);
    }
    if (match(entry)) return entry;
    for (const [next, way] of forwards ? cls.locks_after : cls.locks_before)
      queue.push({ cls: next, parent: entry, edge: way, only_xr: false, trace: way.trace });
  }
  return null;
}

/** @return false if it spoke, "nested" if another lock serialises this one */
export function check_deadlock(
  held: readonly held_lock[],
  depth: number,
  next: held_lock,
  nest_lock: lockdep_map | null,
): boolean | "nested" {
  let nested = false;
  for (let i = 0; i < depth; i++) {
    const prev = held[i];
    if (!prev) break;
    if (nest_lock && prev.map === nest_lock) nested = true;
    if (prev.cls !== next.cls) continue;
    if (next.read === 2 && prev.read) continue;
    if (nested) return "nested";
    print_deadlock_bug(prev, next);
    return false;
  }
  return true;
}

/** Whether the order from `prev` to `next` makes no circle. Speaks if it does. */
function check_noncircular(next: held_lock, prev: held_lock): boolean {
  const target = bfs(
    bfs_init_root(next),
    true,
    (entry) => entry.cls === prev.cls && (prev.read === 0 || !entry.only_xr),
  );
  if (target) print_circular_bug(next, prev, target);
  return target === null;
}

function check_prev_add(prev: held_lock, next: held_lock): boolean {
  if (prev.cls === next.cls) return true;
  let edge = prev.cls.locks_after.get(next.cls);
  const dep = calc_dep(prev, next);
  if (edge && edge.dep & dep) return true;
  if (!check_noncircular(next, prev) || !check_irq_usage(prev, next)) return false;
  if (!edge) {
    edge = new lock_edge(save_trace());
    prev.cls.locks_after.set(next.cls, edge);
    next.cls.locks_before.set(prev.cls, edge);
  }
  edge.dep |= dep;
  edge.depb |= calc_depb(prev, next);
  return true;
}

/** Records the orders from the first `depth` of the held locks, as far as they concern `next`. @return false if it spoke */
export function check_prevs_add(held: readonly held_lock[], depth: number, next: held_lock): boolean {
  for (let i = depth - 1; i >= 0; i--) {
    const prev = held[i];
    if (!prev || prev.irq_context !== next.irq_context) break;
    if (!prev.check) continue;
    if (!check_prev_add(prev, next)) return false;
    // A lock that was waited for has brought the orders before it along.
    if (!prev.trylock) break;
  }
  return true;
}
