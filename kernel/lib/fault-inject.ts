// SPDX-License-Identifier: GPL-2.0-only
/**
 * Fault injection: which of the calls that may fail does fail. Three ways to say so, all from outside the kernel: the
 * n-th one (fail-nth), one that the schedule chooses (a budget), or each with a probability. Source: lib/fault-inject.c
 */
import { per_boot_books } from "../boot.ts";
import { prng } from "../explore/random.ts";
import { LOGLEVEL_NOTICE, printk } from "../printk.ts";
import { decide } from "../sched/decide.ts";
import { in_task, sched, type task_struct } from "../sched/task.ts";
import { stack_trace, format_frame, format_place } from "../stacktrace.ts";

/** Kinds of calls, by the names that they have in debugfs. */
export type fault_attr_name = "failslab" | "fail_usercopy" | "fail_function";

/** What the files of an attribute's folder in debugfs say. */
export interface fault_attr {
  /** In percent: 0 never, 100 always. */
  readonly probability: number;
  /** Only every so manieth call. Default 1. */
  readonly interval?: number;
  /** How many may fail in all; -1 any number. Default -1. */
  readonly times?: number;
  /** Bytes, or calls of functions, that succeed first. Default 0. */
  readonly space?: number;
  /** What the chances are drawn from. Default 1. */
  readonly seed?: number;
}

/** One failure that was forced. */
export interface fault_injection {
  readonly attr: fault_attr_name;
  /** What failed: the slab cache or the function. */
  readonly what: string;
  readonly size: number;
  /** Which one it was among those that could have failed, from 1 on. */
  readonly nth: number;
  readonly pid: number;
  readonly comm: string;
  /** The function that got the error, and the stack below it. */
  readonly place: string;
  readonly stack: readonly string[];
}

const MAKE_IT_FAIL = Symbol("make-it-fail");

const s = per_boot_books(() => ({
  /** Which kinds are counted and may fail. */
  attrs: new Set<fault_attr_name>(["failslab"]),
  /** True: of all tasks; false: only of those marked with make_it_fail(). */
  all_tasks: false,
  fail_nth: 0,
  /** Failures that the schedule may still choose. */
  budget: 0,
  interval: 1,
  probability: 0,
  space: 0,
  times: 0,
  /** Calls since the last that `interval` let through. */
  count: 0,
  chances: new prng(1),
  counted: 0,
  verbose: 0,
  injected: [] as fault_injection[],
}));

/** Marks a task, as /proc/PID/make-it-fail does. @value: false takes the mark away */
export function make_it_fail(task: task_struct, value = true): void {
  if (value) task.attached.set(MAKE_IT_FAIL, {});
  else task.attached.delete(MAKE_IT_FAIL);
}

export interface fault_options {
  /** Failures are for all tasks, not only for the marked ones. */
  readonly all_tasks?: boolean;
  /** Default: only "failslab". */
  readonly attrs?: readonly fault_attr_name[];
  /** 1: failures are logged in the kernel's words; 2: with the stack. */
  readonly verbose?: number;
}

function apply(options: fault_options): void {
  if (options.all_tasks !== undefined) s.all_tasks = options.all_tasks;
  if (options.attrs) s.attrs = new Set(options.attrs);
  if (options.verbose !== undefined) s.verbose = options.verbose;
}

/**
 * The `n`-th call from now on, counted over the tasks that are marked, fails; 0 switches it off. An `n` beyond the last one
 * is a run without a fault, which fault_injections() then shows. To be called after boot().
 */
export function set_fail_nth(n: number, options: fault_options = {}): void {
  apply(options);
  s.counted = 0;
  s.fail_nth = n;
}
/** Lets the schedule choose up to `budget` failures: each call that could fail becomes a decision. */
export function arm_faults(budget: number, options: fault_options = {}): void {
  apply(options);
  s.counted = 0;
  s.budget = budget;
}

/** What the schedule may still choose, of failures and of what else counts as one. */
export function faults_left(): number {
  return s.budget;
}
export function use_fault(): void {
  s.budget--;
}

/** Lets calls fail by chance: the same seed gives the same ones. All kinds that are counted share the attribute. */
export function setup_fault_attr(attr: fault_attr, options: fault_options = {}): void {
  apply(options);
  s.counted = 0;
  s.count = 0;
  s.probability = attr.probability;
  s.interval = attr.interval ?? 1;
  s.times = attr.times ?? -1;
  s.space = attr.space ?? 0;
  s.chances = new prng(attr.seed ?? 1);
}

/** What was made to fail since power-on. */
export function fault_injections(): readonly fault_injection[] {
  return s.injected;
}
/** How many calls could have failed since the last set_fail_nth() or arm_faults(). */
export function fault_points(): number {
  return s.counted;
}

function concerned(): boolean {
  if (!sched.current || !in_task()) return false;
  return s.all_tasks || sched.current.attached.has(MAKE_IT_FAIL);
}

/**
 * Whether this call is to fail. Any context; interrupts never fail.
 * @what: the cache or function, @size: bytes asked for, @nowarn: do not log. Source: should_fail_ex()
 */
export function should_fail_ex(attr: fault_attr_name, what: string, size: number, nowarn = false): boolean {
  if (!s.attrs.has(attr) || !concerned()) return false;
  s.counted++;
  if (!chosen(attr, what) && !by_chance(size)) return false;
  const frames = stack_trace(40);
  const { pid, comm } = sched.current ?? { pid: 0, comm: "" };
  s.injected.push({
    attr,
    what,
    size,
    nth: s.counted,
    pid,
    comm,
    place: format_place(frames),
    stack: frames.map(format_frame),
  });
  if (s.verbose > 0 && !nowarn) {
    printk(
      LOGLEVEL_NOTICE,
      "FAULT_INJECTION: forcing a failure.\nname %s, interval %d, probability %d, space %d, times %d\n",
      attr,
      s.interval,
      s.probability,
      s.space,
      s.times,
    );
    if (s.verbose > 1) for (const f of frames) printk(LOGLEVEL_NOTICE, " %s\n", format_frame(f));
  }
  // The failure itself is still one of those that were allowed when it is told.
  if (s.times > 0 && s.probability > 0) s.times--;
  return true;
}

/** Enough of the stack to tell one use of a helper from another. */
function callers(): string {
  return stack_trace(24).slice(0, 4).map(format_frame).join(" < ") || "unknown";
}
/** In the order in which Linux asks. */
function by_chance(size: number): boolean {
  if (s.probability === 0 || s.times === 0) return false;
  if (s.space > size) {
    s.space -= size;
    return false;
  }
  if (s.interval > 1 && ++s.count % s.interval !== 0) return false;
  return s.probability > s.chances.below(100);
}

function chosen(attr: fault_attr_name, what: string): boolean {
  if (s.fail_nth > 0 && --s.fail_nth === 0) return true;
  if (s.budget <= 0) return false;
  if (decide("fault", 2, (i) => (i === 0 ? "succeeds" : `${attr} ${what} in ${callers()}`)) === 0) return false;
  s.budget--;
  return true;
}
