// SPDX-License-Identifier: GPL-2.0-only
/** klists: lists with a lock and a count per member, so that members may leave while others walk. Source: lib/klist.c */
import { WARN_ON } from "#linux/bug.ts";
import { type klist, type klist_iter, klist_node } from "#linux/klist.ts";
import { INIT_LIST_HEAD, list_add, list_add_tail, list_del, list_head } from "#linux/list.ts";
import { kref_get, kref_get_unless_zero, kref_init } from "#linux/kref.ts";
import { refcount_dec_and_test } from "#linux/refcount.ts";
import {
  spin_lock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  spinlock_t,
} from "#linux/spinlock.ts";
import { container_of, embed, ptr, type Sleeps, type Spins, struct, bool } from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import { schedule, set_current_state, wake_up_process } from "../sched/core.ts";
import { current, TASK_RUNNING, TASK_UNINTERRUPTIBLE, type task_struct } from "../sched/task.ts";

class klist_waiter extends struct("klist_waiter", {
  list: embed(() => list_head),
  node: ptr<klist_node>(),
  process: ptr<task_struct>(),
  woken: bool(),
}) {}

const s = per_boot(() => {
  const klist_remove_waiters = new list_head();
  INIT_LIST_HEAD(klist_remove_waiters);
  const klist_remove_lock = new spinlock_t();
  spin_lock_init(klist_remove_lock, "klist_remove_lock");
  return { klist_remove_lock, klist_remove_waiters };
});

function knode_set_klist(knode: klist_node, k: klist | null): void {
  knode.n_klist = k;
  knode.$dead = false;
}
function knode_kill(knode: klist_node): void {
  WARN_ON(knode.$dead);
  knode.$dead = true;
}

/**
 * Makes an empty klist. Any context. @get, @put: take and drop a reference on what a node is embedded in, or null
 */
export function klist_init(
  k: klist,
  get: ((n: klist_node) => void) | null,
  put: ((n: klist_node) => Sleeps) | null,
): void {
  INIT_LIST_HEAD(k.k_list);
  spin_lock_init(k.k_lock, "&k->k_lock");
  k.get = get;
  k.put = put;
}

function* add_head(k: klist, n: klist_node): Spins {
  yield* spin_lock(k.k_lock);
  list_add(n.n_node, k.k_list);
  spin_unlock(k.k_lock);
}
function* add_tail(k: klist, n: klist_node): Spins {
  yield* spin_lock(k.k_lock);
  list_add_tail(n.n_node, k.k_list);
  spin_unlock(k.k_lock);
}

function klist_node_init(k: klist, n: klist_node): void {
  INIT_LIST_HEAD(n.n_node);
  kref_init(n.n_ref);
  knode_set_klist(n, k);
  k.get?.(n);
}

/** Initialises a node and puts it first. */
export function klist_add_head(n: klist_node, k: klist): Spins {
  klist_node_init(k, n);
  return add_head(k, n);
}
/** Initialises a node and puts it last. */
export function klist_add_tail(n: klist_node, k: klist): Spins {
  klist_node_init(k, n);
  return add_tail(k, n);
}
export function* klist_add_behind(n: klist_node, pos: klist_node): Spins {
  const k = pos.n_klist!;
  klist_node_init(k, n);
  yield* spin_lock(k.k_lock);
  list_add(n.n_node, pos.n_node);
  spin_unlock(k.k_lock);
}
export function* klist_add_before(n: klist_node, pos: klist_node): Spins {
  const k = pos.n_klist!;
  klist_node_init(k, n);
  yield* spin_lock(k.k_lock);
  list_add_tail(n.n_node, pos.n_node);
  spin_unlock(k.k_lock);
}

