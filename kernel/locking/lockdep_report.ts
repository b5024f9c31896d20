// SPDX-License-Identifier: GPL-2.0-only
/** What the lock validator says, in the words of kernel/locking/lockdep.c. */
import { addr_of } from "../lib/struct.ts";
import type { mem_object } from "../mm/object.ts";
import { current_name, report, where_we_are } from "../panic.ts";
import { LOGLEVEL_DEBUG, LOGLEVEL_ERR, LOGLEVEL_WARNING } from "../printk.ts";
import { current, HARDIRQ_OFFSET, in_hardirq, sched, SOFTIRQ_OFFSET, TASK_RUNNING } from "../sched/task.ts";
import { print_tainted, UTS_IDENT } from "../taint.ts";
import { format_call, format_frame, format_position, type stack_frame, stack_trace } from "../stacktrace.ts";
import { debug_locks, debug_locks_off } from "./debug_locks_off.ts";
import {
  type held_lock,
  held_locks,
  type lock_class,
  type lockdep_map,
  MAX_LOCK_DEPTH,
  softirqs_enabled,
  task_wait_context,
  USAGE_NAMES,
} from "./lockdep.ts";
import type { lock_list } from "./lockdep_graph.ts";
import { depth_of, set_root_trace } from "./lockdep_irq_report.ts";

const SCENARIO = [" Possible unsafe locking scenario:", ""];
export const DEADLOCK = ["", " *** DEADLOCK ***", ""];

export function me(): string {
  const { comm, pid } = current_name();
  return `${comm}/${pid}`;
}

/** The lock functions themselves are no place: who called them is. */
function callers(frames: readonly stack_frame[]): readonly stack_frame[] {
  const at = frames.findIndex((f) => !f.file.startsWith("kernel/locking/"));
  return at < 0 ? [] : frames.slice(at);
}
function place(frames: readonly stack_frame[]): string {
  const [first] = callers(frames);
  return first ? format_frame(first) : "?";
}
/** The validator begins at lock_acquire() and its like. */
function inside(f: stack_frame): boolean {
  return f.file.startsWith("kernel/locking/lockdep") && !f.name.startsWith("lock_");
}
export function trace_lines(frames: readonly stack_frame[], indent: number): string[] {
  return frames.filter((f) => !inside(f)).map((f) => " ".repeat(indent) + format_call(f));
}

function usage_char(cls: lock_class, bit: number): string {
  const used = (cls.usage_mask & (1 << bit)) !== 0;
  if (cls.usage_mask & (1 << (bit + 2))) return used ? "?" : "+";
  return used ? "-" : ".";
}
export function class_name(cls: lock_class): string {
  return cls.name + (cls.name_version > 1 ? `#${cls.name_version}` : "") + (cls.subclass ? `/${cls.subclass}` : "");
}
export function lock_name(cls: lock_class): string {
  const usage = [0, 1, 4, 5].map((bit) => usage_char(cls, bit)).join("");
  return `(${class_name(cls)}){${usage}}-{${cls.wait_type_outer}:${cls.wait_type}}`;
}
function address(map: lockdep_map): string {
  return (map.instance ? addr_of(map.instance) : 0).toString(16).padStart(16, "0");
}
export function print_lock(h: held_lock): string {
  return `${address(h.map)} ${lock_name(h.cls)}, at: ${place(h.place())}`;
}
export function print_held(t = current()): string[] {
  const held = held_locks(t);
  const who = `${t.comm}/${t.pid}`;
  if (held.length === 0) return [`no locks held by ${who}.`];
  return [
    `${held.length} lock${held.length > 1 ? "s" : ""} held by ${who}:`,
    // Of who runs on another CPU they may change meanwhile.
    ...(t !== sched.current && t.state === TASK_RUNNING ? [] : held.map((h, i) => ` #${i}: ${print_lock(h)}`)),
  ];
}

/** Of all tasks, for who reports a hang. */
export function debug_show_all_locks(): string[] {
  if (!debug_locks.on) return ["INFO: lockdep is turned off."];
  const held = sched.tasks.filter((t) => held_locks(t).length > 0);
  const rule = "=".repeat(45);
  return ["", "Showing all locks held in the system:", ...held.flatMap((t) => print_held(t)), "", rule, ""];
}

