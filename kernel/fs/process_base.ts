// SPDX-License-Identifier: GPL-2.0-only
/**
 * A user process between its system calls: entry to the kernel, and the way back, where deferred work runs and signals
 * are taken. The calls themselves are in syscalls.ts.
 */
import { ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS, EINTR } from "#linux/errno.ts";
import { lockdep_sys_exit } from "#linux/lockdep.ts";
import { SA_RESTART } from "#linux/signal.ts";
import { type mm_struct, task_mm } from "../mm/mm_struct.ts";
import { cond_resched } from "../sched/core.ts";
import { current, type task_struct } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { do_group_exit } from "../exit.ts";
import { get_signal } from "../signal.ts";
import { task_work_run } from "../task_work.ts";
import { traced } from "../trace/emitter.ts";
import { trace_sys_enter, trace_sys_exit } from "../trace/events.ts";

/** Unwinds the program of a process that is to end. Thrown outside the kernel only, and caught by the process itself. */
class process_end extends Error {
  readonly code: number;
  constructor(code: number) {
    super("the process ends");
    this.code = code;
  }
}

/** A function of the program that runs on a signal, after the system call that it interrupted. */
export type signal_handler = (signr: number) => Sleeps;

/** Numbers that the kernel never lets out of a system call. */
const RESTART: readonly number[] = [-ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND];

export abstract class process_base {
  /** Null until the process exists. */
  $task: task_struct | null = null;
  /** As wait4(2) reports it; null while it runs. */
  exit_code: number | null = null;
  readonly handlers: signal_handler[] = [];

  /** The task. It stays after the process has ended. */
  get task(): task_struct {
    if (!this.$task) throw new Error("the process was not started");
    return this.$task;
  }
  get pid(): number {
    return this.task.pid;
  }
  /** The program may only touch memory while it runs. */
  get mm(): mm_struct {
    const mm = task_mm(this.task);
    if (!mm) throw new Error(`${this.task.comm}/${this.pid} has no memory: it has not begun, or has ended`);
    return mm;
  }

  /**
   * One system call. A call that a signal interrupts begins anew, unless a handler ran that does not want that.
   * @call: its work in the kernel; made again for each attempt; @name: for those who trace
   */
  *syscall<T extends number | bigint>(call: () => Sleeps<T>, name = "syscall"): Sleeps<T> {
    if (current() !== this.task) throw new Error(`a system call of ${this.task.comm}/${this.pid} from another task`);
    if (traced.kernel) trace_sys_enter(name);
    for (;;) {
      yield* cond_resched();
      const ret = yield* call();
      const interrupted = RESTART.includes(Number(ret));
      const again = yield* this.exit_to_user_mode(interrupted ? Number(ret) : 0);
      lockdep_sys_exit();
      if (!interrupted) {
        if (traced.kernel) trace_sys_exit(name, ret);
        return ret;
      }
      if (!again) {
        if (traced.kernel) trace_sys_exit(name, -EINTR);
        return (typeof ret === "bigint" ? BigInt(-EINTR) : -EINTR) as T;
      }
    }
  }

  /** @error: how the call was interrupted, or 0. @return whether it is to begin anew */
  private *exit_to_user_mode(error: number): Sleeps<boolean> {
    let again = true;
    for (;;) {
      yield* task_work_run();
      const signal = get_signal();
      if (signal.kind === "fatal") throw new process_end(signal.signr);
      if (signal.kind === "none") return again;
      if (error === -ERESTARTNOHAND || (error === -ERESTARTSYS && !(signal.action.flags & SA_RESTART))) again = false;
      const handler = this.handlers[signal.action.handler - 2];
      if (handler) yield* handler(signal.signr);
    }
  }

  /** exit_group(2). Does not return. @status: 0 to 255 */
  *exit(status: number): Sleeps<never> {
    yield* cond_resched();
    throw new process_end((status & 0xff) << 8);
  }

  /** Runs the program, then ends the process. @body: the program */
  protected *run_program(body: Sleeps): Sleeps {
    let code = 0;
    try {
      yield* body;
    } catch (end) {
      if (!(end instanceof process_end)) throw end;
      code = end.code;
    }
    yield* do_group_exit(code);
    // What a signal that came meanwhile made of it.
    this.exit_code = this.task.exit_code;
  }
}
