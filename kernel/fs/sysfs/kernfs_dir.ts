// SPDX-License-Identifier: GPL-2.0-only
/**
 * The tree behind sysfs: nodes, their two counts, and removal that waits for running operations. Source: fs/kernfs/dir.c
 *
 * `count` keeps the memory, `active` counts operations in progress; removal makes it negative and waits until they have left.
 * The name of a node is not an allocation of its own here: it would fail where the node itself can fail already.
 */
import {
  atomic_add,
  atomic_dec_and_test,
  atomic_dec_return,
  atomic_inc,
  atomic_inc_return,
  atomic_read,
  atomic_set,
  atomic_sub,
  type atomic_t,
} from "#linux/atomic.ts";
import { WARN, WARN_ON, WARN_ON_ONCE, WARN_ONCE } from "#linux/bug.ts";
import { ERR_PTR } from "#linux/err.ts";
import { EEXIST, EINVAL, ENOENT, ENOMEM } from "#linux/errno.ts";
import {
  KERNFS_ACTIVATED,
  KERNFS_DIR,
  KERNFS_EMPTY_DIR,
  KERNFS_LINK,
  KERNFS_LOCKDEP,
  kernfs_node,
  KERNFS_REMOVING,
  kernfs_root,
  KERNFS_SUICIDAL,
  KERNFS_SUICIDED,
  kernfs_type,
  KN_DEACTIVATED_BIAS,
} from "#linux/kernfs.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, type list_head } from "#linux/list.ts";
import { rwsem_acquire, rwsem_acquire_read, rwsem_release } from "#linux/lockdep.ts";
import { down_read, down_write, init_rwsem, up_read, up_write } from "#linux/rwsem.ts";
import { kcsan_acquire } from "../../kcsan/order.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { S_IFDIR } from "#linux/stat.ts";
import { container_of, type Sleeps, type Spins } from "#linux/types.ts";
import {
  DEFINE_WAIT,
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_event,
  wake_up_all,
} from "#linux/wait.ts";
import { schedule, TASK_UNINTERRUPTIBLE } from "#linux/sched.ts";

const child = (at: list_head): kernfs_node => container_of(at, kernfs_node, "$sibling");
const linked = (kn: kernfs_node): boolean => !list_empty(kn.$sibling);

/** @return the nodes of a directory in the order of their creation. kernfs_rwsem held */
export function kernfs_children(kn: kernfs_node): kernfs_node[] {
  const found: kernfs_node[] = [];
  for (let at = kn.$children.next!; at !== kn.$children; at = at.next!) found.push(child(at));
  return found;
}

/** Path of a node, as it appears below /sys; "/" for the root. */
export function kernfs_path(kn: kernfs_node): string {
  const names: string[] = [];
  for (let at: kernfs_node | null = kn; at?.parent; at = at.parent) names.unshift(at.name ?? "");
  return "/" + names.join("/");
}

function kernfs_link_sibling(kn: kernfs_node): number {
  const parent = kn.parent!;
  if (kernfs_find(parent, kn.name!)) return -EEXIST;
  list_add_tail(kn.$sibling, parent.$children);
  if (kernfs_type(kn) === KERNFS_DIR) parent.subdirs++;
  return 0;
}
function kernfs_unlink_sibling(kn: kernfs_node): boolean {
  if (!linked(kn)) return false;
  if (kernfs_type(kn) === KERNFS_DIR) kn.parent!.subdirs--;
  list_del_init(kn.$sibling);
  return true;
}

/** Not being removed. Any context. */
export const kernfs_active = (kn: kernfs_node): boolean => atomic_read(kn.active) >= 0;

/** Source: include/linux/atomic/atomic-arch-fallback.h */
function atomic_inc_unless_negative(v: atomic_t): boolean {
  if (atomic_read(v) < 0) return false;
  atomic_inc_return(v);
  return true;
}

