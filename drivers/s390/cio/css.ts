// SPDX-License-Identifier: GPL-2.0-only
/**
 * The channel subsystem's bus. Port of drivers/s390/cio/css.c and css.h. Left out: channel measurement (cm_enable, and
 * css_reboot_event(), which ends it), chsc_get_cssid_iid(), the DMA
 * pool (cio_gp_dma_*), path group ids, adapter interrupts, /proc/cio_settle. Subchannels that no driver has asked about are
 * looked at as in C, but the loop over all possible ids skips those for which nothing is to be done.
 */
import { type crw, CRW_ERC_PMOD, CRW_RSC_SCH } from "#asm/crw.ts";
import { IO_SCH_ISC, isc_register, isc_unregister } from "#asm/isc.ts";
import { __MAX_CHPID, chp_id_init } from "#asm/chpid.ts";
import { __MAX_SSID, __MAX_SUBCHANNEL } from "#asm/cio.ts";
import { init_subchannel_id, schid_equal, subchannel_id } from "#asm/schid.ts";
import { on_s390 } from "#asm/setup.ts";
import { atomic_read, atomic_set, atomic_t } from "#linux/atomic.ts";
import {
  bus_find_device,
  bus_for_each_dev,
  bus_for_each_drv,
  bus_register,
  bus_type,
  bus_unregister,
  dev_dbg,
  dev_set_name,
  device,
  device_add,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  DEVICE_ATTR_WO,
  device_driver,
  device_initialize,
  device_is_registered,
  device_lock,
  device_register,
  type device_type,
  device_unlock,
  device_unregister,
  driver_register,
  driver_set_override,
  driver_unregister,
  get_device,
  put_device,
} from "#linux/device.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EAGAIN, EINTR, EINVAL, EIO, ENODEV, ENOMEM, ENXIO } from "#linux/errno.ts";
import { fs_initcall, subsys_initcall } from "#linux/init.ts";
import { HZ } from "#linux/jiffies.ts";
import { pr_alert } from "#linux/kernel.ts";
import { add_uevent_var, type kobj_uevent_env } from "#linux/kobject.ts";
import { kbuild } from "#linux/module.ts";
import { mutex, mutex_destroy, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { cond_resched } from "#linux/sched.ts";
import { GFP_DMA, GFP_KERNEL, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import {
  DEFINE_SPINLOCK,
  spin_lock_init,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_unlock_irq,
  spin_unlock_irqrestore,
  spinlock_t,
} from "#linux/spinlock.ts";
import { memcpy, memset } from "#linux/string.ts";
import { type attribute_groups, ATTRIBUTE_GROUPS, type sysfs_buf, sysfs_emit, sysfs_emit_at } from "#linux/sysfs.ts";
import {
  array,
  atomic_context,
  bool,
  container_of,
  embed,
  fn,
  initialise,
  int,
  opaque,
  ptr,
  type Sleeps,
  sizeof,
  type Spins,
  struct,
  u8,
} from "#linux/types.ts";
import { DECLARE_WAIT_QUEUE_HEAD, wait_event_interruptible, wake_up } from "#linux/wait.ts";
import {
  create_singlethread_workqueue,
  delayed_work,
  destroy_workqueue,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_WORK,
  queue_delayed_work,
  queue_work,
  type work_struct,
  type workqueue_struct,
} from "#linux/workqueue.ts";
import { is_blacklisted } from "./blacklist.ts";
import { type channel_path, type chp_link, chp_new } from "./chp.ts";
import {
  CHSC_SDA_OC_MSS,
  chsc_determine_css_characteristics,
  chsc_enable_facility,
  chsc_get_ssd_info,
  chsc_init,
  chsc_init_cleanup,
  chsc_ssd_info,
} from "./chsc.ts";
import {
  cio_commit_config,
  type pmcw,
  SCH_TODO_EVAL,
  SCH_TODO_NOTHING,
  type sch_todo,
  SCH_TODO_UNREG,
  schib as struct_schib,
  subchannel,
  SUBCHANNEL_TYPE_IO,
  SUBCHANNEL_TYPE_MSG,
} from "./cio.ts";
import { CIO_CRW_EVENT, CIO_MSG_EVENT, CIO_TRACE_EVENT } from "./cio_debug.ts";
import { crw_register_handler, crw_unregister_handler } from "./crw.ts";
import { io_subchannel_init } from "./device.ts";
import {
  type idset,
  idset_add_set,
  idset_fill,
  idset_free,
  idset_is_empty,
  idset_next_common,
  idset_sch_add,
  idset_sch_contains,
  idset_sch_del,
  idset_sch_del_subseq,
  idset_sch_new,
} from "./idset.ts";
import { stsch } from "./ioasm.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** enum css_eval_cond */
export const CSS_EVAL_UNREG = 0;
export const CSS_EVAL_NOT_ONLINE = 1;

export interface css_device_id {
  readonly match_flags: number;
  readonly type: number;
}

/** Driver of subchannels. irq and chp_event are called with sch->lock held; sch_event's `process`: 1 in process context. */
export class css_driver extends struct("css_driver", {
  subchannel_type: opaque<readonly css_device_id[]>(() => []),
  drv: embed(() => device_driver),
  irq: fn<(sch: subchannel) => Spins>(),
  chp_event: fn<(sch: subchannel, link: chp_link, event: number) => Spins<number>>(),
  sch_event: fn<(sch: subchannel, process: number) => Sleeps<number>>(),
  probe: fn<(sch: subchannel) => Sleeps<number>>(),
  remove: fn<(sch: subchannel) => Sleeps>(),
  shutdown: fn<(sch: subchannel) => Sleeps>(),
  settle: fn<() => Sleeps<number>>(),
}) {}

/** @inline */
export function to_cssdriver(n: device_driver | null): css_driver {
  return container_of(n, css_driver, "drv");
}
/** @inline */
export function to_subchannel(n: device | null): subchannel {
  return container_of(n, subchannel, "dev");
}

export class channel_subsystem extends struct("channel_subsystem", {
  cssid: u8(),
  iid: u8(),
  id_valid: bool(),
  chps: array(__MAX_CHPID + 1, ptr<channel_path>()),
  device: embed(() => device),
  mutex: embed(() => mutex),
  cm_enabled: int(),
  /** For ccw devices that have lost their subchannel. */
  pseudo_subchannel: ptr<subchannel>(),
}) {}
export function to_css(dev: device | null): channel_subsystem {
  return container_of(dev, channel_subsystem, "device");
}

/** There is only one. */
export function css_by_id(_cssid: number): channel_subsystem {
  return css_globals.channel_subsystems[0]!;
}

const MAX_CSS_IDX = 0;
/** What css.c shares with others. */
export const css_globals = per_boot(() => ({
  css_init_done: 0,
  max_ssid: 0,
  channel_subsystems: [null] as (channel_subsystem | null)[],
  cio_work_q: null as workqueue_struct | null,
}));

const s = per_boot(() => {
  const slow_path_work = new delayed_work();
  INIT_DELAYED_WORK(slow_path_work, css_slow_path_func, "slow_path_work");
  return {
    slow_subchannel_set: null as idset | null,
    slow_subchannel_lock: DEFINE_SPINLOCK("slow_subchannel_lock"),
    css_eval_wq: DECLARE_WAIT_QUEUE_HEAD("css_eval_wq"),
    css_eval_scheduled: new atomic_t(),
    slow_path_work,
    css_bus_type: initialise(new bus_type(), {
      name: "css",
      match: css_bus_match,
      probe: css_probe,
      remove: css_remove,
      shutdown: css_shutdown,
      uevent: css_uevent,
    }),
  };
});

type known_fn = (sch: subchannel, data: object | null) => Sleeps<number>;
type unknown_fn = (schid: subchannel_id, data: object | null) => Sleeps<number>;

/** Calls `fn` for every subchannel id there can be, in each set until it gives something other than 0. May sleep. */
export function* for_each_subchannel(fn: unknown_fn, data: object | null): Sleeps<number> {
  const schid = new subchannel_id();
  let ret = 0;

  init_subchannel_id(schid);
  for (let ssid = 0; ssid <= css_globals.max_ssid; ssid++) {
    schid.ssid = ssid;
    for (let sch_no = 0; sch_no <= __MAX_SUBCHANNEL; sch_no++) {
      schid.sch_no = sch_no;
      ret = yield* fn(schid, data);
      if (ret) break;
    }
  }
  return ret;
}

interface cb_data {
  readonly data: object | null;
  set: idset | null;
  readonly fn_known_sch: known_fn | null;
  readonly fn_unknown_sch: unknown_fn | null;
}

function* call_fn_known_sch(dev: device, data: object | null): Sleeps<number> {
  const sch = to_subchannel(dev);
  const cb = data as cb_data;
  let rc = 0;

  if (cb.set) idset_sch_del(cb.set, sch.schid);
  if (cb.fn_known_sch) rc = yield* cb.fn_known_sch(sch, cb.data);
  return rc;
}

/* for_each_subchannel(call_fn_unknown_sch): only ids that are in the slow set as well, as fn_unknown does nothing for others. */
function* call_fn_unknown_sch(cb: cb_data): Sleeps<number> {
  const schid = new subchannel_id();
  let rc = 0;

  init_subchannel_id(schid);
  for (let ssid = 0; ssid <= css_globals.max_ssid; ssid++) {
    schid.ssid = ssid;
    rc = 0;
    for (let at = 0; !rc; at++) {
      at = idset_next_common(cb.set!, s.slow_subchannel_set!, ssid, at);
      if (at < 0) break;
      schid.sch_no = at;
      rc = yield* cb.fn_unknown_sch!(schid, cb.data);
    }
  }
  return rc;
}

function* call_fn_all_sch(schid: subchannel_id, data: object | null): Sleeps<number> {
  const cb = data as cb_data;
  let rc = 0;

  const sch = yield* get_subchannel_by_schid(schid);
  if (sch) {
    if (cb.fn_known_sch) rc = yield* cb.fn_known_sch(sch, cb.data);
    yield* put_device(sch.dev);
  } else {
    if (cb.fn_unknown_sch) rc = yield* cb.fn_unknown_sch(schid, cb.data);
  }

  return rc;
}

/** Calls `fn_known` for all registered subchannels, then `fn_unknown` for the ids of all others. May sleep. */
export function* for_each_subchannel_staged(
  fn_known: known_fn | null,
  fn_unknown: unknown_fn | null,
  data: object | null,
): Sleeps<number> {
  const cb: cb_data = { data, set: null, fn_known_sch: fn_known, fn_unknown_sch: fn_unknown };

  if (fn_known && !fn_unknown) return yield* bus_for_each_dev(s.css_bus_type, null, cb, call_fn_known_sch);

  cb.set = idset_sch_new();
  if (!cb.set) return yield* for_each_subchannel(call_fn_all_sch, cb);

  idset_fill(cb.set);

  let rc: number;
  out: {
    rc = yield* bus_for_each_dev(s.css_bus_type, null, cb, call_fn_known_sch);
    if (rc) break out;
    if (fn_unknown) rc = yield* call_fn_unknown_sch(cb);
  }
  idset_free(cb.set);

  return rc;
}

function css_sch_create_locks(sch: subchannel): number {
  sch.lock = kmalloc(spinlock_t, GFP_KERNEL);
  if (!sch.lock) return -ENOMEM;

  spin_lock_init(sch.lock, "sch->lock");
  mutex_init(sch.reg_mutex);

  return 0;
}

function css_subchannel_release(dev: device): void {
  const sch = to_subchannel(dev);

  sch.config.intparm = 0;
  cio_commit_config(sch);
  kfree(sch.driver_override);
  kfree(sch.lock);
  kfree(sch);
}

function css_validate_subchannel(schid: subchannel_id, schib: struct_schib): number {
  let err: number;

  switch (schib.pmcw.st) {
    case SUBCHANNEL_TYPE_IO:
    case SUBCHANNEL_TYPE_MSG:
      if (!css_sch_is_valid(schib)) err = -ENODEV;
      else if (is_blacklisted(schid.ssid, schib.pmcw.dev)) {
        CIO_MSG_EVENT(6, "Blacklisted device detected at devno %04X, subchannel set %x\n", schib.pmcw.dev, schid.ssid);
        err = -ENODEV;
      } else err = 0;
      break;
    default:
      err = 0;
  }
  if (err) return err;

  CIO_MSG_EVENT(4, "Subchannel 0.%x.%04x reports subchannel type %04X\n", schid.ssid, schid.sch_no, schib.pmcw.st);
  return err;
}

/** A struct subchannel with one reference, not registered yet; ERR_PTR on error. May sleep. */
export function* css_alloc_subchannel(schid: subchannel_id, schib: struct_schib): Sleeps<subchannel> {
  let ret = css_validate_subchannel(schid, schib);
  if (ret < 0) return ERR_PTR(ret);

  const sch = kzalloc(subchannel, GFP_KERNEL | GFP_DMA);
  if (!sch) return ERR_PTR(-ENOMEM);

  memcpy(sch.schid, schid, sizeof(subchannel_id));
  memcpy(sch.schib, schib, sizeof(struct_schib));
  sch.st = schib.pmcw.st;

  ret = css_sch_create_locks(sch);
  if (ret) {
    // The device is not initialised yet: C puts it all the same.
    yield* put_device(sch.dev);
    return ERR_PTR(ret);
  }

  INIT_WORK(sch.todo_work, css_sch_todo);
  sch.dev.release = css_subchannel_release;
  sch.dev.dma_mask = sch.dma_mask;
  device_initialize(sch.dev);
  // dma_set_coherent_mask(), dma_set_mask(): neither can fail here.
  sch.dev.coherent_dma_mask = 0x7fffffffn;
  sch.dma_mask.value = 0xffffffffffffffffn;

  return sch;
}

function* css_sch_device_register(sch: subchannel): Sleeps<number> {
  yield* mutex_lock(sch.reg_mutex);
  dev_set_name(sch.dev, "0.%x.%04x", sch.schid.ssid, sch.schid.sch_no);
  const ret = yield* device_add(sch.dev);
  mutex_unlock(sch.reg_mutex);
  return ret;
}

/** Unregisters a subchannel, if it is registered. May sleep. */
export function* css_sch_device_unregister(sch: subchannel): Sleeps {
  yield* mutex_lock(sch.reg_mutex);
  if (device_is_registered(sch.dev)) yield* device_unregister(sch.dev);
  mutex_unlock(sch.reg_mutex);
}
EXPORT_SYMBOL_GPL(css_sch_device_unregister);

function ssd_from_pmcw(ssd: chsc_ssd_info, pmcw: pmcw): void {
  memset(ssd, 0, sizeof(chsc_ssd_info));
  ssd.path_mask = pmcw.pim;
  for (let i = 0; i < 8; i++) {
    const mask = 0x80 >> i;
    if (pmcw.pim & mask) {
      chp_id_init(ssd.chpid.at(i));
      ssd.chpid.at(i).id = pmcw.chpid.$bytes[i]!;
    }
  }
}

function* ssd_register_chpids(ssd: chsc_ssd_info): Sleeps {
  for (let i = 0; i < 8; i++) {
    const mask = 0x80 >> i;
    if (ssd.path_mask & mask) yield* chp_new(ssd.chpid.at(i));
  }
}

/** Asks anew which paths the subchannel has, and registers those. May sleep. */
export function* css_update_ssd_info(sch: subchannel): Sleeps {
  const ret = yield* chsc_get_ssd_info(sch.schid, sch.ssd_info);
  if (ret) ssd_from_pmcw(sch.ssd_info, sch.schib.pmcw);

  yield* ssd_register_chpids(sch.ssd_info);
}

function type_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const sch = to_subchannel(dev);

  return sysfs_emit(buf, "%01x\n", sch.st);
}
const dev_attr_type = DEVICE_ATTR_RO("type", type_show);

function modalias_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const sch = to_subchannel(dev);

  return sysfs_emit(buf, "css:t%01X\n", sch.st);
}
const dev_attr_modalias = DEVICE_ATTR_RO("modalias", modalias_show);

