// SPDX-License-Identifier: GPL-2.0-only
/** The blocks of storage that the I/O instructions exchange, as the machine sees them. Source: the architecture's Principles of Operation. */
import { scsw } from "#asm/scsw.ts";
import { b16, b32, b8, bits, bytes, bytestruct, inner } from "#linux/types.ts";

/** Path-management-control word. */
export class hw_pmcw extends bytestruct("hw_pmcw", {
  intparm: b32(),
  flags: b16(),
  devno: b16(),
  lpm: b8(),
  pnom: b8(),
  lpum: b8(),
  pim: b8(),
  mbi: b16(),
  pom: b8(),
  pam: b8(),
  chpid: bytes(8),
  chars: b32(),
}) {}
export const PMCW_QF = 0x8000;
export const PMCW_ENA = 0x0080;
export const PMCW_DNV = 0x0001;
/** What MODIFY SUBCHANNEL takes over: interruption subclass, enabled, limit mode, measurement mode, multipath. */
export const PMCW_MODIFIABLE = 0x3800 | PMCW_ENA | 0x0060 | 0x0018 | 0x0004;
export const PMCW_INVALID = 0x0700;
export const CHARS_CSENSE = 0x1;
export const CHARS_XMWME = 0x2;
export const CHARS_MBFC = 0x4;
export const CHARS_INVALID = 0xff1ffff8;

/** Subchannel-information block: 52 bytes. */
export class hw_schib extends bytestruct("hw_schib", {
  pmcw: inner(() => hw_pmcw),
  scsw: inner(() => scsw),
  mba: bytes(8),
  mda: bytes(4),
}) {}

/** Operation-request block of command mode. */
export class hw_orb extends bytestruct("hw_orb", {
  intparm: b32(),
  key: bits(4, 0, 4),
  spnd: bits(4, 4, 1),
  fmt: bits(4, 8, 1),
  pfch: bits(4, 9, 1),
  c64: bits(4, 14, 1),
  i2k: bits(4, 15, 1),
  lpm: bits(4, 16, 8),
  ils: bits(4, 24, 1),
  cpa: b32(),
}) {}
export const ORB_CTRL0_INVALID = 0x0004;
export const ORB_CTRL1_INVALID = 0x3e;

/** Interruption-response block without the extended-measurement word: 64 bytes. */
export class hw_irb extends bytestruct("hw_irb", { scsw: inner(() => scsw), esw: bytes(20), ecw: bytes(32) }) {}
