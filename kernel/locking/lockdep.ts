// SPDX-License-Identifier: GPL-2.0-only
/**
 * The lock validator: classes of locks, which locks each task holds, in which order classes were taken and in which
 * contexts. It speaks at the first lock that could deadlock, whether or not it does in this run.
 * Source: kernel/locking/lockdep.c. The graph of orders is in lockdep_graph.ts. Not here: chains and their cache, pins, proxies of
 * several locks of a class under one that nests them.
 */
import { per_boot_books } from "../boot.ts";
import type { mem_object } from "../mm/object.ts";
import type { kobj_memory } from "../lib/struct.ts";
import { capture_stack, type stack_frame } from "../stacktrace.ts";
import {
  current,
  HARDIRQ_OFFSET,
  in_hardirq,
  sched,
  SOFTIRQ_OFFSET,
  task_exit_checks,
  type task_struct,
} from "../sched/task.ts";
import { WARN } from "../panic.ts";
import { DEBUG_LOCKS_WARN_ON, name_of_member } from "./debug_locks.ts";
import { debug_locks } from "./debug_locks_off.ts";
import { check_deadlock, check_prevs_add, type lock_edge } from "./lockdep_graph.ts";
import { check_usage_of_others } from "./lockdep_irq.ts";
import {
  print_freed_lock_bug,
  print_held_locks_bug,
  print_lock_invalid_wait_context,
  print_lock_depth_bug,
  print_lock_nested_lock_not_held,
  print_non_static_key,
  print_unlock_imbalance_bug,
  print_usage_bug,
  print_user_exit_bug,
} from "./lockdep_report.ts";

/** How a lock is waited for, with CONFIG_PROVE_RAW_LOCK_NESTING off. */
export const LD_WAIT_INV = 0;
export const LD_WAIT_FREE = 1;
export const LD_WAIT_SPIN = 2;
export const LD_WAIT_SLEEP = 3;
export const LD_WAIT_MAX = 4;
/** So many locks nobody holds at once. */
export const MAX_LOCK_DEPTH = 48;

/** Usage bits: state * 4 + read + 2 if the context is enabled rather than used in. */
export const USAGE_NAMES = [
  "IN-HARDIRQ-W",
  "IN-HARDIRQ-R",
  "HARDIRQ-ON-W",
  "HARDIRQ-ON-R",
  "IN-SOFTIRQ-W",
  "IN-SOFTIRQ-R",
  "SOFTIRQ-ON-W",
  "SOFTIRQ-ON-R",
  "INITIAL USE",
  "INITIAL READ USE",
] as const;
const HARDIRQ = 0;
const SOFTIRQ = 4;
const LOCK_USED = 8;
const READ_MASK = 1;
const DIR_MASK = 2;

/** A key of its own for locks that are not to share a class. */
export class lock_class_key {
  readonly $key = true;
}
/** Locks of this class are tracked but not validated, as lockdep_set_novalidate_class() wants it. */
const NO_VALIDATE = new lock_class_key();

export type trace = () => readonly stack_frame[];

export class lock_class {
  readonly name: string;
  readonly name_version: number;
  readonly subclass: number;
  readonly wait_type: number;
  readonly wait_type_outer: number;
  /** Name of what its key is a part of: the variable of a static lock, else one that the init function has. */
  readonly key_name: string;
  usage_mask = 0;
  readonly usage_traces: (trace | null)[] = [];
  /** Classes that were taken while this one was held. */
  readonly locks_after = new Map<lock_class, lock_edge>();
  /** The same orders, seen from the other end. */
  readonly locks_before = new Map<lock_class, lock_edge>();

  constructor(map: lockdep_map, name_version: number, subclass: number) {
    this.name = map.name;
    this.name_version = name_version;
    this.subclass = subclass;
    this.wait_type = map.wait_type;
    this.wait_type_outer = map.wait_type_outer || map.wait_type;
    this.key_name = map.key === map.instance ? map.name : "__key";
  }
}

