// SPDX-License-Identifier: GPL-2.0-only
/** What an arm64 machine is made of: the device tree that its firmware hands over, and the devices behind it. */
import { device_node, type of_property, of_translate_address } from "#linux/of.ts";
import { add_mmio, type mmio_device } from "../mmio.ts";
import { per_boot } from "../../boot.ts";
import { board, type board_name } from "./board.ts";
import { mc_firmware, type mc_object_plan } from "./mc_firmware.ts";
import { mmio_registers } from "./mmio_registers.ts";
import { pl330 } from "./pl330.ts";

/** A node of the tree. `reg`: address and size of each range, of which the first one's address is in the node's name. */
export interface node_plan {
  readonly name: string;
  readonly properties: Readonly<Record<string, of_property>> & { readonly reg?: readonly bigint[] };
  /** Models behind the ranges, in their order; made at each power-on. */
  readonly models?: () => readonly mmio_device[];
  /** What is on it, if it is a bus. Its `ranges`: address below, address above and size of each that it hands on; none of them is all. */
  readonly children?: readonly node_plan[];
}

/** Shared lines that are held until the device is looked after, and those that are not. */
export const LEVEL = 4;
export const EDGE = 1;

/** A network card that VFIO knows how to reset, a DMA engine that it does not, and a device that nobody knows. */
export const HIGHBANK: readonly node_plan[] = [
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

/** Firmware that hands out objects. */
export const LS2088A: readonly node_plan[] = [
  {
    name: "fsl-mc",
    properties: {
      compatible: "fsl,qoriq-mc",
      reg: [0x80c000000n, 0x40n, 0x8340000n, 0x40000n],
      "iommu-map": [23, 0, 0, 0],
      "msi-parent": [0],
      ranges: [0, 0, 0, 0x8, 0x0c000000, 0x4000000, 1, 0, 0, 0x8, 0x18000000, 0x8000000],
    },
    models: mc_models,
  },
];

/** The kernel's own container, and one that waits for user space, with a network interface and a software portal. */
const MC_OBJECTS: mc_object_plan = {
  type: "dprc",
  id: 1,
  irq_count: 1,
  objects: [
    { type: "dpmcp", id: 1, regions: [{ addr: 0x80c010000n, size: 0x10000 }] },
    {
      type: "dprc",
      id: 2,
      irq_count: 1,
      plugged: false,
      regions: [{ addr: 0x80c020000n, size: 0x10000 }],
      objects: [
        { type: "dpni", id: 0, irq_count: 1 },
        { type: "dpio", id: 8, irq_count: 1, regions: [{ addr: 0x818080000n, size: 0x10000 }] },
      ],
    },
  ],
};
/** The firmware that the machine was last booted with. */
const m = per_boot(() => ({ mc: null as mc_firmware | null }));
export function booted_mc(): mc_firmware | null {
  return m.mc;
}

function mc_models(): readonly mmio_device[] {
  const mc = (m.mc = new mc_firmware(plan.objects));
  for (const { addr, size, device } of mc.portals()) add_mmio(addr, size, device);
  return [mc.portal(mc.root), new mmio_registers(0x40000)];
}

const BOARDS: Readonly<Record<board_name, readonly node_plan[]>> = { highbank: HIGHBANK, ls2088a: LS2088A };
const plan = { tree: null as readonly node_plan[] | null, objects: MC_OBJECTS };

/**
 * Configures the machine that the next boot() switches on; without arguments, what its board has. From outside.
 * @objects: what the Management Complex knows, if there is one
 */
export function configure_device_tree(
  tree: readonly node_plan[] | null = null,
  objects: mc_object_plan = MC_OBJECTS,
): void {
  plan.tree = tree;
  plan.objects = objects;
}

/** Puts the devices where the tree says they are. @return its root */
export function build_device_tree(): device_node {
  const root = new device_node();
  add_nodes(root, plan.tree ?? BOARDS[board.name]);
  return root;
}
function add_nodes(parent: device_node, plans: readonly node_plan[]): void {
  let last: device_node | null = null;
  for (const { name, properties, models, children } of plans) {
    const node = new device_node();
    const reg = properties.reg ?? [];
    node.name = name;
    node.full_name = reg[0] === undefined ? name : `${name}@${reg[0].toString(16)}`;
    node.parent = parent;
    node.$properties = new Map(Object.entries(properties));
    for (const [i, model] of (models?.() ?? []).entries())
      add_mmio(of_translate_address(node, reg[2 * i] ?? 0n), reg[2 * i + 1] ?? 0n, model);
    if (last) last.sibling = node;
    else parent.child = node;
    last = node;
    add_nodes(node, children ?? []);
  }
}
