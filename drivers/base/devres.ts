// SPDX-License-Identifier: GPL-2.0-only
/**
 * Managed resources: what a device's driver need not give back itself, as it goes with the driver. Source: drivers/base/devres.c
 *
 * Not here: groups, devm_add_action(), devm_krealloc(), and what is only made of these (strings, percpu memory, pages).
 */
import { BUG_ON, WARN_ON } from "#linux/bug.ts";
import type { device } from "#linux/device.ts";
import { ENODEV, ENOENT } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD,
  list_add_tail,
  list_del_init,
  list_empty,
  list_for_each_entry_reverse,
  list_for_each_entry_safe,
  list_for_each_entry_safe_reverse,
  list_head,
  list_move_tail,
} from "#linux/list.ts";
import { either } from "#linux/sched.ts";
import { type gfp_t, kfree, kmalloc } from "#linux/slab.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import {
  container_of,
  embed,
  fn,
  type kobj_memory,
  opaque,
  sizeof,
  type Sleeps,
  type Spins,
  str,
  struct,
  struct_array,
  ulong,
} from "#linux/types.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** Gives back what `res` stands for; its memory is freed afterwards. */
export type dr_release_t = (dev: device, res: kobj_memory) => Sleeps | void;
export type dr_match_t<T> = (dev: device, res: kobj_memory, match_data: T) => boolean;

class devres_node extends struct("devres_node", {
  entry: embed(() => list_head),
  release: fn<dr_release_t>(),
  name: str(),
  size: ulong(),
}) {}

/** What the devres that is being made carries, in the same memory: `data[]` in C. */
const payload = { make: null as (() => kobj_memory) | null };

class devres extends struct("devres", {
  node: embed(() => devres_node),
  data: opaque<kobj_memory | null>(() => null, 0),
}) {
  constructor() {
    super();
    if (!payload.make) return;
    const data = payload.make();
    data.$up = this;
    data.$member = "data";
    this.data = data;
  }
}
const devres_of = (res: kobj_memory): devres => container_of(res, devres, "data");

function alloc_dr(release: dr_release_t, size: number, gfp: gfp_t, make: () => kobj_memory): devres | null {
  payload.make = make;
  const dr = kmalloc(devres, gfp, sizeof(devres) + size);
  payload.make = null;
  if (!dr) return null;
  INIT_LIST_HEAD(dr.node.entry);
  dr.node.release = release;
  return dr;
}

function add_dr(dev: device, node: devres_node): void {
  BUG_ON(!list_empty(node.entry));
  list_add_tail(node.entry, dev.devres_head);
}

/** A managed resource that is nobody's yet. @of: class of what describes it. @return NULL without memory */
export function devres_alloc<T extends kobj_memory>(release: dr_release_t, of: new () => T, gfp: gfp_t): T | null {
  const dr = alloc_dr(release, sizeof(of), gfp, () => new of());
  if (!dr) return null;
  dr.node.name = release.name;
  dr.node.size = BigInt(sizeof(of));
  return dr.data as T;
}
EXPORT_SYMBOL_GPL(devres_alloc);

/** The opposite of devres_alloc(), for one that no device has. NULL is fine. Any context */
export function devres_free(res: kobj_memory | null): void {
  if (res) {
    const dr = devres_of(res);

    BUG_ON(!list_empty(dr.node.entry));
    kfree(dr);
  }
}
EXPORT_SYMBOL_GPL(devres_free);

/** From now on it goes with the driver of the device. Any context */
export function* devres_add(dev: device, res: kobj_memory): Spins {
  const dr = devres_of(res);

  const flags = yield* spin_lock_irqsave(dev.devres_lock);
  add_dr(dev, dr.node);
  yield* spin_unlock_irqrestore(dev.devres_lock, flags);
}
EXPORT_SYMBOL_GPL(devres_add);

function find_dr<T>(dev: device, release: dr_release_t, match: dr_match_t<T> | null, match_data: T): devres | null {
  for (const node of list_for_each_entry_reverse(dev.devres_head, devres_node, "entry")) {
    const dr = container_of(node, devres, "node");

    if (node.release !== release) continue;
    if (match && !match(dev, dr.data!, match_data)) continue;
    return dr;
  }

  return null;
}

/** The youngest with this release function that matches, or NULL. Any context */
export function* devres_find<T>(
  dev: device,
  release: dr_release_t,
  match: dr_match_t<T> | null,
  match_data: T,
): Spins<kobj_memory | null> {
  const flags = yield* spin_lock_irqsave(dev.devres_lock);
  const dr = find_dr(dev, release, match, match_data);
  yield* spin_unlock_irqrestore(dev.devres_lock, flags);

  return dr ? dr.data : null;
}
EXPORT_SYMBOL_GPL(devres_find);

