// SPDX-License-Identifier: GPL-2.0-only
// custom: atomic integers; nothing can come between, as no function here is a scheduling point
import { kcsan, kcsan_acquire, kcsan_full, kcsan_release } from "../../kernel/kcsan/order.ts";
import { int, s64, struct } from "../../kernel/lib/struct.ts";

export class atomic_t extends struct("atomic_t", { counter: int() }) {}
export class atomic64_t extends struct("atomic64_t", { counter: s64() }) {}
export { atomic64_t as atomic_long_t };

/** An initialised atomic_t. */
export function ATOMIC_INIT(i: number): atomic_t {
  const v = new atomic_t();
  v.counter = i;
  return v;
}
export const atomic_read = (v: atomic_t): number => v.counter;
export const atomic_read_acquire = (v: atomic_t): number => {
  const i = v.counter;
  if (kcsan.on) kcsan_acquire(v);
  return i;
};
export const atomic_set = (v: atomic_t, i: number): void => {
  v.counter = i;
};
export const atomic_set_release = (v: atomic_t, i: number): void => {
  v.counter = i;
  if (kcsan.on) kcsan_release(v);
};
const relaxed_add = (i: number, v: atomic_t): number => (v.counter += i) | 0;
/** What gives a value orders like smp_mb() on both sides, what gives none orders nothing. Source: Documentation/atomic_t.txt */
const ordered = <T>(v: object, result: T): T => {
  if (kcsan.on) kcsan_full(v);
  return result;
};
export const atomic_add_return = (i: number, v: atomic_t): number => ordered(v, relaxed_add(i, v));
export const atomic_sub_return = (i: number, v: atomic_t): number => atomic_add_return(-i, v);
export const atomic_add = (i: number, v: atomic_t): void => void relaxed_add(i, v);
export const atomic_sub = (i: number, v: atomic_t): void => void atomic_add_return(-i, v);
export const atomic_inc = (v: atomic_t): void => void relaxed_add(1, v);
export const atomic_dec = (v: atomic_t): void => void relaxed_add(-1, v);
export const atomic_inc_return = (v: atomic_t): number => atomic_add_return(1, v);
export const atomic_dec_return = (v: atomic_t): number => atomic_add_return(-1, v);
export const atomic_inc_and_test = (v: atomic_t): boolean => atomic_add_return(1, v) === 0;
export const atomic_dec_and_test = (v: atomic_t): boolean => atomic_add_return(-1, v) === 0;
export const atomic_sub_and_test = (i: number, v: atomic_t): boolean => atomic_add_return(-i, v) === 0;
export const atomic_fetch_add_relaxed = (i: number, v: atomic_t): number => (relaxed_add(i, v) - i) | 0;
/** @return the value before */
export const atomic_fetch_add = (i: number, v: atomic_t): number => (atomic_add_return(i, v) - i) | 0;
export const atomic_fetch_sub = (i: number, v: atomic_t): number => atomic_fetch_add(-i, v);
export const atomic_fetch_inc = (v: atomic_t): number => atomic_fetch_add(1, v);
export const atomic_xchg = (v: atomic_t, i: number): number => {
  const old = v.counter;
  v.counter = i;
  return ordered(v, old);
};
/** Stores `new_` if the value is `old`. @return the value before */
export const atomic_cmpxchg = (v: atomic_t, old: number, new_: number): number => {
  const was = v.counter;
  if (was !== old) return was;
  v.counter = new_;
  return ordered(v, was);
};
/** Stores `new_` if the value is `old.value`; else `old.value` becomes the value. @return whether it did */
export const atomic_try_cmpxchg = (v: atomic_t, old: { value: number }, new_: number): boolean => {
  const was = atomic_cmpxchg(v, old.value, new_);
  const did = was === old.value;
  old.value = was;
  return did;
};
/** Adds `a` unless the value is `u`. @return whether it did */
export const atomic_add_unless = (v: atomic_t, a: number, u: number): boolean => {
  const was = v.counter;
  if (was === u) return false;
  v.counter = was + a;
  return ordered(v, true);
};
export const atomic_inc_not_zero = (v: atomic_t): boolean => atomic_add_unless(v, 1, 0);
/** Decrements a value that is above 0. @return the decremented value, stored or not */
export const atomic_dec_if_positive = (v: atomic_t): number => {
  const dec = (v.counter - 1) | 0;
  if (dec < 0) return dec;
  v.counter = dec;
  return ordered(v, dec);
};

export const atomic64_read = (v: atomic64_t): bigint => v.counter;
export const atomic64_set = (v: atomic64_t, i: bigint): void => {
  v.counter = i;
};
const relaxed64_add = (i: bigint, v: atomic64_t): bigint => {
  v.counter += i;
  return v.counter;
};
export const atomic64_add_return = (i: bigint, v: atomic64_t): bigint => ordered(v, relaxed64_add(i, v));
export const atomic64_add = (i: bigint, v: atomic64_t): void => void relaxed64_add(i, v);
export const atomic64_sub = (i: bigint, v: atomic64_t): void => void relaxed64_add(-i, v);
export const atomic64_inc = (v: atomic64_t): void => void relaxed64_add(1n, v);
export const atomic64_dec = (v: atomic64_t): void => void relaxed64_add(-1n, v);
export const atomic64_inc_return = (v: atomic64_t): bigint => atomic64_add_return(1n, v);
export const atomic64_dec_return = (v: atomic64_t): bigint => atomic64_add_return(-1n, v);
export const atomic64_dec_and_test = (v: atomic64_t): boolean => atomic64_add_return(-1n, v) === 0n;
export {
  atomic64_add as atomic_long_add,
  atomic64_dec as atomic_long_dec,
  atomic64_inc as atomic_long_inc,
  atomic64_read as atomic_long_read,
  atomic64_set as atomic_long_set,
  atomic64_sub as atomic_long_sub,
};
