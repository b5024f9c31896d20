// SPDX-License-Identifier: GPL-2.0-only
/**
 * The io_subchannel driver: what binds I/O subchannels when nobody asks for anything else. Port of the subchannel side of
 * drivers/s390/cio/device.c. Left out is everything about the ccw device beneath (struct ccw_device, its bus ccw, recognition,
 * on- and offline, recovery, the orphanage): a subchannel here never has one, so sch_get_cdev() is NULL throughout, and where
 * C would create the ccw device the log cio_msg says that it does not.
 */
import { IO_SCH_ISC } from "#asm/isc.ts";
import { __pa } from "#asm/page.ts";
import { inc_irq_stat, IRQIO_CIO } from "#asm/irq.ts";
import { dev_name, type device, DEVICE_ATTR, DEVICE_ATTR_RO, device_is_registered } from "#linux/device.ts";
import { EACCES, EAGAIN, ENODEV, EOPNOTSUPP } from "#linux/errno.ts";
import { pr_warn } from "#linux/kernel.ts";
import { kbuild } from "#linux/module.ts";
import { GFP_DMA, GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock_irq, spin_lock_irqsave, spin_unlock_irq, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { memset } from "#linux/string.ts";
import {
  type attribute_group,
  sysfs_create_group,
  sysfs_remove_group,
  type sysfs_buf,
  sysfs_emit,
} from "#linux/sysfs.ts";
import { initialise, type Sleeps, sizeof, type Spins } from "#linux/types.ts";
import { flush_workqueue, work_pending } from "#linux/workqueue.ts";
import {
  CHP_OFFLINE,
  CHP_ONLINE,
  CHP_VARY_OFF,
  CHP_VARY_ON,
  chp_get_sch_opm,
  type chp_link,
  chp_ssd_get_mask,
} from "./chp.ts";
import {
  cio_commit_config,
  cio_disable_subchannel,
  cio_enable_subchannel,
  cio_update_schib,
  SCH_TODO_UNREG,
  schib_config,
  type subchannel,
  SUBCHANNEL_TYPE_IO,
} from "./cio.ts";
import { CIO_MSG_EVENT, CIO_TRACE_EVENT } from "./cio_debug.ts";
import {
  css_driver,
  css_driver_register,
  css_globals,
  css_sch_device_unregister,
  css_sched_sch_todo,
  css_schedule_eval,
  type css_device_id,
  to_subchannel,
} from "./css.ts";
import { io_subchannel_private, set_io_private, to_io_private } from "./io_sch.ts";

const { THIS_MODULE, per_boot } = kbuild(import.meta.url);

function* io_subchannel_settle(): Sleeps<number> {
  // No ccw device is ever in recognition.
  yield* flush_workqueue(css_globals.cio_work_q!);
  return 0;
}

const s = per_boot(() => ({
  io_subchannel_driver: initialise(new css_driver(), {
    drv: { owner: THIS_MODULE, name: "io_subchannel" },
    subchannel_type: [{ match_flags: 0x1, type: SUBCHANNEL_TYPE_IO }] satisfies css_device_id[],
    irq: io_subchannel_irq,
    sch_event: io_subchannel_sch_event,
    chp_event: io_subchannel_chp_event,
    probe: io_subchannel_probe,
    remove: io_subchannel_remove,
    shutdown: io_subchannel_shutdown,
    settle: io_subchannel_settle,
  }),
}));

/** Registers the driver. @return 0 or errno. May sleep. */
export function* io_subchannel_init(): Sleeps<number> {
  return yield* css_driver_register(s.io_subchannel_driver);
}

function initiate_logging(dev: device, _attr: object, _buf: string, _count: number): number {
  const sch = to_subchannel(dev);

  // chsc_siosl() on a machine without that facility.
  pr_warn(
    "cio: Logging for subchannel 0.%x.%04x failed with errno=%d\n",
    sch.schid.ssid,
    sch.schid.sch_no,
    -EOPNOTSUPP,
  );
  return -EOPNOTSUPP;
}
function vpm_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const sch = to_subchannel(dev);

  return sysfs_emit(buf, "%02x\n", sch.vpm);
}
const dev_attr_logging = DEVICE_ATTR("logging", 0o200, null, initiate_logging);
const dev_attr_vpm = DEVICE_ATTR_RO("vpm", vpm_show);

const io_subchannel_attr_group: attribute_group = { attrs: [dev_attr_logging.attr, dev_attr_vpm.attr] };

function* io_subchannel_irq(sch: subchannel): Spins {
  CIO_TRACE_EVENT(6, "IRQ");
  CIO_TRACE_EVENT(6, dev_name(sch.dev));
  inc_irq_stat(IRQIO_CIO);
}

export function io_subchannel_init_config(sch: subchannel): void {
  memset(sch.config, 0, sizeof(schib_config));
  sch.config.csense = 1;
}

