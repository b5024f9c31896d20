// SPDX-License-Identifier: GPL-2.0-only
/** What VFIO and mdev call. Port of drivers/s390/cio/vfio_ccw_ops.c. */
import { init_completion, complete, wait_for_completion } from "#linux/completion.ts";
import { dev_get_drvdata, dev_notice, dev_notice_ratelimited, dev_set_drvdata } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EAGAIN, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { type eventfd_ctx, eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { type mdev_device, mdev_driver } from "#linux/mdev.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_lock, mutex_trylock, mutex_unlock } from "#linux/mutex.ts";
import { array_index_nospec } from "#linux/nospec.ts";
import { GFP_KERNEL, kfree, krealloc } from "#linux/slab.ts";
import { memset } from "#linux/string.ts";
import {
  type byte_memory,
  bytes_at,
  container_of,
  initialise,
  offsetofend,
  type Sleeps,
  sizeof,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user, get_user } from "#linux/uaccess.ts";
import {
  type vfio_device,
  type vfio_device_ops,
  vfio_info_add_capability,
  vfio_info_cap,
  vfio_info_cap_shift,
  vfio_init_device,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_set_irqs_validate_and_prepare,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import {
  VFIO_CCW_CONFIG_REGION_INDEX,
  VFIO_CCW_CRW_IRQ_INDEX,
  VFIO_CCW_IO_IRQ_INDEX,
  VFIO_CCW_NUM_IRQS,
  VFIO_CCW_NUM_REGIONS,
  VFIO_CCW_REQ_IRQ_INDEX,
  VFIO_DEVICE_API_CCW_STRING,
  VFIO_DEVICE_FLAGS_CCW,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_IRQ_SET_DATA_TYPE_MASK,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  VFIO_REGION_TYPE_CCW,
  vfio_device_info,
  vfio_irq_info,
  vfio_irq_set,
  vfio_region_info,
  vfio_region_info_cap_type,
} from "#uapi/linux/vfio.ts";
import { ccw_io_region } from "#uapi/linux/vfio_ccw.ts";
import { cp_iova_pinned } from "./vfio_ccw_cp.ts";
import {
  VFIO_CCW_EVENT_CLOSE,
  VFIO_CCW_EVENT_IO_REQ,
  VFIO_CCW_EVENT_OPEN,
  vfio_ccw_fsm_event,
  VFIO_CCW_INDEX_TO_OFFSET,
  VFIO_CCW_MSG_EVENT,
  VFIO_CCW_OFFSET_MASK,
  VFIO_CCW_OFFSET_TO_INDEX,
  vfio_ccw_private,
  vfio_ccw_region,
  vfio_ccw_register_async_dev_regions,
  vfio_ccw_register_crw_dev_regions,
  vfio_ccw_register_schib_dev_regions,
  type vfio_ccw_regops,
  VFIO_CCW_STATE_NOT_OPER,
} from "./vfio_ccw_private.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot } = kbuild(import.meta.url);

function* vfio_ccw_mdev_reset(priv: vfio_ccw_private): Sleeps<number> {
  // A device that is not operational after closing and opening again is an error.
  yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_CLOSE);
  yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_OPEN);
  if (priv.state === VFIO_CCW_STATE_NOT_OPER) return -EINVAL;

  return 0;
}

function* vfio_ccw_dma_unmap(vdev: vfio_device, iova: bigint, length: bigint): Sleeps {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");

  // Pages that lose their mapping have to be unpinned.
  if (!cp_iova_pinned(priv.cp, iova, length)) return;

  yield* vfio_ccw_mdev_reset(priv);
}

function* vfio_ccw_mdev_init_dev(vdev: vfio_device): Sleeps<number> {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");

  init_completion(priv.release_comp);
  return 0;
}

function* vfio_ccw_mdev_probe(mdev: mdev_device): Sleeps<number> {
  const priv = dev_get_drvdata<vfio_ccw_private>(mdev.dev.parent!);

  if (priv!.state === VFIO_CCW_STATE_NOT_OPER) return -ENODEV;

  let ret = yield* vfio_init_device(priv!.vdev, mdev.dev, vfio_ccw_dev_ops);
  if (ret) return ret;

  VFIO_CCW_MSG_EVENT(
    2,
    "sch %x.%x.%04x: create\n",
    priv!.sch!.schid.cssid,
    priv!.sch!.schid.ssid,
    priv!.sch!.schid.sch_no,
  );

  err_put_vdev: {
    ret = yield* vfio_register_emulated_iommu_dev(priv!.vdev);
    if (ret) break err_put_vdev;
    dev_set_drvdata(mdev.dev, priv);
    return 0;
  }
  yield* vfio_put_device(priv!.vdev);
  return ret;
}

