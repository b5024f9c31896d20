// SPDX-License-Identifier: GPL-2.0-only
// dup: reference counting of objects
import { embed, struct } from "../../kernel/lib/struct.ts";
import { either } from "../../kernel/sched/either.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import type { mutex } from "./mutex.ts";
import {
  refcount_dec_and_mutex_lock,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_read,
  refcount_set,
  refcount_struct,
} from "./refcount.ts";

export class kref extends struct("kref", { refcount: embed(() => refcount_struct) }) {}

/** Frees the object that the kref is in. */
export type kref_release = (kref: kref) => Sleeps | void;

export function kref_init(kref: kref): void {
  refcount_set(kref.refcount, 1);
}
export function kref_read(kref: kref): number {
  return refcount_read(kref.refcount);
}
export function kref_get(kref: kref): void {
  refcount_inc(kref.refcount);
}
/** Drops a reference; the last one calls `release`. May sleep if that does. @return 1 if it was the last one, else 0 */
export function* kref_put(kref: kref, release: kref_release): Sleeps<number> {
  if (!refcount_dec_and_test(kref.refcount)) return 0;
  yield* either<void>(release(kref));
  return 1;
}
/** The same; `release` is called with the mutex held, and unlocks it. May sleep. */
export function* kref_put_mutex(kref: kref, release: kref_release, lock: mutex): Sleeps<number> {
  if (!(yield* refcount_dec_and_mutex_lock(kref.refcount, lock))) return 0;
  yield* either<void>(release(kref));
  return 1;
}
/** @return whether there was still a reference, and so there is one more now */
export function kref_get_unless_zero(kref: kref): boolean {
  return refcount_inc_not_zero(kref.refcount);
}
