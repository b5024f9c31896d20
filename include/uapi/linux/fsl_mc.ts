// SPDX-License-Identifier: GPL-2.0-only
// dup: commands to the Management Complex, which are little-endian
import { b16, b64, b8, bytes, bytestruct, inner } from "../../linux/types.ts";

export const MC_CMD_NUM_OF_PARAMS = 7;

/** What the 64 bits of a command's header are made of. */
export class mc_cmd_header extends bytestruct("mc_cmd_header", {
  src_id: b8(),
  flags_hw: b8(),
  status: b8(),
  flags_sw: b8(),
  token: b16(),
  cmd_id: b16(),
}) {}

export class fsl_mc_command extends bytestruct("fsl_mc_command", {
  header: inner(() => mc_cmd_header),
  params: bytes(8 * MC_CMD_NUM_OF_PARAMS),
}) {}

/** The same as it goes through the portal: eight words, the header first. */
export class fsl_mc_words extends bytestruct("fsl_mc_words", {
  header: b64(),
  params: bytes(8 * MC_CMD_NUM_OF_PARAMS),
}) {}
