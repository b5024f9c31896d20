// SPDX-License-Identifier: GPL-2.0-only
// dup: places in structs
export { offsetof, offsetofend, sizeof } from "../../kernel/lib/struct.ts";
import { layout_of } from "../../kernel/lib/struct.ts";

/** Size of one member. */
export function sizeof_field<T extends object>(of: new () => T, member: keyof T & string): number {
  return layout_of(of)?.fields[member]?.width() ?? 0;
}
