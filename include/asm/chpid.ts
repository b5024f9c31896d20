// SPDX-License-Identifier: GPL-2.0-only
// dup: channel-path identification
import { __MAX_CSSID } from "#asm/cio.ts";
import { b8, bytestruct } from "#linux/types.ts";

export const __MAX_CHPID = 255;

export class chp_id extends bytestruct("chp_id", {
  reserved1: b8(),
  cssid: b8(),
  reserved2: b8(),
  id: b8(),
}) {}

export class channel_path_desc_fmt0 extends bytestruct("channel_path_desc_fmt0", {
  flags: b8(),
  lsn: b8(),
  desc: b8(),
  chpid: b8(),
  swla: b8(),
  zeroes: b8(),
  chla: b8(),
  chpp: b8(),
}) {}

export function chp_id_init(chpid: chp_id): void {
  chpid.$bytes.fill(0);
}
export function chp_id_is_equal(a: chp_id, b: chp_id): boolean {
  return a.id === b.id && a.cssid === b.cssid;
}
export function chp_id_next(chpid: chp_id): void {
  if (chpid.id < __MAX_CHPID) chpid.id++;
  else {
    chpid.id = 0;
    chpid.cssid++;
  }
}
export function chp_id_is_valid(chpid: chp_id): boolean {
  return chpid.cssid <= __MAX_CSSID;
}