/* `char **`: the place of the name in the subchannel. */
class driver_override_of {
  readonly sch: subchannel;
  constructor(sch: subchannel) {
    this.sch = sch;
  }
  get value(): string | null {
    return this.sch.driver_override;
  }
  set value(v: string | null) {
    this.sch.driver_override = v;
  }
}

function* driver_override_store(dev: device, _attr: object, buf: string, count: number): Sleeps<number> {
  const sch = to_subchannel(dev);

  const ret = yield* driver_set_override(dev, new driver_override_of(sch), buf, count);
  if (ret) return ret;

  return count;
}

function* driver_override_show(dev: device, _attr: object, buf: sysfs_buf): Sleeps<number> {
  const sch = to_subchannel(dev);

  yield* device_lock(dev);
  const len = sysfs_emit(buf, "%s\n", sch.driver_override);
  device_unlock(dev);
  return len;
}
const dev_attr_driver_override = DEVICE_ATTR_RW("driver_override", driver_override_show, driver_override_store);

const default_subch_attr_groups: attribute_groups = [
  { attrs: [dev_attr_type.attr, dev_attr_modalias.attr, dev_attr_driver_override.attr] },
];

function chpids_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const sch = to_subchannel(dev);
  const ssd = sch.ssd_info;
  let ret = 0;

  for (let chp = 0; chp < 8; chp++) {
    const mask = 0x80 >> chp;
    if (ssd.path_mask & mask) ret += sysfs_emit_at(buf, ret, "%02x ", ssd.chpid.at(chp).id);
    else ret += sysfs_emit_at(buf, ret, "00 ");
  }
  ret += sysfs_emit_at(buf, ret, "\n");
  return ret;
}
const dev_attr_chpids = DEVICE_ATTR_RO("chpids", chpids_show);

