// SPDX-License-Identifier: GPL-2.0-only
/**
 * Runtime power management: devices that nobody uses are suspended, and woken before they are used. Source:
 * drivers/base/power/runtime.c
 *
 * Not here: autosuspend and its timer (RPM_AUTO means no delay), callbacks that may run with interrupts off, devices without
 * callbacks, suppliers, power domains, wakeup interrupts, QoS, tracepoints.
 */
import {
  atomic_add_unless,
  atomic_inc,
  atomic_inc_not_zero,
  atomic_read,
  atomic_set,
  atomic_sub_return,
} from "#linux/atomic.ts";
import { dev_err, dev_name, dev_warn, type device } from "#linux/device.ts";
import { EACCES, EAGAIN, EBUSY, EINPROGRESS, EINVAL, EIO, ENOSYS } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { kconfig } from "#linux/kconfig.ts";
import { might_sleep } from "#linux/kernel.ts";
import { ktime_get_ns } from "#linux/ktime.ts";
import {
  dev_pm_info,
  type dev_pm_ops,
  type pm_callback,
  RPM_ACTIVE,
  RPM_INVALID,
  RPM_REQ_AUTOSUSPEND,
  RPM_REQ_IDLE,
  RPM_REQ_NONE,
  RPM_REQ_RESUME,
  RPM_REQ_SUSPEND,
  RPM_RESUMING,
  RPM_SUSPENDED,
  RPM_SUSPENDING,
} from "#linux/pm.ts";
import {
  pm_request_idle,
  pm_runtime_enabled,
  pm_runtime_get_noresume,
  pm_runtime_put,
  pm_runtime_put_noidle,
  pm_runtime_set_suspended,
  pm_suspend_ignore_children,
  pm_wq,
  RPM_ASYNC,
  RPM_AUTO,
  RPM_GET_PUT,
  RPM_NOWAIT,
} from "#linux/pm_runtime.ts";
import { either, schedule, TASK_UNINTERRUPTIBLE } from "#linux/sched.ts";
import {
  spin_lock,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_lock_nested,
  spin_unlock,
  spin_unlock_irq,
  spin_unlock_irqrestore,
} from "#linux/spinlock.ts";
import { atomic_context, container_of, READY, ready_int, type Sleeps, type Spins } from "#linux/types.ts";
import { DEFINE_WAIT, finish_wait, init_waitqueue_head, prepare_to_wait, wake_up_all } from "#linux/wait.ts";
import { cancel_work_sync, flush_work, INIT_WORK, queue_work, type work_struct } from "#linux/workqueue.ts";
import { device as device_struct } from "#linux/device.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const SINGLE_DEPTH_NESTING = 1;

type rpm_callbacks = "runtime_suspend" | "runtime_resume" | "runtime_idle";

function __rpm_get_callback(dev: device, which: rpm_callbacks): pm_callback | null {
  let ops: dev_pm_ops | null = null;

  if (dev.type?.pm) ops = dev.type.pm;
  else if (dev.class?.pm) ops = dev.class.pm;
  else if (dev.bus?.pm) ops = dev.bus.pm;

  let cb = ops?.[which] ?? null;

  if (!cb && dev.driver?.pm) cb = dev.driver.pm[which] ?? null;

  return cb;
}

function update_pm_runtime_accounting(dev: device): void {
  if (dev.power.disable_depth > 0) return;

  const last = dev.power.accounting_timestamp;
  const now = ktime_get_ns();
  dev.power.accounting_timestamp = now;
  const delta = now - last;

  if (dev.power.runtime_status === RPM_SUSPENDED) dev.power.suspended_time += delta;
  else dev.power.active_time += delta;
}

function __update_runtime_status(dev: device, status: number): void {
  update_pm_runtime_accounting(dev);
  dev.power.runtime_status = status;
}

function* rpm_get_accounted_time(dev: device, suspended: boolean): Spins<number> {
  const flags = yield* spin_lock_irqsave(dev.power.lock);

  update_pm_runtime_accounting(dev);
  const time = suspended ? dev.power.suspended_time : dev.power.active_time;

  yield* spin_unlock_irqrestore(dev.power.lock, flags);

  return time;
}

/** @return how long it was awake, nanoseconds */
export function pm_runtime_active_time(dev: device): Spins<number> {
  return rpm_get_accounted_time(dev, false);
}
/** @return how long it was suspended, nanoseconds */
export function pm_runtime_suspended_time(dev: device): Spins<number> {
  return rpm_get_accounted_time(dev, true);
}
EXPORT_SYMBOL_GPL(pm_runtime_suspended_time);

