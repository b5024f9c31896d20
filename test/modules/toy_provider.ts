// SPDX-License-Identifier: GPL-2.0-only
/** A module that others need: one symbol for everybody, one for GPL modules, and one that is not exported. */
import { kbuild } from "../../include/linux/export.ts";

const { per_boot, module_init, module_exit, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL, MODULE_ALIAS, MODULE_LICENSE } = kbuild(
  import.meta.url,
);

/** Statics of the module, for the test to look at. */
export const toy_statics = per_boot(() => ({ loads: 0, init_result: 0, exits: 0 }));
/** What the next init function returns; not a static of the module. */
export const toy_plan = { init_result: 0 };

export function toy_open(): number {
  return ++toy_statics.loads;
}
EXPORT_SYMBOL(toy_open);
export function toy_open_gpl(): number {
  return toy_open();
}
EXPORT_SYMBOL_GPL(toy_open_gpl);
export function toy_hidden(): number {
  return 0;
}

function toy_init(): number {
  toy_statics.loads++;
  return toy_plan.init_result;
}
function toy_exit(): void {
  toy_statics.exits++;
}
module_init(toy_init);
module_exit(toy_exit);
MODULE_LICENSE("GPL v2");
MODULE_ALIAS("toy:t*");
