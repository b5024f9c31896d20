// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts of PCI devices for user space: the pin, MSI and MSI-X, and the two that only the driver raises. Source: drivers/vfio/pci/vfio_pci_intrs.c */
import { fls } from "#linux/bitops.ts";
import { READ_ONCE, WRITE_ONCE } from "#linux/compiler.ts";
import { dev_info } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EINVAL, ENODEV, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { type eventfd_ctx, eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import {
  disable_irq_nosync,
  enable_irq,
  free_irq,
  IRQ_HANDLED,
  IRQ_NONE,
  IRQ_NOTCONNECTED,
  IRQF_NO_AUTOEN,
  IRQF_SHARED,
  type irqreturn_t,
  request_irq,
  synchronize_irq,
} from "#linux/interrupt.ts";
import { irq_bypass_producer, irq_bypass_register_producer, irq_bypass_unregister_producer } from "#linux/irqbypass.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import { get_cached_msi_msg, msi_msg } from "#linux/msi.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  pci_alloc_irq_vectors,
  pci_check_and_mask_intx,
  pci_check_and_unmask_intx,
  pci_free_irq_vectors,
  pci_intx,
  PCI_IRQ_MSI,
  PCI_IRQ_MSIX,
  pci_irq_vector,
  pci_is_pcie,
  pci_name,
  pci_write_msi_msg,
} from "#linux/pci.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL_ACCOUNT, kasprintf, kcalloc, kfree } from "#linux/slab.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { byte_at, u32_at } from "#linux/string.ts";
import { bool, embed, type kbuf, member_of, ptr, type Sleeps, type Spins, str, struct } from "#linux/types.ts";
import {
  type out,
  vfio_virqfd_disable,
  vfio_virqfd_enable,
  vfio_virqfd_flush_thread,
  type virqfd,
} from "#linux/vfio.ts";
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
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "#uapi/linux/vfio.ts";
import { vfio_pci_memory_lock_and_enable, vfio_pci_memory_unlock_and_restore } from "./vfio_pci_core.ts";

export class vfio_pci_irq_ctx extends struct("vfio_pci_irq_ctx", {
  trigger: ptr<eventfd_ctx>(),
  unmask: ptr<virqfd>(),
  mask: ptr<virqfd>(),
  name: str(),
  masked: bool(),
  producer: embed(() => irq_bypass_producer),
}) {}

/** `vdev->ctx[i]` */
const ctx_of = (vdev: vfio_pci_core_device, i: number): vfio_pci_irq_ctx => vdev.ctx!.at(i);

function irq_is(vdev: vfio_pci_core_device, type: number): boolean {
  return vdev.irq_type === type;
}

function is_intx(vdev: vfio_pci_core_device): boolean {
  return vdev.irq_type === VFIO_PCI_INTX_IRQ_INDEX;
}

function is_irq_none(vdev: vfio_pci_core_device): boolean {
  return !(
    vdev.irq_type === VFIO_PCI_INTX_IRQ_INDEX ||
    vdev.irq_type === VFIO_PCI_MSI_IRQ_INDEX ||
    vdev.irq_type === VFIO_PCI_MSIX_IRQ_INDEX
  );
}

// INTx

function* vfio_send_intx_eventfd(opaque: object | null, _unused: object | null): Spins {
  const vdev = opaque as vfio_pci_core_device;

  if (is_intx(vdev) && !vdev.virq_disabled) {
    const trigger = READ_ONCE(ctx_of(vdev, 0), "trigger");
    if (trigger) yield* eventfd_signal(trigger, 1);
  }
}

/** @return whether it was not masked before */
function* __vfio_pci_intx_mask(vdev: vfio_pci_core_device): Spins<boolean> {
  const pdev = vdev.pdev!;
  let masked_changed = false;

  lockdep_assert_held(vdev.igate);

  const flags = yield* spin_lock_irqsave(vdev.irqlock);

  // From configuration space it comes whether INTx is used or not: then the device's bit follows the user's.
  if (!is_intx(vdev)) {
    if (vdev.pci_2_3) pci_intx(pdev, false);
  } else if (!ctx_of(vdev, 0).masked) {
    // Also when nothing is pending
    if (vdev.pci_2_3) pci_intx(pdev, false);
    else yield* disable_irq_nosync(pdev.irq);

    ctx_of(vdev, 0).masked = true;
    masked_changed = true;
  }

  yield* spin_unlock_irqrestore(vdev.irqlock, flags);
  return masked_changed;
}