function pm_runtime_cancel_pending(dev: device): void {
  // The work may be queued: it finds nothing to do.
  dev.power.request = RPM_REQ_NONE;
}

function rpm_check_suspend_allowed(dev: device): number {
  let retval = 0;

  if (dev.power.runtime_error) retval = -EINVAL;
  else if (dev.power.disable_depth > 0) retval = -EACCES;
  else if (atomic_read(dev.power.usage_count)) retval = -EAGAIN;
  else if (!dev.power.ignore_children && atomic_read(dev.power.child_count)) retval = -EBUSY;
  // A resume that is asked for goes first.
  else if (
    (dev.power.deferred_resume && dev.power.runtime_status === RPM_SUSPENDING) ||
    (dev.power.request_pending && dev.power.request === RPM_REQ_RESUME)
  )
    retval = -EAGAIN;
  else if (dev.power.runtime_status === RPM_SUSPENDED) retval = 1;

  return retval;
}

/* The functions from here on are called with power.lock held and interrupts off, and drop both around callbacks. */

function* __rpm_callback(cb: pm_callback | null, dev: device): Sleeps<number> {
  let retval = 0;

  yield* spin_unlock_irq(dev.power.lock);

  if (cb) retval = yield* either(cb(dev));

  yield* spin_lock_irq(dev.power.lock);

  return retval;
}

function* rpm_idle(dev: device, rpmflags: number): Sleeps<number> {
  let retval = rpm_check_suspend_allowed(dev);
  out: {
    if (retval < 0) {
      // Not now
    } else if (dev.power.runtime_status !== RPM_ACTIVE) retval = -EAGAIN;
    else if (dev.power.request_pending && dev.power.request > RPM_REQ_IDLE) retval = -EAGAIN;
    else if (dev.power.idle_notification) retval = -EINPROGRESS;
    if (retval) break out;

    dev.power.request = RPM_REQ_NONE;

    const callback = __rpm_get_callback(dev, "runtime_idle");

    // Nobody to ask: go ahead.
    if (!callback) break out;

    if (rpmflags & RPM_ASYNC) {
      dev.power.request = RPM_REQ_IDLE;
      if (!dev.power.request_pending) {
        dev.power.request_pending = true;
        queue_work(pm_wq()!, dev.power.work);
      }
      return 0;
    }

    dev.power.idle_notification = true;

    yield* spin_unlock_irq(dev.power.lock);

    retval = yield* either(callback(dev));

    yield* spin_lock_irq(dev.power.lock);

    dev.power.idle_notification = false;
    yield* wake_up_all(dev.power.wait_queue);
  }
  return retval ? retval : yield* rpm_suspend(dev, rpmflags | RPM_AUTO);
}

function* rpm_callback(cb: pm_callback | null, dev: device): Sleeps<number> {
  const retval = yield* __rpm_callback(cb, dev);

  dev.power.runtime_error = retval;
  return retval !== -EACCES ? retval : -EIO;
}

/** Waits for the suspend or resume that is in progress on another CPU. */
function* wait_while(dev: device, busy: () => boolean): Sleeps {
  const wait = DEFINE_WAIT();

  for (;;) {
    yield* prepare_to_wait(dev.power.wait_queue, wait, TASK_UNINTERRUPTIBLE);
    if (!busy()) break;

    yield* spin_unlock_irq(dev.power.lock);

    yield* schedule();

    yield* spin_lock_irq(dev.power.lock);
  }
  yield* finish_wait(dev.power.wait_queue, wait);
}
const in_transition = (dev: device): boolean =>
  dev.power.runtime_status === RPM_RESUMING || dev.power.runtime_status === RPM_SUSPENDING;

