// SPDX-License-Identifier: GPL-2.0-only
/** What is behind the BARs of those devices that do something. Registers of others read as zero and cannot be written. */
import type { mmio_device } from "../mmio.ts";
import type { pci_function } from "./pci_function.ts";
import { read_bytes, write_bytes } from "./pci_interrupts.ts";

/** Memory, as of a frame buffer. @size: bytes */
export function device_memory(size: number): mmio_device {
  const bytes = new DataView(new ArrayBuffer(size));
  return {
    read: (off, n) => read_bytes(bytes, off, n),
    write: (off, n, value) => write_bytes(bytes, off, n, value),
  };
}

/** Memory that is nobody's register. */
export function memory_of(bytes: Uint8Array): mmio_device {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    memory: bytes,
    read: (off, n) => read_bytes(view, off, n),
    write: (off, n, value) => write_bytes(view, off, n, value),
  };
}
/** Memory that nobody writes; what it does not hold reads as ones. */
export function device_rom(holds: readonly number[], size: number): mmio_device {
  const bytes = new Uint8Array(size).fill(0xff);
  bytes.set(holds);
  const view = new DataView(bytes.buffer);
  return { read: (off, n) => read_bytes(view, off, n), write: () => {} };
}

const EDU_ID = 0x010000edn;
const EDU_LIVENESS = 0x04;
const EDU_FACTORIAL = 0x08;
const EDU_STATUS = 0x20;
const EDU_IRQ_STATUS = 0x24;
const EDU_IRQ_RAISE = 0x60;
const EDU_IRQ_ACK = 0x64;
const EDU_STATUS_IRQFACT = 0x80;
const EDU_FACT_IRQ = 0x00000001;

/** The educational device (docs/specs/edu of QEMU), without its DMA: a factorial takes it no time. Accesses are of 4 bytes; below 0x80 no others. */
export function edu_registers(func: pci_function): mmio_device {
  let liveness = 0;
  let factorial = 0;
  let status = 0;
  let irq_status = 0;
  const raise = (bits: number): void => {
    irq_status |= bits;
    if (!irq_status) return;
    if (func.interrupts.msi_enabled) func.interrupts.send(0);
    else func.interrupts.set_level(true);
  };
  const lower = (bits: number): void => {
    irq_status &= ~bits;
    if (!irq_status && !func.interrupts.msi_enabled) func.interrupts.set_level(false);
  };
  return {
    read(off, size) {
      if (size !== 4) return -1n;
      switch (off) {
        case 0:
          return EDU_ID;
        case EDU_LIVENESS:
          return BigInt(liveness);
        case EDU_FACTORIAL:
          return BigInt(factorial);
        case EDU_STATUS:
          return BigInt(status);
        case EDU_IRQ_STATUS:
          return BigInt(irq_status >>> 0);
        default:
          return -1n;
      }
    },
    write(off, size, value) {
      if (size !== 4) return;
      const v = Number(value);
      switch (off) {
        case EDU_LIVENESS:
          liveness = ~v >>> 0;
          break;
        case EDU_FACTORIAL:
          factorial = 1;
          for (let n = v; n > 0 && factorial !== 0; n--) factorial = Math.imul(factorial, n) >>> 0;
          if (status & EDU_STATUS_IRQFACT) raise(EDU_FACT_IRQ);
          break;
        case EDU_STATUS:
          status = v & EDU_STATUS_IRQFACT;
          break;
        case EDU_IRQ_RAISE:
          raise(v);
          break;
        case EDU_IRQ_ACK:
          lower(v);
          break;
      }
    },
  };
}