function* vfio_ccw_mdev_release_dev(vdev: vfio_device): Sleeps {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");

  // The struct cannot be freed here, as it holds what belongs to the parent: that is the css driver's to free. So
  // the core's part is made zero, and the remover is told that nobody refers to the device any more.
  memset(vdev, 0, sizeof(vdev));
  complete(priv.release_comp);
}

function* vfio_ccw_mdev_remove(mdev: mdev_device): Sleeps {
  const priv = dev_get_drvdata<vfio_ccw_private>(mdev.dev.parent!);

  VFIO_CCW_MSG_EVENT(
    2,
    "sch %x.%x.%04x: remove\n",
    priv!.sch!.schid.cssid,
    priv!.sch!.schid.ssid,
    priv!.sch!.schid.sch_no,
  );

  yield* vfio_unregister_group_dev(priv!.vdev);

  yield* vfio_put_device(priv!.vdev);
  // Only when all references on the mdev are gone may the struct be freed, later on. The clean way would be structs
  // with a life of their own for the parent, the mdev and the ccw part.
  yield* wait_for_completion(priv!.release_comp);
}

function* vfio_ccw_mdev_open_device(vdev: vfio_device): Sleeps<number> {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");

  // From this state it cannot simply be opened again.
  if (priv.state === VFIO_CCW_STATE_NOT_OPER) return -EINVAL;

  let ret = vfio_ccw_register_async_dev_regions(priv);
  if (ret) return ret;

  out_unregister: {
    ret = vfio_ccw_register_schib_dev_regions(priv);
    if (ret) break out_unregister;

    ret = vfio_ccw_register_crw_dev_regions(priv);
    if (ret) break out_unregister;

    yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_OPEN);
    if (priv.state === VFIO_CCW_STATE_NOT_OPER) {
      ret = -EINVAL;
      break out_unregister;
    }

    return ret;
  }
  vfio_ccw_unregister_dev_regions(priv);
  return ret;
}

function* vfio_ccw_mdev_close_device(vdev: vfio_device): Sleeps {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");

  yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_CLOSE);
  vfio_ccw_unregister_dev_regions(priv);
}

function* vfio_ccw_mdev_read_io_region(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const pos = Number(ppos.value & VFIO_CCW_OFFSET_MASK);
  let ret: number;

  if (pos + count > sizeof(ccw_io_region)) return -EINVAL;

  yield* mutex_lock(priv.io_mutex);
  const region = priv.io_region!;
  if (yield* copy_to_user(buf, bytes_at(region, pos), count)) ret = -EFAULT;
  else ret = count;
  mutex_unlock(priv.io_mutex);
  return ret;
}

function* vfio_ccw_mdev_read(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");
  let index = VFIO_CCW_OFFSET_TO_INDEX(ppos.value);

  if (index >= VFIO_CCW_NUM_REGIONS + priv.num_regions) return -EINVAL;

  switch (index) {
    case VFIO_CCW_CONFIG_REGION_INDEX:
      return yield* vfio_ccw_mdev_read_io_region(priv, buf, count, ppos);
    default:
      index -= VFIO_CCW_NUM_REGIONS;
      return yield* priv.region!.at(index).ops!.read(priv, buf, count, ppos);
  }
}

function* vfio_ccw_mdev_write_io_region(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const pos = Number(ppos.value & VFIO_CCW_OFFSET_MASK);
  let ret: number;

  if (pos + count > sizeof(ccw_io_region)) return -EINVAL;

  if (!mutex_trylock(priv.io_mutex)) return -EAGAIN;

  out_unlock: {
    const region = priv.io_region!;
    if (yield* copy_from_user(bytes_at(region, pos), buf, count)) {
      ret = -EFAULT;
      break out_unlock;
    }

    yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_IO_REQ);
    ret = region.ret_code !== 0 ? region.ret_code | 0 : count;
  }
  mutex_unlock(priv.io_mutex);
  return ret;
}

function* vfio_ccw_mdev_write(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");
  let index = VFIO_CCW_OFFSET_TO_INDEX(ppos.value);

  if (index >= VFIO_CCW_NUM_REGIONS + priv.num_regions) return -EINVAL;

  switch (index) {
    case VFIO_CCW_CONFIG_REGION_INDEX:
      return yield* vfio_ccw_mdev_write_io_region(priv, buf, count, ppos);
    default:
      index -= VFIO_CCW_NUM_REGIONS;
      return yield* priv.region!.at(index).ops!.write(priv, buf, count, ppos);
  }
}

