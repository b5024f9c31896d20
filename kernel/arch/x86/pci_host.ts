// SPDX-License-Identifier: GPL-2.0-only
/**
 * The PCI side of the machine: which device is where, and how configuration cycles find it. `pci_hw` is the operator's side:
 * plugging and pulling.
 */
import { on_x86 } from "#asm/setup.ts";
import {
  PCI_BRIDGE_CONTROL,
  PCI_BRIDGE_CTL_BUS_RESET,
  PCI_SECONDARY_BUS,
  PCI_SUBORDINATE_BUS,
} from "#uapi/linux/pci_regs.ts";
import { per_boot } from "../../boot.ts";
import { early_initcall } from "../../init.ts";
import { irq_alloc_desc, IRQ_TYPE_LEVEL_LOW, irq_line, irq_set_trigger_type } from "../../irq/manage.ts";
import { touch_named } from "../../sched/footprint.ts";
import { add_mmio, add_ports, type mmio_device } from "../mmio.ts";
import { HOST_WINDOWS, line_of, pci_firmware, type pci_node } from "./pci_firmware.ts";
import { type bar_hit, type function_model, pci_function } from "./pci_function.ts";
import { type pci_model_name, pci_models } from "./pci_models.ts";

/** A device in a slot of a bus; `behind`: what is on the bus behind a bridge. */
export interface pci_plan {
  readonly slot: number;
  /** Default 0. */
  readonly func?: number;
  /** One of pci_models by name, or another. */
  readonly device: pci_model_name | function_model;
  readonly behind?: readonly pci_plan[];
}

/** What every q35 has. */
export const q35_chipset: readonly pci_plan[] = [
  { slot: 0, device: "host-bridge" },
  { slot: 0x1f, func: 0, device: "isa-bridge" },
  { slot: 0x1f, func: 2, device: "ahci" },
  { slot: 0x1f, func: 3, device: "smbus" },
];
/** The machine on which the traces of the x86 kernel were recorded. */
export const recorded_pci: readonly pci_plan[] = [
  ...q35_chipset,
  { slot: 5, device: "edu" },
  { slot: 6, device: "pci-testdev-membar" },
  { slot: 7, device: "pcie-root-port", behind: [{ slot: 0, device: "e1000e" }] },
  {
    slot: 8,
    device: "pcie-root-port",
    behind: [
      {
        slot: 0,
        device: "pcie-pci-bridge",
        behind: [
          { slot: 1, device: "edu" },
          { slot: 2, device: "pci-testdev" },
          { slot: 3, device: "e1000" },
        ],
      },
    ],
  },
];

const plan = { devices: [] as readonly pci_plan[] };
/** What the next power-on finds. For boot(). */
export function set_pci_plan(devices: readonly pci_plan[]): void {
  plan.devices = devices;
}

const s = per_boot(() => ({
  root: [] as pci_node[],
  /** Who pulls a line of the interrupt controller. */
  pulled: new Map<number, Set<pci_function>>(),
}));

/** Where messages go that are interrupts; what they say is the number. */
export const MSI_DOORBELL = 0xfee00000n;

/* Lines are shared: it is down as long as anybody pulls. */
function pull_line(line: number, func: pci_function, asserted: boolean): void {
  const who = s.pulled.get(line) ?? new Set();
  s.pulled.set(line, who);
  if (asserted) who.add(func);
  else who.delete(func);
  irq_line(line, who.size > 0);
}

function build({ slot, func = 0, device, behind = [] }: pci_plan): pci_node {
  const made = new pci_function(typeof device === "string" ? pci_models[device] : device);
  const node: pci_node = { devfn: (slot << 3) | func, func: made, behind: behind.map(build) };
  made.on_bus_reset = () => node.behind.forEach((n) => n.func.reset());
  const line = line_of(node.devfn, made.model.interrupt_pin ?? 0);
  made.interrupts.wires.pin = (asserted) => pull_line(line, made, asserted);
  made.interrupts.wires.message = (address, data) => {
    if (address === MSI_DOORBELL) irq_line(data);
  };
  return node;
}