function* rpm_suspend(dev: device, rpmflags: number): Sleeps<number> {
  for (;;) {
    let retval = rpm_check_suspend_allowed(dev);
    if (retval < 0) return retval;

    // What resumes now is not to be suspended by somebody who waits for it.
    if (dev.power.runtime_status === RPM_RESUMING && !(rpmflags & RPM_ASYNC)) retval = -EAGAIN;
    if (retval) return retval;

    pm_runtime_cancel_pending(dev);

    if (dev.power.runtime_status === RPM_SUSPENDING) {
      if (rpmflags & (RPM_ASYNC | RPM_NOWAIT)) return -EINPROGRESS;

      yield* wait_while(dev, () => dev.power.runtime_status === RPM_SUSPENDING);
      continue;
    }

    if (rpmflags & RPM_ASYNC) {
      dev.power.request = rpmflags & RPM_AUTO ? RPM_REQ_AUTOSUSPEND : RPM_REQ_SUSPEND;
      if (!dev.power.request_pending) {
        dev.power.request_pending = true;
        queue_work(pm_wq()!, dev.power.work);
      }
      return retval;
    }

    __update_runtime_status(dev, RPM_SUSPENDING);

    retval = yield* rpm_callback(__rpm_get_callback(dev, "runtime_suspend"), dev);
    if (retval) {
      __update_runtime_status(dev, RPM_ACTIVE);
      dev.power.deferred_resume = false;
      yield* wake_up_all(dev.power.wait_queue);

      if (retval === -EAGAIN || retval === -EBUSY) dev.power.runtime_error = 0;
      else pm_runtime_cancel_pending(dev);
      return retval;
    }

    __update_runtime_status(dev, RPM_SUSPENDED);

    const { parent } = dev;
    if (parent) atomic_add_unless(parent.power.child_count, -1, 0);
    yield* wake_up_all(dev.power.wait_queue);

    if (dev.power.deferred_resume) {
      dev.power.deferred_resume = false;
      yield* rpm_resume(dev, 0);
      return -EAGAIN;
    }

    // The parent may sleep now as well.
    if (parent && !parent.power.ignore_children) {
      spin_unlock(dev.power.lock);

      yield* spin_lock(parent.power.lock);
      yield* rpm_idle(parent, RPM_ASYNC);
      spin_unlock(parent.power.lock);

      yield* spin_lock(dev.power.lock);
    }
    return retval;
  }
}

function* rpm_resume(dev: device, rpmflags: number): Sleeps<number> {
  let parent: device | null = null;
  let retval = 0;

  out: for (;;) {
    if (dev.power.runtime_error) {
      retval = -EINVAL;
    } else if (dev.power.disable_depth > 0) {
      if (dev.power.runtime_status === RPM_ACTIVE && dev.power.last_status === RPM_ACTIVE) retval = 1;
      else retval = -EACCES;
    }
    if (retval) break;

    dev.power.request = RPM_REQ_NONE;

    if (dev.power.runtime_status === RPM_ACTIVE) {
      retval = 1;
      break;
    }

    if (in_transition(dev)) {
      if (rpmflags & (RPM_ASYNC | RPM_NOWAIT)) {
        if (dev.power.runtime_status === RPM_SUSPENDING) {
          dev.power.deferred_resume = true;
          if (rpmflags & RPM_NOWAIT) retval = -EINPROGRESS;
        } else {
          retval = -EINPROGRESS;
        }
        break;
      }

      yield* wait_while(dev, () => in_transition(dev));
      continue;
    }

    if (rpmflags & RPM_ASYNC) {
      dev.power.request = RPM_REQ_RESUME;
      if (!dev.power.request_pending) {
        dev.power.request_pending = true;
        queue_work(pm_wq()!, dev.power.work);
      }
      retval = 0;
      break;
    }

    if (!parent && dev.parent) {
      // The parent has to be awake, and to stay so.
      parent = dev.parent;
      spin_unlock(dev.power.lock);

      pm_runtime_get_noresume(parent);

      yield* spin_lock(parent.power.lock);
      if (!parent.power.disable_depth && !parent.power.ignore_children) {
        yield* rpm_resume(parent, 0);
        if (parent.power.runtime_status !== RPM_ACTIVE) retval = -EBUSY;
      }
      spin_unlock(parent.power.lock);

      yield* spin_lock(dev.power.lock);
      if (retval) break out;
      continue;
    }

    __update_runtime_status(dev, RPM_RESUMING);

    retval = yield* rpm_callback(__rpm_get_callback(dev, "runtime_resume"), dev);
    if (retval) {
      __update_runtime_status(dev, RPM_SUSPENDED);
      pm_runtime_cancel_pending(dev);
    } else {
      __update_runtime_status(dev, RPM_ACTIVE);
      if (parent) atomic_inc(parent.power.child_count);
    }
    yield* wake_up_all(dev.power.wait_queue);

    if (retval >= 0) yield* rpm_idle(dev, RPM_ASYNC);
    break;
  }
  if (parent) {
    yield* spin_unlock_irq(dev.power.lock);

    yield* pm_runtime_put(parent);

    yield* spin_lock_irq(dev.power.lock);
  }
  return retval;
}

