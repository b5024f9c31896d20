// SPDX-License-Identifier: GPL-2.0-only
/**
 * What is ordered before what: a vector clock for each context (task, interrupt, softirq, execution of a work item), which
 * the synchronising primitives carry from one to the other. Everything here does nothing while the checker is off.
 * Source of the rules: tools/memory-model/Documentation/, Documentation/atomic_t.txt, refcount-vs-atomic.rst.
 */
import { sched, type task_struct } from "../sched/task.ts";

/** How far each context had come, by its number. */
export type vector_clock = Map<number, number>;

/** Something that runs code in an order of its own. */
export interface context {
  readonly id: number;
  readonly clock: vector_clock;
  /** "task 77", "interrupt": as a report names it. */
  readonly desc: string;
}

/** What of an object the order goes through, where one object carries several: a semaphore's readers and its writers. */
export type channel = "main" | "readers" | "runs";

/** Whether the checker is on; looked at by every hook before anything else. */
export const kcsan = { on: false };

const empty_books = () => ({
  next_id: 1,
  /** Contexts of each task: its own, and those that have interrupted it, innermost last. */
  contexts: new WeakMap<task_struct, context[]>(),
  channels: {
    main: new WeakMap<object, vector_clock>(),
    readers: new WeakMap<object, vector_clock>(),
    runs: new WeakMap<object, vector_clock>(),
  },
  /** What is before everything that begins from outside: power-on, and what had ended when nobody was left. */
  outside: new Map<number, number>(),
  ended: new Map<number, number>(),
});
/** Made when the checker is switched on, and not at each power-on: making weak maps takes long. */
let s = empty_books();
export function kcsan_forget_order(): void {
  s = empty_books();
}

function join(into: vector_clock, from: vector_clock | undefined): void {
  if (!from) return;
  for (const [id, at] of from) if (at > (into.get(id) ?? 0)) into.set(id, at);
}

function new_context(desc: string, after: vector_clock): context {
  const id = s.next_id++;
  const clock = new Map(after);
  clock.set(id, 1);
  return { id, clock, desc };
}

function stack_of(t: task_struct): context[] {
  let stack = s.contexts.get(t);
  if (!stack) s.contexts.set(t, (stack = [new_context(`task ${t.pid}`, s.outside)]));
  return stack;
}

/** The context that runs now; null from outside the machine, which nobody races with. */
export function current_context(): context | null {
  const t = sched.current;
  return t ? (stack_of(t).at(-1) ?? null) : null;
}

/** From here on the context's accesses are no longer before what took its clock. */
function step(c: context): void {
  c.clock.set(c.id, (c.clock.get(c.id) ?? 0) + 1);
}

/** Whether what context `id` did at time `at` is before what `c` does now. */
export function ordered_before(id: number, at: number, c: context): boolean {
  return (c.clock.get(id) ?? 0) >= at;
}

/** Everything so far is before what follows a kcsan_acquire() of the same. Any context. */
export function kcsan_release(object: object, of: channel = "main"): void {
  if (!kcsan.on) return;
  const c = current_context();
  const clock = c ? c.clock : s.outside;
  const map = s.channels[of];
  let there = map.get(object);
  if (!there) map.set(object, (there = new Map<number, number>()));
  join(there, clock);
  if (c) step(c);
}
/** What came before the kcsan_release()s of `object` is before everything from here on. Any context. */
export function kcsan_acquire(object: object, of: channel = "main"): void {
  if (!kcsan.on) return;
  const c = current_context();
  if (c) join(c.clock, s.channels[of].get(object));
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
  if (kcsan.on && t) stack_of(t).push(new_context(desc ?? `task ${t.pid}`, s.outside));
}
export function kcsan_exit_context(): void {
  const t = sched.current;
  if (kcsan.on && t) stack_of(t).pop();
}

/** `t` is woken by the current context: it goes on after everything that was done up to here. */
export function kcsan_wake(t: task_struct): void {
  if (!kcsan.on) return;
  const c = current_context();
  const [base] = stack_of(t);
  if (!c || !base || c === base) return;
  join(base.clock, c.clock);
  step(c);
}

/** A new task begins after what its maker did. From outside: after power-on, and after all others if none is left. */
export function kcsan_task_created(t: task_struct): void {
  if (!kcsan.on) return;
  const c = current_context();
  if (!c && !sched.tasks.some((other) => other !== t && !other.daemon)) join(s.outside, s.ended);
  s.contexts.set(t, [new_context(`task ${t.pid}`, c ? c.clock : s.outside)]);
  if (c) step(c);
}
/** A task has ended, still in its context: who waits for it goes on after it. */
export function kcsan_task_exited(t: task_struct): void {
  if (!kcsan.on) return;
  const [base] = stack_of(t);
  if (base) join(s.ended, base.clock);
  kcsan_release(t);
}
