// SPDX-License-Identifier: GPL-2.0-only
/**
 * Objects that something will still come back to: a pending work item, an armed timer. Freeing or initialising one
 * speaks in the words of lib/debugobjects.c; freeing a lock that is held in those of the lock validator.
 */
import { per_boot_books } from "../boot.ts";
import { checkers } from "../checkers.ts";
import type { kobj_memory } from "../lib/struct.ts";
import type { mem_object } from "../mm/object.ts";
import { warning } from "../panic.ts";
import { LOGLEVEL_ERR } from "../printk.ts";
import { sched } from "../sched/task.ts";
import { debug_check_no_locks_freed } from "./lockdep.ts";

type debug_type = "work_struct" | "timer_list" | "rcu_head";
interface active_object {
  readonly type: debug_type;
  /** What the owner says of an active one: 1 of an RCU head that is queued. */
  readonly astate: number;
  /** Name of the function that will be called. */
  readonly hint: string;
  /** Keeps it from coming back to freed memory, where Linux does that. */
  readonly fixup_free: ((object: kobj_memory) => void) | null;
}

const s = per_boot_books(() => ({
  active: new Map<kobj_memory, active_object>(),
}));

function debug_print_object(msg: string, state: string, o: active_object): void {
  const title = `ODEBUG: ${msg} ${state} (active state ${o.astate}) object type: ${o.type} hint: ${o.hint}`;
  warning({ checker: "odebug", title, lines: [title], level: LOGLEVEL_ERR, at: "debug_print_object" });
}

/** @func: what will be called when its time has come, where the type knows; @return false if it was active, which it said */
export function debug_object_activate(
  object: kobj_memory,
  type: debug_type,
  func: { readonly name: string } | null,
  fixup_free: ((object: kobj_memory) => void) | null = null,
  astate = 0,
): boolean {
  if (!checkers.on) return true;
  const active = s.active.get(object);
  if (active) debug_print_object("activate", "active", active);
  else s.active.set(object, { type, astate, hint: func?.name ?? "0x0", fixup_free });
  return active === undefined;
}
/** An active object changes what its owner says of it. @expect: what that was until now; speaks if it was not */
export function debug_object_active_state(object: kobj_memory, expect: number, next: number): void {
  const active = s.active.get(object);
  if (!active) return;
  if (active.astate === expect) s.active.set(object, { ...active, astate: next });
  else debug_print_object("active_state", "active", active);
}
export function debug_object_deactivate(object: kobj_memory): void {
  s.active.delete(object);
}
/** @return true if it was active, which it said: the caller makes it inactive first */
export function debug_object_init(object: kobj_memory): boolean {
  const active = s.active.get(object);
  if (active) debug_print_object("init", "active", active);
  return active !== undefined;
}
/** An object that was never initialised is used. */
export function debug_object_not_available(
  msg: string,
  type: debug_type,
  func: { readonly name: string } | null,
): void {
  debug_print_object(msg, "not available", { type, astate: 0, hint: func?.name ?? "0x0", fixup_free: null });
}

/** Memory is given back: nothing in it may be active, and no lock in it held. Called before it is marked as freed. Any context. */
export function debug_check_no_obj_freed(mem: mem_object): void {
  if (sched.current) debug_check_no_locks_freed(mem);
  if (s.active.size === 0) return;
  for (const [object, active] of s.active) {
    if (object.$mem !== mem) continue;
    debug_print_object("free", "active", active);
    active.fixup_free?.(object);
  }
}
