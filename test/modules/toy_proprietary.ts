// SPDX-License-Identifier: GPL-2.0-only
/** A module that says it is not free software. It cannot be unloaded either: it has no exit function. */
import { kbuild } from "../../include/linux/export.ts";

const { module_init, MODULE_LICENSE } = kbuild(import.meta.url);

function toy_proprietary_init(): number {
  return 0;
}
module_init(toy_proprietary_init);
MODULE_LICENSE("Proprietary");
