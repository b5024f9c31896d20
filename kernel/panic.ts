// SPDX-License-Identifier: GPL-2.0-only
/** What the kernel says when something is wrong: reports of the checkers, WARN(), BUG() and oopses. */
import { per_boot_books } from "./boot.ts";
import { bad_access } from "./lib/err_ptr.ts";
import { type printf_arg, sprintf } from "./lib/vsprintf.ts";
import { LOGLEVEL_EMERG, LOGLEVEL_ERR, LOGLEVEL_WARNING, printk } from "./printk.ts";
import { touch_everything } from "./sched/footprint.ts";
import { sched } from "./sched/task.ts";
import { format_frame, format_place, type stack_frame, stack_of, stack_trace } from "./stacktrace.ts";
import { traced } from "./trace/emitter.ts";
import { trace_error_report } from "./trace/events.ts";

export interface kernel_report {
  /** Which checker speaks: "kasan", "warn", "oops", … */
  readonly checker: string;
  /** The kernel's own first line, without addresses: what two runs are compared by. */
  readonly title: string;
  readonly text: string;
  readonly pid: number;
  readonly comm: string;
}

/** Thrown where the machine cannot go on in this task. Nothing in kernel code catches it. */
export class oops extends Error {
  readonly report: kernel_report;
  constructor(report: kernel_report) {
    super(report.title);
    this.report = report;
  }
}

const s = per_boot_books(() => ({
  reports: [] as kernel_report[],
  warned_once: new Set<string>(),
  watcher: null as ((r: kernel_report) => void) | null,
}));

/** Reports since power-on; do not change it. */
export function reports(): readonly kernel_report[] {
  return s.reports;
}
export function watch_reports(watch: ((r: kernel_report) => void) | null): void {
  s.watcher = watch;
}

export function current_name(): { pid: number; comm: string } {
  const t = sched.current;
  return { pid: t?.pid ?? 0, comm: t?.comm ?? "swapper/0" };
}

/** Logs what a checker has to say and keeps it. @return the report */
export function report(what: { checker: string; title: string; text: string; level?: number }): kernel_report {
  const r = { checker: what.checker, title: what.title, text: what.text, ...current_name() };
  s.reports.push(r);
  if (traced.kernel) trace_error_report(r.checker, r.title);
  printk(what.level ?? LOGLEVEL_ERR, "%s\n", what.text);
  s.watcher?.(r);
  return r;
}

const END_TRACE = "---[ end trace 0000000000000000 ]---";
const NULL_TITLE = "BUG: kernel NULL pointer dereference";

/** `CPU: 0 PID: 77 Comm: init`, and the call trace below it. */
export function where_we_are(frames: readonly stack_frame[] = stack_trace()): string {
  const { pid, comm } = current_name();
  const trace = frames.map((f) => ` ${format_frame(f)}`);
  return [
    `CPU: ${sched.current?.cpu?.id ?? 0} PID: ${pid} Comm: ${comm}`,
    "Call Trace:",
    " <TASK>",
    ...trace,
    " </TASK>",
  ].join("\n");
}

function warning(lines: readonly string[]): void {
  const place = format_place(stack_trace().filter((f) => f.file !== "kernel/panic.ts"));
  const title = `WARNING: ${place}`;
  const head = `WARNING: CPU: ${sched.current?.cpu?.id ?? 0} PID: ${current_name().pid} at ${place}`;
  report({
    checker: "warn",
    title,
    text: [
      "------------[ cut here ]------------",
      ...lines,
      head,
      where_we_are(),
      "---[ end trace 0000000000000000 ]---",
    ].join("\n"),
    level: LOGLEVEL_WARNING,
  });
}

/** @return whether the condition holds, as in C */
export function WARN_ON(condition: boolean): boolean {
  if (condition) warning([]);
  return condition;
}
export function WARN(condition: boolean, fmt: string, ...args: readonly printf_arg[]): boolean {
  if (condition) warning([sprintf(fmt, ...args).trimEnd()]);
  return condition;
}
function once(key: string): boolean {
  if (s.warned_once.has(key)) return false;
  s.warned_once.add(key);
  return true;
}
/** Once for each place in the code. */
export function WARN_ON_ONCE(condition: boolean): boolean {
  if (condition && once(place_key())) warning([]);
  return condition;
}
export function WARN_ONCE(condition: boolean, fmt: string, ...args: readonly printf_arg[]): boolean {
  if (condition && once(place_key() + fmt)) warning([sprintf(fmt, ...args).trimEnd()]);
  return condition;
}
function place_key(): string {
  return format_place(stack_trace());
}

