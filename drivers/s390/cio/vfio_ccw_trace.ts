// SPDX-License-Identifier: GPL-2.0-only
/** Tracepoints of the vfio_ccw driver. Port of drivers/s390/cio/vfio_ccw_trace.c and vfio_ccw_trace.h. */
import type { subchannel_id } from "#asm/schid.ts";
import { TRACE_EVENT } from "#linux/tracepoint.ts";

const TRACE_SYSTEM = "vfio_ccw";

/** A channel path event reached a subchannel. @mask: its bit in the path masks; @event: CHP_* */
export const trace_vfio_ccw_chp_event = TRACE_EVENT(
  TRACE_SYSTEM,
  "vfio_ccw_chp_event",
  (schid: subchannel_id, mask: number, event: number) => ({
    cssid: schid.cssid,
    ssid: schid.ssid,
    sch_no: schid.sch_no,
    mask,
    event,
  }),
  "schid=%x.%x.%04x mask=0x%x event=%d",
  ["cssid", "ssid", "sch_no", "mask", "event"],
);

/** User space asked for a halt or a clear. @errno: what became of it */
export const trace_vfio_ccw_fsm_async_request = TRACE_EVENT(
  TRACE_SYSTEM,
  "vfio_ccw_fsm_async_request",
  (schid: subchannel_id, command: number, errno: number) => ({
    cssid: schid.cssid,
    ssid: schid.ssid,
    sch_no: schid.sch_no,
    command,
    errno,
  }),
  "schid=%x.%x.%04x command=0x%x errno=%d",
  ["cssid", "ssid", "sch_no", "command", "errno"],
);

/** The state machine gets an event. @state: before it */
export const trace_vfio_ccw_fsm_event = TRACE_EVENT(
  TRACE_SYSTEM,
  "vfio_ccw_fsm_event",
  (schid: subchannel_id, state: number, event: number) => ({
    cssid: schid.cssid,
    ssid: schid.ssid,
    schno: schid.sch_no,
    state,
    event,
  }),
  "schid=%x.%x.%04x state=%d event=%d",
  ["cssid", "ssid", "schno", "state", "event"],
);

/** A request on the I/O region did not end in a running program. @errstr: where it ended */
export const trace_vfio_ccw_fsm_io_request = TRACE_EVENT(
  TRACE_SYSTEM,
  "vfio_ccw_fsm_io_request",
  (fctl: number, schid: subchannel_id, errno: number, errstr: string) => ({
    cssid: schid.cssid,
    ssid: schid.ssid,
    sch_no: schid.sch_no,
    fctl,
    errno,
    errstr,
  }),
  "schid=%x.%x.%04x fctl=0x%x errno=%d info=%s",
  ["cssid", "ssid", "sch_no", "fctl", "errno", "errstr"],
);
