// SPDX-License-Identifier: GPL-2.0-only
/** Kernel threads. Source: kernel/kthread.c. Without parking, binding to a CPU and kthread workers. */
import { completion, complete_all, init_completion, wait_for_completion } from "../include/linux/completion.ts";
import { EINTR } from "../include/linux/errno.ts";
import { type printf_arg, sprintf } from "./lib/vsprintf.ts";
import { create_task, wake_up_process } from "./sched/core.ts";
import { might_sleep } from "./sched/debug.ts";
import { current, PF_KTHREAD, sched, TASK_UNINTERRUPTIBLE, type task_struct } from "./sched/task.ts";
import type { Sleeps } from "./sched/types.ts";
import { clock } from "./time/clock.ts";

/** @return what kthread_stop() gives */
export type kthread_function<T> = (data: T) => Sleeps<number>;

const TASK_COMM_LEN = 16;

class kthread {
  should_stop = false;
  result = 0;
  readonly exited = new completion();
  readonly threadfn: { readonly name: string };
  constructor(threadfn: { readonly name: string }) {
    this.threadfn = threadfn;
    init_completion(this.exited, "kthread->exited");
  }
}
const KTHREAD = Symbol("kthread");
function to_kthread(t: task_struct): kthread | null {
  const k = t.attached.get(KTHREAD);
  return k instanceof kthread ? k : null;
}

function* run_kthread<T>(k: kthread, threadfn: kthread_function<T>, data: T): Sleeps {
  // Stopped before it was ever woken: its function does not run at all.
  k.result = -EINTR;
  if (!k.should_stop) k.result = yield* threadfn(data);
  complete_all(k.exited);
}

/**
 * Makes a thread that does not run until it is woken. Process context.
 * The machine does not stay up for its sake, and nobody is told if it waits for ever.
 * @return the thread; ERR_PTR is never given, as there is always memory for it
 */
export function kthread_create<T>(
  threadfn: kthread_function<T>,
  data: T,
  fmt: string,
  ...args: readonly printf_arg[]
): task_struct {
  might_sleep();
  const k = new kthread(threadfn);
  const name = sprintf(fmt, ...args).slice(0, TASK_COMM_LEN - 1);
  const t = create_task(name, run_kthread(k, threadfn, data), PF_KTHREAD, true);
  t.attached.set(KTHREAD, k);
  // As if it had come as far as the schedule() that waits for the first wake-up.
  sched.runnable.splice(sched.runnable.indexOf(t), 1);
  t.state = TASK_UNINTERRUPTIBLE;
  t.asleep = true;
  t.blocked_since = clock.ns;
  t.waiting = { wchan: "kthread", what: "its first wake-up" };
  return t;
}
/** kthread_create() and wake_up_process(). */
export function kthread_run<T>(
  threadfn: kthread_function<T>,
  data: T,
  fmt: string,
  ...args: readonly printf_arg[]
): task_struct {
  const t = kthread_create(threadfn, data, fmt, ...args);
  wake_up_process(t);
  return t;
}
/** Whether the current thread was told to stop. */
export function kthread_should_stop(): boolean {
  return to_kthread(current())?.should_stop ?? false;
}
export function kthread_func(t: task_struct): { readonly name: string } | null {
  return to_kthread(t)?.threadfn ?? null;
}
/** Tells a thread to stop, wakes it and waits until it has. @return what its function returned; -EINTR if it never ran */
export function* kthread_stop(t: task_struct): Sleeps<number> {
  const k = to_kthread(t)!;
  k.should_stop = true;
  wake_up_process(t);
  yield* wait_for_completion(k.exited);
  return k.result;
}
