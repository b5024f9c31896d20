// SPDX-License-Identifier: GPL-2.0-only
/** Notifier chains. Source: kernel/notifier.c. Without the robust variants and SRCU chains. */
import {
  type atomic_notifier_head,
  blocking_notifier_head,
  NOTIFY_DONE,
  NOTIFY_STOP_MASK,
  notifier_block,
  type raw_notifier_head,
} from "../include/linux/notifier.ts";
import { EEXIST, ENOENT } from "../include/linux/errno.ts";
import { atomic_context } from "../include/linux/sched.ts";
import { name_of_member } from "./locking/debug_locks.ts";
import { rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "./locking/rcu.ts";
import { down_read, down_write, init_rwsem, up_read, up_write } from "./locking/rwsem.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "./locking/spinlock.ts";
import { WARN } from "./panic.ts";
import type { Sleeps, Spins } from "./sched/types.ts";

/** @action: what happened. @return NOTIFY_…. On an atomic chain it must not sleep. */
export type notifier_fn = (nb: notifier_block, action: number, data: unknown) => Sleeps<number> | number;

interface chain {
  head: notifier_block | null;
}
function next_of(nb: notifier_block): notifier_block | null {
  const { next } = nb;
  return next instanceof notifier_block ? next : null;
}

function notifier_chain_register(nl: chain, n: notifier_block): number {
  let before: notifier_block | null = null;
  let at = nl.head;
  while (at !== null) {
    if (at === n) {
      WARN(true, "notifier callback %s already registered", n.notifier_call?.name ?? "0x0");
      return -EEXIST;
    }
    if (n.priority > at.priority) break;
    before = at;
    at = next_of(at);
  }
  n.next = at;
  if (before) before.next = n;
  else nl.head = n;
  return 0;
}
function notifier_chain_unregister(nl: chain, n: notifier_block): number {
  let before: notifier_block | null = null;
  for (let at = nl.head; at !== null; before = at, at = next_of(at)) {
    if (at !== n) continue;
    if (before) before.next = n.next;
    else nl.head = next_of(n);
    return 0;
  }
  return -ENOENT;
}
function* notifier_call_chain(nl: chain, val: number, v: unknown): Sleeps<number> {
  let ret = NOTIFY_DONE;
  let nb = nl.head;
  while (nb) {
    const next = next_of(nb);
    const said = nb.notifier_call!(nb, val, v);
    ret = typeof said === "number" ? said : yield* said;
    if (ret & NOTIFY_STOP_MASK) break;
    nb = next;
  }
  return ret;
}

/** @name: of its lock's class, if not that of the struct it lies in */
export function BLOCKING_INIT_NOTIFIER_HEAD(nh: blocking_notifier_head, name = name_of_member(nh, "nh")): void {
  init_rwsem(nh.rwsem, `(${name})->rwsem`);
  nh.head = null;
}
/** A static chain, initialised. @name: of the variable */
export function BLOCKING_NOTIFIER_HEAD(name: string): blocking_notifier_head {
  const nh = new blocking_notifier_head();
  BLOCKING_INIT_NOTIFIER_HEAD(nh, name);
  return nh;
}
/** @return 0, or -EEXIST if it is on the chain already. May sleep. */
export function* blocking_notifier_chain_register(nh: blocking_notifier_head, n: notifier_block): Sleeps<number> {
  yield* down_write(nh.rwsem);
  const ret = notifier_chain_register(nh, n);
  up_write(nh.rwsem);
  return ret;
}
/** @return 0, or -ENOENT if it is not on the chain. May sleep. */
export function* blocking_notifier_chain_unregister(nh: blocking_notifier_head, n: notifier_block): Sleeps<number> {
  yield* down_write(nh.rwsem);
  const ret = notifier_chain_unregister(nh, n);
  up_write(nh.rwsem);
  return ret;
}
/** Calls everybody on the chain, until one says NOTIFY_STOP or NOTIFY_BAD. @return what the last one said. May sleep. */
export function* blocking_notifier_call_chain(nh: blocking_notifier_head, val: number, v: unknown): Sleeps<number> {
  let ret = NOTIFY_DONE;
  if (nh.head) {
    yield* down_read(nh.rwsem);
    ret = yield* notifier_call_chain(nh, val, v);
    up_read(nh.rwsem);
  }
  return ret;
}

export function ATOMIC_INIT_NOTIFIER_HEAD(nh: atomic_notifier_head, name = name_of_member(nh, "nh")): void {
  spin_lock_init(nh.lock, `(${name})->lock`);
  nh.head = null;
}
export function* atomic_notifier_chain_register(nh: atomic_notifier_head, n: notifier_block): Spins<number> {
  const flags = yield* spin_lock_irqsave(nh.lock);
  const ret = notifier_chain_register(nh, n);
  yield* spin_unlock_irqrestore(nh.lock, flags);
  return ret;
}
/** Waits until nobody is in the middle of the chain. May sleep. */
export function* atomic_notifier_chain_unregister(nh: atomic_notifier_head, n: notifier_block): Sleeps<number> {
  const flags = yield* spin_lock_irqsave(nh.lock);
  const ret = notifier_chain_unregister(nh, n);
  yield* spin_unlock_irqrestore(nh.lock, flags);
  yield* synchronize_rcu();
  return ret;
}
export function* atomic_notifier_call_chain(nh: atomic_notifier_head, val: number, v: unknown): Spins<number> {
  rcu_read_lock();
  const ret = yield* atomic_context(notifier_call_chain(nh, val, v));
  rcu_read_unlock();
  return ret;
}

/** Without any lock: callers see to that. */
export function RAW_INIT_NOTIFIER_HEAD(nh: raw_notifier_head): void {
  nh.head = null;
}
export function raw_notifier_chain_register(nh: raw_notifier_head, n: notifier_block): number {
  return notifier_chain_register(nh, n);
}
export function raw_notifier_chain_unregister(nh: raw_notifier_head, n: notifier_block): number {
  return notifier_chain_unregister(nh, n);
}
export function raw_notifier_call_chain(nh: raw_notifier_head, val: number, v: unknown): Sleeps<number> {
  return notifier_call_chain(nh, val, v);
}
