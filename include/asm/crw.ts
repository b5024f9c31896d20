// SPDX-License-Identifier: GPL-2.0-only
// dup: channel report words
import { bits, bytestruct, type Sleeps } from "#linux/types.ts";

export class crw extends bytestruct("crw", {
  res1: bits(4, 0, 1),
  slct: bits(4, 1, 1),
  oflw: bits(4, 2, 1),
  chn: bits(4, 3, 1),
  rsc: bits(4, 4, 4),
  anc: bits(4, 8, 1),
  res2: bits(4, 9, 1),
  erc: bits(4, 10, 6),
  rsid: bits(4, 16, 16),
}) {}

export type crw_handler_t = (crw0: crw | null, crw1: crw | null, overflow: number) => Sleeps;

export const NR_RSCS = 16;
export const CRW_RSC_MONITOR = 0x2;
export const CRW_RSC_SCH = 0x3;
export const CRW_RSC_CPATH = 0x4;
export const CRW_RSC_CONFIG = 0x9;
export const CRW_RSC_CSS = 0xb;

export const CRW_ERC_EVENT = 0x00;
export const CRW_ERC_AVAIL = 0x01;
export const CRW_ERC_INIT = 0x02;
export const CRW_ERC_TERROR = 0x03;
export const CRW_ERC_IPARM = 0x04;
export const CRW_ERC_TERM = 0x05;
export const CRW_ERC_PERRN = 0x06;
export const CRW_ERC_PERRI = 0x07;
export const CRW_ERC_PMOD = 0x08;

export {
  crw_handle_channel_report,
  crw_register_handler,
  crw_unregister_handler,
  crw_wait_for_channel_report,
} from "../../drivers/s390/cio/crw.ts";
