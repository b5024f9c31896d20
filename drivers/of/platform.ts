// SPDX-License-Identifier: GPL-2.0-only
/** Devices of the platform and AMBA buses, made from the device tree. Source: drivers/of/platform.c */
import { amba_device_add, amba_device_alloc, amba_device_put } from "#linux/amba/bus.ts";
import { dev_name, dev_set_name, type device, device_add } from "#linux/device.ts";
import { DMA_BIT_MASK } from "#linux/dma-mapping.ts";
import { ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { iomem_resource, IORESOURCE_MEM, resource } from "#linux/ioport.ts";
import { type device_node, of_device_is_compatible, of_get_property, of_node_get } from "#linux/of.ts";
import {
  platform_bus,
  platform_bus_type,
  type platform_device,
  PLATFORM_DEVID_NONE,
  platform_device_add_resources,
  platform_device_alloc,
  platform_device_put,
} from "#linux/platform_device.ts";
import { pr_err } from "#linux/printk.ts";
import { type Sleeps, struct_array, embed } from "#linux/types.ts";

const { per_boot } = kbuild(import.meta.url);

const s = per_boot(() => ({ of_root: null as device_node | null }));

/** The tree that the machine is booted with, or null. From the machine, before the first device is made. */
export function of_set_root(root: device_node | null): void {
  s.of_root = root;
}
export function of_root(): device_node | null {
  return s.of_root;
}

/** The ranges of a node, as pairs of address and size. */
function of_address_to_resources(np: device_node): struct_array<resource> {
  const reg = [...(of_get_property(np, "reg") ?? [])].map(BigInt);
  const res = new struct_array<resource>(
    Math.floor(reg.length / 2),
    embed(() => resource),
  );
  for (let i = 0; i < res.length; i++) {
    const [start = 0n, size = 0n] = reg.slice(2 * i, 2 * i + 2);
    const r = res.at(i);
    r.start = start;
    r.end = start + size - 1n;
    r.name = `${np.name}@${start.toString(16)}`;
    r.flags = IORESOURCE_MEM;
  }
  return res;
}

function of_device_make_bus_id(dev: device): void {
  const node = dev.of_node!;
  if (of_get_property(node, "reg")) dev_set_name(dev, "%llx.%s", node.$unit, node.name);
  else dev_set_name(dev, "%s", node.name);
}

function of_device_alloc(np: device_node, parent: device | null): platform_device | null {
  const dev = platform_device_alloc("", PLATFORM_DEVID_NONE);
  if (!dev) return null;

  const res = of_address_to_resources(np);
  if (res.length > 0 && platform_device_add_resources(dev, res, res.length)) {
    // C leaves it to a warning
    pr_err("OF: no memory for the resources of %s\n", np.name);
  }

  dev.dev.of_node = of_node_get(np);
  dev.dev.parent = parent ?? platform_bus();
  of_device_make_bus_id(dev.dev);

  return dev;
}

function* of_platform_device_create_pdata(np: device_node, parent: device | null): Sleeps<platform_device | null> {
  const dev = of_device_alloc(np, parent);
  if (!dev) return null;

  dev.dev.coherent_dma_mask = DMA_BIT_MASK(32);
  dev.dev.bus = platform_bus_type();

  // of_device_add(): the name is that of the device
  dev.name = dev_name(dev.dev);
  dev.id = PLATFORM_DEVID_NONE;
  if (yield* device_add(dev.dev)) {
    yield* platform_device_put(dev);
    return null;
  }

  return dev;
}

function* of_amba_device_create(node: device_node, parent: device | null): Sleeps<number> {
  const res = of_address_to_resources(node).at(0);
  const dev = amba_device_alloc(null, 0n, 0n);
  if (!dev) return -ENOMEM;

  dev.dev.coherent_dma_mask = DMA_BIT_MASK(32);
  dev.dev.of_node = of_node_get(node);
  dev.dev.parent = parent ?? platform_bus();
  of_device_make_bus_id(dev.dev);

  // Its identity may be given, where the registers say nothing
  const [periphid] = [...(of_get_property(node, "arm,primecell-periphid") ?? [])].map(Number);
  if (periphid !== undefined) dev.periphid = periphid;

  dev.res.start = res.start;
  dev.res.end = res.end;
  dev.res.flags = res.flags;

  const ret = yield* amba_device_add(dev, iomem_resource());
  if (ret) {
    pr_err("OF: amba_device_add() failed (%d) for /%s\n", ret, node.name);
    yield* amba_device_put(dev);
  }
  return ret;
}

function* of_platform_bus_create(bus: device_node, parent: device | null): Sleeps<number> {
  if (!of_get_property(bus, "compatible")) return 0;

  if (of_device_is_compatible(bus, "arm,primecell")) {
    // Errors are not handed on: the other devices are wanted all the same
    yield* of_amba_device_create(bus, parent);
    return 0;
  }

  const dev = yield* of_platform_device_create_pdata(bus, parent);
  if (!dev || !of_device_is_compatible(bus, "simple-bus")) return 0;

  for (let child = bus.child; child; child = child.sibling) {
    const rc = yield* of_platform_bus_create(child, dev.dev);
    if (rc) return rc;
  }
  return 0;
}

/** Makes devices of the nodes below the root, and below buses among them. @return 0 or errno. May sleep */
export function* of_platform_default_populate_init(): Sleeps<number> {
  for (let child = s.of_root?.child ?? null; child; child = child.sibling) {
    const rc = yield* of_platform_bus_create(child, null);
    if (rc) return rc;
  }
  return 0;
}
