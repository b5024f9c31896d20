// SPDX-License-Identifier: GPL-2.0-only
/** What the firmware does with the PCI devices before it starts the kernel: bus numbers, addresses, bridge windows, interrupt lines. */
import {
  PCI_BASE_ADDRESS_0,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_COMMAND_SERR,
  PCI_INTERRUPT_LINE,
  PCI_IO_BASE,
  PCI_IO_LIMIT,
  PCI_MEMORY_BASE,
  PCI_MEMORY_LIMIT,
  PCI_PREF_BASE_UPPER32,
  PCI_PREF_LIMIT_UPPER32,
  PCI_PREF_MEMORY_BASE,
  PCI_PREF_MEMORY_LIMIT,
  PCI_PREF_RANGE_TYPE_64,
  PCI_PRIMARY_BUS,
  PCI_SECONDARY_BUS,
  PCI_SUBORDINATE_BUS,
} from "#uapi/linux/pci_regs.ts";
import { add_mmio } from "../mmio.ts";
import { memory_of } from "./pci_devices.ts";
import { type bar_model, OPREGION_AT, type pci_function } from "./pci_function.ts";

/** A function in its place; what is behind it, if it is a bridge. */
export interface pci_node {
  readonly devfn: number;
  readonly func: pci_function;
  readonly behind: pci_node[];
}

/** Where the firmware keeps what it has for a driver: one device's. */
export const FIRMWARE_MEMORY = 0x7f000000;

/** Gives the buses behind these devices numbers, depth first. @return the highest */
function number_buses(nodes: readonly pci_node[], bus: number, max: number): number {
  for (const { func, behind } of nodes) {
    if (!func.model.bridge) continue;
    max += 1;
    const secondary = max;
    func.write(PCI_PRIMARY_BUS, 1, bus);
    func.write(PCI_SECONDARY_BUS, 1, secondary);
    func.write(PCI_SUBORDINATE_BUS, 1, 0xff);
    max = number_buses(behind, secondary, max);
    func.write(PCI_SUBORDINATE_BUS, 1, max);
  }
  return max;
}

type kind = "io" | "mem" | "pref";
const kind_of = (b: bar_model): kind => (b.kind === "io" ? "io" : b.prefetch ? "pref" : "mem");
/** What the windows of a bridge begin and end at. */
const GRANULE: Readonly<Record<kind, number>> = { io: 0x1000, mem: 0x100000, pref: 0x100000 };
const up = (n: number, to: number): number => Math.ceil(n / to) * to;

function set_window(bridge: pci_function, of: kind, base: number, end: number): void {
  const last = end - 1;
  // Closed: it begins behind its end.
  const [from, to] = end > base ? [base, last] : [GRANULE[of] * 0xfff, 0];
  if (of === "io") {
    bridge.write(PCI_IO_BASE, 1, end > base ? (from >> 8) & 0xf0 : 0xf0);
    bridge.write(PCI_IO_LIMIT, 1, end > base ? (to >> 8) & 0xf0 : 0);
    return;
  }
  const [base_reg, limit_reg] =
    of === "mem" ? [PCI_MEMORY_BASE, PCI_MEMORY_LIMIT] : [PCI_PREF_MEMORY_BASE, PCI_PREF_MEMORY_LIMIT];
  const type = of === "pref" ? PCI_PREF_RANGE_TYPE_64 : 0;
  bridge.write(base_reg, 2, ((from / 0x10000) & 0xfff0) | type);
  bridge.write(limit_reg, 2, ((to / 0x10000) & 0xfff0) | type);
  if (of === "pref") {
    bridge.write(PCI_PREF_BASE_UPPER32, 4, 0);
    bridge.write(PCI_PREF_LIMIT_UPPER32, 4, 0);
  }
}

/** Gives everything of one kind on a bus, and behind it, addresses from `base` on: what is biggest first. @return the end */
function place(nodes: readonly pci_node[], of: kind, base: number): number {
  const bars = nodes.flatMap(({ func }) =>
    (func.model.bars ?? []).filter((b) => kind_of(b) === of).map((bar) => ({ func, bar })),
  );
  let at = base;
  for (const { func, bar } of bars.sort((a, b) => b.bar.size - a.bar.size)) {
    at = up(at, bar.size);
    func.write(PCI_BASE_ADDRESS_0 + 4 * bar.n, 4, at);
    at += bar.size;
  }
  for (const { func, behind } of nodes) {
    if (!func.model.bridge) continue;
    const from = up(at, GRANULE[of]);
    const end = place(behind, of, from);
    const to = up(end, GRANULE[of]);
    set_window(func, of, from, end > from ? to : from);
    if (end > from) at = to;
  }
  return at;
}

/** The line of the interrupt controller that a function's pin leads to. */
export const line_of = (devfn: number, pin: number): number => (((devfn >> 3) + pin) % 2 ? 10 : 11);

function start(nodes: readonly pci_node[]): void {
  for (const { devfn, func, behind } of nodes) {
    const pin = func.model.interrupt_pin;
    if (pin) func.write(PCI_INTERRUPT_LINE, 1, line_of(devfn, pin));
    if (func.model.opregion) {
      func.write(OPREGION_AT, 4, FIRMWARE_MEMORY);
      add_mmio(BigInt(FIRMWARE_MEMORY), BigInt(func.model.opregion.length), memory_of(func.model.opregion));
    }
    const master = func.model.bridge ? PCI_COMMAND_MASTER : 0;
    func.write(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR | master);
    start(behind);
  }
}

/** Where the firmware begins, and what the host bridge passes on to the devices: [first, last]. */
export const HOST_WINDOWS = { io: [0xc000, 0xffff], mem: [0xc0000000, 0xfebfffff] } as const;

/** Sets a machine up. @bus: the root bus */
export function pci_firmware(bus: readonly pci_node[]): void {
  number_buses(bus, 0, 0);
  place(bus, "io", HOST_WINDOWS.io[0]);
  place(bus, "pref", place(bus, "mem", HOST_WINDOWS.mem[0]));
  start(bus);
}
