// SPDX-License-Identifier: GPL-2.0-only
/** VFIO for devices of the platform bus. Source: drivers/vfio/platform/vfio_platform.c */
import { dev_get_drvdata, dev_set_drvdata } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import type { resource } from "#linux/ioport.ts";
import { kbuild } from "#linux/module.ts";
import { param_bool } from "#linux/moduleparam.ts";
import {
  type platform_device,
  platform_driver,
  platform_driver_register,
  platform_driver_unregister,
  platform_get_irq_optional,
  platform_get_mem_or_io,
  to_platform_device,
} from "#linux/platform_device.ts";
import { pm_runtime_disable, pm_runtime_enable } from "#linux/pm_runtime.ts";
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
import { VFIO_DEVICE_FLAGS_PLATFORM } from "#uapi/linux/vfio.ts";
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

const { THIS_MODULE, per_boot, module_init, module_exit, module_param_named, MODULE_LICENSE, MODULE_VERSION } = kbuild(
  import.meta.url,
);

const DRIVER_VERSION = "0.10";

const p = per_boot(() => ({ reset_required: true }));
module_param_named(
  "reset_required",
  param_bool(() => p, "reset_required"),
  0o444,
);

function get_platform_resource(vdev: vfio_platform_device, num: number): resource | null {
  const dev = vdev.opaque as platform_device;

  return platform_get_mem_or_io(dev, num);
}

function get_platform_irq(vdev: vfio_platform_device, i: number): number {
  const pdev = vdev.opaque as platform_device;

  return platform_get_irq_optional(pdev, i);
}

function* vfio_platform_init_dev(core_vdev: vfio_device): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");
  const pdev = to_platform_device(core_vdev.dev);

  vdev.opaque = pdev;
  vdev.name = pdev.name;
  vdev.flags = VFIO_DEVICE_FLAGS_PLATFORM;
  vdev.get_resource = get_platform_resource;
  vdev.get_irq = get_platform_irq;
  vdev.reset_required = p.reset_required;

  return yield* vfio_platform_init_common(vdev);
}

function* vfio_platform_probe(pdev: platform_device): Sleeps<number> {
  const vdev = yield* vfio_alloc_device(vfio_platform_device, "vdev", pdev.dev, vfio_platform_ops);
  if (IS_ERR(vdev)) return PTR_ERR(vdev);

  const ret = yield* vfio_register_group_dev(vdev.vdev);
  out_put_vdev: {
    if (ret) break out_put_vdev;

    yield* pm_runtime_enable(pdev.dev);
    dev_set_drvdata(pdev.dev, vdev);
    return 0;
  }
  yield* vfio_put_device(vdev.vdev);
  return ret;
}

function vfio_platform_release_dev(core_vdev: vfio_device): void {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");

  vfio_platform_release_common(vdev);
  vfio_free_device(core_vdev);
}

function* vfio_platform_remove(pdev: platform_device): Sleeps<number> {
  const vdev = dev_get_drvdata<vfio_platform_device>(pdev.dev)!;

  yield* vfio_unregister_group_dev(vdev.vdev);
  yield* pm_runtime_disable(vdev.device!);
  yield* vfio_put_device(vdev.vdev);
  return 0;
}

const vfio_platform_ops: vfio_device_ops = {
  name: "vfio-platform",
  init: vfio_platform_init_dev,
  release: vfio_platform_release_dev,
  open_device: vfio_platform_open_device,
  close_device: vfio_platform_close_device,
  ioctl: vfio_platform_ioctl,
  read: vfio_platform_read,
  write: vfio_platform_write,
  mmap: vfio_platform_mmap,
};

const s = per_boot(() => {
  const vfio_platform_driver = initialise(new platform_driver(), {
    probe: vfio_platform_probe,
    remove: vfio_platform_remove,
    driver_managed_dma: true,
  });
  initialise(vfio_platform_driver.driver, { name: "vfio-platform" });
  return { vfio_platform_driver };
});

// module_platform_driver(vfio_platform_driver)
function vfio_platform_driver_init(): Sleeps<number> {
  return platform_driver_register(s.vfio_platform_driver, THIS_MODULE);
}
module_init(vfio_platform_driver_init);
function vfio_platform_driver_exit(): Sleeps {
  return platform_driver_unregister(s.vfio_platform_driver);
}
module_exit(vfio_platform_driver_exit);

MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE("GPL v2");
