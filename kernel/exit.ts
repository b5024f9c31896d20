// SPDX-License-Identifier: GPL-2.0-only
/** The end of a process, and waiting for it. */
import { ECHILD, EINVAL, ERESTARTSYS } from "#linux/errno.ts";
import { exit_files } from "#linux/fdtable.ts";
import { SIGCHLD } from "#linux/signal.ts";
import {
  add_wait_queue,
  init_waitqueue_entry,
  remove_wait_queue,
  wait_queue_entry_t,
  wake_up_interruptible,
} from "#linux/wait.ts";
import { exit_mm } from "./fs/mmap.ts";
import { kcsan_acquire, kcsan_release } from "./kcsan/order.ts";
import { schedule, set_current_state } from "./sched/core.ts";
import {
  current,
  PF_EXITING,
  TASK_INTERRUPTIBLE,
  TASK_RUNNING,
  type task_struct,
  type waits_for,
} from "./sched/task.ts";
import type { Sleeps, Spins } from "./sched/types.ts";
import {
  EXIT_DEAD,
  EXIT_ZOMBIE,
  send_sig,
  SIG_IGN,
  sig_handler,
  SIGNAL_GROUP_EXIT,
  signal_of,
  signal_pending,
} from "./signal.ts";
import { exit_task_work } from "./task_work.ts";

export const WNOHANG = 1;

/** Children go to nobody, who reaps them as soon as they are dead. */
function forget_original_parent(t: task_struct): void {
  for (const child of signal_of(t)?.children ?? []) {
    const sig = signal_of(child)!;
    sig.parent = null;
    if (sig.exit_state === EXIT_ZOMBIE) sig.exit_state = EXIT_DEAD;
  }
}

function* exit_notify(t: task_struct): Spins {
  forget_original_parent(t);
  const sig = signal_of(t);
  if (!sig) return;
  sig.exit_state = EXIT_ZOMBIE;
  kcsan_release(sig);
  const parent = sig.parent;
  const psig = parent && signal_of(parent);
  if (!parent || !psig) {
    sig.exit_state = EXIT_DEAD;
    return;
  }
  // Who ignores SIGCHLD on purpose does not want to reap.
  if (sig_handler(psig, SIGCHLD).handler === SIG_IGN) {
    sig.exit_state = EXIT_DEAD;
    psig.children.splice(psig.children.indexOf(t), 1);
  } else send_sig(SIGCHLD, parent, 1);
  yield* wake_up_interruptible(psig.wait_chldexit);
}

/**
 * Ends the current process as far as the kernel is concerned; its generator returns right after this.
 * Memory first, then descriptors in order, then what they left to do, newest first.
 * @code: as wait4(2) reports it: exit status << 8, or the signal. Context: process. Source: kernel/exit.c
 */
export function* do_exit(code: number): Sleeps {
  const t = current();
  t.flags |= PF_EXITING;
  t.exit_code = code;
  yield* exit_mm(t);
  yield* exit_files(t);
  yield* exit_task_work(t);
  // Locks that are still held are looked for where the task ends (task_exit_checks).
  yield* exit_notify(t);
}

/** What exit_group(2) and fatal signals do. Signals sent from here on are dropped. Source: kernel/exit.c */
export function do_group_exit(exit_code: number): Sleeps {
  const sig = signal_of(current());
  let code = exit_code;
  if (sig) {
    if (sig.flags & SIGNAL_GROUP_EXIT) code = sig.group_exit_code;
    else {
      sig.group_exit_code = code;
      sig.flags = SIGNAL_GROUP_EXIT;
    }
  }
  return do_exit(code);
}

const WAITING: waits_for = { wchan: "do_wait", what: "a child to exit" };

/** @return the pid of a dead child that was reaped, 0 if there is one that is not dead, -ECHILD if there is none */
function wait_consider(pid: number, status: { value: number }): number {
  const sig = signal_of(current())!;
  const mine = sig.children.filter((c) => pid === -1 || c.pid === pid);
  const dead = mine.find((c) => signal_of(c)!.exit_state === EXIT_ZOMBIE);
  if (!dead) return mine.length ? 0 : -ECHILD;
  signal_of(dead)!.exit_state = EXIT_DEAD;
  kcsan_acquire(signal_of(dead)!);
  sig.children.splice(sig.children.indexOf(dead), 1);
  status.value = dead.exit_code;
  return dead.pid;
}

/**
 * wait4(2).
 * @pid: a child, or -1 for any; @options: WNOHANG or 0; @status: the exit code is left there
 * @return the child's pid, 0 with WNOHANG if none is dead, or errno. Context: process. Source: kernel/exit.c
 */
export function* kernel_wait4(pid: number, status: { value: number }, options: number): Sleeps<number> {
  if (options & ~WNOHANG) return -EINVAL;
  const queue = signal_of(current())!.wait_chldexit;
  const wait = new wait_queue_entry_t();
  init_waitqueue_entry(wait, current());
  yield* add_wait_queue(queue, wait);
  let retval: number;
  for (;;) {
    set_current_state(TASK_INTERRUPTIBLE);
    retval = wait_consider(pid, status);
    if (retval || options & WNOHANG) break;
    if (signal_pending(current())) {
      retval = -ERESTARTSYS;
      break;
    }
    yield* schedule(WAITING);
  }
  set_current_state(TASK_RUNNING);
  yield* remove_wait_queue(queue, wait);
  return retval;
}
