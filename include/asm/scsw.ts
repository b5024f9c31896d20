// SPDX-License-Identifier: GPL-2.0-only
// dup: subchannel status word and access to its parts
import { css_general_characteristics } from "#asm/css_chars.ts";
import { b32, bits, bytestruct, byteunion, inner } from "#linux/types.ts";

/** Status word of command-mode I/O. */
export class cmd_scsw extends bytestruct("cmd_scsw", {
  key: bits(4, 0, 4),
  sctl: bits(4, 4, 1),
  eswf: bits(4, 5, 1),
  cc: bits(4, 6, 2),
  fmt: bits(4, 8, 1),
  pfch: bits(4, 9, 1),
  isic: bits(4, 10, 1),
  alcc: bits(4, 11, 1),
  ssi: bits(4, 12, 1),
  zcc: bits(4, 13, 1),
  ectl: bits(4, 14, 1),
  pno: bits(4, 15, 1),
  res: bits(4, 16, 1),
  fctl: bits(4, 17, 3),
  actl: bits(4, 20, 7),
  stctl: bits(4, 27, 5),
  cpa: b32(),
  dstat: bits(4, 0, 8),
  cstat: bits(4, 8, 8),
  count: bits(4, 16, 16),
}) {}

/** Status word of transport-mode I/O. */
export class tm_scsw extends bytestruct("tm_scsw", {
  key: bits(4, 0, 4),
  eswf: bits(4, 5, 1),
  cc: bits(4, 6, 2),
  fmt: bits(4, 8, 3),
  x: bits(4, 11, 1),
  q: bits(4, 12, 1),
  ectl: bits(4, 14, 1),
  pno: bits(4, 15, 1),
  fctl: bits(4, 17, 3),
  actl: bits(4, 20, 7),
  stctl: bits(4, 27, 5),
  tcw: b32(),
  dstat: bits(4, 0, 8),
  cstat: bits(4, 8, 8),
  fcxs: bits(4, 16, 8),
  ifob: bits(4, 24, 1),
  sesq: bits(4, 25, 7),
}) {}

/** Status word of an EADM subchannel. */
export class eadm_scsw extends bytestruct("eadm_scsw", {
  key: bits(4, 0, 4),
  eswf: bits(4, 5, 1),
  cc: bits(4, 6, 2),
  ectl: bits(4, 14, 1),
  fctl: bits(4, 17, 3),
  actl: bits(4, 20, 7),
  stctl: bits(4, 27, 5),
  aob: b32(),
  dstat: bits(4, 0, 8),
  cstat: bits(4, 8, 8),
}) {}

export class scsw extends byteunion("scsw", {
  cmd: inner(() => cmd_scsw),
  tm: inner(() => tm_scsw),
  eadm: inner(() => eadm_scsw),
}) {}

export const SCSW_FCTL_CLEAR_FUNC = 0x1;
export const SCSW_FCTL_HALT_FUNC = 0x2;
export const SCSW_FCTL_START_FUNC = 0x4;

export const SCSW_ACTL_SUSPENDED = 0x1;
export const SCSW_ACTL_DEVACT = 0x2;
export const SCSW_ACTL_SCHACT = 0x4;
export const SCSW_ACTL_CLEAR_PEND = 0x8;
export const SCSW_ACTL_HALT_PEND = 0x10;
export const SCSW_ACTL_START_PEND = 0x20;
export const SCSW_ACTL_RESUME_PEND = 0x40;

export const SCSW_STCTL_STATUS_PEND = 0x1;
export const SCSW_STCTL_SEC_STATUS = 0x2;
export const SCSW_STCTL_PRIM_STATUS = 0x4;
export const SCSW_STCTL_INTER_STATUS = 0x8;
export const SCSW_STCTL_ALERT_STATUS = 0x10;

export const DEV_STAT_ATTENTION = 0x80;
export const DEV_STAT_STAT_MOD = 0x40;
export const DEV_STAT_CU_END = 0x20;
export const DEV_STAT_BUSY = 0x10;
export const DEV_STAT_CHN_END = 0x08;
export const DEV_STAT_DEV_END = 0x04;
export const DEV_STAT_UNIT_CHECK = 0x02;
export const DEV_STAT_UNIT_EXCEP = 0x01;

export const SCHN_STAT_PCI = 0x80;
export const SCHN_STAT_INCORR_LEN = 0x40;
export const SCHN_STAT_PROG_CHECK = 0x20;
export const SCHN_STAT_PROT_CHECK = 0x10;
export const SCHN_STAT_CHN_DATA_CHK = 0x08;
export const SCHN_STAT_CHN_CTRL_CHK = 0x04;
export const SCHN_STAT_INTF_CTRL_CHK = 0x02;
export const SCHN_STAT_CHAIN_CHECK = 0x01;

export const SNS0_CMD_REJECT = 0x80;

export function scsw_is_tm(w: scsw): boolean {
  return css_general_characteristics.fcx !== 0 && w.tm.x === 1;
}
export function scsw_key(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.key : w.cmd.key;
}
export function scsw_eswf(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.eswf : w.cmd.eswf;
}
export function scsw_cc(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.cc : w.cmd.cc;
}
export function scsw_ectl(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.ectl : w.cmd.ectl;
}
export function scsw_pno(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.pno : w.cmd.pno;
}
export function scsw_fctl(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.fctl : w.cmd.fctl;
}
export function scsw_actl(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.actl : w.cmd.actl;
}
export function scsw_stctl(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.stctl : w.cmd.stctl;
}
export function scsw_dstat(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.dstat : w.cmd.dstat;
}
export function scsw_cstat(w: scsw): number {
  return scsw_is_tm(w) ? w.tm.cstat : w.cmd.cstat;
}
export function scsw_cmd_is_solicited(w: scsw): boolean {
  return w.cmd.cc !== 0 || w.cmd.stctl !== (SCSW_STCTL_STATUS_PEND | SCSW_STCTL_ALERT_STATUS);
}
export function scsw_tm_is_solicited(w: scsw): boolean {
  return w.tm.cc !== 0 || w.tm.stctl !== (SCSW_STCTL_STATUS_PEND | SCSW_STCTL_ALERT_STATUS);
}
/** Whether the status answers something that was asked for. */
export function scsw_is_solicited(w: scsw): boolean {
  return scsw_is_tm(w) ? scsw_tm_is_solicited(w) : scsw_cmd_is_solicited(w);
}