function pimpampom_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const { pmcw } = to_subchannel(dev).schib;

  return sysfs_emit(buf, "%02x %02x %02x\n", pmcw.pim, pmcw.pam, pmcw.pom);
}
const dev_attr_pimpampom = DEVICE_ATTR_RO("pimpampom", pimpampom_show);

function dev_busid_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const sch = to_subchannel(dev);
  const { pmcw } = sch.schib;

  if ((pmcw.st === SUBCHANNEL_TYPE_IO && pmcw.dnv) || (pmcw.st === SUBCHANNEL_TYPE_MSG && pmcw.w))
    return sysfs_emit(buf, "0.%x.%04x\n", sch.schid.ssid, pmcw.dev);
  else return sysfs_emit(buf, "none\n");
}
const dev_attr_dev_busid = DEVICE_ATTR_RO("dev_busid", dev_busid_show);

const io_subchannel_type: device_type = {
  groups: ATTRIBUTE_GROUPS([dev_attr_chpids.attr, dev_attr_pimpampom.attr, dev_attr_dev_busid.attr]),
};

/** Makes a subchannel known to the system. @return 0 or errno; the caller keeps its reference then. May sleep. */
export function* css_register_subchannel(sch: subchannel): Sleeps<number> {
  sch.dev.parent = css_globals.channel_subsystems[0]!.device;
  sch.dev.bus = s.css_bus_type;
  sch.dev.groups = default_subch_attr_groups;

  if (sch.st === SUBCHANNEL_TYPE_IO) sch.dev.type = io_subchannel_type;

  yield* css_update_ssd_info(sch);
  const ret = yield* css_sch_device_register(sch);
  if (ret) {
    CIO_MSG_EVENT(0, "Could not register sch 0.%x.%04x: %d\n", sch.schid.ssid, sch.schid.sch_no, ret);
    return ret;
  }
  return ret;
}

