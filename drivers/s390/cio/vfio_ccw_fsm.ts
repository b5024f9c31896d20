// SPDX-License-Identifier: GPL-2.0-only
/** State machine of a vfio-ccw device. Port of drivers/s390/cio/vfio_ccw_fsm.c. */
import { VFIO_CCW_ISC } from "#asm/isc.ts";
import { __pa } from "#asm/page.ts";
import { this_cpu_ptr } from "#asm/percpu.ts";
import type { subchannel_id } from "#asm/schid.ts";
import {
  SCSW_ACTL_CLEAR_PEND,
  SCSW_ACTL_HALT_PEND,
  SCSW_ACTL_START_PEND,
  SCSW_FCTL_CLEAR_FUNC,
  SCSW_FCTL_HALT_FUNC,
  SCSW_FCTL_START_FUNC,
} from "#asm/scsw.ts";
import { complete } from "#linux/completion.ts";
import { dev_name } from "#linux/device.ts";
import { EACCES, EAGAIN, EBUSY, EINVAL, EIO, ENODEV, EOPNOTSUPP } from "#linux/errno.ts";
import { pr_err } from "#linux/kernel.ts";
import { kbuild } from "#linux/module.ts";
import { spin_lock_irq, spin_lock_irqsave, spin_unlock_irq, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { memcpy } from "#linux/string.ts";
import { cast_to, offsetof, type Sleeps, sizeof } from "#linux/types.ts";
import { queue_work } from "#linux/workqueue.ts";
import { ccw_io_region, VFIO_CCW_ASYNC_CMD_CSCH, VFIO_CCW_ASYNC_CMD_HSCH } from "#uapi/linux/vfio_ccw.ts";
import { cio_disable_subchannel, cio_enable_subchannel, cio_globals, cio_update_schib, SCH_TODO_UNREG } from "./cio.ts";
import { css_sched_sch_todo } from "./css.ts";
import { csch, hsch, ssch } from "./ioasm.ts";
import { orb as struct_orb } from "./orb.ts";
import { cp_free, cp_get_orb, cp_init, cp_prefetch } from "./vfio_ccw_cp.ts";
import {
  type fsm_func_t,
  VFIO_CCW_EVENT_ASYNC_REQ,
  VFIO_CCW_EVENT_CLOSE,
  VFIO_CCW_EVENT_INTERRUPT,
  VFIO_CCW_EVENT_IO_REQ,
  VFIO_CCW_EVENT_NOT_OPER,
  VFIO_CCW_EVENT_OPEN,
  VFIO_CCW_HEX_EVENT,
  VFIO_CCW_MSG_EVENT,
  VFIO_CCW_STATE_CP_PENDING,
  VFIO_CCW_STATE_CP_PROCESSING,
  VFIO_CCW_STATE_IDLE,
  VFIO_CCW_STATE_NOT_OPER,
  VFIO_CCW_STATE_STANDBY,
  VFIO_CCW_TRACE_EVENT,
  type vfio_ccw_event,
  vfio_ccw_fsm_event,
  vfio_ccw_globals,
  type vfio_ccw_private,
  vfio_ccw_sch_quiesce,
} from "./vfio_ccw_private.ts";
import { trace_vfio_ccw_fsm_async_request, trace_vfio_ccw_fsm_io_request } from "./vfio_ccw_trace.ts";

const { per_boot } = kbuild(import.meta.url);

function* fsm_io_helper(priv: vfio_ccw_private): Sleeps<number> {
  let ret: number;

  const sch = priv.sch!;

  const flags = yield* spin_lock_irqsave(sch.lock!);

  out: {
    const orb = cp_get_orb(priv.cp, Number(__pa(sch) & 0xffffffffn), sch.lpm);
    if (!orb) {
      ret = -EIO;
      break out;
    }

    VFIO_CCW_TRACE_EVENT(5, "stIO");
    VFIO_CCW_TRACE_EVENT(5, dev_name(sch.dev));

    const ccode = ssch(sch.schid, orb);

    VFIO_CCW_HEX_EVENT(5, ccode, 4);

    switch (ccode) {
      case 0:
        sch.schib.scsw.cmd.actl |= SCSW_ACTL_START_PEND;
        ret = 0;
        priv.state = VFIO_CCW_STATE_CP_PENDING;
        break;
      case 1: // status pending
      case 2: // busy
        ret = -EBUSY;
        break;
      case 3: {
        // device or path not operational
        const { lpm } = orb.cmd;
        if (lpm !== 0) sch.lpm &= ~lpm;
        else sch.lpm = 0;

        if (cio_update_schib(sch)) ret = -ENODEV;
        else ret = sch.lpm ? -EACCES : -ENODEV;
        break;
      }
      default:
        ret = ccode;
    }
  }
  yield* spin_unlock_irqrestore(sch.lock!, flags);
  return ret;
}

function* fsm_do_halt(priv: vfio_ccw_private): Sleeps<number> {
  let ret: number;

  const sch = priv.sch!;

  const flags = yield* spin_lock_irqsave(sch.lock!);

  VFIO_CCW_TRACE_EVENT(2, "haltIO");
  VFIO_CCW_TRACE_EVENT(2, dev_name(sch.dev));

  const ccode = hsch(sch.schid);

  VFIO_CCW_HEX_EVENT(2, ccode, 4);

  switch (ccode) {
    case 0:
      sch.schib.scsw.cmd.actl |= SCSW_ACTL_HALT_PEND;
      ret = 0;
      break;
    case 1: // status pending
    case 2: // busy
      ret = -EBUSY;
      break;
    case 3: // not operational
      ret = -ENODEV;
      break;
    default:
      ret = ccode;
  }
  yield* spin_unlock_irqrestore(sch.lock!, flags);
  return ret;
}

function* fsm_do_clear(priv: vfio_ccw_private): Sleeps<number> {
  let ret: number;

  const sch = priv.sch!;

  const flags = yield* spin_lock_irqsave(sch.lock!);

  VFIO_CCW_TRACE_EVENT(2, "clearIO");
  VFIO_CCW_TRACE_EVENT(2, dev_name(sch.dev));

  const ccode = csch(sch.schid);

  VFIO_CCW_HEX_EVENT(2, ccode, 4);

  switch (ccode) {
    case 0:
      sch.schib.scsw.cmd.actl = SCSW_ACTL_CLEAR_PEND;
      ret = 0;
      break;
    case 3: // not operational
      ret = -ENODEV;
      break;
    default:
      ret = ccode;
  }
  yield* spin_unlock_irqrestore(sch.lock!, flags);
  return ret;
}

function* fsm_notoper(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const sch = priv.sch!;

  VFIO_CCW_MSG_EVENT(
    2,
    "sch %x.%x.%04x: notoper event %x state %x\n",
    sch.schid.cssid,
    sch.schid.ssid,
    sch.schid.sch_no,
    event,
    priv.state,
  );

  yield* css_sched_sch_todo(sch, SCH_TODO_UNREG);
  priv.state = VFIO_CCW_STATE_NOT_OPER;

  // Usually CLOSE has done it. It sleeps, and sch_event() comes here with sch->lock held.
  yield* cp_free(priv.cp);
}

/*
 * No operation action.
 */
function* fsm_nop(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {}

function* fsm_io_error(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  pr_err("vfio-ccw: FSM: I/O request from state:%d\n", priv.state);
  priv.io_region!.ret_code = -EIO;
}

function* fsm_io_busy(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  priv.io_region!.ret_code = -EBUSY;
}

function* fsm_io_retry(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  priv.io_region!.ret_code = -EAGAIN;
}

function* fsm_async_error(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const cmd_region = priv.cmd_region!;

  pr_err(
    "vfio-ccw: FSM: %s request from state:%d\n",
    cmd_region.command === VFIO_CCW_ASYNC_CMD_HSCH
      ? "halt"
      : cmd_region.command === VFIO_CCW_ASYNC_CMD_CSCH
        ? "clear"
        : "<unknown>",
    priv.state,
  );
  cmd_region.ret_code = -EIO;
}

function* fsm_async_retry(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  priv.cmd_region!.ret_code = -EAGAIN;
}

function* fsm_disabled_irq(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const sch = priv.sch!;

  // An earlier disable cannot have worked: once more.
  cio_disable_subchannel(sch);
}
export function get_schid(p: vfio_ccw_private): subchannel_id {
  return p.sch!.schid;
}

/*
 * A start from user space.
 */
function* fsm_io_request(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const { scsw } = priv;
  const io_region = priv.io_region!;
  let errstr = "request";
  const schid = get_schid(priv);

  priv.state = VFIO_CCW_STATE_CP_PROCESSING;
  memcpy(scsw, io_region.scsw_area, sizeof(scsw));

  err_out: {
    if (scsw.cmd.fctl & SCSW_FCTL_START_FUNC) {
      const orb = cast_to(struct_orb, io_region, offsetof(ccw_io_region, "orb_area"));

      if (orb.tm.b) {
        io_region.ret_code = -EOPNOTSUPP;
        VFIO_CCW_MSG_EVENT(2, "sch %x.%x.%04x: transport mode\n", schid.cssid, schid.ssid, schid.sch_no);
        errstr = "transport mode";
        break err_out;
      }
      io_region.ret_code = yield* cp_init(priv.cp, orb);
      if (io_region.ret_code) {
        VFIO_CCW_MSG_EVENT(
          2,
          "sch %x.%x.%04x: cp_init=%d\n",
          schid.cssid,
          schid.ssid,
          schid.sch_no,
          io_region.ret_code,
        );
        errstr = "cp init";
        break err_out;
      }

      io_region.ret_code = yield* cp_prefetch(priv.cp);
      if (io_region.ret_code) {
        VFIO_CCW_MSG_EVENT(
          2,
          "sch %x.%x.%04x: cp_prefetch=%d\n",
          schid.cssid,
          schid.ssid,
          schid.sch_no,
          io_region.ret_code,
        );
        errstr = "cp prefetch";
        yield* cp_free(priv.cp);
        break err_out;
      }

      // The program runs from here; its end is an interrupt.
      io_region.ret_code = yield* fsm_io_helper(priv);
      if (io_region.ret_code) {
        VFIO_CCW_MSG_EVENT(
          2,
          "sch %x.%x.%04x: fsm_io_helper=%d\n",
          schid.cssid,
          schid.ssid,
          schid.sch_no,
          io_region.ret_code,
        );
        errstr = "cp fsm_io_helper";
        yield* cp_free(priv.cp);
        break err_out;
      }
      return;
    } else if (scsw.cmd.fctl & SCSW_FCTL_HALT_FUNC) {
      VFIO_CCW_MSG_EVENT(2, "sch %x.%x.%04x: halt on io_region\n", schid.cssid, schid.ssid, schid.sch_no);
      // The async region is for that.
      io_region.ret_code = -EOPNOTSUPP;
      break err_out;
    } else if (scsw.cmd.fctl & SCSW_FCTL_CLEAR_FUNC) {
      VFIO_CCW_MSG_EVENT(2, "sch %x.%x.%04x: clear on io_region\n", schid.cssid, schid.ssid, schid.sch_no);
      // The async region is for that.
      io_region.ret_code = -EOPNOTSUPP;
      break err_out;
    }
  }
  priv.state = VFIO_CCW_STATE_IDLE;
  trace_vfio_ccw_fsm_io_request(scsw.cmd.fctl, schid, io_region.ret_code, errstr);
}

/*
 * A halt or clear from user space.
 */
function* fsm_async_request(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const cmd_region = priv.cmd_region!;

  switch (cmd_region.command) {
    case VFIO_CCW_ASYNC_CMD_HSCH:
      cmd_region.ret_code = yield* fsm_do_halt(priv);
      break;
    case VFIO_CCW_ASYNC_CMD_CSCH:
      cmd_region.ret_code = yield* fsm_do_clear(priv);
      break;
    default:
      cmd_region.ret_code = -EINVAL;
  }

  trace_vfio_ccw_fsm_async_request(get_schid(priv), cmd_region.command, cmd_region.ret_code);
}

/*
 * An interrupt of the device.
 */
function* fsm_irq(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const irb = this_cpu_ptr(cio_globals.cio_irb);

  VFIO_CCW_TRACE_EVENT(6, "IRQ");
  VFIO_CCW_TRACE_EVENT(6, dev_name(priv.sch!.dev));

  memcpy(priv.irb, irb, sizeof(irb));

  queue_work(vfio_ccw_globals.vfio_ccw_work_q!, priv.io_work);

  if (priv.completion) complete(priv.completion);
}

function* fsm_open(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const sch = priv.sch!;

  yield* spin_lock_irq(sch.lock!);
  err_unlock: {
    sch.isc = VFIO_CCW_ISC;
    const ret = cio_enable_subchannel(sch, Number(__pa(sch) & 0xffffffffn));
    if (ret) break err_unlock;

    priv.state = VFIO_CCW_STATE_IDLE;
    yield* spin_unlock_irq(sch.lock!);
    return;
  }
  yield* spin_unlock_irq(sch.lock!);
  yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_NOT_OPER);
}

function* fsm_close(priv: vfio_ccw_private, event: vfio_ccw_event): Sleeps {
  const sch = priv.sch!;

  yield* spin_lock_irq(sch.lock!);

  err_unlock: {
    if (!sch.schib.pmcw.ena) break err_unlock;

    let ret = cio_disable_subchannel(sch);
    if (ret === -EBUSY) ret = yield* vfio_ccw_sch_quiesce(sch);
    if (ret) break err_unlock;

    priv.state = VFIO_CCW_STATE_STANDBY;
    yield* spin_unlock_irq(sch.lock!);
    yield* cp_free(priv.cp);
    return;
  }
  yield* spin_unlock_irq(sch.lock!);
  yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_NOT_OPER);
}

