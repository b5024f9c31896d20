// SPDX-License-Identifier: GPL-2.0-only
/** References on modules. Source: kernel/module/main.c */
import { WARN_ON } from "#linux/bug.ts";
import { kcsan_full } from "../kcsan/order.ts";
import { MODULE_STATE_GOING, type module } from "../modpost.ts";
import { touch_named } from "../sched/footprint.ts";
import { traced } from "../trace/emitter.ts";
import { trace_module_get, trace_module_put } from "../trace/events.ts";

/** What loading itself holds. 0 means that the module is going. */
export const MODULE_REF_BASE = 1;

export function module_is_live(mod: module): boolean {
  return mod.state !== MODULE_STATE_GOING;
}

/** Users of a module, as /sys/module/NAME/refcnt shows it. */
export function module_refcount(mod: module): number {
  return mod.refcnt - MODULE_REF_BASE;
}

/** One reference more, for somebody who has one already. NULL, which is vmlinux, is fine. Any context. */
export function __module_get(mod: module | null): void {
  if (!mod) return;
  touch_named(mod.name, true);
  mod.refcnt++;
  if (traced.kernel) trace_module_get(mod.name, mod.refcnt);
}
/** One reference more, unless the module is going or not there. Any context. @return whether; always for vmlinux */
export function try_module_get(mod: module | null): boolean {
  if (!mod) return true;
  touch_named(mod.name, true);
  if (!module_is_live(mod) || mod.refcnt === 0) return false;
  mod.refcnt++;
  kcsan_full(mod);
  if (traced.kernel) trace_module_get(mod.name, mod.refcnt);
  return true;
}
/** One reference less. Any context. */
export function module_put(mod: module | null): void {
  if (!mod) return;
  touch_named(mod.name, true);
  const ret = mod.refcnt - 1;
  if (ret >= 0) mod.refcnt = ret;
  kcsan_full(mod);
  if (traced.kernel) trace_module_put(mod.name, mod.refcnt);
  WARN_ON(ret < 0);
}
