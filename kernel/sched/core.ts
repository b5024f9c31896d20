// SPDX-License-Identifier: GPL-2.0-only
/**
 * The scheduler: which task goes on, at every point where that could change.
 *
 * A primitive asks point() and, if nothing interferes and nothing has to wait, goes on without suspending. Only a real
 * switch, a pending interrupt or a wait costs a generator.
 */
import { per_boot_books } from "../boot.ts";
import { kcsan_task_created, kcsan_task_exited, kcsan_wake } from "../kcsan/order.ts";
import { decide, interferes, outside } from "./decide.ts";
import { footprint, touch_new_task, touch_task } from "./footprint.ts";
import { bug_scheduling_while_atomic, missing_yield_star } from "./debug.ts";
import { spend_work } from "./limits.ts";
import { deliver_pending, pending_anywhere, pending_here } from "./interrupts.ts";
import {
  cpu,
  current,
  PF_IDLE,
  PF_KTHREAD,
  sched,
  task_exit_checks,
  task_struct,
  TASK_DEAD,
  TASK_INTERRUPTIBLE,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_WAKEKILL,
  type waits_for,
} from "./task.ts";
import { oops_of_host_error } from "../panic.ts";
import { capture_stack } from "../stacktrace.ts";
import { clock } from "../time/clock.ts";
import { traced } from "../trace/emitter.ts";
import { trace_sched_stat_blocked } from "../trace/events.ts";
import { CPU_POINT, READY, SLEEP_POINT, type Sleeps, type Spins } from "./types.ts";

/** Frames of the host from schedule() to the function that waits: itself, a few of the scheduler's, and what resumes them. */
const WCHAN_DEPTH = 12;

const s = per_boot_books(() => ({
  /** Whom the last decision chose; taken up by the run loop when the current task suspends. */
  next: null as task_struct | null,
  /** A slow path that was handed out and not yet begun. */
  owed: null as { what: string; task: task_struct } | null,
}));

/** A CPU for who has none: a free one, or one whose task can be preempted. */
function cpu_to_take(cpus: readonly cpu[]): cpu | null {
  for (const c of cpus) if (!c.curr) return c;
  for (const c of cpus) if (c.curr?.preemptible && !c.curr.spins_until) return c;
  return null;
}

function can_go_on(t: task_struct): boolean {
  return !t.asleep && t.state !== TASK_DEAD && (!t.spins_until || t.spins_until());
}

/**
 * Whom the question is about that is being answered: the first `n` of `who`. One list for all questions, as one function for their
 * labels: a new one for each would cost more than the answer.
 */
const asked = { who: [] as task_struct[], n: 0 };

function ask_about(t: task_struct): void {
  asked.who[asked.n++] = t;
}

/** Asks about everybody who could run next: the current task first, then those on other CPUs, then those that wait for one. */
function ask_candidates(me: task_struct | null): void {
  const { cpus, runnable } = sched;
  asked.n = 0;
  if (me && can_go_on(me)) ask_about(me);
  for (const c of cpus) if (c.curr && c.curr !== me && can_go_on(c.curr)) ask_about(c.curr);
  if (runnable.length > 0 && cpu_to_take(cpus)) for (const t of runnable) ask_about(t);
  if (!pending_anywhere()) return;
  for (const c of cpus) {
    if (c.curr) continue;
    // One CPU with nothing to do is as good as another.
    ask_about((c.idle ??= idle_task(c)));
    break;
  }
}

function id_of(t: task_struct): number {
  return t.flags & PF_IDLE ? -1 - sched.cpus.findIndex((c) => c.idle === t) : t.pid;
}
function label_of(i: number): string {
  const t = asked.who[i];
  return `${t?.comm ?? "?"}/${t?.pid ?? 0}`;
}
/** Chooses among those asked about. @me: who went on up to here, null if they do not go on by themselves */
function choose(me: task_struct | null): task_struct | null {
  const { watcher } = footprint;
  const { who, n } = asked;
  if (n === 0) return null;
  if (watcher && interferes()) {
    const from = who.slice(0, n);
    const scarce = sched.runnable.some((t) => !from.includes(t));
    watcher.step(from.map(id_of), me && from[0] === me ? id_of(me) : 0, scarce);
  }
  return who[n < 2 ? 0 : decide("switch", n, label_of)] ?? null;
}

