// SPDX-License-Identifier: GPL-2.0-only
/** An out-of-tree module whose release callback ends with vfio_free_device(), as every driver's did: it builds where vfio has that. */
import { kbuild } from "#linux/module.ts";
import { vfio_free_device } from "#linux/vfio.ts";

const { module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

function vfio_free_user_init(): number {
  // Only linked against: calling it would need a device.
  return typeof vfio_free_device === "function" ? 0 : -22;
}
function vfio_free_user_exit(): void {}

module_init(vfio_free_user_init);
module_exit(vfio_free_user_exit);
MODULE_LICENSE("GPL v2");