function vfio_ccw_mdev_get_device_info(priv: vfio_ccw_private, info: vfio_device_info): number {
  info.flags = VFIO_DEVICE_FLAGS_CCW | VFIO_DEVICE_FLAGS_RESET;
  info.num_regions = VFIO_CCW_NUM_REGIONS + priv.num_regions;
  info.num_irqs = VFIO_CCW_NUM_IRQS;

  return 0;
}

function* vfio_ccw_mdev_get_region_info(priv: vfio_ccw_private, info: vfio_region_info, arg: bigint): Sleeps<number> {
  switch (info.index) {
    case VFIO_CCW_CONFIG_REGION_INDEX:
      info.offset = 0n;
      info.size = BigInt(sizeof(ccw_io_region));
      info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      return 0;
    default: {
      // All other regions say what they are by a capability.
      const caps = initialise(new vfio_info_cap(), { buf: null, size: 0 });
      const cap_type = new vfio_region_info_cap_type();
      cap_type.header.id = VFIO_REGION_INFO_CAP_TYPE;
      cap_type.header.version = 1;

      if (info.index >= VFIO_CCW_NUM_REGIONS + priv.num_regions) return -EINVAL;

      info.index = array_index_nospec(info.index, VFIO_CCW_NUM_REGIONS + priv.num_regions);

      const i = info.index - VFIO_CCW_NUM_REGIONS;

      info.offset = VFIO_CCW_INDEX_TO_OFFSET(info.index);
      info.size = BigInt(priv.region!.at(i).size);
      info.flags = priv.region!.at(i).flags;

      cap_type.type = priv.region!.at(i).type;
      cap_type.subtype = priv.region!.at(i).subtype;

      const ret = vfio_info_add_capability(caps, cap_type.header, sizeof(cap_type));
      if (ret) return ret;

      info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
      if (info.argsz < sizeof(info) + caps.size) {
        info.argsz = sizeof(info) + caps.size;
        info.cap_offset = 0;
      } else {
        vfio_info_cap_shift(caps, sizeof(info));
        if (yield* copy_to_user(arg + BigInt(sizeof(info)), caps.buf, caps.size)) {
          kfree(caps.buf);
          return -EFAULT;
        }
        info.cap_offset = sizeof(info);
      }

      kfree(caps.buf);
    }
  }
  return 0;
}

function vfio_ccw_mdev_get_irq_info(info: vfio_irq_info): number {
  switch (info.index) {
    case VFIO_CCW_IO_IRQ_INDEX:
    case VFIO_CCW_CRW_IRQ_INDEX:
    case VFIO_CCW_REQ_IRQ_INDEX:
      info.count = 1;
      info.flags = VFIO_IRQ_INFO_EVENTFD;
      break;
    default:
      return -EINVAL;
  }

  return 0;
}

/* `struct eventfd_ctx **`: which of the triggers. */
type trigger = "io_trigger" | "crw_trigger" | "req_trigger";

function* vfio_ccw_mdev_set_irqs(priv: vfio_ccw_private, flags: number, index: number, data: bigint): Sleeps<number> {
  let ctx: trigger;

  if (!(flags & VFIO_IRQ_SET_ACTION_TRIGGER)) return -EINVAL;

  switch (index) {
    case VFIO_CCW_IO_IRQ_INDEX:
      ctx = "io_trigger";
      break;
    case VFIO_CCW_CRW_IRQ_INDEX:
      ctx = "crw_trigger";
      break;
    case VFIO_CCW_REQ_IRQ_INDEX:
      ctx = "req_trigger";
      break;
    default:
      return -EINVAL;
  }

  switch (flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_NONE: {
      if (priv[ctx]) yield* eventfd_signal(priv[ctx]!, 1);
      return 0;
    }
    case VFIO_IRQ_SET_DATA_BOOL: {
      const trigger = { value: 0 };

      if (yield* get_user(trigger, data, 1, false)) return -EFAULT;

      if (trigger.value && priv[ctx]) yield* eventfd_signal(priv[ctx]!, 1);
      return 0;
    }
    case VFIO_IRQ_SET_DATA_EVENTFD: {
      const fd = { value: 0 };

      if (yield* get_user(fd, data, 4, true)) return -EFAULT;

      if (fd.value === -1) {
        if (priv[ctx]) eventfd_ctx_put(priv[ctx]!);
        priv[ctx] = null;
      } else if (fd.value >= 0) {
        const efdctx: eventfd_ctx = eventfd_ctx_fdget(fd.value);
        if (IS_ERR(efdctx)) return PTR_ERR(efdctx);

        if (priv[ctx]) eventfd_ctx_put(priv[ctx]!);

        priv[ctx] = efdctx;
      } else return -EINVAL;

      return 0;
    }
    default:
      return -EINVAL;
  }
}

