// SPDX-License-Identifier: GPL-2.0-only
/**
 * How a PCI function interrupts: by its pin, by MSI or by MSI-X, as its command register and its capabilities say. Messages
 * are writes to memory, so they need bus mastering.
 */
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_MASTER,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_MASKBIT,
  PCI_MSI_FLAGS_QSIZE,
  PCI_MSI_MASK_32,
  PCI_MSI_MASK_64,
  PCI_MSIX_ENTRY_CTRL_MASKBIT,
  PCI_MSIX_ENTRY_DATA,
  PCI_MSIX_ENTRY_LOWER_ADDR,
  PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_ENTRY_VECTOR_CTRL,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
  PCI_MSIX_FLAGS_MASKALL,
  PCI_MSIX_FLAGS_QSIZE,
  PCI_MSIX_PBA,
  PCI_MSIX_PBA_BIR,
  PCI_MSIX_PBA_OFFSET,
  PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR,
  PCI_MSIX_TABLE_OFFSET,
  PCI_STATUS,
  PCI_STATUS_INTERRUPT,
} from "#uapi/linux/pci_regs.ts";
import type { mmio_device } from "../mmio.ts";
import type { capability_model } from "./pci_function.ts";

/** What a function is connected to; the host fills it in. */
export interface pci_wires {
  /** The pin's level has changed. */
  pin: (asserted: boolean) => void;
  message: (address: bigint, data: number) => void;
}

const at_of = (capabilities: readonly capability_model[], id: number): number | null =>
  capabilities.find((c) => c.id === id)?.at ?? null;

export class pci_interrupts {
  readonly wires: pci_wires = { pin: () => {}, message: () => {} };
  readonly #config: DataView;
  readonly #msi: number | null;
  readonly #msix: number | null;
  /** Of MSI-X; as it is after power-on all is masked. */
  readonly #table: DataView;
  readonly #pending = new Set<number>();
  #level = false;
  #driven = false;

  constructor(config: DataView, capabilities: readonly capability_model[]) {
    this.#config = config;
    this.#msi = at_of(capabilities, PCI_CAP_ID_MSI);
    this.#msix = at_of(capabilities, PCI_CAP_ID_MSIX);
    const entries = this.#msix === null ? 0 : (this.#word(this.#msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1;
    this.#table = new DataView(new ArrayBuffer(entries * PCI_MSIX_ENTRY_SIZE));
    this.#mask_all();
  }

