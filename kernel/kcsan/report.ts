// SPDX-License-Identifier: GPL-2.0-only
/** KCSAN's words. Source: kernel/kcsan/report.c, print_report() */
import { per_boot_books } from "../boot.ts";
import { addr_of } from "../lib/struct.ts";
import type { mem_object } from "../mm/object.ts";
import { dump_stack_print_info, report } from "../panic.ts";
import { LOGLEVEL_ERR, printk } from "../printk.ts";
import { format_call, format_place, type stack_frame } from "../stacktrace.ts";
import type { memory_access } from "./access.ts";
import type { context } from "./order.ts";

const s = per_boot_books(() => ({
  /** One report for each pair of places and each member. */
  reported: new Set<string>(),
}));

const LINE = "=".repeat(66);

function px(addr: number): string {
  return `0x${addr.toString(16).padStart(16, "0")}`;
}
function trace(stack: () => readonly stack_frame[]): string[] {
  return stack().map((f) => ` ${format_call(f)}`);
}
function access_type(a: memory_access): string {
  return `${a.write ? "write" : "read"}${a.marked ? " (marked)" : ""}`;
}
function describe(a: memory_access): string[] {
  const at = px(addr_of(a.object) + a.offset);
  return [`${access_type(a)} to ${at} of ${a.size} bytes by ${a.context.desc} on cpu ${a.cpu}:`, ...trace(a.stack), ""];
}

/** @bug: "data-race". @one, @other: places, in either order. @what: tells members apart that two places race for */
function say(bug: string, one: string, other: string, what: string, details: readonly string[]): void {
  const [a, b] = one < other ? [one, other] : [other, one];
  const title = `BUG: KCSAN: ${bug} in ${a} / ${b}`;
  const key = `${title} ${what}`;
  if (s.reported.has(key)) return;
  s.reported.add(key);
  const text = [
    title,
    "",
    ...details,
    `member: ${what}`,
    "",
    "Reported by Kernel Concurrency Sanitizer on:",
    dump_stack_print_info(),
  ].join("\n");
  printk(LOGLEVEL_ERR, "%s\n", LINE);
  report({ checker: "kcsan", title, text, level: LOGLEVEL_ERR });
  printk(LOGLEVEL_ERR, "%s\n", LINE);
}

/** Two accesses, one of them a write, and no order between them. @before: made first in this run */
export function report_race(before: memory_access, now: memory_access): void {
  const places = [format_place(before.stack()), format_place(now.stack())] as const;
  say("data-race", ...places, now.name, [...describe(before), ...describe(now)]);
}

export interface memory_free {
  readonly context: context;
  readonly cpu: number;
  readonly stack: () => readonly stack_frame[];
  readonly mem: mem_object;
}

/** An access and a free that no order keeps in this sequence: in another run the access comes to freed memory. */
export function report_unordered_free(before: memory_access, free: memory_free): void {
  const { mem } = free;
  const places = [format_place(before.stack()), format_place(free.stack())] as const;
  say("unordered free", ...places, before.name, [
    ...describe(before),
    `free of ${px(mem.addr)} of ${mem.size} bytes (${mem.type}) by ${free.context.desc} on cpu ${free.cpu}:`,
    ...trace(free.stack),
    "",
  ]);
}
