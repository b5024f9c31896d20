// SPDX-License-Identifier: GPL-2.0-only
/**
 * Signals of processes with one thread each. Stopping and continuing, real-time queues, blocked signals and core dumps
 * are not here; a signal whose default is to stop the process is refused.
 */
import { EINVAL, ENOSYS, EPERM, ESRCH } from "#linux/errno.ts";
import {
  _NSIG,
  SIGABRT,
  SIGBUS,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGQUIT,
  SIGSEGV,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
} from "#linux/signal.ts";
import { embed, int, opaque, ptr, struct, u32 } from "#linux/types.ts";
import { RLIM_INFINITY, RLIM_NLIMITS, RLIMIT_MEMLOCK, RLIMIT_NOFILE } from "#uapi/linux/resource.ts";
import { init_waitqueue_head, wait_queue_head_t } from "#linux/wait.ts";
import { per_boot } from "./boot.ts";
import { cred_of, current_euid } from "./cred.ts";
import { kbuild } from "./modpost.ts";
import { happenings } from "./outside.ts";
import { try_to_wake_up } from "./sched/core.ts";
import {
  current,
  PF_EXITING,
  PF_KTHREAD,
  sched,
  TASK_INTERRUPTIBLE,
  type task_struct,
  TASK_WAKEKILL,
} from "./sched/task.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

export const SIG_DFL = 0;
export const SIG_IGN = 1;
/** What a process does on a signal: one of the two above, or 2 and up for a function of its own. */
export interface k_sigaction {
  readonly handler: number;
  /** SA_RESTART. */
  readonly flags: number;
}

export const SIGNAL_GROUP_EXIT = 0x4;
export const EXIT_ZOMBIE = 0x20;
export const EXIT_DEAD = 0x10;

/** What belongs to a process rather than to its thread. Kernel threads have none. */
export class signal_struct extends struct("signal_struct", {
  flags: u32(),
  group_exit_code: int(),
  exit_state: int(),
  wait_chldexit: embed(() => wait_queue_head_t),
  parent: ptr<task_struct>(),
  children: opaque<task_struct[]>(() => []),
  action: opaque<Map<number, k_sigaction>>(() => new Map()),
  rlim: opaque<bigint[]>(init_rlimits),
}) {}

function init_rlimits(): bigint[] {
  const rlim = new Array<bigint>(RLIM_NLIMITS).fill(RLIM_INFINITY);
  rlim[RLIMIT_NOFILE] = 1024n;
  rlim[RLIMIT_MEMLOCK] = 8n << 20n;
  return rlim;
}

const SIGNAL: unique symbol = Symbol("signal");
const s = per_boot(() => ({ init_rlim: init_rlimits() }));

export function signal_of(t: task_struct): signal_struct | null {
  const own = t.attached.get(SIGNAL);
  return own instanceof signal_struct ? own : null;
}
/** Makes `t` a process, a child of @parent. */
export function copy_signal(parent: task_struct | null, t: task_struct): signal_struct {
  const sig = new signal_struct();
  const from = parent && signal_of(parent);
  init_waitqueue_head(sig.wait_chldexit);
  sig.parent = parent;
  if (from) {
    sig.action = new Map(from.action);
    sig.rlim = [...from.rlim];
    from.children.push(t);
  }
  t.attached.set(SIGNAL, sig);
  return sig;
}

/** @limit: RLIMIT_ number. @return the soft limit, RLIM_INFINITY for none. Any context. Source: include/linux/sched/signal.h */
export function task_rlimit(t: task_struct, limit: number): bigint {
  return (signal_of(t)?.rlim ?? s.init_rlim)[limit] ?? RLIM_INFINITY;
}
export function rlimit(limit: number): bigint {
  return task_rlimit(current(), limit);
}

export function signal_pending(t: task_struct): boolean {
  return t.pending_signals.length > 0;
}
export function fatal_signal_pending(t: task_struct): boolean {
  return signal_pending(t) && t.fatal_signal;
}

const DEFAULT_IGNORE: readonly number[] = [SIGCHLD, SIGCONT, SIGWINCH, SIGURG];
const DEFAULT_STOP: readonly number[] = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU];
/** QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS */
const DEFAULT_CORE: readonly number[] = [SIGQUIT, 4, 5, SIGABRT, SIGBUS, 8, SIGSEGV, 24, 25, 31];

export function sig_handler(sig: signal_struct, signr: number): k_sigaction {
  return sig.action.get(signr) ?? { handler: SIG_DFL, flags: 0 };
}
function sig_ignored(sig: signal_struct, signr: number): boolean {
  const { handler } = sig_handler(sig, signr);
  return handler === SIG_IGN || (handler === SIG_DFL && DEFAULT_IGNORE.includes(signr));
}
function sig_fatal(sig: signal_struct, signr: number): boolean {
  return sig_handler(sig, signr).handler === SIG_DFL && !DEFAULT_IGNORE.includes(signr);
}

