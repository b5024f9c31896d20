// SPDX-License-Identifier: GPL-2.0-only
// dup: devices of the AMBA bus, and their drivers; clocks are not modelled
import { dev_get_drvdata, dev_set_drvdata, device, device_dma_parameters, device_driver } from "../device.ts";
import { resource } from "../ioport.ts";
import type { amba_id } from "../mod_devicetable.ts";
import { mutex } from "../mutex.ts";
import { array, bool, container_of, embed, fn, opaque, type Sleeps, str, struct, u32 } from "../types.ts";

export const AMBA_NR_IRQS = 9;
/** What the last registers of a PrimeCell say, and those of a CoreSight component. */
export const AMBA_CID = 0xb105f00d;
export const CORESIGHT_CID = 0xb105900d;

/** What tells CoreSight components of the same identity apart. */
export class amba_cs_uci_id extends struct("amba_cs_uci_id", {
  devarch: u32(),
  devarch_mask: u32(),
  devtype: u32(),
  data: opaque<object | null>(() => null),
}) {}
export const UCI_REG_DEVTYPE_OFFSET = 0xfcc;
export const UCI_REG_DEVARCH_OFFSET = 0xfbc;

export class amba_device extends struct("amba_device", {
  dev: embed(() => device),
  res: embed(() => resource),
  dma_parms: embed(() => device_dma_parameters),
  periphid: u32(),
  periphid_lock: embed(() => mutex),
  cid: u32(),
  uci: embed(() => amba_cs_uci_id),
  irq: array(AMBA_NR_IRQS, u32()),
  /** Name of the only driver that may have it: set with driver_set_override(). */
  driver_override: str(),
}) {}

export class amba_driver extends struct("amba_driver", {
  drv: embed(() => device_driver),
  probe: fn<(dev: amba_device, id: amba_id | null) => Sleeps<number> | number>(),
  remove: fn<(dev: amba_device) => Sleeps | void>(),
  shutdown: fn<(dev: amba_device) => Sleeps | void>(),
  id_table: opaque<readonly amba_id[] | null>(() => null),
  /** It looks after DMA itself: no domain of the kernel's for its devices. */
  driver_managed_dma: bool(),
}) {}

/** The AMBA device that a device is part of. */
export const to_amba_device = (d: device | null): amba_device => container_of(d, amba_device, "dev");

export const amba_get_drvdata = <T extends object>(d: amba_device): T | null => dev_get_drvdata<T>(d.dev);
export const amba_set_drvdata = (d: amba_device, p: object | null): void => dev_set_drvdata(d.dev, p);

export {
  amba_bustype,
  amba_device_add,
  amba_device_alloc,
  amba_device_put,
  amba_device_register,
  amba_device_unregister,
  amba_driver_register,
  amba_driver_unregister,
  amba_release_regions,
  amba_request_regions,
} from "../../../drivers/amba/bus.ts";