/**
 * Adds a region behind those that are there.
 * @subtype: VFIO_REGION_SUBTYPE_CCW_*; @size: bytes; @data: what `ops` read and write
 * @return 0 or -ENOMEM. May sleep.
 */
export function vfio_ccw_register_dev_region(
  priv: vfio_ccw_private,
  subtype: number,
  ops: vfio_ccw_regops,
  size: number,
  flags: number,
  data: byte_memory | null,
): number {
  const region = krealloc(priv.region, priv.num_regions + 1, vfio_ccw_region, GFP_KERNEL);
  if (!region) return -ENOMEM;

  priv.region = region;
  priv.region.at(priv.num_regions).type = VFIO_REGION_TYPE_CCW;
  priv.region.at(priv.num_regions).subtype = subtype;
  priv.region.at(priv.num_regions).ops = ops;
  priv.region.at(priv.num_regions).size = size;
  priv.region.at(priv.num_regions).flags = flags;
  priv.region.at(priv.num_regions).data = data;

  priv.num_regions++;

  return 0;
}

/** Removes all regions but the first. */
export function vfio_ccw_unregister_dev_regions(priv: vfio_ccw_private): void {
  for (let i = 0; i < priv.num_regions; i++) priv.region!.at(i).ops!.release(priv, priv.region!.at(i));
  priv.num_regions = 0;
  kfree(priv.region);
  priv.region = null;
}

function* vfio_ccw_mdev_ioctl(vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");
  let ret = 0;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      const info = new vfio_device_info();

      const minsz = offsetofend(vfio_device_info, "num_irqs");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = vfio_ccw_mdev_get_device_info(priv, info);
      if (ret) return ret;

      return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      const info = new vfio_region_info();

      const minsz = offsetofend(vfio_region_info, "offset");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = yield* vfio_ccw_mdev_get_region_info(priv, info, arg);
      if (ret) return ret;

      return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_IRQ_INFO: {
      const info = new vfio_irq_info();

      const minsz = offsetofend(vfio_irq_info, "count");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz || info.index >= VFIO_CCW_NUM_IRQS) return -EINVAL;

      ret = vfio_ccw_mdev_get_irq_info(info);
      if (ret) return ret;

      if (info.count === 0xffffffff) return -EINVAL;

      return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_SET_IRQS: {
      const hdr = new vfio_irq_set();
      const data_size = { value: 0 };

      const minsz = offsetofend(vfio_irq_set, "count");

      if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

      ret = vfio_set_irqs_validate_and_prepare(hdr, 1, VFIO_CCW_NUM_IRQS, data_size);
      if (ret) return ret;

      const data = arg + BigInt(minsz);
      return yield* vfio_ccw_mdev_set_irqs(priv, hdr.flags, hdr.index, data);
    }
    case VFIO_DEVICE_RESET:
      return yield* vfio_ccw_mdev_reset(priv);
    default:
      return -ENOTTY;
  }
}

/* Request removal of the device */
function* vfio_ccw_mdev_request(vdev: vfio_device, count: number): Sleeps {
  const priv = container_of(vdev, vfio_ccw_private, "vdev");
  const { dev } = vdev;

  if (priv.req_trigger) {
    if (!(count % 10)) dev_notice_ratelimited(dev, "Relaying device request to user (#%u)\n", count);

    yield* eventfd_signal(priv.req_trigger, 1);
  } else if (count === 0) {
    dev_notice(dev, "No device request channel registered, blocked until released by user\n");
  }
}

const vfio_ccw_dev_ops: vfio_device_ops = {
  init: vfio_ccw_mdev_init_dev,
  release: vfio_ccw_mdev_release_dev,
  open_device: vfio_ccw_mdev_open_device,
  close_device: vfio_ccw_mdev_close_device,
  read: vfio_ccw_mdev_read,
  write: vfio_ccw_mdev_write,
  ioctl: vfio_ccw_mdev_ioctl,
  request: vfio_ccw_mdev_request,
  dma_unmap: vfio_ccw_dma_unmap,
};

/** What vfio_ccw_private.h declares extern. */
export const vfio_ccw_mdev = per_boot(() => ({
  vfio_ccw_mdev_driver: initialise(new mdev_driver(), {
    device_api: VFIO_DEVICE_API_CCW_STRING,
    max_instances: 1,
    driver: {
      name: "vfio_ccw_mdev",
      owner: THIS_MODULE,
      mod_name: KBUILD_MODNAME,
    },
    probe: vfio_ccw_mdev_probe,
    remove: vfio_ccw_mdev_remove,
  }),
}));
