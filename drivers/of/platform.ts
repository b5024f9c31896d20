// SPDX-License-Identifier: GPL-2.0-only
/**
 * Devices of the platform and AMBA buses, made from the device tree. Source: drivers/of/platform.c
 *
 * Not here: tables that give devices other names (of_dev_auxdata, with of_dev_lookup()); of_platform_bus_probe(), of_find_device_by_node(), the
 * removal of devices (of_platform_device_destroy(), of_platform_depopulate() and their devm_ variants) and the notifier of dynamic trees, which
 * nobody calls; MSI domains of platform devices; links to suppliers. Of of_platform_default_populate_init(): /reserved-memory, /firmware and
 * the frame buffer of /chosen, which no tree here has, and what POWER does instead.
 */
import { amba_device_add, amba_device_alloc, amba_device_put, type amba_device } from "#linux/amba/bus.ts";
import { ffs } from "#linux/bitops.ts";
import { WARN_ON } from "#linux/bug.ts";
import { dev_name, dev_set_name, type device } from "#linux/device.ts";
import { DMA_BIT_MASK } from "#linux/dma-mapping.ts";
import { EINVAL, ENODEV } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { iomem_resource, resource } from "#linux/ioport.ts";
import type { of_device_id } from "#linux/mod_devicetable.ts";
import {
  type device_node,
  of_address_to_resource,
  OF_BAD_ADDR,
  of_device_add,
  of_device_is_available,
  of_device_is_compatible,
  of_get_property,
  of_have_populated_dt,
  of_match_node,
  of_node_check_flag,
  of_node_clear_flag,
  of_node_full_path,
  of_node_get,
  of_node_put,
  of_node_set_flag,
  of_node_test_and_set_flag,
  OF_POPULATED,
  OF_POPULATED_BUS,
  of_root,
  of_translate_address,
} from "#linux/of.ts";
import {
  platform_bus,
  platform_bus_type,
  type platform_device,
  PLATFORM_DEVID_NONE,
  platform_device_alloc,
  platform_device_put,
} from "#linux/platform_device.ts";
import { pr_debug, pr_err } from "#linux/printk.ts";
import { GFP_KERNEL, kcalloc } from "#linux/slab.ts";
import { embed, type Sleeps } from "#linux/types.ts";

const { EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const of_default_bus_match_table: readonly of_device_id[] = [
  { compatible: "simple-bus" },
  { compatible: "simple-mfd" },
  { compatible: "isa" },
  { compatible: "arm,amba-bus" },
];

const of_skipped_node_table: readonly of_device_id[] = [{ compatible: "operating-points-v2" }];

/* The address is unique where the CPU can see it; without one, the names of the buses above make the name so. */
function of_device_make_bus_id(dev: device): void {
  for (let node = dev.of_node!; node.parent; node = node.parent) {
    const [reg] = of_get_property(node, "reg") ?? [];
    const addr = reg === undefined ? OF_BAD_ADDR : of_translate_address(node, BigInt(reg));
    const name = dev_name(dev);
    if (addr !== OF_BAD_ADDR) {
      const [mask] = of_get_property(node, "mask") ?? [];
      if (mask !== undefined) {
        const at = ffs(Number(mask)) - 1;
        dev_set_name(dev, name ? "%llx.%x.%s:%s" : "%llx.%x.%s", addr, at, node.name, name);
      } else dev_set_name(dev, name ? "%llx.%s:%s" : "%llx.%s", addr, node.name, name);
      return;
    }

    // What stands for the name is only looked at if there is one.
    dev_set_name(dev, name ? "%s:%s" : "%s", node.full_name, name);
  }
}

/**
 * A platform device with the ranges of a node. @bus_id: name, or null for one that is made from the address.
 * @return NULL without memory. May sleep
 */
export function* of_device_alloc(
  np: device_node,
  bus_id: string | null,
  parent: device | null,
): Sleeps<platform_device | null> {
  let num_reg = 0;
  const temp_res = new resource();

  const dev = platform_device_alloc("", PLATFORM_DEVID_NONE);
  if (!dev) return null;

  while (of_address_to_resource(np, num_reg, temp_res) === 0) num_reg++;

  if (num_reg) {
    const res = kcalloc(
      num_reg,
      embed(() => resource),
      GFP_KERNEL,
    );
    if (!res) {
      yield* platform_device_put(dev);
      return null;
    }

    dev.num_resources = num_reg;
    dev.resource = res;
    for (let i = 0; i < num_reg; i++) {
      const rc = of_address_to_resource(np, i, res.at(i));
      WARN_ON(rc !== 0);
    }
  }

  dev.dev.of_node = of_node_get(np);
  dev.dev.parent = parent ?? platform_bus();

  if (bus_id) dev_set_name(dev.dev, "%s", bus_id);
  else of_device_make_bus_id(dev.dev);

  return dev;
}
EXPORT_SYMBOL(of_device_alloc);

function* of_platform_device_create_pdata(
  np: device_node,
  bus_id: string | null,
  parent: device | null,
): Sleeps<platform_device | null> {
  if (!of_device_is_available(np) || of_node_test_and_set_flag(np, OF_POPULATED)) return null;

  err_clear_flag: {
    const dev = yield* of_device_alloc(np, bus_id, parent);
    if (!dev) break err_clear_flag;

    dev.dev.coherent_dma_mask = DMA_BIT_MASK(32);
    dev.dev.bus = platform_bus_type();

    if ((yield* of_device_add(dev)) !== 0) {
      yield* platform_device_put(dev);
      break err_clear_flag;
    }

    return dev;
  }
  of_node_clear_flag(np, OF_POPULATED);
  return null;
}

/** Makes a device of a node. @return NULL if it has one, is switched off, or could not be added. May sleep */
export function of_platform_device_create(
  np: device_node,
  bus_id: string | null,
  parent: device | null,
): Sleeps<platform_device | null> {
  return of_platform_device_create_pdata(np, bus_id, parent);
}
EXPORT_SYMBOL(of_platform_device_create);

function* of_amba_device_create(
  node: device_node,
  bus_id: string | null,
  parent: device | null,
): Sleeps<amba_device | null> {
  let ret: number;

  pr_debug("OF: Creating amba device %s\n", of_node_full_path(node));

  if (!of_device_is_available(node) || of_node_test_and_set_flag(node, OF_POPULATED)) return null;

  err_clear_flag: {
    const dev = amba_device_alloc(null, 0n, 0n);
    if (!dev) break err_clear_flag;

    // The other mask is the same one: amba_device_alloc() has seen to it.
    dev.dev.coherent_dma_mask = DMA_BIT_MASK(32);

    dev.dev.of_node = of_node_get(node);
    dev.dev.parent = parent ?? platform_bus();
    if (bus_id) dev_set_name(dev.dev, "%s", bus_id);
    else of_device_make_bus_id(dev.dev);

    // Its identity may be given, where the registers say nothing
    const [prop] = of_get_property(node, "arm,primecell-periphid") ?? [];
    if (prop !== undefined) dev.periphid = Number(prop);

    err_free: {
      ret = of_address_to_resource(node, 0, dev.res);
      if (ret) {
        pr_err("OF: amba: of_address_to_resource() failed (%d) for %s\n", ret, of_node_full_path(node));
        break err_free;
      }

      ret = yield* amba_device_add(dev, iomem_resource());
      if (ret) {
        pr_err("OF: amba_device_add() failed (%d) for %s\n", ret, of_node_full_path(node));
        break err_free;
      }

      return dev;
    }
    yield* amba_device_put(dev);
  }
  of_node_clear_flag(node, OF_POPULATED);
  return null;
}

/* Makes a device of a node and, if `matches` says that it is a bus, of those below it. */
function* of_platform_bus_create(
  bus: device_node,
  matches: readonly of_device_id[],
  parent: device | null,
  strict: boolean,
): Sleeps<number> {
  let rc = 0;

  if (strict && !of_get_property(bus, "compatible")) return 0;

  if (of_match_node(of_skipped_node_table, bus)) return 0;

  if (of_node_check_flag(bus, OF_POPULATED_BUS)) return 0;

  if (of_device_is_compatible(bus, "arm,primecell")) {
    // Errors are not handed on: the other devices are wanted all the same
    yield* of_amba_device_create(bus, null, parent);
    return 0;
  }

  const dev = yield* of_platform_device_create_pdata(bus, null, parent);
  if (!dev || !of_match_node(matches, bus)) return 0;

  for (let child = bus.child; child; child = child.sibling) {
    rc = yield* of_platform_bus_create(child, matches, dev.dev, strict);
    if (rc) {
      of_node_put(child);
      break;
    }
  }
  of_node_set_flag(bus, OF_POPULATED_BUS);
  return rc;
}

/**
 * Makes devices of the nodes below `root`, default the tree's, that say what they are compatible with.
 * @matches: which nodes are buses. @return 0; -EINVAL without a tree; errno. May sleep
 */
export function* of_platform_populate(
  root: device_node | null,
  matches: readonly of_device_id[],
  parent: device | null,
): Sleeps<number> {
  let rc = 0;

  root = of_node_get(root ?? of_root());
  if (!root) return -EINVAL;

  for (let child = root.child; child; child = child.sibling) {
    rc = yield* of_platform_bus_create(child, matches, parent, true);
    if (rc) {
      of_node_put(child);
      break;
    }
  }

  of_node_set_flag(root, OF_POPULATED_BUS);

  of_node_put(root);
  return rc;
}
EXPORT_SYMBOL_GPL(of_platform_populate);

/** The same with the buses that hand on what they get. May sleep */
export function of_platform_default_populate(root: device_node | null, parent: device | null): Sleeps<number> {
  return of_platform_populate(root, of_default_bus_match_table, parent);
}
EXPORT_SYMBOL_GPL(of_platform_default_populate);

/** Devices of the tree that the machine is booted with. @return 0, also if some could not be made; -ENODEV without a tree. May sleep */
export function* of_platform_default_populate_init(): Sleeps<number> {
  if (!of_have_populated_dt()) return -ENODEV;

  yield* of_platform_default_populate(null, null);

  return 0;
}