export function* vfio_pci_intx_mask(vdev: vfio_pci_core_device): Sleeps<boolean> {
  yield* mutex_lock(vdev.igate);
  const mask_changed = yield* __vfio_pci_intx_mask(vdev);
  mutex_unlock(vdev.igate);

  return mask_changed;
}

/**
 * Also called in the wake-up of an eventfd, where none may be signalled.
 * @return 1 if the user is to be told again, by who may
 */
function* vfio_pci_intx_unmask_handler(opaque: object | null, _unused: object | null): Spins<number> {
  const vdev = opaque as vfio_pci_core_device;
  const pdev = vdev.pdev!;
  let ret = 0;

  const flags = yield* spin_lock_irqsave(vdev.irqlock);

  // As for masking
  if (!is_intx(vdev)) {
    if (vdev.pci_2_3) pci_intx(pdev, true);
  } else if (ctx_of(vdev, 0).masked && !vdev.virq_disabled) {
    // One that is pending would come at once: it is passed on instead.
    if (vdev.pci_2_3) {
      if (!(yield* pci_check_and_unmask_intx(pdev))) ret = 1;
    } else yield* enable_irq(pdev.irq);

    ctx_of(vdev, 0).masked = ret > 0;
  }

  yield* spin_unlock_irqrestore(vdev.irqlock, flags);

  return ret;
}

function* __vfio_pci_intx_unmask(vdev: vfio_pci_core_device): Spins {
  lockdep_assert_held(vdev.igate);

  if ((yield* vfio_pci_intx_unmask_handler(vdev, null)) > 0) yield* vfio_send_intx_eventfd(vdev, null);
}

export function* vfio_pci_intx_unmask(vdev: vfio_pci_core_device): Sleeps {
  yield* mutex_lock(vdev.igate);
  yield* __vfio_pci_intx_unmask(vdev);
  mutex_unlock(vdev.igate);
}

function* vfio_intx_handler(_irq: number, dev_id: object | null): Spins<irqreturn_t> {
  const vdev = dev_id as vfio_pci_core_device;
  let ret = IRQ_NONE;

  const flags = yield* spin_lock_irqsave(vdev.irqlock);

  if (!vdev.pci_2_3) {
    yield* disable_irq_nosync(vdev.pdev!.irq);
    ctx_of(vdev, 0).masked = true;
    ret = IRQ_HANDLED;
  } else if (!ctx_of(vdev, 0).masked && (yield* pci_check_and_mask_intx(vdev.pdev!))) {
    // The line may be shared
    ctx_of(vdev, 0).masked = true;
    ret = IRQ_HANDLED;
  }

  yield* spin_unlock_irqrestore(vdev.irqlock, flags);

  if (ret === IRQ_HANDLED) yield* vfio_send_intx_eventfd(vdev, null);

  return ret;
}

function* vfio_intx_enable(vdev: vfio_pci_core_device, trigger: eventfd_ctx | null): Sleeps<number> {
  const pdev = vdev.pdev!;
  let irqflags: number;

  if (!is_irq_none(vdev)) return -EINVAL;

  if (!pdev.irq || pdev.irq === IRQ_NOTCONNECTED) return -ENODEV;

  const name = kasprintf(GFP_KERNEL_ACCOUNT, "vfio-intx(%s)", pci_name(pdev));
  if (!name) return -ENOMEM;

  vdev.ctx = kcalloc(1, vfio_pci_irq_ctx, GFP_KERNEL_ACCOUNT);
  if (!vdev.ctx) {
    kfree(name);
    return -ENOMEM;
  }

  vdev.num_ctx = 1;

  ctx_of(vdev, 0).name = name;
  ctx_of(vdev, 0).trigger = trigger;

  // Masked as the user's configuration space says. Devices that can mask have the same in theirs, which stays; others
  // have the line for themselves, and it is masked there. Nobody else looks at it yet: igate is held. irq_type has to be
  // what it is from the first interrupt on.
  ctx_of(vdev, 0).masked = vdev.virq_disabled;
  if (vdev.pci_2_3) {
    pci_intx(pdev, !ctx_of(vdev, 0).masked);
    irqflags = IRQF_SHARED;
  } else {
    irqflags = ctx_of(vdev, 0).masked ? IRQF_NO_AUTOEN : 0;
  }

  vdev.irq_type = VFIO_PCI_INTX_IRQ_INDEX;

  const ret = yield* request_irq(pdev.irq, vfio_intx_handler, irqflags, ctx_of(vdev, 0).name, vdev);
  if (ret) {
    vdev.irq_type = VFIO_PCI_NUM_IRQS;
    kfree(name);
    vdev.num_ctx = 0;
    kfree(vdev.ctx);
    return ret;
  }

  return 0;
}

