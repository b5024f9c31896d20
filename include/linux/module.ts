// SPDX-License-Identifier: GPL-2.0-only
// custom: modules; what a file says of itself comes from kbuild() of export.ts
import type { completion } from "./completion.ts";
import { kobject } from "./kobject.ts";
import { embed, fn, ptr, struct } from "./types.ts";
import { attribute, type sysfs_buf, type sysfs_result } from "./sysfs.ts";
import type { module } from "../../kernel/modpost.ts";

/** A module's directory in /sys/module. */
export class module_kobject extends struct("module_kobject", {
  kobj: embed(() => kobject),
  mod: ptr<module>(),
  drivers_dir: ptr<kobject>(),
  kobj_completion: ptr<completion>(),
}) {}

export class module_attribute extends struct("module_attribute", {
  attr: embed(() => attribute),
  show: fn<(attr: module_attribute, mk: module_kobject, buf: sysfs_buf) => sysfs_result>(),
  store: fn<(attr: module_attribute, mk: module_kobject, buf: string, count: number) => sysfs_result>(),
}) {}

export {
  kbuild,
  module,
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
  MODULE_STATE_UNFORMED,
} from "../../kernel/modpost.ts";
export {
  __module_get,
  module_is_live,
  module_put,
  module_refcount,
  try_module_get,
} from "../../kernel/module/refcount.ts";
export { delete_module, find_module, finit_module, set_link_table } from "../../kernel/module/main.ts";
export { symbol_get, symbol_put } from "../../kernel/module/symbol.ts";
export { module_kobj, module_kobject_of, module_kset } from "../../kernel/module/sysfs.ts";
export { modprobe, request_module } from "../../kernel/module/kmod.ts";

/** As messages name it. */
export const module_name = (mod: module | null): string => (mod ? mod.name : "kernel");
