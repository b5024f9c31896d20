// SPDX-License-Identifier: GPL-2.0-only
/** What the lock validator says about orders that interrupts turn round, in the words of kernel/locking/lockdep.c. */
import { debug_locks_off } from "./debug_locks_off.ts";
import { save_trace, USAGE_NAMES, type held_lock, type lock_class } from "./lockdep.ts";
import type { lock_list } from "./lockdep_graph.ts";
import {
  class_name,
  DEADLOCK,
  lock_name,
  me,
  print_held,
  print_lock,
  speak,
  trace_lines,
  usage_context,
} from "./lockdep_report.ts";

const IRQ_STATES = ["HARDIRQ", "HARDIRQ-READ", "SOFTIRQ", "SOFTIRQ-READ"] as const;

/** The kind of interrupt of a usage bit. */
function state_name(bit: number): string {
  return IRQ_STATES[(bit >> 2) * 2 + (bit & 1)] ?? "?";
}

function print_irq_lock_scenario(safe: lock_class, unsafe: lock_class, prev: lock_class, next: lock_class): string[] {
  const middle = prev === safe ? next : prev;
  const other = " ".repeat(31);
  const [s, m, u] = [class_name(safe), class_name(middle), class_name(unsafe)];
  return [
    ...(middle === unsafe ? [] : ["Chain exists of:", `  ${s} --> ${m} --> ${u}`, ""]),
    " Possible interrupt unsafe locking scenario:",
    "",
    "       CPU0                    CPU1",
    "       ----                    ----",
    `  lock(${u});`,
    `${other}local_irq_disable();`,
    `${other}lock(${s});`,
    `${other}lock(${m});`,
    "  <Interrupt>",
    `    lock(${s});`,
    ...DEADLOCK,
  ];
}

function print_lock_class_header(cls: lock_class, depth: number): string[] {
  const pad = " ".repeat(depth);
  const lines = [`${pad}-> ${lock_name(cls)} {`];
  for (const [bit, name] of USAGE_NAMES.entries()) {
    if (!(cls.usage_mask & (1 << bit))) continue;
    const at = `${pad}   ${name} at:`;
    lines.push(at, ...trace_lines(cls.usage_traces[bit]?.() ?? [], depth + at.length + 1));
  }
  return [...lines, `${pad} }`, `${pad} ... key      at: ${cls.key_name}`];
}
export function depth_of(leaf: lock_list): number {
  let depth = 0;
  for (let at = leaf.parent; at; at = at.parent) depth++;
  return depth;
}
/** From the leaf back to where the search began. */
function print_shortest_lock_dependencies(leaf: lock_list): string[] {
  const lines: string[] = [];
  let depth = depth_of(leaf);
  for (let entry: lock_list | null = leaf; entry; entry = entry.parent, depth--) {
    lines.push(...print_lock_class_header(entry.cls, depth), `${" ".repeat(depth)} ... acquired at:`);
    lines.push(...trace_lines(entry.trace(), 3), "");
  }
  return lines;
}
/** The same for a search backwards: each trace belongs to the next lock. */
function print_shortest_lock_dependencies_backwards(leaf: lock_list): string[] {
  const lines: string[] = [];
  let depth = depth_of(leaf);
  let trace: lock_list["trace"] | null = null;
  for (let entry: lock_list | null = leaf; entry; entry = entry.parent, depth--) {
    lines.push(...print_lock_class_header(entry.cls, depth));
    if (trace) lines.push(`${" ".repeat(depth)} ... acquired at:`, ...trace_lines(trace(), 3), "");
    trace = entry.trace;
  }
  return lines;
}

/** The root of a search forwards was entered for this acquisition. */
export function set_root_trace(leaf: lock_list): void {
  let root = leaf;
  while (root.parent) root = root.parent;
  root.trace = save_trace();
}

/** @safe, @unsafe: what the searches from `prev` backwards and from `next` forwards came to; @bit1, @bit2: their usages */
export function print_bad_irq_dependency(
  prev: held_lock,
  next: held_lock,
  safe: lock_list,
  unsafe: lock_list,
  bit1: number,
  bit2: number,
): void {
  if (!debug_locks_off()) return;
  const irqclass = state_name(bit1);
  set_root_trace(unsafe);
  speak(
    `WARNING: ${irqclass}-safe -> ${irqclass}-unsafe lock order detected`,
    [
      `${me()} [${usage_context()}] is trying to acquire:`,
      print_lock(next),
      "",
      "and this task is already holding:",
      print_lock(prev),
      "which would create a new lock dependency:",
      ` ${lock_name(prev.cls)} -> ${lock_name(next.cls)}`,
      "",
      `but this new dependency connects a ${irqclass}-irq-safe lock:`,
      ` ${lock_name(safe.cls)}`,
      "",
      `... which became ${irqclass}-irq-safe at:`,
      ...trace_lines(safe.cls.usage_traces[bit1]?.() ?? [], 2),
      "",
      `to a ${irqclass}-irq-unsafe lock:`,
      ` ${lock_name(unsafe.cls)}`,
      "",
      `... which became ${irqclass}-irq-unsafe at:`,
      "...",
      ...trace_lines(unsafe.cls.usage_traces[bit2]?.() ?? [], 2),
      "",
      "other info that might help us debug this:",
      "",
      ...print_irq_lock_scenario(safe.cls, unsafe.cls, prev.cls, next.cls),
      ...print_held(),
      "",
      `the dependencies between ${irqclass}-irq-safe lock and the holding lock:`,
      ...print_shortest_lock_dependencies_backwards(safe),
      "",
      `the dependencies between the lock to be acquired and ${irqclass}-irq-unsafe lock:`,
      ...print_shortest_lock_dependencies(unsafe),
    ],
    "=".repeat(53),
  );
}

/** @other: what the search from `h` came to. @ahead: `h` was held when it was taken, else the other way round */
export function print_irq_inversion_bug(h: held_lock, other: lock_list, ahead: boolean, bit: number): void {
  if (!debug_locks_off()) return;
  const irqclass = state_name(bit);
  // Next to where the search began.
  let middle: lock_list = other;
  while (middle.parent?.parent) middle = middle.parent;
  set_root_trace(other);
  const [safe, unsafe] = ahead ? [h.cls, other.cls] : [other.cls, h.cls];
  speak("WARNING: possible irq lock inversion dependency detected", [
    `${me()} just changed the state of lock:`,
    print_lock(h),
    ahead
      ? `but this lock took another, ${irqclass}-unsafe lock in the past:`
      : `but this lock was taken by another, ${irqclass}-safe lock in the past:`,
    ` ${lock_name(other.cls)}`,
    "",
    "",
    "and interrupts could create inverse lock ordering between them.",
    "",
    "",
    "other info that might help us debug this:",
    ...print_irq_lock_scenario(safe, unsafe, middle.cls, unsafe),
    ...print_held(),
    "",
    "the shortest dependencies between 2nd lock and 1st lock:",
    ...print_shortest_lock_dependencies(other),
  ]);
}