/** Enters an operation on a node. @return null if the node is being removed. Any context */
export function kernfs_get_active(kn: kernfs_node | null): kernfs_node | null {
  if (!kn || !atomic_inc_unless_negative(kn.active)) return null;
  if (kn.flags & KERNFS_LOCKDEP) rwsem_acquire_read(kn.dep_map, 0, true);
  return kn;
}
/** Leaves it. */
export function* kernfs_put_active(kn: kernfs_node | null): Spins {
  if (!kn) return;
  if (kn.flags & KERNFS_LOCKDEP) rwsem_release(kn.dep_map);
  if (atomic_dec_return(kn.active) !== KN_DEACTIVATED_BIAS) return;
  yield* wake_up_all(kn.$root!.deactivate_waitq);
}

/** Waits, without kernfs_rwsem, until all operations on a deactivated node have left. */
function* kernfs_drain(kn: kernfs_node): Sleeps {
  const root = kn.$root!;
  WARN_ON_ONCE(kernfs_active(kn));
  // Nobody is in the node any more: what those did who were is before this.
  kcsan_acquire(kn.active);
  if (atomic_read(kn.active) === KN_DEACTIVATED_BIAS) return;
  up_write(root.kernfs_rwsem);
  if (kn.flags & KERNFS_LOCKDEP) rwsem_acquire(kn.dep_map, 0, false);
  yield* wait_event(root.deactivate_waitq, () => atomic_read(kn.active) === KN_DEACTIVATED_BIAS);
  kcsan_acquire(kn.active);
  if (kn.flags & KERNFS_LOCKDEP) rwsem_release(kn.dep_map);
  yield* down_write(root.kernfs_rwsem);
}

export function kernfs_get(kn: kernfs_node | null): void {
  if (!kn) return;
  WARN_ON(atomic_read(kn.count) === 0);
  atomic_inc(kn.count);
}

/** Drops a reference on a node, and with the last one that on its parent. Any context. */
export function kernfs_put(kn: kernfs_node | null): void {
  if (!kn || !atomic_dec_and_test(kn.count)) return;
  for (let at: kernfs_node | null = kn; at;) {
    const parent: kernfs_node | null = at.parent;
    const active = atomic_read(at.active);
    WARN_ONCE(
      active !== KN_DEACTIVATED_BIAS,
      "kernfs_put: %s/%s: released with incorrect active_ref %d\n",
      parent ? parent.name : "",
      at.name,
      active,
    );
    if (kernfs_type(at) === KERNFS_LINK) kernfs_put(at.target_kn);
    const root: kernfs_root = at.$root!;
    kfree(at);
    if (!parent) kfree(root);
    at = parent && atomic_dec_and_test(parent.count) ? parent : null;
  }
}

function __kernfs_new_node(root: kernfs_root, name: string, mode: number, flags: number): kernfs_node | null {
  const kn = kzalloc(kernfs_node, GFP_KERNEL);
  if (!kn) return null;
  kn.id = BigInt(++root.$next_id);
  atomic_set(kn.count, 1);
  atomic_set(kn.active, KN_DEACTIVATED_BIAS);
  INIT_LIST_HEAD(kn.$sibling);
  INIT_LIST_HEAD(kn.$children);
  kn.$root = root;
  kn.name = name;
  kn.mode = mode;
  kn.flags = flags;
  return kn;
}

/** @return a node that is not in the tree yet, with a reference on its parent; null without memory */
export function kernfs_new_node(parent: kernfs_node, name: string, mode: number, flags: number): kernfs_node | null {
  const kn = __kernfs_new_node(parent.$root!, name, mode, flags);
  if (kn) {
    kernfs_get(parent);
    kn.parent = parent;
  }
  return kn;
}

/** Puts a new node into the tree and lets operations in. @return 0, -EEXIST, -ENOENT (parent going away), -EINVAL */
export function* kernfs_add_one(kn: kernfs_node): Sleeps<number> {
  const parent = kn.parent!;
  const root = kn.$root!;
  yield* down_write(root.kernfs_rwsem);
  let ret = -EINVAL;
  out_unlock: {
    if (kernfs_type(parent) !== KERNFS_DIR) break out_unlock;
    ret = -ENOENT;
    if (parent.flags & (KERNFS_REMOVING | KERNFS_EMPTY_DIR)) break out_unlock;
    ret = kernfs_link_sibling(kn);
    if (ret) break out_unlock;
    up_write(root.kernfs_rwsem);
    yield* kernfs_activate(kn);
    return 0;
  }
  up_write(root.kernfs_rwsem);
  return ret;
}

