// SPDX-License-Identifier: GPL-2.0-only
/**
 * Accesses that no order lies between: every member of a struct and every byte of byte memory remembers who touched it
 * last, and every allocated object which contexts have been in it. Source: kernel/kcsan/core.c, for what it means; Linux
 * finds its races by stalling one side, here the order itself is looked at.
 */
import { access, type kobj_memory, layout_of, object_shadow, struct_array } from "../lib/struct.ts";
import { is_bytes, kasan_check_range, member_range, watch_accesses } from "../mm/kasan.ts";
import { type mem_object, STATIC_MEMORY } from "../mm/object.ts";
import { smp_processor_id } from "../sched/task.ts";
import { capture_stack, type stack_frame } from "../stacktrace.ts";
import { marking } from "./marked.ts";
import { type context, current_context, kcsan, kcsan_forget_order, ordered_before } from "./order.ts";
import { report_race, report_unordered_free } from "./report.ts";

/** One access, as far as a report wants to know. */
export class memory_access {
  readonly context: context;
  /** The context's own time. */
  readonly at: number;
  readonly cpu = smp_processor_id();
  readonly write: boolean;
  readonly marked = marking.on;
  readonly stack: () => readonly stack_frame[];
  /** What was accessed, for the address. */
  readonly object: kobj_memory;
  /** The member, or that many bytes from a place on. */
  readonly #what: string | range;
  /** @above: its frame and those above it are the checker's */
  constructor(
    context: context,
    object: kobj_memory,
    what: string | range,
    write: boolean,
    above: (...args: never[]) => unknown,
  ) {
    this.context = context;
    this.at = context.clock[context.id] ?? 0;
    this.object = object;
    this.#what = what;
    this.write = write;
    // The same bytes go by several names: of a member, of the struct that it lies in, of what a copy touches.
    const kept = s.stacks_of === null || is_bytes(object) || s.stacks_of.has(this.name);
    this.stack = kept ? capture_stack(STACK_DEPTH, above) : no_stack;
  }
  get offset(): number {
    return this.#range.at;
  }
  get size(): number {
    return this.#range.size;
  }
  /** `struct foo.member`, or what the bytes belong to. */
  get name(): string {
    return name_of(this.object, typeof this.#what === "string" ? this.#what : "");
  }
  get #range(): range {
    return typeof this.#what === "string" ? member_range(this.object, this.#what) : this.#what;
  }
}
interface range {
  readonly at: number;
  readonly size: number;
}

/**
 * Structs whose members belong to a primitive: order goes through them, they are no data. And those whose lock is left out
 * here, because nothing can come between: a process's signals (siglock, tasklist_lock), a debug area (debug_info.lock).
 */
const PRIMITIVES = new Set([
  "atomic_t",
  "atomic64_t",
  "completion",
  "debug_info",
  "delayed_work",
  "ida",
  "idr",
  "kref",
  "mutex",
  "refcount_struct",
  "rw_semaphore",
  "seqcount",
  "signal_struct",
  "spinlock",
  "swait_queue_head",
  "timer_list",
  "wait_queue_entry",
  "wait_queue_head",
  "work_struct",
  "workqueue_struct",
  "xarray",
]);
/** Enough to see who else was there; more than this of unordered readers say nothing new. */
const KEPT = 8;
/** Frames kept of an access: taking them is most of what the checker costs. */
const STACK_DEPTH = 10;
const FREE_STACK_DEPTH = 28;

const empty_books = () => ({
  /** By their place in the buffer. */
  bytes: new WeakMap<ArrayBufferLike, memory_access[][]>(),
  /** An access is being looked at: what that touches is nobody's. */
  busy: false,
  /** Whose accesses keep their stacks, by the name that a report gives as the member; null: all. */
  stacks_of: null as ReadonlySet<string> | null,
});
/** As in order.ts. */
let s = empty_books();

const is_primitive = new Map<unknown, boolean>();
function primitive(object: kobj_memory): boolean {
  let known = is_primitive.get(object.constructor);
  if (known === undefined) {
    known = PRIMITIVES.has(layout_of(object)?.name ?? "");
    is_primitive.set(object.constructor, known);
  }
  return known;
}

/** What lies in the channel subsystem rather than in memory. */
function of_hardware(object: kobj_memory): boolean {
  let outer = object;
  for (let up = outer.$up; up; up = outer.$up) outer = up;
  return outer.$mem === STATIC_MEMORY && (layout_of(outer)?.name.startsWith("hw_") ?? false);
}

