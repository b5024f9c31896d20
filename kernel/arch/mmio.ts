// SPDX-License-Identifier: GPL-2.0-only
/** The machine's address spaces as far as they are registers of devices: memory, and the I/O ports of x86. */
import { per_boot } from "../boot.ts";
import { touch_named } from "../sched/footprint.ts";

/** One device's registers. `size`: 1, 2, 4 or 8 bytes; `off` is inside the window and aligned to it. */
export interface mmio_device {
  read(off: number, size: number): bigint;
  write(off: number, size: number, value: bigint): void;
  /** Of what is memory and no device: what memremap() makes accessible. */
  readonly memory?: Uint8Array;
}
interface mmio_window {
  readonly start: bigint;
  readonly size: bigint;
  readonly device: mmio_device;
}

const s = per_boot(() => ({ windows: [] as mmio_window[], ports: [] as mmio_window[] }));

/** The machine has `device` at these addresses. */
export function add_mmio(start: bigint, size: bigint, device: mmio_device): void {
  s.windows.push({ start, size, device });
}
/** The same for I/O ports. */
export function add_ports(start: bigint, size: bigint, device: mmio_device): void {
  s.ports.push({ start, size, device });
}
function window_at(windows: readonly mmio_window[], addr: bigint): mmio_window | null {
  // A device changes by being read, too.
  touch_named("registers of devices", true);
  return windows.find((w) => addr >= w.start && addr < w.start + w.size) ?? null;
}
/** The window that an address is in, if any. */
export function mmio_at(addr: bigint): mmio_window | null {
  return window_at(s.windows, addr);
}
export function ports_at(addr: bigint): mmio_window | null {
  return window_at(s.ports, addr);
}