/** The lines that other reports have about the current task's locks. */
export function debug_show_held_locks(): string[] {
  return debug_locks.on ? print_held() : ["INFO: lockdep is turned off."];
}

/** What dump_stack() prints. */
function backtrace(frames = stack_trace()): string {
  return where_we_are(frames.filter((f) => !inside(f)));
}

/** @lines: what stands between the headline and the stack. @rule: the line above it. @last: what stands above the stack, if one is shown */
export function speak(
  headline: string,
  lines: readonly string[],
  rule = "=".repeat(headline.length),
  last: readonly string[] = ["", "stack backtrace:"],
): void {
  const text = [rule, headline, `${UTS_IDENT} ${print_tainted()}`, rule.replaceAll("=", "-"), ...lines];
  const frames = stack_trace();
  if (last.length > 0) text.push(...last, backtrace(frames));
  report({
    checker: "lockdep",
    title: headline,
    text: text.join("\n"),
    level: LOGLEVEL_WARNING,
    // At the end of a task there is nobody left: then it is about who took the lock.
    frames: [...callers(frames), ...callers(held_locks(current())[0]?.place() ?? [])],
  });
}

export function print_deadlock_bug(prev: held_lock, next: held_lock): void {
  if (!debug_locks_off()) return;
  speak("WARNING: possible recursive locking detected", [
    `${me()} is trying to acquire lock:`,
    print_lock(next),
    "",
    "but task is already holding lock:",
    print_lock(prev),
    "",
    "other info that might help us debug this:",
    ...SCENARIO,
    "       CPU0",
    "       ----",
    `  lock(${class_name(prev.cls)});`,
    `  lock(${class_name(next.cls)});`,
    ...DEADLOCK,
    " May be due to missing lock nesting notation",
    "",
    ...print_held(),
  ]);
}

/** @found: the class of `prev`, come to from that of `next` along the recorded orders */
export function print_circular_bug(next: held_lock, prev: held_lock, found: lock_list): void {
  if (!debug_locks_off()) return;
  set_root_trace(found);
  const chain: string[] = [];
  let depth = depth_of(found);
  for (let at: lock_list | null = found; at; at = at.parent, depth--)
    chain.push("", `-> #${depth} ${lock_name(at.cls)}:`, ...trace_lines(at.trace(), 7));
  const parent = found.parent?.cls ?? next.cls;
  const [source, middle, target] = [class_name(next.cls), class_name(parent), class_name(prev.cls)];
  const through = parent === next.cls ? [] : ["Chain exists of:", `  ${source} --> ${middle} --> ${target}`, ""];
  const other = " ".repeat(31);
  speak("WARNING: possible circular locking dependency detected", [
    `${me()} is trying to acquire lock:`,
    print_lock(next),
    "",
    "but task is already holding lock:",
    print_lock(prev),
    "",
    "which lock already depends on the new lock.",
    "",
    "",
    "the existing dependency chain (in reverse order) is:",
    ...chain,
    "",
    "other info that might help us debug this:",
    "",
    ...through,
    ...SCENARIO,
    "       CPU0                    CPU1",
    "       ----                    ----",
    `  lock(${target});`,
    `${other}lock(${middle});`,
    `${other}lock(${target});`,
    `  lock(${source});`,
    ...DEADLOCK,
    ...print_held(),
  ]);
}

/** Which interrupts the current task is in, and which are on. */
export function usage_context(): string {
  const t = current();
  const hard = Math.floor(t.preempt_count / HARDIRQ_OFFSET);
  const soft = Math.floor((t.preempt_count % HARDIRQ_OFFSET) / SOFTIRQ_OFFSET);
  return [
    `HC${Number(in_hardirq())}[${hard}]`,
    `SC${soft & 1}[${soft}]`,
    `HE${Number(!t.irqs_disabled)}`,
    `SE${Number(softirqs_enabled(t))}`,
  ].join(":");
}

export function print_usage_bug(h: held_lock, prev_bit: number, new_bit: number): void {
  if (!debug_locks_off()) return;
  const [was, now] = [USAGE_NAMES[prev_bit] ?? "?", USAGE_NAMES[new_bit] ?? "?"];
  const name = class_name(h.cls);
  speak("WARNING: inconsistent lock state", [
    `inconsistent {${was}} -> {${now}} usage.`,
    `${me()} [${usage_context()}] takes:`,
    print_lock(h),
    `{${was}} state was registered at:`,
    ...trace_lines(h.cls.usage_traces[prev_bit]?.() ?? [], 2),
    "",
    "other info that might help us debug this:",
    ...SCENARIO,
    "       CPU0",
    "       ----",
    `  lock(${name});`,
    "  <Interrupt>",
    `    lock(${name});`,
    ...DEADLOCK,
    ...print_held(),
  ]);
}

