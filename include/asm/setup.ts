// SPDX-License-Identifier: GPL-2.0-only
// custom: initcalls that only one of the machines has
import { kconfig } from "../../kernel/arch/kconfig.ts";
import type { initcall } from "../../kernel/init.ts";

/** The initcall, but nothing on other machines: this tree is one kernel for all of them. File scope. */
export function on_s390(call: initcall): initcall {
  return () => (kconfig.CONFIG_S390 ? call() : 0);
}
export function on_x86(call: initcall): initcall {
  return () => (kconfig.CONFIG_X86 ? call() : 0);
}
export function on_arm64(call: initcall): initcall {
  return () => (kconfig.CONFIG_ARM64 ? call() : 0);
}
