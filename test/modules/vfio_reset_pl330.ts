// SPDX-License-Identifier: GPL-2.0-only
/** Resets of devices that Linux has none for: a PL330, which can be told to fail, and the demo device. */
import { EIO } from "#linux/errno.ts";
import { kbuild } from "#linux/module.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import {
  __vfio_platform_register_reset,
  vfio_platform_reset_node,
  vfio_platform_unregister_reset,
} from "../../drivers/vfio/platform/vfio_platform_private.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_ALIAS, MODULE_LICENSE } = kbuild(import.meta.url);

/** What the resets answer, and how often they were asked. */
export const resets = { fail: false, count: 0 };

function reset(): number {
  resets.count++;
  return resets.fail ? -EIO : 0;
}

const COMPATS = ["arm,pl330", "klab,vfio-demo"];
for (const compat of COMPATS) MODULE_ALIAS(`vfio-reset:${compat}`);
const s = per_boot(() => ({
  nodes: COMPATS.map((compat) =>
    initialise(new vfio_platform_reset_node(), { owner: THIS_MODULE, compat, of_reset: reset }),
  ),
}));

function* init(): Sleeps<number> {
  for (const node of s.nodes) yield* __vfio_platform_register_reset(node);
  return 0;
}
function* exit(): Sleeps {
  for (const compat of COMPATS) yield* vfio_platform_unregister_reset(compat, reset);
}
module_init(init);
module_exit(exit);
MODULE_LICENSE("GPL");
