// SPDX-License-Identifier: GPL-2.0-only
/** Who has which addresses: a tree of resources. Source: kernel/resource.c. Not here: muxed regions, walking, moving, /proc. */
import { WARN_ON } from "#linux/bug.ts";
import { EBUSY, EINVAL } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { IORESOURCE_BUSY, IORESOURCE_IO, IORESOURCE_MEM, resource, resource_type } from "#linux/ioport.ts";
import { pr_warn } from "#linux/printk.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock, spinlock_t } from "#linux/spinlock.ts";
import { initialise, type Sleeps, type Spins } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const ALL = (1n << 64n) - 1n;

const s = per_boot(() => {
  const made = {
    iomem_resource: initialise(new resource(), { name: "PCI mem", end: ALL, flags: IORESOURCE_MEM }),
    ioport_resource: initialise(new resource(), { name: "PCI IO", end: 0xffffn, flags: IORESOURCE_IO }),
    /** A rwlock in C, which nothing here takes for reading. */
    resource_lock: new spinlock_t(),
  };
  spin_lock_init(made.resource_lock, "resource_lock");
  return made;
});
/** `&iomem_resource` */
export const iomem_resource = (): resource => s.iomem_resource;
/** `&ioport_resource` */
export const ioport_resource = (): resource => s.ioport_resource;

/** @return NULL, or who is in the way; `root` if it does not fit in there at all */
function __request_resource(root: resource, new_: resource): resource | null {
  const { start, end } = new_;

  if (end < start) return root;
  if (start < root.start) return root;
  if (end > root.end) return root;
  let before: resource | null = null;
  for (;;) {
    const tmp: resource | null = before ? before.sibling : root.child;
    if (!tmp || tmp.start > end) {
      new_.sibling = tmp;
      if (before) before.sibling = new_;
      else root.child = new_;
      new_.parent = root;
      return null;
    }
    before = tmp;
    if (tmp.end < start) continue;
    return tmp;
  }
}

function __release_resource(old: resource): number {
  const parent = old.parent!;
  let before: resource | null = null;
  for (let tmp = parent.child; tmp; tmp = tmp.sibling) {
    if (tmp === old) {
      if (before) before.sibling = tmp.sibling;
      else parent.child = tmp.sibling;
      old.parent = null;
      return 0;
    }
    before = tmp;
  }
  return -EINVAL;
}

/** Reserves a range inside `root`. @return NULL, or who is in the way. Any context but interrupts */
export function* request_resource_conflict(root: resource, new_: resource): Spins<resource | null> {
  yield* spin_lock(s.resource_lock);
  const conflict = __request_resource(root, new_);
  spin_unlock(s.resource_lock);
  return conflict;
}

/** The same. @return 0 or -EBUSY */
export function* request_resource(root: resource, new_: resource): Spins<number> {
  const conflict = yield* request_resource_conflict(root, new_);

  return conflict ? -EBUSY : 0;
}
EXPORT_SYMBOL(request_resource);

/** Gives a range back, with what lies inside. @return 0 or -EINVAL */
export function* release_resource(old: resource): Spins<number> {
  yield* spin_lock(s.resource_lock);
  const retval = __release_resource(old);
  spin_unlock(s.resource_lock);
  return retval;
}
EXPORT_SYMBOL(release_resource);

function __insert_resource(parent: resource, new_: resource): resource | null {
  let first: resource | null;
  for (; ; parent = first) {
    first = __request_resource(parent, new_);
    if (!first) return first;

    if (first === parent) return first;
    // Inserted twice
    if (WARN_ON(first === new_)) return first;

    if (first.start > new_.start || first.end < new_.end) break;
    if (first.start === new_.start && first.end === new_.end) break;
  }

  let next: resource = first;
  for (; ; next = next.sibling) {
    // Overlaps in part
    if (next.start < new_.start || next.end > new_.end) return next;
    if (!next.sibling) break;
    if (next.sibling.start > new_.end) break;
  }

  new_.parent = parent;
  new_.sibling = next.sibling;
  new_.child = first;

  next.sibling = null;
  for (let r: resource | null = first; r; r = r.sibling) r.parent = new_;

  if (parent.child === first) {
    parent.child = new_;
  } else {
    next = parent.child!;
    while (next.sibling !== first) next = next.sibling!;
    next.sibling = new_;
  }
  return null;
}

/** Puts a range into the tree, around what is there if need be. @return 0 or -EBUSY */
export function* insert_resource(parent: resource, new_: resource): Spins<number> {
  yield* spin_lock(s.resource_lock);
  const conflict = __insert_resource(parent, new_);
  spin_unlock(s.resource_lock);
  return conflict ? -EBUSY : 0;
}
EXPORT_SYMBOL_GPL(insert_resource);

/** Marks a range as in use. @return the new resource; NULL if somebody uses it or there is no memory. May sleep */
export function* __request_region(
  parent: resource,
  start: bigint,
  n: bigint,
  name: string | null,
  flags: number,
): Sleeps<resource | null> {
  const res = kzalloc(resource, GFP_KERNEL);
  if (!res) return null;

  yield* spin_lock(s.resource_lock);
  res.name = name;
  res.start = start;
  res.end = start + n - 1n;
  let conflict: resource | null;
  for (;;) {
    res.flags = resource_type(parent) | IORESOURCE_BUSY | flags;
    conflict = __request_resource(parent, res);
    if (!conflict) break;
    if (conflict === parent || conflict.flags & IORESOURCE_BUSY) break;
    parent = conflict;
  }
  spin_unlock(s.resource_lock);

  if (conflict) {
    kfree(res);
    return null;
  }
  return res;
}
EXPORT_SYMBOL(__request_region);

/** The opposite, for exactly the same range. */
export function* __release_region(parent: resource, start: bigint, n: bigint): Spins {
  const end = start + n - 1n;
  let at = parent;
  let before: resource | null = null;

  yield* spin_lock(s.resource_lock);
  for (let res = at.child; res;) {
    if (res.start <= start && res.end >= end) {
      if (!(res.flags & IORESOURCE_BUSY)) {
        at = res;
        before = null;
        res = res.child;
        continue;
      }
      if (res.start !== start || res.end !== end) break;
      if (before) before.sibling = res.sibling;
      else at.child = res.sibling;
      spin_unlock(s.resource_lock);
      kfree(res);
      return;
    }
    before = res;
    res = res.sibling;
  }
  spin_unlock(s.resource_lock);

  pr_warn("Trying to free nonexistent resource <%#018llx-%#018llx>\n", start, end);
}
EXPORT_SYMBOL(__release_region);

export const request_region = (start: bigint, n: bigint, name: string | null): Sleeps<resource | null> =>
  __request_region(ioport_resource(), start, n, name, 0);
export const release_region = (start: bigint, n: bigint): Spins => __release_region(ioport_resource(), start, n);
export const request_mem_region = (start: bigint, n: bigint, name: string | null): Sleeps<resource | null> =>
  __request_region(iomem_resource(), start, n, name, 0);
export const release_mem_region = (start: bigint, n: bigint): Spins => __release_region(iomem_resource(), start, n);
