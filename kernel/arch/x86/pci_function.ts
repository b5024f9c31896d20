// SPDX-License-Identifier: GPL-2.0-only
/**
 * A function of a PCI device: its configuration space, and what writing to it does. What a model leaves out reads as zero
 * and cannot be written, as on hardware that does not implement it.
 */
import {
  PCI_AF_CTRL,
  PCI_AF_CTRL_FLR,
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_BRIDGE_CONTROL,
  PCI_BRIDGE_CTL_BUS_RESET,
  PCI_CACHE_LINE_SIZE,
  PCI_CAPABILITY_LIST,
  PCI_CFG_SPACE_EXP_SIZE,
  PCI_CFG_SPACE_SIZE,
  PCI_CLASS_DEVICE,
  PCI_CLASS_PROG,
  PCI_CLASS_REVISION,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL_BCR_FLR,
  PCI_HEADER_TYPE,
  PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN,
  PCI_IO_BASE,
  PCI_IO_LIMIT,
  PCI_LATENCY_TIMER,
  PCI_MEMORY_BASE,
  PCI_MEMORY_LIMIT,
  PCI_PM_CTRL,
  PCI_PM_CTRL_NO_SOFT_RESET,
  PCI_PM_CTRL_STATE_MASK,
  PCI_PREF_MEMORY_BASE,
  PCI_PREF_MEMORY_LIMIT,
  PCI_PREF_RANGE_TYPE_64,
  PCI_PRIMARY_BUS,
  PCI_ROM_ADDRESS,
  PCI_ROM_ADDRESS_ENABLE,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID,
  PCI_VPD_ADDR,
  PCI_VPD_ADDR_F,
  PCI_VPD_DATA,
} from "#uapi/linux/pci_regs.ts";

import type { mmio_device } from "../mmio.ts";
import { device_memory, device_rom } from "./pci_devices.ts";
import { pci_interrupts } from "./pci_interrupts.ts";

/** The register of graphics that says where the firmware's memory for them is. */
export const OPREGION_AT = 0xfc;
/** The lowest power state in which a function answers. */
const D3HOT = 3;
/** Command bits that can be set: I/O, memory, master, parity, SERR and INTx off. */
const COMMAND_WRITABLE = 0x0547;

export interface bar_model {
  readonly n: number;
  /** Bytes, a power of two. */
  readonly size: number;
  readonly kind: "io" | "mem32" | "mem64";
  readonly prefetch?: boolean;
  /** An option ROM: what it holds. `n` is 8, and `size` a power of two of at least 2 KiB. */
  readonly rom?: readonly number[];
  /** Plain memory is behind it. */
  readonly memory?: boolean;
}
/** A capability: its header is written by who puts it there. */
export interface capability_model {
  readonly id: number;
  readonly at: number;
  /** Bytes from `at` on, the header's two (or four, if extended) included. */
  readonly bytes: readonly number[];
  /** Which bits can be written; from `at` on as well. */
  readonly writable?: readonly number[];
}
export interface extended_capability_model extends capability_model {
  readonly version: number;
}
/** What a kind of device is. */
export interface function_model {
  readonly vendor: number;
  readonly device: number;
  readonly revision?: number;
  /** Base class and subclass. */
  readonly class: number;
  readonly prog_if?: number;
  readonly subsystem?: readonly [vendor: number, device: number];
  readonly multifunction?: boolean;
  readonly bridge?: boolean;
  readonly bars?: readonly bar_model[];
  /** 1 to 4 for INTA to INTD. */
  readonly interrupt_pin?: number;
  readonly capabilities?: readonly capability_model[];
  readonly extended?: readonly extended_capability_model[];
  /** Where the capabilities are that do something. */
  readonly pm_at?: number;
  readonly express_at?: number;
  readonly af_at?: number;
  readonly vpd_at?: number;
  /** Vital product data: what its memory holds when the machine is built. */
  readonly vpd?: readonly number[];
  /** Of graphics: what the firmware leaves in memory for their driver, and says in a register where. */
  readonly opregion?: Uint8Array;
  /** Made anew at each reset: what is behind the first BAR. */
  readonly registers?: (func: pci_function) => mmio_device;
}
/** Where an address ends up. */
export interface bar_hit {
  readonly device: mmio_device | null;
  readonly off: number;
}

