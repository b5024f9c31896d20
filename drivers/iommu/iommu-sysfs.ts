// SPDX-License-Identifier: GPL-2.0-only
/** IOMMUs in sysfs, with links from and to the devices behind them. */
import {
  dev_name,
  dev_set_drvdata,
  dev_set_name,
  device,
  device_add,
  device_initialize,
  device_unregister,
  put_device,
} from "#linux/device.ts";
import { class_, class_register } from "#linux/device/class.ts";
import { ENODEV, ENOMEM } from "#linux/errno.ts";
import { IS_ERR } from "#linux/err.ts";
import { kbuild } from "#linux/export.ts";
import { postcore_initcall } from "#linux/init.ts";
import type { iommu_device } from "#linux/iommu.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  type attribute_groups,
  sysfs_add_link_to_group,
  sysfs_create_link_nowarn,
  sysfs_remove_link,
  sysfs_remove_link_from_group,
} from "#linux/sysfs.ts";
import { initialise, type Sleeps } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** A folder for links to the devices behind an IOMMU. */
const dev_groups: attribute_groups = [{ name: "devices", attrs: [] }];

function release_device(dev: device): void {
  kfree(dev);
}

const s = per_boot(() => ({
  iommu_class: initialise(new class_(), { name: "iommu", dev_release: release_device, dev_groups }),
}));

function iommu_dev_init(): Sleeps<number> {
  return class_register(s.iommu_class);
}
postcore_initcall(iommu_dev_init);

/**
 * Makes the device that stands for an IOMMU in sysfs.
 * @groups: attributes of this kind of IOMMU. @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu-sysfs.c
 */
export function* iommu_device_sysfs_add(
  iommu: iommu_device,
  parent: device | null,
  groups: attribute_groups | null,
  fmt: string,
  ...args: readonly (string | number)[]
): Sleeps<number> {
  const dev = kzalloc(device, GFP_KERNEL);
  iommu.dev = dev;
  if (!dev) return -ENOMEM;

  device_initialize(dev);

  dev.class = s.iommu_class;
  dev.parent = parent;
  dev.groups = groups;

  let ret;
  error: {
    ret = dev_set_name(dev, fmt, ...args);
    if (ret) break error;

    ret = yield* device_add(dev);
    if (ret) break error;

    dev_set_drvdata(dev, iommu);

    return 0;
  }
  yield* put_device(dev);
  return ret;
}
EXPORT_SYMBOL_GPL(iommu_device_sysfs_add);

/** The opposite. Context: may sleep. Source: drivers/iommu/iommu-sysfs.c */
export function* iommu_device_sysfs_remove(iommu: iommu_device): Sleeps {
  dev_set_drvdata(iommu.dev!, null);
  yield* device_unregister(iommu.dev!);
  iommu.dev = null;
}
EXPORT_SYMBOL_GPL(iommu_device_sysfs_remove);

/** Links a device and its IOMMU to each other. @return 0 or errno. Context: may sleep. Source: drivers/iommu/iommu-sysfs.c */
export function* iommu_device_link(iommu: iommu_device | null, link: device): Sleeps<number> {
  if (!iommu || IS_ERR(iommu)) return -ENODEV;

  let ret = yield* sysfs_add_link_to_group(iommu.dev!.kobj, "devices", link.kobj, dev_name(link)!);
  if (ret) return ret;

  ret = yield* sysfs_create_link_nowarn(link.kobj, iommu.dev!.kobj, "iommu");
  if (ret) yield* sysfs_remove_link_from_group(iommu.dev!.kobj, "devices", dev_name(link)!);

  return ret;
}
EXPORT_SYMBOL_GPL(iommu_device_link);

/** The opposite. Context: may sleep. Source: drivers/iommu/iommu-sysfs.c */
export function* iommu_device_unlink(iommu: iommu_device | null, link: device): Sleeps {
  if (!iommu || IS_ERR(iommu)) return;

  yield* sysfs_remove_link(link.kobj, "iommu");
  yield* sysfs_remove_link_from_group(iommu.dev!.kobj, "devices", dev_name(link)!);
}
EXPORT_SYMBOL_GPL(iommu_device_unlink);