function* css_probe_device(schid: subchannel_id, schib: struct_schib): Sleeps<number> {
  const sch = yield* css_alloc_subchannel(schid, schib);
  if (IS_ERR(sch)) return PTR_ERR(sch);

  const ret = yield* css_register_subchannel(sch);
  if (ret) yield* put_device(sch.dev);

  return ret;
}

function check_subchannel(dev: device, data: object | null): number {
  const sch = to_subchannel(dev);
  return Number(schid_equal(sch.schid, data as subchannel_id));
}

/** The registered subchannel of that id, with a reference, or NULL. May sleep. */
export function* get_subchannel_by_schid(schid: subchannel_id): Sleeps<subchannel | null> {
  const dev = yield* bus_find_device(s.css_bus_type, null, schid, check_subchannel);

  return dev ? to_subchannel(dev) : null;
}

/** Whether there is a device (or a message facility) behind the block. Any context. */
export function css_sch_is_valid(schib: struct_schib): number {
  if (schib.pmcw.st === SUBCHANNEL_TYPE_IO && !schib.pmcw.dnv) return 0;
  if (schib.pmcw.st === SUBCHANNEL_TYPE_MSG && !schib.pmcw.w) return 0;
  return 1;
}
EXPORT_SYMBOL_GPL(css_sch_is_valid);

