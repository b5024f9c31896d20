// SPDX-License-Identifier: GPL-2.0-only
/** Checks of the context that a function is called in. */
import { checkers } from "../checkers.ts";
import { LOGLEVEL_ERR } from "../printk.ts";
import { debug_show_held_locks } from "../locking/lockdep_report.ts";
import { rcu_sleep_check } from "../locking/lockdep_rcu.ts";
import { add_taint, LOCKDEP_STILL_OK, TAINT_WARN } from "../taint.ts";
import { die, report, WARN_ONCE, where_we_are } from "../panic.ts";
import { format_place, stack_trace } from "../stacktrace.ts";
import { current, in_atomic, irqs_disabled, TASK_RUNNING, type task_struct } from "./task.ts";

/** A function that may sleep was reached. Speaks when it was reached where nobody may. Any context. */
export function might_sleep(): void {
  if (!checkers.on) return;
  const me = current();
  // Whoever sleeps comes back running: the wait that was begun would not be one any more.
  if (me.state !== TASK_RUNNING) WARN_ONCE(true, "do not call blocking ops when !TASK_RUNNING; state=%x\n", me.state);
  if (me.preempt_count === 0 && !me.irqs_disabled) return;
  rcu_sleep_check();
  const stack = stack_trace();
  const title = `BUG: sleeping function called from invalid context at ${format_place(stack)}`;
  const text = [
    title,
    `in_atomic(): ${Number(in_atomic())}, irqs_disabled(): ${Number(irqs_disabled())}, non_block: 0, pid: ${me.pid}, name: ${me.comm}`,
    `preempt_count: ${me.preempt_count.toString(16)}, expected: 0`,
    ...debug_show_held_locks(),
    where_we_are(),
  ].join("\n");
  report({ checker: "might_sleep", title, text, level: LOGLEVEL_ERR });
  add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
}

/** The task gives up the CPU while it may not. The machine cannot go on: on a real one anything could happen from here. */
export function bug_scheduling_while_atomic(me: task_struct): never {
  const count = me.preempt_count.toString(16).padStart(8, "0");
  const first = `BUG: scheduling while atomic: ${me.comm}/${me.pid}/0x${count}`;
  return die("scheduling_while_atomic", first, debug_show_held_locks());
}

/** A primitive's slow path was asked for and then dropped: the port forgot a yield*. A fault of the port, never of the C code. */
export function missing_yield_star(what: string, by: task_struct): never {
  throw new Error(
    `${what}() was called without yield* in ${by.comm}/${by.pid}, at or before ${format_place(stack_trace())}`,
  );
}
