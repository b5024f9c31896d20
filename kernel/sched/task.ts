// SPDX-License-Identifier: GPL-2.0-only
/** Tasks and the CPUs they run on. */
import { per_boot_books } from "../boot.ts";
import type { running_context } from "../kcsan/order.ts";
import type { held_lock } from "../locking/lockdep.ts";
import type { stack_frame } from "../stacktrace.ts";
import type { CpuPoint, Sleeps, SleepPoint } from "./types.ts";

export const TASK_RUNNING = 0;
export const TASK_INTERRUPTIBLE = 1;
export const TASK_UNINTERRUPTIBLE = 2;
export const TASK_DEAD = 0x80;
export const TASK_WAKEKILL = 0x100;
export const TASK_KILLABLE = TASK_WAKEKILL | TASK_UNINTERRUPTIBLE;
export const TASK_NOLOAD = 0x400;
export const TASK_IDLE = TASK_UNINTERRUPTIBLE | TASK_NOLOAD;
export const TASK_NORMAL = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE;

export const PF_IDLE = 0x2;
export const PF_EXITING = 0x4;
export const PF_WQ_WORKER = 0x20;
export const PF_KTHREAD = 0x200000;

/** preempt_count(): nesting of preempt_disable(), of softirqs, of hard interrupts. */
export const PREEMPT_OFFSET = 1;
export const SOFTIRQ_OFFSET = 0x100;
export const HARDIRQ_OFFSET = 0x10000;

/** What a waiting task waits for, for those who report hangs. */
export interface waits_for {
  /** As /proc/PID/wchan would say. */
  readonly wchan: string;
  /** The lock, completion or queue, in words. */
  readonly what: string;
  readonly owner?: () => task_struct | null;
}

export class cpu {
  readonly id: number;
  /** Who occupies the CPU: running, or switched out without having let go of it. The idle task never does. */
  curr: task_struct | null = null;
  /** Runs interrupts and timers when nobody else is here; made when it is needed for the first time. */
  idle: task_struct | null = null;
  constructor(id: number) {
    this.id = id;
  }
}

export class task_struct {
  readonly pid: number;
  comm: string;
  flags: number;
  state = TASK_RUNNING;
  /** Has given up its CPU until somebody wakes it. Not the same as `state`, which is set before that. */
  asleep = false;
  readonly body: Iterator<CpuPoint | SleepPoint, void, void>;
  cpu: cpu | null = null;
  preempt_count = 0;
  irqs_disabled = false;
  /** Number of the task's last switch out, on the virtual clock: what the hung-task check looks at. */
  blocked_since = 0;
  waiting: waits_for | null = null;
  /** The stack on which the task gave up its CPU last. */
  slept_at: (() => readonly stack_frame[]) | null = null;
  /** Set while the task spins: the condition that would let it go on. */
  spins_until: (() => boolean) | null = null;
  /** Signals sent and not taken, and whether one of them is fatal. */
  pending_signals: number[] = [];
  fatal_signal = false;
  /** Work to do before the task returns to user space: deferred fput() above all. */
  task_works: (() => Sleeps)[] = [];
  /** Locks that it holds or is about to take, outermost first: kernel/locking/lockdep.ts. */
  readonly held_locks: held_lock[] = [];
  exit_code = 0;
  /** What it does now, in the order that the race checker keeps; null until there is any. */
  kcsan_ctx: running_context | null = null;
  /** Of attached, once there is any; without a `#`, behind which the leak checker does not look. */
  attachments: Map<symbol, object> | null = null;
  /** A task that waits for ever without anybody minding: workers and other daemons. */
  daemon: boolean;

  constructor(pid: number, comm: string, body: Sleeps, flags: number, daemon: boolean) {
    this.pid = pid;
    this.comm = comm;
    this.body = body[Symbol.iterator]();
    this.flags = flags;
    this.daemon = daemon;
  }

  /** Process-wide things, each kept by the file that knows them (open files, memory, …). */
  get attached(): Map<symbol, object> {
    return (this.attachments ??= new Map<symbol, object>());
  }

  get preemptible(): boolean {
    return this.preempt_count === 0 && !this.irqs_disabled;
  }
}

/** What is looked at when a task's body has ended, still in its context. Filled at file scope. */
export const task_exit_checks: ((t: task_struct) => void)[] = [];

/** The tasks and CPUs of this boot. */
export const sched = per_boot_books(() => ({
  cpus: [] as cpu[],
  /** Runnable tasks that hold no CPU, in the order in which they became so. */
  runnable: [] as task_struct[],
  tasks: [] as task_struct[],
  current: null as task_struct | null,
  next_pid: 1,
}));

/** The task that runs now. Kernel code always runs in one. */
export function current(): task_struct {
  if (!sched.current) throw new Error("no task is running: kernel code was called from outside the machine");
  return sched.current;
}

export function smp_processor_id(): number {
  return sched.current?.cpu?.id ?? 0;
}
export function in_hardirq(): boolean {
  return current().preempt_count >= HARDIRQ_OFFSET;
}
export function in_interrupt(): boolean {
  return current().preempt_count >= SOFTIRQ_OFFSET;
}
export function in_task(): boolean {
  return !in_interrupt();
}
export function in_atomic(): boolean {
  return current().preempt_count !== 0;
}
export function irqs_disabled(): boolean {
  return current().irqs_disabled;
}
export function preempt_count(): number {
  return current().preempt_count;
}
export function preempt_disable(): void {
  current().preempt_count += PREEMPT_OFFSET;
}
export function preempt_enable(): void {
  current().preempt_count -= PREEMPT_OFFSET;
}