function* vfio_intx_set_signal(vdev: vfio_pci_core_device, trigger: eventfd_ctx | null): Sleeps<number> {
  const pdev = vdev.pdev!;

  const old = ctx_of(vdev, 0).trigger;

  WRITE_ONCE(ctx_of(vdev, 0), "trigger", trigger);

  // Who uses the old one now has to be done with it.
  if (old) {
    yield* synchronize_irq(pdev.irq);
    yield* vfio_virqfd_flush_thread(new member_of(ctx_of(vdev, 0), "unmask"));
    eventfd_ctx_put(old);
  }

  return 0;
}

function* vfio_intx_disable(vdev: vfio_pci_core_device): Sleeps {
  const pdev = vdev.pdev!;

  yield* vfio_virqfd_disable(new member_of(ctx_of(vdev, 0), "unmask"));
  yield* vfio_virqfd_disable(new member_of(ctx_of(vdev, 0), "mask"));
  yield* free_irq(pdev.irq, vdev);
  if (ctx_of(vdev, 0).trigger) eventfd_ctx_put(ctx_of(vdev, 0).trigger!);
  kfree(ctx_of(vdev, 0).name);
  vdev.irq_type = VFIO_PCI_NUM_IRQS;
  vdev.num_ctx = 0;
  kfree(vdev.ctx);
}

// MSI and MSI-X

function* vfio_msihandler(_irq: number, arg: object | null): Spins<irqreturn_t> {
  const trigger = arg as eventfd_ctx;

  yield* eventfd_signal(trigger, 1);
  return IRQ_HANDLED;
}

/** @return 0, -errno, or how many there are if they are fewer than @nvec */
function* vfio_msi_enable(vdev: vfio_pci_core_device, nvec: number, msix: boolean): Sleeps<number> {
  const pdev = vdev.pdev!;
  const flag = msix ? PCI_IRQ_MSIX : PCI_IRQ_MSI;

  if (!is_irq_none(vdev)) return -EINVAL;

  vdev.ctx = kcalloc(nvec, vfio_pci_irq_ctx, GFP_KERNEL_ACCOUNT);
  if (!vdev.ctx) return -ENOMEM;

  const cmd = yield* vfio_pci_memory_lock_and_enable(vdev);
  const ret = yield* pci_alloc_irq_vectors(pdev, 1, nvec, flag);
  if (ret < nvec) {
    if (ret > 0) yield* pci_free_irq_vectors(pdev);
    vfio_pci_memory_unlock_and_restore(vdev, cmd);
    kfree(vdev.ctx);
    return ret;
  }
  vfio_pci_memory_unlock_and_restore(vdev, cmd);

  vdev.num_ctx = nvec;
  vdev.irq_type = msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;

  if (!msix) {
    // What the user reads as the most that there are: log2 of it, rounded up
    vdev.msi_qmax = fls(nvec * 2 - 1) - 1;
  }

  return 0;
}

