// SPDX-License-Identifier: GPL-2.0-only
/**
 * Devices that come from the device tree. Source: drivers/of/device.c
 *
 * Only what adds one. NUMA nodes, DMA and what uevents say of a node are not here; of_match_device() is in the header.
 */
import { BUG_ON } from "#linux/bug.ts";
import { dev_name, device_add } from "#linux/device.ts";
import { type platform_device, PLATFORM_DEVID_NONE } from "#linux/platform_device.ts";
import type { Sleeps } from "#linux/types.ts";

/** Adds a device that has a node and a name. @return 0 or errno. May sleep */
export function* of_device_add(ofdev: platform_device): Sleeps<number> {
  BUG_ON(ofdev.dev.of_node === null);

  // The bus compares them.
  ofdev.name = dev_name(ofdev.dev);
  ofdev.id = PLATFORM_DEVID_NONE;

  return yield* device_add(ofdev.dev);
}
