// SPDX-License-Identifier: GPL-2.0-only
/**
 * Leaks: memory that nothing points to any more. The scan begins at the data sections of vmlinux and of the loaded
 * modules and follows every member. What only a local variable of a waiting task points to cannot be seen, so objects
 * that a task made that is still to end are never called leaked. Source: mm/kmemleak.c
 */
import { data_sections, per_boot_books } from "../boot.ts";
import { kobj_memory, object_shadow } from "../lib/struct.ts";
import { MODULE_STATE_COMING, MODULE_STATE_LIVE, module_images, vmlinux } from "../modpost.ts";
import { type kernel_report, report } from "../panic.ts";
import { sched, type task_struct } from "../sched/task.ts";
import { clock, jiffies, NSEC_PER_JIFFY } from "../time/clock.ts";
import { is_bytes } from "./kasan.ts";
import { mem_object, type memory_kind } from "./object.ts";
import { live_memory, slab_books } from "./slab.ts";

const s = per_boot_books(() => ({
  /** Never called leaked; what they point to is not either. */
  not_leaks: new Set<mem_object>(),
  /** Neither called leaked nor looked into. */
  ignored: new Set<mem_object>(),
  reported: new Set<mem_object>(),
}));

/** Books of the allocator and of the checkers, which know objects without keeping them. */
const no_scan = new WeakSet<object>([slab_books]);

/** @state: what per_boot_books() gave to a checker that keeps lists of objects; they hold nothing alive. File scope. */
export function kmemleak_no_scan(state: object): void {
  no_scan.add(state);
}
/** The object is held by something that the scan cannot see. Any context. */
export function kmemleak_not_leak(p: kobj_memory): void {
  s.not_leaks.add(p.$mem);
}
/** The object is of no interest, nor is what it points to. */
export function kmemleak_ignore(p: kobj_memory): void {
  s.ignored.add(p.$mem);
}

/** Nothing of the kernel's is in these. Structs come first, being most of what there is. */
function opaque_to_scan(x: object): boolean {
  if (x instanceof kobj_memory) return false;
  return (
    no_scan.has(x) ||
    x instanceof mem_object ||
    x instanceof object_shadow ||
    ArrayBuffer.isView(x) ||
    Object.prototype.toString.call(x) === "[object Generator]"
  );
}

function members_of(x: object): Iterable<unknown> {
  if (Array.isArray(x)) return x as unknown[];
  if (x instanceof Set) return x as Set<unknown>;
  if (x instanceof Map) return [...x.keys(), ...x.values()] as unknown[];
  return Object.values(x) as unknown[];
}

/** Everything that can be reached from `roots`. */
function reachable(roots: readonly object[]): Set<mem_object> {
  const found = new Set<mem_object>();
  const seen = new Set<object>();
  const todo: object[] = [...roots];
  for (let x = todo.pop(); x; x = todo.pop()) {
    if (seen.has(x) || opaque_to_scan(x)) continue;
    seen.add(x);
    if (x instanceof kobj_memory) {
      // A pointer to a part keeps the whole.
      const mem = x.$mem;
      if (mem.freed || s.ignored.has(mem)) continue;
      found.add(mem);
      if (mem.root) todo.push(mem.root);
      if (x.$up) todo.push(x.$up);
    }
    for (const m of members_of(x)) if (typeof m === "object" && m !== null) todo.push(m);
  }
  return found;
}

function roots(): object[] {
  const from = [...data_sections(), ...data_sections(vmlinux.statics)];
  for (const m of module_images().values())
    if (m.state === MODULE_STATE_LIVE || m.state === MODULE_STATE_COMING) from.push(...data_sections(m.statics));
  for (const mem of live_memory()) if ((mem.kind === "stack" || s.not_leaks.has(mem)) && mem.root) from.push(mem.root);
  return from;
}

/** What a scan is about, if not all of what nothing points to. */
export interface scan_options {
  /** Objects made after this time, in jiffies, are too young. */
  readonly born_until?: number;
  /** Of these tasks it is known that no local variable of theirs holds what they made. */
  readonly idle?: ReadonlySet<task_struct>;
}