export class pci_function {
  readonly model: function_model;
  readonly config: DataView;
  readonly #writable: DataView;
  /** As it is after power-on and after each reset. */
  readonly #initial: Uint8Array;
  /** Vital product data: no reset changes them. */
  readonly vpd: DataView;
  readonly interrupts: pci_interrupts;
  /** What is behind the BARs, by number. */
  #behind_bars = new Map<number, mmio_device>();
  /** Called when a bridge pulls the reset line of the bus behind it. */
  on_bus_reset: () => void = () => {};
  /** How often it was reset, for tests. */
  resets = 0;

  constructor(model: function_model) {
    const size = model.express_at === undefined ? PCI_CFG_SPACE_SIZE : PCI_CFG_SPACE_EXP_SIZE;
    this.model = model;
    this.config = new DataView(new ArrayBuffer(size));
    this.#writable = new DataView(new ArrayBuffer(size));
    this.#header();
    this.#bars();
    if (model.bridge) this.#bridge();
    this.#capabilities();
    this.#initial = new Uint8Array(this.config.buffer.slice(0));
    this.vpd = new DataView(Uint8Array.from(model.vpd ?? []).buffer);
    this.interrupts = new pci_interrupts(this.config, model.capabilities ?? []);
    this.#power_on();
  }

  #power_on(): void {
    this.#behind_bars = new Map();
    for (const { n, size, memory, rom } of this.model.bars ?? []) {
      if (memory) this.#behind_bars.set(n, device_memory(size));
      if (rom) this.#behind_bars.set(n, device_rom(rom, size));
    }
    if (this.model.registers) this.#behind_bars.set(0, this.model.registers(this));
  }

  /** Whether the function takes an access to memory or to a port: if it is awake and its command register lets it. */
  decode(space: "mem" | "io", addr: number): bar_hit | null {
    const enabled = space === "io" ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    if (!(this.config.getUint16(PCI_COMMAND, true) & enabled) || this.#power_state() !== 0) return null;
    for (const { n, size, kind, rom } of this.model.bars ?? []) {
      if (rom && !(this.config.getUint32(PCI_ROM_ADDRESS, true) & PCI_ROM_ADDRESS_ENABLE)) continue;
      if ((kind === "io") !== (space === "io")) continue;
      const at = PCI_BASE_ADDRESS_0 + 4 * n;
      const high = kind === "mem64" ? this.config.getUint32(at + 4, true) * 2 ** 32 : 0;
      const base = high + ((this.config.getUint32(at, true) & ~(kind === "io" ? 3 : 15)) >>> 0);
      const off = addr - base;
      if (base === 0 || off < 0 || off >= size) continue;
      return this.interrupts.registers(n, off) ?? { device: this.#behind_bars.get(n) ?? null, off };
    }
    return null;
  }

  get size(): number {
    return this.config.byteLength;
  }

  #header(): void {
    const { model, config: c } = this;
    const w = this.#writable;
    c.setUint16(PCI_VENDOR_ID, model.vendor, true);
    c.setUint16(PCI_DEVICE_ID, model.device, true);
    c.setUint8(PCI_CLASS_REVISION, model.revision ?? 0);
    c.setUint8(PCI_CLASS_PROG, model.prog_if ?? 0);
    c.setUint16(PCI_CLASS_DEVICE, model.class, true);
    c.setUint8(PCI_HEADER_TYPE, (model.bridge ? 1 : 0) | (model.multifunction ? 0x80 : 0));
    if (!model.bridge) {
      const [vendor, device] = model.subsystem ?? [0, 0];
      c.setUint16(PCI_SUBSYSTEM_VENDOR_ID, vendor, true);
      c.setUint16(PCI_SUBSYSTEM_ID, device, true);
    }
    c.setUint8(PCI_INTERRUPT_PIN, model.interrupt_pin ?? 0);
    w.setUint16(PCI_COMMAND, COMMAND_WRITABLE, true);
    w.setUint8(PCI_CACHE_LINE_SIZE, 0xff);
    if (model.express_at === undefined) w.setUint8(PCI_LATENCY_TIMER, 0xf8);
    w.setUint8(PCI_INTERRUPT_LINE, 0xff);
    if (model.opregion) w.setUint32(OPREGION_AT, 0xffffffff, true);
  }

  #bars(): void {
    for (const { n, size, kind, prefetch, rom } of this.model.bars ?? []) {
      const at = PCI_BASE_ADDRESS_0 + 4 * n;
      const type = kind === "io" ? PCI_BASE_ADDRESS_SPACE_IO : kind === "mem64" ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0;
      this.config.setUint32(at, type | (prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0), true);
      this.#writable.setUint32(at, ~(size - 1) | (rom ? PCI_ROM_ADDRESS_ENABLE : 0), true);
      if (kind === "mem64") this.#writable.setUint32(at + 4, 0xffffffff, true);
    }
  }

  #bridge(): void {
    const { config: c } = this;
    const w = this.#writable;
    w.setUint32(PCI_PRIMARY_BUS, 0xffffffff, true);
    w.setUint16(PCI_IO_BASE, 0xf0f0, true);
    w.setUint32(PCI_MEMORY_BASE, 0xfff0fff0, true);
    w.setUint32(PCI_PREF_MEMORY_BASE, 0xfff0fff0, true);
    w.setUint32(PCI_PREF_MEMORY_BASE + 4, 0xffffffff, true);
    w.setUint32(PCI_PREF_MEMORY_BASE + 8, 0xffffffff, true);
    w.setUint16(PCI_BRIDGE_CONTROL, 0x007f, true);
    c.setUint32(PCI_PREF_MEMORY_BASE, (PCI_PREF_RANGE_TYPE_64 << 16) | PCI_PREF_RANGE_TYPE_64, true);
  }

  #capabilities(): void {
    const { config: c, model } = this;
    const w = this.#writable;
    let link = PCI_CAPABILITY_LIST;
    for (const { id, at, bytes, writable } of model.capabilities ?? []) {
      bytes.forEach((b, i) => c.setUint8(at + i, b));
      writable?.forEach((b, i) => w.setUint8(at + i, b));
      c.setUint8(at, id);
      c.setUint8(at + 1, 0);
      c.setUint8(link, at);
      link = at + 1;
    }
    if (link !== PCI_CAPABILITY_LIST)
      c.setUint16(PCI_STATUS, c.getUint16(PCI_STATUS, true) | PCI_STATUS_CAP_LIST, true);
    let last: number | null = null;
    for (const { id, version, at, bytes, writable } of model.extended ?? []) {
      bytes.forEach((b, i) => c.setUint8(at + i, b));
      writable?.forEach((b, i) => w.setUint8(at + i, b));
      c.setUint32(at, id | (version << 16), true);
      if (last !== null) c.setUint32(last, c.getUint32(last, true) | (at << 20), true);
      last = at;
    }
  }

  /** Whether a bridge passes an access on to the bus behind it. */
  passes_on(space: "mem" | "io", addr: number): boolean {
    const { config: c, model } = this;
    const enabled = space === "io" ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    if (!model.bridge || !(c.getUint16(PCI_COMMAND, true) & enabled) || this.#holds_reset()) return false;
    if (space === "io") {
      const [base, limit] = [c.getUint8(PCI_IO_BASE) & 0xf0, c.getUint8(PCI_IO_LIMIT) & 0xf0];
      return addr >= base << 8 && addr <= ((limit << 8) | 0xfff);
    }
    const between = (base: number, limit: number): boolean =>
      addr >= (c.getUint16(base, true) & 0xfff0) * 0x10000 &&
      addr <= (c.getUint16(limit, true) & 0xfff0) * 0x10000 + 0xfffff;
    return between(PCI_MEMORY_BASE, PCI_MEMORY_LIMIT) || between(PCI_PREF_MEMORY_BASE, PCI_PREF_MEMORY_LIMIT);
  }

  /** @return what is there, all ones beyond the end */
  read(where: number, size: number): number {
    let v = 0;
    for (let i = size - 1; i >= 0; i--)
      v = v * 0x100 + (where + i < this.size ? this.config.getUint8(where + i) : 0xff);
    return v;
  }

  write(where: number, size: number, val: number): void {
    const { pm_at, express_at, af_at, vpd_at } = this.model;
    const state = this.#power_state();
    const held = this.#holds_reset();
    for (let i = 0; i < size; i++) {
      const at = where + i;
      if (at >= this.size) return;
      const mask = this.#writable.getUint8(at);
      const byte = Math.floor(val / 2 ** (8 * i)) & 0xff;
      this.config.setUint8(at, (this.config.getUint8(at) & ~mask) | (byte & mask));
    }
    // Coming back from D3hot is a reset, unless the function says that it is none.
    if (pm_at !== undefined && state === D3HOT && this.#power_state() === 0) {
      if (!(this.config.getUint16(pm_at + PCI_PM_CTRL, true) & PCI_PM_CTRL_NO_SOFT_RESET)) this.reset();
    }
    if (express_at !== undefined && this.config.getUint16(express_at + PCI_EXP_DEVCTL, true) & PCI_EXP_DEVCTL_BCR_FLR) {
      if (!this.model.bridge) this.reset();
    }
    // A bit that is never read as set: writing it is all there is to it.
    if (af_at !== undefined && this.config.getUint8(af_at + PCI_AF_CTRL) & PCI_AF_CTRL_FLR) this.reset();
    if (vpd_at !== undefined && where <= vpd_at + PCI_VPD_ADDR + 1 && vpd_at + PCI_VPD_ADDR + 1 < where + size)
      this.#transfer_vpd(vpd_at);
    if (!held && this.#holds_reset()) this.on_bus_reset();
    this.interrupts.update();
  }

  /** The upper byte of the address was written: a dword goes from the data register to the memory or comes from there, and the flag turns. */
  #transfer_vpd(vpd_at: number): void {
    const { config: c, vpd } = this;
    const addr = c.getUint16(vpd_at + PCI_VPD_ADDR, true);
    const at = addr & ~PCI_VPD_ADDR_F;
    const there = at + 4 <= vpd.byteLength;
    if (addr & PCI_VPD_ADDR_F) {
      if (there) vpd.setUint32(at, c.getUint32(vpd_at + PCI_VPD_DATA, true), true);
    } else c.setUint32(vpd_at + PCI_VPD_DATA, there ? vpd.getUint32(at, true) : 0xffffffff, true);
    c.setUint16(vpd_at + PCI_VPD_ADDR, addr ^ PCI_VPD_ADDR_F, true);
  }

  #power_state(): number {
    const { pm_at } = this.model;
    return pm_at === undefined ? 0 : this.config.getUint16(pm_at + PCI_PM_CTRL, true) & PCI_PM_CTRL_STATE_MASK;
  }
  #holds_reset(): boolean {
    if (!this.model.bridge) return false;
    return (this.config.getUint16(PCI_BRIDGE_CONTROL, true) & PCI_BRIDGE_CTL_BUS_RESET) !== 0;
  }

  /** Everything that could be written is as after power-on; a bridge that loses its bus resets what is behind it as well. */
  reset(): void {
    this.resets++;
    // A scratch register, for the firmware: it stays.
    const opregion = this.model.opregion ? this.config.getUint32(OPREGION_AT) : 0;
    new Uint8Array(this.config.buffer).set(this.#initial);
    if (this.model.opregion) this.config.setUint32(OPREGION_AT, opregion);
    this.#power_on();
    this.interrupts.reset();
    if (this.model.bridge) this.on_bus_reset();
  }
}
