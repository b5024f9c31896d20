// SPDX-License-Identifier: GPL-2.0-only
/** /dev/null, /dev/zero and /dev/full. In Linux this is drivers/char/mem.c; real memory and random numbers are not here. */
import { type class_, class_create, type device, device_create } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, ENODEV, ENOSPC, ENXIO } from "#linux/errno.ts";
import { type file, type file_operations, iminor, type inode, noop_llseek, replace_fops } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { MKDEV } from "#linux/kdev_t.ts";
import { clear_user } from "#linux/uaccess.ts";
import { per_boot } from "../boot.ts";
import { pr_err } from "../printk.ts";
import { either } from "../sched/either.ts";
import type { Sleeps } from "../sched/types.ts";
import { register_chrdev } from "./char_dev.ts";

const MEM_MAJOR = 1;

const s = per_boot(() => ({ mem_class: null as class_ | null }));

function* read_zero(_file: file, buf: bigint, count: number): Sleeps<number> {
  const left = yield* clear_user(buf, count);
  return count && left === count ? -EFAULT : count - left;
}

const null_fops: file_operations = {
  llseek: noop_llseek,
  read: () => 0,
  write: (_file, _buf, count) => count,
};
const zero_fops: file_operations = { ...null_fops, read: read_zero };
const full_fops: file_operations = { ...zero_fops, write: () => -ENOSPC };

interface memdev {
  readonly name: string;
  readonly mode: number;
  readonly fops: file_operations;
}
/** By minor number. */
const devlist: ReadonlyMap<number, memdev> = new Map([
  [3, { name: "null", mode: 0o666, fops: null_fops }],
  [5, { name: "zero", mode: 0o666, fops: zero_fops }],
  [7, { name: "full", mode: 0o666, fops: full_fops }],
]);

function* memory_open(inode: inode, filp: file): Sleeps<number> {
  const dev = devlist.get(iminor(inode));
  if (!dev) return -ENXIO;

  replace_fops(filp, dev.fops);

  if (dev.fops.open) return yield* either(dev.fops.open(inode, filp));

  return 0;
}

const memory_fops: file_operations = { open: memory_open, llseek: noop_llseek };

function mem_devnode(dev: device, mode: { value: number } | null): string | null {
  const known = devlist.get(dev.devt & 0xfffff);
  if (mode && known) mode.value = known.mode;
  return null;
}

function* chr_dev_init(): Sleeps<number> {
  if (yield* register_chrdev(MEM_MAJOR, "mem", memory_fops)) {
    pr_err("unable to get major %d for memory devs\n", MEM_MAJOR);
    return -ENODEV;
  }

  const mem_class = yield* class_create(null, "mem");
  if (IS_ERR(mem_class)) return PTR_ERR(mem_class);
  s.mem_class = mem_class;
  mem_class.devnode = mem_devnode;
  for (const [minor, { name }] of devlist) yield* device_create(mem_class, null, MKDEV(MEM_MAJOR, minor), null, name);

  return 0;
}
fs_initcall(chr_dev_init);
