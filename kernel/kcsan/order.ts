// SPDX-License-Identifier: GPL-2.0-only
/**
 * What is ordered before what: a vector clock for each context (task, interrupt, softirq, execution of a work item), which
 * the synchronising primitives carry from one to the other. Everything here does nothing while the checker is off.
 * Source of the rules: tools/memory-model/Documentation/, Documentation/atomic_t.txt, refcount-vs-atomic.rst.
 */
import { sched, type task_struct } from "../sched/task.ts";

/** How far each number's context had come; what is beyond the end has not begun. */
export type vector_clock = number[];

/** Something that runs code in an order of its own, as others see it. */
export interface context {
  /** -1 until it does something that others could be unordered with. */
  readonly id: number;
  readonly clock: vector_clock;
  /** "task 77", "interrupt": as a report names it. */
  readonly desc: string;
  /** What it has interrupted, null for what a task does by itself; and the task's own, which is the last of these. */
  readonly below: context | null;
  readonly base: context;
}

/** What of an object the order goes through, where one object carries several: a semaphore's readers and its writers. */
export type channel = "main" | "readers" | "runs";

/** Whether the checker is on; looked at by every hook before anything else. */
export const kcsan = { on: false };

const empty_books = () => ({
  next_id: 0,
  /** Numbers of contexts that have ended, and how far each number's last one had come in what others can be unordered with. */
  free: [] as number[],
  last: [] as number[],
  channels: {
    main: new WeakMap<object, vector_clock>(),
    readers: new WeakMap<object, vector_clock>(),
    runs: new WeakMap<object, vector_clock>(),
  },
  /** What is before everything that begins from outside: power-on, and what had ended when nobody was left. */
  outside: [] as vector_clock,
  ended: [] as vector_clock,
});
/** Made when the checker is switched on, and not at each power-on: making weak maps takes long. */
let s = empty_books();
export function kcsan_forget_order(): void {
  s = empty_books();
  for (const t of sched.tasks) t.kcsan_ctx = null;
  for (const { idle } of sched.cpus) if (idle) idle.kcsan_ctx = null;
}

function join(into: vector_clock, from: vector_clock): void {
  const both = Math.min(into.length, from.length);
  for (let id = 0; id < both; id++) {
    const at = from[id]!; // inside both
    if (at > into[id]!) into[id] = at;
  }
  for (let id = both; id < from.length; id++) into.push(from[id]!);
}

export class running_context implements context {
  id = -1;
  readonly clock: vector_clock;
  readonly desc: string;
  readonly below: running_context | null;
  readonly base: running_context;
  /** It has touched something at its present time. */
  touched = false;
  constructor(desc: string, after: vector_clock, below: running_context | null) {
    this.clock = after.slice();
    this.desc = desc;
    this.below = below;
    this.base = below?.base ?? this;
  }
}

/** Ended contexts that are looked at for one whose number can be had: a long run has very many of them. */
const LOOKED_AT = 8;

/**
 * Gives `c` its number. One whose context has ended before everything that `c` has to do goes on with it, as it would if the two were
 * one: clocks stay as short as there is concurrency, though each timer and each interrupt is a context of its own.
 */
function numbered(c: running_context): running_context {
  if (c.id >= 0) return c;
  const { free, last } = s;
  for (let i = free.length - 1; i >= 0 && i >= free.length - LOOKED_AT; i--) {
    const id = free[i]!;
    const ended = last[id]!;
    if (id >= c.clock.length || c.clock[id]! < ended) continue;
    free.splice(i, 1);
    c.id = id;
    c.clock[id] = ended + 1;
    return c;
  }
  c.id = s.next_id++;
  while (c.clock.length < c.id) c.clock.push(0);
  c.clock.push(1);
  return c;
}
/** The context does nothing more. */
function retire({ id, clock, touched }: running_context): void {
  if (id < 0) return;
  s.last[id] = touched ? clock[id]! : clock[id]! - 1;
  s.free.push(id);
}

function context_of(t: task_struct): running_context {
  return (t.kcsan_ctx ??= new running_context(`task ${t.pid}`, s.outside, null));
}
function running(): running_context | null {
  const t = sched.current;
  return t ? context_of(t) : null;
}

/** The context that runs now, for something that it touches; null from outside the machine, which nobody races with. */
export function current_context(): context | null {
  const c = running();
  if (!c) return null;
  c.touched = true;
  return numbered(c);
}

/** From here on the context's accesses are no longer before what took its clock. */
function step(c: running_context): void {
  c.clock[c.id]!++;
  c.touched = false;
}

/** Whether what context `id` did at time `at` is before what `c` does now. */
export function ordered_before(id: number, at: number, c: context): boolean {
  return id < c.clock.length && c.clock[id]! >= at;
}

/** Everything so far is before what follows a kcsan_acquire() of the same. Any context. */
export function kcsan_release(object: object, of: channel = "main"): void {
  if (!kcsan.on) return;
  const now = running();
  const c = now && numbered(now);
  const clock = c ? c.clock : s.outside;
  const map = s.channels[of];
  const there = map.get(object);
  if (there) join(there, clock);
  else map.set(object, clock.slice());
  if (c) step(c);
}
/** What came before the kcsan_release()s of `object` is before everything from here on. Any context. */
export function kcsan_acquire(object: object, of: channel = "main"): void {
  if (!kcsan.on) return;
  const there = s.channels[of].get(object);
  if (!there) return;
  const c = running();
  if (c) join(c.clock, there);
}
/** An atomic operation that gives a value orders both ways. */
export function kcsan_full(object: object): void {
  if (!kcsan.on) return;
  kcsan_acquire(object);
  kcsan_release(object);
}

/** An interrupt, a softirq or the execution of a work item begins on top of the current task. Ended by kcsan_exit_context(). */
export function kcsan_enter_context(desc: string | null = "interrupt"): void {
  const t = sched.current;
  if (kcsan.on && t) t.kcsan_ctx = new running_context(desc ?? `task ${t.pid}`, s.outside, context_of(t));
}
export function kcsan_exit_context(): void {
  const t = sched.current;
  if (!kcsan.on || !t) return;
  const c = context_of(t);
  retire(c);
  t.kcsan_ctx = c.below;
}

/** `t` is woken by the current context: it goes on after everything that was done up to here. */
export function kcsan_wake(t: task_struct): void {
  if (!kcsan.on) return;
  const c = running();
  const { base } = context_of(t);
  if (!c || c === base) return;
  join(base.clock, numbered(c).clock);
  step(c);
}

/** A new task begins after what its maker did. From outside: after power-on, and after all others if none is left. */
export function kcsan_task_created(t: task_struct): void {
  if (!kcsan.on) return;
  const c = running();
  if (!c && !sched.tasks.some((other) => other !== t && !other.daemon)) join(s.outside, s.ended);
  t.kcsan_ctx = new running_context(`task ${t.pid}`, c ? numbered(c).clock : s.outside, null);
  if (c) step(c);
}
/** A task has ended, still in its context: who waits for it goes on after it. */
export function kcsan_task_exited(t: task_struct): void {
  if (!kcsan.on) return;
  const c = context_of(t);
  join(s.ended, c.base.clock);
  kcsan_release(t);
  retire(c);
}