  #word(at: number): number {
    return this.#config.getUint16(at, true);
  }
  #mask_all(): void {
    for (let at = 0; at < this.#table.byteLength; at += PCI_MSIX_ENTRY_SIZE)
      this.#table.setUint32(at + PCI_MSIX_ENTRY_VECTOR_CTRL, PCI_MSIX_ENTRY_CTRL_MASKBIT, true);
  }

  get msi_enabled(): boolean {
    return this.#msi !== null && (this.#word(this.#msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE) !== 0;
  }
  get msix_enabled(): boolean {
    return this.#msix !== null && (this.#word(this.#msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE) !== 0;
  }

  /** The device wants attention by its pin, until it says that it does not any more. */
  set_level(level: boolean): void {
    this.#level = level;
    this.update();
  }
  /** The device sends one of its messages, if messages are on. */
  send(vector: number): void {
    if (this.msix_enabled || this.msi_enabled) this.#pending.add(vector);
    this.update();
  }

  /** What follows from the registers as they are now. */
  update(): void {
    const c = this.#config;
    const status = c.getUint8(PCI_STATUS) & ~PCI_STATUS_INTERRUPT;
    c.setUint8(PCI_STATUS, status | (this.#level ? PCI_STATUS_INTERRUPT : 0));
    const off = this.#word(PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE || this.msi_enabled || this.msix_enabled;
    const driven = this.#level && !off;
    if (driven !== this.#driven) {
      this.#driven = driven;
      this.wires.pin(driven);
    }
    for (const vector of [...this.#pending].sort((a, b) => a - b)) this.#flush(vector);
  }
  #flush(vector: number): void {
    const message = this.msix_enabled ? this.#msix_message(vector) : this.#msi_message(vector);
    if (!message || !(this.#word(PCI_COMMAND) & PCI_COMMAND_MASTER)) return;
    this.#pending.delete(vector);
    this.wires.message(message.address, message.data);
  }
  /* Null while it is masked. */
  #msix_message(vector: number): { address: bigint; data: number } | null {
    const at = vector * PCI_MSIX_ENTRY_SIZE;
    if (at >= this.#table.byteLength || this.#word(this.#msix! + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_MASKALL) return null;
    if (this.#table.getUint32(at + PCI_MSIX_ENTRY_VECTOR_CTRL, true) & PCI_MSIX_ENTRY_CTRL_MASKBIT) return null;
    const address = this.#table.getBigUint64(at + PCI_MSIX_ENTRY_LOWER_ADDR, true);
    return { address, data: this.#table.getUint32(at + PCI_MSIX_ENTRY_DATA, true) };
  }
  #msi_message(vector: number): { address: bigint; data: number } | null {
    if (!this.msi_enabled) return null;
    const msi = this.#msi!;
    const flags = this.#word(msi + PCI_MSI_FLAGS);
    const wide = (flags & PCI_MSI_FLAGS_64BIT) !== 0;
    // With fewer messages than it has asked for, a device shares them out.
    const nr = vector % (1 << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4));
    const mask_at = msi + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
    if (flags & PCI_MSI_FLAGS_MASKBIT && this.#config.getUint32(mask_at, true) & (1 << nr)) return null;
    const low = BigInt(this.#config.getUint32(msi + PCI_MSI_ADDRESS_LO, true));
    const high = wide ? BigInt(this.#config.getUint32(msi + PCI_MSI_ADDRESS_HI, true)) : 0n;
    return { address: (high << 32n) | low, data: this.#word(msi + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32)) | nr };
  }

  reset(): void {
    this.#level = false;
    this.#pending.clear();
    new Uint8Array(this.#table.buffer).fill(0);
    this.#mask_all();
    this.update();
  }

  /** The vector table, or the bits of what is pending, where they lie in a BAR. @off: in the BAR */
  registers(bar: number, off: number): { readonly device: mmio_device; readonly off: number } | null {
    if (this.#msix === null) return null;
    const table = this.#config.getUint32(this.#msix + PCI_MSIX_TABLE, true);
    const at = off - ((table & PCI_MSIX_TABLE_OFFSET) >>> 0);
    if (bar === (table & PCI_MSIX_TABLE_BIR) && at >= 0 && at < this.#table.byteLength)
      return { device: this.#table_registers, off: at };
    const pba = this.#config.getUint32(this.#msix + PCI_MSIX_PBA, true);
    const bit = off - ((pba & PCI_MSIX_PBA_OFFSET) >>> 0);
    const bytes = Math.ceil(this.#table.byteLength / PCI_MSIX_ENTRY_SIZE / 64) * 8;
    if (bar === (pba & PCI_MSIX_PBA_BIR) && bit >= 0 && bit < bytes) return { device: this.#pba_registers, off: bit };
    return null;
  }
  readonly #table_registers: mmio_device = {
    read: (off, size) => read_bytes(this.#table, off, size),
    write: (off, size, value) => {
      write_bytes(this.#table, off, size, value);
      this.update();
    },
  };
  readonly #pba_registers: mmio_device = {
    read: (off, size) => {
      let all = 0n;
      for (const vector of this.#pending) all |= 1n << BigInt(vector);
      return BigInt.asUintN(8 * size, all >> BigInt(8 * off));
    },
    write: () => {},
  };
}

/** Bytes of little-endian memory; those beyond its end are zero. */
export function read_bytes(view: DataView, off: number, size: number): bigint {
  let v = 0n;
  for (let i = size; i-- > 0;) v = (v << 8n) | BigInt(off + i < view.byteLength ? view.getUint8(off + i) : 0);
  return v;
}
export function write_bytes(view: DataView, off: number, size: number, value: bigint): void {
  for (let i = 0; i < size && off + i < view.byteLength; i++)
    view.setUint8(off + i, Number((value >> BigInt(8 * i)) & 0xffn));
}
