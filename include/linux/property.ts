// SPDX-License-Identifier: GPL-2.0-only
// custom: properties of devices, which only the device tree has here
import type { device } from "./device.ts";
import { EINVAL } from "./errno.ts";
import { of_property_strings } from "./of.ts";

/** The first string of a property. @val: left alone on error. @return 0, or -EINVAL if the device has none. Any context */
export function device_property_read_string(dev: device, propname: string, val: { value: string | null }): number {
  const [first] = of_property_strings(dev.of_node, propname);
  if (first === undefined) return -EINVAL;
  val.value = first;
  return 0;
}
