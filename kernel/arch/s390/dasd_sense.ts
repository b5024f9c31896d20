// SPDX-License-Identifier: GPL-2.0-only
/** Why a 3990 control unit refuses a command: 24-byte sense data, as far as a driver looks at them. */
import { SNS0_CMD_REJECT } from "#asm/scsw.ts";

const SNS1_NO_RECORD_FOUND = 0x08;
const SNS1_FILE_PROTECTED = 0x04;
const SNS1_INVALID_TRACK_FORMAT = 0x40;

/** The reasons; message numbers are those of format 0 (programming or system checks). */
export type dasd_fault =
  | "invalid command"
  | "invalid sequence"
  | "data shorter than required"
  | "invalid parameter"
  | "no record found"
  | "file protected"
  | "invalid track format";

const SENSE: Readonly<Record<dasd_fault, readonly [byte0: number, byte1: number, message: number]>> = {
  "invalid command": [SNS0_CMD_REJECT, 0, 1],
  "invalid sequence": [SNS0_CMD_REJECT, 0, 2],
  "data shorter than required": [SNS0_CMD_REJECT, 0, 3],
  "invalid parameter": [SNS0_CMD_REJECT, 0, 4],
  "no record found": [0, SNS1_NO_RECORD_FOUND, 0],
  "file protected": [0, SNS1_FILE_PROTECTED, 0],
  "invalid track format": [0, SNS1_INVALID_TRACK_FORMAT, 0],
};

/** Writes the sense data for `why` into `into`; @cyl, @head: where the arm is. */
export function set_sense(into: Uint8Array, why: dasd_fault, cyl: number, head: number): void {
  const [byte0, byte1, message] = SENSE[why];
  into.fill(0);
  into[0] = byte0;
  into[1] = byte1;
  into[5] = cyl & 0xff;
  into[6] = ((cyl >> 4) & 0xf0) | (head & 0x0f);
  into[7] = message;
  into[29] = cyl >> 8;
  into[30] = cyl & 0xff;
  into[31] = head;
}
