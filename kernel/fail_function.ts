// SPDX-License-Identifier: GPL-2.0-only
/**
 * Functions that return an error instead of running, if they say of themselves that their callers cope with it. In Linux a probe
 * is put on the function; here it asks error_injection() first of all. Sources: kernel/fail_function.c, lib/error-inject.c
 */
import { EBUSY, EINVAL, ENOENT } from "../include/linux/errno.ts";
import { per_boot } from "./boot.ts";
import { should_fail_ex } from "./lib/fault-inject.ts";
import { MAX_ERRNO } from "./lib/err_ptr.ts";

type any_function = (...args: never[]) => unknown;
/** What a function can return: an errno, an errno as a pointer or NULL, NULL, or true. */
export type error_type = "ERRNO" | "ERRNO_NULL" | "NULL" | "TRUE";

/** Never changes at run time. */
const error_injection_list = new Map<string, { readonly fn: any_function; readonly type: error_type }>();

/** ALLOW_ERROR_INJECTION(fn, ERRNO): the function is on the list, and may be made to fail. File scope. */
export function ALLOW_ERROR_INJECTION(fn: any_function, type: error_type): void {
  error_injection_list.set(fn.name, { fn, type });
}
export function within_error_injection_list(fn: any_function): boolean {
  return error_injection_list.get(fn.name)?.fn === fn;
}

const s = per_boot(() => ({
  /** What is injected, by function. */
  retvals: new Map<string, number>(),
}));

function adjust_error_retval(type: error_type, retval: number): number {
  const is_errno = retval < 0 && retval >= -MAX_ERRNO;
  switch (type) {
    case "NULL":
      return 0;
    case "TRUE":
      return 1;
    case "ERRNO":
      return is_errno ? retval : -EINVAL;
    case "ERRNO_NULL":
      return is_errno || retval === 0 ? retval : -EINVAL;
  }
}

/**
 * From now on the function returns `retval` whenever the attribute "fail_function" lets a call fail: as writing its name to
 * /sys/kernel/debug/fail_function/inject. @retval: as it is written to the function's `retval`; made to fit the list
 * @return 0, -EINVAL if it is not on the list, -EBUSY if it is injected already
 */
export function fei_inject(name: string, retval: number): number {
  const entry = error_injection_list.get(name);
  if (!entry) return -EINVAL;
  if (s.retvals.has(name)) return -EBUSY;
  s.retvals.set(name, adjust_error_retval(entry.type, retval));
  return 0;
}
/** @return 0, or -ENOENT if nothing was injected there */
export function fei_remove(name: string): number {
  return s.retvals.delete(name) ? 0 : -ENOENT;
}

/**
 * First thing in a function that allows it.
 * @return what to return at once: a negative errno, 0 for NULL, 1 for true; null to go on
 */
export function error_injection(fn: any_function): number | null {
  if (s.retvals.size === 0) return null;
  const retval = s.retvals.get(fn.name);
  if (retval === undefined || !should_fail_ex("fail_function", fn.name, 1)) return null;
  return retval;
}
