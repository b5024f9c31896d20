// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the kernel tells of itself: memory, references, waits, system calls, log, uevents, reports. For who subscribes to
 * KERNEL_EVENTS; with nobody there a hit costs the look at one number, made by the caller: `if (traced.kernel) trace_…`.
 * Names and systems are those of include/trace/events/ where Linux has such an event; the fields are fewer.
 */
import type { kobj_memory } from "../lib/struct.ts";
import type { printf_arg } from "../lib/vsprintf.ts";
import type { mem_object } from "../mm/object.ts";
import { current_name } from "../panic.ts";
import type { task_struct, waits_for } from "../sched/task.ts";
import { format_frame, format_place, stack_trace } from "../stacktrace.ts";
import { clock } from "../time/clock.ts";
import { events, KERNEL_EVENTS } from "./emitter.ts";

/** Enough for the functions between a port and its allocator, with the host's own frames. */
const DEPTH = 40;
/** Modules free through each other: this many callers say on whose behalf. */
const CALLERS = 2;
/** Ports that only hand a request on: their caller is the one who wants something. */
const WRAPPERS = /^(get_device|put_device|dev_set_name|kobject_\w+|kref_\w+|refcount_\w+)$/;
const PORTS = /^(drivers|samples|test\/modules)\//;

/** The innermost ported function, and the next ones up the stack that are modules'. Without one, the innermost function of all. */
function call_path(more: number): string {
  const stack = stack_trace(DEPTH).filter((f) => !f.file.startsWith("kernel/trace/"));
  const [port, ...above] = stack.filter((f) => PORTS.test(f.file) && !WRAPPERS.test(f.name));
  if (!port) return format_place(stack);
  return [port, ...above.filter((f) => f.module).slice(0, more)].map(format_frame).join(" < ");
}

/** The innermost ported function; what runs without one is named by its own innermost function. */
function call_site(): string {
  return call_path(0);
}

type fields = Readonly<Record<string, printf_arg>>;

function emit(system: string, name: string, entry: fields): void {
  const text = Object.entries(entry)
    .map(([member, value]) => `${member}=${String(value)}`)
    .join(" ");
  events.emit(KERNEL_EVENTS, { system, name, ns: clock.ns, ...current_name(), fields: entry, text });
}

/** @mem: what was just made, by kmalloc() and its like */
export function trace_kmalloc(mem: mem_object): void {
  if (mem.kind === "stack" || mem.kind === "static") return;
  const { type, birth, size: bytes_req, cache } = mem;
  emit("kmem", "kmalloc", { call_site: call_site(), type, birth, bytes_req, cache: cache ?? "pages" });
}
/** @mem: what is about to be gone */
export function trace_kfree(mem: mem_object): void {
  if (mem.kind === "stack" || mem.kind === "static") return;
  const path = call_path(CALLERS);
  emit("kmem", "kfree", { call_site: path.split(" < ")[0] ?? "", path, type: mem.type, birth: mem.birth });
}

/** Where in its object a counter is: `vdev.device.kobj`. The kref around it goes without saying. */
function member_path(counter: kobj_memory): string {
  const path: string[] = [];
  for (let at: kobj_memory | null = counter; at?.$up; at = at.$up) path.unshift(at.$member ?? "?");
  return path.join(".").replace(/(^|\.)(kref\.)?(refcount|refs)$/, "");
}

/**
 * A counter of references changes. Linux has no such event.
 * @counter: what counts; @by: what is added; @refs: what it is then
 */
export function trace_refcount(counter: kobj_memory, by: number, refs: number): void {
  const { type, birth } = counter.$mem;
  emit("refcount", by > 0 ? "ref_get" : "ref_put", {
    call_site: call_site(),
    type: type === "" ? "static" : type,
    birth,
    member: member_path(counter),
    refs,
  });
}
/**
 * Somebody completes, or comes to wait. Linux has no such event.
 * @name: of the function; @x: the completion; @done: whether it had happened before
 */
export function trace_completion(name: "complete" | "wait_for_completion", x: kobj_memory, done: boolean): void {
  const { type, birth } = x.$mem;
  emit("completion", name, {
    call_site: call_site(),
    type: type === "" ? "static" : type,
    birth,
    member: member_path(x),
    done: done ? 1 : 0,
  });
}
export function trace_module_get(module: string, refcnt: number): void {
  emit("module", "module_get", { name: module, call_site: call_site(), refcnt });
}
export function trace_module_put(module: string, refcnt: number): void {
  emit("module", "module_put", { name: module, call_site: call_site(), refcnt });
}

/** The current task has waited. @why: null if it does not say; @owner: who had it then; @since: virtual nanoseconds */
export function trace_sched_stat_blocked(why: waits_for | null, owner: task_struct | null, since: number): void {
  emit("sched", "sched_stat_blocked", {
    call_site: call_site(),
    wchan: why?.wchan ?? "?",
    what: why?.what ?? "?",
    owner: owner?.comm ?? "",
    delay: clock.ns - since,
  });
}

export function trace_sys_enter(id: string): void {
  emit("raw_syscalls", "sys_enter", { id });
}
export function trace_sys_exit(id: string, ret: number | bigint): void {
  emit("raw_syscalls", "sys_exit", { id, ret: Number(ret) });
}

/** A line of the kernel log. */
export function trace_console(level: number, text: string): void {
  emit("printk", "console", { level, text });
}
/** Linux has no such event. @header: `add@/devices/…` */
export function trace_uevent(header: string): void {
  emit("kobject", "uevent", { header });
}
/** A checker speaks. As error_report:error_report_end. */
export function trace_error_report(checker: string, title: string): void {
  emit("error_report", "error_report_end", { checker, title });
}
