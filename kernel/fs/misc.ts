// SPDX-License-Identifier: GPL-2.0-only
/** Devices that need no major number of their own. In Linux this is drivers/char/misc.c; /proc/misc is not here. */
import {
  type class_,
  class_create,
  device_create_with_groups,
  device_destroy,
  dev_get_drvdata,
  type device,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EBUSY, EIO, ENODEV } from "#linux/errno.ts";
import { type file, type file_operations, fops_get, iminor, type inode, noop_llseek, replace_fops } from "#linux/fs.ts";
import { subsys_initcall } from "#linux/init.ts";
import { MKDEV } from "#linux/kdev_t.ts";
import { INIT_LIST_HEAD, list_add, list_del, list_empty, list_for_each_entry, list_head } from "#linux/list.ts";
import { MISC_DYNAMIC_MINOR, miscdevice } from "#linux/miscdevice.ts";
import { request_module } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kstrdup } from "#linux/slab.ts";
import { per_boot } from "../boot.ts";
import { kbuild } from "../modpost.ts";
import { WARN_ON } from "../panic.ts";
import { pr_err } from "../printk.ts";
import { either } from "../sched/either.ts";
import type { Sleeps } from "../sched/types.ts";
import { register_chrdev } from "./char_dev.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

const MISC_MAJOR = 10;
const DYNAMIC_MINORS = 128;

const s = per_boot(() => ({
  misc_list: new list_head(),
  misc_mtx: new mutex(),
  misc_minors: new Array<boolean>(DYNAMIC_MINORS).fill(false),
  misc_class: null as class_ | null,
}));

function find_misc(minor: number): miscdevice | null {
  for (const c of list_for_each_entry(s.misc_list, miscdevice, "list")) if (c.minor === minor) return c;
  return null;
}

function* misc_open(inode: inode, file: file): Sleeps<number> {
  const minor = iminor(inode);
  let err = -ENODEV;
  yield* mutex_lock(s.misc_mtx);
  fail: {
    let c = find_misc(minor);
    let new_fops = c ? fops_get(c.fops) : null;
    if (!new_fops) {
      mutex_unlock(s.misc_mtx);
      yield* request_module("char-major-%d-%d", MISC_MAJOR, minor);
      yield* mutex_lock(s.misc_mtx);
      c = find_misc(minor);
      new_fops = c ? fops_get(c.fops) : null;
      if (!new_fops) break fail;
    }
    file.private_data = c;
    err = 0;
    replace_fops(file, new_fops);
    if (file.f_op!.open) err = yield* either(file.f_op!.open(inode, file));
  }
  mutex_unlock(s.misc_mtx);
  return err;
}

const misc_fops: file_operations = { owner: null, open: misc_open, llseek: noop_llseek };

/**
 * @misc: minor MISC_DYNAMIC_MINOR asks for a free one, which is left there
 * @return 0, -EBUSY or what making the device gave. Context: may sleep. Source: drivers/char/misc.c
 */
export function* misc_register(misc: miscdevice): Sleeps<number> {
  let err = 0;
  const is_dynamic = misc.minor === MISC_DYNAMIC_MINOR;
  INIT_LIST_HEAD(misc.list);
  yield* mutex_lock(s.misc_mtx);
  out: {
    if (is_dynamic) {
      const i = s.misc_minors.indexOf(false);
      if (i < 0) {
        err = -EBUSY;
        break out;
      }
      misc.minor = DYNAMIC_MINORS - i - 1;
      s.misc_minors[i] = true;
    } else if (find_misc(misc.minor)) {
      err = -EBUSY;
      break out;
    }
    const dev = MKDEV(MISC_MAJOR, misc.minor);
    misc.this_device = yield* device_create_with_groups(
      s.misc_class,
      misc.parent,
      dev,
      misc,
      misc.groups,
      "%s",
      misc.name,
    );
    if (IS_ERR(misc.this_device)) {
      if (is_dynamic) {
        free_minor(misc.minor);
        misc.minor = MISC_DYNAMIC_MINOR;
      }
      err = PTR_ERR(misc.this_device);
      break out;
    }
    // In front: later devices override earlier ones.
    list_add(misc.list, s.misc_list);
  }
  mutex_unlock(s.misc_mtx);
  return err;
}
EXPORT_SYMBOL(misc_register);

function free_minor(minor: number): void {
  const i = DYNAMIC_MINORS - minor - 1;
  if (i < DYNAMIC_MINORS && i >= 0) s.misc_minors[i] = false;
}

/** Context: may sleep. Source: drivers/char/misc.c */
export function* misc_deregister(misc: miscdevice): Sleeps {
  if (WARN_ON(list_empty(misc.list))) return;
  yield* mutex_lock(s.misc_mtx);
  list_del(misc.list);
  yield* device_destroy(s.misc_class!, MKDEV(MISC_MAJOR, misc.minor));
  free_minor(misc.minor);
  mutex_unlock(s.misc_mtx);
}
EXPORT_SYMBOL(misc_deregister);

function misc_devnode(dev: device, mode: { value: number } | null): string | null {
  const c = dev_get_drvdata(dev);
  if (!(c instanceof miscdevice)) return null;
  if (mode && c.mode) mode.value = c.mode;
  return c.nodename ? kstrdup(c.nodename, GFP_KERNEL) : null;
}

function* misc_init(): Sleeps<number> {
  INIT_LIST_HEAD(s.misc_list);
  mutex_init(s.misc_mtx, "misc_mtx");
  const misc_class = yield* class_create(null, "misc");
  if (IS_ERR(misc_class)) return PTR_ERR(misc_class);
  s.misc_class = misc_class;
  if (yield* register_chrdev(MISC_MAJOR, "misc", misc_fops)) {
    pr_err("unable to get major %d for misc devices\n", MISC_MAJOR);
    return -EIO;
  }
  misc_class.devnode = misc_devnode;
  return 0;
}
subsys_initcall(misc_init);
