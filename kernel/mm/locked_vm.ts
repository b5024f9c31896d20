// SPDX-License-Identifier: GPL-2.0-only
/** Locked memory of processes, and kernel threads that take on their address space. Sources: mm/util.c, kernel/kthread.c */
import { WARN_ON_ONCE } from "../panic.ts";
import { current, type task_struct } from "../sched/task.ts";
import { task_rlimit } from "../signal.ts";
import { mmdrop, mmgrab, type mm_struct, set_task_mm } from "./mm_struct.ts";
import { PAGE_SHIFT } from "./page_size.ts";
import { ENOMEM } from "../../include/linux/errno.ts";
import { RLIMIT_MEMLOCK } from "../../include/uapi/linux/resource.ts";

/** Context: mmap_lock held for writing. @return 0, or -ENOMEM if the task's RLIMIT_MEMLOCK does not allow it */
export function __account_locked_vm(
  mm: mm_struct,
  pages: number,
  inc: boolean,
  task: task_struct,
  bypass_rlim: boolean,
): number {
  const n = BigInt(pages);
  if (!inc) {
    WARN_ON_ONCE(n > mm.locked_vm);
    mm.locked_vm -= n;
    return 0;
  }
  if (!bypass_rlim && mm.locked_vm + n > task_rlimit(task, RLIMIT_MEMLOCK) >> BigInt(PAGE_SHIFT)) return -ENOMEM;
  mm.locked_vm += n;
  return 0;
}

/** A kernel thread takes on an address space, which the caller keeps alive. */
export function kthread_use_mm(mm: mm_struct): void {
  mmgrab(mm);
  set_task_mm(current(), mm);
}
export function kthread_unuse_mm(mm: mm_struct): void {
  set_task_mm(current(), null);
  mmdrop(mm);
}