/** kernfs_rwsem held. @return without a reference */
export function kernfs_find(parent: kernfs_node, name: string): kernfs_node | null {
  for (let at = parent.$children.next!; at !== parent.$children; at = at.next!) {
    const kn = child(at);
    if (kn.name === name) return kn;
  }
  return null;
}

/** @return the node with a reference, or null */
export function* kernfs_find_and_get(parent: kernfs_node, name: string): Sleeps<kernfs_node | null> {
  const root = parent.$root!;
  yield* down_read(root.kernfs_rwsem);
  const kn = kernfs_find(parent, name);
  kernfs_get(kn);
  up_read(root.kernfs_rwsem);
  return kn;
}

/** A root with its directory. @return null without memory. Any context */
export function kernfs_create_root(priv: object | null): kernfs_root | null {
  const root = kzalloc(kernfs_root, GFP_KERNEL);
  if (!root) return null;
  init_rwsem(root.kernfs_rwsem, "&root->kernfs_rwsem");
  init_waitqueue_head(root.deactivate_waitq, "&root->deactivate_waitq");
  const kn = __kernfs_new_node(root, "", S_IFDIR | 0o755, KERNFS_DIR);
  if (!kn) {
    kfree(root);
    return null;
  }
  kn.priv = priv;
  root.kn = kn;
  kernfs_activate_one(kn);
  return root;
}

/** @return the directory, ERR_PTR(-ENOMEM, -EEXIST, -ENOENT) */
export function* kernfs_create_dir(
  parent: kernfs_node,
  name: string,
  mode: number,
  priv: object | null,
): Sleeps<kernfs_node> {
  const kn = kernfs_new_node(parent, name, mode | S_IFDIR, KERNFS_DIR);
  if (!kn) return ERR_PTR(-ENOMEM);
  kn.priv = priv;
  const rc = yield* kernfs_add_one(kn);
  if (!rc) return kn;
  kernfs_put(kn);
  return ERR_PTR(rc);
}

function kernfs_leftmost_descendant(pos: kernfs_node): kernfs_node {
  let last = pos;
  while (kernfs_type(last) === KERNFS_DIR && !list_empty(last.$children)) last = child(last.$children.next!);
  return last;
}

function kernfs_next_descendant_post(pos: kernfs_node | null, root: kernfs_node): kernfs_node | null {
  if (!pos) return kernfs_leftmost_descendant(root);
  if (pos === root) return null;
  const next = pos.$sibling.next!;
  if (next !== pos.parent!.$children) return kernfs_leftmost_descendant(child(next));
  return pos.parent;
}

function kernfs_activate_one(kn: kernfs_node): void {
  kn.flags |= KERNFS_ACTIVATED;
  if (kernfs_active(kn) || kn.flags & KERNFS_REMOVING) return;
  WARN_ON_ONCE(kn.parent !== null && !linked(kn));
  WARN_ON_ONCE(atomic_read(kn.active) !== KN_DEACTIVATED_BIAS);
  atomic_sub(KN_DEACTIVATED_BIAS, kn.active);
}

/** Lets operations into a node and everything below. May sleep. */
export function* kernfs_activate(kn: kernfs_node): Sleeps {
  const root = kn.$root!;
  yield* down_write(root.kernfs_rwsem);
  for (let pos = kernfs_next_descendant_post(null, kn); pos; pos = kernfs_next_descendant_post(pos, kn))
    kernfs_activate_one(pos);
  up_write(root.kernfs_rwsem);
}

/** kernfs_rwsem held for writing; dropped and taken again where it waits. */
function* __kernfs_remove(kn: kernfs_node): Sleeps {
  // Somebody else has removed it already.
  if (kn.parent && !linked(kn)) return;

  for (let pos = kernfs_next_descendant_post(null, kn); pos; pos = kernfs_next_descendant_post(pos, kn)) {
    pos.flags |= KERNFS_REMOVING;
    if (kernfs_active(pos)) atomic_add(KN_DEACTIVATED_BIAS, pos.active);
  }

  let pos: kernfs_node;
  do {
    pos = kernfs_leftmost_descendant(kn);
    // kernfs_drain() may drop the rwsem, and with it what keeps the node.
    kernfs_get(pos);
    yield* kernfs_drain(pos);
    // Whoever unlinks the node drops the tree's reference.
    if (!pos.parent || kernfs_unlink_sibling(pos)) kernfs_put(pos);
    kernfs_put(pos);
  } while (pos !== kn);
}

