// SPDX-License-Identifier: GPL-2.0-only
/**
 * Devices and drivers finding each other and parting. Source: drivers/base/dd.c
 *
 * Not here: asynchronous probing (all is synchronous), device links, pin control, power domains,
 * sync_state, device coredumps, the time limit of deferred probes.
 */
import {
  BUS_NOTIFY_BIND_DRIVER,
  BUS_NOTIFY_BOUND_DRIVER,
  BUS_NOTIFY_DRIVER_NOT_BOUND,
  BUS_NOTIFY_UNBIND_DRIVER,
  BUS_NOTIFY_UNBOUND_DRIVER,
  bus_for_each_dev,
  bus_for_each_drv,
  dev_crit,
  dev_err,
  dev_name,
  dev_set_drvdata,
  type device,
  device_add_groups,
  type device_driver,
  device_is_registered,
  device_lock,
  device_remove_groups,
  device_unlock,
  get_device,
  put_device,
} from "#linux/device.ts";
import { EBUSY, ENODEV, ENXIO, EAGAIN, EPROBE_DEFER } from "#linux/errno.ts";
import { atomic_dec, atomic_inc, atomic_read, atomic_t } from "#linux/atomic.ts";
import { kbuild } from "#linux/export.ts";
import { late_initcall } from "#linux/init.ts";
import { klist_add_tail, klist_node, klist_node_attached, klist_remove } from "#linux/klist.ts";
import { KOBJ_BIND, KOBJ_UNBIND, kobject_name, kobject_uevent } from "#linux/kobject.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_head } from "#linux/list.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { blocking_notifier_call_chain } from "#linux/notifier.ts";
import {
  pm_request_idle,
  pm_runtime_barrier,
  pm_runtime_get_sync,
  pm_runtime_put,
  pm_runtime_put_sync,
  pm_runtime_reinit,
} from "#linux/pm_runtime.ts";
import { pr_err, pr_warn } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import { sysfs_create_link, sysfs_remove_link } from "#linux/sysfs.ts";
import { container_of, type Sleeps } from "#linux/types.ts";
import { init_waitqueue_head, wait_event, wait_queue_head, wake_up_all } from "#linux/wait.ts";
import { flush_work, INIT_WORK, schedule_work, work_struct } from "#linux/workqueue.ts";
import { device_private, driver_match_device, to_device_private_driver } from "./base.ts";
import { bus_probe_device } from "./bus.ts";
import { devres_release_all } from "./devres.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => {
  const made = {
    deferred_probe_mutex: new mutex(),
    deferred_probe_pending_list: new list_head(),
    deferred_probe_active_list: new list_head(),
    deferred_trigger_count: 0,
    deferred_probe_work: new work_struct(),
    driver_deferred_probe_enable: false,
    defer_all_probes: false,
    probe_count: new atomic_t(),
    probe_waitqueue: new wait_queue_head(),
  };
  mutex_init(made.deferred_probe_mutex, "deferred_probe_mutex");
  INIT_LIST_HEAD(made.deferred_probe_pending_list);
  INIT_LIST_HEAD(made.deferred_probe_active_list);
  INIT_WORK(made.deferred_probe_work, deferred_probe_work_func);
  init_waitqueue_head(made.probe_waitqueue, "probe_waitqueue");
  return made;
});

function* deferred_probe_work_func(): Sleeps {
  yield* mutex_lock(s.deferred_probe_mutex);
  while (!list_empty(s.deferred_probe_active_list)) {
    const priv = container_of(s.deferred_probe_active_list.next, device_private, "deferred_probe");
    const dev = priv.device!;
    list_del_init(priv.deferred_probe);
    // The mutex is dropped: only the reference keeps the device.
    get_device(dev);
    mutex_unlock(s.deferred_probe_mutex);
    yield* bus_probe_device(dev);
    yield* mutex_lock(s.deferred_probe_mutex);
    yield* put_device(dev);
  }
  mutex_unlock(s.deferred_probe_mutex);
}

/** Has the device probed again when some other probe succeeds. May sleep. */
export function* driver_deferred_probe_add(dev: device): Sleeps {
  if (!dev.can_match) return;
  yield* mutex_lock(s.deferred_probe_mutex);
  if (list_empty(dev.p!.deferred_probe)) list_add_tail(dev.p!.deferred_probe, s.deferred_probe_pending_list);
  mutex_unlock(s.deferred_probe_mutex);
}
/** May sleep. The mutex is taken only if there is something to do: C takes it always. */
export function* driver_deferred_probe_del(dev: device): Sleeps {
  if (list_empty(dev.p!.deferred_probe)) return;
  yield* mutex_lock(s.deferred_probe_mutex);
  if (!list_empty(dev.p!.deferred_probe)) list_del_init(dev.p!.deferred_probe);
  mutex_unlock(s.deferred_probe_mutex);
}