function io_subchannel_init_fields(sch: subchannel): void {
  sch.opm = chp_get_sch_opm(sch);
  sch.lpm = sch.schib.pmcw.pam & sch.opm;
  sch.isc = IO_SCH_ISC;

  CIO_MSG_EVENT(
    6,
    "Detected device %04x on subchannel 0.%x.%04X - PIM = %02X, PAM = %02X, POM = %02X\n",
    sch.schib.pmcw.dev,
    sch.schid.ssid,
    sch.schid.sch_no,
    sch.schib.pmcw.pim,
    sch.schib.pmcw.pam,
    sch.schib.pmcw.pom,
  );

  io_subchannel_init_config(sch);
}

/* Always gives 0, so that remove() is called when the subchannel is unregistered. */
function* io_subchannel_probe(sch: subchannel): Sleeps<number> {
  out_schedule: {
    io_subchannel_init_fields(sch);
    let rc = cio_commit_config(sch);
    if (rc) break out_schedule;
    rc = yield* sysfs_create_group(sch.dev.kobj, io_subchannel_attr_group);
    if (rc) break out_schedule;
    const io_priv = kzalloc(io_subchannel_private, GFP_KERNEL | GFP_DMA);
    if (!io_priv) break out_schedule;

    set_io_private(sch, io_priv);
    yield* css_schedule_eval(sch.schid);
    return 0;
  }
  yield* spin_lock_irq(sch.lock!);
  yield* css_sched_sch_todo(sch, SCH_TODO_UNREG);
  yield* spin_unlock_irq(sch.lock!);
  return 0;
}

function* io_subchannel_remove(sch: subchannel): Sleeps {
  const io_priv = to_io_private(sch);

  // C dereferences it to free the DMA area, also after a probe that failed.
  void io_priv!.orb;
  kfree(io_priv);
  yield* sysfs_remove_group(sch.dev.kobj, io_subchannel_attr_group);
}

function* io_subchannel_verify(sch: subchannel): Spins {
  yield* css_schedule_eval(sch.schid);
}

function* io_subchannel_chp_event(sch: subchannel, link: chp_link, event: number): Spins<number> {
  const mask = chp_ssd_get_mask(sch.ssd_info, link);
  if (!mask) return 0;
  switch (event) {
    case CHP_VARY_OFF:
      sch.opm &= ~mask;
      sch.lpm &= ~mask;
      break;
    case CHP_VARY_ON:
      sch.opm |= mask;
      sch.lpm |= mask;
      yield* io_subchannel_verify(sch);
      break;
    case CHP_OFFLINE:
      if (cio_update_schib(sch)) return -ENODEV;
      break;
    case CHP_ONLINE:
      if (cio_update_schib(sch)) return -ENODEV;
      sch.lpm |= mask & sch.opm;
      yield* io_subchannel_verify(sch);
      break;
  }
  return 0;
}

function* io_subchannel_quiesce(sch: subchannel): Sleeps {
  yield* spin_lock_irq(sch.lock!);
  // Nothing runs without a ccw device, so disabling cannot find the subchannel busy.
  if (sch.schib.pmcw.ena) cio_disable_subchannel(sch);
  yield* spin_unlock_irq(sch.lock!);
}

function* io_subchannel_shutdown(sch: subchannel): Sleeps {
  yield* io_subchannel_quiesce(sch);
}

/** enum io_sch_action, as far as it is possible without a ccw device; the numbers are C's. */
const IO_SCH_UNREG = 0;
const IO_SCH_ATTACH = 3;
const IO_SCH_NOP = 9;

function sch_get_action(sch: subchannel): number {
  const rc = cio_update_schib(sch);

  if (rc === -ENODEV) return IO_SCH_UNREG;
  // A subchannel without a working device is kept.
  if (rc === -EACCES) return IO_SCH_NOP;
  return IO_SCH_ATTACH;
}

/** Something happened to a subchannel. @process: 1 in process context. @return 0, or -EAGAIN to be called in process context. */
function* io_subchannel_sch_event(sch: subchannel, process: number): Sleeps<number> {
  let rc = -EAGAIN;

  const flags = yield* spin_lock_irqsave(sch.lock!);
  out_unlock: {
    if (!device_is_registered(sch.dev)) break out_unlock;
    if (work_pending(sch.todo_work)) break out_unlock;
    const action = sch_get_action(sch);
    CIO_MSG_EVENT(
      2,
      "event: sch 0.%x.%04x, process=%d, action=%d\n",
      sch.schid.ssid,
      sch.schid.sch_no,
      process,
      action,
    );
    if (action === IO_SCH_NOP) {
      rc = 0;
      break out_unlock;
    }
    yield* spin_unlock_irqrestore(sch.lock!, flags);
    if (!process) return rc;
    switch (action) {
      case IO_SCH_UNREG:
        yield* css_sch_device_unregister(sch);
        break;
      case IO_SCH_ATTACH:
        CIO_MSG_EVENT(2, "no ccw device for sch 0.%x.%04x: not ported\n", sch.schid.ssid, sch.schid.sch_no);
        // What recognising the device leaves behind: the subchannel's address is in its block, and it is disabled again.
        yield* spin_lock_irq(sch.lock!);
        cio_enable_subchannel(sch, Number(__pa(sch) & 0xffffffffn));
        cio_disable_subchannel(sch);
        yield* spin_unlock_irq(sch.lock!);
        break;
      default:
        break;
    }
    return 0;
  }
  yield* spin_unlock_irqrestore(sch.lock!, flags);
  return rc;
}