/**
 * A place where another task may go on instead of this one, or an interrupt may come in.
 * @return true if the caller has to take its slow path, which begins with `yield* take_point()`
 */
export function point(): boolean {
  if (s.owed) missing_yield_star(s.owed.what, s.owed.task);
  s.owed = null;
  spend_work();
  if (interferes()) {
    const me = current();
    outside.ask?.();
    ask_candidates(me);
    if (asked.n > 1 || footprint.watcher) {
      const chosen = choose(me);
      if (chosen !== me) {
        s.next = chosen;
        return true;
      }
    }
  }
  return pending_here();
}

/** Makes way as the last point() decided, and takes the interrupts that are due. First thing in a slow path. */
export function* take_point(): Spins {
  s.owed = null;
  if (s.next && s.next !== sched.current) yield CPU_POINT;
  while (pending_here()) yield* deliver_pending();
}

/** Hands out a slow path; who does not consume it with yield* is told so at the next primitive. */
export function slow<T extends Spins<unknown> | Sleeps<unknown>>(what: string, path: T): T {
  s.owed = { what, task: current() };
  return path;
}

/** A point that nothing else happens at: what C has in cond_resched(), syscall entry and the like. */
export function cond_resched(): Spins {
  return point() ? slow("cond_resched", take_point()) : READY;
}

/**
 * Lets everybody go first who could. For whoever may go on for ever without waiting for anything: under a schedule that
 * never interferes nobody else would get a turn. Source: do_sched_yield() of kernel/sched/core.c
 */
export function* do_sched_yield(): Spins {
  s.owed = null;
  const me = current();
  if (me.preemptible && sched.runnable.length > 0) {
    take_off(me);
    sched.runnable.push(me);
  }
  yield CPU_POINT;
  while (pending_here()) yield* deliver_pending();
}

/** Waits on this CPU until `condition` holds: another CPU has to make it hold. */
export function* spin_until(condition: () => boolean, why: waits_for): Spins {
  const me = current();
  if (condition()) return;
  const since = clock.ns;
  const owner = traced.kernel ? (why.owner?.() ?? null) : null;
  while (!condition()) {
    me.waiting = why;
    me.spins_until = condition;
    yield CPU_POINT;
    me.spins_until = null;
  }
  me.waiting = null;
  if (traced.kernel) trace_sched_stat_blocked(why, owner, since);
}

export function set_current_state(state: number): void {
  const t = current();
  touch_task(t.pid, true);
  t.state = state;
}

/** Signals end a wait in this state. */
export function signal_pending_state(state: number, t: task_struct): boolean {
  touch_task(t.pid, false);
  if (!(state & (TASK_INTERRUPTIBLE | TASK_WAKEKILL)) || t.pending_signals.length === 0) return false;
  return (state & TASK_INTERRUPTIBLE) !== 0 || t.fatal_signal;
}

/**
 * Gives up the CPU until woken, if the task's state says so. Context: process, nothing held that forbids sleeping.
 * @why: what it waits for, for the reports about hangs
 */
export function* schedule(why: waits_for | null = null): Sleeps {
  s.owed = null;
  const me = current();
  if (me.preempt_count !== 0) bug_scheduling_while_atomic(me);
  if (me.state !== TASK_RUNNING && signal_pending_state(me.state, me)) me.state = TASK_RUNNING;
  if (me.state === TASK_RUNNING) {
    if (point()) yield* take_point();
    return;
  }
  me.waiting = why;
  me.blocked_since = clock.ns;
  me.slept_at = capture_stack(WCHAN_DEPTH);
  const owner = traced.kernel ? (why?.owner?.() ?? null) : null;
  yield SLEEP_POINT;
  me.waiting = null;
  if (traced.kernel) trace_sched_stat_blocked(why, owner, me.blocked_since);
  while (pending_here()) yield* deliver_pending();
}

