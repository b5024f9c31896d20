// SPDX-License-Identifier: GPL-2.0-only
// dup: subchannel identification
import { bits, bytestruct } from "#linux/types.ts";

/** A subchannel's address as the I/O instructions take it in register 1. */
export class subchannel_id extends bytestruct("subchannel_id", {
  cssid: bits(4, 0, 8),
  m: bits(4, 12, 1),
  ssid: bits(4, 13, 2),
  one: bits(4, 15, 1),
  sch_no: bits(4, 16, 16),
}) {}

export function init_subchannel_id(schid: subchannel_id): void {
  schid.$bytes.fill(0);
  schid.one = 1;
}
export function schid_equal(schid1: subchannel_id, schid2: subchannel_id): boolean {
  return schid1.$bytes.every((b, i) => b === schid2.$bytes[i]);
}
