// SPDX-License-Identifier: GPL-2.0-only
/**
 * /sys/kernel/debug/kmemleak: `scan` and `clear` are written to it, what was found is read. There is no thread that scans by itself, nor
 * does a first scan only note checksums. Source: mm/kmemleak.c
 */
import { debugfs_create_file } from "#linux/debugfs.ts";
import { EFAULT, EINVAL, EPERM } from "#linux/errno.ts";
import type { file, file_operations, inode, loff_ptr } from "#linux/fs.ts";
import { late_initcall } from "#linux/init.ts";
import { DEFINE_MUTEX, mutex_lock_interruptible, mutex_unlock } from "#linux/mutex.ts";
import { pr_info } from "#linux/printk.ts";
import { type seq_file, seq_puts, seq_read, single_open, single_release } from "#linux/seq_file.ts";
import { kbuf, type Sleeps } from "#linux/types.ts";
import { copy_from_user } from "#linux/uaccess.ts";
import { per_boot_books } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { current, sched } from "../sched/task.ts";
import { HZ, jiffies } from "../time/clock.ts";
import {
  kmemleak_no_scan,
  paint_grey,
  report_unreferenced,
  unreferenced_objects,
  unreferenced_text,
} from "./kmemleak.ts";
import type { mem_object } from "./object.ts";

/** Younger objects are not called leaked, in jiffies. */
const jiffies_min_age = 5 * HZ;

const s = per_boot_books(() => ({
  scan_mutex: DEFINE_MUTEX("scan_mutex"),
  enabled: true,
  stack_scan: true,
  /** What the last scan found, oldest first. */
  white: [] as mem_object[],
}));
kmemleak_no_scan(s);

/** What the task that asks made in earlier calls, none of its local variables holds any more. */
function scan(): void {
  const idle = new Set(s.stack_scan ? [current()] : sched.tasks);
  s.white = unreferenced_objects({ born_until: jiffies() - jiffies_min_age, idle });
  const found = report_unreferenced(s.white).length;
  if (found > 0) pr_info("kmemleak: %d new suspected memory leaks (see /sys/kernel/debug/kmemleak)\n", found);
}

function* kmemleak_show(m: seq_file): Sleeps<number> {
  const err = yield* mutex_lock_interruptible(s.scan_mutex);
  if (err < 0) return err;
  for (const mem of s.white) if (!mem.freed) seq_puts(m, `${unreferenced_text(mem)}\n`);
  mutex_unlock(s.scan_mutex);
  return 0;
}
function kmemleak_open(_inode: inode, f: file): number {
  return single_open(f, kmemleak_show, null);
}

/** @return 0 or -errno */
function obey(command: string): number {
  if (command.startsWith("clear")) {
    paint_grey(s.white);
    s.white = [];
    return 0;
  }
  if (!s.enabled) return -EPERM;
  if (command.startsWith("off")) {
    s.enabled = false;
    pr_info("kmemleak: Kernel memory leak detector disabled\n");
  } else if (command.startsWith("stack=on")) s.stack_scan = true;
  else if (command.startsWith("stack=off")) s.stack_scan = false;
  else if (command.startsWith("scan") && !command.startsWith("scan=")) scan();
  else return -EINVAL;
  return 0;
}
function* kmemleak_write(_f: file, buf: bigint, size: number, ppos: loff_ptr): Sleeps<number> {
  const text = new kbuf(63);
  if (yield* copy_from_user(text, buf, Math.min(size, text.length))) return -EFAULT;
  let ret = yield* mutex_lock_interruptible(s.scan_mutex);
  if (ret < 0) return ret;
  ret = obey(String.fromCharCode(...text.$bytes));
  mutex_unlock(s.scan_mutex);
  if (ret < 0) return ret;
  ppos.value += BigInt(size);
  return size;
}

const kmemleak_fops: file_operations = {
  open: kmemleak_open,
  read: seq_read,
  write: kmemleak_write,
  release: single_release,
};

function kmemleak_late_init(): number {
  if (checkers.on) debugfs_create_file("kmemleak", 0o644, null, null, kmemleak_fops);
  return 0;
}
late_initcall(kmemleak_late_init);