/** Probes what was deferred, from a worker. May sleep. Without anything deferred it does nothing: C wakes the worker for that. */
function* driver_deferred_probe_trigger(): Sleeps {
  if (!s.driver_deferred_probe_enable) return;
  s.deferred_trigger_count++;
  if (list_empty(s.deferred_probe_pending_list)) return;
  yield* mutex_lock(s.deferred_probe_mutex);
  while (!list_empty(s.deferred_probe_pending_list)) {
    const first = s.deferred_probe_pending_list.next!;
    list_del_init(first);
    list_add_tail(first, s.deferred_probe_active_list);
  }
  mutex_unlock(s.deferred_probe_mutex);
  schedule_work(s.deferred_probe_work);
}

/** From here on every probe is deferred, for good. May sleep until those in progress have ended. */
export function* device_block_probing(): Sleeps {
  s.defer_all_probes = true;
  yield* wait_for_device_probe();
}

function* deferred_probe_initcall(): Sleeps<number> {
  s.driver_deferred_probe_enable = true;
  yield* driver_deferred_probe_trigger();
  return 0;
}
late_initcall(deferred_probe_initcall);

export function device_is_bound(dev: device): boolean {
  return dev.p !== null && klist_node_attached(dev.p.knode_driver);
}
EXPORT_SYMBOL_GPL(device_is_bound);

function* notify(dev: device, action: number): Sleeps {
  if (dev.bus) yield* blocking_notifier_call_chain(dev.bus.p!.bus_notifier, action, dev);
}

function* driver_bound(dev: device): Sleeps {
  if (device_is_bound(dev)) {
    pr_warn("%s: device %s already bound\n", "driver_bound", kobject_name(dev.kobj));
    return;
  }
  yield* klist_add_tail(dev.p!.knode_driver, dev.driver!.p!.klist_devices);
  yield* driver_deferred_probe_del(dev);
  yield* driver_deferred_probe_trigger();
  yield* notify(dev, BUS_NOTIFY_BOUND_DRIVER);
  yield* kobject_uevent(dev.kobj, KOBJ_BIND);
}

function* driver_sysfs_add(dev: device): Sleeps<number> {
  yield* notify(dev, BUS_NOTIFY_BIND_DRIVER);
  const drv = dev.driver!.p!;
  let ret = yield* sysfs_create_link(drv.kobj, dev.kobj, kobject_name(dev.kobj)!);
  if (ret) return ret;
  ret = yield* sysfs_create_link(dev.kobj, drv.kobj, "driver");
  if (ret) yield* sysfs_remove_link(drv.kobj, kobject_name(dev.kobj)!);
  return ret;
}
function* driver_sysfs_remove(dev: device): Sleeps {
  const drv = dev.driver;
  if (!drv) return;
  yield* sysfs_remove_link(drv.p!.kobj, kobject_name(dev.kobj)!);
  yield* sysfs_remove_link(dev.kobj, "driver");
}

/** Binds a device to dev.driver without asking anybody. device_lock held. @return 0 or -errno. May sleep */
export function* device_bind_driver(dev: device): Sleeps<number> {
  const ret = yield* driver_sysfs_add(dev);
  if (!ret) yield* driver_bound(dev);
  else yield* notify(dev, BUS_NOTIFY_DRIVER_NOT_BOUND);
  return ret;
}
EXPORT_SYMBOL_GPL(device_bind_driver);

function* device_unbind_cleanup(dev: device): Sleeps {
  yield* devres_release_all(dev);
  dev.driver = null;
  dev_set_drvdata(dev, null);
  yield* pm_runtime_reinit(dev);
}

function* device_remove(dev: device): Sleeps {
  yield* device_remove_groups(dev, dev.driver!.dev_groups);
  if (dev.bus?.remove) yield* either(dev.bus.remove(dev));
  else if (dev.driver!.remove) yield* either(dev.driver!.remove(dev));
}

function* call_driver_probe(dev: device, drv: device_driver): Sleeps<number> {
  let ret = 0;
  if (dev.bus!.probe) ret = yield* either(dev.bus!.probe(dev));
  else if (drv.probe) ret = yield* either(drv.probe(dev));
  // These three are said at debug level only.
  if (ret !== 0 && ret !== -EPROBE_DEFER && ret !== -ENODEV && ret !== -ENXIO)
    pr_warn("%s: probe of %s failed with error %d\n", drv.name, dev_name(dev), ret);
  return ret;
}

