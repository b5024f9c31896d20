// SPDX-License-Identifier: GPL-2.0-only
/** vfio_ccw: the driver of I/O subchannels that are passed through. Port of drivers/s390/cio/vfio_ccw_drv.c. */
import { CRW_ERC_INIT, CRW_ERC_PERRN, CRW_RSC_CPATH } from "#asm/crw.ts";
import {
  debug_hex_ascii_view,
  type debug_info_t,
  debug_register,
  debug_register_view,
  debug_set_level,
  debug_sprintf_view,
  debug_unregister,
} from "#asm/debug.ts";
import { inc_irq_stat, IRQIO_CIO } from "#asm/irq.ts";
import { isc_register, isc_unregister, VFIO_CCW_ISC } from "#asm/isc.ts";
import { scsw_actl, SCSW_ACTL_DEVACT, SCSW_ACTL_SCHACT, scsw_is_solicited } from "#asm/scsw.ts";
import { DECLARE_COMPLETION_ONSTACK, wait_for_completion_timeout } from "#linux/completion.ts";
import { dev_get_drvdata, dev_name, dev_set_drvdata, dev_warn, device_is_registered } from "#linux/device.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EAGAIN, EBUSY, EIO, ENODEV, ENOMEM } from "#linux/errno.ts";
import { eventfd_signal } from "#linux/eventfd.ts";
import { HZ } from "#linux/jiffies.ts";
import { pr_err } from "#linux/kernel.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del, list_empty, list_for_each_entry_safe } from "#linux/list.ts";
import {
  mdev_register_driver,
  mdev_register_parent,
  mdev_unregister_driver,
  mdev_unregister_parent,
} from "#linux/mdev.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_destroy, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  GFP_ATOMIC,
  GFP_DMA,
  GFP_KERNEL,
  kcalloc,
  kfree,
  type kmem_cache,
  kmem_cache_create_usercopy,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_zalloc,
  kzalloc,
  SLAB_ACCOUNT,
} from "#linux/slab.ts";
import { spin_lock_irq, spin_lock_irqsave, spin_unlock_irq, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { memcpy } from "#linux/string.ts";
import { atomic_context, container_of, initialise, type Sleeps, sizeof, type Spins } from "#linux/types.ts";
import {
  create_singlethread_workqueue,
  destroy_workqueue,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  work_pending,
  type work_struct,
  type workqueue_struct,
} from "#linux/workqueue.ts";
import { ccw_cmd_region, ccw_crw_region, ccw_io_region, ccw_schib_region } from "#uapi/linux/vfio_ccw.ts";
import { ccw1 } from "#asm/cio.ts";
import { CHP_OFFLINE, CHP_ONLINE, CHP_VARY_OFF, CHP_VARY_ON, type chp_link, chp_ssd_get_mask } from "./chp.ts";
import {
  cio_cancel_halt_clear,
  cio_disable_subchannel,
  cio_update_schib,
  type subchannel,
  SUBCHANNEL_TYPE_IO,
} from "./cio.ts";
import { css_driver, css_driver_register, css_driver_unregister, type css_device_id } from "./css.ts";
import { CCWCHAIN_LEN_MAX, cp_free, cp_update_scsw } from "./vfio_ccw_cp.ts";
import {
  VFIO_CCW_EVENT_CLOSE,
  VFIO_CCW_EVENT_INTERRUPT,
  VFIO_CCW_EVENT_NOT_OPER,
  vfio_ccw_fsm_event,
  vfio_ccw_mdev,
  VFIO_CCW_MSG_EVENT,
  VFIO_CCW_STATE_CP_PENDING,
  VFIO_CCW_STATE_IDLE,
  VFIO_CCW_STATE_STANDBY,
  vfio_ccw_crw,
  vfio_ccw_private,
} from "./vfio_ccw_private.ts";
import { trace_vfio_ccw_chp_event } from "./vfio_ccw_trace.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE, MODULE_ALIAS } = kbuild(import.meta.url);

/** What vfio_ccw_private.h declares extern. */
export const vfio_ccw_globals = per_boot(() => ({
  vfio_ccw_work_q: null as workqueue_struct | null,

  vfio_ccw_debug_msg_id: null as debug_info_t | null,
  vfio_ccw_debug_trace_id: null as debug_info_t | null,
}));

const vfio_ccw_caches = per_boot(() => ({
  vfio_ccw_io_region: null as kmem_cache<ccw_io_region> | null,
  vfio_ccw_cmd_region: null as kmem_cache<ccw_cmd_region> | null,
  vfio_ccw_schib_region: null as kmem_cache<ccw_schib_region> | null,
  vfio_ccw_crw_region: null as kmem_cache<ccw_crw_region> | null,
}));

/*
 * Helpers
 */

/**
 * Ends what runs and disables the subchannel, however long it takes.
 * @return 0, or errno of cio_disable_subchannel(), or -EIO. Context: sch->lock held, dropped and taken again
 */
export function* vfio_ccw_sch_quiesce(sch: subchannel): Sleeps<number> {
  const priv = dev_get_drvdata<vfio_ccw_private>(sch.dev);
  using completion = DECLARE_COMPLETION_ONSTACK("completion");
  let ret = 0;

  const iretry = { value: 255 };
  do {
    ret = cio_cancel_halt_clear(sch, iretry);

    if (ret === -EIO) {
      pr_err("vfio_ccw: could not quiesce subchannel 0.%x.%04x!\n", sch.schid.ssid, sch.schid.sch_no);
      break;
    }

    // I/O that has ended is flushed, and the interrupt of a halt or clear waited for.
    priv!.completion = completion;
    yield* spin_unlock_irq(sch.lock!);

    if (ret === -EBUSY) yield* wait_for_completion_timeout(completion, 3 * HZ);

    priv!.completion = null;
    yield* flush_workqueue(vfio_ccw_globals.vfio_ccw_work_q!);
    yield* spin_lock_irq(sch.lock!);
    ret = cio_disable_subchannel(sch);
  } while (ret === -EBUSY);

  return ret;
}

function* vfio_ccw_sch_io_todo(work: work_struct): Sleeps {
  let cp_is_finished = false;

  const priv = container_of(work, vfio_ccw_private, "io_work");
  const { irb } = priv;

  const is_final = !(scsw_actl(irb.scsw) & (SCSW_ACTL_DEVACT | SCSW_ACTL_SCHACT));
  if (scsw_is_solicited(irb.scsw)) {
    cp_update_scsw(priv.cp, irb.scsw);
    if (is_final && priv.state === VFIO_CCW_STATE_CP_PENDING) {
      yield* cp_free(priv.cp);
      cp_is_finished = true;
    }
  }
  yield* mutex_lock(priv.io_mutex);
  memcpy(priv.io_region!.irb_area, irb, sizeof(irb));
  mutex_unlock(priv.io_mutex);

  // The state goes back only with the end of a channel program: not with unsolicited status, nor with that of a halt or clear.
  if (cp_is_finished) priv.state = VFIO_CCW_STATE_IDLE;

  if (priv.io_trigger) yield* eventfd_signal(priv.io_trigger, 1);
}

function* vfio_ccw_crw_todo(work: work_struct): Sleeps {
  const priv = container_of(work, vfio_ccw_private, "crw_work");

  if (!list_empty(priv.crw) && priv.crw_trigger) yield* eventfd_signal(priv.crw_trigger, 1);
}

/*
 * Css driver callbacks
 */
function* vfio_ccw_sch_irq(sch: subchannel): Spins {
  const priv = dev_get_drvdata<vfio_ccw_private>(sch.dev);

  inc_irq_stat(IRQIO_CIO);
  yield* atomic_context(vfio_ccw_fsm_event(priv!, VFIO_CCW_EVENT_INTERRUPT));
}

function vfio_ccw_alloc_private(sch: subchannel): vfio_ccw_private {
  const priv = kzalloc(vfio_ccw_private, GFP_KERNEL);
  if (!priv) return ERR_PTR(-ENOMEM);

  priv.sch = sch;
  mutex_init(priv.io_mutex);
  priv.state = VFIO_CCW_STATE_STANDBY;
  INIT_LIST_HEAD(priv.crw);
  INIT_WORK(priv.io_work, vfio_ccw_sch_io_todo);
  INIT_WORK(priv.crw_work, vfio_ccw_crw_todo);

  out_free_private: {
    priv.cp.guest_cp = kcalloc(CCWCHAIN_LEN_MAX, sizeof(ccw1), GFP_KERNEL);
    if (!priv.cp.guest_cp) break out_free_private;

    out_free_cp: {
      priv.io_region = kmem_cache_zalloc(vfio_ccw_caches.vfio_ccw_io_region!, GFP_KERNEL | GFP_DMA);
      if (!priv.io_region) break out_free_cp;

      out_free_io: {
        priv.cmd_region = kmem_cache_zalloc(vfio_ccw_caches.vfio_ccw_cmd_region!, GFP_KERNEL | GFP_DMA);
        if (!priv.cmd_region) break out_free_io;

        out_free_cmd: {
          priv.schib_region = kmem_cache_zalloc(vfio_ccw_caches.vfio_ccw_schib_region!, GFP_KERNEL | GFP_DMA);

          if (!priv.schib_region) break out_free_cmd;

          out_free_schib: {
            priv.crw_region = kmem_cache_zalloc(vfio_ccw_caches.vfio_ccw_crw_region!, GFP_KERNEL | GFP_DMA);

            if (!priv.crw_region) break out_free_schib;
            return priv;
          }
          kmem_cache_free(vfio_ccw_caches.vfio_ccw_schib_region!, priv.schib_region);
        }
        kmem_cache_free(vfio_ccw_caches.vfio_ccw_cmd_region!, priv.cmd_region);
      }
      kmem_cache_free(vfio_ccw_caches.vfio_ccw_io_region!, priv.io_region);
    }
    kfree(priv.cp.guest_cp);
  }
  mutex_destroy(priv.io_mutex);
  kfree(priv);
  return ERR_PTR(-ENOMEM);
}

function vfio_ccw_free_private(priv: vfio_ccw_private): void {
  for (const crw of list_for_each_entry_safe(priv.crw, vfio_ccw_crw, "next")) {
    list_del(crw.next);
    kfree(crw);
  }

  kmem_cache_free(vfio_ccw_caches.vfio_ccw_crw_region!, priv.crw_region);
  kmem_cache_free(vfio_ccw_caches.vfio_ccw_schib_region!, priv.schib_region);
  kmem_cache_free(vfio_ccw_caches.vfio_ccw_cmd_region!, priv.cmd_region);
  kmem_cache_free(vfio_ccw_caches.vfio_ccw_io_region!, priv.io_region);
  kfree(priv.cp.guest_cp);
  mutex_destroy(priv.io_mutex);
  kfree(priv);
}

function* vfio_ccw_sch_probe(sch: subchannel): Sleeps<number> {
  const { pmcw } = sch.schib;
  let ret = -ENOMEM;

  if (pmcw.qf) {
    dev_warn(sch.dev, "vfio: ccw: does not support QDIO: %s\n", dev_name(sch.dev));
    return -ENODEV;
  }

  const priv = vfio_ccw_alloc_private(sch);
  if (IS_ERR(priv)) return PTR_ERR(priv);

  dev_set_drvdata(sch.dev, priv);

  out_free: {
    priv.mdev_type.sysfs_name = "io";
    priv.mdev_type.pretty_name = "I/O subchannel (Non-QDIO)";
    priv.mdev_types.set(0, priv.mdev_type);
    ret = yield* mdev_register_parent(priv.parent, sch.dev, vfio_ccw_mdev.vfio_ccw_mdev_driver, priv.mdev_types, 1);
    if (ret) break out_free;

    VFIO_CCW_MSG_EVENT(4, "bound to subchannel %x.%x.%04x\n", sch.schid.cssid, sch.schid.ssid, sch.schid.sch_no);
    return 0;
  }
  dev_set_drvdata(sch.dev, null);
  vfio_ccw_free_private(priv);
  return ret;
}

function* vfio_ccw_sch_remove(sch: subchannel): Sleeps {
  const priv = dev_get_drvdata<vfio_ccw_private>(sch.dev);

  yield* mdev_unregister_parent(priv!.parent);

  dev_set_drvdata(sch.dev, null);

  vfio_ccw_free_private(priv!);

  VFIO_CCW_MSG_EVENT(4, "unbound from subchannel %x.%x.%04x\n", sch.schid.cssid, sch.schid.ssid, sch.schid.sch_no);
}

function* vfio_ccw_sch_shutdown(sch: subchannel): Sleeps {
  const priv = dev_get_drvdata<vfio_ccw_private>(sch.dev);

  yield* vfio_ccw_fsm_event(priv!, VFIO_CCW_EVENT_CLOSE);
  yield* vfio_ccw_fsm_event(priv!, VFIO_CCW_EVENT_NOT_OPER);
}

/**
 * Something happened to the subchannel.
 * @process: not 0 in process context
 * @return 0 when it has been dealt with, -EAGAIN to be called again in process context. Context: takes sch->lock
 */
function* vfio_ccw_sch_event(sch: subchannel, process: number): Sleeps<number> {
  const priv = dev_get_drvdata<vfio_ccw_private>(sch.dev);
  let rc = -EAGAIN;

  const flags = yield* spin_lock_irqsave(sch.lock!);
  out_unlock: {
    if (!device_is_registered(sch.dev)) break out_unlock;

    if (work_pending(sch.todo_work)) break out_unlock;

    rc = 0;

    if (cio_update_schib(sch)) yield* vfio_ccw_fsm_event(priv!, VFIO_CCW_EVENT_NOT_OPER);
  }
  yield* spin_unlock_irqrestore(sch.lock!, flags);

  return rc;
}

function vfio_ccw_queue_crw(priv: vfio_ccw_private, rsc: number, erc: number, rsid: number): void {
  // Without memory the event is dropped: the guest sees a later one, or finds out by itself.
  const crw = kzalloc(vfio_ccw_crw, GFP_ATOMIC);
  if (!crw) return;

  crw.crw.rsc = rsc;
  crw.crw.erc = erc;
  crw.crw.rsid = rsid;

  list_add_tail(crw.next, priv.crw);
  queue_work(vfio_ccw_globals.vfio_ccw_work_q!, priv.crw_work);
}

function* vfio_ccw_chp_event(sch: subchannel, link: chp_link, event: number): Spins<number> {
  const priv = dev_get_drvdata<vfio_ccw_private>(sch.dev);
  const mask = chp_ssd_get_mask(sch.ssd_info, link);
  const retry = { value: 255 };

  if (!priv || !mask) return 0;

  trace_vfio_ccw_chp_event(priv.sch!.schid, mask, event);
  VFIO_CCW_MSG_EVENT(
    2,
    "sch %x.%x.%04x: mask=0x%x event=%d\n",
    sch.schid.cssid,
    sch.schid.ssid,
    sch.schid.sch_no,
    mask,
    event,
  );

  if (cio_update_schib(sch)) return -ENODEV;

  switch (event) {
    case CHP_VARY_OFF:
      sch.opm &= ~mask;
      sch.lpm &= ~mask;
      if (sch.schib.pmcw.lpum & mask) cio_cancel_halt_clear(sch, retry);
      break;
    case CHP_OFFLINE:
      if (sch.schib.pmcw.lpum & mask) cio_cancel_halt_clear(sch, retry);
      vfio_ccw_queue_crw(priv, CRW_RSC_CPATH, CRW_ERC_PERRN, link.chpid.id);
      break;
    case CHP_VARY_ON:
      sch.opm |= mask;
      sch.lpm |= mask;
      break;
    case CHP_ONLINE:
      sch.lpm |= mask & sch.opm;
      vfio_ccw_queue_crw(priv, CRW_RSC_CPATH, CRW_ERC_INIT, link.chpid.id);
      break;
  }

  return 0;
}

const d = per_boot(() => ({
  vfio_ccw_sch_driver: initialise(new css_driver(), {
    drv: {
      name: "vfio_ccw",
      owner: THIS_MODULE,
    },
    subchannel_type: [{ match_flags: 0x1, type: SUBCHANNEL_TYPE_IO }] satisfies css_device_id[],
    irq: vfio_ccw_sch_irq,
    probe: vfio_ccw_sch_probe,
    remove: vfio_ccw_sch_remove,
    shutdown: vfio_ccw_sch_shutdown,
    sch_event: vfio_ccw_sch_event,
    chp_event: vfio_ccw_chp_event,
  }),
}));
MODULE_ALIAS("css:t0");

function* vfio_ccw_debug_init(): Sleeps<number> {
  const g = vfio_ccw_globals;

  out_unregister: {
    g.vfio_ccw_debug_msg_id = yield* debug_register("vfio_ccw_msg", 16, 1, 11 * 8);
    if (!g.vfio_ccw_debug_msg_id) break out_unregister;
    debug_register_view(g.vfio_ccw_debug_msg_id, debug_sprintf_view);
    debug_set_level(g.vfio_ccw_debug_msg_id, 2);
    g.vfio_ccw_debug_trace_id = yield* debug_register("vfio_ccw_trace", 16, 1, 16);
    if (!g.vfio_ccw_debug_trace_id) break out_unregister;
    debug_register_view(g.vfio_ccw_debug_trace_id, debug_hex_ascii_view);
    debug_set_level(g.vfio_ccw_debug_trace_id, 2);
    return 0;
  }
  yield* debug_unregister(g.vfio_ccw_debug_msg_id);
  yield* debug_unregister(g.vfio_ccw_debug_trace_id);
  return -1;
}

function* vfio_ccw_debug_exit(): Sleeps {
  yield* debug_unregister(vfio_ccw_globals.vfio_ccw_debug_msg_id);
  yield* debug_unregister(vfio_ccw_globals.vfio_ccw_debug_trace_id);
}

function vfio_ccw_destroy_regions(): void {
  kmem_cache_destroy(vfio_ccw_caches.vfio_ccw_crw_region);
  kmem_cache_destroy(vfio_ccw_caches.vfio_ccw_schib_region);
  kmem_cache_destroy(vfio_ccw_caches.vfio_ccw_cmd_region);
  kmem_cache_destroy(vfio_ccw_caches.vfio_ccw_io_region);
}

function* vfio_ccw_sch_init(): Sleeps<number> {
  let ret = yield* vfio_ccw_debug_init();
  if (ret) return ret;

  out_regions: {
    vfio_ccw_globals.vfio_ccw_work_q = create_singlethread_workqueue("vfio-ccw");
    if (!vfio_ccw_globals.vfio_ccw_work_q) {
      ret = -ENOMEM;
      break out_regions;
    }

    vfio_ccw_caches.vfio_ccw_io_region = kmem_cache_create_usercopy(
      "vfio_ccw_io_region",
      ccw_io_region,
      0,
      SLAB_ACCOUNT,
      0,
      sizeof(ccw_io_region),
      null,
    );
    if (!vfio_ccw_caches.vfio_ccw_io_region) {
      ret = -ENOMEM;
      break out_regions;
    }

    vfio_ccw_caches.vfio_ccw_cmd_region = kmem_cache_create_usercopy(
      "vfio_ccw_cmd_region",
      ccw_cmd_region,
      0,
      SLAB_ACCOUNT,
      0,
      sizeof(ccw_cmd_region),
      null,
    );
    if (!vfio_ccw_caches.vfio_ccw_cmd_region) {
      ret = -ENOMEM;
      break out_regions;
    }

    vfio_ccw_caches.vfio_ccw_schib_region = kmem_cache_create_usercopy(
      "vfio_ccw_schib_region",
      ccw_schib_region,
      0,
      SLAB_ACCOUNT,
      0,
      sizeof(ccw_schib_region),
      null,
    );

    if (!vfio_ccw_caches.vfio_ccw_schib_region) {
      ret = -ENOMEM;
      break out_regions;
    }

    vfio_ccw_caches.vfio_ccw_crw_region = kmem_cache_create_usercopy(
      "vfio_ccw_crw_region",
      ccw_crw_region,
      0,
      SLAB_ACCOUNT,
      0,
      sizeof(ccw_crw_region),
      null,
    );

    if (!vfio_ccw_caches.vfio_ccw_crw_region) {
      ret = -ENOMEM;
      break out_regions;
    }

    ret = yield* mdev_register_driver(vfio_ccw_mdev.vfio_ccw_mdev_driver);
    if (ret) break out_regions;

    out_driver: {
      yield* isc_register(VFIO_CCW_ISC);
      ret = yield* css_driver_register(d.vfio_ccw_sch_driver);
      if (ret) {
        yield* isc_unregister(VFIO_CCW_ISC);
        break out_driver;
      }

      return ret;
    }
    yield* mdev_unregister_driver(vfio_ccw_mdev.vfio_ccw_mdev_driver);
  }
  vfio_ccw_destroy_regions();
  // NULL, if it was the workqueue that failed: dereferenced there.
  yield* destroy_workqueue(vfio_ccw_globals.vfio_ccw_work_q!);
  yield* vfio_ccw_debug_exit();
  return ret;
}

function* vfio_ccw_sch_exit(): Sleeps {
  yield* css_driver_unregister(d.vfio_ccw_sch_driver);
  yield* mdev_unregister_driver(vfio_ccw_mdev.vfio_ccw_mdev_driver);
  yield* isc_unregister(VFIO_CCW_ISC);
  vfio_ccw_destroy_regions();
  yield* destroy_workqueue(vfio_ccw_globals.vfio_ccw_work_q!);
  yield* vfio_ccw_debug_exit();
}
module_init(vfio_ccw_sch_init);
module_exit(vfio_ccw_sch_exit);

MODULE_LICENSE("GPL v2");