function* css_evaluate_new_subchannel(schid: subchannel_id, slow: number): Sleeps<number> {
  const schib = new struct_schib();

  if (!slow) return -EAGAIN;
  // Condition code 3: there are no more in this set. A program check: there is no such set.
  const ccode = stsch(schid, schib);
  if (ccode) return ccode === 3 ? -ENXIO : ccode;

  return yield* css_probe_device(schid, schib);
}

function* css_evaluate_known_subchannel(sch: subchannel, slow: number): Sleeps<number> {
  let ret = 0;

  if (sch.driver) {
    if (sch.driver.sch_event) ret = yield* sch.driver.sch_event(sch, slow);
    else dev_dbg(sch.dev, "Got subchannel machine check but no sch_event handler provided.\n");
  }
  if (ret !== 0 && ret !== -EAGAIN) {
    CIO_MSG_EVENT(2, "eval: sch 0.%x.%04x, rc=%d\n", sch.schid.ssid, sch.schid.sch_no, ret);
  }
  return ret;
}

function* css_evaluate_subchannel(schid: subchannel_id, slow: number): Sleeps {
  let ret: number;

  const sch = yield* get_subchannel_by_schid(schid);
  if (sch) {
    ret = yield* css_evaluate_known_subchannel(sch, slow);
    yield* put_device(sch.dev);
  } else ret = yield* css_evaluate_new_subchannel(schid, slow);
  if (ret === -EAGAIN) yield* css_schedule_eval(schid);
}

/**
 * Has the slow path do something with a subchannel; nothing if something more important is scheduled already.
 * @todo: SCH_TODO_*. Context: sch->lock held
 */
export function* css_sched_sch_todo(sch: subchannel, todo: sch_todo): Spins {
  CIO_MSG_EVENT(4, "sch_todo: sched sch=0.%x.%04x todo=%d\n", sch.schid.ssid, sch.schid.sch_no, todo);
  if (sch.todo >= todo) return;
  if (!get_device(sch.dev)) return;
  sch.todo = todo;
  if (!queue_work(css_globals.cio_work_q!, sch.todo_work)) {
    yield* atomic_context(put_device(sch.dev));
  }
}
EXPORT_SYMBOL_GPL(css_sched_sch_todo);

function* css_sch_todo(work: work_struct): Sleeps {
  const sch = container_of(work, subchannel, "todo_work");
  yield* spin_lock_irq(sch.lock!);
  const todo = sch.todo;
  CIO_MSG_EVENT(4, "sch_todo: sch=0.%x.%04x, todo=%d\n", sch.schid.ssid, sch.schid.sch_no, todo);
  sch.todo = SCH_TODO_NOTHING;
  yield* spin_unlock_irq(sch.lock!);
  switch (todo) {
    case SCH_TODO_NOTHING:
      break;
    case SCH_TODO_EVAL: {
      const ret = yield* css_evaluate_known_subchannel(sch, 1);
      if (ret === -EAGAIN) {
        yield* spin_lock_irq(sch.lock!);
        yield* css_sched_sch_todo(sch, todo);
        yield* spin_unlock_irq(sch.lock!);
      }
      break;
    }
    case SCH_TODO_UNREG:
      yield* css_sch_device_unregister(sch);
      break;
  }
  yield* put_device(sch.dev);
}

function slow_subchannel_init(): number {
  atomic_set(s.css_eval_scheduled, 0);
  s.slow_subchannel_set = idset_sch_new();
  if (!s.slow_subchannel_set) {
    CIO_MSG_EVENT(0, "could not allocate slow subchannel set\n");
    return -ENOMEM;
  }
  return 0;
}

