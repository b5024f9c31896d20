// SPDX-License-Identifier: GPL-2.0-only
/** Comparing what user space wrote. Source: lib/string_helpers.c */

/** Whether two texts are the same but for one newline at the end of either. */
export function sysfs_streq(s1: string, s2: string): boolean {
  return s1.replace(/\n$/, "") === s2.replace(/\n$/, "");
}
