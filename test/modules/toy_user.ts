// SPDX-License-Identifier: GPL-2.0-only
/** A module that needs toy_provider; which of its symbols, the test says. */
import { kbuild } from "../../include/linux/export.ts";

const { module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

function toy_user_init(): number {
  return 0;
}
function toy_user_exit(): void {}
module_init(toy_user_init);
module_exit(toy_user_exit);
MODULE_LICENSE("GPL");