/** What a lock carries for the validator. */
export class lockdep_map {
  /** What makes two locks the same class; the name if no key was given. null: never initialised. */
  key: lock_class_key | kobj_memory | string | null = null;
  name = "";
  /** What may wait while it is held, and, if that is not the same, what the context must allow for it to be taken. */
  wait_type = LD_WAIT_INV;
  wait_type_outer = LD_WAIT_INV;
  /** The lock itself, for addresses and for finding it in freed memory. */
  instance: kobj_memory | null = null;
  /** The class of subclass 0, looked up once in each boot. */
  cached: lock_class | null = null;
  cached_in: object | null = null;
}

export interface held_lock {
  readonly map: lockdep_map;
  readonly cls: lock_class;
  /** 0 exclusive, 1 shared, 2 shared and may recurse. */
  read: number;
  readonly trylock: boolean;
  /** Whether its order counts. */
  readonly check: boolean;
  readonly irq_context: number;
  readonly hardirqs_off: boolean;
  readonly place: trace;
}

const s = per_boot_books(() => ({
  classes: new Map<lock_class_key | kobj_memory | string, lock_class[]>(),
  versions: new Map<string, number>(),
}));

/** The locks that `t` holds or is about to take, outermost first. */
export function held_locks(t: task_struct): held_lock[] {
  return t.held_locks;
}
/** Once the validator is off, nobody keeps the books any more. */
export function lockdep_depth(t: task_struct): number {
  return debug_locks.on ? held_locks(t).length : 0;
}

/** Gives a lock its class. @key: locks with the same key are one class; found out if null */
export function lockdep_init_map(
  map: lockdep_map,
  instance: kobj_memory | null,
  name: string,
  key: lock_class_key | null = null,
  wait_type = LD_WAIT_INV,
  wait_type_outer = LD_WAIT_INV,
): void {
  // A lock of its own at file scope is a class of its own; others are one class with all that lie in the same place.
  const alone = instance !== null && instance.$up === null && instance.$mem.kind === "static";
  map.key = key ?? (alone ? instance : name);
  map.name = name;
  map.wait_type = wait_type;
  map.wait_type_outer = wait_type_outer;
  map.instance = instance;
  map.cached = null;
}

export interface has_dep_map {
  readonly dep_map: lockdep_map;
}
export function lockdep_set_class_and_name(lock: has_dep_map, key: lock_class_key, name: string): void {
  lockdep_init_map(lock.dep_map, lock.dep_map.instance, name, key, lock.dep_map.wait_type);
}
export function lockdep_set_class(lock: has_dep_map, key: lock_class_key): void {
  lockdep_set_class_and_name(lock, key, lock.dep_map.name);
}
/** The order in which locks of this kind are taken is not looked at. For device locks, whose tree lockdep does not know. */
export function lockdep_set_novalidate_class(lock: has_dep_map): void {
  lockdep_set_class_and_name(lock, NO_VALIDATE, lock.dep_map.name);
}

/**
 * For a lock that nobody has initialised, before lock_acquire(): a static one is a class of its own, of any other the validator
 * knows nothing and gives up.
 */
export function assign_lock_key(map: lockdep_map, lock: kobj_memory, fallback: string): void {
  if (map.key !== null || !debug_locks.on) return;
  if (lock.$mem.kind !== "static") return print_non_static_key();
  map.key = map.instance = lock;
  map.name ||= name_of_member(lock, fallback);
}

function class_of(map: lockdep_map, subclass: number): lock_class {
  if (subclass === 0 && map.cached && map.cached_in === s.classes) return map.cached;
  const key = map.key ?? map.name;
  let subclasses = s.classes.get(key);
  if (!subclasses) s.classes.set(key, (subclasses = []));
  let cls = subclasses[subclass];
  if (!cls) {
    const version = subclasses.find((c) => c)?.name_version ?? (s.versions.get(map.name) ?? 0) + 1;
    s.versions.set(map.name, Math.max(version, s.versions.get(map.name) ?? 0));
    cls = subclasses[subclass] = new lock_class(map, version, subclass);
  }
  if (subclass === 0) {
    map.cached = cls;
    map.cached_in = s.classes;
  }
  return cls;
}

function in_softirq_context(t: task_struct): boolean {
  return (t.preempt_count & SOFTIRQ_OFFSET) !== 0;
}
export function softirqs_enabled(t: task_struct): boolean {
  return (t.preempt_count & (HARDIRQ_OFFSET - SOFTIRQ_OFFSET)) === 0;
}

