// SPDX-License-Identifier: GPL-2.0-only
/** What the kernel says when something is wrong: reports of the checkers, WARN(), BUG() and oopses. */
import { kconfig } from "./arch/kconfig.ts";
import { per_boot_books } from "./boot.ts";
import { bad_access } from "./lib/err_ptr.ts";
import { debug_locks_off } from "./locking/debug_locks_off.ts";
import { type printf_arg, sprintf } from "./lib/vsprintf.ts";
import { LOGLEVEL_EMERG, LOGLEVEL_ERR, LOGLEVEL_WARNING, printk } from "./printk.ts";
import { touch_everything } from "./sched/footprint.ts";
import { sched } from "./sched/task.ts";
import { format_call, format_place, format_position, type stack_frame, stack_of, stack_trace } from "./stacktrace.ts";
import { add_taint, LOCKDEP_NOW_UNRELIABLE, LOCKDEP_STILL_OK, print_tainted, TAINT_DIE, TAINT_WARN } from "./taint.ts";
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
  readonly cpu: number;
  /** The innermost function, and where it is; null outside of ported code. */
  readonly at: stack_frame | null;
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
}));

/** Reports since power-on; do not change it. */
export function reports(): readonly kernel_report[] {
  return s.reports;
}

export function current_name(): { pid: number; comm: string } {
  const t = sched.current;
  return { pid: t?.pid ?? 0, comm: t?.comm ?? "swapper/0" };
}

/** Logs what a checker has to say and keeps it. @return the report */
export function report(what: {
  checker: string;
  title: string;
  text: string;
  level?: number;
  /** If it did not happen here. */
  frames?: readonly stack_frame[];
}): kernel_report {
  const { checker, title, text, frames = stack_trace() } = what;
  const cpu = sched.current?.cpu?.id ?? 0;
  const r: kernel_report = { checker, title, text, ...current_name(), cpu, at: frames[0] ?? null };
  s.reports.push(r);
  if (traced.kernel) trace_error_report(r.checker, r.title);
  printk(what.level ?? LOGLEVEL_ERR, "%s\n", what.text);
  return r;
}

const END_TRACE = "---[ end trace 0000000000000000 ]---";
const NULL_TITLE = "BUG: kernel NULL pointer dereference";

/** `CPU: 0 PID: 77 Comm: init Not tainted`. Source: lib/dump_stack.c, dump_stack_print_info() */
export function dump_stack_print_info(): string {
  const { pid, comm } = current_name();
  return `CPU: ${sched.current?.cpu?.id ?? 0} PID: ${pid} Comm: ${comm} ${print_tainted()}`;
}
/** The same, and the call trace below it. */
export function where_we_are(frames: readonly stack_frame[] = stack_trace()): string {
  const trace = frames.map((f) => ` ${format_call(f)}`);
  return [dump_stack_print_info(), "Call Trace:", " <TASK>", ...trace, " </TASK>"].join("\n");
}

/** The stack down to who found that something is wrong. */
function outside(): stack_frame[] {
  return stack_trace().filter((f) => f.file !== "kernel/panic.ts");
}

/**
 * What WARN() prints: the lines, where it is and how it came there; the kernel is tainted from then on.
 * @frames: without those of the checker itself. Source: kernel/panic.c, __warn()
 */
export function warning(
  what: {
    readonly checker: string;
    readonly title?: string;
    readonly lines: readonly string[];
    readonly level?: number;
    /** Its function, if it is one that stacks leave out. */
    readonly at?: string;
  },
  frames: readonly stack_frame[] = outside(),
): void {
  const place = format_place(frames);
  const position = format_position(frames);
  const at = what.at ?? (position === place ? place : `${position} ${place}`);
  const text = [
    "------------[ cut here ]------------",
    ...what.lines,
    `WARNING: CPU: ${sched.current?.cpu?.id ?? 0} PID: ${current_name().pid} at ${at}`,
    where_we_are(frames),
    END_TRACE,
  ].join("\n");
  const { checker, title = `WARNING: ${place}`, level = LOGLEVEL_WARNING } = what;
  report({ checker, title, text, level, frames });
  add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
}

