// SPDX-License-Identifier: GPL-2.0-only
/** The XArray: pointers by unsigned long. Source: lib/xarray.c */
import { wild_pointer } from "./err_ptr.ts";
import { xas_node } from "./radix_nodes.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { embed, opaque, struct, u32 } from "./struct.ts";
import {
  spin_lock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  spinlock_t,
} from "../../include/linux/spinlock.ts";
import type { Spins } from "../sched/types.ts";
import { EBUSY, ENOMEM } from "../../include/linux/errno.ts";
import type { gfp_t } from "../../include/linux/gfp_types.ts";

class xarray_base extends struct("xarray", {
  xa_lock: embed(() => spinlock_t),
  xa_flags: u32(),
  $entries: opaque<Map<bigint, object>>(() => new Map<bigint, object>()),
}) {}
export class xarray extends xarray_base {}

/** What an entry lies under: a number, or the address of something (`addr_of()`). */
export type xa_index = number | bigint;

const error_entries = new Map<number, object>();
const error_of = new WeakMap<object, number>();

/** An internal entry that carries an error. Not an ERR_PTR(). */
function XA_ERROR(errno: number): object {
  let entry = error_entries.get(errno);
  if (!entry) {
    entry = wild_pointer<object>(BigInt.asUintN(64, (BigInt(errno) << 2n) | 2n), "XA_ERROR");
    error_entries.set(errno, entry);
    error_of.set(entry, errno);
  }
  return entry;
}
export function xa_is_err(entry: unknown): boolean {
  return typeof entry === "object" && entry !== null && error_of.has(entry);
}
/** @return the negative errno, or 0 */
export function xa_err(entry: unknown): number {
  return typeof entry === "object" && entry !== null ? (error_of.get(entry) ?? 0) : 0;
}

export function xa_init(xa: xarray): void {
  xa_init_flags(xa, 0);
}
export function xa_init_flags(xa: xarray, flags: number): void {
  spin_lock_init(xa.xa_lock);
  xa.xa_flags = flags;
  xa.$entries = new Map();
}
/** An empty XArray: static. */
export function DEFINE_XARRAY(): xarray {
  const xa = new xarray();
  xa_init(xa);
  return xa;
}

export function xa_lock(xa: xarray): Spins {
  return spin_lock(xa.xa_lock);
}
export function xa_unlock(xa: xarray): void {
  spin_unlock(xa.xa_lock);
}
/** @return flags for xa_unlock_irqrestore() */
export function xa_lock_irqsave(xa: xarray): ReturnType<typeof spin_lock_irqsave> {
  return spin_lock_irqsave(xa.xa_lock);
}
export function xa_unlock_irqrestore(xa: xarray, flags: Parameters<typeof spin_unlock_irqrestore>[1]): Spins {
  return spin_unlock_irqrestore(xa.xa_lock, flags);
}

export function xa_empty(xa: xarray): boolean {
  return xa.$entries.size === 0;
}
/** @return the entry, or NULL */
export function xa_load<T extends object>(xa: xarray, index: xa_index): T | null {
  kcsan_acquire(xa);
  return (xa.$entries.get(BigInt(index)) ?? null) as T | null; // what it holds is the caller's business, as with void *
}

