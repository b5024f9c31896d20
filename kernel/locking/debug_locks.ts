// SPDX-License-Identifier: GPL-2.0-only
/** What the checks of locks have in common. Source: include/linux/debug_locks.h */
import { per_boot_books } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { type kobj_memory, layout_of, struct_array } from "../lib/struct.ts";
import { warning } from "../panic.ts";
import { format_place, stack_trace } from "../stacktrace.ts";
import { debug_locks_off } from "./debug_locks_off.ts";

/** @text: the condition as C has it. @return the condition */
export function DEBUG_LOCKS_WARN_ON(condition: boolean, text: string): boolean {
  if (!condition || !debug_locks_off()) return condition;
  const title = `DEBUG_LOCKS_WARN_ON(${text})`;
  warning({ checker: "debug_locks", title, lines: [title] });
  return condition;
}

const s = per_boot_books(() => ({ warned: new Set<string>() }));

/** A lock's own checks, which speak whether or not lock debugging is still on, but once for each place, and turn it off. */
export function debug_warn_once(title: string, state: string): void {
  const key = `${title} ${format_place(stack_trace())}`;
  if (!checkers.on || s.warned.has(key)) return;
  s.warned.add(key);
  warning({ checker: "debug_locks", title, lines: [`${title}: ${state}`] });
  debug_locks_off();
}

/**
 * The name that C gives a lock: what the author wrote in the call of its init function, `&group->group_lock`. Here it
 * comes from the struct that the lock lies in, which stands for the place in the code as well.
 * @fallback: for a lock that lies in no struct
 */
export function name_of_member(object: kobj_memory, fallback: string): string {
  let at: kobj_memory = object;
  while (at.$up instanceof struct_array) at = at.$up;
  if (!at.$up) return fallback;
  return `&${layout_of(at.$up)?.name ?? "?"}->${at.$member}${at === object ? "" : "[i]"}`;
}
