// SPDX-License-Identifier: GPL-2.0-only
/** Who is responsible for which device numbers. In Linux this is drivers/base/map.c. */
import { ENOMEM } from "#linux/errno.ts";
import { type dev_t, MAJOR } from "#linux/kdev_t.ts";
import type { kobject } from "#linux/kobject.ts";
import { type module, module_put, try_module_get } from "#linux/module.ts";
import { mutex_lock, mutex_unlock, type mutex } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { fn, opaque, ptr, struct, u32 } from "#linux/types.ts";
import { either } from "../sched/either.ts";
import type { Sleeps } from "../sched/types.ts";

/** @data: as given to kobj_map(). @return the kobject that takes the number, with a reference if `lock` took one */
export type kobj_probe_t = (dev: dev_t, data: object | null) => Sleeps<kobject | null>;
type kobj_lock_t = (dev: dev_t, data: object | null) => number;

class probe extends struct("probe", {
  next: ptr<probe>(),
  dev: u32(),
  /** In C a long; ~0 of the base probe is a number that no range reaches. */
  range: opaque(() => 0),
  owner: ptr<module>(),
  get: fn<kobj_probe_t>(),
  lock: fn<kobj_lock_t>(),
  data: ptr<object>(),
}) {}

export class kobj_map_domain {
  readonly probes: (probe | null)[] = [];
  readonly lock: mutex;
  constructor(lock: mutex, base: probe) {
    this.lock = lock;
    for (let i = 0; i < 255; i++) this.probes.push(base);
  }
}
const BASE_RANGE = 0xffffffff;

/**
 * Claims @range numbers from @dev on. A smaller range within a larger one wins. Ranges of one major only.
 * @return 0 or -ENOMEM. Context: may sleep. Source: drivers/base/map.c
 */
export function* kobj_map(
  domain: kobj_map_domain,
  dev: dev_t,
  range: number,
  owner: module | null,
  get: kobj_probe_t,
  lock: kobj_lock_t | null,
  data: object | null,
): Sleeps<number> {
  const p = kzalloc(probe, GFP_KERNEL);
  if (!p) return -ENOMEM;
  p.owner = owner;
  p.get = get;
  p.lock = lock;
  p.dev = dev;
  p.range = range;
  p.data = data;
  yield* mutex_lock(domain.lock);
  const index = MAJOR(dev) % 255;
  let before: probe | null = null;
  let s = domain.probes[index] ?? null;
  for (; s && s.range < range; s = s.next) before = s;
  p.next = s;
  if (before) before.next = p;
  else domain.probes[index] = p;
  mutex_unlock(domain.lock);
  return 0;
}

export function* kobj_unmap(domain: kobj_map_domain, dev: dev_t, range: number): Sleeps {
  yield* mutex_lock(domain.lock);
  const index = MAJOR(dev) % 255;
  let before: probe | null = null;
  let p = domain.probes[index] ?? null;
  for (; p && !(p.dev === dev && p.range === range); p = p.next) before = p;
  if (p && before) before.next = p.next;
  else if (p) domain.probes[index] = p.next;
  mutex_unlock(domain.lock);
  kfree(p);
}

/** @return the kobject that answers for @dev, or NULL. Context: may sleep, may load a module. Source: drivers/base/map.c */
export function* kobj_lookup(domain: kobj_map_domain, dev: dev_t): Sleeps<kobject | null> {
  let best = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const found: probe | null = yield* next_probe(domain, dev, best);
    if (!found) return null;
    const { owner, data, get } = found;
    best = found.range - 1;
    // It may be unmapped, and freed, as soon as nobody holds the lock: nothing of it is read below.
    mutex_unlock(domain.lock);
    const kobj = yield* either(get!(dev, data));
    module_put(owner);
    if (kobj) return kobj;
  }
}
/** The smallest range around @dev that is smaller than @best: pinned, and with the lock held. NULL leaves it unlocked. */
function* next_probe(domain: kobj_map_domain, dev: dev_t, best: number): Sleeps<probe | null> {
  yield* mutex_lock(domain.lock);
  for (let p = domain.probes[MAJOR(dev) % 255] ?? null; p; p = p.next) {
    if (p.dev > dev || p.dev + p.range - 1 < dev) continue;
    if (p.range - 1 >= best) break;
    if (!try_module_get(p.owner)) continue;
    best = p.range - 1;
    if (p.lock && p.lock(dev, p.data) < 0) {
      module_put(p.owner);
      continue;
    }
    return p;
  }
  mutex_unlock(domain.lock);
  return null;
}

export function kobj_map_init(base_probe: kobj_probe_t, lock: mutex): kobj_map_domain {
  const base = new probe();
  base.dev = 1;
  base.range = BASE_RANGE;
  base.get = base_probe;
  return new kobj_map_domain(lock, base);
}