function* pm_runtime_work(work: work_struct): Sleeps {
  const dev = container_of(container_of(work, dev_pm_info, "work"), device_struct, "power");

  yield* spin_lock_irq(dev.power.lock);

  if (dev.power.request_pending) {
    const req = dev.power.request;
    dev.power.request = RPM_REQ_NONE;
    dev.power.request_pending = false;

    switch (req) {
      case RPM_REQ_NONE:
        break;
      case RPM_REQ_IDLE:
        yield* rpm_idle(dev, RPM_NOWAIT);
        break;
      case RPM_REQ_SUSPEND:
        yield* rpm_suspend(dev, RPM_NOWAIT);
        break;
      case RPM_REQ_AUTOSUSPEND:
        yield* rpm_suspend(dev, RPM_NOWAIT | RPM_AUTO);
        break;
      case RPM_REQ_RESUME:
        yield* rpm_resume(dev, RPM_NOWAIT);
        break;
    }
  }
  yield* spin_unlock_irq(dev.power.lock);
}

function rpm_drop_usage_count(dev: device): number {
  const ret = atomic_sub_return(1, dev.power.usage_count);
  if (ret >= 0) return ret;

  // A resume does not look at the count: it is enough to put it right.
  atomic_inc(dev.power.usage_count);
  dev_warn(dev, "Runtime PM usage count underflow!\n");
  return -EINVAL;
}

function* locked(
  dev: device,
  rpmflags: number,
  act: (dev: device, rpmflags: number) => Sleeps<number>,
): Sleeps<number> {
  const flags = yield* spin_lock_irqsave(dev.power.lock);
  const retval = yield* act(dev, rpmflags);
  yield* spin_unlock_irqrestore(dev.power.lock, flags);

  return retval;
}

/** Sees whether a device may sleep. @rpmflags: RPM_…. @return 0 or -errno. May sleep, unless RPM_ASYNC */
export function __pm_runtime_idle(dev: device, rpmflags: number): Sleeps<number> {
  if (!kconfig.CONFIG_PM) return ready_int(-ENOSYS);
  if (rpmflags & RPM_GET_PUT) {
    const retval = rpm_drop_usage_count(dev);
    if (retval < 0) return ready_int(retval);
    else if (retval > 0) return ready_int(0);
  }

  if (!(rpmflags & RPM_ASYNC)) might_sleep();

  return locked(dev, rpmflags, rpm_idle);
}
EXPORT_SYMBOL_GPL(__pm_runtime_idle);

/** Suspends a device without asking it. As __pm_runtime_idle(). */
export function __pm_runtime_suspend(dev: device, rpmflags: number): Sleeps<number> {
  if (!kconfig.CONFIG_PM) return ready_int(-ENOSYS);
  if (rpmflags & RPM_GET_PUT) {
    const retval = rpm_drop_usage_count(dev);
    if (retval < 0) return ready_int(retval);
    else if (retval > 0) return ready_int(0);
  }

  if (!(rpmflags & RPM_ASYNC)) might_sleep();

  return locked(dev, rpmflags, rpm_suspend);
}
EXPORT_SYMBOL_GPL(__pm_runtime_suspend);

/** Wakes a device. @return 0, 1 if it was awake, or -errno. May sleep, unless RPM_ASYNC */
export function __pm_runtime_resume(dev: device, rpmflags: number): Sleeps<number> {
  if (!kconfig.CONFIG_PM) return ready_int(1);
  if (!(rpmflags & RPM_ASYNC) && dev.power.runtime_status !== RPM_ACTIVE) might_sleep();

  if (rpmflags & RPM_GET_PUT) atomic_inc(dev.power.usage_count);

  return locked(dev, rpmflags, rpm_resume);
}
EXPORT_SYMBOL_GPL(__pm_runtime_resume);

