// SPDX-License-Identifier: GPL-2.0-only
/**
 * The device tree and what its nodes say. Source: drivers/of/base.c
 *
 * The tree stays as the machine was booted with it, so there are neither references to nodes nor a lock. Nodes are not looked for by path, phandle
 * or name, and of an entry of a table only `compatible` is compared. What reads properties is in the header.
 */
import { kbuild } from "#linux/export.ts";
import type { of_device_id } from "#linux/mod_devicetable.ts";
import { type device_node, of_property_strings } from "#linux/of.ts";

const { per_boot, EXPORT_SYMBOL } = kbuild(import.meta.url);

const s = per_boot(() => ({ of_root: null as device_node | null }));

/** The tree that the machine is booted with, or null. From the machine, before the first device is made. */
export function of_set_root(root: device_node | null): void {
  s.of_root = root;
}
/** `of_root` */
export const of_root = (): device_node | null => s.of_root;
EXPORT_SYMBOL(of_root);

/** Whether a node is not switched off. Any context */
export function of_device_is_available(device: device_node | null): boolean {
  if (!device) return false;

  if (!device.$properties.has("status")) return true;

  const [status] = of_property_strings(device, "status");
  return status === "okay" || status === "ok";
}
EXPORT_SYMBOL(of_device_is_available);

/** The entry that fits the most specific of the node's compatible strings, the first one of those; or null. Any context */
export function of_match_node(matches: readonly of_device_id[] | null, node: device_node): of_device_id | null {
  if (!matches) return null;
  for (const compat of of_property_strings(node, "compatible")) {
    const found = matches.find((m) => m.compatible === compat);
    if (found) return found;
  }
  return null;
}
EXPORT_SYMBOL(of_match_node);
