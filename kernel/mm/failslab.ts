// SPDX-License-Identifier: GPL-2.0-only
/** Which allocations may be made to fail. Source: mm/failslab.c */
import { ALLOW_ERROR_INJECTION, error_injection } from "../fail_function.ts";
import { should_fail_ex } from "../lib/fault-inject.ts";
import { __GFP_NOFAIL, __GFP_NOWARN, type gfp_t } from "../../include/linux/gfp_types.ts";

/**
 * Whether this allocation is to fail, as with ignore-gfp-wait switched off: allocations that may sleep fail as well.
 * @cache: name of the slab cache, @size: of its objects
 */
export function should_failslab(cache: string, size: number, gfpflags: gfp_t): boolean {
  if (error_injection(should_failslab) !== null) return true;
  if (gfpflags & __GFP_NOFAIL) return false;
  return should_fail_ex("failslab", cache, size, (gfpflags & __GFP_NOWARN) !== 0);
}
ALLOW_ERROR_INJECTION(should_failslab, "ERRNO");
