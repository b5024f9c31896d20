// SPDX-License-Identifier: GPL-2.0-only
/**
 * The bus of adjunct processors. Port of drivers/s390/crypto/ap_bus.c and ap_bus.h without messages: interrupts, tasklet, poll
 * thread and poll timer with their attributes, ap_wait, ap_request_timeout, QACT, ap_wait_init_apqn_bindings_complete() and the mask of
 * ioctls are left out. The masks of the command line (ap.apmask, ap.aqmask) are not read: all queues belong to the
 * default drivers until somebody writes to the files of the bus.
 */
import {
  ap_config_info,
  ap_instructions_available,
  AP_MKQID,
  ap_qci,
  AP_QID_CARD,
  type ap_qid_t,
  AP_QID_QUEUE,
  ap_test_queue,
} from "#asm/ap.ts";
import { clear_bit_inv, set_bit_inv, test_bit_inv } from "#asm/bitops.ts";
import {
  type debug_info_t,
  debug_register,
  debug_register_view,
  debug_set_level,
  debug_sprintf_view,
} from "#asm/debug.ts";
import { test_facility } from "#asm/facility.ts";
import { on_s390 } from "#asm/setup.ts";
import { atomic_read, atomic_set, atomic_t, atomic64_read, atomic64_add_return, atomic64_t } from "#linux/atomic.ts";
import {
  type bitmap,
  bitmap_andnot,
  bitmap_copy,
  bitmap_equal,
  bitmap_fill,
  bitmap_zero,
  DECLARE_BITMAP,
  new_bitmap,
} from "#linux/bitmap.ts";
import { complete_all, completion_done, DECLARE_COMPLETION } from "#linux/completion.ts";
import {
  BUS_ATTR_RO,
  BUS_ATTR_RW,
  bus_find_device,
  bus_for_each_dev,
  bus_for_each_drv,
  bus_register,
  bus_type,
  bus_unregister,
  dev_set_name,
  device,
  device_driver,
  device_register,
  device_reprobe,
  device_unregister,
  driver_register,
  driver_unregister,
  get_device,
  put_device,
  root_device_register,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EBUSY, EINVAL, ENODEV, ENOMEM, EOPNOTSUPP, ERESTARTSYS } from "#linux/errno.ts";