/** Makes `t` runnable if it sleeps in one of the states. Any context. @return whether it was woken */
export function try_to_wake_up(t: task_struct, states: number): boolean {
  if (!(t.state & states) || t.state & TASK_DEAD) {
    touch_task(t.pid, false);
    return false;
  }
  touch_task(t.pid, true);
  t.state = TASK_RUNNING;
  kcsan_wake(t);
  if (t.asleep) {
    t.asleep = false;
    sched.runnable.push(t);
  }
  return true;
}
export function wake_up_process(t: task_struct): boolean {
  return try_to_wake_up(t, TASK_NORMAL);
}

/** A new task, runnable at once. @daemon: may wait for ever without being reported */
export function create_task(comm: string, body: Sleeps, flags = 0, daemon = false): task_struct {
  const t = new task_struct(sched.next_pid++, comm, body, flags, daemon);
  touch_new_task(t.pid);
  sched.tasks.push(t);
  sched.runnable.push(t);
  kcsan_task_created(t);
  return t;
}

/** What runs on a CPU that has nothing else to do. */
function* idle_loop(): Sleeps {
  for (;;) {
    while (pending_here()) yield* deliver_pending();
    yield CPU_POINT;
  }
}

function idle_task({ id }: cpu): task_struct {
  return new task_struct(0, `swapper/${id}`, idle_loop(), PF_IDLE | PF_KTHREAD, true);
}

export function start_cpus(n: number): void {
  for (let id = 0; id < n; id++) sched.cpus.push(new cpu(id));
}

function put_on(t: task_struct, c: cpu): void {
  if (c.curr === t) return;
  if (c.curr) {
    c.curr.cpu = null;
    if (!(c.curr.flags & PF_IDLE)) sched.runnable.push(c.curr);
  }
  take_out(sched.runnable, t);
  c.curr = t;
  t.cpu = c;
}

/** As splice() would, which makes a list of what it takes out. */
function take_out(list: task_struct[], t: task_struct): void {
  const at = list.indexOf(t);
  if (at < 0) return;
  for (let i = at + 1; i < list.length; i++) {
    const next = list[i];
    if (next) list[i - 1] = next;
  }
  list.pop();
}

function take_off(t: task_struct): void {
  if (t.cpu && t.cpu.curr === t) t.cpu.curr = null;
  t.cpu = null;
}

/** Lets `t` go on until it suspends or ends. */
function run(t: task_struct): void {
  const c = t.flags & PF_IDLE ? sched.cpus.find((x) => x.idle === t) : (t.cpu ?? cpu_to_take(sched.cpus));
  if (!c) throw new Error(`no CPU for ${t.comm}/${t.pid}`);
  put_on(t, c);
  sched.current = t;
  try {
    const stop = t.body.next();
    if (stop.done) {
      touch_task(t.pid, true);
      for (const check of task_exit_checks) check(t);
      kcsan_task_exited(t);
      t.state = TASK_DEAD;
    } else {
      // A task that was only preempted is still runnable, whatever its state is about to make of it.
      t.asleep = stop.value === SLEEP_POINT && t.state !== TASK_RUNNING;
    }
  } catch (error) {
    // Here, where it is still known whose fault it was.
    throw oops_of_host_error(error) ?? error;
  } finally {
    sched.current = null;
    // The idle task holds its CPU only for as long as it is in an interrupt.
    if (t.asleep || t.state === TASK_DEAD || (t.flags & PF_IDLE && t.preempt_count === 0)) take_off(t);
    if (t.state === TASK_DEAD) take_out(sched.tasks, t);
  }
}

/** The task that a decision already chose, or the first one that can run. */
export function pick_next(): task_struct | null {
  const chosen = s.next;
  s.next = null;
  if (chosen) return chosen;
  outside.ask?.();
  ask_candidates(null);
  return choose(null);
}

/** One step of the machine. @return false if nobody can go on */
export function step(): boolean {
  const t = pick_next();
  if (!t) return false;
  run(t);
  return true;
}
