// SPDX-License-Identifier: GPL-2.0-only
/** /dev/console: a character device to have open. What is written to it goes nowhere, and nothing is ever typed on it. */
import { type file, type file_operations, noop_llseek } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { MKDEV } from "#linux/kdev_t.ts";
import type { Sleeps } from "../sched/types.ts";
import { register_chrdev } from "./char_dev.ts";
import { devtmpfs_create_node } from "./devtmpfs.ts";

const TTYAUX_MAJOR = 5;

const console_open = (): number => 0;
const console_write = (_file: file, _buf: bigint, count: number): number => count;
const console_read = (): number => 0;
const console_fops: file_operations = {
  open: console_open,
  read: console_read,
  write: console_write,
  llseek: noop_llseek,
};

function* console_init(): Sleeps<number> {
  const err = yield* register_chrdev(TTYAUX_MAJOR, "/dev/console", console_fops);
  if (err < 0) return err;
  return yield* devtmpfs_create_node("console", MKDEV(TTYAUX_MAJOR, 1), 0o600);
}
fs_initcall(console_init);