function* slow_eval_known_fn(sch: subchannel, _data: object | null): Sleeps<number> {
  yield* spin_lock_irq(s.slow_subchannel_lock);
  const eval_ = idset_sch_contains(s.slow_subchannel_set!, sch.schid);
  idset_sch_del(s.slow_subchannel_set!, sch.schid);
  yield* spin_unlock_irq(s.slow_subchannel_lock);
  if (eval_) {
    const rc = yield* css_evaluate_known_subchannel(sch, 1);
    if (rc === -EAGAIN) yield* css_schedule_eval(sch.schid);
    yield* cond_resched();
  }
  return 0;
}

function* slow_eval_unknown_fn(schid: subchannel_id, _data: object | null): Sleeps<number> {
  let rc = 0;

  yield* spin_lock_irq(s.slow_subchannel_lock);
  const eval_ = idset_sch_contains(s.slow_subchannel_set!, schid);
  idset_sch_del(s.slow_subchannel_set!, schid);
  yield* spin_unlock_irq(s.slow_subchannel_lock);
  if (eval_) {
    rc = yield* css_evaluate_new_subchannel(schid, 1);
    switch (rc) {
      case -EAGAIN:
        yield* css_schedule_eval(schid);
        rc = 0;
        break;
      case -ENXIO:
      case -ENOMEM:
      case -EIO:
        // These end the loop.
        yield* spin_lock_irq(s.slow_subchannel_lock);
        idset_sch_del_subseq(s.slow_subchannel_set!, schid);
        yield* spin_unlock_irq(s.slow_subchannel_lock);
        break;
      default:
        rc = 0;
    }
    yield* cond_resched();
  }
  return rc;
}

function* css_slow_path_func(_unused: work_struct): Sleeps {
  CIO_TRACE_EVENT(4, "slowpath");
  yield* for_each_subchannel_staged(slow_eval_known_fn, slow_eval_unknown_fn, null);
  const flags = yield* spin_lock_irqsave(s.slow_subchannel_lock);
  if (idset_is_empty(s.slow_subchannel_set!)) {
    atomic_set(s.css_eval_scheduled, 0);
    yield* wake_up(s.css_eval_wq);
  }
  yield* spin_unlock_irqrestore(s.slow_subchannel_lock, flags);
}

/** Has the slow path look at a subchannel. Any context. */
export function* css_schedule_eval(schid: subchannel_id): Spins {
  const flags = yield* spin_lock_irqsave(s.slow_subchannel_lock);
  idset_sch_add(s.slow_subchannel_set!, schid);
  atomic_set(s.css_eval_scheduled, 1);
  queue_delayed_work(css_globals.cio_work_q!, s.slow_path_work, 0);
  yield* spin_unlock_irqrestore(s.slow_subchannel_lock, flags);
}

/** Has the slow path look at all subchannels. Any context. */
export function* css_schedule_eval_all(): Spins {
  const flags = yield* spin_lock_irqsave(s.slow_subchannel_lock);
  idset_fill(s.slow_subchannel_set!);
  atomic_set(s.css_eval_scheduled, 1);
  queue_delayed_work(css_globals.cio_work_q!, s.slow_path_work, 0);
  yield* spin_unlock_irqrestore(s.slow_subchannel_lock, flags);
}

function* __unset_registered(dev: device, data: object | null): Sleeps<number> {
  const sch = to_subchannel(dev);

  idset_sch_del(data as idset, sch.schid);
  return 0;
}

function* __unset_online(dev: device, data: object | null): Sleeps<number> {
  const sch = to_subchannel(dev);

  if (sch.st === SUBCHANNEL_TYPE_IO && sch.config.ena) idset_sch_del(data as idset, sch.schid);

  return 0;
}

/** Has the slow path look at some subchannels after a delay. @cond: CSS_EVAL_*; @delay: jiffies. May sleep. */
export function* css_schedule_eval_cond(cond: number, delay: number): Sleeps {
  const set = idset_sch_new();
  if (!set) {
    yield* css_schedule_eval_all();
    return;
  }
  idset_fill(set);
  switch (cond) {
    case CSS_EVAL_UNREG:
      yield* bus_for_each_dev(s.css_bus_type, null, set, __unset_registered);
      break;
    case CSS_EVAL_NOT_ONLINE:
      yield* bus_for_each_dev(s.css_bus_type, null, set, __unset_online);
      break;
    default:
      break;
  }

  const flags = yield* spin_lock_irqsave(s.slow_subchannel_lock);
  idset_add_set(s.slow_subchannel_set!, set);
  atomic_set(s.css_eval_scheduled, 1);
  queue_delayed_work(css_globals.cio_work_q!, s.slow_path_work, delay);
  yield* spin_unlock_irqrestore(s.slow_subchannel_lock, flags);
  idset_free(set);
}

/** Waits for all that is queued for the slow path. May sleep. */
export function* css_wait_for_slow_path(): Sleeps {
  yield* flush_workqueue(css_globals.cio_work_q!);
}

/** Has all unregistered subchannels looked at, a second from now, so that calls merge. May sleep. */
export function* css_schedule_reprobe(): Sleeps {
  yield* css_schedule_eval_cond(CSS_EVAL_UNREG, 1 * HZ);
}
EXPORT_SYMBOL_GPL(css_schedule_reprobe);