/** The same, and takes it from the device. Any context */
export function* devres_remove<T>(
  dev: device,
  release: dr_release_t,
  match: dr_match_t<T> | null,
  match_data: T,
): Spins<kobj_memory | null> {
  const flags = yield* spin_lock_irqsave(dev.devres_lock);
  const dr = find_dr(dev, release, match, match_data);
  if (dr) list_del_init(dr.node.entry);
  yield* spin_unlock_irqrestore(dev.devres_lock, flags);

  return dr ? dr.data : null;
}
EXPORT_SYMBOL_GPL(devres_remove);

/** Frees one without giving back what it stands for. @return 0 or -ENOENT. Any context */
export function* devres_destroy<T>(
  dev: device,
  release: dr_release_t,
  match: dr_match_t<T> | null,
  match_data: T,
): Spins<number> {
  const res = yield* devres_remove(dev, release, match, match_data);
  if (!res) return -ENOENT;

  devres_free(res);
  return 0;
}
EXPORT_SYMBOL_GPL(devres_destroy);

/** Gives one back and frees it. @return 0 or -ENOENT. As its release function may sleep */
export function* devres_release<T>(
  dev: device,
  release: dr_release_t,
  match: dr_match_t<T> | null,
  match_data: T,
): Sleeps<number> {
  const res = yield* devres_remove(dev, release, match, match_data);
  if (!res) return -ENOENT;

  yield* either(release(dev, res));
  devres_free(res);
  return 0;
}
EXPORT_SYMBOL_GPL(devres_release);

/** Without groups: all of them, in their order. @return how many */
function remove_nodes(dev: device, todo: list_head): number {
  let cnt = 0;

  for (const node of list_for_each_entry_safe(dev.devres_head, devres_node, "entry")) {
    list_move_tail(node.entry, todo);
    cnt++;
  }

  return cnt;
}

function* release_nodes(dev: device, todo: list_head): Sleeps {
  for (const node of list_for_each_entry_safe_reverse(todo, devres_node, "entry")) {
    const dr = container_of(node, devres, "node");

    yield* either(node.release!(dev, dr.data!));
    kfree(dr);
  }
}

/** Gives back all that a device has, the youngest first: its driver is gone. @return how many, or -ENODEV. May sleep */
export function* devres_release_all(dev: device): Sleeps<number> {
  const todo = LIST_HEAD();

  // Looks like a device that was never initialised
  if (WARN_ON(dev.devres_head.next === null)) return -ENODEV;

  if (list_empty(dev.devres_head)) return 0;

  const flags = yield* spin_lock_irqsave(dev.devres_lock);
  const cnt = remove_nodes(dev, todo);
  yield* spin_unlock_irqrestore(dev.devres_lock, flags);

  yield* release_nodes(dev, todo);
  return cnt;
}

function devm_kmalloc_release(_dev: device, _res: kobj_memory): void {
  // The memory is that of the resource itself.
}

function devm_kmalloc_match(_dev: device, res: kobj_memory, data: kobj_memory): boolean {
  return res === data;
}

function* devm_memory(dev: device, size: number, gfp: gfp_t, make: () => kobj_memory): Spins<kobj_memory | null> {
  const dr = alloc_dr(devm_kmalloc_release, size, gfp, make);
  if (!dr) return null;

  dr.node.name = "devm_kzalloc_release";
  dr.node.size = BigInt(size);
  yield* devres_add(dev, dr.data!);
  return dr.data;
}

/** Memory for a struct that goes with the driver. @return NULL without memory. May sleep as `gfp` says */
export function* devm_kmalloc<T extends kobj_memory>(dev: device, of: new () => T, gfp: gfp_t): Spins<T | null> {
  return (yield* devm_memory(dev, sizeof(of), gfp, () => new of())) as T | null;
}
EXPORT_SYMBOL_GPL(devm_kmalloc);
/** What C leaves uninitialised is zero here. */
export const devm_kzalloc = devm_kmalloc;

/** The same for an array of structs, or of members as kcalloc() takes them. */
export function* devm_kcalloc<T>(
  dev: device,
  n: number,
  element: ReturnType<typeof embed<T & object>> | ReturnType<typeof opaque<T>>,
  gfp: gfp_t,
): Spins<struct_array<T> | null> {
  if (n === 0) return new struct_array<T>(0, element);
  return (yield* devm_memory(
    dev,
    n * element.width(),
    gfp,
    () => new struct_array<T>(n, element),
  )) as struct_array<T> | null;
}
EXPORT_SYMBOL_GPL(devm_kcalloc);
export const devm_kmalloc_array = devm_kcalloc;

/** Frees such memory before its time; NULL is fine. Any context */
export function* devm_kfree(dev: device, p: kobj_memory | null): Spins {
  if (!p || (p instanceof struct_array && p.length === 0)) return;

  const rc = yield* devres_destroy(dev, devm_kmalloc_release, devm_kmalloc_match, p);
  WARN_ON(rc !== 0);
}
EXPORT_SYMBOL_GPL(devm_kfree);
