// SPDX-License-Identifier: GPL-2.0-only
/**
 * What user space is told of by eventfds: that an error of the device was reported, and that the device is wanted back.
 *
 * Not here yet: interrupts of the device, INTx, MSI and MSI-X; of INTx there is what the command register has of it.
 */
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EINVAL, ENOTTY } from "#linux/errno.ts";
import { type eventfd_ctx, eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { pci_intx, pci_is_pcie } from "#linux/pci.ts";
import { either } from "#linux/sched.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { byte_at, u32_at } from "#linux/string.ts";
import type { kbuf, Sleeps, Spins } from "#linux/types.ts";
import type { vfio_pci_core_device } from "#linux/vfio_pci_core.ts";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "#uapi/linux/vfio.ts";
import { not_there_yet } from "./vfio_pci_priv.ts";

/* No user can have INTx yet: what there is to mask and to unmask is the physical bit, which follows the virtual one. */

function* __vfio_pci_intx_mask(vdev: vfio_pci_core_device): Spins<boolean> {
  lockdep_assert_held(vdev.igate);

  const flags = yield* spin_lock_irqsave(vdev.irqlock);

  if (vdev.pci_2_3) pci_intx(vdev.pdev!, false);

  yield* spin_unlock_irqrestore(vdev.irqlock, flags);
  return false;
}

/** The user's driver wants no INTx. @return whether that is new. Context: may sleep */
export function* vfio_pci_intx_mask(vdev: vfio_pci_core_device): Sleeps<boolean> {
  yield* mutex_lock(vdev.igate);
  const mask_changed = yield* __vfio_pci_intx_mask(vdev);
  mutex_unlock(vdev.igate);

  return mask_changed;
}

function* vfio_pci_intx_unmask_handler(vdev: vfio_pci_core_device): Spins<number> {
  const flags = yield* spin_lock_irqsave(vdev.irqlock);

  if (vdev.pci_2_3) pci_intx(vdev.pdev!, true);

  yield* spin_unlock_irqrestore(vdev.irqlock, flags);

  return 0;
}

function* __vfio_pci_intx_unmask(vdev: vfio_pci_core_device): Spins {
  lockdep_assert_held(vdev.igate);

  yield* vfio_pci_intx_unmask_handler(vdev);
}

/** The opposite. */
export function* vfio_pci_intx_unmask(vdev: vfio_pci_core_device): Sleeps {
  yield* mutex_lock(vdev.igate);
  yield* __vfio_pci_intx_unmask(vdev);
  mutex_unlock(vdev.igate);
}

/** `&vdev->member` */
class trigger_of {
  readonly vdev: vfio_pci_core_device;
  readonly member: "err_trigger" | "req_trigger";
  constructor(vdev: vfio_pci_core_device, member: "err_trigger" | "req_trigger") {
    this.vdev = vdev;
    this.member = member;
  }
  get value(): eventfd_ctx | null {
    return this.vdev[this.member];
  }
  set value(v: eventfd_ctx | null) {
    this.vdev[this.member] = v;
  }
}

function* vfio_pci_set_ctx_trigger_single(
  ctx: trigger_of,
  count: number,
  flags: number,
  data: kbuf | null,
): Spins<number> {
  // Without an eventfd user space raises it itself, to try it.
  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    if (ctx.value) {
      if (count) {
        yield* eventfd_signal(ctx.value, 1);
      } else {
        eventfd_ctx_put(ctx.value);
        ctx.value = null;
      }
      return 0;
    }
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    if (!count) return -EINVAL;

    const trigger = byte_at(data!, 0);
    if (trigger && ctx.value) yield* eventfd_signal(ctx.value, 1);

    return 0;
  } else if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    if (!count) return -EINVAL;

    const fd = u32_at(data!, 0) | 0;
    if (fd === -1) {
      if (ctx.value) eventfd_ctx_put(ctx.value);
      ctx.value = null;
    } else if (fd >= 0) {
      const efdctx = eventfd_ctx_fdget(fd);
      if (IS_ERR(efdctx)) return PTR_ERR(efdctx);

      if (ctx.value) eventfd_ctx_put(ctx.value);

      ctx.value = efdctx;
    }
    return 0;
  }

  return -EINVAL;
}

type set_trigger = (
  vdev: vfio_pci_core_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
) => Sleeps<number> | number;

function* vfio_pci_set_err_trigger(
  vdev: vfio_pci_core_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Spins<number> {
  if (index !== VFIO_PCI_ERR_IRQ_INDEX || start !== 0 || count > 1) return -EINVAL;

  return yield* vfio_pci_set_ctx_trigger_single(new trigger_of(vdev, "err_trigger"), count, flags, data);
}

function* vfio_pci_set_req_trigger(
  vdev: vfio_pci_core_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Spins<number> {
  if (index !== VFIO_PCI_REQ_IRQ_INDEX || start !== 0 || count > 1) return -EINVAL;

  return yield* vfio_pci_set_ctx_trigger_single(new trigger_of(vdev, "req_trigger"), count, flags, data);
}

const not_there_yet_intx: set_trigger = (vdev) => not_there_yet(vdev, "INTx");
const not_there_yet_msi: set_trigger = (vdev) => not_there_yet(vdev, "MSI");

/** VFIO_DEVICE_SET_IRQS. @data: what comes behind its header. @return 0 or -errno. Context: igate held; may sleep */
export function* vfio_pci_set_irqs_ioctl(
  vdev: vfio_pci_core_device,
  flags: number,
  index: number,
  start: number,
  count: number,
  data: kbuf | null,
): Sleeps<number> {
  let func: set_trigger | null = null;

  switch (index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_MASK:
        case VFIO_IRQ_SET_ACTION_UNMASK:
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = not_there_yet_intx;
          break;
      }
      break;
    case VFIO_PCI_MSI_IRQ_INDEX:
    case VFIO_PCI_MSIX_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = not_there_yet_msi;
          break;
      }
      break;
    case VFIO_PCI_ERR_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          if (pci_is_pcie(vdev.pdev!)) func = vfio_pci_set_err_trigger;
          break;
      }
      break;
    case VFIO_PCI_REQ_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = vfio_pci_set_req_trigger;
          break;
      }
      break;
  }

  if (!func) return -ENOTTY;

  return yield* either(func(vdev, index, start, count, flags, data));
}