/** @return what nothing points to, oldest first */
export function unreferenced_objects({ born_until = Infinity, idle }: scan_options = {}): mem_object[] {
  const reached = reachable(roots());
  const alive = new Set(sched.tasks.filter((t) => !t.daemon && !idle?.has(t)).map((t) => t.pid));
  const found: mem_object[] = [];
  for (const mem of live_memory()) {
    if (mem.kind === "stack" || reached.has(mem) || s.ignored.has(mem)) continue;
    const t = mem.alloc_track;
    if (t && (alive.has(t.pid) || t.jiffies > born_until)) continue;
    found.push(mem);
  }
  return found;
}
/** @return a report for each of them that was not reported before */
export function report_unreferenced(objects: readonly mem_object[]): kernel_report[] {
  const fresh = objects.filter((mem) => !s.reported.has(mem));
  for (const mem of fresh) s.reported.add(mem);
  return fresh.map((mem) => report({ checker: "kmemleak", title: title_of(mem), text: unreferenced_text(mem) }));
}
/** They are leaks no more, and what they point to is in use. */
export function paint_grey(objects: Iterable<mem_object>): void {
  for (const mem of objects) s.not_leaks.add(mem);
}

/**
 * Looks for leaks. To be called from outside when the machine is quiet.
 * @return a report for each object that was not reported before, oldest first
 */
export function kmemleak_scan(): kernel_report[] {
  return report_unreferenced(unreferenced_objects());
}

function title_of(mem: mem_object): string {
  const name = mem.type === "buffer" ? "buffer" : `struct ${mem.type}`;
  return `unreferenced object: ${name} (size ${mem.size})`;
}

const HEX_ROW_SIZE = 16;
const HEX_MAX_LINES = 2;
/** As seq_hex_dump() prints bytes, with their characters behind. Members of structs have no bytes. */
function hex_dump_object(mem: mem_object): string[] {
  if (!is_bytes(mem.root)) return [];
  const bytes = mem.root.$bytes.subarray(0, HEX_MAX_LINES * HEX_ROW_SIZE);
  const lines = [`  hex dump (first ${bytes.length} bytes):`];
  for (let at = 0; at < bytes.length; at += HEX_ROW_SIZE) {
    const row = [...bytes.subarray(at, at + HEX_ROW_SIZE)];
    const hex = row.map((b) => b.toString(16).padStart(2, "0")).join(" ");
    const ascii = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : ".")).join("");
    lines.push(`    ${hex.padEnd(HEX_ROW_SIZE * 3)} ${ascii}`);
  }
  return lines;
}

/** Source: print_unreferenced() */
export function unreferenced_text(mem: mem_object): string {
  const t = mem.alloc_track;
  const born = t?.jiffies ?? 0;
  const age = Math.floor((clock.ns - born * NSEC_PER_JIFFY) / 1_000_000);
  const seconds = jiffies() === born ? "0.000" : `${Math.floor(age / 1000)}.${String(age % 1000).padStart(3, "0")}`;
  return [
    `unreferenced object 0x${mem.addr.toString(16).padStart(8, "0")} (size ${mem.size}):`,
    `  comm "${t?.comm ?? ""}", pid ${t?.pid ?? 0}, jiffies ${born} (age ${seconds}s)`,
    ...hex_dump_object(mem),
    "  backtrace:",
    ...(t?.stack ?? []).map((f) => `    ${f}`),
  ].join("\n");
}

export interface live_object {
  readonly birth: number;
  readonly kind: memory_kind;
  readonly type: string;
  readonly size: number;
  readonly cache: string | null;
  readonly module: string | null;
  /** The function that allocated it. */
  readonly place: string;
}

/** What is allocated now, oldest first, for tools. */
export function live_objects(): live_object[] {
  return [...live_memory()].map((mem) => ({
    birth: mem.birth,
    kind: mem.kind,
    type: mem.type,
    size: mem.size,
    cache: mem.cache,
    module: mem.module,
    place: mem.alloc_track?.place ?? "unknown",
  }));
}
