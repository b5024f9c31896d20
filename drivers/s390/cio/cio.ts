// SPDX-License-Identifier: GPL-2.0-only
/**
 * Low-level channel I/O. Port of drivers/s390/cio/cio.c and cio.h. Left out: the CCW console, and what only ccw devices use:
 * cio_set_options(), cio_tm_start_key(), cio_tm_intrg(), the options in cio_start_key().
 */
import { irb as struct_irb } from "#asm/cio.ts";
import type { ccw1 } from "#asm/cio.ts";
import {
  type debug_info_t,
  debug_hex_ascii_view,
  debug_register,
  debug_register_view,
  debug_set_level,
  debug_sprintf_view,
  debug_unregister,
} from "#asm/debug.ts";
import { get_irq_regs, inc_irq_stat, IO_INTERRUPT, IRQIO_CIO } from "#asm/irq.ts";
import { __pa, __va, PAGE_DEFAULT_KEY } from "#asm/page.ts";
import { per_cpu, this_cpu_ptr } from "#asm/percpu.ts";
import { subchannel_id } from "#asm/schid.ts";
import {
  scsw,
  scsw_actl,
  scsw_is_tm,
  SCSW_ACTL_CLEAR_PEND,
  SCSW_ACTL_HALT_PEND,
  SCSW_ACTL_RESUME_PEND,
  SCSW_ACTL_START_PEND,
} from "#asm/scsw.ts";
import { on_s390 } from "#asm/setup.ts";
import { udelay } from "#linux/delay.ts";
import { dev_name, device } from "#linux/device.ts";
import { EACCES, EAGAIN, EBUSY, EINVAL, EIO, ENODEV } from "#linux/errno.ts";
import { arch_initcall, core_initcall } from "#linux/init.ts";
import { IRQ_HANDLED, type irqreturn_t, request_irq } from "#linux/irq.ts";
import { sprintf } from "#linux/kernel.ts";
import { kbuild } from "#linux/module.ts";
import { mutex } from "#linux/mutex.ts";
import { spin_lock, spin_unlock, type spinlock_t } from "#linux/spinlock.ts";
import { memcpy, memset } from "#linux/string.ts";
import {
  b16,
  b32,
  b64,
  b8,
  bits,
  bytes,
  bytestruct,
  embed,
  inner,
  int,
  opaque,
  ptr,
  type Sleeps,
  sizeof,
  type Spins,
  str,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "#linux/types.ts";
import { work_struct } from "#linux/workqueue.ts";
import { chsc_ssd_info } from "./chsc.ts";
import { CIO_HEX_EVENT, CIO_MSG_EVENT, CIO_TRACE_EVENT } from "./cio_debug.ts";
import { type css_driver, css_sch_is_valid, sch_is_pseudo_sch } from "./css.ts";
import { to_io_private } from "./io_sch.ts";
import { csch, hsch, msch, rsch, ssch, stsch, tsch, xsch } from "./ioasm.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** Path-management-control word. */
export class pmcw extends bytestruct("pmcw", {
  intparm: b32(),
  qf: bits(4, 0, 1),
  w: bits(4, 1, 1),
  isc: bits(4, 2, 3),
  res5: bits(4, 5, 3),
  ena: bits(4, 8, 1),
  lm: bits(4, 9, 2),
  mme: bits(4, 11, 2),
  mp: bits(4, 13, 1),
  tf: bits(4, 14, 1),
  dnv: bits(4, 15, 1),
  dev: bits(4, 16, 16),
  lpm: b8(),
  pnom: b8(),
  lpum: b8(),
  pim: b8(),
  mbi: b16(),
  pom: b8(),
  pam: b8(),
  chpid: bytes(8),
  unused1: bits(4, 0, 8),
  st: bits(4, 8, 3),
  unused2: bits(4, 11, 18),
  mbfc: bits(4, 29, 1),
  xmwme: bits(4, 30, 1),
  csense: bits(4, 31, 1),
}) {}

/** What the subchannel is to be configured as. */
export class schib_config extends struct("schib_config", {
  mba: u64(),
  intparm: u32(),
  mbi: u16(),
  isc: u8(),
  ena: u8(),
  mme: u8(),
  mp: u8(),
  csense: u8(),
  mbfc: u8(),
}) {}

/** Subchannel-information block: packed, so that it has 52 bytes. */
export class schib extends bytestruct("schib", {
  pmcw: inner(() => pmcw),
  scsw: inner(() => scsw),
  mba: { ...b64(), align: () => 4 },
  mda: bytes(4),
}) {}

/** enum sch_todo; what has a higher number replaces what has a lower one. */
export const SCH_TODO_NOTHING = 0;
export const SCH_TODO_EVAL = 1;
export const SCH_TODO_UNREG = 2;
export type sch_todo = number;

export const SUBCHANNEL_TYPE_IO = 0;
export const SUBCHANNEL_TYPE_CHSC = 1;
export const SUBCHANNEL_TYPE_MSG = 2;
export const SUBCHANNEL_TYPE_ADM = 3;

export class subchannel extends struct("subchannel", {
  schid: embed(() => subchannel_id),
  lock: ptr<spinlock_t>(),
  reg_mutex: embed(() => mutex),
  st: int(),
  /** Paths: verified, logical, operational. */
  vpm: u8(),
  lpm: u8(),
  opm: u8(),
  schib: embed(() => schib),
  /** Interruption subclass wanted. */
  isc: int(),
  ssd_info: embed(() => chsc_ssd_info),
  dev: embed(() => device),
  driver: ptr<css_driver>(),
  todo: int(),
  todo_work: embed(() => work_struct),
  config: embed(() => schib_config),
  dma_mask: opaque<{ value: bigint }>(() => ({ value: 0n })),
  /** Name of the one driver that may bind; set with driver_set_override() only. */
  driver_override: str(),
}) {}

export { to_subchannel } from "./css.ts";

/** What cio.c shares with others. */
export const cio_globals = per_boot(() => ({
  cio_debug_msg_id: null as debug_info_t | null,
  cio_debug_trace_id: null as debug_info_t | null,
  cio_debug_crw_id: null as debug_info_t | null,
  cio_irb: new per_cpu(() => new struct_irb()),
}));

/* The logs: cio_msg of messages, cio_trace of calls, cio_crw of machine checks. */
function* cio_debug_init(): Sleeps<number> {
  const g = cio_globals;
  out_unregister: {
    g.cio_debug_msg_id = yield* debug_register("cio_msg", 16, 1, 11 * 8);
    if (!g.cio_debug_msg_id) break out_unregister;
    debug_register_view(g.cio_debug_msg_id, debug_sprintf_view);
    debug_set_level(g.cio_debug_msg_id, 2);
    g.cio_debug_trace_id = yield* debug_register("cio_trace", 16, 1, 16);
    if (!g.cio_debug_trace_id) break out_unregister;
    debug_register_view(g.cio_debug_trace_id, debug_hex_ascii_view);
    debug_set_level(g.cio_debug_trace_id, 2);
    g.cio_debug_crw_id = yield* debug_register("cio_crw", 8, 1, 8 * 8);
    if (!g.cio_debug_crw_id) break out_unregister;
    debug_register_view(g.cio_debug_crw_id, debug_sprintf_view);
    debug_set_level(g.cio_debug_crw_id, 4);
    return 0;
  }
  yield* debug_unregister(g.cio_debug_msg_id);
  yield* debug_unregister(g.cio_debug_trace_id);
  yield* debug_unregister(g.cio_debug_crw_id);
  return -1;
}
arch_initcall(on_s390(cio_debug_init));

function cio_start_handle_notoper(sch: subchannel, lpm: number): number {
  if (lpm !== 0) sch.lpm &= ~lpm;
  else sch.lpm = 0;

  CIO_MSG_EVENT(2, "cio_start: 'not oper' status for subchannel 0.%x.%04x!\n", sch.schid.ssid, sch.schid.sch_no);

  if (cio_update_schib(sch)) return -ENODEV;

  CIO_TRACE_EVENT(0, sprintf("no%s", dev_name(sch.dev)));
  CIO_HEX_EVENT(0, sch.schib, sizeof(schib));

  return sch.lpm ? -EACCES : -ENODEV;
}

/**
 * Starts a channel program. @lpm: paths to try, 0 for those of the subchannel; @key: storage key
 * @return 0, -EBUSY, -EACCES if other paths are left, -ENODEV. Context: sch->lock held
 */
export function cio_start_key(sch: subchannel, cpa: ccw1, lpm: number, key: number): number {
  const orb = to_io_private(sch)!.orb;

  CIO_TRACE_EVENT(5, "stIO");
  CIO_TRACE_EVENT(5, dev_name(sch.dev));

  memset(orb, 0, sizeof(orb));
  orb.cmd.intparm = Number(__pa(sch)) >>> 0;
  orb.cmd.fmt = 1;

  // Nobody sets options without a ccw device.
  orb.cmd.pfch = 1;
  orb.cmd.lpm = lpm !== 0 ? lpm : sch.lpm;
  orb.cmd.c64 = 1;
  orb.cmd.i2k = 0;
  orb.cmd.key = key >> 4;
  orb.cmd.cpa = Number(__pa(cpa));
  const ccode = ssch(sch.schid, orb);

  CIO_HEX_EVENT(5, ccode, 4);

  switch (ccode) {
    case 0:
      sch.schib.scsw.cmd.actl |= SCSW_ACTL_START_PEND;
      return 0;
    case 1:
    case 2:
      return -EBUSY;
    case 3:
      return cio_start_handle_notoper(sch, lpm);
    default:
      return ccode;
  }
}
EXPORT_SYMBOL_GPL(cio_start_key);

export function cio_start(sch: subchannel, cpa: ccw1, lpm: number): number {
  return cio_start_key(sch, cpa, lpm, PAGE_DEFAULT_KEY);
}
EXPORT_SYMBOL_GPL(cio_start);

/** Goes on with a suspended channel program. Context: sch->lock held */
export function cio_resume(sch: subchannel): number {
  CIO_TRACE_EVENT(4, "resIO");
  CIO_TRACE_EVENT(4, dev_name(sch.dev));

  const ccode = rsch(sch.schid);

  CIO_HEX_EVENT(4, ccode, 4);

  switch (ccode) {
    case 0:
      sch.schib.scsw.cmd.actl |= SCSW_ACTL_RESUME_PEND;
      return 0;
    case 1:
      return -EBUSY;
    case 2:
      return -EINVAL;
    default:
      return -ENODEV;
  }
}
EXPORT_SYMBOL_GPL(cio_resume);

/** Halts what runs. @return 0 (an interrupt will come), -EBUSY, -ENODEV. Context: sch->lock held */
export function cio_halt(sch: subchannel | null): number {
  if (!sch) return -ENODEV;

  CIO_TRACE_EVENT(2, "haltIO");
  CIO_TRACE_EVENT(2, dev_name(sch.dev));

  const ccode = hsch(sch.schid);

  CIO_HEX_EVENT(2, ccode, 4);

  switch (ccode) {
    case 0:
      sch.schib.scsw.cmd.actl |= SCSW_ACTL_HALT_PEND;
      return 0;
    case 1:
    case 2:
      return -EBUSY;
    default:
      return -ENODEV;
  }
}
EXPORT_SYMBOL_GPL(cio_halt);

/** Clears the subchannel. @return 0 (an interrupt will come) or -ENODEV. Context: sch->lock held */
export function cio_clear(sch: subchannel | null): number {
  if (!sch) return -ENODEV;

  CIO_TRACE_EVENT(2, "clearIO");
  CIO_TRACE_EVENT(2, dev_name(sch.dev));

  const ccode = csch(sch.schid);

  CIO_HEX_EVENT(2, ccode, 4);

  switch (ccode) {
    case 0:
      sch.schib.scsw.cmd.actl |= SCSW_ACTL_CLEAR_PEND;
      return 0;
    default:
      return -ENODEV;
  }
}
EXPORT_SYMBOL_GPL(cio_clear);

/** Cancels a start function that has not begun. @return 0, -EBUSY (status pending), -EINVAL (not applicable), -ENODEV. Context: sch->lock held */
export function cio_cancel(sch: subchannel | null): number {
  if (!sch) return -ENODEV;

  CIO_TRACE_EVENT(2, "cancelIO");
  CIO_TRACE_EVENT(2, dev_name(sch.dev));

  const ccode = xsch(sch.schid);

  CIO_HEX_EVENT(2, ccode, 4);

  switch (ccode) {
    case 0:
      if (cio_update_schib(sch)) return -ENODEV;
      return 0;
    case 1:
      return -EBUSY;
    case 2:
      return -EINVAL;
    default:
      return -ENODEV;
  }
}
EXPORT_SYMBOL_GPL(cio_cancel);

/**
 * Ends what runs: cancel once, halt three times, clear 255 times, one step for each call.
 * @iretry: tries left; 255 before the first call, and the same until the result is not -EBUSY
 * @return 0 idle now, -ENODEV, -EBUSY an interrupt is to be waited for, -EIO out of tries. Context: sch->lock held
 */
export function cio_cancel_halt_clear(sch: subchannel, iretry: { value: number }): number {
  let ret: number;

  if (cio_update_schib(sch)) return -ENODEV;
  if (!sch.schib.pmcw.ena) return 0;
  if (!(scsw_actl(sch.schib.scsw) & SCSW_ACTL_HALT_PEND) && !(scsw_actl(sch.schib.scsw) & SCSW_ACTL_CLEAR_PEND)) {
    if (!scsw_is_tm(sch.schib.scsw)) {
      ret = cio_cancel(sch);
      if (ret !== -EINVAL) return ret;
    }
    iretry.value = 3;
  }
  if (!(scsw_actl(sch.schib.scsw) & SCSW_ACTL_CLEAR_PEND)) {
    if (iretry.value) {
      iretry.value -= 1;
      ret = cio_halt(sch);
      if (ret !== -EBUSY) return ret === 0 ? -EBUSY : ret;
    }
    iretry.value = 255;
  }
  if (iretry.value) {
    iretry.value -= 1;
    ret = cio_clear(sch);
    return ret === 0 ? -EBUSY : ret;
  }
  return -EIO;
}
EXPORT_SYMBOL_GPL(cio_cancel_halt_clear);

function cio_apply_config(sch: subchannel, schib: schib): void {
  schib.pmcw.intparm = sch.config.intparm;
  schib.pmcw.mbi = sch.config.mbi;
  schib.pmcw.isc = sch.config.isc;
  schib.pmcw.ena = sch.config.ena;
  schib.pmcw.mme = sch.config.mme;
  schib.pmcw.mp = sch.config.mp;
  schib.pmcw.csense = sch.config.csense;
  schib.pmcw.mbfc = sch.config.mbfc;
  if (sch.config.mbfc) schib.mba = sch.config.mba;
}

function cio_check_config(sch: subchannel, schib: schib): boolean {
  return (
    schib.pmcw.intparm === sch.config.intparm &&
    schib.pmcw.mbi === sch.config.mbi &&
    schib.pmcw.isc === sch.config.isc &&
    schib.pmcw.ena === sch.config.ena &&
    schib.pmcw.mme === sch.config.mme &&
    schib.pmcw.mp === sch.config.mp &&
    schib.pmcw.csense === sch.config.csense &&
    schib.pmcw.mbfc === sch.config.mbfc &&
    (!sch.config.mbfc || schib.mba === sch.config.mba)
  );
}

/**
 * Configures the subchannel as sch->config says.
 * @return 0, -ENODEV, -EIO for a program check, -EBUSY or -EAGAIN after five tries. Context: sch->lock held
 */
export function cio_commit_config(sch: subchannel): number {
  let ret = 0;
  const local = new schib();
  const irb = new struct_irb();

  if (stsch(sch.schid, local) || !css_sch_is_valid(local)) return -ENODEV;

  for (let retry = 0; retry < 5; retry++) {
    cio_apply_config(sch, local);
    const ccode = msch(sch.schid, local);
    if (ccode < 0) return ccode;
    switch (ccode) {
      case 0:
        if (stsch(sch.schid, local) || !css_sch_is_valid(local)) return -ENODEV;
        if (cio_check_config(sch, local)) {
          memcpy(sch.schib, local, sizeof(local));
          return 0;
        }
        ret = -EAGAIN;
        break;
      case 1:
        ret = -EBUSY;
        if (tsch(sch.schid, irb)) return ret;
        break;
      case 2:
        udelay(100);
        ret = -EBUSY;
        break;
      case 3:
        return -ENODEV;
    }
  }
  return ret;
}
EXPORT_SYMBOL_GPL(cio_commit_config);

/** Stores the subchannel into sch->schib. @return 0, -ENODEV if there is none, -EACCES if it has no device. Context: sch->lock held */
export function cio_update_schib(sch: subchannel): number {
  const local = new schib();

  if (stsch(sch.schid, local)) return -ENODEV;

  memcpy(sch.schib, local, sizeof(local));

  if (!css_sch_is_valid(local)) return -EACCES;

  return 0;
}
EXPORT_SYMBOL_GPL(cio_update_schib);

/** Lets I/O and interrupts of the subchannel in. @intparm: what each interrupt carries. @return 0 or errno. Context: sch->lock held */
export function cio_enable_subchannel(sch: subchannel, intparm: number): number {
  CIO_TRACE_EVENT(2, "ensch");
  CIO_TRACE_EVENT(2, dev_name(sch.dev));

  if (sch_is_pseudo_sch(sch)) return -EINVAL;
  if (cio_update_schib(sch)) return -ENODEV;

  sch.config.ena = 1;
  sch.config.isc = sch.isc;
  sch.config.intparm = intparm;

  let ret = cio_commit_config(sch);
  if (ret === -EIO) {
    // Perhaps there is no concurrent sense.
    sch.config.csense = 0;
    ret = cio_commit_config(sch);
  }
  CIO_HEX_EVENT(2, ret, 4);
  return ret;
}
EXPORT_SYMBOL_GPL(cio_enable_subchannel);

/** Shuts I/O and interrupts of the subchannel out. @return 0, -EBUSY while something runs, or errno. Context: sch->lock held */
export function cio_disable_subchannel(sch: subchannel): number {
  CIO_TRACE_EVENT(2, "dissch");
  CIO_TRACE_EVENT(2, dev_name(sch.dev));

  if (sch_is_pseudo_sch(sch)) return 0;
  if (cio_update_schib(sch)) return -ENODEV;

  sch.config.ena = 0;
  const ret = cio_commit_config(sch);

  CIO_HEX_EVENT(2, ret, 4);
  return ret;
}
EXPORT_SYMBOL_GPL(cio_disable_subchannel);

/* All interrupts of I/O devices. */
function* do_cio_interrupt(_irq: number, _dummy: object | null): Spins<irqreturn_t> {
  const { tpi_info } = get_irq_regs();
  const irb = this_cpu_ptr(cio_globals.cio_irb);
  // The interruption parameter is the address of the subchannel.
  const sch = __va(tpi_info.intparm) as subchannel | null;
  if (!sch) {
    inc_irq_stat(IRQIO_CIO);
    tsch(tpi_info.schid, irb);
    return IRQ_HANDLED;
  }
  yield* spin_lock(sch.lock!);
  if (tsch(tpi_info.schid, irb) === 0) {
    memcpy(sch.schib.scsw, irb.scsw, sizeof(irb.scsw));
    if (sch.driver && sch.driver.irq) yield* sch.driver.irq(sch);
    else inc_irq_stat(IRQIO_CIO);
  } else inc_irq_stat(IRQIO_CIO);
  spin_unlock(sch.lock!);

  return IRQ_HANDLED;
}

function init_cio_interrupts(): number {
  return request_irq(IO_INTERRUPT, do_cio_interrupt, 0, "I/O", null);
}
core_initcall(on_s390(init_cio_interrupts));
