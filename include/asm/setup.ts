// SPDX-License-Identifier: GPL-2.0-only
// custom: initcalls that only one of the machines has
import { byte_order } from "../../kernel/lib/bytestruct.ts";
import type { initcall } from "../../kernel/init.ts";

/** The initcall, but nothing on other machines: this tree is one kernel for all of them. File scope. */
export function on_s390(call: initcall): initcall {
  return () => (byte_order.little_endian ? 0 : call());
}
export function on_x86(call: initcall): initcall {
  return () => (byte_order.little_endian ? call() : 0);
}
