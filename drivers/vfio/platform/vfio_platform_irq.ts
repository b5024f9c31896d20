// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts of VFIO platform devices. Source: drivers/vfio/platform/vfio_platform_irq.c */
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EINVAL, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import {
  disable_irq,
  disable_irq_nosync,
  enable_irq,
  free_irq,
  IRQ_HANDLED,
  IRQ_NONE,
  IRQ_TYPE_LEVEL_MASK,
  irq_get_trigger_type,
  type irq_handler_t,
  IRQF_NO_AUTOEN,
  type irqreturn_t,
  request_irq,
} from "#linux/interrupt.ts";
import { GFP_KERNEL, kasprintf, kcalloc, kfree } from "#linux/slab.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { byte_at, u32_at } from "#linux/string.ts";
import { type kbuf, member_of, type Sleeps, type Spins } from "#linux/types.ts";
import { vfio_virqfd_disable, vfio_virqfd_enable } from "#linux/vfio.ts";
import {
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "#uapi/linux/vfio.ts";
import { type vfio_platform_device, vfio_platform_irq } from "./vfio_platform_private.ts";

/* `*(int32_t *)data` */
const fd_at = (data: kbuf | null): number => u32_at(data!, 0) | 0;

function* vfio_platform_mask(irq_ctx: vfio_platform_irq): Spins {
  const flags = yield* spin_lock_irqsave(irq_ctx.lock);

  if (!irq_ctx.masked) {
    yield* disable_irq_nosync(irq_ctx.hwirq);
    irq_ctx.masked = true;
  }

  yield* spin_unlock_irqrestore(irq_ctx.lock, flags);
}

function* vfio_platform_mask_handler(opaque: object | null, _unused: object | null): Spins<number> {
  const irq_ctx = opaque as vfio_platform_irq;

  yield* vfio_platform_mask(irq_ctx);

  return 0;
}

function* vfio_platform_set_irq_mask(
  vdev: vfio_platform_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  const irq = vdev.irqs!.at(index);

  if (start !== 0 || count !== 1) return -EINVAL;

  if (!(irq.flags & VFIO_IRQ_INFO_MASKABLE)) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    const fd = fd_at(data);

    if (fd >= 0)
      return yield* vfio_virqfd_enable(irq, vfio_platform_mask_handler, null, null, new member_of(irq, "mask"), fd);

    yield* vfio_virqfd_disable(new member_of(irq, "mask"));
    return 0;
  }

  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* vfio_platform_mask(irq);
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    const mask = byte_at(data!, 0);

    if (mask) yield* vfio_platform_mask(irq);
  }

  return 0;
}

function* vfio_platform_unmask(irq_ctx: vfio_platform_irq): Spins {
  const flags = yield* spin_lock_irqsave(irq_ctx.lock);

  if (irq_ctx.masked) {
    yield* enable_irq(irq_ctx.hwirq);
    irq_ctx.masked = false;
  }

  yield* spin_unlock_irqrestore(irq_ctx.lock, flags);
}

function* vfio_platform_unmask_handler(opaque: object | null, _unused: object | null): Spins<number> {
  const irq_ctx = opaque as vfio_platform_irq;

  yield* vfio_platform_unmask(irq_ctx);

  return 0;
}

function* vfio_platform_set_irq_unmask(
  vdev: vfio_platform_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  const irq = vdev.irqs!.at(index);

  if (start !== 0 || count !== 1) return -EINVAL;

  if (!(irq.flags & VFIO_IRQ_INFO_MASKABLE)) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    const fd = fd_at(data);

    if (fd >= 0)
      return yield* vfio_virqfd_enable(irq, vfio_platform_unmask_handler, null, null, new member_of(irq, "unmask"), fd);

    yield* vfio_virqfd_disable(new member_of(irq, "unmask"));
    return 0;
  }

  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* vfio_platform_unmask(irq);
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    const unmask = byte_at(data!, 0);

    if (unmask) yield* vfio_platform_unmask(irq);
  }

  return 0;
}

/* In an interrupt the trigger is there; an ioctl holds igate. */
function* vfio_send_eventfd(irq_ctx: vfio_platform_irq): Spins {
  if (irq_ctx.trigger) yield* eventfd_signal(irq_ctx.trigger, 1n);
}

function* vfio_automasked_irq_handler(_irq: number, dev_id: object | null): Spins<irqreturn_t> {
  const irq_ctx = dev_id as vfio_platform_irq;
  let ret = IRQ_NONE as irqreturn_t;

  const flags = yield* spin_lock_irqsave(irq_ctx.lock);

  if (!irq_ctx.masked) {
    ret = IRQ_HANDLED;

    // The level stays until user space has looked after the device.
    yield* disable_irq_nosync(irq_ctx.hwirq);
    irq_ctx.masked = true;
  }

  yield* spin_unlock_irqrestore(irq_ctx.lock, flags);

  if (ret === IRQ_HANDLED) yield* vfio_send_eventfd(irq_ctx);

  return ret;
}

function* vfio_irq_handler(_irq: number, dev_id: object | null): Spins<irqreturn_t> {
  const irq_ctx = dev_id as vfio_platform_irq;

  yield* vfio_send_eventfd(irq_ctx);

  return IRQ_HANDLED;
}

