// SPDX-License-Identifier: GPL-2.0-only
// dup: regions of a vfio-ccw device
import { b32, bytes, bytestruct } from "#linux/types.ts";

export const ORB_AREA_SIZE = 12;
export const SCSW_AREA_SIZE = 12;
export const IRB_AREA_SIZE = 96;
/** Start of a channel program and its result; always there. */
export class ccw_io_region extends bytestruct("ccw_io_region", {
  orb_area: bytes(ORB_AREA_SIZE),
  scsw_area: bytes(SCSW_AREA_SIZE),
  irb_area: bytes(IRB_AREA_SIZE),
  ret_code: b32(),
}) {}

export const VFIO_CCW_ASYNC_CMD_HSCH = 1 << 0;
export const VFIO_CCW_ASYNC_CMD_CSCH = 1 << 1;
/** Halt and clear. */
export class ccw_cmd_region extends bytestruct("ccw_cmd_region", { command: b32(), ret_code: b32() }) {}

export const SCHIB_AREA_SIZE = 52;
/** The subchannel-information block; reading it stores the subchannel anew. */
export class ccw_schib_region extends bytestruct("ccw_schib_region", { schib_area: bytes(SCHIB_AREA_SIZE) }) {}

/** The oldest channel report word that was not read yet. */
export class ccw_crw_region extends bytestruct("ccw_crw_region", { crw: b32(), pad: b32() }) {}
