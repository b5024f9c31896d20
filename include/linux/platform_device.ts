// SPDX-License-Identifier: GPL-2.0-only
// dup: devices that no bus tells of, and their drivers
import type { module } from "../../kernel/modpost.ts";
import { __platform_driver_register } from "../../drivers/base/platform.ts";
import { dev_get_drvdata, dev_set_drvdata, device, device_dma_parameters, device_driver } from "./device.ts";
import type { resource } from "./ioport.ts";
import type { platform_device_id } from "./mod_devicetable.ts";
import {
  bool,
  container_of,
  embed,
  fn,
  int,
  type kobj_memory,
  opaque,
  ptr,
  type Sleeps,
  str,
  struct,
  type struct_array,
  u32,
  u64,
} from "./types.ts";

/** Without a number in the name. */
export const PLATFORM_DEVID_NONE = -1;
/** With one that is given out. */
export const PLATFORM_DEVID_AUTO = -2;

export class platform_device extends struct("platform_device", {
  name: str(),
  id: int(),
  id_auto: bool(),
  dev: embed(() => device),
  platform_dma_mask: u64(),
  dma_parms: embed(() => device_dma_parameters),
  num_resources: u32(),
  resource: ptr<struct_array<resource>>(),
  id_entry: opaque<platform_device_id | null>(() => null),
  /** Name of the only driver that may have it: set with driver_set_override(). */
  driver_override: str(),
}) {}

export class platform_driver extends struct("platform_driver", {
  probe: fn<(pdev: platform_device) => Sleeps<number> | number>(),
  remove: fn<(pdev: platform_device) => Sleeps<number> | number>(),
  remove_new: fn<(pdev: platform_device) => Sleeps | void>(),
  shutdown: fn<(pdev: platform_device) => Sleeps | void>(),
  driver: embed(() => device_driver),
  id_table: opaque<readonly platform_device_id[] | null>(() => null),
  prevent_deferred_probe: bool(),
  /** It looks after DMA itself: no domain of the kernel's for its devices. */
  driver_managed_dma: bool(),
}) {}

/** The platform device that a device is part of. */
export const to_platform_device = (dev: device | null): platform_device => container_of(dev, platform_device, "dev");
export const to_platform_driver = (drv: device_driver | null): platform_driver =>
  container_of(drv, platform_driver, "driver");

export const platform_get_drvdata = <T extends object>(pdev: platform_device): T | null => dev_get_drvdata<T>(pdev.dev);
export const platform_set_drvdata = (pdev: platform_device, data: object | null): void =>
  dev_set_drvdata(pdev.dev, data);

/** What platform_device_register_full() makes a device from. */
export interface platform_device_info {
  readonly parent?: device | null;
  readonly name: string;
  readonly id: number;
  readonly res?: struct_array<resource> | null;
  readonly num_res?: number;
  readonly data?: kobj_memory | null;
  readonly size_data?: number;
  readonly dma_mask?: bigint;
}

/** @owner: THIS_MODULE, which the macro of C adds. @return 0 or errno. May sleep */
export const platform_driver_register = (drv: platform_driver, owner: module | null): Sleeps<number> =>
  __platform_driver_register(drv, owner);

export {
  __platform_create_bundle,
  __platform_driver_probe,
  __platform_driver_register,
  __platform_register_drivers,
  devm_platform_get_and_ioremap_resource,
  devm_platform_ioremap_resource,
  devm_platform_ioremap_resource_byname,
  platform_add_devices,
  platform_bus,
  platform_bus_type,
  platform_device_add,
  platform_device_add_data,
  platform_device_add_resources,
  platform_device_alloc,
  platform_device_del,
  platform_device_put,
  platform_device_register,
  platform_device_register_full,
  platform_device_unregister,
  platform_driver_unregister,
  platform_find_device_by_driver,
  platform_get_irq,
  platform_get_irq_byname,
  platform_get_irq_byname_optional,
  platform_get_irq_optional,
  platform_get_mem_or_io,
  platform_get_resource,
  platform_get_resource_byname,
  platform_irq_count,
  platform_unregister_drivers,
} from "../../drivers/base/platform.ts";
