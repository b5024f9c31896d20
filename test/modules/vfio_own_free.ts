// SPDX-License-Identifier: GPL-2.0-only
/** A driver whose release callback frees the memory by itself, as it had to once. Loading makes a device and drops it. */
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { kbuild } from "#linux/module.ts";
import { kvfree } from "#linux/slab.ts";
import { embed, type Sleeps, struct, u32 } from "#linux/types.ts";
import { vfio_alloc_device, vfio_device, type vfio_device_ops, vfio_put_device } from "#linux/vfio.ts";

const { module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

class toy_device extends struct("toy_device", { vdev: embed(() => vfio_device), clients: u32() }) {}

function toy_release(vdev: vfio_device): void {
  kvfree(vdev);
}
const toy_ops: vfio_device_ops = { name: "toy", release: toy_release };

function* vfio_own_free_init(): Sleeps<number> {
  const toy = yield* vfio_alloc_device(toy_device, "vdev", null, toy_ops);
  if (IS_ERR(toy)) return PTR_ERR(toy);
  yield* vfio_put_device(toy.vdev);
  return 0;
}
function vfio_own_free_exit(): void {}

module_init(vfio_own_free_init);
module_exit(vfio_own_free_exit);
MODULE_LICENSE("GPL v2");
