// SPDX-License-Identifier: GPL-2.0-only
/** Work that a task does before it returns to user space, newest first: the list is a stack, as in Linux. */
import { type callback_head, TWA_SIGNAL } from "#linux/task_work.ts";
import { kbuild } from "./modpost.ts";
import { cond_resched, try_to_wake_up } from "./sched/core.ts";
import { current, PF_EXITING, TASK_INTERRUPTIBLE, type task_struct } from "./sched/task.ts";
import type { Sleeps } from "./sched/types.ts";
import { ESRCH } from "#linux/errno.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** There while the task has run its last works: nothing can be added any more. */
const WORK_EXITED: unique symbol = Symbol("work_exited");

/**
 * Has @task call `work.func(work)` when it next leaves the kernel, or exits.
 * @notify: TWA_RESUME waits for that, TWA_SIGNAL ends an interruptible sleep first
 * @return 0, or -ESRCH if the task is past the point where it would. Any context. Source: kernel/task_work.c
 */
export function task_work_add(task: task_struct, work: callback_head, notify: number): number {
  if (task.attached.has(WORK_EXITED)) return -ESRCH;
  task.task_works.push(() => work.func!(work));
  if (notify === TWA_SIGNAL) try_to_wake_up(task, TASK_INTERRUPTIBLE);
  return 0;
}
EXPORT_SYMBOL_GPL(task_work_add);

/** Runs what the current task has to do. Context: process, on the way out of the kernel. Source: kernel/task_work.c */
export function* task_work_run(): Sleeps {
  const task = current();
  for (;;) {
    const works = task.task_works;
    if (works.length === 0) {
      if (task.flags & PF_EXITING) task.attached.set(WORK_EXITED, task);
      break;
    }
    // What they add themselves comes after all of these.
    task.task_works = [];
    for (const work of works.reverse()) {
      yield* work();
      yield* cond_resched();
    }
  }
}

export function exit_task_work(task: task_struct): Sleeps {
  return task_work_run();
}