/** The task cannot go on. @first: the kernel's first line; @title: the same without what differs from run to run */
export function die(checker: string, first: string, detail: readonly string[] = [], title = first): never {
  // Nobody does anything after it.
  touch_everything();
  const text = [first, ...detail, where_we_are(), END_TRACE].join("\n");
  throw new oops(report({ checker, title, text, level: LOGLEVEL_EMERG }));
}

export function BUG(): never {
  const place = format_place(stack_trace());
  return die("bug", `kernel BUG at ${place}!`, ["invalid opcode: 0000 [#1]"]);
}
export function BUG_ON(condition: boolean): void {
  if (condition) BUG();
}

function fault_lines(write: boolean, member: string, place: string): string[] {
  const code = write ? "0002" : "0000";
  return [
    `#PF: supervisor ${write ? "write" : "read"} access in kernel mode`,
    `Oops: ${code} [#1]`,
    `member: ${member}`,
    `RIP: ${place}`,
  ];
}

/** @called: the expression, where the host knows it */
function call_lines(called: string | null): string[] {
  return [
    "#PF: supervisor instruction fetch in kernel mode",
    "Oops: 0010 [#1]",
    ...(called === null ? [] : [`called: ${called}`]),
    "RIP: 0010:0x0",
  ];
}

/** A dereference that cannot work. @address: where it went; below a page it counts as NULL */
export function bad_dereference(address: bigint, member: string, write: boolean): never {
  const hex = address.toString(16).padStart(16, "0");
  const title = address < 4096n ? NULL_TITLE : "BUG: unable to handle page fault for address";
  const first = address < 4096n ? `${title}, address: ${hex}` : `${title}: ${hex}`;
  const place = format_place(stack_trace());
  return die("oops", first, fault_lines(write, member, place), `${title} in ${place}`);
}
bad_access.fault = bad_dereference;

const NULL_ACCESS = /^Cannot (read|set) properties of null \((?:reading|setting) '([^']*)'\)/;
/**
 * A call of something that is no function, as the host words it: `ops.open is not a function`, and below `yield*`
 * `yield* (intermediate value) is not iterable`. A built-in function of the host that was handed none says what it got instead.
 */
const NULL_CALL =
  /^(?!null |undefined |#|object |\d)(?:([\w$.[\]() ,]+) is not a function|yield\* (?:\(intermediate value\))+ is not iterable)$/;

/** A line of the host's stack that lies in ported code, in a function without a name too. */
const PORTED_LINE = /^ +at .*\/(?<!\/test\/)(?:include|kernel|drivers|samples|test\/modules)\/[^?:]*/;

/**
 * The host does not say what it was that is no function. The compiler does: a call that need not be one of a function passes
 * it only where a `!` says that C does not ask, and what is there then is a pointer that is NULL, or a member that its table
 * leaves out, which C has as NULL. That holds for ported code, which casts nothing blindly, and nowhere else.
 */
function null_call(error: TypeError): RegExpExecArray | null {
  const innermost = /^ +at .*$/m.exec(error.stack ?? "")?.[0] ?? "";
  return PORTED_LINE.test(innermost) ? NULL_CALL.exec(error.message) : null;
}

/**
 * Turns what the host throws at a NULL dereference, or at a call through a NULL pointer, into the oops that the machine
 * would give.
 * @return null if it is something else, which is then a fault of the mock kernel itself
 */
export function oops_of_host_error(error: unknown): oops | null {
  if (error instanceof oops) return error;
  if (!(error instanceof TypeError)) return null;
  const access = NULL_ACCESS.exec(error.message);
  const call = access ? null : null_call(error);
  if (!access && !call) return null;
  // The host's error remembers where it happened; by now the stack is unwound.
  touch_everything();
  const frames = stack_of(error);
  const lines = access
    ? fault_lines(access[1] === "set", access[2] ?? "?", format_place(frames))
    : call_lines(call?.[1] ?? null);
  const text = [`${NULL_TITLE}, address: ${"0".repeat(16)}`, ...lines, where_we_are(frames), END_TRACE].join("\n");
  const title = `${NULL_TITLE} in ${format_place(frames)}`;
  return new oops(report({ checker: "oops", title, text, level: LOGLEVEL_EMERG }));
}
