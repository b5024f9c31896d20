// SPDX-License-Identifier: GPL-2.0-only
/** An out-of-tree module that initialises a vfio_device of its own, as vfio-ccw did: it links only where vfio exports that. */
import { kbuild } from "#linux/module.ts";
import { vfio_init_device } from "#linux/vfio.ts";

const { module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

function vfio_init_user_init(): number {
  // Only linked against: calling it would need a device.
  return typeof vfio_init_device === "function" ? 0 : -22;
}

function vfio_init_user_exit(): void {}

module_init(vfio_init_user_init);
module_exit(vfio_init_user_exit);
MODULE_LICENSE("GPL v2");