function* klist_release(n: klist_node): Spins {
  WARN_ON(!n.$dead);
  list_del(n.n_node);
  yield* spin_lock(s.klist_remove_lock);
  for (let at = s.klist_remove_waiters.next!; at !== s.klist_remove_waiters;) {
    const waiter = container_of(at, klist_waiter, "list");
    at = at.next!;
    if (waiter.node !== n) continue;
    list_del(waiter.list);
    waiter.woken = true;
    wake_up_process(waiter.process!);
  }
  spin_unlock(s.klist_remove_lock);
  knode_set_klist(n, null);
}

/** kref_put() with a release function that never sleeps, which kref_put() could not know. */
function* klist_dec_and_del(n: klist_node): Spins<boolean> {
  if (!refcount_dec_and_test(n.n_ref.refcount)) return false;
  yield* klist_release(n);
  return true;
}

function* klist_put(n: klist_node, kill: boolean): Sleeps {
  const k = n.n_klist!;
  let put = k.put;
  yield* spin_lock(k.k_lock);
  if (kill) knode_kill(n);
  if (!(yield* klist_dec_and_del(n))) put = null;
  spin_unlock(k.k_lock);
  if (put) yield* put(n);
}

/** Drops the list's reference: the node leaves once nobody walks over it. May sleep. */
export function klist_del(n: klist_node): Sleeps {
  return klist_put(n, true);
}

/** The same, and waits until the node has left. May sleep. */
export function* klist_remove(n: klist_node): Sleeps {
  const waiter = new klist_waiter();
  waiter.node = n;
  waiter.process = current();
  waiter.woken = false;
  yield* spin_lock(s.klist_remove_lock);
  list_add(waiter.list, s.klist_remove_waiters);
  spin_unlock(s.klist_remove_lock);

  yield* klist_del(n);

  for (;;) {
    set_current_state(TASK_UNINTERRUPTIBLE);
    if (waiter.woken) break;
    yield* schedule({ wchan: "klist_remove", what: "the last walker over a klist node" });
  }
  set_current_state(TASK_RUNNING);
}

export function klist_node_attached(n: klist_node): boolean {
  return n.n_klist !== null;
}

/** Begins a walk behind `n`, or at the start if that is null or has left. */
export function klist_iter_init_node(k: klist, i: klist_iter, n: klist_node | null): void {
  i.i_klist = k;
  i.i_cur = null;
  if (n && kref_get_unless_zero(n.n_ref)) i.i_cur = n;
}
export function klist_iter_init(k: klist, i: klist_iter): void {
  klist_iter_init_node(k, i, null);
}
/** Ends a walk: must follow every one of them. May sleep. */
export function* klist_iter_exit(i: klist_iter): Sleeps {
  if (i.i_cur) {
    yield* klist_put(i.i_cur, false);
    i.i_cur = null;
  }
}

function* step(i: klist_iter, towards: "next" | "prev"): Sleeps<klist_node | null> {
  const k = i.i_klist!;
  let put = k.put;
  const last = i.i_cur;
  const flags = yield* spin_lock_irqsave(k.k_lock);
  let at: list_head;
  if (last) {
    at = last.n_node[towards]!;
    if (!(yield* klist_dec_and_del(last))) put = null;
  } else at = k.k_list[towards]!;
  i.i_cur = null;
  while (at !== k.k_list) {
    const node = container_of(at, klist_node, "n_node");
    if (!node.$dead) {
      kref_get(node.n_ref);
      i.i_cur = node;
      break;
    }
    at = at[towards]!;
  }
  yield* spin_unlock_irqrestore(k.k_lock, flags);
  if (put && last) yield* put(last);
  return i.i_cur;
}

/** @return the node before, with a reference that lasts until the next step; null at the end. May sleep (put) */
export function klist_prev(i: klist_iter): Sleeps<klist_node | null> {
  return step(i, "prev");
}
/** @return the node behind, with a reference that lasts until the next step; null at the end. May sleep (put) */
export function klist_next(i: klist_iter): Sleeps<klist_node | null> {
  return step(i, "next");
}
