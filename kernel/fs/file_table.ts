// SPDX-License-Identifier: GPL-2.0-only
/** Open files: made, counted, and released when the task that dropped the last reference leaves the kernel. */
import { atomic_dec_and_test, atomic_set } from "#linux/atomic.ts";
import { BUG_ON } from "#linux/bug.ts";
import { cdev_put } from "#linux/cdev.ts";
import { current_cred } from "#linux/cred.ts";
import { ERR_PTR, IS_ERR } from "#linux/err.ts";
import { ENOMEM } from "#linux/errno.ts";
import { O_ACCMODE } from "#linux/fcntl.ts";
import {
  file,
  type file_operations,
  FMODE_CAN_READ,
  FMODE_CAN_WRITE,
  FMODE_LSEEK,
  FMODE_OPENED,
  FMODE_PATH,
  FMODE_READ,
  FMODE_WRITE,
  fops_put,
  type inode,
  iput,
} from "#linux/fs.ts";
import { mutex_init } from "#linux/mutex.ts";
import { early_initcall } from "#linux/init.ts";
import {
  GFP_KERNEL,
  type kmem_cache,
  kmem_cache_create,
  kmem_cache_free,
  kmem_cache_zalloc,
  SLAB_ACCOUNT,
  SLAB_HWCACHE_ALIGN,
  SLAB_PANIC,
} from "#linux/slab.ts";
import { spin_lock_init } from "#linux/spinlock.ts";
import { S_IFCHR, S_IFMT } from "#linux/stat.ts";
import { type callback_head, init_task_work, task_work_add, TWA_RESUME } from "#linux/task_work.ts";
import { container_of } from "#linux/types.ts";
import { delayed_work, INIT_DELAYED_WORK, schedule_delayed_work, type work_struct } from "#linux/workqueue.ts";
import { per_boot } from "../boot.ts";
import { kbuild } from "../modpost.ts";
import { might_sleep } from "../sched/debug.ts";
import { either } from "../sched/either.ts";
import { current, in_interrupt, PF_KTHREAD } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";

const { EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  filp_cachep: null as kmem_cache<file> | null,
  /** Dropped where no task would take care of them; newest last. */
  delayed_fput_list: [] as file[],
  delayed_fput_work: new delayed_work(),
}));

const open_fmode = (flags: number): number => (flags + 1) & O_ACCMODE;

/** Cred references are not counted here, and RCU is not needed: nobody looks a file up without holding the table. */
function file_free(f: file): void {
  kmem_cache_free(s.filp_cachep!, f);
}

/** @flags: O_ flags. @return a file that is not opened yet, with one reference, or ERR_PTR. Source: fs/file_table.c */
export function alloc_empty_file(flags: number): file {
  const f = kmem_cache_zalloc(s.filp_cachep!, GFP_KERNEL);
  if (!f) return ERR_PTR(-ENOMEM);
  f.f_cred = current_cred();
  atomic_set(f.f_count, 1);
  spin_lock_init(f.f_lock);
  mutex_init(f.f_pos_lock);
  f.f_flags = flags;
  f.f_mode = open_fmode(flags);
  return f;
}

/**
 * A file that no path leads to.
 * @inode: the caller's reference goes to the file on success; @name: what /proc shows; @flags: O_ flags;
 * @fop: the caller holds the module
 * @return the file or ERR_PTR. Any context. Source: fs/file_table.c
 */
export function alloc_file_pseudo(inode: inode, name: string, flags: number, fop: file_operations): file {
  const f = alloc_empty_file(flags);
  if (IS_ERR(f)) return f;
  f.$path = name;
  f.f_inode = inode;
  f.f_mapping = inode.i_mapping;
  if (fop.llseek) f.f_mode |= FMODE_LSEEK;
  if (f.f_mode & FMODE_READ && fop.read) f.f_mode |= FMODE_CAN_READ;
  if (f.f_mode & FMODE_WRITE && fop.write) f.f_mode |= FMODE_CAN_WRITE;
  f.f_mode |= FMODE_OPENED;
  f.f_op = fop;
  return f;
}
EXPORT_SYMBOL(alloc_file_pseudo);

/** Nobody uses the file any more. */
function* __fput(f: file): Sleeps {
  const inode = f.f_inode;
  const mode = f.f_mode;
  if (mode & FMODE_OPENED) {
    might_sleep();
    if (f.f_op!.release) yield* either(f.f_op!.release(inode!, f));
    if ((inode!.i_mode & S_IFMT) === S_IFCHR && inode!.i_cdev && !(mode & FMODE_PATH)) yield* cdev_put(inode!.i_cdev);
    fops_put(f.f_op);
    yield* iput(inode);
  }
  file_free(f);
}

function* delayed_fput(unused: work_struct | null): Sleeps {
  // A lock-free list is taken off newest first.
  const list = s.delayed_fput_list.reverse();
  s.delayed_fput_list = [];
  for (const f of list) yield* __fput(f);
}
function ____fput(work: callback_head): Sleeps {
  return __fput(container_of(work, file, "f_rcuhead"));
}
/** Releases at once what kernel threads and interrupts have dropped. Context: may sleep. Source: fs/file_table.c */
export function flush_delayed_fput(): Sleeps {
  return delayed_fput(null);
}
EXPORT_SYMBOL_GPL(flush_delayed_fput);

/**
 * Drops a reference. The last one releases the file when the current process leaves the kernel, or in a work, a tick
 * later, if it is a kernel thread, an interrupt, or past the end of its exit.
 * Any context. Source: fs/file_table.c
 */
export function fput(f: file): void {
  if (!atomic_dec_and_test(f.f_count)) return;
  const task = current();
  if (!in_interrupt() && !(task.flags & PF_KTHREAD)) {
    init_task_work(f.f_rcuhead, ____fput);
    if (!task_work_add(task, f.f_rcuhead, TWA_RESUME)) return;
  }
  s.delayed_fput_list.push(f);
  if (s.delayed_fput_list.length === 1) schedule_delayed_work(s.delayed_fput_work, 1);
}
EXPORT_SYMBOL(fput);

/** fput() that releases at once. Context: kernel thread, may sleep. Source: fs/file_table.c */
export function* __fput_sync(f: file): Sleeps {
  if (!atomic_dec_and_test(f.f_count)) return;
  BUG_ON(!(current().flags & PF_KTHREAD));
  yield* __fput(f);
}
EXPORT_SYMBOL(__fput_sync);

function files_init(): number {
  INIT_DELAYED_WORK(s.delayed_fput_work, delayed_fput, "delayed_fput_work");
  s.filp_cachep = kmem_cache_create("filp", file, 0, SLAB_HWCACHE_ALIGN | SLAB_PANIC | SLAB_ACCOUNT, null);
  return 0;
}
early_initcall(files_init);
