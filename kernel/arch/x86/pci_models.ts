// SPDX-License-Identifier: GPL-2.0-only
/** The devices that a machine can be built of, with the values that an emulated machine (q35) has. Option ROMs are not there. */
import {
  PCI_ACS_CR,
  PCI_ACS_RR,
  PCI_ACS_SV,
  PCI_ACS_UF,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_CAP_ID_PM,
  PCI_CAP_ID_SHPC,
  PCI_CAP_ID_SSVID,
  PCI_EXP_TYPE_ENDPOINT,
  PCI_EXP_TYPE_PCI_BRIDGE,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXT_CAP_ID_ACS,
  PCI_EXT_CAP_ID_DSN,
  PCI_EXT_CAP_ID_ERR,
} from "#uapi/linux/pci_regs.ts";
import { edu_registers } from "./pci_devices.ts";
import type { capability_model, extended_capability_model, function_model } from "./pci_function.ts";

const QEMU = [0x1af4, 0x1100] as const;

const le16 = (v: number): number[] => [v & 0xff, (v >>> 8) & 0xff];
const le32 = (v: number): number[] => [...le16(v), ...le16(v >>> 16)];
const zeros = (n: number): number[] => new Array<number>(n).fill(0);

/** 64-bit message address, no masking. */
const msi = (at: number): capability_model => ({
  id: PCI_CAP_ID_MSI,
  at,
  bytes: [0, 0, ...le16(0x0080), ...zeros(10)],
  writable: [0, 0, ...le16(0x0071), ...le32(0xfffffffc), ...le32(0xffffffff), ...le16(0xffff)],
});
const msix = (at: number, vectors: number, table: number, pba: number): capability_model => ({
  id: PCI_CAP_ID_MSIX,
  at,
  bytes: [0, 0, ...le16(vectors - 1), ...le32(table), ...le32(pba)],
  writable: [0, 0, ...le16(0xc000)],
});
const pm = (at: number, pmc: number): capability_model => ({
  id: PCI_CAP_ID_PM,
  at,
  bytes: [0, 0, ...le16(pmc), ...zeros(4)],
  writable: [0, 0, 0, 0, ...le16(0x0103)],
});
/** @version: 1 or 2. @slot: the port has a slot */
function express(at: number, type: number, version: number, slot = false): capability_model {
  const size = version === 1 && type === PCI_EXP_TYPE_ENDPOINT ? 0x14 : 0x3c;
  const flags = version | (type << 4) | (slot ? 0x0100 : 0);
  const bytes = [
    0,
    0,
    ...le16(flags),
    ...le32(0x00008000),
    ...zeros(4),
    ...le32(0x00000c11),
    ...zeros(2),
    ...le16(0x0011),
  ];
  const writable = [...zeros(8), ...le16(0x000f), ...zeros(6), ...le16(0x01f3)];
  return { id: PCI_CAP_ID_EXP, at, bytes: [...bytes, ...zeros(size - bytes.length)], writable };
}
const acs = (at: number): extended_capability_model => {
  const all = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF;
  return {
    id: PCI_EXT_CAP_ID_ACS,
    version: 1,
    at,
    bytes: [...zeros(4), ...le16(all), ...zeros(2)],
    writable: [...zeros(6), ...le16(all)],
  };
};
const aer = (at: number): extended_capability_model => ({
  id: PCI_EXT_CAP_ID_ERR,
  version: 2,
  at,
  bytes: zeros(0x48),
});