export function save_trace(): trace {
  return capture_stack(20);
}

/** @return false if it spoke */
function mark_lock(h: held_lock, bit: number): boolean {
  const cls = h.cls;
  if (cls.usage_mask & (1 << bit)) return true;
  cls.usage_mask |= 1 << bit;
  cls.usage_traces[bit] = save_trace();
  // A lock used in an interrupt must not be taken elsewhere with that interrupt on, and the other way round.
  const opposite = (bit ^ DIR_MASK) & ~READ_MASK;
  const bad = bit & READ_MASK ? [opposite] : [opposite, opposite | READ_MASK];
  for (const b of bad) {
    if (!(cls.usage_mask & (1 << b))) continue;
    print_usage_bug(h, b, bit);
    return false;
  }
  return check_usage_of_others(h, bit, opposite);
}

function mark_used(h: held_lock): void {
  const bit = h.read ? LOCK_USED | READ_MASK : LOCK_USED;
  if (h.cls.usage_mask & (1 << bit)) return;
  h.cls.usage_mask |= 1 << bit;
  h.cls.usage_traces[bit] = save_trace();
}
/** @return false if it spoke */
function mark_usage(t: task_struct, h: held_lock): boolean {
  const read = h.read ? READ_MASK : 0;
  if (!h.trylock) {
    if (in_hardirq() && !mark_lock(h, HARDIRQ | read)) return false;
    if (in_softirq_context(t) && !mark_lock(h, SOFTIRQ | read)) return false;
  }
  if (h.hardirqs_off) return true;
  if (!mark_lock(h, HARDIRQ | DIR_MASK | read)) return false;
  return !softirqs_enabled(t) || mark_lock(h, SOFTIRQ | DIR_MASK | read);
}

/** What may wait in this context, from the strictest lock that is held in it on. */
function inner_wait_context(t: task_struct, held: readonly held_lock[], irq_context: number): number {
  let inner = task_wait_context(t);
  for (let i = held.length - 1; i >= 0; i--) {
    const prev = held[i];
    if (!prev || prev.irq_context !== irq_context) break;
    if (prev.cls.wait_type && prev.cls.wait_type < inner) inner = prev.cls.wait_type;
  }
  return inner;
}
export function task_wait_context(t: task_struct): number {
  return in_hardirq() || in_softirq_context(t) ? LD_WAIT_SPIN : LD_WAIT_MAX;
}

/** The later ones are taken once more when one from between them is given back: their orders are other ones now. */
function reacquire_held_locks(held: readonly held_lock[], from: number): void {
  for (let i = from; i < held.length; i++) {
    const h = held[i];
    if (h?.check && !h.trylock && !check_prevs_add(held, i, h)) return;
  }
}

/**
 * A lock is about to be taken. Called before waiting for it, so that an order that deadlocks is told all the same.
 * @subclass: nesting level given by the caller. @read: 0 exclusive, 1 shared, 2 shared and recursive
 * @check: whether its order counts. @nest_lock: a held lock that serialises all of this class
 */
export function lock_acquire(
  map: lockdep_map,
  subclass: number,
  trylock: boolean,
  read = 0,
  check = true,
  nest_lock: lockdep_map | null = null,
): void {
  if (!debug_locks.on) return;
  const t = current();
  const held = held_locks(t);
  const h: held_lock = {
    map,
    cls: class_of(map, subclass),
    read,
    trylock,
    check: check && map.key !== NO_VALIDATE,
    irq_context: (in_hardirq() ? 2 : 0) | (in_softirq_context(t) ? 1 : 0),
    hardirqs_off: t.irqs_disabled,
    place: capture_stack(8),
  };
  // Nothing that is held rules out locks that do not sleep.
  if (h.cls.wait_type_outer >= LD_WAIT_SLEEP && !trylock)
    if (inner_wait_context(t, held, h.irq_context) < LD_WAIT_SLEEP) return print_lock_invalid_wait_context(h);
  if (h.check && !mark_usage(t, h)) return;
  mark_used(h);
  if (nest_lock && !lock_is_held(nest_lock)) return print_lock_nested_lock_not_held(h, nest_lock);
  if (h.check && !trylock) {
    const ok = check_deadlock(held, held.length, h, nest_lock);
    if (!ok || (ok === true && !check_prevs_add(held, held.length, h))) return;
  }
  held.push(h);
  if (held.length >= MAX_LOCK_DEPTH) print_lock_depth_bug(held.length);
}