/* What the bridges pass on now, and who takes it. */
function decode(nodes: readonly pci_node[], space: "mem" | "io", addr: number): bar_hit | null {
  for (const { func, behind } of nodes) {
    const hit = func.decode(space, addr) ?? (func.passes_on(space, addr) ? decode(behind, space, addr) : null);
    if (hit) return hit;
  }
  return null;
}
/* Nobody answers: ones. What a device has nothing behind reads as zero. */
const bus_space = (space: "mem" | "io", start: number): mmio_device => ({
  read(off, size) {
    const hit = decode(s.root, space, start + off);
    if (!hit) return -1n;
    return hit.device ? hit.device.read(hit.off, size) : 0n;
  },
  write(off, size, value) {
    const hit = decode(s.root, space, start + off);
    hit?.device?.write(hit.off, size, value);
  },
});

function power_on(): number {
  for (const line of [10, 11]) irq_set_trigger_type(irq_alloc_desc(line), IRQ_TYPE_LEVEL_LOW);
  for (const [space, add] of [
    ["mem", add_mmio],
    ["io", add_ports],
  ] as const) {
    const [first, last] = HOST_WINDOWS[space];
    add(BigInt(first), BigInt(last - first + 1), bus_space(space, first));
  }
  s.root.push(...plan.devices.map(build));
  pci_firmware(s.root);
  return 0;
}
early_initcall(on_x86(power_on));

/** Whether there is a PCI bus at all. */
export const pci_present = (): boolean => s.root.length > 0;

/** The devices of a bus as the bridges pass cycles on now; null if none leads there. */
function bus_at(nodes: pci_node[], here: number, bus: number): pci_node[] | null {
  if (here === bus) return nodes;
  for (const { func, behind } of nodes) {
    if (!func.model.bridge) continue;
    const secondary = func.read(PCI_SECONDARY_BUS, 1);
    if (secondary <= here || bus < secondary || bus > func.read(PCI_SUBORDINATE_BUS, 1)) continue;
    // In reset nobody answers.
    if (func.read(PCI_BRIDGE_CONTROL, 2) & PCI_BRIDGE_CTL_BUS_RESET) return null;
    return bus_at(behind, secondary, bus);
  }
  return null;
}

/** A configuration read of 1, 2 or 4 bytes. @return all ones where no device answers. Any context */
export function hw_pci_read(bus: number, devfn: number, where: number, size: number): number {
  touch_named("PCI", false);
  const node = bus_at(s.root, 0, bus)?.find((n) => n.devfn === devfn);
  return node ? node.func.read(where, size) : 2 ** (8 * size) - 1;
}
/** A configuration write; lost where no device answers. Any context. */
export function hw_pci_write(bus: number, devfn: number, where: number, size: number, val: number): void {
  touch_named("PCI", true);
  bus_at(s.root, 0, bus)
    ?.find((n) => n.devfn === devfn)
    ?.func.write(where, size, val);
}

/* It drives no line any more. */
function unpower({ func, behind }: pci_node): void {
  func.interrupts.reset();
  behind.forEach(unpower);
}

/** Like "00:05.0": bus and function in hexadecimal. */
function locate(address: string): { readonly on: pci_node[]; readonly devfn: number } {
  const found = /^([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/.exec(address);
  if (!found) throw new RangeError(`${address} is not the address of a PCI function, like 00:05.0`);
  const [, bus = "", slot = "", func = ""] = found;
  const on = bus_at(s.root, 0, parseInt(bus, 16));
  if (!on) throw new RangeError(`the machine has no bus ${bus} now`);
  return { on, devfn: (parseInt(slot, 16) << 3) | Number(func) };
}

/** What somebody at the machine can do while it runs; functions are named by their address, like "00:05.0". From outside or from a task. */
export const pci_hw = {
  /** Pulls a device out, with what is behind it. Nobody is told: who reads from it gets ones. */
  pull(address: string): void {
    const { on, devfn } = locate(address);
    const at = on.findIndex((n) => n.devfn === devfn);
    if (at < 0) throw new RangeError(`the machine has no device at ${address}`);
    on.splice(at, 1).forEach(unpower);
  },
  /** Plugs a device in, without addresses: whoever looks for devices again finds it. @bus: in hexadecimal */
  plug(bus: string, device: pci_plan): void {
    locate(`${bus}:00.0`).on.push(build(device));
  },
  /** The function as the machine has it, for tests to look at. */
  func(address: string): pci_function | null {
    const { on, devfn } = locate(address);
    return on.find((n) => n.devfn === devfn)?.func ?? null;
  },
};