export const pci_models = {
  "host-bridge": { vendor: 0x8086, device: 0x29c0, class: 0x0600, subsystem: QEMU },
  "isa-bridge": { vendor: 0x8086, device: 0x2918, revision: 2, class: 0x0601, subsystem: QEMU, multifunction: true },
  ahci: {
    vendor: 0x8086,
    device: 0x2922,
    revision: 2,
    class: 0x0106,
    prog_if: 1,
    subsystem: QEMU,
    multifunction: true,
    bars: [
      { n: 4, size: 32, kind: "io" },
      { n: 5, size: 4096, kind: "mem32" },
    ],
    interrupt_pin: 1,
    capabilities: [msi(0x80)],
  },
  smbus: {
    vendor: 0x8086,
    device: 0x2930,
    revision: 2,
    class: 0x0c05,
    subsystem: QEMU,
    multifunction: true,
    bars: [{ n: 4, size: 64, kind: "io" }],
    interrupt_pin: 1,
  },
  edu: {
    vendor: 0x1234,
    device: 0x11e8,
    revision: 0x10,
    class: 0x00ff,
    subsystem: QEMU,
    bars: [{ n: 0, size: 0x100000, kind: "mem32" }],
    interrupt_pin: 1,
    capabilities: [msi(0x40)],
    registers: edu_registers,
  },
  /** Integrated graphics of a Skylake, which a real machine has in slot 2. */
  "skylake-gt2": {
    vendor: 0x8086,
    device: 0x1916,
    revision: 7,
    class: 0x0300,
    subsystem: [0x8086, 0x2015],
    bars: [
      { n: 0, size: 0x1000000, kind: "mem64" },
      { n: 2, size: 0x10000000, kind: "mem64", prefetch: true },
    ],
    interrupt_pin: 1,
    capabilities: [msi(0xac), pm(0xd0, 0x0002)],
    pm_at: 0xd0,
  },
  "pci-testdev": {
    vendor: 0x1b36,
    device: 0x0005,
    class: 0x00ff,
    subsystem: QEMU,
    bars: [
      { n: 0, size: 4096, kind: "mem32" },
      { n: 1, size: 256, kind: "io" },
    ],
  },
  "pci-testdev-membar": {
    vendor: 0x1b36,
    device: 0x0005,
    class: 0x00ff,
    subsystem: QEMU,
    bars: [
      { n: 0, size: 4096, kind: "mem32" },
      { n: 1, size: 256, kind: "io" },
      { n: 2, size: 0x10000, kind: "mem64", prefetch: true },
    ],
  },
  e1000: {
    vendor: 0x8086,
    device: 0x100e,
    revision: 3,
    class: 0x0200,
    subsystem: QEMU,
    bars: [
      { n: 0, size: 0x20000, kind: "mem32" },
      { n: 1, size: 64, kind: "io" },
    ],
    interrupt_pin: 1,
  },
  e1000e: {
    vendor: 0x8086,
    device: 0x10d3,
    class: 0x0200,
    subsystem: [0x8086, 0],
    bars: [
      { n: 0, size: 0x20000, kind: "mem32" },
      { n: 1, size: 0x20000, kind: "mem32" },
      { n: 2, size: 32, kind: "io" },
      { n: 3, size: 0x4000, kind: "mem32" },
    ],
    interrupt_pin: 1,
    capabilities: [pm(0xc8, 0x0022), msi(0xd0), express(0xe0, PCI_EXP_TYPE_ENDPOINT, 1), msix(0xa0, 5, 3, 0x2003)],
    extended: [aer(0x100), { id: PCI_EXT_CAP_ID_DSN, version: 1, at: 0x140, bytes: zeros(12) }],
    pm_at: 0xc8,
    express_at: 0xe0,
  },
  "pcie-root-port": {
    vendor: 0x1b36,
    device: 0x000c,
    class: 0x0604,
    bridge: true,
    bars: [{ n: 0, size: 4096, kind: "mem32" }],
    interrupt_pin: 1,
    capabilities: [
      { id: PCI_CAP_ID_SSVID, at: 0x40, bytes: [0, 0, 0, 0, ...le16(0x1b36), ...le16(0)] },
      msix(0x48, 1, 0, 0x800),
      express(0x54, PCI_EXP_TYPE_ROOT_PORT, 2, true),
    ],
    extended: [aer(0x100), acs(0x148)],
    express_at: 0x54,
  },
  "pcie-pci-bridge": {
    vendor: 0x1b36,
    device: 0x000e,
    class: 0x0604,
    bridge: true,
    bars: [{ n: 0, size: 256, kind: "mem64" }],
    interrupt_pin: 1,
    capabilities: [
      { id: PCI_CAP_ID_SHPC, at: 0x40, bytes: zeros(8) },
      express(0x48, PCI_EXP_TYPE_PCI_BRIDGE, 2),
      pm(0x84, 0x0003),
      msi(0x8c),
    ],
    extended: [aer(0x100)],
    pm_at: 0x84,
    express_at: 0x48,
  },
} as const satisfies Readonly<Record<string, function_model>>;

export type pci_model_name = keyof typeof pci_models;