/** A lock is being given back. */
export function lock_release(map: lockdep_map): void {
  if (!debug_locks.on) return;
  const held = held_locks(current());
  for (let i = held.length - 1; i >= 0; i--) {
    if (held[i]?.map !== map) continue;
    held.splice(i, 1);
    if (i < held.length) reacquire_held_locks(held, i);
    return;
  }
  print_unlock_imbalance_bug(map);
}

/** An exclusively held lock becomes a shared one. */
export function lock_downgrade(map: lockdep_map): void {
  if (!debug_locks.on) return;
  const held = held_locks(current());
  if (DEBUG_LOCKS_WARN_ON(held.length === 0, "!depth")) return;
  const h = held.findLast((x) => x.map === map);
  if (!h) return print_unlock_imbalance_bug(map);
  WARN(h.read !== 0, "downgrading a read lock");
  h.read = 1;
}

/** A lock that exists only for the validator: "from here to there counts as holding it". */
export const lock_map_acquire = (map: lockdep_map): void => lock_acquire(map, 0, false, 0);
export const lock_map_acquire_read = (map: lockdep_map): void => lock_acquire(map, 0, false, 2);
export const lock_map_release = (map: lockdep_map): void => lock_release(map);
export const rwsem_acquire = (map: lockdep_map, subclass: number, trylock: boolean): void =>
  lock_acquire(map, subclass, trylock, 0);
export const rwsem_acquire_read = (map: lockdep_map, subclass: number, trylock: boolean): void =>
  lock_acquire(map, subclass, trylock, 1);
export const rwsem_release = (map: lockdep_map): void => lock_release(map);

export function lock_is_held(map: lockdep_map): boolean {
  return held_locks(current()).some((h) => h.map === map);
}
export function lockdep_is_held(lock: has_dep_map): boolean {
  return lock_is_held(lock.dep_map);
}

/** Somebody who holds `map`, for those who report hangs. */
export function holder_of(map: lockdep_map): task_struct | null {
  if (!debug_locks.on) return null;
  const waits = (t: task_struct): boolean => held_locks(t).at(-1)?.map === map && t.waiting !== null;
  return sched.tasks.find((t) => held_locks(t).some((h) => h.map === map) && !waits(t)) ?? null;
}

/** Interrupts were switched on: every lock that is held is now taken with interrupts on. */
export function lockdep_hardirqs_on(): void {
  if (debug_locks.on) mark_held_locks(HARDIRQ);
  if (debug_locks.on && softirqs_enabled(current())) mark_held_locks(SOFTIRQ);
}
export function lockdep_softirqs_on(): void {
  if (debug_locks.on && !current().irqs_disabled) mark_held_locks(SOFTIRQ);
}
function mark_held_locks(state: number): void {
  for (const h of held_locks(current()))
    if (h.check && !mark_lock(h, state | DIR_MASK | (h.read ? READ_MASK : 0))) return;
}

/** Memory is being given back: none of the current task's locks may lie in it. @member: only that part of the memory */
export function debug_check_no_locks_freed(mem: mem_object, member: kobj_memory | null = null): void {
  // Memory that is set up from outside the machine belongs to no task.
  if (!debug_locks.on || !sched.current) return;
  for (const h of held_locks(current())) {
    if (member ? h.map.instance !== member : h.map.instance?.$mem !== mem) continue;
    print_freed_lock_bug(mem, h);
    return;
  }
}

/** A task ends. */
export function debug_check_no_locks_held(t: task_struct): void {
  if (held_locks(t).length > 0) print_held_locks_bug();
}
task_exit_checks.push(debug_check_no_locks_held);

/** The current task goes back to user space. Called at the end of every system call. */
export function lockdep_sys_exit(): void {
  if (held_locks(current()).length > 0) print_user_exit_bug();
}
