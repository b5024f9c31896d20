// SPDX-License-Identifier: GPL-2.0-only
/** Numbers of the user-space interface, by the names that traces call them. */
import { InputError } from "../errors.ts";

const VFIO = 0x3b64;
const BY_NUMBER: Readonly<Record<number, readonly string[]>> = {
  0: ["GET_API_VERSION"],
  1: ["CHECK_EXTENSION"],
  2: ["SET_IOMMU"],
  3: ["GROUP_GET_STATUS"],
  4: ["GROUP_SET_CONTAINER"],
  5: ["GROUP_UNSET_CONTAINER"],
  6: ["GROUP_GET_DEVICE_FD"],
  7: ["DEVICE_GET_INFO"],
  8: ["DEVICE_GET_REGION_INFO"],
  9: ["DEVICE_GET_IRQ_INFO"],
  10: ["DEVICE_SET_IRQS"],
  11: ["DEVICE_RESET"],
  12: ["DEVICE_GET_PCI_HOT_RESET_INFO", "IOMMU_GET_INFO"],
  13: ["DEVICE_PCI_HOT_RESET", "IOMMU_MAP_DMA"],
  14: ["DEVICE_QUERY_GFX_PLANE", "IOMMU_UNMAP_DMA"],
  15: ["DEVICE_GET_GFX_DMABUF", "IOMMU_ENABLE"],
  16: ["DEVICE_IOEVENTFD", "IOMMU_DISABLE"],
  17: ["DEVICE_FEATURE", "IOMMU_DIRTY_PAGES"],
};
/** The ioctls of <linux/vfio.h>. */
export const VFIO_IOCTLS: ReadonlyMap<string, number> = new Map(
  Object.entries(BY_NUMBER).flatMap(([n, names]) => names.map((name) => [`VFIO_${name}`, VFIO + Number(n)] as const)),
);

const FLAGS: Readonly<Record<string, number>> = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_NONBLOCK: 0o4000,
  O_CLOEXEC: 0o2000000,
  EFD_SEMAPHORE: 1,
  EFD_NONBLOCK: 0o4000,
  EFD_CLOEXEC: 0o2000000,
  PROT_NONE: 0,
  PROT_READ: 1,
  PROT_WRITE: 2,
  MAP_SHARED: 1,
  MAP_PRIVATE: 2,
  MAP_ANONYMOUS: 0x20,
  MAP_POPULATE: 0x8000,
  SEEK_SET: 0,
  SEEK_CUR: 1,
  SEEK_END: 2,
  F_GETFD: 1,
  F_GETFL: 3,
  WNOHANG: 1,
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGTERM: 15,
  RB_AUTOBOOT: 0x01234567,
  RB_HALT_SYSTEM: 0xcdef0123,
  RB_POWER_OFF: 0x4321fedc,
};

/** `_IO(';', 199)` and the like: no direction, no size. */
function ioctlNumber(text: string): number | null {
  const found = /^_IO\('(.)', *(\d+)\)$/.exec(text);
  return found ? ((found[1] ?? "").charCodeAt(0) << 8) + Number(found[2]) : null;
}

/** A number, a hexadecimal text, or names joined by "|". */
export function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value !== "string") throw new InputError(`${JSON.stringify(value)} is no number`);
  if (/^-?(0x[0-9a-f]+|\d+)$/i.test(value)) return Number(value);
  const io = ioctlNumber(value);
  if (io !== null) return io;
  let sum = 0;
  for (const name of value.split("|")) {
    const flag = FLAGS[name];
    if (flag === undefined) throw new InputError(`${name} is no flag or number that is known here`);
    sum |= flag;
  }
  return sum >>> 0;
}
export function bigOf(value: unknown): bigint {
  return typeof value === "string" && /^0x[0-9a-f]+$/i.test(value) ? BigInt(value) : BigInt(numberOf(value));
}

/** Bytes of a hexadecimal text. */
export function bytesOf(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(hex)) throw new InputError(`${JSON.stringify(hex)} is not hexadecimal`);
  return Uint8Array.from(Buffer.from(hex, "hex"));
}
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
