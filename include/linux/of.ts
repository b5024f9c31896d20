// SPDX-License-Identifier: GPL-2.0-only
// custom: device tree nodes; without references, as the tree that the machine is booted with stays
import type { of_device_id } from "./mod_devicetable.ts";
import type { device } from "./device.ts";
import type { device_driver } from "./device/driver.ts";
import { int, opaque, ptr, str, struct } from "./types.ts";
import { of_match_node, of_root } from "../../drivers/of/base.ts";

/** A value of a property: a string, a list of strings, or numbers. */
export type of_property = string | readonly string[] | readonly number[] | readonly bigint[];

class device_node_base extends struct("device_node", {
  /** Without the unit address. */
  name: str(),
  /** With it, and without the path. */
  full_name: str(),
  parent: ptr<device_node>(),
  child: ptr<device_node>(),
  sibling: ptr<device_node>(),
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
/** The entry of a driver's table for a device, or null. Any context. */
export function of_match_device(matches: readonly of_device_id[] | null, dev: device): of_device_id | null {
  return matches && dev.of_node ? of_match_node(matches, dev.of_node) : null;
}
export function of_driver_match_device(dev: device, drv: device_driver): boolean {
  return of_match_device(drv.of_match_table, dev) !== null;
}

export const OF_BAD_ADDR = 0xffffffffffffffffn;

/** A device was made of the node; and of those below it. */
export const OF_POPULATED = 3;
export const OF_POPULATED_BUS = 4;
export const of_node_check_flag = (n: device_node, flag: number): boolean => (n._flags & (1 << flag)) !== 0;
export const of_node_set_flag = (n: device_node, flag: number): void => void (n._flags |= 1 << flag);
export const of_node_clear_flag = (n: device_node, flag: number): void => void (n._flags &= ~(1 << flag));
/** @return whether it was set before */
export function of_node_test_and_set_flag(n: device_node, flag: number): boolean {
  const was = of_node_check_flag(n, flag);
  of_node_set_flag(n, flag);
  return was;
}

/** What `%pOF` prints. */
export function of_node_full_path(node: device_node): string {
  let path = "";
  for (let n: device_node | null = node; n?.parent; n = n.parent) path = `/${n.full_name}${path}`;
  return path || "/";
}
export const of_have_populated_dt = (): boolean => of_root() !== null;

export { of_address_to_resource, of_translate_address } from "../../drivers/of/address.ts";
export { of_device_is_available, of_match_node, of_root, of_set_root } from "../../drivers/of/base.ts";
export { of_device_add } from "../../drivers/of/device.ts";
export {
  of_device_alloc,
  of_platform_default_populate,
  of_platform_default_populate_init,
  of_platform_device_create,
  of_platform_populate,
} from "../../drivers/of/platform.ts";
