// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts of objects that VFIO has. Source: drivers/vfio/fsl-mc/vfio_fsl_mc_intr.c */
import { dev_name } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import { eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import {
  fsl_mc_allocate_irqs,
  fsl_mc_cont_dev,
  fsl_mc_free_irqs,
  FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS,
  fsl_mc_populate_irq_pool,
  to_fsl_mc_device,
} from "#linux/fsl/mc.ts";
import { free_irq, IRQ_HANDLED, type irqreturn_t, request_irq } from "#linux/interrupt.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kasprintf, kcalloc, kfree } from "#linux/slab.ts";
import { byte_at, u32_at } from "#linux/string.ts";
import type { kbuf, Sleeps, Spins } from "#linux/types.ts";
import {
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "#uapi/linux/vfio.ts";
import { type vfio_fsl_mc_device, vfio_fsl_mc_irq } from "./vfio_fsl_mc_private.ts";

function* vfio_fsl_mc_irqs_allocate(vdev: vfio_fsl_mc_device): Sleeps<number> {
  const mc_dev = vdev.mc_dev!;

  // It has none
  if (mc_dev.obj_desc.irq_count === 0) return 0;

  // It has them already
  if (vdev.mc_irqs) return 0;

  const irq_count = mc_dev.obj_desc.irq_count;

  const mc_irq = kcalloc(irq_count, vfio_fsl_mc_irq, GFP_KERNEL);
  if (!mc_irq) return -ENOMEM;

  const ret = yield* fsl_mc_allocate_irqs(mc_dev);
  if (ret) {
    kfree(mc_irq);
    return ret;
  }

  for (let i = 0; i < irq_count; i++) {
    mc_irq.at(i).count = 1;
    mc_irq.at(i).flags = VFIO_IRQ_INFO_EVENTFD;
  }

  vdev.mc_irqs = mc_irq;

  return 0;
}

function* vfio_fsl_mc_irq_handler(_irq_num: number, arg: object | null): Spins<irqreturn_t> {
  const mc_irq = arg as vfio_fsl_mc_irq;

  yield* eventfd_signal(mc_irq.trigger!, 1n);
  return IRQ_HANDLED;
}

function* vfio_set_trigger(vdev: vfio_fsl_mc_device, index: number, fd: number): Sleeps<number> {
  const irq = vdev.mc_irqs!.at(index);

  const hwirq = vdev.mc_dev!.irqs!.at(index)!.virq;
  if (irq.trigger) {
    yield* free_irq(hwirq, irq);
    kfree(irq.name);
    eventfd_ctx_put(irq.trigger);
    irq.trigger = null;
  }

  // Only off
  if (fd < 0) return 0;

  irq.name = kasprintf(GFP_KERNEL, "vfio-irq[%d](%s)", hwirq, dev_name(vdev.mc_dev!.dev));
  if (!irq.name) return -ENOMEM;

  const trigger = eventfd_ctx_fdget(fd);
  if (IS_ERR(trigger)) {
    kfree(irq.name);
    return PTR_ERR(trigger);
  }

  irq.trigger = trigger;

  const ret = yield* request_irq(hwirq, vfio_fsl_mc_irq_handler, 0, irq.name, irq);
  if (ret) {
    kfree(irq.name);
    eventfd_ctx_put(trigger);
    irq.trigger = null;
    return ret;
  }

  return 0;
}

function* vfio_fsl_mc_set_irq_trigger(
  vdev: vfio_fsl_mc_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  const mc_dev = vdev.mc_dev!;
  const cont_dev = fsl_mc_cont_dev(mc_dev.dev);
  const mc_cont = to_fsl_mc_device(cont_dev);
  let ret: number;

  if (!count && flags & VFIO_IRQ_SET_DATA_NONE) return yield* vfio_set_trigger(vdev, index, -1);

  if (start !== 0 || count !== 1) return -EINVAL;

  yield* mutex_lock(vdev.vdev.dev_set!.lock);
  unlock: {
    ret = yield* fsl_mc_populate_irq_pool(mc_cont, FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS);
    if (ret) break unlock;

    ret = yield* vfio_fsl_mc_irqs_allocate(vdev);
    if (ret) break unlock;
    mutex_unlock(vdev.vdev.dev_set!.lock);

    if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
      const fd = u32_at(data!, 0) | 0;

      return yield* vfio_set_trigger(vdev, index, fd);
    }

    const irq = vdev.mc_irqs!.at(index);

    if (flags & VFIO_IRQ_SET_DATA_NONE) {
      if (irq.trigger) yield* eventfd_signal(irq.trigger, 1n);
    } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
      const trigger = byte_at(data!, 0);

      if (trigger && irq.trigger) yield* eventfd_signal(irq.trigger, 1n);
    }

    return 0;
  }
  mutex_unlock(vdev.vdev.dev_set!.lock);
  return ret;
}

/** VFIO_DEVICE_SET_IRQS, checked by the caller. @return 0, -EINVAL, errno. igate held, may sleep */
export function* vfio_fsl_mc_set_irqs_ioctl(
  vdev: vfio_fsl_mc_device,
  flags: number,
  index: number,
  start: number,
  count: number,
  data: kbuf | null,
): Sleeps<number> {
  if (flags & VFIO_IRQ_SET_ACTION_TRIGGER)
    return yield* vfio_fsl_mc_set_irq_trigger(vdev, index, start, count, flags, data);
  else return -EINVAL;
}

/** Gives the interrupts of an object back. May sleep. */
export function* vfio_fsl_mc_irqs_cleanup(vdev: vfio_fsl_mc_device): Sleeps {
  const mc_dev = vdev.mc_dev!;
  const irq_count = mc_dev.obj_desc.irq_count;

  // None, or never set up
  if (!vdev.mc_irqs) return;

  for (let i = 0; i < irq_count; i++) yield* vfio_set_trigger(vdev, i, -1);

  yield* fsl_mc_free_irqs(mc_dev);
  kfree(vdev.mc_irqs);
  vdev.mc_irqs = null;
}