/** @return 0, a positive errno from the probe itself, or a negative one from around it */
function* really_probe(dev: device, drv: device_driver): Sleeps<number> {
  if (s.defer_all_probes) return -EPROBE_DEFER;
  let ret: number;
  if (!list_empty(dev.devres_head)) {
    dev_crit(dev, "Resources present before probing\n");
    return -EBUSY;
  }
  dev.driver = drv;
  pinctrl_bind_failed: {
    if (dev.bus!.dma_configure) {
      ret = yield* either(dev.bus!.dma_configure(dev));
      if (ret) break pinctrl_bind_failed;
    }
    sysfs_failed: {
      ret = yield* driver_sysfs_add(dev);
      if (ret) {
        pr_err("%s: driver_sysfs_add(%s) failed\n", "really_probe", dev_name(dev));
        break sysfs_failed;
      }
      probe_failed: {
        ret = yield* call_driver_probe(dev, drv);
        if (ret) {
          // Positive, so that callers can tell it from other errors.
          ret = -ret;
          break probe_failed;
        }
        ret = yield* device_add_groups(dev, drv.dev_groups);
        if (!ret) {
          yield* driver_bound(dev);
          return 0;
        }
        dev_err(dev, "device_add_groups() failed\n");
        yield* device_remove(dev);
      }
      yield* driver_sysfs_remove(dev);
    }
    yield* notify(dev, BUS_NOTIFY_DRIVER_NOT_BOUND);
    if (dev.bus?.dma_cleanup) yield* either(dev.bus.dma_cleanup(dev));
  }
  yield* device_unbind_cleanup(dev);
  return ret;
}

/** @return 0, -EBUSY while probes are in progress */
export function driver_probe_done(): number {
  return atomic_read(s.probe_count) ? -EBUSY : 0;
}
/** Waits until no probe is in progress. May sleep. */
export function* wait_for_device_probe(): Sleeps {
  yield* flush_work(s.deferred_probe_work);
  yield* wait_event(s.probe_waitqueue, () => atomic_read(s.probe_count) === 0);
}
EXPORT_SYMBOL_GPL(wait_for_device_probe);

function* __driver_probe_device(drv: device_driver, dev: device): Sleeps<number> {
  if (dev.p!.dead || !device_is_registered(dev)) return -ENODEV;
  if (dev.driver) return -EBUSY;
  dev.can_match = true;

  if (dev.parent) yield* pm_runtime_get_sync(dev.parent);

  yield* pm_runtime_barrier(dev);
  const ret = yield* really_probe(dev, drv);
  yield* pm_request_idle(dev);

  if (dev.parent) yield* pm_runtime_put(dev.parent);
  return ret;
}

/** device_lock held. @return as really_probe(), -ENODEV for a device that is not or no longer there, -EBUSY for a bound one */
function* driver_probe_device(drv: device_driver, dev: device): Sleeps<number> {
  const trigger_count = s.deferred_trigger_count;
  atomic_inc(s.probe_count);
  const ret = yield* __driver_probe_device(drv, dev);
  if (ret === -EPROBE_DEFER || ret === EPROBE_DEFER) {
    yield* driver_deferred_probe_add(dev);
    // What it waits for may have come meanwhile.
    if (trigger_count !== s.deferred_trigger_count && !s.defer_all_probes) yield* driver_deferred_probe_trigger();
  }
  atomic_dec(s.probe_count);
  yield* wake_up_all(s.probe_waitqueue);
  return ret;
}

function* __device_attach_driver(drv: device_driver, dev: device): Sleeps<number> {
  let ret = yield* driver_match_device(drv, dev);
  if (ret === 0) return 0;
  if (ret === -EPROBE_DEFER) {
    dev.can_match = true;
    yield* driver_deferred_probe_add(dev);
    // No other driver may have it now.
    return ret;
  }
  if (ret < 0) return ret;
  // An error of the probe lets the next driver try its luck.
  ret = yield* driver_probe_device(drv, dev);
  if (ret < 0) return ret;
  return Number(ret === 0);
}

