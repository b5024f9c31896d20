// SPDX-License-Identifier: GPL-2.0-only
/** khungtaskd on virtual time, and the report when nobody can ever go on. */
import { per_boot_books } from "./boot.ts";
import { debug_show_all_locks } from "./locking/lockdep_report.ts";
import { report } from "./panic.ts";
import { LOGLEVEL_WARNING, printk } from "./printk.ts";
import { sched, TASK_NOLOAD, TASK_UNINTERRUPTIBLE, TASK_WAKEKILL, type task_struct } from "./sched/task.ts";
import { signal_of } from "./signal.ts";
import { format_call } from "./stacktrace.ts";
import { print_tainted, UTS_IDENT } from "./taint.ts";
import { clock, NSEC_PER_SEC } from "./time/clock.ts";

const s = per_boot_books(() => ({
  /** CONFIG_DEFAULT_HUNG_TASK_TIMEOUT, in seconds; 0 switches the check off. */
  sysctl_hung_task_timeout_secs: 120,
  reported: new Set<task_struct>(),
}));

function waits(t: task_struct): string {
  const why = t.waiting;
  const owner = why?.owner?.();
  return `${t.comm}/${t.pid} waits in ${why?.wchan ?? "schedule"}${why ? ` for ${why.what}` : ""}${owner ? `, held by ${owner.comm}/${owner.pid}` : ""}`;
}

function sched_show_task(t: task_struct): string {
  const ppid = signal_of(t)?.parent?.pid ?? 0;
  const name = t.comm.slice(0, 15).padEnd(15);
  return `task:${name} state:D stack:0     pid:${String(t.pid).padEnd(5)} ppid:${String(ppid).padEnd(6)} flags:0x00000000`;
}

/** Speaks once of each task that has been in uninterruptible sleep for too long. Killable and idle sleeps do not count. */
export function check_hung_tasks(): void {
  const limit = s.sysctl_hung_task_timeout_secs;
  if (!limit) return;
  let told = false;
  for (const t of sched.tasks) {
    if (!(t.state & TASK_UNINTERRUPTIBLE) || t.state & (TASK_WAKEKILL | TASK_NOLOAD) || t.daemon) continue;
    const seconds = Math.floor((clock.ns - t.blocked_since) / NSEC_PER_SEC);
    if (seconds < limit || s.reported.has(t)) continue;
    s.reported.add(t);
    const frames = t.slept_at?.() ?? [];
    const text = [
      `INFO: task ${t.comm}:${t.pid} blocked for more than ${seconds} seconds.`,
      `      ${print_tainted()} ${UTS_IDENT}`,
      '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.',
      sched_show_task(t),
      "Call Trace:",
      " <TASK>",
      ...frames.map((f) => ` ${format_call(f)}`),
      " </TASK>",
      waits(t),
    ];
    // Comparable between runs: when it is noticed depends on what else happens.
    const title = `INFO: task ${t.comm} blocked for more than ${limit} seconds.`;
    report({ checker: "hung_task", title, text: text.join("\n"), frames });
    told = true;
  }
  if (told) printk(LOGLEVEL_WARNING, "%s\n", debug_show_all_locks().join("\n"));
}

/** Nobody can run and no timer is armed. Names who waits for what. */
export function report_deadlock(stuck: readonly task_struct[]): void {
  const title = `deadlock: ${stuck.map((t) => t.comm).join(", ")} can never go on`;
  report({ checker: "deadlock", title, text: [title, ...stuck.map(waits)].join("\n") });
}