/** What is known of an object since it was touched for the first time. */
class shadow extends object_shadow {
  /** Objects of file scope are there for longer than the checker is on. */
  readonly #books = s;
  readonly bytes: boolean;
  readonly #members: Map<string, memory_access[]> | null;
  constructor(object: kobj_memory) {
    super();
    this.bytes = is_bytes(object) && !of_hardware(object);
    this.#members = is_bytes(object) || primitive(object) ? null : new Map<string, memory_access[]>();
  }
  static of(object: kobj_memory): shadow {
    const there = object.$shadow;
    if (there instanceof shadow && there.#books === s) return there;
    return (object.$shadow = new shadow(object));
  }
  /** Accesses to a member; null if it is no data, or data of which the bytes count. */
  of_member(member: string): memory_access[] | null {
    if (!this.#members) return null;
    let seen = this.#members.get(member);
    if (!seen) {
      if (member.startsWith("$") || member === "dep_map") return null;
      this.#members.set(member, (seen = []));
    }
    return seen;
  }
}

function name_of(object: kobj_memory, member: string): string {
  if (object instanceof struct_array) return object.$up ? `${name_of(object.$up, object.$member)}${member}` : member;
  const layout = layout_of(object);
  if (layout) return `struct ${layout.name}${member === "" ? "" : `.${member}`}`;
  return object.$up ? name_of(object.$up, object.$member) : object.$mem.type || "buffer";
}

const no_stack = (): readonly stack_frame[] => [];

/** Is made when it is the first of its kind since the context's clock moved on. */
class pending_access {
  readonly context: context;
  readonly at: number;
  readonly write: boolean;
  readonly marked = marking.on;
  readonly object: kobj_memory;
  readonly what: string | range;
  readonly above: (...args: never[]) => unknown;
  made: memory_access | null = null;
  constructor(
    context: context,
    object: kobj_memory,
    what: string | range,
    write: boolean,
    above: (...args: never[]) => unknown,
  ) {
    this.context = context;
    this.at = context.clock[context.id] ?? 0;
    this.object = object;
    this.what = what;
    this.write = write;
    this.above = above;
  }
  get record(): memory_access {
    return (this.made ??= new memory_access(this.context, this.object, this.what, this.write, this.above));
  }
}

/**
 * One writes, and it is not that both, or the one that reads, say that they know. A plain write is as good as a marked one
 * to who reads with READ_ONCE(): CONFIG_KCSAN_ASSUME_PLAIN_WRITES_ATOMIC.
 */
function may_race(a: memory_access, b: pending_access): boolean {
  if (a.write && b.write) return !(a.marked && b.marked);
  return (a.write && !b.marked) || (b.write && !a.marked);
}
function same_kind(a: memory_access, now: pending_access): boolean {
  return a.context === now.context && a.write === now.write && a.marked === now.marked;
}
/** Whoever is unordered with what is covered is unordered with what covers it as well. */
function covered(a: memory_access, now: pending_access): boolean {
  return same_kind(a, now) || (now.write && !now.marked && ordered_before(a.context.id, a.at, now.context));
}

function look(seen: memory_access[], now: pending_access): void {
  const [last] = seen;
  if (last && seen.length === 1 && same_kind(last, now)) {
    if (last.at !== now.at) seen[0] = now.record;
    return;
  }
  for (const a of seen) if (a.at === now.at && same_kind(a, now)) return;
  for (const a of seen) {
    if (a.context === now.context || !may_race(a, now)) continue;
    if (!ordered_before(a.context.id, a.at, now.context)) report_race(a, now.record);
  }
  let kept = 0;
  for (const a of seen) if (!covered(a, now)) seen[kept++] = a;
  while (seen.length > kept) seen.pop();
  if (kept >= KEPT) seen.shift();
  seen.push(now.record);
}

function visit(mem: mem_object, now: pending_access): void {
  if (mem === STATIC_MEMORY || mem.freed) return;
  const visitors = (mem.visitors ??= new Map<number, memory_access>());
  if (visitors.get(now.context.id)?.at !== now.at) visitors.set(now.context.id, now.record);
}

function look_at_bytes(
  object: kobj_memory & { $bytes: Uint8Array },
  at: number,
  size: number,
  now: pending_access,
): void {
  const { buffer, byteOffset: first, length } = object.$bytes;
  let seen = s.bytes.get(buffer);
  if (!seen) s.bytes.set(buffer, (seen = []));
  const end = first + Math.min(at + size, length);
  for (let i = first + at; i < end; i++) look((seen[i] ??= []), now);
}

function check_member(object: kobj_memory, member: string, write: boolean): void {
  if (s.busy) return;
  const context = current_context();
  if (!context) return;
  s.busy = true;
  try {
    const now = new pending_access(context, object, member, write, access.check);
    visit(object.$mem, now);
    if (marking.off) return;
    const known = shadow.of(object);
    const seen = known.of_member(member);
    if (seen) look(seen, now);
    else if (known.bytes && is_bytes(object) && !member.startsWith("$")) {
      const { at, size } = member_range(object, member);
      look_at_bytes(object, at, size, now);
    }
  } finally {
    s.busy = false;
  }
}

/** What memcpy() and the user copies touch. */
function check_range(object: kobj_memory, at: number, size: number, write: boolean): void {
  const context = s.busy ? null : current_context();
  if (!context) return;
  s.busy = true;
  try {
    const now = new pending_access(context, object, { at, size }, write, kasan_check_range);
    visit(object.$mem, now);
    if (!marking.off && shadow.of(object).bytes && is_bytes(object)) look_at_bytes(object, at, size, now);
  } finally {
    s.busy = false;
  }
}

/** Memory is given back: whoever was in it must have been there before. Any context. */
export function kcsan_check_free(mem: mem_object): void {
  if (!kcsan.on) return;
  const context = current_context();
  const { visitors } = mem;
  if (!context || !visitors || !mem.root) return;
  const unordered = [...visitors.values()].filter(
    (a) => a.context !== context && !ordered_before(a.context.id, a.at, context),
  );
  for (const a of unordered)
    report_unordered_free(a, { context, cpu: smp_processor_id(), stack: capture_stack(FREE_STACK_DEPTH), mem });
}

/**
 * Switches the checker on or off: for power-on, where it begins once the initcalls have run.
 * @stacks_of: names, as reports give them after `member:`, whose accesses alone keep their stacks; null: all do
 */
export function kcsan_init(on: boolean, stacks_of: ReadonlySet<string> | null = null): void {
  if (!on && !kcsan.on) return;
  kcsan.on = on;
  s = empty_books();
  s.stacks_of = stacks_of;
  kcsan_forget_order();
  if (on) watch_accesses(check_member, check_range);
  else watch_accesses(null);
}
