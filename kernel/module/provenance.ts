// SPDX-License-Identifier: GPL-2.0-only
/** Where modules come from, and what the kernel says of that when they are loaded. Sources: kernel/module/main.c, kernel/module/signing.c */
import { pr_notice_once } from "../printk_once.ts";
import { pr_warn } from "../printk.ts";
import {
  add_taint,
  LOCKDEP_NOW_UNRELIABLE,
  LOCKDEP_STILL_OK,
  TAINT_OOT_MODULE,
  TAINT_PROPRIETARY_MODULE,
  TAINT_UNSIGNED_MODULE,
  test_taint,
} from "../taint.ts";
import { license_is_gpl_compatible } from "../../include/linux/license.ts";

/** Of a machine's modules. */
export interface module_provenance {
  /** The kernel looks for signatures, and there are none that it knows. */
  readonly unsigned: boolean;
  /** Names of those that were built apart from the kernel. */
  readonly out_of_tree: readonly string[];
}
const OWN: module_provenance = { unsigned: false, out_of_tree: [] };
const config = { modules: OWN };

/** Set at power-on; by default all modules are the kernel's own. */
export function set_module_provenance(modules: module_provenance = OWN): void {
  config.modules = modules;
}

function set_license(name: string, license: string): void {
  if (license_is_gpl_compatible(license)) return;
  if (!test_taint(TAINT_PROPRIETARY_MODULE))
    pr_warn("%s: module license '%s' taints kernel.\n", name, license || "unspecified");
  add_taint(TAINT_PROPRIETARY_MODULE, LOCKDEP_NOW_UNRELIABLE);
}

export function check_modinfo(name: string, license: string): void {
  if (config.modules.out_of_tree.includes(name)) {
    if (!test_taint(TAINT_OOT_MODULE)) pr_warn("%s: loading out-of-tree module taints kernel.\n", name);
    add_taint(TAINT_OOT_MODULE, LOCKDEP_STILL_OK);
  }
  set_license(name, license);
}

export function check_signature(name: string): void {
  if (!config.modules.unsigned) return;
  pr_notice_once("%s: module verification failed: signature and/or required key missing - tainting kernel\n", name);
  add_taint(TAINT_UNSIGNED_MODULE, LOCKDEP_STILL_OK);
}
