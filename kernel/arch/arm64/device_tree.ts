// SPDX-License-Identifier: GPL-2.0-only
/** What an arm64 machine is made of: the device tree that its firmware hands over, and the devices behind it. */
import { device_node, type of_property } from "#linux/of.ts";
import { add_mmio, type mmio_device } from "../iomem.ts";
import { mmio_registers } from "./mmio_registers.ts";
import { pl330 } from "./pl330.ts";

/** A node of the tree. `reg`: address and size of each range, of which the first one's address is in the node's name. */
export interface node_plan {
  readonly name: string;
  readonly properties: Readonly<Record<string, of_property>> & { readonly reg?: readonly bigint[] };
  /** Models behind the ranges, in their order; made at each power-on. */
  readonly models?: () => readonly mmio_device[];
}

/** Shared lines that are held until the device is looked after, and those that are not. */
export const LEVEL = 4;
export const EDGE = 1;

/** A network card that VFIO knows how to reset, a DMA engine that it does not, and a device that nobody knows. */
export const DEFAULT_TREE: readonly node_plan[] = [
  {
    name: "ethernet",
    properties: {
      compatible: "calxeda,hb-xgmac",
      reg: [0xfff50000n, 0x1000n],
      interrupts: [0, 77, LEVEL, 0, 78, LEVEL, 0, 79, LEVEL],
      iommus: [0],
    },
    models: () => [new mmio_registers(0x1000)],
  },
  {
    name: "demo",
    properties: {
      compatible: "klab,vfio-demo",
      reg: [0x10000000n, 0x1000n, 0x10010000n, 0x100n],
      interrupts: [0, 40, EDGE],
      iommus: [0],
    },
    models: () => [new mmio_registers(0x1000), new mmio_registers(0x100)],
  },
  {
    name: "dma",
    properties: {
      compatible: ["arm,pl330", "arm,primecell"],
      reg: [0xfff3d000n, 0x1000n],
      interrupts: [0, 92, LEVEL],
      iommus: [0],
    },
    models: () => [new pl330()],
  },
];

const plan = { tree: DEFAULT_TREE };

/** Configures the machine that the next boot() switches on; without arguments, the default one. From outside. */
export function configure_device_tree(tree: readonly node_plan[] = DEFAULT_TREE): void {
  plan.tree = tree;
}

/** Puts the devices where the tree says they are. @return its root */
export function build_device_tree(): device_node {
  const root = new device_node();
  let last: device_node | null = null;
  for (const { name, properties, models } of plan.tree) {
    const node = new device_node();
    const reg = properties.reg ?? [];
    node.name = name;
    node.parent = root;
    node.$unit = reg[0] ?? 0n;
    node.$properties = new Map(Object.entries(properties));
    for (const [i, model] of (models?.() ?? []).entries()) add_mmio(reg[2 * i] ?? 0n, reg[2 * i + 1] ?? 0n, model);
    if (last) last.sibling = node;
    else root.child = node;
    last = node;
  }
  return root;
}