export function print_unlock_imbalance_bug(map: lockdep_map): void {
  if (!debug_locks_off()) return;
  speak("WARNING: bad unlock balance detected!", [
    `${me()} is trying to release lock (${map.name}) at:`,
    place(stack_trace()),
    "but there are no more locks to release!",
    "",
    "other info that might help us debug this:",
    ...print_held(),
  ]);
}

export function print_freed_lock_bug(mem: mem_object, h: held_lock): void {
  if (!debug_locks_off()) return;
  const hex = (a: number): string => a.toString(16).padStart(16, "0");
  speak("WARNING: held lock freed!", [
    `${me()} is freeing memory ${hex(mem.addr)}-${hex(mem.addr + mem.size - 1)}, with a lock still held there!`,
    print_lock(h),
    ...print_held(),
  ]);
}

export function print_held_locks_bug(): void {
  if (!debug_locks_off()) return;
  speak(`WARNING: ${me()} still has locks held!`, print_held(), "=".repeat(36));
}

export function print_user_exit_bug(): void {
  if (!debug_locks_off()) return;
  const lines = [`${me()} is leaving the kernel with locks still held!`, ...print_held()];
  speak("WARNING: lock held when returning to user space!", lines, undefined, []);
}

export function print_lock_invalid_wait_context(h: held_lock): void {
  if (!debug_locks_off()) return;
  const inner = task_wait_context(current());
  speak(
    "[ BUG: Invalid wait context ]",
    [
      `${me()} is trying to lock:`,
      print_lock(h),
      "other info that might help us debug this:",
      `context-{${inner}:${inner}}`,
      ...print_held(),
    ],
    undefined,
    ["stack backtrace:"],
  );
}

export function print_lock_nested_lock_not_held(h: held_lock, nest_lock: lockdep_map): void {
  if (!debug_locks_off()) return;
  speak("WARNING: Nested lock was not taken", [
    `${me()} is trying to lock:`,
    print_lock(h),
    "",
    "but this task is not holding:",
    nest_lock.name,
    "",
    "stack backtrace:",
    backtrace(),
    "",
    "other info that might help us debug this:",
    ...print_held(),
  ]);
}

export function print_lock_depth_bug(depth: number): void {
  // The list of all locks says that nobody keeps them any more.
  if (!debug_locks_off()) return;
  const title = "BUG: MAX_LOCK_DEPTH too low!";
  const frames = stack_trace();
  const text = [
    title,
    "turning off the locking correctness validator.",
    `depth: ${depth}  max: ${MAX_LOCK_DEPTH}!`,
    ...print_held(),
    ...debug_show_all_locks(),
    backtrace(frames),
  ].join("\n");
  report({ checker: "lockdep", title, text, level: LOGLEVEL_DEBUG, frames: callers(frames) });
}

/** A lock is taken that was never initialised. Source: assign_lock_key() */
export function print_non_static_key(): void {
  if (!debug_locks_off()) return;
  const title = "INFO: trying to register non-static key.";
  const frames = stack_trace();
  const text = [
    title,
    "The code is fine but needs lockdep annotation, or maybe",
    "you didn't initialize this object before use?",
    "turning off the locking correctness validator.",
    backtrace(frames),
  ].join("\n");
  report({ checker: "lockdep", title, text, level: LOGLEVEL_ERR, frames: callers(frames) });
}

/**
 * RCU is used in a way that RCU does not allow; the validator goes on. @what: in the words of who noticed
 * Source: lockdep_rcu_suspicious()
 */
export function lockdep_rcu_suspicious(what: string): void {
  const frames = callers(stack_trace());
  speak("WARNING: suspicious RCU usage", [
    `${format_position(frames)} ${what}!`,
    "",
    "other info that might help us debug this:",
    "",
    "",
    "rcu_scheduler_active = 2, debug_locks = 1",
    ...print_held(),
  ]);
}
