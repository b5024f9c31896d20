// SPDX-License-Identifier: GPL-2.0-only
// dup: common interface of channel I/O
import { scsw } from "#asm/scsw.ts";
import { b16, b32, b8, bits, bytes, bytestruct, byteunion, inner } from "#linux/types.ts";

export const LPM_ANYPATH = 0xff;
export const __MAX_CSSID = 0;
export const __MAX_SUBCHANNEL = 65535;
export const __MAX_SSID = 3;

/** Format-1 channel command word. */
export class ccw1 extends bytestruct("ccw1", { cmd_code: b8(), flags: b8(), count: b16(), cda: b32() }) {}
/** Format-0 channel command word. */
export class ccw0 extends bytestruct("ccw0", {
  // The command code shares a word with the address.
  cmd_code: bits(4, 0, 8),
  cda: bits(4, 8, 24),
  flags: b8(),
  reserved: b8(),
  count: b16(),
}) {}

export const CCW_FLAG_DC = 0x80;
export const CCW_FLAG_CC = 0x40;
export const CCW_FLAG_SLI = 0x20;
export const CCW_FLAG_SKIP = 0x10;
export const CCW_FLAG_PCI = 0x08;
export const CCW_FLAG_IDA = 0x04;
export const CCW_FLAG_SUSPEND = 0x02;

export const CCW_CMD_READ_IPL = 0x02;
export const CCW_CMD_NOOP = 0x03;
export const CCW_CMD_BASIC_SENSE = 0x04;
export const CCW_CMD_TIC = 0x08;
export const CCW_CMD_STLCK = 0x14;
export const CCW_CMD_SENSE_PGID = 0x34;
export const CCW_CMD_SUSPEND_RECONN = 0x5b;
export const CCW_CMD_RDC = 0x64;
export const CCW_CMD_RELEASE = 0x94;
export const CCW_CMD_SET_PGID = 0xaf;
export const CCW_CMD_SENSE_ID = 0xe4;
export const CCW_CMD_DCTL = 0xf3;

export const SENSE_MAX_COUNT = 0x20;

/** Extended report word. */
export class erw extends bytestruct("erw", {
  res0: bits(4, 0, 3),
  auth: bits(4, 3, 1),
  pvrf: bits(4, 4, 1),
  cpt: bits(4, 5, 1),
  fsavf: bits(4, 6, 1),
  cons: bits(4, 7, 1),
  scavf: bits(4, 8, 1),
  fsaf: bits(4, 9, 1),
  scnt: bits(4, 10, 6),
  res16: bits(4, 16, 16),
}) {}
/** Subchannel logout. */
export class sublog extends bytestruct("sublog", {
  res0: bits(4, 0, 1),
  esf: bits(4, 1, 7),
  lpum: bits(4, 8, 8),
  arep: bits(4, 16, 1),
  fvf: bits(4, 17, 5),
  sacc: bits(4, 22, 2),
  termc: bits(4, 24, 2),
  devsc: bits(4, 26, 1),
  serr: bits(4, 27, 1),
  ioerr: bits(4, 28, 1),
  seqc: bits(4, 29, 3),
}) {}
export class esw0 extends bytestruct("esw0", {
  sublog: inner(() => sublog),
  erw: inner(() => erw),
  faddr: bytes(8),
  saddr: b32(),
}) {}
export class esw1 extends bytestruct("esw1", {
  zero0: b8(),
  lpum: b8(),
  zero16: b16(),
  erw: inner(() => erw),
  zeros: bytes(12),
}) {}
export class esw extends byteunion("esw", { esw0: inner(() => esw0), esw1: inner(() => esw1) }) {}

/** Interruption-response block: what TEST SUBCHANNEL stores. */
export class irb extends bytestruct("irb", { scsw: inner(() => scsw), esw: inner(() => esw), ecw: bytes(32) }) {}

export const DOIO_ALLOW_SUSPEND = 0x0001;
export const DOIO_DENY_PREFETCH = 0x0002;
export const DOIO_SUPPRESS_INTER = 0x0004;
export const CIO_GONE = 0x0001;
export const CIO_NO_PATH = 0x0002;
export const CIO_OPER = 0x0004;
export const CIO_REVALIDATE = 0x0008;
export const CIO_BOXED = 0x0010;
