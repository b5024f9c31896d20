// SPDX-License-Identifier: GPL-2.0-only
/** Who has which numbers of character devices: the first part of fs/char_dev.c. */
import type { cdev } from "#linux/cdev.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EBUSY, EINVAL, ENOMEM } from "#linux/errno.ts";
import {
  CHRDEV_MAJOR_DYN_END,
  CHRDEV_MAJOR_DYN_EXT_END,
  CHRDEV_MAJOR_DYN_EXT_START,
  CHRDEV_MAJOR_MAX,
} from "#linux/fs.ts";
import { type dev_t, MAJOR, MINOR, MINORMASK, MKDEV } from "#linux/kdev_t.ts";
import { mutex, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { int, ptr, str, struct, u32 } from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import { kbuild } from "../modpost.ts";
import { pr_err } from "../printk.ts";
import type { Sleeps } from "../sched/types.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

const CHRDEV_MAJOR_HASH_SIZE = 255;

class char_device_struct extends struct("char_device_struct", {
  next: ptr<char_device_struct>(),
  major: u32(),
  baseminor: u32(),
  minorct: int(),
  name: str(),
  cdev: ptr<cdev>(),
}) {}

const s = per_boot(() => ({
  chrdevs_lock: new mutex(),
  chrdevs: new Array<char_device_struct | null>(CHRDEV_MAJOR_HASH_SIZE).fill(null),
}));
/** It also guards the map of numbers to cdevs. */
export function chrdevs_lock(): mutex {
  return s.chrdevs_lock;
}

function major_to_index(major: number): number {
  return major % CHRDEV_MAJOR_HASH_SIZE;
}

function find_dynamic_major(): number {
  for (let i = CHRDEV_MAJOR_HASH_SIZE - 1; i >= CHRDEV_MAJOR_DYN_END; i--) if (!s.chrdevs[i]) return i;
  for (let i = CHRDEV_MAJOR_DYN_EXT_START; i >= CHRDEV_MAJOR_DYN_EXT_END; i--) {
    let cd = s.chrdevs[major_to_index(i)] ?? null;
    for (; cd; cd = cd.next) if (cd.major === i) break;
    if (!cd) return i;
  }
  return -EBUSY;
}

export function* __register_chrdev_region(
  major: number,
  baseminor: number,
  minorct: number,
  name: string,
): Sleeps<char_device_struct> {
  if (major >= CHRDEV_MAJOR_MAX) {
    pr_err('CHRDEV "%s" major requested (%u) is greater than the maximum (%u)\n', name, major, CHRDEV_MAJOR_MAX - 1);
    return ERR_PTR(-EINVAL);
  }
  if (minorct > MINORMASK + 1 - baseminor) {
    pr_err(
      'CHRDEV "%s" minor range requested (%u-%u) is out of range of maximum range (%u-%u) for a single major\n',
      name,
      baseminor,
      baseminor + minorct - 1,
      0,
      MINORMASK,
    );
    return ERR_PTR(-EINVAL);
  }
  const cd = kzalloc(char_device_struct, GFP_KERNEL);
  if (!cd) return ERR_PTR(-ENOMEM);
  yield* mutex_lock(s.chrdevs_lock);
  let ret: number;
  out: {
    if (major === 0) {
      ret = find_dynamic_major();
      if (ret < 0) {
        pr_err('CHRDEV "%s" dynamic allocation region is full\n', name);
        break out;
      }
      major = ret;
    }
    ret = -EBUSY;
    const i = major_to_index(major);
    let prev: char_device_struct | null = null;
    let curr = s.chrdevs[i] ?? null;
    for (; curr; prev = curr, curr = curr.next) {
      if (curr.major < major) continue;
      if (curr.major > major) break;
      if (curr.baseminor + curr.minorct <= baseminor) continue;
      if (curr.baseminor >= baseminor + minorct) break;
      break out;
    }
    cd.major = major;
    cd.baseminor = baseminor;
    cd.minorct = minorct;
    cd.name = name.slice(0, 63);
    cd.next = curr;
    if (!prev) s.chrdevs[i] = cd;
    else prev.next = cd;
    mutex_unlock(s.chrdevs_lock);
    return cd;
  }
  mutex_unlock(s.chrdevs_lock);
  kfree(cd);
  return ERR_PTR(ret);
}

export function* __unregister_chrdev_region(
  major: number,
  baseminor: number,
  minorct: number,
): Sleeps<char_device_struct | null> {
  const i = major_to_index(major);
  yield* mutex_lock(s.chrdevs_lock);
  let prev: char_device_struct | null = null;
  let cd = s.chrdevs[i] ?? null;
  for (; cd; prev = cd, cd = cd.next)
    if (cd.major === major && cd.baseminor === baseminor && cd.minorct === minorct) break;
  if (cd && prev) prev.next = cd.next;
  else if (cd) s.chrdevs[i] = cd.next;
  mutex_unlock(s.chrdevs_lock);
  return cd;
}

/**
 * Reserves @count numbers from @from on, across majors if need be.
 * @return 0 or errno. Context: may sleep. Source: fs/char_dev.c
 */
export function* register_chrdev_region(from: dev_t, count: number, name: string): Sleeps<number> {
  const to = from + count;
  let next: number;
  for (let n = from; n < to; n = next) {
    next = Math.min(MKDEV(MAJOR(n) + 1, 0), to);
    const cd = yield* __register_chrdev_region(MAJOR(n), MINOR(n), next - n, name);
    if (!IS_ERR(cd)) continue;
    yield* unregister_chrdev_region(from, n - from);
    return PTR_ERR(cd);
  }
  return 0;
}
EXPORT_SYMBOL(register_chrdev_region);

/**
 * Reserves @count minors from @baseminor on of a free major.
 * @dev: the first number is left there. @return 0 or errno. Context: may sleep. Source: fs/char_dev.c
 */
export function* alloc_chrdev_region(
  dev: { value: dev_t },
  baseminor: number,
  count: number,
  name: string,
): Sleeps<number> {
  const cd = yield* __register_chrdev_region(0, baseminor, count, name);
  if (IS_ERR(cd)) return PTR_ERR(cd);
  dev.value = MKDEV(cd.major, cd.baseminor);
  return 0;
}
EXPORT_SYMBOL(alloc_chrdev_region);

/** Gives back what register_chrdev_region() or alloc_chrdev_region() reserved. Context: may sleep. Source: fs/char_dev.c */
export function* unregister_chrdev_region(from: dev_t, count: number): Sleeps {
  const to = from + count;
  let next: number;
  for (let n = from; n < to; n = next) {
    next = Math.min(MKDEV(MAJOR(n) + 1, 0), to);
    kfree(yield* __unregister_chrdev_region(MAJOR(n), MINOR(n), next - n));
  }
}
EXPORT_SYMBOL(unregister_chrdev_region);