function signal_wake_up(t: task_struct, fatal: boolean): void {
  try_to_wake_up(t, fatal ? TASK_INTERRUPTIBLE | TASK_WAKEKILL : TASK_INTERRUPTIBLE);
}
function complete_signal(signr: number, t: task_struct, sig: signal_struct): void {
  if (t.flags & PF_EXITING) return;
  if (sig_fatal(sig, signr) && !DEFAULT_CORE.includes(signr)) {
    sig.flags = SIGNAL_GROUP_EXIT;
    sig.group_exit_code = signr;
    t.fatal_signal = true;
    signal_wake_up(t, true);
    return;
  }
  signal_wake_up(t, signr === SIGKILL);
}

/**
 * Sends a signal to a process, or drops it if the process ignores it, is exiting, or has the same one pending.
 * @priv: sent by the kernel, not by a process (no difference here)
 * @return 0; -EINVAL for a number that is no signal, -ENOSYS for one that would stop the process. Any context.
 * Source: kernel/signal.c
 */
export function send_sig(signr: number, t: task_struct, priv: number): number {
  if (signr < 0 || signr > _NSIG) return -EINVAL;
  const sig = signal_of(t);
  // A kernel thread ignores every signal that it did not ask for.
  if (signr === 0 || !sig || t.flags & PF_KTHREAD) return 0;
  if (DEFAULT_STOP.includes(signr) && sig_handler(sig, signr).handler === SIG_DFL) return -ENOSYS;
  if (sig.flags & SIGNAL_GROUP_EXIT || sig_ignored(sig, signr) || t.pending_signals.includes(signr)) return 0;
  t.pending_signals.push(signr);
  complete_signal(signr, t, sig);
  return 0;
}
EXPORT_SYMBOL(send_sig);

export function force_sig(signr: number): void {
  const t = current();
  signal_of(t)?.action.delete(signr);
  send_sig(signr, t, 1);
}
EXPORT_SYMBOL(force_sig);

happenings("signal", () =>
  sched.tasks
    .filter((t) => signal_of(t) !== null && !(t.flags & (PF_KTHREAD | PF_EXITING)))
    .filter((t) => !t.pending_signals.includes(SIGKILL))
    .map((t) => ({ name: `${t.comm}/${t.pid} is killed`, happen: () => void send_sig(SIGKILL, t, 1) })),
);

export function find_task_by_vpid(pid: number): task_struct | null {
  return sched.tasks.find((t) => t.pid === pid) ?? null;
}

/** kill(2) to one process. @return 0, -ESRCH, -EPERM, or what send_sig() gives. Any context. Source: kernel/signal.c */
export function kill_pid(pid: number, signr: number, priv: number): number {
  if (signr < 0 || signr > _NSIG) return -EINVAL;
  const t = find_task_by_vpid(pid);
  if (!t) return -ESRCH;
  if (!priv && current_euid() !== 0 && current_euid() !== cred_of(t).uid) return -EPERM;
  return send_sig(signr, t, priv);
}
EXPORT_SYMBOL(kill_pid);

/** What the current task has to do about its signals before it returns to user space. */
export type signal_action =
  | { readonly kind: "none" }
  | { readonly kind: "fatal"; readonly signr: number }
  | { readonly kind: "handler"; readonly signr: number; readonly action: k_sigaction };

/** Takes the next signal that asks for something. Context: process, on the way out of the kernel. Source: kernel/signal.c */
export function get_signal(): signal_action {
  const t = current();
  const sig = signal_of(t);
  if (!sig) return { kind: "none" };
  if (sig.flags & SIGNAL_GROUP_EXIT) {
    // The signal itself stays pending while the task exits, as in Linux: an interruptible sleep ends at once there.
    t.fatal_signal = false;
    return { kind: "fatal", signr: sig.group_exit_code };
  }
  for (let signr = dequeue_signal(t); signr !== null; signr = dequeue_signal(t)) {
    const action = sig_handler(sig, signr);
    if (sig_ignored(sig, signr)) continue;
    if (action.handler !== SIG_DFL) return { kind: "handler", signr, action };
    return { kind: "fatal", signr };
  }
  return { kind: "none" };
}
/** The lowest number first. */
function dequeue_signal(t: task_struct): number | null {
  if (t.pending_signals.length === 0) return null;
  const signr = Math.min(...t.pending_signals);
  t.pending_signals.splice(t.pending_signals.indexOf(signr), 1);
  return signr;
}
