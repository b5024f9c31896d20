// SPDX-License-Identifier: GPL-2.0-only
/** Operation-request blocks. Port of drivers/s390/cio/orb.h. */
import { b32, bits, bytes, bytestruct, byteunion, inner } from "#linux/types.ts";

/** Command mode. */
export class cmd_orb extends bytestruct("cmd_orb", {
  intparm: b32(),
  key: bits(4, 0, 4),
  spnd: bits(4, 4, 1),
  res1: bits(4, 5, 1),
  mod: bits(4, 6, 1),
  sync: bits(4, 7, 1),
  fmt: bits(4, 8, 1),
  pfch: bits(4, 9, 1),
  isic: bits(4, 10, 1),
  alcc: bits(4, 11, 1),
  ssic: bits(4, 12, 1),
  res2: bits(4, 13, 1),
  c64: bits(4, 14, 1),
  i2k: bits(4, 15, 1),
  lpm: bits(4, 16, 8),
  ils: bits(4, 24, 1),
  zero: bits(4, 25, 6),
  orbx: bits(4, 31, 1),
  cpa: b32(),
}) {}

/** Transport mode. */
export class tm_orb extends bytestruct("tm_orb", {
  intparm: b32(),
  key: bits(4, 0, 4),
  b: bits(4, 13, 1),
  lpm: bits(4, 16, 8),
  x: bits(4, 31, 1),
  tcw: b32(),
  prio: bits(4, 0, 8),
  rsvpgm: bits(4, 16, 8),
  reserved: bytes(16),
}) {}

/** EADM operation. */
export class eadm_orb extends bytestruct("eadm_orb", {
  intparm: b32(),
  key: bits(4, 0, 4),
  compat1: bits(4, 8, 1),
  compat2: bits(4, 9, 1),
  x: bits(4, 31, 1),
  aob: b32(),
  css_prio: bits(4, 0, 8),
  scm_prio: bits(4, 16, 8),
  reserved1: bits(4, 0, 29),
  fmt: bits(4, 29, 3),
  reserved2: bytes(12),
}) {}

export class orb extends byteunion("orb", {
  cmd: inner(() => cmd_orb),
  tm: inner(() => tm_orb),
  eadm: inner(() => eadm_orb),
}) {}