/** @return whether the condition holds, as in C */
export function WARN_ON(condition: boolean): boolean {
  if (condition) warning({ checker: "warn", lines: [] });
  return condition;
}
export function WARN(condition: boolean, fmt: string, ...args: readonly printf_arg[]): boolean {
  if (condition) warning({ checker: "warn", lines: [sprintf(fmt, ...args).trimEnd()] });
  return condition;
}
function once(key: string): boolean {
  if (s.warned_once.has(key)) return false;
  s.warned_once.add(key);
  return true;
}
/** Once for each place in the code. */
export function WARN_ON_ONCE(condition: boolean): boolean {
  if (condition && once(place_key())) warning({ checker: "warn", lines: [] });
  return condition;
}
export function WARN_ONCE(condition: boolean, fmt: string, ...args: readonly printf_arg[]): boolean {
  if (condition && once(place_key() + fmt)) warning({ checker: "warn", lines: [sprintf(fmt, ...args).trimEnd()] });
  return condition;
}
function place_key(): string {
  return format_place(stack_trace());
}

/** The task cannot go on. @first: the kernel's first line; @title: the same without what differs from run to run */
export function die(checker: string, first: string, detail: readonly string[] = [], title = first): never {
  // Nobody does anything after it.
  touch_everything();
  debug_locks_off();
  const text = [first, ...detail, where_we_are(), END_TRACE].join("\n");
  const dead = new oops(report({ checker, title, text, level: LOGLEVEL_EMERG }));
  add_taint(TAINT_DIE, LOCKDEP_NOW_UNRELIABLE);
  throw dead;
}

export function BUG(): never {
  const frames = outside();
  const title = `kernel BUG at ${format_place(frames)}!`;
  return die("bug", `kernel BUG at ${format_position(frames)}!`, ["invalid opcode: 0000 [#1]"], title);
}
export function BUG_ON(condition: boolean): void {
  if (condition) BUG();
}

/**
 * CHECK_DATA_CORRUPTION() for a condition that holds. @text: a line, with its newline
 * @return true, as the macro; does not return with CONFIG_BUG_ON_DATA_CORRUPTION
 */
export function data_corruption(text: string): boolean {
  if (!kconfig.CONFIG_BUG_ON_DATA_CORRUPTION) return WARN(true, "%s", text);
  printk(LOGLEVEL_ERR, "%s", text);
  return BUG();
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

const hex16 = (n: bigint): string => n.toString(16).padStart(16, "0");
/** What KASAN adds, having looked for the shadow of the address first. Source: mm/kasan/report.c, kasan_non_canonical_hook() */
function kasan_lines(address: bigint): string[] {
  const first = address & ~7n;
  const type =
    first < 4096n ? "null-ptr-deref" : first < 1n << 47n ? "probably user-memory-access" : "maybe wild-memory-access";
  return [`KASAN: ${type} in range [0x${hex16(first)}-0x${hex16(first + 7n)}]`];
}
/** No address at all: bits 63 to 47 are not the same. */
function is_non_canonical(address: bigint): boolean {
  const top = address >> 47n;
  return top !== 0n && top !== 0x1ffffn;
}

/**
 * A dereference that cannot work. @address: where it went; below a page it counts as NULL
 * Sources: arch/x86/mm/fault.c, arch/x86/kernel/traps.c, exc_general_protection()
 */
export function bad_dereference(address: bigint, member: string, write: boolean): never {
  const place = format_place(stack_trace());
  if (is_non_canonical(address)) {
    const gpf = "general protection fault, probably for non-canonical address";
    const lines = [...kasan_lines(address), `member: ${member}`, `RIP: ${place}`];
    return die("oops", `${gpf} 0x${address.toString(16)}: 0000 [#1]`, lines, `${gpf} in ${place}`);
  }
  const title = address < 4096n ? NULL_TITLE : "BUG: unable to handle page fault for address";
  const first = address < 4096n ? `${title}, address: ${hex16(address)}` : `${title}: ${hex16(address)}`;
  const lines = [...fault_lines(write, member, place), ...(address < 4096n ? kasan_lines(address) : [])];
  return die("oops", first, lines, `${title} in ${place}`);
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
  debug_locks_off();
  const frames = stack_of(error);
  const lines = access
    ? [...fault_lines(access[1] === "set", access[2] ?? "?", format_place(frames)), ...kasan_lines(0n)]
    : call_lines(call?.[1] ?? null);
  const text = [`${NULL_TITLE}, address: ${"0".repeat(16)}`, ...lines, where_we_are(frames), END_TRACE].join("\n");
  const title = `${NULL_TITLE} in ${format_place(frames)}`;
  const dead = new oops(report({ checker: "oops", title, text, level: LOGLEVEL_EMERG, frames }));
  add_taint(TAINT_DIE, LOCKDEP_NOW_UNRELIABLE);
  return dead;
}
