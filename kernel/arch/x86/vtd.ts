// SPDX-License-Identifier: GPL-2.0-only
/**
 * The firmware's DMA remapping table of the recorded machine: QEMU 7.2's q35 with an intel-iommu of 48 address bits, caching
 * mode and interrupt remapping, and without snoop control, device TLBs and reserved memory.
 */
import { kconfig } from "../kconfig.ts";

export interface vtd_unit {
  readonly reg_base_addr: bigint;
  /** Capability registers. */
  readonly cap: bigint;
  readonly ecap: bigint;
}
export interface vtd_firmware_table {
  readonly host_address_width: number;
  readonly interrupt_remapping: boolean;
  /** All PCI devices are behind the last one. */
  readonly units: readonly vtd_unit[];
}

const bit = (n: number): bigint => 1n << BigInt(n);
const at = (value: number, shift: number): bigint => BigInt(value) << BigInt(shift);

const CAP =
  at(6, 0) | // 2 ** 16 domains
  bit(7) | // caching mode
  at(0b00110, 8) | // tables of 39 and 48 bits
  at(48 - 1, 16) |
  at(0x220, 20) | // where faults are recorded, in units of 16 bytes from bit 24 on
  at(0b0011, 34) | // pages of 2 MiB and 1 GiB
  bit(39) |
  at(18, 48) |
  bit(54) |
  bit(55);
const ECAP =
  bit(1) | // queued invalidation
  bit(3) | // interrupt remapping
  bit(6) | // addresses can be passed through
  at(0xf0, 4) |
  at(15, 20);

const TABLE: vtd_firmware_table = {
  host_address_width: 48,
  interrupt_remapping: true,
  units: [{ reg_base_addr: 0xfed90000n, cap: CAP, ecap: ECAP }],
};

/** The table; null on a machine that has none: arm64 runs the same initcalls. */
export function vtd_table(): vtd_firmware_table | null {
  return kconfig.CONFIG_ARM64 ? null : TABLE;
}
