// SPDX-License-Identifier: GPL-2.0-only
/**
 * I/O instructions. Port of drivers/s390/cio/ioasm.c. Left out: the tracepoints of trace.h, injected channel report words.
 * Each function gives the condition code; those whose program check C catches give -EIO for it.
 */
import type { crw } from "#asm/crw.ts";
import {
  hw_chsc,
  hw_csch,
  hw_hsch,
  hw_msch,
  hw_rsch,
  hw_ssch,
  hw_stcrw,
  hw_stsch,
  hw_tpi,
  hw_tsch,
  hw_xsch,
} from "#asm/ioasm.ts";
import type { irb } from "#asm/cio.ts";
import type { subchannel_id } from "#asm/schid.ts";
import type { tpi_info } from "#asm/tpi.ts";
import { kbuild } from "#linux/module.ts";
import type { byte_memory } from "#linux/types.ts";
import type { schib } from "./cio.ts";
import type { orb } from "./orb.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

/** STORE SUBCHANNEL. @return 0 stored, 3 no such subchannel, -EIO program check. Any context. */
export function stsch(schid: subchannel_id, addr: schib): number {
  return hw_stsch(schid, addr);
}
EXPORT_SYMBOL(stsch);

/** MODIFY SUBCHANNEL. @return 0 done, 1 status pending, 2 busy, 3 not operational, -EIO program check. Any context. */
export function msch(schid: subchannel_id, addr: schib): number {
  return hw_msch(schid, addr);
}

/** TEST SUBCHANNEL. @return 0 status stored, 1 none was pending, 3 not operational. Any context. */
export function tsch(schid: subchannel_id, addr: irb): number {
  return hw_tsch(schid, addr);
}

/** START SUBCHANNEL. @return 0 started, 1 status pending, 2 busy, 3 not operational, -EIO program check. Any context. */
export function ssch(schid: subchannel_id, addr: orb): number {
  return hw_ssch(schid, addr);
}
EXPORT_SYMBOL(ssch);

/** CLEAR SUBCHANNEL. @return 0 begun, 3 not operational. Any context. */
export function csch(schid: subchannel_id): number {
  return hw_csch(schid);
}
EXPORT_SYMBOL(csch);

/** TEST PENDING INTERRUPTION. @return 1 if there was one. Any context. */
export function tpi(addr: tpi_info): number {
  return hw_tpi(addr);
}

/** CHANNEL SUBSYSTEM CALL: request and response in one page. @return 0 executed. Any context. */
export function chsc(chsc_area: byte_memory): number {
  return hw_chsc(chsc_area);
}
EXPORT_SYMBOL(chsc);

/** RESUME SUBCHANNEL. Any context. */
export function rsch(schid: subchannel_id): number {
  return hw_rsch(schid);
}

/** HALT SUBCHANNEL. @return 0 begun, 1 status pending, 2 busy, 3 not operational. Any context. */
export function hsch(schid: subchannel_id): number {
  return hw_hsch(schid);
}
EXPORT_SYMBOL(hsch);

/** CANCEL SUBCHANNEL. @return 0 cancelled, 1 status pending, 2 not applicable, 3 not operational. Any context. */
export function xsch(schid: subchannel_id): number {
  return hw_xsch(schid);
}

/** STORE CHANNEL REPORT WORD. @return 0 stored, 1 none left. Any context. */
export function stcrw(crw: crw): number {
  return hw_stcrw(crw);
}
