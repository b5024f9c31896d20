// SPDX-License-Identifier: GPL-2.0-only
/** A driver that has nothing to clean up: its device has no release callback. Loading makes one and drops it. */
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { kbuild } from "#linux/module.ts";

import { embed, type Sleeps, struct, u32 } from "#linux/types.ts";
import { vfio_alloc_device, vfio_device, type vfio_device_ops, vfio_put_device } from "#linux/vfio.ts";

const { module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

class toy_device extends struct("toy_device", { vdev: embed(() => vfio_device), clients: u32() }) {}

const toy_ops: vfio_device_ops = { name: "toy" };

function* vfio_no_release_init(): Sleeps<number> {
  const toy = yield* vfio_alloc_device(toy_device, "vdev", null, toy_ops);
  if (IS_ERR(toy)) return PTR_ERR(toy);
  yield* vfio_put_device(toy.vdev);
  return 0;
}
function vfio_no_release_exit(): void {}

module_init(vfio_no_release_init);
module_exit(vfio_no_release_exit);
MODULE_LICENSE("GPL v2");
