// SPDX-License-Identifier: GPL-2.0-only
// dup: I/O-interruption code
import { subchannel_id } from "#asm/schid.ts";
import { b32, bits, bytestruct, inner } from "#linux/types.ts";

/** What TEST PENDING INTERRUPTION and an I/O interruption store. */
export class tpi_info extends bytestruct("tpi_info", {
  schid: inner(() => subchannel_id),
  intparm: b32(),
  adapter_IO: bits(4, 0, 1),
  directed_irq: bits(4, 1, 1),
  isc: bits(4, 2, 3),
  type: bits(4, 17, 3),
}) {}