/** Counts a use if the device is awake. @return 1 if so, 0 if not, -EINVAL if nobody can tell. Any context */
export function* pm_runtime_get_if_active(dev: device, ign_usage_count: boolean): Spins<number> {
  let retval;

  if (!kconfig.CONFIG_PM) return -EINVAL;
  const flags = yield* spin_lock_irqsave(dev.power.lock);
  if (dev.power.disable_depth > 0) {
    retval = -EINVAL;
  } else if (dev.power.runtime_status !== RPM_ACTIVE) {
    retval = 0;
  } else if (ign_usage_count) {
    retval = 1;
    atomic_inc(dev.power.usage_count);
  } else {
    retval = Number(atomic_inc_not_zero(dev.power.usage_count));
  }
  yield* spin_unlock_irqrestore(dev.power.lock, flags);

  return retval;
}
EXPORT_SYMBOL_GPL(pm_runtime_get_if_active);

/**
 * Says what state a device is in, while runtime power management is disabled for it.
 * @status: RPM_ACTIVE or RPM_SUSPENDED. @return 0, -EINVAL, -EAGAIN if it is enabled, -EBUSY below a parent that sleeps. Any context
 */
export function* __pm_runtime_set_status(dev: device, status: number): Spins<number> {
  const { parent } = dev;
  let notify_parent = false;
  let error = 0;

  if (!kconfig.CONFIG_PM) return 0;
  if (status !== RPM_ACTIVE && status !== RPM_SUSPENDED) return -EINVAL;

  let flags = yield* spin_lock_irqsave(dev.power.lock);

  // Nobody may enable it meanwhile.
  if (dev.power.runtime_error || dev.power.disable_depth) dev.power.disable_depth++;
  else error = -EAGAIN;

  yield* spin_unlock_irqrestore(dev.power.lock, flags);

  if (error) return error;

  flags = yield* spin_lock_irqsave(dev.power.lock);

  out: {
    out_set: {
      if (dev.power.runtime_status === status || !parent) break out_set;

      if (status === RPM_SUSPENDED) {
        atomic_add_unless(parent.power.child_count, -1, 0);
        notify_parent = !parent.power.ignore_children;
      } else {
        yield* spin_lock_nested(parent.power.lock, SINGLE_DEPTH_NESTING);

        if (
          !parent.power.disable_depth &&
          !parent.power.ignore_children &&
          parent.power.runtime_status !== RPM_ACTIVE
        ) {
          dev_err(
            dev,
            "runtime PM trying to activate child device %s but parent (%s) is not active\n",
            dev_name(dev),
            dev_name(parent),
          );
          error = -EBUSY;
        } else if (dev.power.runtime_status === RPM_SUSPENDED) {
          atomic_inc(parent.power.child_count);
        }

        spin_unlock(parent.power.lock);

        if (error) {
          status = RPM_SUSPENDED;
          break out;
        }
      }
    }
    __update_runtime_status(dev, status);
    if (!error) dev.power.runtime_error = 0;
  }
  yield* spin_unlock_irqrestore(dev.power.lock, flags);

  if (notify_parent) yield* pm_request_idle(parent!);

  yield* pm_runtime_enable(dev);

  return error;
}
EXPORT_SYMBOL_GPL(__pm_runtime_set_status);

function* __pm_runtime_barrier(dev: device): Sleeps {
  if (dev.power.request_pending) {
    dev.power.request = RPM_REQ_NONE;
    yield* spin_unlock_irq(dev.power.lock);

    yield* cancel_work_sync(dev.power.work);

    yield* spin_lock_irq(dev.power.lock);
    dev.power.request_pending = false;
  }

  if (in_transition(dev) || dev.power.idle_notification)
    yield* wait_while(dev, () => in_transition(dev) || dev.power.idle_notification);
}

/** Waits until nothing of it is in progress. @return 1 if a resume was pending, which has been done; 0. May sleep */
export function* pm_runtime_barrier(dev: device): Sleeps<number> {
  let retval = 0;

  if (!kconfig.CONFIG_PM) return 0;
  pm_runtime_get_noresume(dev);
  yield* spin_lock_irq(dev.power.lock);

  if (dev.power.request_pending && dev.power.request === RPM_REQ_RESUME) {
    yield* rpm_resume(dev, 0);
    retval = 1;
  }

  yield* __pm_runtime_barrier(dev);

  yield* spin_unlock_irq(dev.power.lock);
  pm_runtime_put_noidle(dev);

  return retval;
}
EXPORT_SYMBOL_GPL(pm_runtime_barrier);

