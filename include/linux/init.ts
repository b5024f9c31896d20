// SPDX-License-Identifier: GPL-2.0-only
// custom: initcalls of what is built in; modules have module_init() from kbuild()
export {
  arch_initcall,
  core_initcall,
  device_initcall,
  early_initcall,
  fs_initcall,
  late_initcall,
  postcore_initcall,
  subsys_initcall,
} from "../../kernel/init.ts";
