// SPDX-License-Identifier: GPL-2.0-only
/** Start of the driver model. Linux calls it before all initcalls. Source: drivers/base/init.c */
import { early_initcall } from "#linux/init.ts";
import type { Sleeps } from "#linux/types.ts";
import { buses_init } from "./bus.ts";
import { classes_init } from "./class.ts";
import { devices_init } from "./core.ts";
import { platform_bus_init } from "./platform.ts";

function* driver_init(): Sleeps<number> {
  yield* devices_init();
  yield* buses_init();
  yield* classes_init();
  yield* platform_bus_init();
  return 0;
}
early_initcall(driver_init);