function* vfio_msi_set_vector_signal(
  vdev: vfio_pci_core_device,
  vector: number,
  fd: number,
  msix: boolean,
): Sleeps<number> {
  const pdev = vdev.pdev!;

  if (vector >= vdev.num_ctx) return -EINVAL;

  const irq = yield* pci_irq_vector(pdev, vector);

  if (ctx_of(vdev, vector).trigger) {
    yield* irq_bypass_unregister_producer(ctx_of(vdev, vector).producer);

    const cmd = yield* vfio_pci_memory_lock_and_enable(vdev);
    yield* free_irq(irq, ctx_of(vdev, vector).trigger);
    vfio_pci_memory_unlock_and_restore(vdev, cmd);

    kfree(ctx_of(vdev, vector).name);
    eventfd_ctx_put(ctx_of(vdev, vector).trigger!);
    ctx_of(vdev, vector).trigger = null;
  }

  if (fd < 0) return 0;

  ctx_of(vdev, vector).name = kasprintf(
    GFP_KERNEL_ACCOUNT,
    "vfio-msi%s[%d](%s)",
    msix ? "x" : "",
    vector,
    pci_name(pdev),
  );
  if (!ctx_of(vdev, vector).name) return -ENOMEM;

  const trigger = eventfd_ctx_fdget(fd);
  if (IS_ERR(trigger)) {
    kfree(ctx_of(vdev, vector).name);
    return PTR_ERR(trigger);
  }

  // The table is in the device's memory, which a reset that we know nothing of may have cleared, and the user cannot write it.
  const cmd = yield* vfio_pci_memory_lock_and_enable(vdev);
  if (msix) {
    const msg = new msi_msg();

    get_cached_msi_msg(irq, msg);
    pci_write_msi_msg(irq, msg);
  }

  let ret = yield* request_irq(irq, vfio_msihandler, 0, ctx_of(vdev, vector).name, trigger);
  vfio_pci_memory_unlock_and_restore(vdev, cmd);
  if (ret) {
    kfree(ctx_of(vdev, vector).name);
    eventfd_ctx_put(trigger);
    return ret;
  }

  ctx_of(vdev, vector).producer.token = trigger;
  ctx_of(vdev, vector).producer.irq = irq;
  ret = yield* irq_bypass_register_producer(ctx_of(vdev, vector).producer);
  if (ret) {
    dev_info(
      pdev.dev,
      "irq bypass producer (token %p) registration fails: %d\n",
      ctx_of(vdev, vector).producer.token,
      ret,
    );

    ctx_of(vdev, vector).producer.token = null;
  }
  ctx_of(vdev, vector).trigger = trigger;

  return 0;
}

/** @fds: an int32_t for each vector, NULL for none */
function* vfio_msi_set_block(
  vdev: vfio_pci_core_device,
  start: number,
  count: number,
  fds: kbuf | null,
  msix: boolean,
): Sleeps<number> {
  let ret = 0;

  if (start >= vdev.num_ctx || start + count > vdev.num_ctx) return -EINVAL;

  let j = start;
  for (let i = 0; i < count && !ret; i++, j++) {
    const fd = fds ? u32_at(fds, 4 * i) | 0 : -1;
    ret = yield* vfio_msi_set_vector_signal(vdev, j, fd, msix);
  }

  if (ret) {
    for (let i = start; i < j; i++) yield* vfio_msi_set_vector_signal(vdev, i, -1, msix);
  }

  return ret;
}

function* vfio_msi_disable(vdev: vfio_pci_core_device, msix: boolean): Sleeps {
  const pdev = vdev.pdev!;

  for (let i = 0; i < vdev.num_ctx; i++) {
    yield* vfio_virqfd_disable(new member_of(ctx_of(vdev, i), "unmask"));
    yield* vfio_virqfd_disable(new member_of(ctx_of(vdev, i), "mask"));
    yield* vfio_msi_set_vector_signal(vdev, i, -1, msix);
  }

  const cmd = yield* vfio_pci_memory_lock_and_enable(vdev);
  yield* pci_free_irq_vectors(pdev);
  vfio_pci_memory_unlock_and_restore(vdev, cmd);

  // Which has cleared DisINTx
  if (vdev.nointx) pci_intx(pdev, false);

  vdev.irq_type = VFIO_PCI_NUM_IRQS;
  vdev.num_ctx = 0;
  kfree(vdev.ctx);
}

// What the ioctl asks for

function* vfio_pci_set_intx_unmask(
  vdev: vfio_pci_core_device,
  _index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  if (!is_intx(vdev) || start !== 0 || count !== 1) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* __vfio_pci_intx_unmask(vdev);
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    const unmask = byte_at(data!, 0);
    if (unmask) yield* __vfio_pci_intx_unmask(vdev);
  } else if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    const fd = u32_at(data!, 0) | 0;
    if (fd >= 0)
      return yield* vfio_virqfd_enable(
        vdev,
        vfio_pci_intx_unmask_handler,
        vfio_send_intx_eventfd,
        null,
        new member_of(ctx_of(vdev, 0), "unmask"),
        fd,
      );

    yield* vfio_virqfd_disable(new member_of(ctx_of(vdev, 0), "unmask"));
  }

  return 0;
}