/** Stores with the lock held. @return what was there, or an error entry */
export function __xa_store<T extends object>(xa: xarray, index: xa_index, entry: T | null, gfp: gfp_t): T | null {
  const at = BigInt(index);
  const old = xa_load<T>(xa, at);
  if (entry === null) xa.$entries.delete(at);
  else if (!xas_node(xa.$entries, at, gfp)) return XA_ERROR(-ENOMEM) as T;
  else xa.$entries.set(at, entry);
  // Readers without the lock see what they find there as it was when it was stored.
  kcsan_release(xa);
  return old;
}
export function __xa_erase<T extends object>(xa: xarray, index: xa_index): T | null {
  return __xa_store<T>(xa, index, null, 0);
}
/** Stores `entry` if `old` is there. @return what was there, or an error entry */
export function __xa_cmpxchg<T extends object>(
  xa: xarray,
  index: xa_index,
  old: T | null,
  entry: T | null,
  gfp: gfp_t,
): T | null {
  const curr = xa_load<T>(xa, index);
  if (curr !== old) return curr;
  const stored = __xa_store(xa, index, entry, gfp);
  return xa_is_err(stored) ? stored : curr;
}
/** @return 0, -EBUSY if something is there, -ENOMEM */
export function __xa_insert(xa: xarray, index: xa_index, entry: object, gfp: gfp_t): number {
  if (xa_load(xa, index)) return -EBUSY;
  return xa_err(__xa_store(xa, index, entry, gfp));
}
/** The lowest free index in the range goes to `id.value`, even if nothing can be stored there. @return 0, -EBUSY if there is none, -ENOMEM */
export function __xa_alloc(
  xa: xarray,
  id: { value: number },
  entry: object,
  limit: { readonly min: number; readonly max: number },
  gfp: gfp_t,
): number {
  for (let i = limit.min; i <= limit.max; i++) {
    if (xa.$entries.has(BigInt(i))) continue;
    id.value = i;
    return xa_err(__xa_store(xa, i, entry, gfp));
  }
  return -EBUSY;
}

/** As those above, and take the lock. */
export function* xa_store<T extends object>(xa: xarray, index: xa_index, entry: T | null, gfp: gfp_t): Spins<T | null> {
  yield* xa_lock(xa);
  const curr = __xa_store(xa, index, entry, gfp);
  xa_unlock(xa);
  return curr;
}
export function* xa_erase<T extends object>(xa: xarray, index: xa_index): Spins<T | null> {
  yield* xa_lock(xa);
  const entry = __xa_erase<T>(xa, index);
  xa_unlock(xa);
  return entry;
}
export function* xa_cmpxchg<T extends object>(
  xa: xarray,
  index: xa_index,
  old: T | null,
  entry: T | null,
  gfp: gfp_t,
): Spins<T | null> {
  yield* xa_lock(xa);
  const curr = __xa_cmpxchg(xa, index, old, entry, gfp);
  xa_unlock(xa);
  return curr;
}
export function* xa_insert(xa: xarray, index: xa_index, entry: object, gfp: gfp_t): Spins<number> {
  yield* xa_lock(xa);
  const error = __xa_insert(xa, index, entry, gfp);
  xa_unlock(xa);
  return error;
}
export function* xa_alloc(
  xa: xarray,
  id: { value: number },
  entry: object,
  limit: { readonly min: number; readonly max: number },
  gfp: gfp_t,
): Spins<number> {
  yield* xa_lock(xa);
  const error = __xa_alloc(xa, id, entry, limit, gfp);
  xa_unlock(xa);
  return error;
}
export const xa_limit_32b = { min: 0, max: 0xffff_ffff };
export const xa_limit_31b = { min: 0, max: 0x7fff_ffff };

/** Empties the array; what it points to is the caller's. */
export function* xa_destroy(xa: xarray): Spins {
  const flags = yield* xa_lock_irqsave(xa);
  xa.$entries.clear();
  yield* xa_unlock_irqrestore(xa, flags);
}

/** Next entry at `from` or above. */
function next_at(entries: ReadonlyMap<bigint, object>, from: bigint): bigint | null {
  let best: bigint | null = null;
  for (const at of entries.keys()) if (at >= from && (best === null || at < best)) best = at;
  return best;
}
/** `[index, entry]` in order of index; entries may come and go while the body runs. */
export function* xa_for_each<T extends object>(xa: xarray): IterableIterator<[bigint, T]> {
  for (let at = next_at(xa.$entries, 0n); at !== null; at = next_at(xa.$entries, at + 1n)) {
    const entry = xa_load<T>(xa, at);
    if (entry) yield [at, entry];
  }
}