/* Subchannel reports, from the machine check handler's thread. */
function* css_process_crw(crw0: crw | null, crw1: crw | null, overflow: number): Sleeps {
  const mchk_schid = new subchannel_id();

  if (overflow) {
    yield* css_schedule_eval_all();
    return;
  }
  const c0 = crw0!;
  CIO_CRW_EVENT(
    2,
    "CRW0 reports slct=%d, oflw=%d, chn=%d, rsc=%X, anc=%d, erc=%X, rsid=%X\n",
    c0.slct,
    c0.oflw,
    c0.chn,
    c0.rsc,
    c0.anc,
    c0.erc,
    c0.rsid,
  );
  if (crw1)
    CIO_CRW_EVENT(
      2,
      "CRW1 reports slct=%d, oflw=%d, chn=%d, rsc=%X, anc=%d, erc=%X, rsid=%X\n",
      crw1.slct,
      crw1.oflw,
      crw1.chn,
      crw1.rsc,
      crw1.anc,
      crw1.erc,
      crw1.rsid,
    );
  init_subchannel_id(mchk_schid);
  mchk_schid.sch_no = c0.rsid;
  if (crw1) mchk_schid.ssid = (crw1.rsid >> 4) & 3;

  if (c0.erc === CRW_ERC_PMOD) {
    const sch = yield* get_subchannel_by_schid(mchk_schid);
    if (sch) {
      yield* css_update_ssd_info(sch);
      yield* put_device(sch.dev);
    }
  }
  yield* css_evaluate_subchannel(mchk_schid, 0);
}

function channel_subsystem_release(dev: device): void {
  const css = to_css(dev);

  mutex_destroy(css.mutex);
  kfree(css);
}

function real_cssid_show(dev: device, _a: object, buf: sysfs_buf): number {
  const css = to_css(dev);

  if (!css.id_valid) return -EINVAL;

  return sysfs_emit(buf, "%x\n", css.cssid);
}
const dev_attr_real_cssid = DEVICE_ATTR_RO("real_cssid", real_cssid_show);

function* rescan_store(_dev: device, _a: object, _buf: string, count: number): Sleeps<number> {
  CIO_TRACE_EVENT(4, "usr-rescan");

  yield* css_schedule_eval_all();
  yield* css_complete_work();

  return count;
}
const dev_attr_rescan = DEVICE_ATTR_WO("rescan", rescan_store);

const cssdev_attr_groups: attribute_groups = [{ attrs: [dev_attr_real_cssid.attr, dev_attr_rescan.attr] }];

function* setup_css(nr: number): Sleeps<number> {
  let ret: number;

  const css = kzalloc(channel_subsystem, GFP_KERNEL);
  if (!css) return -ENOMEM;

  css_globals.channel_subsystems[nr] = css;
  dev_set_name(css.device, "css%x", nr);
  css.device.groups = cssdev_attr_groups;
  css.device.release = channel_subsystem_release;

  mutex_init(css.mutex);
  // Here C asks for the partition's identifiers; no machine of this kind gives them.

  out_err: {
    ret = yield* device_register(css.device);
    if (ret) {
      yield* put_device(css.device);
      break out_err;
    }

    css.pseudo_subchannel = kzalloc(subchannel, GFP_KERNEL);
    if (!css.pseudo_subchannel) {
      yield* device_unregister(css.device);
      ret = -ENOMEM;
      break out_err;
    }

    css.pseudo_subchannel.dev.parent = css.device;
    css.pseudo_subchannel.dev.release = css_subchannel_release;
    mutex_init(css.pseudo_subchannel.reg_mutex);
    ret = css_sch_create_locks(css.pseudo_subchannel);
    if (ret) {
      kfree(css.pseudo_subchannel);
      yield* device_unregister(css.device);
      break out_err;
    }

    dev_set_name(css.pseudo_subchannel.dev, "defunct");
    ret = yield* device_register(css.pseudo_subchannel.dev);
    if (ret) {
      yield* put_device(css.pseudo_subchannel.dev);
      yield* device_unregister(css.device);
      break out_err;
    }

    return ret;
  }
  css_globals.channel_subsystems[nr] = null;
  return ret;
}

function* css_bus_init(): Sleeps<number> {
  let ret = yield* chsc_init();
  if (ret) return ret;

  yield* chsc_determine_css_characteristics();
  ret = yield* chsc_enable_facility(CHSC_SDA_OC_MSS);
  if (ret) css_globals.max_ssid = 0;
  else css_globals.max_ssid = __MAX_SSID;

  let i = 0;
  out: {
    ret = slow_subchannel_init();
    if (ret) break out;

    ret = yield* crw_register_handler(CRW_RSC_SCH, css_process_crw);
    if (ret) break out;

    if ((ret = yield* bus_register(s.css_bus_type))) break out;

    out_unregister: {
      for (i = 0; i <= MAX_CSS_IDX; i++) {
        ret = yield* setup_css(i);
        if (ret) break out_unregister;
      }
      css_globals.css_init_done = 1;

      yield* isc_register(IO_SCH_ISC);

      return 0;
    }
    while (i-- > 0) {
      const css = css_globals.channel_subsystems[i]!;
      yield* device_unregister(css.pseudo_subchannel!.dev);
      yield* device_unregister(css.device);
    }
    yield* bus_unregister(s.css_bus_type);
  }
  yield* crw_unregister_handler(CRW_RSC_SCH);
  idset_free(s.slow_subchannel_set);
  yield* chsc_init_cleanup();
  pr_alert("cio: The CSS device driver initialization failed with errno=%d\n", ret);
  return ret;
}

