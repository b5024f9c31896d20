// SPDX-License-Identifier: GPL-2.0-only
/** Symbols looked up by name while the machine runs, which makes nobody depend on the module that has them. Source: kernel/module/main.c */
import { MODULE_STATE_LIVE, type module, vmlinux } from "../modpost.ts";
import { loaded_modules } from "./main.ts";
import { module_put, try_module_get } from "./refcount.ts";

// Any function can be exported, and only who asks knows its type.
type symbol_function = (...args: never[]) => unknown;

function owner_of(name: string): module | null {
  if (vmlinux.exports.has(name)) return vmlinux;
  return loaded_modules().find((m) => m.state === MODULE_STATE_LIVE && m.exports.has(name)) ?? null;
}

/** @return the function, with a reference of its module, or NULL if nobody exports it now. Any context. */
export function symbol_get<F extends symbol_function>(name: string): F | null {
  const owner = owner_of(name);
  if (!owner || (owner !== vmlinux && !try_module_get(owner))) return null;
  return owner.exports.get(name)!.symbol as F; // as in C, where the macro takes the type from the prototype
}
/** Gives the reference back. Any context. */
export function symbol_put(name: string): void {
  const owner = owner_of(name);
  if (owner && owner !== vmlinux) module_put(owner);
}
