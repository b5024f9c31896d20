// SPDX-License-Identifier: GPL-2.0-only
// custom: device tree nodes; without references, as the tree that the machine is booted with stays
import type { of_device_id } from "./mod_devicetable.ts";
import type { device } from "./device.ts";
import type { device_driver } from "./device/driver.ts";
import { int, opaque, ptr, str, struct, u64 } from "./types.ts";

/** A value of a property: a string, a list of strings, or numbers. */
export type of_property = string | readonly string[] | readonly number[] | readonly bigint[];

class device_node_base extends struct("device_node", {
  /** Without the unit address. */
  name: str(),
  parent: ptr<device_node>(),
  child: ptr<device_node>(),
  sibling: ptr<device_node>(),
  /** The unit address. */
  $unit: u64(),
  $properties: opaque<ReadonlyMap<string, of_property>>(() => new Map()),
  _flags: int(),
}) {}
export class device_node extends device_node_base {}

export const of_node_get = (node: device_node | null): device_node | null => node;
export const of_node_put = (_node: device_node | null): void => {};

/** A property, or null. Any context. */
export function of_get_property(node: device_node | null, name: string): of_property | null {
  return node?.$properties.get(name) ?? null;
}
/** The strings of a property; none if it is not there. */
export function of_property_strings(node: device_node | null, name: string): readonly string[] {
  const value = of_get_property(node, name);
  if (typeof value === "string") return [value];
  return value?.every((x): x is string => typeof x === "string") ? value : [];
}
/** Whether `compat` is among the node's, at whatever place. */
export function of_device_is_compatible(node: device_node | null, compat: string): boolean {
  return of_property_strings(node, "compatible").includes(compat);
}
/** The entry that fits the most specific of the device's compatible strings, or null. Any context. */
export function of_match_device(matches: readonly of_device_id[] | null, dev: device): of_device_id | null {
  if (!matches) return null;
  for (const compat of of_property_strings(dev.of_node, "compatible")) {
    const found = matches.find((m) => m.compatible === compat);
    if (found) return found;
  }
  return null;
}
export function of_driver_match_device(dev: device, drv: device_driver): boolean {
  return of_match_device(drv.of_match_table, dev) !== null;
}

export { of_platform_default_populate_init, of_root, of_set_root } from "../../drivers/of/platform.ts";