/*
 * Device statemachine
 */
type fsm_row = Record<vfio_ccw_event, fsm_func_t>;
export const vfio_ccw_jumptable = per_boot((): Record<number, fsm_row> => ({
  [VFIO_CCW_STATE_NOT_OPER]: {
    [VFIO_CCW_EVENT_NOT_OPER]: fsm_nop,
    [VFIO_CCW_EVENT_IO_REQ]: fsm_io_error,
    [VFIO_CCW_EVENT_ASYNC_REQ]: fsm_async_error,
    [VFIO_CCW_EVENT_INTERRUPT]: fsm_disabled_irq,
    [VFIO_CCW_EVENT_OPEN]: fsm_nop,
    [VFIO_CCW_EVENT_CLOSE]: fsm_nop,
  },
  [VFIO_CCW_STATE_STANDBY]: {
    [VFIO_CCW_EVENT_NOT_OPER]: fsm_notoper,
    [VFIO_CCW_EVENT_IO_REQ]: fsm_io_error,
    [VFIO_CCW_EVENT_ASYNC_REQ]: fsm_async_error,
    [VFIO_CCW_EVENT_INTERRUPT]: fsm_disabled_irq,
    [VFIO_CCW_EVENT_OPEN]: fsm_open,
    [VFIO_CCW_EVENT_CLOSE]: fsm_notoper,
  },
  [VFIO_CCW_STATE_IDLE]: {
    [VFIO_CCW_EVENT_NOT_OPER]: fsm_notoper,
    [VFIO_CCW_EVENT_IO_REQ]: fsm_io_request,
    [VFIO_CCW_EVENT_ASYNC_REQ]: fsm_async_request,
    [VFIO_CCW_EVENT_INTERRUPT]: fsm_irq,
    [VFIO_CCW_EVENT_OPEN]: fsm_notoper,
    [VFIO_CCW_EVENT_CLOSE]: fsm_close,
  },
  [VFIO_CCW_STATE_CP_PROCESSING]: {
    [VFIO_CCW_EVENT_NOT_OPER]: fsm_notoper,
    [VFIO_CCW_EVENT_IO_REQ]: fsm_io_retry,
    [VFIO_CCW_EVENT_ASYNC_REQ]: fsm_async_retry,
    [VFIO_CCW_EVENT_INTERRUPT]: fsm_irq,
    [VFIO_CCW_EVENT_OPEN]: fsm_notoper,
    [VFIO_CCW_EVENT_CLOSE]: fsm_close,
  },
  [VFIO_CCW_STATE_CP_PENDING]: {
    [VFIO_CCW_EVENT_NOT_OPER]: fsm_notoper,
    [VFIO_CCW_EVENT_IO_REQ]: fsm_io_busy,
    [VFIO_CCW_EVENT_ASYNC_REQ]: fsm_async_request,
    [VFIO_CCW_EVENT_INTERRUPT]: fsm_irq,
    [VFIO_CCW_EVENT_OPEN]: fsm_notoper,
    [VFIO_CCW_EVENT_CLOSE]: fsm_close,
  },
}));
