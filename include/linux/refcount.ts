// SPDX-License-Identifier: GPL-2.0-only
// dup: reference counters that saturate
import { kcsan, kcsan_acquire, kcsan_release } from "../../kernel/kcsan/order.ts";
import { embed, struct } from "../../kernel/lib/struct.ts";
import { refcount_warn_saturate } from "../../kernel/lib/refcount.ts";
import { atomic_fetch_add_relaxed, atomic_read, atomic_set, atomic_t } from "./atomic.ts";
import { traced } from "../../kernel/trace/emitter.ts";
import { trace_refcount } from "../../kernel/trace/events.ts";

export class refcount_struct extends struct("refcount_struct", { refs: embed(() => atomic_t) }) {}
export { refcount_struct as refcount_t };

export const REFCOUNT_MAX = 0x7fff_ffff;
export const REFCOUNT_SATURATED = -0x4000_0000;

export const REFCOUNT_ADD_NOT_ZERO_OVF = 0;
export const REFCOUNT_ADD_OVF = 1;
export const REFCOUNT_ADD_UAF = 2;
export const REFCOUNT_SUB_UAF = 3;
export const REFCOUNT_DEC_LEAK = 4;

/** A counter that begins with `n`: static, or on the stack. */
export function REFCOUNT_INIT(n: number): refcount_struct {
  const r = new refcount_struct();
  refcount_set(r, n);
  return r;
}
export function refcount_set(r: refcount_struct, n: number): void {
  atomic_set(r.refs, n);
}
export function refcount_read(r: refcount_struct): number {
  return atomic_read(r.refs) >>> 0;
}
/** @return whether it was not 0, and so has been added to */
export function refcount_add_not_zero(i: number, r: refcount_struct): boolean {
  const old = atomic_read(r.refs);
  if (old) atomic_fetch_add_relaxed(i, r.refs);
  if (traced.kernel && old) trace_refcount(r, i, old + i);
  if (old < 0 || ((old + i) | 0) < 0) refcount_warn_saturate(r, REFCOUNT_ADD_NOT_ZERO_OVF);
  return old !== 0;
}
export function refcount_add(i: number, r: refcount_struct): void {
  const old = atomic_fetch_add_relaxed(i, r.refs);
  if (traced.kernel) trace_refcount(r, i, old + i);
  if (!old) refcount_warn_saturate(r, REFCOUNT_ADD_UAF);
  else if (old < 0 || ((old + i) | 0) < 0) refcount_warn_saturate(r, REFCOUNT_ADD_OVF);
}
export function refcount_inc_not_zero(r: refcount_struct): boolean {
  return refcount_add_not_zero(1, r);
}
export function refcount_inc(r: refcount_struct): void {
  refcount_add(1, r);
}
/** @return whether it is 0 now */
export function refcount_sub_and_test(i: number, r: refcount_struct): boolean {
  const old = atomic_fetch_add_relaxed(-i, r.refs);
  if (traced.kernel) trace_refcount(r, -i, old - i);
  if (kcsan.on) kcsan_release(r);
  if (old === i) {
    if (kcsan.on) kcsan_acquire(r);
    return true;
  }
  if (old < 0 || ((old - i) | 0) < 0) refcount_warn_saturate(r, REFCOUNT_SUB_UAF);
  return false;
}
export function refcount_dec_and_test(r: refcount_struct): boolean {
  return refcount_sub_and_test(1, r);
}
/** For who knows that it is not the last one. */
export function refcount_dec(r: refcount_struct): void {
  const old = atomic_fetch_add_relaxed(-1, r.refs);
  if (traced.kernel) trace_refcount(r, -1, old - 1);
  if (kcsan.on) kcsan_release(r);
  if (old <= 1) refcount_warn_saturate(r, REFCOUNT_DEC_LEAK);
}
export {
  refcount_dec_and_lock,
  refcount_dec_and_lock_irqsave,
  refcount_dec_and_mutex_lock,
  refcount_dec_if_one,
  refcount_dec_not_one,
  refcount_warn_saturate,
} from "../../kernel/lib/refcount.ts";