function* css_bus_cleanup(): Sleeps {
  const css = css_globals.channel_subsystems[0];
  if (css) {
    yield* device_unregister(css.pseudo_subchannel!.dev);
    yield* device_unregister(css.device);
  }
  yield* bus_unregister(s.css_bus_type);
  yield* crw_unregister_handler(CRW_RSC_SCH);
  idset_free(s.slow_subchannel_set);
  yield* chsc_init_cleanup();
  yield* isc_unregister(IO_SCH_ISC);
}

function* channel_subsystem_init(): Sleeps<number> {
  let ret = yield* css_bus_init();
  if (ret) return ret;
  out_bus: {
    css_globals.cio_work_q = create_singlethread_workqueue("cio");
    if (!css_globals.cio_work_q) {
      ret = -ENOMEM;
      break out_bus;
    }
    out_wq: {
      ret = yield* io_subchannel_init();
      if (ret) break out_wq;

      yield* css_schedule_eval_all();

      return ret;
    }
    yield* destroy_workqueue(css_globals.cio_work_q);
  }
  yield* css_bus_cleanup();
  return ret;
}
subsys_initcall(on_s390(channel_subsystem_init));

function* css_settle(drv: device_driver, _unused: object | null): Sleeps<number> {
  const cssdrv = to_cssdriver(drv);

  if (cssdrv.settle) return yield* cssdrv.settle();
  return 0;
}

function css_eval_is_done(): boolean {
  return atomic_read(s.css_eval_scheduled) === 0;
}

/** Waits until the subchannels that are to be looked at have been. @return 0, -EINTR, or what a driver's settle() gives. May sleep. */
export function* css_complete_work(): Sleeps<number> {
  const ret = yield* wait_event_interruptible(s.css_eval_wq, css_eval_is_done);
  if (ret) return -EINTR;
  yield* flush_workqueue(css_globals.cio_work_q!);
  return yield* bus_for_each_drv(s.css_bus_type, null, null, css_settle);
}

/* Before anybody looks for a device, all of them have been found. */
function* channel_subsystem_init_sync(): Sleeps<number> {
  yield* css_complete_work();
  return 0;
}
fs_initcall(on_s390(channel_subsystem_init_sync));

export function sch_is_pseudo_sch(sch: subchannel): boolean {
  if (!sch.dev.parent) return false;
  return sch === to_css(sch.dev.parent).pseudo_subchannel;
}

function css_bus_match(dev: device, drv: device_driver): number {
  const sch = to_subchannel(dev);
  const driver = to_cssdriver(drv);

  if (sch.driver_override && sch.driver_override !== drv.name) return 0;

  for (const id of driver.subchannel_type) {
    if (!id.match_flags) break;
    if (sch.st === id.type) return 1;
  }

  return 0;
}

function* css_probe(dev: device): Sleeps<number> {
  const sch = to_subchannel(dev);
  sch.driver = to_cssdriver(dev.driver);
  const ret = sch.driver.probe ? yield* sch.driver.probe(sch) : 0;
  if (ret) sch.driver = null;
  return ret;
}

function* css_remove(dev: device): Sleeps {
  const sch = to_subchannel(dev);
  if (sch.driver!.remove) yield* sch.driver!.remove(sch);
  sch.driver = null;
}

function* css_shutdown(dev: device): Sleeps {
  const sch = to_subchannel(dev);
  if (sch.driver && sch.driver.shutdown) yield* sch.driver.shutdown(sch);
}

function css_uevent(dev: device, env: kobj_uevent_env): number {
  const sch = to_subchannel(dev);

  const ret = add_uevent_var(env, "ST=%01X", sch.st);
  if (ret) return ret;
  return add_uevent_var(env, "MODALIAS=css:t%01X", sch.st);
}

/** Registers a driver on the css bus. @return 0 or errno. May sleep. */
export function* css_driver_register(cdrv: css_driver): Sleeps<number> {
  cdrv.drv.bus = s.css_bus_type;
  return yield* driver_register(cdrv.drv);
}
EXPORT_SYMBOL_GPL(css_driver_register);

/** Unregisters a driver of the css bus. May sleep. */
export function* css_driver_unregister(cdrv: css_driver): Sleeps {
  yield* driver_unregister(cdrv.drv);
}
EXPORT_SYMBOL_GPL(css_driver_unregister);