/** Removes a node and everything below, waiting for operations in progress. May sleep. */
export function* kernfs_remove(kn: kernfs_node | null): Sleeps {
  if (!kn) return;
  const root = kn.$root!;
  yield* down_write(root.kernfs_rwsem);
  yield* __kernfs_remove(kn);
  up_write(root.kernfs_rwsem);
}

/** Gives up the active reference of the operation that is running, so that the node can be removed from within it. */
export function kernfs_break_active_protection(kn: kernfs_node): Spins {
  return kernfs_put_active(kn);
}
/** Takes it back, whatever has become of the node, for the end of the operation to drop. */
export function kernfs_unbreak_active_protection(kn: kernfs_node): void {
  atomic_inc(kn.active);
  if (kn.flags & KERNFS_LOCKDEP) rwsem_acquire_read(kn.dep_map, 0, true);
}

/**
 * Removes a node from within its own operation. May sleep.
 * @return whether this call did it; of several that try, only one does, and the others wait until its operation has ended
 */
export function* kernfs_remove_self(kn: kernfs_node): Sleeps<boolean> {
  const root = kn.$root!;
  let ret: boolean;
  yield* down_write(root.kernfs_rwsem);
  yield* kernfs_break_active_protection(kn);
  if (!(kn.flags & KERNFS_SUICIDAL)) {
    kn.flags |= KERNFS_SUICIDAL;
    yield* __kernfs_remove(kn);
    kn.flags |= KERNFS_SUICIDED;
    ret = true;
  } else {
    const wait = DEFINE_WAIT();
    for (;;) {
      yield* prepare_to_wait(root.deactivate_waitq, wait, TASK_UNINTERRUPTIBLE);
      if (kn.flags & KERNFS_SUICIDED && atomic_read(kn.active) === KN_DEACTIVATED_BIAS) break;
      up_write(root.kernfs_rwsem);
      yield* schedule();
      yield* down_write(root.kernfs_rwsem);
    }
    yield* finish_wait(root.deactivate_waitq, wait);
    WARN_ON_ONCE(linked(kn));
    ret = false;
  }
  // With the rwsem held, or those who wait for the end of the operation would see it too early.
  kernfs_unbreak_active_protection(kn);
  up_write(root.kernfs_rwsem);
  return ret;
}

/** @return 0, or -ENOENT if there is no such node. May sleep */
export function* kernfs_remove_by_name(parent: kernfs_node | null, name: string): Sleeps<number> {
  if (!parent) {
    WARN(true, "kernfs: can not remove '%s', no directory\n", name);
    return -ENOENT;
  }
  const root = parent.$root!;
  yield* down_write(root.kernfs_rwsem);
  const kn = kernfs_find(parent, name);
  if (kn) {
    kernfs_get(kn);
    yield* __kernfs_remove(kn);
    kernfs_put(kn);
  }
  up_write(root.kernfs_rwsem);
  return kn ? 0 : -ENOENT;
}

/** Moves or renames a node. @return 0, -EINVAL for a root, -ENOENT, -EEXIST. May sleep */
export function* kernfs_rename(kn: kernfs_node, new_parent: kernfs_node, new_name: string): Sleeps<number> {
  if (!kn.parent) return -EINVAL;
  const root = kn.$root!;
  yield* down_write(root.kernfs_rwsem);
  let error = -ENOENT;
  out: {
    if (!kernfs_active(kn) || !kernfs_active(new_parent) || new_parent.flags & KERNFS_EMPTY_DIR) break out;
    error = 0;
    if (kn.parent === new_parent && kn.name === new_name) break out;
    error = -EEXIST;
    if (kernfs_find(new_parent, new_name)) break out;
    kernfs_unlink_sibling(kn);
    kernfs_get(new_parent);
    const old_parent = kn.parent;
    kn.parent = new_parent;
    kn.name = new_name;
    kernfs_link_sibling(kn);
    kernfs_put(old_parent);
    error = 0;
  }
  up_write(root.kernfs_rwsem);
  return error;
}