import { DECLARE_HASHTABLE, hash_add, hash_del, hash_for_each, type hashtable } from "#linux/hashtable.ts";
import { device_initcall } from "#linux/init.ts";
import { HZ, jiffies } from "#linux/jiffies.ts";
import { simple_strtoul, sprintf, sscanf, WARN_ON_ONCE } from "#linux/kernel.ts";
import { add_uevent_var, KOBJ_CHANGE, type kobj_uevent_env, kobject_uevent_env } from "#linux/kobject.ts";
import { hlist_node } from "#linux/list.ts";
import { kbuild, type module, module_put, try_module_get } from "#linux/module.ts";
import { DEFINE_MUTEX, type mutex, mutex_lock, mutex_lock_interruptible, mutex_unlock } from "#linux/mutex.ts";
import { pr_warn } from "#linux/printk.ts";
import { GFP_KERNEL, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import { DEFINE_SPINLOCK, spin_lock_bh, spin_unlock_bh, spinlock_t } from "#linux/spinlock.ts";
import { copy_struct } from "#linux/string.ts";
import { ATTRIBUTE_GROUPS, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import { del_timer, mod_timer, timer_list, timer_setup } from "#linux/timer.ts";
import {
  bool,
  container_of,
  embed,
  fn,
  initialise,
  int,
  opaque,
  ptr,
  type Sleeps,
  type Spins,
  struct,
  u32,
} from "#linux/types.ts";
import { DECLARE_WORK, flush_work, queue_work, system_long_wq, type work_struct } from "#linux/workqueue.ts";
import { ap_card_create } from "./ap_card.ts";
import { AP_DBF_DBG, AP_DBF_INFO, AP_DBF_WARN, DBF_ERR, DBF_MAX_SPRINTF_ARGS } from "./ap_debug.ts";
import { ap_queue_create, ap_queue_prepare_remove, ap_queue_remove } from "./ap_queue.ts";

const { per_boot, EXPORT_SYMBOL } = kbuild(import.meta.url);

export const AP_DEVICES = 256;
export const AP_DOMAINS = 256;
export const AP_CONFIG_TIME = 30;
export const AP_DEFAULT_MAX_MSG_SIZE = 12 * 1024;
export const AP_TAPQ_ML_FIELD_CHUNK_SIZE = 4096;

export const AP_RESPONSE_NORMAL = 0x00;
export const AP_RESPONSE_Q_NOT_AVAIL = 0x01;
export const AP_RESPONSE_RESET_IN_PROGRESS = 0x02;
export const AP_RESPONSE_DECONFIGURED = 0x03;
export const AP_RESPONSE_CHECKSTOPPED = 0x04;
export const AP_RESPONSE_BUSY = 0x05;
export const AP_RESPONSE_INVALID_ADDRESS = 0x06;
export const AP_RESPONSE_OTHERWISE_CHANGED = 0x07;
export const AP_RESPONSE_INVALID_GISA = 0x08;

export const AP_DEVICE_TYPE_CEX2A = 6;
export const AP_DEVICE_TYPE_CEX2C = 7;
export const AP_DEVICE_TYPE_CEX3A = 8;
export const AP_DEVICE_TYPE_CEX3C = 9;
export const AP_DEVICE_TYPE_CEX4 = 10;
export const AP_DEVICE_TYPE_CEX5 = 11;
export const AP_DEVICE_TYPE_CEX6 = 12;
export const AP_DEVICE_TYPE_CEX7 = 13;
export const AP_DEVICE_TYPE_CEX8 = 14;

export const AP_FUNC_COPRO = 3;
export const AP_FUNC_ACCEL = 4;
export const AP_FUNC_EP11 = 5;

/** States of a queue device. */
export const AP_DEV_STATE_UNINITIATED = 0;
export const AP_DEV_STATE_OPERATING = 1;
export const AP_DEV_STATE_SHUTDOWN = 2;
export const AP_DEV_STATE_ERROR = 3;

/** An entry of a driver's id table; one without match_flags ends it. Source: include/linux/mod_devicetable.h */
export interface ap_device_id {
  readonly match_flags: number;
  readonly dev_type: number;
}
export const AP_DEVICE_ID_MATCH_CARD_TYPE = 0x01;
export const AP_DEVICE_ID_MATCH_QUEUE_TYPE = 0x02;

/** Such a driver gets the queues that apmask and aqmask reserve for the host. */
export const AP_DRIVER_FLAG_DEFAULT = 0x0001;

export class ap_driver extends struct("ap_driver", {
  driver: embed(() => device_driver),
  ids: opaque<readonly ap_device_id[]>(() => []),
  flags: u32(),

  probe: fn<(dev: ap_device) => Sleeps<number>>(),
  remove: fn<(dev: ap_device) => Sleeps>(),
  /** Whether one of the queues where `apm` meets `aqm` is in use: 0 or errno. */
  in_use: fn<(apm: bitmap, aqm: bitmap) => Sleeps<number>>(),
  /** At the beginning of a scan, when what QCI says has changed. */
  on_config_changed: fn<(new_config_info: ap_config_info | null, old_config_info: ap_config_info | null) => Sleeps>(),
  /** At its end. */
  on_scan_complete: fn<(new_config_info: ap_config_info | null, old_config_info: ap_config_info | null) => Sleeps>(),
}) {}

/** @inline */
export function to_ap_drv(drv: device_driver | null): ap_driver {
  return container_of(drv, ap_driver, "driver");
}

export class ap_device extends struct("ap_device", {
  device: embed(() => device),
  device_type: int(),
}) {}

/** @inline */
export function to_ap_dev(dev: device): ap_device {
  return container_of(dev, ap_device, "device");
}

export class ap_card extends struct("ap_card", {
  ap_dev: embed(() => ap_device),
  raw_hwtype: int(),
  functions: u32(),
  queue_depth: int(),
  id: int(),
  maxmsgsize: u32(),
  config: bool(),
  chkstop: bool(),
}) {}

/** @inline */
export function to_ap_card(dev: device): ap_card {
  return container_of(to_ap_dev(dev), ap_card, "ap_dev");
}

export class ap_queue extends struct("ap_queue", {
  ap_dev: embed(() => ap_device),
  hnode: embed(() => hlist_node),
  card: ptr<ap_card>(),
  lock: embed(() => spinlock_t),
  dev_state: int(),
  config: bool(),
  chkstop: bool(),
  qid: u32(),
  last_err_rc: int(),
}) {}

/** @inline */
export function to_ap_queue(dev: device): ap_queue {
  return container_of(to_ap_dev(dev), ap_queue, "ap_dev");
}

/** Which adapters and domains are reserved for the default drivers. */
export class ap_perms extends struct("ap_perms", {
  apm: DECLARE_BITMAP(AP_DEVICES),
  aqm: DECLARE_BITMAP(AP_DOMAINS),
}) {}

class queue_table extends struct("ap_queues", { queues: DECLARE_HASHTABLE(8) }) {}

/** What the other files of the bus, and its drivers, see of its variables. */
export const ap_bus = per_boot(() => ({
  ap_domain_index: -1,
  ap_max_msg_size: initialise(new atomic_t(), { counter: AP_DEFAULT_MAX_MSG_SIZE }),
  ap_queues: new queue_table(),
  ap_queues_lock: DEFINE_SPINLOCK("ap_queues_lock"),
  ap_perms: new ap_perms(),
  ap_perms_mutex: DEFINE_MUTEX("ap_perms_mutex"),
  ap_dbf_info: null as debug_info_t | null,
}));

const s = per_boot(() => ({
  ap_domain_lock: DEFINE_SPINLOCK("ap_domain_lock"),
  ap_root_device: null as device | null,
  ap_scan_bus_count: new atomic64_t(),
  ap_bindings_complete_count: new atomic64_t(),
  ap_init_apqn_bindings_complete: DECLARE_COMPLETION("ap_init_apqn_bindings_complete"),
  ap_qci_info: null as ap_config_info | null,
  ap_qci_info_old: null as ap_config_info | null,
  ap_config_timer: new timer_list(),
  ap_config_time: AP_CONFIG_TIME,
  ap_scan_work: DECLARE_WORK("ap_scan_work", ap_scan_bus),
  ap_max_domain_id: 15,
  ap_max_adapter_id: 63,
  ap_bus_type: initialise(new bus_type(), {
    name: "ap",
    bus_groups: ap_bus_groups,
    match: ap_bus_match,
    uevent: ap_uevent,
    probe: ap_device_probe,
    remove: ap_device_remove,
  }),
}));

function ap_queues(): hashtable {
  return ap_bus.ap_queues.queues;
}

/** Bit `nr` of a word, counted from the left. @inline */
export function ap_test_bit(word: number, nr: number): boolean {
  return (word & (0x80000000 >>> nr)) !== 0;
}

function ap_qci_available(): boolean {
  return test_facility(12);
}

function ap_apft_available(): boolean {
  return test_facility(15);
}

function ap_fetch_qci_info(info: ap_config_info | null): number {
  if (!ap_qci_available()) return -EOPNOTSUPP;
  if (!info) return -EINVAL;
  return ap_qci(info);
}

function ap_init_qci_info(): void {
  if (!ap_qci_available()) {
    AP_DBF_INFO("%s QCI not supported\n", "ap_init_qci_info");
    return;
  }

  s.ap_qci_info = kzalloc(ap_config_info, GFP_KERNEL);
  if (!s.ap_qci_info) return;
  s.ap_qci_info_old = kzalloc(ap_config_info, GFP_KERNEL);
  if (!s.ap_qci_info_old) {
    kfree(s.ap_qci_info);
    s.ap_qci_info = null;
    return;
  }
  if (ap_fetch_qci_info(s.ap_qci_info) !== 0) {
    kfree(s.ap_qci_info);
    kfree(s.ap_qci_info_old);
    s.ap_qci_info = null;
    s.ap_qci_info_old = null;
    return;
  }
  AP_DBF_INFO("%s successful fetched initial qci info\n", "ap_init_qci_info");

  if (s.ap_qci_info.apxa) {
    if (s.ap_qci_info.Na) {
      s.ap_max_adapter_id = s.ap_qci_info.Na;
      AP_DBF_INFO("%s new ap_max_adapter_id is %d\n", "ap_init_qci_info", s.ap_max_adapter_id);
    }
    if (s.ap_qci_info.Nd) {
      s.ap_max_domain_id = s.ap_qci_info.Nd;
      AP_DBF_INFO("%s new ap_max_domain_id is %d\n", "ap_init_qci_info", s.ap_max_domain_id);
    }
  }

  copy_struct(s.ap_qci_info_old, s.ap_qci_info);
}

function ap_test_config_card_id(id: number): boolean {
  if (id > s.ap_max_adapter_id) return false;
  if (s.ap_qci_info) return test_bit_inv(id, s.ap_qci_info.apm);
  return true;
}

/** @return whether the machine has the usage domain. Any context. */
export function ap_test_config_usage_domain(domain: number): boolean {
  if (domain > s.ap_max_domain_id) return false;
  if (s.ap_qci_info) return test_bit_inv(domain, s.ap_qci_info.aqm);
  return true;
}
EXPORT_SYMBOL(ap_test_config_usage_domain);

/** @return whether the machine has the control domain. Any context. */
export function ap_test_config_ctrl_domain(domain: number): boolean {
  if (!s.ap_qci_info || domain > s.ap_max_domain_id) return false;
  return test_bit_inv(domain, s.ap_qci_info.adm);
}
EXPORT_SYMBOL(ap_test_config_ctrl_domain);

interface queue_info {
  readonly type: number;
  readonly fac: number;
  readonly depth: number;
  readonly ml: number;
  readonly decfg: boolean;
  readonly cstop: boolean;
}

function ap_queue_info(qid: ap_qid_t): queue_info | null {
  // Numbers beyond the maximum would be a specification exception
  if (AP_QID_CARD(qid) > s.ap_max_adapter_id || AP_QID_QUEUE(qid) > s.ap_max_domain_id) return null;

  const tapq_info = { value: 0n };
  const status = ap_test_queue(qid, ap_apft_available(), tapq_info);
  switch (status.response_code) {
    case AP_RESPONSE_NORMAL:
    case AP_RESPONSE_RESET_IN_PROGRESS:
    case AP_RESPONSE_DECONFIGURED:
    case AP_RESPONSE_CHECKSTOPPED:
    case AP_RESPONSE_BUSY: {
      if (WARN_ON_ONCE(!tapq_info.value)) return null;
      const low = Number(tapq_info.value & 0xffffffffn);
      const type = low >>> 24;
      let fac = Number(tapq_info.value >> 32n);
      // Before CEX4 the functions are only told by the type
      if (type === AP_DEVICE_TYPE_CEX2A || type === AP_DEVICE_TYPE_CEX3A) fac |= 0x08000000;
      else if (type === AP_DEVICE_TYPE_CEX2C || type === AP_DEVICE_TYPE_CEX3C) fac |= 0x10000000;
      return {
        type,
        fac: fac >>> 0,
        depth: low & 0xf,
        ml: (low >>> 8) & 0xf,
        decfg: status.response_code === AP_RESPONSE_DECONFIGURED,
        cstop: status.response_code === AP_RESPONSE_CHECKSTOPPED,
      };
    }
    default:
      return null;
  }
}

const is_card_dev = (x: device): boolean => x.parent === s.ap_root_device;
const is_queue_dev = (x: device): boolean => x.parent !== s.ap_root_device;

function ap_bus_match(dev: device, drv: device_driver): number {
  const ap_drv = to_ap_drv(drv);

  for (const id of ap_drv.ids) {
    if (!id.match_flags) break;
    if (is_card_dev(dev) && id.match_flags & AP_DEVICE_ID_MATCH_CARD_TYPE && id.dev_type === to_ap_dev(dev).device_type)
      return 1;
    if (
      is_queue_dev(dev) &&
      id.match_flags & AP_DEVICE_ID_MATCH_QUEUE_TYPE &&
      id.dev_type === to_ap_dev(dev).device_type
    )
      return 1;
  }
  return 0;
}

function ap_uevent_mode(functions: number, env: kobj_uevent_env): number {
  if (ap_test_bit(functions, AP_FUNC_ACCEL)) return add_uevent_var(env, "MODE=accel");
  if (ap_test_bit(functions, AP_FUNC_COPRO)) return add_uevent_var(env, "MODE=cca");
  if (ap_test_bit(functions, AP_FUNC_EP11)) return add_uevent_var(env, "MODE=ep11");
  return 0;
}

function ap_uevent(dev: device, env: kobj_uevent_env): number {
  if (dev === s.ap_root_device) return 0;

  const ap_dev = to_ap_dev(dev);
  if (is_card_dev(dev)) {
    let rc = add_uevent_var(env, "DEV_TYPE=%04X", ap_dev.device_type);
    if (rc) return rc;
    rc = add_uevent_var(env, "MODALIAS=ap:t%02X", ap_dev.device_type);
    if (rc) return rc;
    return ap_uevent_mode(to_ap_card(dev).functions, env);
  }
  return ap_uevent_mode(to_ap_queue(dev).card!.functions, env);
}

function* ap_send_init_scan_done_uevent(): Sleeps {
  yield* kobject_uevent_env(s.ap_root_device!.kobj, KOBJ_CHANGE, ["INITSCAN=done"]);
}

function* ap_send_bindings_complete_uevent(): Sleeps {
  const count = atomic64_add_return(1n, s.ap_bindings_complete_count);
  yield* kobject_uevent_env(s.ap_root_device!.kobj, KOBJ_CHANGE, ["BINDINGS=complete", `COMPLETECOUNT=${count}`]);
}

/** Tells user space that a device was switched on or off. May sleep. */
export function* ap_send_config_uevent(ap_dev: ap_device, cfg: boolean): Sleeps {
  yield* kobject_uevent_env(ap_dev.device.kobj, KOBJ_CHANGE, [`CONFIG=${cfg ? 1 : 0}`]);
}
EXPORT_SYMBOL(ap_send_config_uevent);

/** Tells user space that a queue is in use by its driver, or no more. May sleep. */
export function* ap_send_online_uevent(ap_dev: ap_device, online: number): Sleeps {
  yield* kobject_uevent_env(ap_dev.device.kobj, KOBJ_CHANGE, [`ONLINE=${online ? 1 : 0}`]);
}
EXPORT_SYMBOL(ap_send_online_uevent);

/* The newline is in the variable in C as well. */
function* ap_send_mask_changed_uevent(newapm: bitmap | null, newaqm: bitmap | null): Sleeps {
  const name = newapm ? "APMASK" : "AQMASK";
  const mask = newapm ?? newaqm!;
  yield* kobject_uevent_env(s.ap_root_device!.kobj, KOBJ_CHANGE, [`${name}=${mask_text(mask)}\n`]);
}
function mask_text(mask: bitmap): string {
  return sprintf("0x%016lx%016lx%016lx%016lx", mask.at(0), mask.at(1), mask.at(2), mask.at(3));
}

interface __ap_calc_ctrs {
  apqns: number;
  bound: number;
}

function __ap_calc_helper(dev: device, pctrs: __ap_calc_ctrs): number {
  if (is_queue_dev(dev)) {
    pctrs.apqns++;
    if (dev.driver) pctrs.bound++;
  }

  return 0;
}

function* ap_calc_bound_apqns(): Sleeps<__ap_calc_ctrs> {
  const ctrs = { apqns: 0, bound: 0 };
  yield* bus_for_each_dev(s.ap_bus_type, null, ctrs, __ap_calc_helper);
  return ctrs;
}

function* ap_check_bindings_complete(): Sleeps {
  if (atomic64_read(s.ap_scan_bus_count) >= 1n) {
    const { apqns, bound } = yield* ap_calc_bound_apqns();
    if (bound === apqns) {
      if (!completion_done(s.ap_init_apqn_bindings_complete)) {
        complete_all(s.ap_init_apqn_bindings_complete);
        AP_DBF_INFO("%s complete\n", "ap_check_bindings_complete");
      }
      yield* ap_send_bindings_complete_uevent();
    }
  }
}

function* __ap_queue_devices_with_id_unregister(dev: device, id: number): Sleeps<number> {
  if (is_queue_dev(dev) && AP_QID_CARD(to_ap_queue(dev).qid) === id) yield* device_unregister(dev);
  return 0;
}

function* __ap_revise_reserved(dev: device, _dummy: null): Sleeps<number> {
  if (is_queue_dev(dev)) {
    const card = AP_QID_CARD(to_ap_queue(dev).qid);
    const queue = AP_QID_QUEUE(to_ap_queue(dev).qid);
    yield* mutex_lock(ap_bus.ap_perms_mutex);
    const devres = test_bit_inv(card, ap_bus.ap_perms.apm) && test_bit_inv(queue, ap_bus.ap_perms.aqm);
    mutex_unlock(ap_bus.ap_perms_mutex);
    const drvres = (to_ap_drv(dev.driver).flags & AP_DRIVER_FLAG_DEFAULT) !== 0;
    if (devres !== drvres) {
      AP_DBF_DBG("%s reprobing queue=%02x.%04x\n", "__ap_revise_reserved", card, queue);
      const rc = yield* device_reprobe(dev);
      if (rc) AP_DBF_WARN("%s reprobing queue=%02x.%04x failed\n", "__ap_revise_reserved", card, queue);
    }
  }

  return 0;
}

function* ap_bus_revise_bindings(): Sleeps {
  yield* bus_for_each_dev(s.ap_bus_type, null, null, __ap_revise_reserved);
}

/** @return 1 if the queue is reserved for the host, 0 if not, -EINVAL. ap_perms_mutex held. */
export function ap_owned_by_def_drv(card: number, queue: number): number {
  let rc = 0;

  if (card < 0 || card >= AP_DEVICES || queue < 0 || queue >= AP_DOMAINS) return -EINVAL;

  if (test_bit_inv(card, ap_bus.ap_perms.apm) && test_bit_inv(queue, ap_bus.ap_perms.aqm)) rc = 1;

  return rc;
}
EXPORT_SYMBOL(ap_owned_by_def_drv);

/** @return 1 if one of the queues where an adapter of `apm` meets a domain of `aqm` is reserved for the host, else 0. ap_perms_mutex held. */
export function ap_apqn_in_matrix_owned_by_def_drv(apm: bitmap, aqm: bitmap): number {
  let rc = 0;

  for (let card = 0; !rc && card < AP_DEVICES; card++)
    if (test_bit_inv(card, apm) && test_bit_inv(card, ap_bus.ap_perms.apm))
      for (let queue = 0; !rc && queue < AP_DOMAINS; queue++)
        if (test_bit_inv(queue, aqm) && test_bit_inv(queue, ap_bus.ap_perms.aqm)) rc = 1;

  return rc;
}
EXPORT_SYMBOL(ap_apqn_in_matrix_owned_by_def_drv);

function* ap_device_probe(dev: device): Sleeps<number> {
  const ap_dev = to_ap_dev(dev);
  const ap_drv = to_ap_drv(dev.driver);
  let rc = -ENODEV;

  if (!get_device(dev)) return rc;

  out: {
    if (is_queue_dev(dev)) {
      // What is reserved goes to default drivers, and nothing else does
      const card = AP_QID_CARD(to_ap_queue(dev).qid);
      const queue = AP_QID_QUEUE(to_ap_queue(dev).qid);
      yield* mutex_lock(ap_bus.ap_perms_mutex);
      const devres = test_bit_inv(card, ap_bus.ap_perms.apm) && test_bit_inv(queue, ap_bus.ap_perms.aqm);
      mutex_unlock(ap_bus.ap_perms_mutex);
      const drvres = (ap_drv.flags & AP_DRIVER_FLAG_DEFAULT) !== 0;
      if (devres !== drvres) break out;
    }

    yield* spin_lock_bh(ap_bus.ap_queues_lock);
    if (is_queue_dev(dev)) hash_add(ap_queues(), to_ap_queue(dev).hnode, to_ap_queue(dev).qid);
    yield* spin_unlock_bh(ap_bus.ap_queues_lock);

    rc = ap_drv.probe ? yield* ap_drv.probe(ap_dev) : -ENODEV;

    if (rc) {
      yield* spin_lock_bh(ap_bus.ap_queues_lock);
      if (is_queue_dev(dev)) hash_del(to_ap_queue(dev).hnode);
      yield* spin_unlock_bh(ap_bus.ap_queues_lock);
    } else {
      yield* ap_check_bindings_complete();
    }
  }
  if (rc) yield* put_device(dev);
  return rc;
}

function* ap_device_remove(dev: device): Sleeps {
  const ap_dev = to_ap_dev(dev);
  const ap_drv = to_ap_drv(dev.driver);

  if (is_queue_dev(dev)) yield* ap_queue_prepare_remove(to_ap_queue(dev));

  if (ap_drv.remove) yield* ap_drv.remove(ap_dev);

  if (is_queue_dev(dev)) yield* ap_queue_remove(to_ap_queue(dev));

  yield* spin_lock_bh(ap_bus.ap_queues_lock);
  if (is_queue_dev(dev)) hash_del(to_ap_queue(dev).hnode);
  yield* spin_unlock_bh(ap_bus.ap_queues_lock);

  yield* put_device(dev);
}

/** @return the queue device, if it has a driver, with a reference on it; or NULL. Any context. */
export function* ap_get_qdev(qid: ap_qid_t): Spins<ap_queue | null> {
  yield* spin_lock_bh(ap_bus.ap_queues_lock);
  for (const aq of hash_for_each(ap_queues(), ap_queue, "hnode")) {
    if (aq.qid === qid) {
      get_device(aq.ap_dev.device);
      yield* spin_unlock_bh(ap_bus.ap_queues_lock);
      return aq;
    }
  }
  yield* spin_unlock_bh(ap_bus.ap_queues_lock);

  return null;
}
EXPORT_SYMBOL(ap_get_qdev);

/** @return 0 or errno. May sleep. */
export function* ap_driver_register(ap_drv: ap_driver, owner: module | null, name: string): Sleeps<number> {
  const drv = ap_drv.driver;

  drv.bus = s.ap_bus_type;
  drv.owner = owner;
  drv.name = name;
  return yield* driver_register(drv);
}
EXPORT_SYMBOL(ap_driver_register);

/** May sleep. */
export function* ap_driver_unregister(ap_drv: ap_driver): Sleeps {
  yield* driver_unregister(ap_drv.driver);
}
EXPORT_SYMBOL(ap_driver_unregister);

/** Scans the bus, and waits until that is done; nothing before the first scan. May sleep. */
export function* ap_bus_force_rescan(): Sleeps {
  if (atomic64_read(s.ap_scan_bus_count) <= 0n) return;

  del_timer(s.ap_config_timer);
  queue_work(system_long_wq, s.ap_scan_work);
  yield* flush_work(s.ap_scan_work);
}
EXPORT_SYMBOL(ap_bus_force_rescan);

const hex_to_bin = (c: string): number => (/^[0-9a-fA-F]$/.test(c) ? Number.parseInt(c, 16) : -1);

/* As many bits as the digits say, from the left; the rest is not touched. */
function hex2bitmap(text: string, map: bitmap, bits: number): number {
  let str = text;
  if (bits & 0x07) return -EINVAL;

  if (str.startsWith("0x")) str = str.slice(1);
  if (str.startsWith("x")) str = str.slice(1);

  let i = 0;
  for (; hex_to_bin(str.charAt(0)) >= 0 && i < bits; str = str.slice(1)) {
    const b = hex_to_bin(str.charAt(0));
    for (let n = 0; n < 4; n++) if (b & (0x08 >> n)) set_bit_inv(i + n, map);
    i += 4;
  }

  if (str.startsWith("\n")) str = str.slice(1);
  return str ? -EINVAL : 0;
}

/* +N, -N, +N-M and -N-M, with commas between them; the last one wins. */
function modify_bitmap(text: string, map: bitmap, bits: number): number {
  let str = text;
  if (bits & 0x07) return -EINVAL;

  while (str) {
    const sign = str.charAt(0);
    str = str.slice(1);
    if (sign !== "+" && sign !== "-") return -EINVAL;
    let { v: z, endp: np } = simple_strtoul(str, 0);
    const a = z;
    if (str === np || a >= bits) return -EINVAL;
    str = np;
    if (str.startsWith("-")) {
      str = str.slice(1);
      ({ v: z, endp: np } = simple_strtoul(str, 0));
      if (str === np || a > z || z >= bits) return -EINVAL;
      str = np;
    }
    for (let i = a; i <= z; i++)
      if (sign === "+") set_bit_inv(i, map);
      else clear_bit_inv(i, map);
    while (str.startsWith(",") || str.startsWith("\n")) str = str.slice(1);
  }

  return 0;
}

function ap_parse_bitmap_str(str: string, map: bitmap, bits: number, newmap: bitmap): number {
  if (str.startsWith("+") || str.startsWith("-")) {
    bitmap_copy(newmap, map, bits);
    return modify_bitmap(str, newmap, bits);
  }
  bitmap_zero(newmap, bits);
  return hex2bitmap(str, newmap, bits);
}

/**
 * Sets or changes a bitmap as a string says. @bits: of the bitmap, a multiple of 8; @lock: taken around the change
 * @return 0, -EINVAL, -ENOMEM or -ERESTARTSYS. May sleep.
 */
export function* ap_parse_mask_str(str: string, map: bitmap, bits: number, lock: mutex): Sleeps<number> {
  if (bits & 0x07) return -EINVAL;

  const size = bits / 8;
  const memory = kmalloc(size, GFP_KERNEL);
  if (!memory) return -ENOMEM;
  const newmap = new_bitmap(bits);
  if (yield* mutex_lock_interruptible(lock)) {
    kfree(memory);
    return -ERESTARTSYS;
  }
  const rc = ap_parse_bitmap_str(str, map, bits, newmap);
  if (rc === 0) bitmap_copy(map, newmap, bits);
  mutex_unlock(lock);
  kfree(memory);
  return rc;
}
EXPORT_SYMBOL(ap_parse_mask_str);

function ap_domain_show(_bus: bus_type, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", ap_bus.ap_domain_index);
}
function* ap_domain_store(_bus: bus_type, buf: string, count: number): Sleeps<number> {
  const [domain] = sscanf(buf, "%i\n") as number[]; // %i gives numbers

  if (domain === undefined || domain < 0 || domain > s.ap_max_domain_id || !test_bit_inv(domain, ap_bus.ap_perms.aqm))
    return -EINVAL;

  yield* spin_lock_bh(s.ap_domain_lock);
  ap_bus.ap_domain_index = domain;
  yield* spin_unlock_bh(s.ap_domain_lock);

  AP_DBF_INFO("%s stored new default domain=%d\n", "ap_domain_store", domain);

  return count;
}
const bus_attr_ap_domain = BUS_ATTR_RW("ap_domain", ap_domain_show, ap_domain_store);

function ap_control_domain_mask_show(_bus: bus_type, buf: sysfs_buf): number {
  if (!s.ap_qci_info) return sysfs_emit(buf, "not supported\n");

  return sysfs_emit(buf, "%s\n", mask_text(s.ap_qci_info.adm));
}
const bus_attr_ap_control_domain_mask = BUS_ATTR_RO("ap_control_domain_mask", ap_control_domain_mask_show);

function ap_usage_domain_mask_show(_bus: bus_type, buf: sysfs_buf): number {
  if (!s.ap_qci_info) return sysfs_emit(buf, "not supported\n");

  return sysfs_emit(buf, "%s\n", mask_text(s.ap_qci_info.aqm));
}
const bus_attr_ap_usage_domain_mask = BUS_ATTR_RO("ap_usage_domain_mask", ap_usage_domain_mask_show);

function ap_adapter_mask_show(_bus: bus_type, buf: sysfs_buf): number {
  if (!s.ap_qci_info) return sysfs_emit(buf, "not supported\n");

  return sysfs_emit(buf, "%s\n", mask_text(s.ap_qci_info.apm));
}
const bus_attr_ap_adapter_mask = BUS_ATTR_RO("ap_adapter_mask", ap_adapter_mask_show);

function config_time_show(_bus: bus_type, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", s.ap_config_time);
}
function config_time_store(_bus: bus_type, buf: string, count: number): number {
  const [time] = sscanf(buf, "%d\n") as number[]; // %d gives numbers

  if (time === undefined || time < 5 || time > 120) return -EINVAL;
  s.ap_config_time = time;
  mod_timer(s.ap_config_timer, jiffies() + s.ap_config_time * HZ);
  return count;
}
const bus_attr_config_time = BUS_ATTR_RW("config_time", config_time_show, config_time_store);

function ap_max_domain_id_show(_bus: bus_type, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", s.ap_max_domain_id);
}
const bus_attr_ap_max_domain_id = BUS_ATTR_RO("ap_max_domain_id", ap_max_domain_id_show);

function ap_max_adapter_id_show(_bus: bus_type, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", s.ap_max_adapter_id);
}
const bus_attr_ap_max_adapter_id = BUS_ATTR_RO("ap_max_adapter_id", ap_max_adapter_id_show);

function* apmask_show(_bus: bus_type, buf: sysfs_buf): Sleeps<number> {
  if (yield* mutex_lock_interruptible(ap_bus.ap_perms_mutex)) return -ERESTARTSYS;
  const rc = sysfs_emit(buf, "%s\n", mask_text(ap_bus.ap_perms.apm));
  mutex_unlock(ap_bus.ap_perms_mutex);

  return rc;
}

function* __verify_card_reservations(drv: device_driver, newapm: bitmap): Sleeps<number> {
  const ap_drv = to_ap_drv(drv);
  let rc = 0;

  // The callback must not go away while it runs
  if (!try_module_get(drv.owner)) return 0;

  if (ap_drv.in_use) {
    rc = yield* ap_drv.in_use(newapm, ap_bus.ap_perms.aqm);
    if (rc) rc = -EBUSY;
  }

  module_put(drv.owner);

  return rc;
}

function* apmask_commit(newapm: bitmap): Sleeps<number> {
  const reserved = new_bitmap(AP_DEVICES);

  if (bitmap_andnot(reserved, newapm, ap_bus.ap_perms.apm, AP_DEVICES)) {
    const rc = yield* bus_for_each_drv(s.ap_bus_type, null, reserved, __verify_card_reservations);
    if (rc) return rc;
  }

  bitmap_copy(ap_bus.ap_perms.apm, newapm, AP_DEVICES);

  return 0;
}

function* apmask_store(_bus: bus_type, buf: string, count: number): Sleeps<number> {
  const newapm = new_bitmap(AP_DEVICES);
  let changes = false;

  if (yield* mutex_lock_interruptible(ap_bus.ap_perms_mutex)) return -ERESTARTSYS;

  let rc = ap_parse_bitmap_str(buf, ap_bus.ap_perms.apm, AP_DEVICES, newapm);
  if (!rc) {
    changes = !bitmap_equal(ap_bus.ap_perms.apm, newapm, AP_DEVICES);
    if (changes) rc = yield* apmask_commit(newapm);
  }
  mutex_unlock(ap_bus.ap_perms_mutex);
  if (rc) return rc;

  if (changes) {
    yield* ap_bus_revise_bindings();
    yield* ap_send_mask_changed_uevent(newapm, null);
  }

  return count;
}
const bus_attr_apmask = BUS_ATTR_RW("apmask", apmask_show, apmask_store);

function* aqmask_show(_bus: bus_type, buf: sysfs_buf): Sleeps<number> {
  if (yield* mutex_lock_interruptible(ap_bus.ap_perms_mutex)) return -ERESTARTSYS;
  const rc = sysfs_emit(buf, "%s\n", mask_text(ap_bus.ap_perms.aqm));
  mutex_unlock(ap_bus.ap_perms_mutex);

  return rc;
}

function* __verify_queue_reservations(drv: device_driver, newaqm: bitmap): Sleeps<number> {
  const ap_drv = to_ap_drv(drv);
  let rc = 0;

  // The callback must not go away while it runs
  if (!try_module_get(drv.owner)) return 0;

  if (ap_drv.in_use) {
    rc = yield* ap_drv.in_use(ap_bus.ap_perms.apm, newaqm);
    if (rc) rc = -EBUSY;
  }

  module_put(drv.owner);

  return rc;
}

function* aqmask_commit(newaqm: bitmap): Sleeps<number> {
  const reserved = new_bitmap(AP_DOMAINS);

  if (bitmap_andnot(reserved, newaqm, ap_bus.ap_perms.aqm, AP_DOMAINS)) {
    const rc = yield* bus_for_each_drv(s.ap_bus_type, null, reserved, __verify_queue_reservations);
    if (rc) return rc;
  }

  bitmap_copy(ap_bus.ap_perms.aqm, newaqm, AP_DOMAINS);

  return 0;
}

function* aqmask_store(_bus: bus_type, buf: string, count: number): Sleeps<number> {
  const newaqm = new_bitmap(AP_DOMAINS);
  let changes = false;

  if (yield* mutex_lock_interruptible(ap_bus.ap_perms_mutex)) return -ERESTARTSYS;

  let rc = ap_parse_bitmap_str(buf, ap_bus.ap_perms.aqm, AP_DOMAINS, newaqm);
  if (!rc) {
    changes = !bitmap_equal(ap_bus.ap_perms.aqm, newaqm, AP_DOMAINS);
    if (changes) rc = yield* aqmask_commit(newaqm);
  }
  mutex_unlock(ap_bus.ap_perms_mutex);
  if (rc) return rc;

  if (changes) {
    yield* ap_bus_revise_bindings();
    yield* ap_send_mask_changed_uevent(null, newaqm);
  }

  return count;
}
const bus_attr_aqmask = BUS_ATTR_RW("aqmask", aqmask_show, aqmask_store);

function scans_show(_bus: bus_type, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%llu\n", atomic64_read(s.ap_scan_bus_count));
}
function* scans_store(_bus: bus_type, _buf: string, count: number): Sleeps<number> {
  AP_DBF_INFO("%s force AP bus rescan\n", "scans_store");

  yield* ap_bus_force_rescan();

  return count;
}
const bus_attr_scans = BUS_ATTR_RW("scans", scans_show, scans_store);

function* bindings_show(_bus: bus_type, buf: sysfs_buf): Sleeps<number> {
  const { apqns, bound: n } = yield* ap_calc_bound_apqns();
  if (atomic64_read(s.ap_scan_bus_count) >= 1n && n === apqns) return sysfs_emit(buf, "%u/%u (complete)\n", n, apqns);
  return sysfs_emit(buf, "%u/%u\n", n, apqns);
}
const bus_attr_bindings = BUS_ATTR_RO("bindings", bindings_show);

const ap_bus_groups = ATTRIBUTE_GROUPS([
  bus_attr_ap_domain.attr,
  bus_attr_ap_control_domain_mask.attr,
  bus_attr_ap_usage_domain_mask.attr,
  bus_attr_ap_adapter_mask.attr,
  bus_attr_config_time.attr,
  bus_attr_ap_max_domain_id.attr,
  bus_attr_ap_max_adapter_id.attr,
  bus_attr_apmask.attr,
  bus_attr_aqmask.attr,
  bus_attr_scans.attr,
  bus_attr_bindings.attr,
]);

/* The first domain that has a queue which answers. */
function* ap_select_domain(): Spins {
  yield* spin_lock_bh(s.ap_domain_lock);
  out: {
    if (ap_bus.ap_domain_index >= 0) break out;
    let dom = 0;
    for (; dom <= s.ap_max_domain_id; dom++) {
      if (!ap_test_config_usage_domain(dom) || !test_bit_inv(dom, ap_bus.ap_perms.aqm)) continue;
      let card = 0;
      for (; card <= s.ap_max_adapter_id; card++) {
        if (!ap_test_config_card_id(card) || !test_bit_inv(card, ap_bus.ap_perms.apm)) continue;
        const status = ap_test_queue(AP_MKQID(card, dom), ap_apft_available(), null);
        if (status.response_code === AP_RESPONSE_NORMAL) break;
      }
      if (card <= s.ap_max_adapter_id) break;
    }
    if (dom <= s.ap_max_domain_id) {
      ap_bus.ap_domain_index = dom;
      AP_DBF_INFO("%s new default domain is %d\n", "ap_select_domain", ap_bus.ap_domain_index);
    }
  }
  yield* spin_unlock_bh(s.ap_domain_lock);
}

/* Types beyond CEX8 would be asked for with QACT, which this machine does not have. */
function ap_get_compatible_type(qid: ap_qid_t, rawtype: number, _func: number): number {
  if (rawtype < AP_DEVICE_TYPE_CEX2A) {
    AP_DBF_WARN(
      "%s queue=%02x.%04x unsupported type %d\n",
      "ap_get_compatible_type",
      AP_QID_CARD(qid),
      AP_QID_QUEUE(qid),
      rawtype,
    );
    return 0;
  }
  if (rawtype <= AP_DEVICE_TYPE_CEX8) return rawtype;
  AP_DBF_WARN(
    "%s queue=%02x.%04x unable to map type %d\n",
    "ap_get_compatible_type",
    AP_QID_CARD(qid),
    AP_QID_QUEUE(qid),
    rawtype,
  );
  return 0;
}

function __match_card_device_with_id(dev: device, id: number): boolean {
  return is_card_dev(dev) && to_ap_card(dev).id === id;
}

function __match_queue_device_with_qid(dev: device, qid: number): boolean {
  return is_queue_dev(dev) && to_ap_queue(dev).qid === qid;
}

function __match_queue_device_with_queue_id(dev: device, queue: number): boolean {
  return is_queue_dev(dev) && AP_QID_QUEUE(to_ap_queue(dev).qid) === queue;
}

function* __drv_notify_config_changed(drv: device_driver, _data: null): Sleeps<number> {
  const ap_drv = to_ap_drv(drv);

  if (try_module_get(drv.owner)) {
    if (ap_drv.on_config_changed) yield* ap_drv.on_config_changed(s.ap_qci_info, s.ap_qci_info_old);
    module_put(drv.owner);
  }

  return 0;
}

function* notify_config_changed(): Sleeps {
  yield* bus_for_each_drv(s.ap_bus_type, null, null, __drv_notify_config_changed);
}

function* __drv_notify_scan_complete(drv: device_driver, _data: null): Sleeps<number> {
  const ap_drv = to_ap_drv(drv);

  if (try_module_get(drv.owner)) {
    if (ap_drv.on_scan_complete) yield* ap_drv.on_scan_complete(s.ap_qci_info, s.ap_qci_info_old);
    module_put(drv.owner);
  }

  return 0;
}

function* notify_scan_complete(): Sleeps {
  yield* bus_for_each_drv(s.ap_bus_type, null, null, __drv_notify_scan_complete);
}

function* ap_scan_rm_card_dev_and_queue_devs(ac: ap_card): Sleeps {
  yield* bus_for_each_dev(s.ap_bus_type, null, ac.id, __ap_queue_devices_with_id_unregister);
  yield* device_unregister(ac.ap_dev.device);
}

/* State changes of a queue that has a device already. @return whether user space is to be told about its configuration */
function* ap_scan_queue_state(aq: ap_queue, decfg: boolean, chkstop: boolean): Spins<boolean> {
  let told = false;
  const used = (): boolean => aq.dev_state > AP_DEV_STATE_UNINITIATED;
  yield* spin_lock_bh(aq.lock);
  if (chkstop && !aq.chkstop) {
    aq.chkstop = true;
    if (used()) {
      aq.dev_state = AP_DEV_STATE_ERROR;
      aq.last_err_rc = AP_RESPONSE_CHECKSTOPPED;
    }
  } else if (!chkstop && aq.chkstop) {
    aq.chkstop = false;
    if (used()) aq.dev_state = AP_DEV_STATE_OPERATING;
  } else if (decfg && aq.config) {
    aq.config = false;
    if (used()) {
      aq.dev_state = AP_DEV_STATE_ERROR;
      aq.last_err_rc = AP_RESPONSE_DECONFIGURED;
    }
    told = true;
  } else if (!decfg && !aq.config) {
    aq.config = true;
    if (used()) aq.dev_state = AP_DEV_STATE_OPERATING;
    told = true;
  }
  yield* spin_unlock_bh(aq.lock);
  return told;
}

function* ap_scan_domains(ac: ap_card): Sleeps {
  for (let dom = 0; dom <= s.ap_max_domain_id; dom++) {
    const qid = AP_MKQID(ac.id, dom);
    let dev = yield* bus_find_device(s.ap_bus_type, null, qid, __match_queue_device_with_qid);
    let aq = dev ? to_ap_queue(dev) : null;
    if (!ap_test_config_usage_domain(dom)) {
      if (dev) {
        AP_DBF_INFO("%s(%d,%d) not in config anymore, rm queue dev\n", "ap_scan_domains", ac.id, dom);
        yield* device_unregister(dev);
        yield* put_device(dev);
      }
      continue;
    }
    const info = ap_queue_info(qid);
    if (!info) {
      if (aq) {
        AP_DBF_INFO("%s(%d,%d) queue_info() failed, rm queue dev\n", "ap_scan_domains", ac.id, dom);
        yield* device_unregister(dev!);
        yield* put_device(dev);
      }
      continue;
    }
    if (!aq) {
      aq = ap_queue_create(qid, ac.ap_dev.device_type);
      if (!aq) {
        AP_DBF_WARN("%s(%d,%d) ap_queue_create() failed\n", "ap_scan_domains", ac.id, dom);
        continue;
      }
      aq.card = ac;
      aq.config = !info.decfg;
      aq.chkstop = info.cstop;
      dev = aq.ap_dev.device;
      dev.bus = s.ap_bus_type;
      dev.parent = ac.ap_dev.device;
      dev_set_name(dev, "%02x.%04x", ac.id, dom);
      const rc = yield* device_register(dev);
      if (rc) {
        AP_DBF_WARN("%s(%d,%d) device_register() failed\n", "ap_scan_domains", ac.id, dom);
      } else {
        get_device(dev);
        const how = info.decfg ? " (decfg)" : info.cstop ? " (chkstop)" : "";
        AP_DBF_INFO("%s(%d,%d) new%s queue dev created\n", "ap_scan_domains", ac.id, dom, how);
      }
    } else if (yield* ap_scan_queue_state(aq, info.decfg, info.cstop)) {
      yield* ap_send_config_uevent(aq.ap_dev, aq.config);
    }
    yield* put_device(dev);
  }
}

function* ap_scan_adapter(ap: number): Sleeps {
  let dev = yield* bus_find_device(s.ap_bus_type, null, ap, __match_card_device_with_id);
  let ac = dev ? to_ap_card(dev) : null;

  if (!ap_test_config_card_id(ap)) {
    if (ac) {
      AP_DBF_INFO("%s(%d) ap not in config any more, rm card and queue devs\n", "ap_scan_adapter", ap);
      yield* ap_scan_rm_card_dev_and_queue_devs(ac);
      yield* put_device(dev);
    }
    return;
  }

  // A queue that answers tells about the adapter
  let info: queue_info | null = null;
  let qid = 0;
  for (let dom = 0; dom <= s.ap_max_domain_id && !info; dom++)
    if (ap_test_config_usage_domain(dom)) {
      qid = AP_MKQID(ap, dom);
      info = ap_queue_info(qid);
    }
  if (!info) {
    if (ac) {
      AP_DBF_INFO("%s(%d) no type info (no APQN found), rm card and queue devs\n", "ap_scan_adapter", ap);
      yield* ap_scan_rm_card_dev_and_queue_devs(ac);
      yield* put_device(dev);
    } else AP_DBF_DBG("%s(%d) no type info (no APQN found), ignored\n", "ap_scan_adapter", ap);
    return;
  }
  if (!info.type) {
    if (ac) {
      AP_DBF_INFO("%s(%d) no valid type (0) info, rm card and queue devs\n", "ap_scan_adapter", ap);
      yield* ap_scan_rm_card_dev_and_queue_devs(ac);
      yield* put_device(dev);
    } else AP_DBF_DBG("%s(%d) no valid type (0) info, ignored\n", "ap_scan_adapter", ap);
    return;
  }

  if (ac) {
    if (ac.raw_hwtype !== info.type) {
      AP_DBF_INFO("%s(%d) hwtype %d changed, rm card and queue devs\n", "ap_scan_adapter", ap, info.type);
      yield* ap_scan_rm_card_dev_and_queue_devs(ac);
      yield* put_device(dev);
      ac = null;
    } else if (ac.functions !== info.fac) {
      AP_DBF_INFO("%s(%d) functions 0x%08x changed, rm card and queue devs\n", "ap_scan_adapter", ap, info.type);
      yield* ap_scan_rm_card_dev_and_queue_devs(ac);
      yield* put_device(dev);
      ac = null;
    } else {
      if (info.cstop && !ac.chkstop) {
        ac.chkstop = true;
        AP_DBF_INFO("%s(%d) card dev checkstop on\n", "ap_scan_adapter", ap);
      } else if (!info.cstop && ac.chkstop) {
        ac.chkstop = false;
        AP_DBF_INFO("%s(%d) card dev checkstop off\n", "ap_scan_adapter", ap);
      }
      if (info.decfg && ac.config) {
        ac.config = false;
        AP_DBF_INFO("%s(%d) card dev config off\n", "ap_scan_adapter", ap);
        yield* ap_send_config_uevent(ac.ap_dev, ac.config);
      } else if (!info.decfg && !ac.config) {
        ac.config = true;
        AP_DBF_INFO("%s(%d) card dev config on\n", "ap_scan_adapter", ap);
        yield* ap_send_config_uevent(ac.ap_dev, ac.config);
      }
    }
  }

  if (!ac) {
    const comp_type = ap_get_compatible_type(qid, info.type, info.fac);
    if (!comp_type) {
      AP_DBF_WARN("%s(%d) type %d, can't get compatibility type\n", "ap_scan_adapter", ap, info.type);
      return;
    }
    ac = ap_card_create(ap, info.depth, info.type, comp_type, info.fac, info.ml);
    if (!ac) {
      AP_DBF_WARN("%s(%d) ap_card_create() failed\n", "ap_scan_adapter", ap);
      return;
    }
    ac.config = !info.decfg;
    ac.chkstop = info.cstop;
    dev = ac.ap_dev.device;
    dev.bus = s.ap_bus_type;
    dev.parent = s.ap_root_device;
    dev_set_name(dev, "card%02x", ap);
    if (ac.maxmsgsize > atomic_read(ap_bus.ap_max_msg_size)) {
      atomic_set(ap_bus.ap_max_msg_size, ac.maxmsgsize);
      AP_DBF_INFO("%s(%d) ap_max_msg_size update to %d byte\n", "ap_scan_adapter", ap, ac.maxmsgsize);
    }
    const rc = yield* device_register(dev);
    if (rc) {
      AP_DBF_WARN("%s(%d) device_register() failed\n", "ap_scan_adapter", ap);
      yield* put_device(dev);
      return;
    }
    get_device(dev);
    const how = info.decfg ? " (decfg)" : info.cstop ? " (chkstop)" : "";
    AP_DBF_INFO("%s(%d) new%s card dev type=%d func=0x%08x created\n", "ap_scan_adapter", ap, how, info.type, info.fac);
  }

  yield* ap_scan_domains(ac);

  yield* put_device(ac.ap_dev.device);
}

/* @return whether QCI says something else than last time */
function ap_get_configuration(): boolean {
  if (!s.ap_qci_info) return false;

  copy_struct(s.ap_qci_info_old!, s.ap_qci_info);
  ap_fetch_qci_info(s.ap_qci_info);

  const [now, old] = [s.ap_qci_info, s.ap_qci_info_old!];
  return (
    now.Na !== old.Na ||
    now.Nd !== old.Nd ||
    !bitmap_equal(now.apm, old.apm, AP_DEVICES) ||
    !bitmap_equal(now.aqm, old.aqm, AP_DOMAINS) ||
    !bitmap_equal(now.adm, old.adm, AP_DOMAINS)
  );
}

function* ap_scan_bus(_unused: work_struct): Sleeps {
  const config_changed = ap_get_configuration();
  if (config_changed) yield* notify_config_changed();
  yield* ap_select_domain();

  AP_DBF_DBG("%s running\n", "ap_scan_bus");

  for (let ap = 0; ap <= s.ap_max_adapter_id; ap++) yield* ap_scan_adapter(ap);

  if (config_changed) yield* notify_scan_complete();

  if (ap_bus.ap_domain_index >= 0) {
    const dev = yield* bus_find_device(s.ap_bus_type, null, ap_bus.ap_domain_index, __match_queue_device_with_queue_id);
    if (dev) yield* put_device(dev);
    else AP_DBF_INFO("%s no queue device with default domain %d available\n", "ap_scan_bus", ap_bus.ap_domain_index);
  }

  if (atomic64_add_return(1n, s.ap_scan_bus_count) === 1n) {
    AP_DBF_DBG("%s init scan complete\n", "ap_scan_bus");
    yield* ap_send_init_scan_done_uevent();
    yield* ap_check_bindings_complete();
  }

  mod_timer(s.ap_config_timer, jiffies() + s.ap_config_time * HZ);
}

function ap_config_timeout(_unused: timer_list): void {
  queue_work(system_long_wq, s.ap_scan_work);
}

function* ap_debug_init(): Sleeps<number> {
  ap_bus.ap_dbf_info = yield* debug_register("ap", 2, 1, DBF_MAX_SPRINTF_ARGS * 8);
  debug_register_view(ap_bus.ap_dbf_info, debug_sprintf_view);
  debug_set_level(ap_bus.ap_dbf_info, DBF_ERR);

  return 0;
}

function ap_perms_init(): void {
  bitmap_fill(ap_bus.ap_perms.apm, AP_DEVICES);
  bitmap_fill(ap_bus.ap_perms.aqm, AP_DOMAINS);
}

function* ap_module_init(): Sleeps<number> {
  if (!ap_instructions_available()) {
    pr_warn("ap: The hardware system does not support AP instructions\n");
    return -ENODEV;
  }

  let rc = yield* ap_debug_init();
  if (rc) return rc;

  ap_perms_init();

  ap_init_qci_info();

  out: {
    rc = yield* bus_register(s.ap_bus_type);
    if (rc) break out;

    out_bus: {
      s.ap_root_device = yield* root_device_register("ap", null);
      rc = IS_ERR(s.ap_root_device) ? PTR_ERR(s.ap_root_device) : 0;
      if (rc) break out_bus;
      s.ap_root_device.bus = s.ap_bus_type;

      timer_setup(s.ap_config_timer, ap_config_timeout, 0);

      queue_work(system_long_wq, s.ap_scan_work);

      return 0;
    }
    yield* bus_unregister(s.ap_bus_type);
  }
  kfree(s.ap_qci_info);
  return rc;
}
device_initcall(on_s390(ap_module_init));