function* vfio_set_trigger(vdev: vfio_platform_device, index: number, fd: number): Sleeps<number> {
  const irq = vdev.irqs!.at(index);

  if (irq.trigger) {
    yield* disable_irq(irq.hwirq);
    eventfd_ctx_put(irq.trigger);
    irq.trigger = null;
  }

  // Only off
  if (fd < 0) return 0;

  const trigger = eventfd_ctx_fdget(fd);
  if (IS_ERR(trigger)) return PTR_ERR(trigger);

  irq.trigger = trigger;

  // It was requested off, so this is the outermost enable; irq->masked is nested in it and cannot be set before it.
  yield* enable_irq(irq.hwirq);

  return 0;
}

function* vfio_platform_set_irq_trigger(
  vdev: vfio_platform_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  const irq = vdev.irqs!.at(index);
  let handler: typeof vfio_irq_handler;

  if (irq.flags & VFIO_IRQ_INFO_AUTOMASKED) handler = vfio_automasked_irq_handler;
  else handler = vfio_irq_handler;

  if (!count && flags & VFIO_IRQ_SET_DATA_NONE) return yield* vfio_set_trigger(vdev, index, -1);

  if (start !== 0 || count !== 1) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    const fd = fd_at(data);

    return yield* vfio_set_trigger(vdev, index, fd);
  }

  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* handler(irq.hwirq, irq);
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    const trigger = byte_at(data!, 0);

    if (trigger) yield* handler(irq.hwirq, irq);
  }

  return 0;
}

/** VFIO_DEVICE_SET_IRQS, checked by the caller. @return 0; -EINVAL; -ENOTTY; why the interrupt could not be had. igate held, may sleep */
export function* vfio_platform_set_irqs_ioctl(
  vdev: vfio_platform_device,
  flags: number,
  index: number,
  start: number,
  count: number,
  data: kbuf | null,
): Sleeps<number> {
  let func: typeof vfio_platform_set_irq_mask | null = null;

  // What request_irq() said is kept for here: user space may poll instead.
  const name = vdev.irqs!.at(index).name;
  if (IS_ERR(name)) return PTR_ERR(name);

  switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
    case VFIO_IRQ_SET_ACTION_MASK:
      func = vfio_platform_set_irq_mask;
      break;
    case VFIO_IRQ_SET_ACTION_UNMASK:
      func = vfio_platform_set_irq_unmask;
      break;
    case VFIO_IRQ_SET_ACTION_TRIGGER:
      func = vfio_platform_set_irq_trigger;
      break;
  }

  if (!func) return -ENOTTY;

  return yield* func(vdev, index, start, count, flags, data);
}

/** Looks up the interrupts and installs handlers for them, turned off. @return 0, -ENOMEM, -EINVAL. May sleep */
export function* vfio_platform_irq_init(vdev: vfio_platform_device): Sleeps<number> {
  let cnt = 0;
  let ret = 0;
  let i: number;

  while (vdev.get_irq!(vdev, cnt) >= 0) cnt++;

  vdev.irqs = kcalloc(cnt, vfio_platform_irq, GFP_KERNEL);
  if (!vdev.irqs) return -ENOMEM;

  err: {
    for (i = 0; i < cnt; i++) {
      const hwirq = vdev.get_irq!(vdev, i);
      const irq = vdev.irqs.at(i);
      let handler: irq_handler_t = vfio_irq_handler;

      if (hwirq < 0) {
        ret = -EINVAL;
        break err;
      }

      spin_lock_init(irq.lock);

      irq.flags = VFIO_IRQ_INFO_EVENTFD;

      if (irq_get_trigger_type(hwirq) & IRQ_TYPE_LEVEL_MASK) {
        irq.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
        handler = vfio_automasked_irq_handler;
      }

      irq.count = 1;
      irq.hwirq = hwirq;
      irq.masked = false;
      irq.name = kasprintf(GFP_KERNEL, "vfio-irq[%d](%s)", hwirq, vdev.name);
      if (!irq.name) {
        ret = -ENOMEM;
        break err;
      }

      ret = yield* request_irq(hwirq, handler, IRQF_NO_AUTOEN, irq.name, irq);
      if (ret) {
        kfree(irq.name);
        irq.name = ERR_PTR<string>(ret);
      }
    }

    vdev.num_irqs = cnt;

    return 0;
  }
  for (--i; i >= 0; i--) {
    const irq = vdev.irqs.at(i);
    if (!IS_ERR(irq.name)) {
      yield* free_irq(irq.hwirq, irq);
      kfree(irq.name);
    }
  }
  kfree(vdev.irqs);
  return ret;
}

/** The opposite. May sleep. */
export function* vfio_platform_irq_cleanup(vdev: vfio_platform_device): Sleeps {
  for (let i = 0; i < vdev.num_irqs; i++) {
    const irq = vdev.irqs!.at(i);

    yield* vfio_virqfd_disable(new member_of(irq, "mask"));
    yield* vfio_virqfd_disable(new member_of(irq, "unmask"));
    if (!IS_ERR(irq.name)) {
      yield* free_irq(irq.hwirq, irq);
      if (irq.trigger) eventfd_ctx_put(irq.trigger);
      kfree(irq.name);
    }
  }

  vdev.num_irqs = 0;
  kfree(vdev.irqs);
}
