// SPDX-License-Identifier: GPL-2.0-only
/** What the files of the vfio_ccw driver share. Port of drivers/s390/cio/vfio_ccw_private.h. */
import { irb as struct_irb } from "#asm/cio.ts";
import { crw } from "#asm/crw.ts";
import { debug_event, debug_sprintf_event, debug_text_event } from "#asm/debug.ts";
import { scsw } from "#asm/scsw.ts";
import { completion } from "#linux/completion.ts";
import type { eventfd_ctx } from "#linux/eventfd.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { list_head } from "#linux/list.ts";
import { mdev_parent, mdev_type } from "#linux/mdev.ts";
import { mutex } from "#linux/mutex.ts";
import {
  array,
  type byte_memory,
  embed,
  int,
  opaque,
  ptr,
  type Sleeps,
  struct,
  type struct_array,
  u32,
} from "#linux/types.ts";
import { vfio_device } from "#linux/vfio.ts";
import { work_struct } from "#linux/workqueue.ts";
import type { ccw_cmd_region, ccw_crw_region, ccw_io_region, ccw_schib_region } from "#uapi/linux/vfio_ccw.ts";
import type { subchannel } from "./cio.ts";
import { channel_program } from "./vfio_ccw_cp.ts";
import { vfio_ccw_globals } from "./vfio_ccw_drv.ts";
import { vfio_ccw_jumptable } from "./vfio_ccw_fsm.ts";
import { trace_vfio_ccw_fsm_event } from "./vfio_ccw_trace.ts";

export const VFIO_CCW_OFFSET_SHIFT = 10n;
export function VFIO_CCW_OFFSET_TO_INDEX(off: bigint): number {
  // An unsigned int in C: what is above 32 bits is lost.
  return Number(BigInt.asUintN(32, off >> VFIO_CCW_OFFSET_SHIFT));
}
export function VFIO_CCW_INDEX_TO_OFFSET(index: number): bigint {
  return BigInt(index) << VFIO_CCW_OFFSET_SHIFT;
}
export const VFIO_CCW_OFFSET_MASK = (1n << VFIO_CCW_OFFSET_SHIFT) - 1n;

/** A region beyond the first: how it is read and written. `buf` is a user address. */
export interface vfio_ccw_regops {
  readonly read: (priv: vfio_ccw_private, buf: bigint, count: number, ppos: loff_ptr) => Sleeps<number>;
  readonly write: (priv: vfio_ccw_private, buf: bigint, count: number, ppos: loff_ptr) => Sleeps<number>;
  readonly release: (priv: vfio_ccw_private, region: vfio_ccw_region) => void;
}

export class vfio_ccw_region extends struct("vfio_ccw_region", {
  type: u32(),
  subtype: u32(),
  ops: ptr<vfio_ccw_regops>(),
  data: ptr<byte_memory>(),
  size: opaque(() => 0),
  flags: u32(),
}) {}

export { vfio_ccw_register_dev_region, vfio_ccw_unregister_dev_regions } from "./vfio_ccw_ops.ts";

export { vfio_ccw_register_async_dev_regions } from "./vfio_ccw_async.ts";
export { vfio_ccw_register_crw_dev_regions, vfio_ccw_register_schib_dev_regions } from "./vfio_ccw_chp.ts";

export class vfio_ccw_crw extends struct("vfio_ccw_crw", {
  next: embed(() => list_head),
  crw: embed(() => crw),
}) {}

/** One subchannel bound to the driver. */
export class vfio_ccw_private extends struct("vfio_ccw_private", {
  vdev: embed(() => vfio_device),
  sch: ptr<subchannel>(),
  /** State of the state machine. */
  state: int(),
  /** Of who waits for an interrupt. */
  completion: ptr<completion>(),
  /** Arguments and results of a start. */
  io_region: ptr<ccw_io_region>(),
  /** Guards the regions. */
  io_mutex: embed(() => mutex),
  /** The regions beyond the first. */
  region: ptr<struct_array<vfio_ccw_region>>(),
  cmd_region: ptr<ccw_cmd_region>(),
  schib_region: ptr<ccw_schib_region>(),
  crw_region: ptr<ccw_crw_region>(),
  num_regions: int(),

  cp: embed(() => channel_program),
  irb: embed(() => struct_irb),
  scsw: embed(() => scsw),
  /** Channel report words that user space has not read. */
  crw: embed(() => list_head),

  /** Eventfds: I/O results, channel report words, request to give the device back. */
  io_trigger: ptr<eventfd_ctx>(),
  crw_trigger: ptr<eventfd_ctx>(),
  req_trigger: ptr<eventfd_ctx>(),
  io_work: embed(() => work_struct),
  crw_work: embed(() => work_struct),

  /** Says that the last reference of vdev is gone. */
  release_comp: embed(() => completion),

  parent: embed(() => mdev_parent),
  mdev_type: embed(() => mdev_type),
  mdev_types: array(1, ptr<mdev_type>()),
}) {}

export { vfio_ccw_sch_quiesce } from "./vfio_ccw_drv.ts";

export { vfio_ccw_mdev } from "./vfio_ccw_ops.ts";

/** States of the state machine: enum vfio_ccw_state. */
export const VFIO_CCW_STATE_NOT_OPER = 0;
export const VFIO_CCW_STATE_STANDBY = 1;
export const VFIO_CCW_STATE_IDLE = 2;
export const VFIO_CCW_STATE_CP_PROCESSING = 3;
export const VFIO_CCW_STATE_CP_PENDING = 4;
export const NR_VFIO_CCW_STATES = 5;

/** Its events: enum vfio_ccw_event. */
export const VFIO_CCW_EVENT_NOT_OPER = 0;
export const VFIO_CCW_EVENT_IO_REQ = 1;
export const VFIO_CCW_EVENT_INTERRUPT = 2;
export const VFIO_CCW_EVENT_ASYNC_REQ = 3;
export const VFIO_CCW_EVENT_OPEN = 4;
export const VFIO_CCW_EVENT_CLOSE = 5;
export const NR_VFIO_CCW_EVENTS = 6;
export type vfio_ccw_event = number;

/** What the jump table leads to. From interrupts and under sch->lock it is called through atomic_context(). */
export type fsm_func_t = (priv: vfio_ccw_private, event: vfio_ccw_event) => Sleeps;
export { vfio_ccw_jumptable } from "./vfio_ccw_fsm.ts";

/** Lets the state machine handle an event. Context: that of the action; OPEN and CLOSE sleep */
export function* vfio_ccw_fsm_event(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  trace_vfio_ccw_fsm_event(priv.sch!.schid, priv.state, event);
  yield* vfio_ccw_jumptable[priv.state]![event]!(priv, event);
}

export { vfio_ccw_globals } from "./vfio_ccw_drv.ts";

type printf_args = readonly (string | number | bigint | boolean | object | null)[];

export function VFIO_CCW_TRACE_EVENT(imp: number, txt: string | null): void {
  debug_text_event(vfio_ccw_globals.vfio_ccw_debug_trace_id, imp, txt);
}
export function VFIO_CCW_MSG_EVENT(imp: number, fmt: string, ...args: printf_args): void {
  debug_sprintf_event(vfio_ccw_globals.vfio_ccw_debug_msg_id, imp, fmt, ...args);
}
export function VFIO_CCW_HEX_EVENT(level: number, data: byte_memory | number, length: number): void {
  debug_event(vfio_ccw_globals.vfio_ccw_debug_trace_id, level, data, length);
}