function* vfio_pci_set_intx_mask(
  vdev: vfio_pci_core_device,
  _index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Spins<number> {
  if (!is_intx(vdev) || start !== 0 || count !== 1) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* __vfio_pci_intx_mask(vdev);
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    const mask = byte_at(data!, 0);
    if (mask) yield* __vfio_pci_intx_mask(vdev);
  } else if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    // C has not got it either.
    return -ENOTTY;
  }

  return 0;
}

function* vfio_pci_set_intx_trigger(
  vdev: vfio_pci_core_device,
  _index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  if (is_intx(vdev) && !count && flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* vfio_intx_disable(vdev);
    return 0;
  }

  if (!(is_intx(vdev) || is_irq_none(vdev)) || start !== 0 || count !== 1) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    let trigger: eventfd_ctx | null = null;
    const fd = u32_at(data!, 0) | 0;
    let ret: number;

    if (fd >= 0) {
      trigger = eventfd_ctx_fdget(fd);
      if (IS_ERR(trigger)) return PTR_ERR(trigger);
    }

    if (is_intx(vdev)) ret = yield* vfio_intx_set_signal(vdev, trigger);
    else ret = yield* vfio_intx_enable(vdev, trigger);

    if (ret && trigger) eventfd_ctx_put(trigger);

    return ret;
  }

  if (!is_intx(vdev)) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* vfio_send_intx_eventfd(vdev, null);
  } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
    const trigger = byte_at(data!, 0);
    if (trigger) yield* vfio_send_intx_eventfd(vdev, null);
  }
  return 0;
}

function* vfio_pci_set_msi_trigger(
  vdev: vfio_pci_core_device,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): Sleeps<number> {
  const msix = index === VFIO_PCI_MSIX_IRQ_INDEX;

  if (irq_is(vdev, index) && !count && flags & VFIO_IRQ_SET_DATA_NONE) {
    yield* vfio_msi_disable(vdev, msix);
    return 0;
  }

  if (!(irq_is(vdev, index) || is_irq_none(vdev))) return -EINVAL;

  if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    const fds = data;

    if (vdev.irq_type === index) return yield* vfio_msi_set_block(vdev, start, count, fds, msix);

    let ret = yield* vfio_msi_enable(vdev, start + count, msix);
    if (ret) return ret;

    ret = yield* vfio_msi_set_block(vdev, start, count, fds, msix);
    if (ret) yield* vfio_msi_disable(vdev, msix);

    return ret;
  }

  if (!irq_is(vdev, index) || start + count > vdev.num_ctx) return -EINVAL;

  for (let i = start; i < start + count; i++) {
    if (!ctx_of(vdev, i).trigger) continue;
    if (flags & VFIO_IRQ_SET_DATA_NONE) {
      yield* eventfd_signal(ctx_of(vdev, i).trigger!, 1);
    } else if (flags & VFIO_IRQ_SET_DATA_BOOL) {
      if (byte_at(data!, i - start)) yield* eventfd_signal(ctx_of(vdev, i).trigger!, 1);
    }
  }
  return 0;
}

function* vfio_pci_set_ctx_trigger_single(
  ctx: out<eventfd_ctx | null>,
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

  return yield* vfio_pci_set_ctx_trigger_single(new member_of(vdev, "err_trigger"), count, flags, data);
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

  return yield* vfio_pci_set_ctx_trigger_single(new member_of(vdev, "req_trigger"), count, flags, data);
}

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
          func = vfio_pci_set_intx_mask;
          break;
        case VFIO_IRQ_SET_ACTION_UNMASK:
          func = vfio_pci_set_intx_unmask;
          break;
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = vfio_pci_set_intx_trigger;
          break;
      }
      break;
    case VFIO_PCI_MSI_IRQ_INDEX:
    case VFIO_PCI_MSIX_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_MASK:
        case VFIO_IRQ_SET_ACTION_UNMASK:
          break;
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = vfio_pci_set_msi_trigger;
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
