// SPDX-License-Identifier: GPL-2.0-only
/** The machine's address space as far as it is registers of devices; a leaf. */
import { per_boot } from "../boot.ts";

/** One device's registers. `size`: 1, 2, 4 or 8 bytes; `off` is inside the window and aligned to it. */
export interface mmio_device {
  read(off: number, size: number): bigint;
  write(off: number, size: number, value: bigint): void;
}
interface mmio_window {
  readonly start: bigint;
  readonly size: bigint;
  readonly device: mmio_device;
}

const s = per_boot(() => ({ windows: [] as mmio_window[] }));

/** The machine has `device` at these addresses. */
export function add_mmio(start: bigint, size: bigint, device: mmio_device): void {
  s.windows.push({ start, size, device });
}
/** The window that an address is in, if any. */
export function mmio_at(addr: bigint): mmio_window | null {
  return s.windows.find((w) => addr >= w.start && addr < w.start + w.size) ?? null;
}