/** From here on the device stays in the state it is in. @check_resume: a pending resume is done first. May sleep */
export function* __pm_runtime_disable(dev: device, check_resume: boolean): Sleeps {
  if (!kconfig.CONFIG_PM) return;
  yield* spin_lock_irq(dev.power.lock);

  out: {
    if (dev.power.disable_depth > 0) {
      dev.power.disable_depth++;
      break out;
    }

    if (check_resume && dev.power.request_pending && dev.power.request === RPM_REQ_RESUME) {
      pm_runtime_get_noresume(dev);

      yield* rpm_resume(dev, 0);

      pm_runtime_put_noidle(dev);
    }

    update_pm_runtime_accounting(dev);

    if (!dev.power.disable_depth++) {
      yield* __pm_runtime_barrier(dev);
      dev.power.last_status = dev.power.runtime_status;
    }
  }
  yield* spin_unlock_irq(dev.power.lock);
}
EXPORT_SYMBOL_GPL(__pm_runtime_disable);

/** The opposite. Any context. */
export function* pm_runtime_enable(dev: device): Spins {
  if (!kconfig.CONFIG_PM) return;
  const flags = yield* spin_lock_irqsave(dev.power.lock);

  out: {
    if (!dev.power.disable_depth) {
      dev_warn(dev, "Unbalanced %s!\n", "pm_runtime_enable");
      break out;
    }

    if (--dev.power.disable_depth > 0) break out;

    dev.power.last_status = RPM_INVALID;
    dev.power.accounting_timestamp = ktime_get_ns();

    if (
      dev.power.runtime_status === RPM_SUSPENDED &&
      !dev.power.ignore_children &&
      atomic_read(dev.power.child_count) > 0
    )
      dev_warn(dev, "Enabling runtime PM for inactive device with active children\n");
  }
  yield* spin_unlock_irqrestore(dev.power.lock, flags);
}
EXPORT_SYMBOL_GPL(pm_runtime_enable);

/** User space, or the bus, wants the device to be awake all the time. May sleep. */
export function* pm_runtime_forbid(dev: device): Sleeps {
  if (!kconfig.CONFIG_PM) return;
  yield* spin_lock_irq(dev.power.lock);
  if (dev.power.runtime_auto) {
    dev.power.runtime_auto = false;
    atomic_inc(dev.power.usage_count);
    yield* rpm_resume(dev, 0);
  }
  yield* spin_unlock_irq(dev.power.lock);
}
EXPORT_SYMBOL_GPL(pm_runtime_forbid);

/** The opposite. Any context that may take the lock. */
export function* pm_runtime_allow(dev: device): Spins {
  if (!kconfig.CONFIG_PM) return;
  yield* spin_lock_irq(dev.power.lock);
  if (!dev.power.runtime_auto) {
    dev.power.runtime_auto = true;
    if (rpm_drop_usage_count(dev) === 0) yield* atomic_context(rpm_idle(dev, RPM_AUTO | RPM_ASYNC));
  }
  yield* spin_unlock_irq(dev.power.lock);
}
EXPORT_SYMBOL_GPL(pm_runtime_allow);

/** For device_initialize(): disabled, and suspended as far as anybody knows. Any context. */
export function pm_runtime_init(dev: device): void {
  if (!kconfig.CONFIG_PM) return;
  dev.power.runtime_status = RPM_SUSPENDED;
  dev.power.last_status = RPM_INVALID;
  dev.power.idle_notification = false;

  dev.power.disable_depth = 1;
  atomic_set(dev.power.usage_count, 0);

  dev.power.runtime_error = 0;

  atomic_set(dev.power.child_count, 0);
  pm_suspend_ignore_children(dev, false);
  dev.power.runtime_auto = true;

  dev.power.request_pending = false;
  dev.power.request = RPM_REQ_NONE;
  dev.power.deferred_resume = false;
  INIT_WORK(dev.power.work, pm_runtime_work);

  init_waitqueue_head(dev.power.wait_queue);
}

/** A driver has left the device: what it forgot is put right. Any context. */
export function pm_runtime_reinit(dev: device): Spins {
  if (!kconfig.CONFIG_PM || pm_runtime_enabled(dev) || dev.power.runtime_status !== RPM_ACTIVE) return READY;
  return drop_result(pm_runtime_set_suspended(dev));
}
function* drop_result(call: Spins<number>): Spins {
  yield* call;
}

/** For device_del(). May sleep. */
export function* pm_runtime_remove(dev: device): Sleeps {
  if (!kconfig.CONFIG_PM) return;
  yield* __pm_runtime_disable(dev, false);
  yield* flush_work(dev.power.work);
  yield* pm_runtime_reinit(dev);
}
