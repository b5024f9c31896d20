// SPDX-License-Identifier: GPL-2.0-only
/** The mdev bus and its drivers. */
import { bus_type, type device, type device_driver, driver_register, driver_unregister } from "#linux/device.ts";
import { EINVAL } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { mdev_driver, to_mdev_device } from "#linux/mdev.ts";
import { either } from "#linux/sched.ts";
import { container_of, initialise, type Sleeps } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL } = kbuild(import.meta.url);

function* mdev_probe(dev: device): Sleeps<number> {
  const drv = container_of(dev.driver, mdev_driver, "driver");

  if (!drv.probe) return 0;
  return yield* either(drv.probe(to_mdev_device(dev)));
}

function* mdev_remove(dev: device): Sleeps {
  const drv = container_of(dev.driver, mdev_driver, "driver");

  if (drv.remove) yield* either(drv.remove(to_mdev_device(dev)));
}

/** Nothing matches: a driver gets the mdevs that are created for it, by device_driver_attach(). */
function mdev_match(_dev: device, _drv: device_driver): number {
  return 0;
}

const s = per_boot(() => ({
  mdev_bus_type: initialise(new bus_type(), {
    name: "mdev",
    probe: mdev_probe,
    remove: mdev_remove,
    match: mdev_match,
  }),
}));
/** `&mdev_bus_type` */
export const mdev_bus_type = (): bus_type => s.mdev_bus_type;

/**
 * Makes a driver for mdevs known. @return 0, -EINVAL if it does not say its device_api, or what the registration gives.
 * Context: may sleep. Source: drivers/vfio/mdev/mdev_driver.c
 */
export function* mdev_register_driver(drv: mdev_driver): Sleeps<number> {
  if (!drv.device_api) return -EINVAL;

  drv.driver.bus = mdev_bus_type();
  return yield* driver_register(drv.driver);
}
EXPORT_SYMBOL(mdev_register_driver);

/** The opposite. Context: may sleep. Source: drivers/vfio/mdev/mdev_driver.c */
export function* mdev_unregister_driver(drv: mdev_driver): Sleeps {
  yield* driver_unregister(drv.driver);
}
EXPORT_SYMBOL(mdev_unregister_driver);
