// SPDX-License-Identifier: GPL-2.0-only
/** Accesses that say themselves that others may be there: what READ_ONCE() and data_race() tell the checker. */
import { access, type kobj_memory } from "../lib/struct.ts";
import { kcsan, kcsan_acquire, kcsan_release } from "./order.ts";

export const marking = {
  /** The access that is made now is a marked one. */
  on: false,
  /** It is not to be looked at. */
  off: false,
};

/** What is touched in `touch` is touched by marked accesses. Orders nothing. */
export function as_marked<T>(touch: () => T): T {
  const outer = marking.on;
  marking.on = true;
  try {
    return touch();
  } finally {
    marking.on = outer;
  }
}

/** `READ_ONCE(p->member)`. Orders nothing. Any context. */
export function READ_ONCE<T extends kobj_memory, K extends keyof T>(p: T, member: K): T[K] {
  return access.armed ? as_marked(() => p[member]) : p[member];
}
/** `WRITE_ONCE(p->member, v)`. Orders nothing. Any context. */
export function WRITE_ONCE<T extends kobj_memory, K extends keyof T>(p: T, member: K, v: T[K]): void {
  if (access.armed)
    as_marked(() => {
      p[member] = v;
    });
  else p[member] = v;
}

/** Members are places of their own: what is stored to one orders nobody who loads another. */
const places = new WeakMap<kobj_memory, Map<unknown, object>>();
function place_of(p: kobj_memory, member: unknown): object {
  let members = places.get(p);
  if (!members) places.set(p, (members = new Map<unknown, object>()));
  let place = members.get(member);
  if (!place) members.set(member, (place = {}));
  return place;
}

/** `smp_load_acquire(&p->member)`: what was done before the smp_store_release() that it sees is seen as well. */
export function smp_load_acquire<T extends kobj_memory, K extends keyof T>(p: T, member: K): T[K] {
  const v = READ_ONCE(p, member);
  if (kcsan.on) kcsan_acquire(place_of(p, member));
  return v;
}
/** `smp_store_release(&p->member, v)` */
export function smp_store_release<T extends kobj_memory, K extends keyof T>(p: T, member: K, v: T[K]): void {
  WRITE_ONCE(p, member, v);
  if (kcsan.on) kcsan_release(place_of(p, member));
}

/** `data_race(expr)`: who wrote it knows that it races. */
export function data_race<T>(touch: () => T): T {
  const outer = marking.off;
  marking.off = true;
  try {
    return touch();
  } finally {
    marking.off = outer;
  }
}