/** Looks for a driver. @return 1 if the device has one now, 0 if not, -errno. May sleep */
export function* device_attach(dev: device): Sleeps<number> {
  let ret = 0;
  yield* device_lock(dev);
  if (!dev.p!.dead) {
    if (dev.driver) {
      if (device_is_bound(dev)) ret = 1;
      else {
        ret = yield* device_bind_driver(dev);
        if (ret === 0) ret = 1;
        else {
          dev.driver = null;
          ret = 0;
        }
      }
    } else {
      if (dev.parent) yield* pm_runtime_get_sync(dev.parent);

      ret = yield* bus_for_each_drv(dev.bus, null, dev, __device_attach_driver);
      yield* pm_request_idle(dev);

      if (dev.parent) yield* pm_runtime_put(dev.parent);
    }
  }
  device_unlock(dev);
  return ret;
}
EXPORT_SYMBOL_GPL(device_attach);

/** The same for a device that is new. May sleep. */
export function* device_initial_probe(dev: device): Sleeps {
  yield* device_attach(dev);
}

function* __device_driver_lock(dev: device, parent: device | null): Sleeps {
  if (parent && dev.bus!.need_parent_lock) yield* device_lock(parent);
  yield* device_lock(dev);
}
function __device_driver_unlock(dev: device, parent: device | null): void {
  device_unlock(dev);
  if (parent && dev.bus!.need_parent_lock) device_unlock(parent);
}

/** Has this driver probe this device. @return 0 or -errno, -EAGAIN if the probe is deferred. May sleep */
export function* device_driver_attach(drv: device_driver, dev: device): Sleeps<number> {
  yield* __device_driver_lock(dev, dev.parent);
  let ret = yield* __driver_probe_device(drv, dev);
  __device_driver_unlock(dev, dev.parent);
  if (ret > 0) ret = -ret;
  return ret === -EPROBE_DEFER ? -EAGAIN : ret;
}
EXPORT_SYMBOL_GPL(device_driver_attach);

function* __driver_attach(dev: device, drv: device_driver): Sleeps<number> {
  // Always 0: a device that this driver cannot take must not keep it from the others.
  const ret = yield* driver_match_device(drv, dev);
  if (ret === 0) return 0;
  if (ret === -EPROBE_DEFER) {
    dev.can_match = true;
    yield* driver_deferred_probe_add(dev);
    return 0;
  }
  if (ret < 0) return 0;
  yield* __device_driver_lock(dev, dev.parent);
  yield* driver_probe_device(drv, dev);
  __device_driver_unlock(dev, dev.parent);
  return 0;
}
/** Lets a driver have all devices of its bus that match. @return 0. May sleep */
export function driver_attach(drv: device_driver): Sleeps<number> {
  return bus_for_each_dev(drv.bus, null, drv, __driver_attach);
}
EXPORT_SYMBOL_GPL(driver_attach);

/** Locks held. */
function* __device_release_driver(dev: device): Sleeps {
  if (!dev.driver) return;
  yield* pm_runtime_get_sync(dev);

  yield* driver_sysfs_remove(dev);
  yield* notify(dev, BUS_NOTIFY_UNBIND_DRIVER);

  yield* pm_runtime_put_sync(dev);

  yield* device_remove(dev);
  if (dev.bus?.dma_cleanup) yield* either(dev.bus.dma_cleanup(dev));
  yield* device_unbind_cleanup(dev);
  yield* klist_remove(dev.p!.knode_driver);
  yield* notify(dev, BUS_NOTIFY_UNBOUND_DRIVER);
  yield* kobject_uevent(dev.kobj, KOBJ_UNBIND);
}

export function* device_release_driver_internal(dev: device, drv: device_driver | null, parent: device | null): Sleeps {
  yield* __device_driver_lock(dev, parent);
  if (!drv || drv === dev.driver) yield* __device_release_driver(dev);
  __device_driver_unlock(dev, parent);
}
/** Takes a device from its driver. From within the driver's own remove() this waits for ever. May sleep. */
export function device_release_driver(dev: device): Sleeps {
  return device_release_driver_internal(dev, null, null);
}
EXPORT_SYMBOL_GPL(device_release_driver);
/** The same, with the parent's lock if the bus wants that. */
export function device_driver_detach(dev: device): Sleeps {
  return device_release_driver_internal(dev, null, dev.parent);
}

/** Takes all its devices from a driver, the youngest first. May sleep. */
export function* driver_detach(drv: device_driver): Sleeps {
  const { klist_devices } = drv.p!;
  for (;;) {
    yield* spin_lock(klist_devices.k_lock);
    if (list_empty(klist_devices.k_list)) {
      spin_unlock(klist_devices.k_lock);
      break;
    }
    const node = container_of(klist_devices.k_list.prev, klist_node, "n_node");
    const dev = to_device_private_driver(node).device!;
    get_device(dev);
    spin_unlock(klist_devices.k_lock);
    yield* device_release_driver_internal(dev, drv, dev.parent);
    yield* put_device(dev);
  }
}
