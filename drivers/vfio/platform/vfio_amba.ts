// SPDX-License-Identifier: GPL-2.0-only
/** VFIO for devices of the AMBA bus. Source: drivers/vfio/platform/vfio_amba.c */
import {
  AMBA_NR_IRQS,
  type amba_device,
  amba_driver,
  amba_driver_register,
  amba_driver_unregister,
  to_amba_device,
} from "#linux/amba/bus.ts";
import { dev_get_drvdata, dev_set_drvdata } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { ENOMEM, ENXIO } from "#linux/errno.ts";
import type { resource } from "#linux/ioport.ts";
import type { amba_id } from "#linux/mod_devicetable.ts";
import { kbuild } from "#linux/module.ts";
import { pm_runtime_disable, pm_runtime_enable } from "#linux/pm_runtime.ts";
import { GFP_KERNEL, kasprintf, kfree } from "#linux/slab.ts";
import { container_of, initialise, type Sleeps } from "#linux/types.ts";
import {
  vfio_alloc_device,
  type vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_group_dev,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import { VFIO_DEVICE_FLAGS_AMBA } from "#uapi/linux/vfio.ts";
import {
  vfio_platform_close_device,
  vfio_platform_device,
  vfio_platform_init_common,
  vfio_platform_ioctl,
  vfio_platform_mmap,
  vfio_platform_open_device,
  vfio_platform_read,
  vfio_platform_release_common,
  vfio_platform_write,
} from "./vfio_platform_private.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE, MODULE_VERSION } = kbuild(import.meta.url);

const DRIVER_VERSION = "0.10";

function get_amba_resource(vdev: vfio_platform_device, i: number): resource | null {
  const adev = vdev.opaque as amba_device;

  if (i === 0) return adev.res;

  return null;
}

function get_amba_irq(vdev: vfio_platform_device, i: number): number {
  const adev = vdev.opaque as amba_device;
  let ret = 0;

  if (i < AMBA_NR_IRQS) ret = adev.irq.at(i);

  // 0 is none
  return ret ? ret : -ENXIO;
}

function* vfio_amba_init_dev(core_vdev: vfio_device): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");
  const adev = to_amba_device(core_vdev.dev);

  vdev.name = kasprintf(GFP_KERNEL, "vfio-amba-%08x", adev.periphid);
  if (!vdev.name) return -ENOMEM;

  vdev.opaque = adev;
  vdev.flags = VFIO_DEVICE_FLAGS_AMBA;
  vdev.get_resource = get_amba_resource;
  vdev.get_irq = get_amba_irq;
  vdev.reset_required = false;

  const ret = yield* vfio_platform_init_common(vdev);
  if (ret) kfree(vdev.name);
  return ret;
}

function* vfio_amba_probe(adev: amba_device, _id: amba_id | null): Sleeps<number> {
  const vdev = yield* vfio_alloc_device(vfio_platform_device, "vdev", adev.dev, vfio_amba_ops);
  if (IS_ERR(vdev)) return PTR_ERR(vdev);

  const ret = yield* vfio_register_group_dev(vdev.vdev);
  out_put_vdev: {
    if (ret) break out_put_vdev;

    yield* pm_runtime_enable(adev.dev);
    dev_set_drvdata(adev.dev, vdev);
    return 0;
  }
  yield* vfio_put_device(vdev.vdev);
  return ret;
}

function vfio_amba_release_dev(core_vdev: vfio_device): void {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");

  vfio_platform_release_common(vdev);
  kfree(vdev.name);
  vfio_free_device(core_vdev);
}

function* vfio_amba_remove(adev: amba_device): Sleeps {
  const vdev = dev_get_drvdata<vfio_platform_device>(adev.dev)!;

  yield* vfio_unregister_group_dev(vdev.vdev);
  yield* pm_runtime_disable(vdev.device!);
  yield* vfio_put_device(vdev.vdev);
}

const vfio_amba_ops: vfio_device_ops = {
  name: "vfio-amba",
  init: vfio_amba_init_dev,
  release: vfio_amba_release_dev,
  open_device: vfio_platform_open_device,
  close_device: vfio_platform_close_device,
  ioctl: vfio_platform_ioctl,
  read: vfio_platform_read,
  write: vfio_platform_write,
  mmap: vfio_platform_mmap,
};

/** No identity: only a driver_override brings a device here. */
const pl330_ids: readonly amba_id[] = [];

const s = per_boot(() => {
  const vfio_amba_driver = initialise(new amba_driver(), {
    probe: vfio_amba_probe,
    remove: vfio_amba_remove,
    id_table: pl330_ids,
    driver_managed_dma: true,
  });
  initialise(vfio_amba_driver.drv, { name: "vfio-amba", owner: THIS_MODULE });
  return { vfio_amba_driver };
});

// module_amba_driver(vfio_amba_driver)
function vfio_amba_driver_init(): Sleeps<number> {
  return amba_driver_register(s.vfio_amba_driver);
}
module_init(vfio_amba_driver_init);
function vfio_amba_driver_exit(): Sleeps {
  return amba_driver_unregister(s.vfio_amba_driver);
}
module_exit(vfio_amba_driver_exit);

MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE("GPL v2");
