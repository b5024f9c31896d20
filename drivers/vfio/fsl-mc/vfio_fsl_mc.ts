// SPDX-License-Identifier: GPL-2.0-only
/** VFIO for objects of the fsl-mc bus. Source: drivers/vfio/fsl-mc/vfio_fsl_mc.c */
import {
  BUS_NOTIFY_ADD_DEVICE,
  BUS_NOTIFY_BOUND_DRIVER,
  bus_register_notifier,
  bus_unregister_notifier,
  dev_err,
  dev_get_drvdata,
  dev_info,
  dev_name,
  dev_set_drvdata,
  dev_warn,
  type device,
} from "#linux/device.ts";
import { udelay } from "#linux/delay.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, EINVAL, ENOMEM, ENOTTY, ETIMEDOUT } from "#linux/errno.ts";
import type { loff_ptr } from "#linux/fs.ts";
import {
  dprc_cleanup,
  dprc_remove_devices,
  DPRC_RESET_OPTION_NON_RECURSIVE,
  dprc_reset_container,
  dprc_scan_container,
  dprc_setup,
  fsl_mc_bus_type,
  fsl_mc_cleanup_irq_pool,
  fsl_mc_cont_dev,
  type fsl_mc_device,
  fsl_mc_driver,
  fsl_mc_driver_register,
  fsl_mc_driver_unregister,
  fsl_mc_obj_close,
  fsl_mc_obj_open,
  fsl_mc_obj_reset,
  FSL_MC_REGION_CACHEABLE,
  FSL_MC_REGION_SHAREABLE,
  is_fsl_mc_bus_dprc,
  mc_cmd_header,
  MC_CMD_STATUS_READY,
  to_fsl_mc_device,
  to_fsl_mc_driver,
} from "#linux/fsl/mc.ts";
import { type iomem, ioremap, iounmap, readq, readq_relaxed, writeq, writeq_relaxed } from "#linux/io.ts";
import { IORESOURCE_BITS, IORESOURCE_READONLY, resource_size } from "#linux/ioport.ts";
import {
  PAGE_SHIFT,
  PAGE_SIZE,
  pgprot_noncached,
  remap_pfn_range,
  type vm_area_struct,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "#linux/mm.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_destroy, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { notifier_block } from "#linux/notifier.ts";
import { GFP_KERNEL, kasprintf, kcalloc, kfree } from "#linux/slab.ts";
import { cast_to, container_of, initialise, kbuf, offsetofend, type Sleeps } from "#linux/types.ts";
import { copy_from_user, copy_to_user, memdup_user } from "#linux/uaccess.ts";
import {
  vfio_alloc_device,
  vfio_assign_device_set,
  type vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_group_dev,
  vfio_set_irqs_validate_and_prepare,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import {
  VFIO_DEVICE_FLAGS_FSL_MC,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_device_info,
  VFIO_IRQ_INFO_EVENTFD,
  vfio_irq_info,
  vfio_irq_set,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_region_info,
} from "#uapi/linux/vfio.ts";
import {
  vfio_fsl_mc_device,
  VFIO_FSL_MC_INDEX_TO_OFFSET,
  vfio_fsl_mc_irqs_cleanup,
  VFIO_FSL_MC_OFFSET_MASK,
  VFIO_FSL_MC_OFFSET_SHIFT,
  VFIO_FSL_MC_OFFSET_TO_INDEX,
  vfio_fsl_mc_region,
  vfio_fsl_mc_set_irqs_ioctl,
} from "./vfio_fsl_mc_private.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

/** ~PAGE_MASK */
const NOT_PAGE_MASK = BigInt(PAGE_SIZE - 1);
const SHIFT = BigInt(PAGE_SHIFT);

function vfio_fsl_mc_open_device(core_vdev: vfio_device): number {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const mc_dev = vdev.mc_dev!;
  const count = mc_dev.obj_desc.region_count;

  vdev.regions = kcalloc(count, vfio_fsl_mc_region, GFP_KERNEL);
  if (!vdev.regions) return -ENOMEM;

  for (let i = 0; i < count; i++) {
    const res = mc_dev.regions!.at(i);
    const region = vdev.regions.at(i);
    const no_mmap = is_fsl_mc_bus_dprc(mc_dev);

    region.addr = res.start;
    region.size = resource_size(res);
    region.type = res.flags & IORESOURCE_BITS;
    // Part of a page cannot be mapped without showing the rest of it.
    if (!no_mmap && !(region.addr & NOT_PAGE_MASK) && !(region.size & NOT_PAGE_MASK))
      region.flags |= VFIO_REGION_INFO_FLAG_MMAP;
    region.flags |= VFIO_REGION_INFO_FLAG_READ;
    if (!(res.flags & IORESOURCE_READONLY)) region.flags |= VFIO_REGION_INFO_FLAG_WRITE;
  }

  return 0;
}

function vfio_fsl_mc_regions_cleanup(vdev: vfio_fsl_mc_device): void {
  const mc_dev = vdev.mc_dev!;

  for (let i = 0; i < mc_dev.obj_desc.region_count; i++) iounmap(vdev.regions!.at(i).ioaddr);
  kfree(vdev.regions);
}

function* vfio_fsl_mc_reset_device(vdev: vfio_fsl_mc_device): Sleeps<number> {
  const mc_dev = vdev.mc_dev!;
  let ret = 0;

  if (is_fsl_mc_bus_dprc(mc_dev)) {
    return yield* dprc_reset_container(
      mc_dev.mc_io!,
      0,
      mc_dev.mc_handle,
      mc_dev.obj_desc.id,
      DPRC_RESET_OPTION_NON_RECURSIVE,
    );
  } else {
    const token = { value: 0 };

    ret = yield* fsl_mc_obj_open(mc_dev.mc_io!, 0, mc_dev.obj_desc.id, mc_dev.obj_desc.type, token);
    if (ret) return ret;
    ret = yield* fsl_mc_obj_reset(mc_dev.mc_io!, 0, token.value);
    if (ret) {
      yield* fsl_mc_obj_close(mc_dev.mc_io!, 0, token.value);
      return ret;
    }
    ret = yield* fsl_mc_obj_close(mc_dev.mc_io!, 0, token.value);
  }
  return ret;
}

function* vfio_fsl_mc_close_device(core_vdev: vfio_device): Sleeps {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const mc_dev = vdev.mc_dev!;
  const cont_dev = fsl_mc_cont_dev(mc_dev.dev);
  const mc_cont = to_fsl_mc_device(cont_dev);

  vfio_fsl_mc_regions_cleanup(vdev);

  // While it still has its interrupts
  const ret = yield* vfio_fsl_mc_reset_device(vdev);

  if (ret) dev_warn(mc_cont.dev, "VFIO_FSL_MC: reset device has failed (%d)\n", ret);

  yield* vfio_fsl_mc_irqs_cleanup(vdev);

  yield* fsl_mc_cleanup_irq_pool(mc_cont);
}

function* vfio_fsl_mc_ioctl(core_vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const mc_dev = vdev.mc_dev!;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      const info = new vfio_device_info();

      const minsz = offsetofend(vfio_device_info, "num_irqs");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      info.flags = VFIO_DEVICE_FLAGS_FSL_MC;

      if (is_fsl_mc_bus_dprc(mc_dev)) info.flags |= VFIO_DEVICE_FLAGS_RESET;

      info.num_regions = mc_dev.obj_desc.region_count;
      info.num_irqs = mc_dev.obj_desc.irq_count;

      return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      const info = new vfio_region_info();

      const minsz = offsetofend(vfio_region_info, "offset");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      if (info.index >= mc_dev.obj_desc.region_count) return -EINVAL;

      info.offset = VFIO_FSL_MC_INDEX_TO_OFFSET(info.index);
      info.size = vdev.regions!.at(info.index).size;
      info.flags = vdev.regions!.at(info.index).flags;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;
      return 0;
    }
    case VFIO_DEVICE_GET_IRQ_INFO: {
      const info = new vfio_irq_info();

      const minsz = offsetofend(vfio_irq_info, "count");
      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      if (info.index >= mc_dev.obj_desc.irq_count) return -EINVAL;

      info.flags = VFIO_IRQ_INFO_EVENTFD;
      info.count = 1;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;
      return 0;
    }
    case VFIO_DEVICE_SET_IRQS: {
      const hdr = new vfio_irq_set();
      let data: kbuf | null = null;
      const data_size = { value: 0 };

      const minsz = offsetofend(vfio_irq_set, "count");

      if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

      let ret = vfio_set_irqs_validate_and_prepare(
        hdr,
        mc_dev.obj_desc.irq_count,
        mc_dev.obj_desc.irq_count,
        data_size,
      );
      if (ret) return ret;

      if (data_size.value) {
        data = yield* memdup_user(arg + BigInt(minsz), data_size.value);
        if (IS_ERR(data)) return PTR_ERR(data);
      }

      yield* mutex_lock(vdev.igate);
      ret = yield* vfio_fsl_mc_set_irqs_ioctl(vdev, hdr.flags, hdr.index, hdr.start, hdr.count, data);
      mutex_unlock(vdev.igate);
      kfree(data);

      return ret;
    }
    case VFIO_DEVICE_RESET:
      return yield* vfio_fsl_mc_reset_device(vdev);
    default:
      return -ENOTTY;
  }
}

function* vfio_fsl_mc_read(core_vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const index = VFIO_FSL_MC_OFFSET_TO_INDEX(ppos.value);
  const off = ppos.value & VFIO_FSL_MC_OFFSET_MASK;
  const mc_dev = vdev.mc_dev!;
  const data = new kbuf(64);

  if (index >= mc_dev.obj_desc.region_count) return -EINVAL;

  const region = vdev.regions!.at(index);

  if (!(region.flags & VFIO_REGION_INFO_FLAG_READ)) return -EINVAL;

  if (!region.ioaddr) {
    region.ioaddr = ioremap(region.addr, region.size);
    if (!region.ioaddr) return -ENOMEM;
  }

  if (count !== 64 || off !== 0n) return -EINVAL;

  for (let i = 7; i >= 0; i--) data.$view.setBigUint64(8 * i, readq(region.ioaddr, 8 * i), true);

  if (yield* copy_to_user(buf, data, 64)) return -EFAULT;

  return count;
}

const MC_CMD_COMPLETION_TIMEOUT_MS = 5000;
const MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS = 500;

function vfio_fsl_mc_send_command(ioaddr: iomem, cmd_data: kbuf): number {
  let timeout_usecs = MC_CMD_COMPLETION_TIMEOUT_MS * 1000;

  for (let i = 7; i >= 1; i--) writeq_relaxed(cmd_data.$view.getBigUint64(8 * i, true), ioaddr, 8 * i);

  // The header sets the command going.
  writeq(cmd_data.$view.getBigUint64(0, true), ioaddr, 0);

  for (;;) {
    const header = new kbuf(8);
    header.$view.setBigUint64(0, readq_relaxed(ioaddr, 0), true);

    const status = cast_to(mc_cmd_header, header).status;
    if (status !== MC_CMD_STATUS_READY) break;

    udelay(MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS);
    timeout_usecs -= MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS;
    if (timeout_usecs === 0) return -ETIMEDOUT;
  }

  return 0;
}

function* vfio_fsl_mc_write(core_vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const index = VFIO_FSL_MC_OFFSET_TO_INDEX(ppos.value);
  const off = ppos.value & VFIO_FSL_MC_OFFSET_MASK;
  const mc_dev = vdev.mc_dev!;
  const data = new kbuf(64);

  if (index >= mc_dev.obj_desc.region_count) return -EINVAL;

  const region = vdev.regions!.at(index);

  if (!(region.flags & VFIO_REGION_INFO_FLAG_WRITE)) return -EINVAL;

  if (!region.ioaddr) {
    region.ioaddr = ioremap(region.addr, region.size);
    if (!region.ioaddr) return -ENOMEM;
  }

  if (count !== 64 || off !== 0n) return -EINVAL;

  if (yield* copy_from_user(data, buf, 64)) return -EFAULT;

  const ret = vfio_fsl_mc_send_command(region.ioaddr, data);
  if (ret) return ret;

  return count;
}

function vfio_fsl_mc_mmap_mmio(region: vfio_fsl_mc_region, vma: vm_area_struct): number {
  const size = vma.vm_end - vma.vm_start;

  const pgoff = vma.vm_pgoff & ((1n << (VFIO_FSL_MC_OFFSET_SHIFT - SHIFT)) - 1n);
  const base = pgoff << SHIFT;

  if (region.size < BigInt(PAGE_SIZE) || base + size > region.size) return -EINVAL;

  const region_cacheable = region.type & FSL_MC_REGION_CACHEABLE && region.type & FSL_MC_REGION_SHAREABLE;
  if (!region_cacheable) vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot);

  vma.vm_pgoff = (region.addr >> SHIFT) + pgoff;

  return remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, size, vma.vm_page_prot);
}

function vfio_fsl_mc_mmap(core_vdev: vfio_device, vma: vm_area_struct): number {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const mc_dev = vdev.mc_dev!;

  const index = Number(BigInt.asUintN(32, vma.vm_pgoff >> (VFIO_FSL_MC_OFFSET_SHIFT - SHIFT)));

  if (vma.vm_end < vma.vm_start) return -EINVAL;
  if (vma.vm_start & NOT_PAGE_MASK) return -EINVAL;
  if (vma.vm_end & NOT_PAGE_MASK) return -EINVAL;
  if (!(vma.vm_flags & BigInt(VM_SHARED))) return -EINVAL;
  if (index >= mc_dev.obj_desc.region_count) return -EINVAL;

  const region = vdev.regions!.at(index);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) return -EINVAL;

  if (!(region.flags & VFIO_REGION_INFO_FLAG_READ) && vma.vm_flags & BigInt(VM_READ)) return -EINVAL;

  if (!(region.flags & VFIO_REGION_INFO_FLAG_WRITE) && vma.vm_flags & BigInt(VM_WRITE)) return -EINVAL;

  vma.vm_private_data = mc_dev;

  return vfio_fsl_mc_mmap_mmio(region, vma);
}

function vfio_fsl_mc_bus_notifier(nb: notifier_block, action: number, data: unknown): number {
  const vdev = container_of(nb, vfio_fsl_mc_device, "nb");
  const dev = data as device;
  const mc_dev = to_fsl_mc_device(dev);
  const mc_cont = to_fsl_mc_device(mc_dev.dev.parent);

  if (action === BUS_NOTIFY_ADD_DEVICE && vdev.mc_dev === mc_cont) {
    mc_dev.driver_override = kasprintf(GFP_KERNEL, "%s", vfio_fsl_mc_ops.name);
    if (!mc_dev.driver_override)
      dev_warn(dev, "VFIO_FSL_MC: Setting driver override for device in dprc %s failed\n", dev_name(mc_cont.dev));
    else dev_info(dev, "VFIO_FSL_MC: Setting driver override for device in dprc %s\n", dev_name(mc_cont.dev));
  } else if (action === BUS_NOTIFY_BOUND_DRIVER && vdev.mc_dev === mc_cont) {
    const mc_drv = to_fsl_mc_driver(dev.driver);

    if (mc_drv !== s.vfio_fsl_mc_driver)
      dev_warn(
        dev,
        "VFIO_FSL_MC: Object %s bound to driver %s while DPRC bound to vfio-fsl-mc\n",
        dev_name(dev),
        mc_drv.driver.name,
      );
  }

  return 0;
}

function* vfio_fsl_mc_init_device(vdev: vfio_fsl_mc_device): Sleeps<number> {
  const mc_dev = vdev.mc_dev!;

  // The others go through their container's portal
  if (!is_fsl_mc_bus_dprc(mc_dev)) {
    const mc_cont = to_fsl_mc_device(mc_dev.dev.parent);

    mc_dev.mc_io = mc_cont.mc_io;
    return 0;
  }

  vdev.nb.notifier_call = vfio_fsl_mc_bus_notifier;
  let ret = yield* bus_register_notifier(fsl_mc_bus_type(), vdev.nb);
  if (ret) return ret;

  out_nc_unreg: {
    ret = yield* dprc_setup(mc_dev);
    if (ret) {
      dev_err(mc_dev.dev, "VFIO_FSL_MC: Failed to setup DPRC (%d)\n", ret);
      break out_nc_unreg;
    }
    return 0;
  }
  yield* bus_unregister_notifier(fsl_mc_bus_type(), vdev.nb);
  return ret;
}

function* vfio_fsl_mc_scan_container(mc_dev: fsl_mc_device): Sleeps<number> {
  // Only containers have objects
  if (!is_fsl_mc_bus_dprc(mc_dev)) return 0;
  const ret = yield* dprc_scan_container(mc_dev, false);
  if (ret) {
    dev_err(mc_dev.dev, "VFIO_FSL_MC: Container scanning failed (%d)\n", ret);
    yield* dprc_remove_devices(mc_dev, null, 0);
    return ret;
  }
  return 0;
}

function* vfio_fsl_uninit_device(vdev: vfio_fsl_mc_device): Sleeps {
  const mc_dev = vdev.mc_dev!;

  if (!is_fsl_mc_bus_dprc(mc_dev)) return;

  yield* dprc_cleanup(mc_dev);
  yield* bus_unregister_notifier(fsl_mc_bus_type(), vdev.nb);
}

function* vfio_fsl_mc_init_dev(core_vdev: vfio_device): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");
  const mc_dev = to_fsl_mc_device(core_vdev.dev);
  let ret: number;

  vdev.mc_dev = mc_dev;
  mutex_init(vdev.igate);

  if (is_fsl_mc_bus_dprc(mc_dev)) ret = yield* vfio_assign_device_set(core_vdev, mc_dev.dev);
  else ret = yield* vfio_assign_device_set(core_vdev, mc_dev.dev.parent);

  if (ret) return ret;

  // If this fails the core gives the set back.
  return yield* vfio_fsl_mc_init_device(vdev);
}

function* vfio_fsl_mc_probe(mc_dev: fsl_mc_device): Sleeps<number> {
  const dev = mc_dev.dev;

  const vdev = yield* vfio_alloc_device(vfio_fsl_mc_device, "vdev", dev, vfio_fsl_mc_ops);
  if (IS_ERR(vdev)) return PTR_ERR(vdev);

  let ret = yield* vfio_register_group_dev(vdev.vdev);
  out_put_vdev: {
    if (ret) {
      dev_err(dev, "VFIO_FSL_MC: Failed to add to vfio group\n");
      break out_put_vdev;
    }

    out_group_dev: {
      ret = yield* vfio_fsl_mc_scan_container(mc_dev);
      if (ret) break out_group_dev;
      dev_set_drvdata(dev, vdev);
      return 0;
    }
    yield* vfio_unregister_group_dev(vdev.vdev);
  }
  yield* vfio_put_device(vdev.vdev);
  return ret;
}

function* vfio_fsl_mc_release_dev(core_vdev: vfio_device): Sleeps {
  const vdev = container_of(core_vdev, vfio_fsl_mc_device, "vdev");

  yield* vfio_fsl_uninit_device(vdev);
  mutex_destroy(vdev.igate);
  vfio_free_device(core_vdev);
}

function* vfio_fsl_mc_remove(mc_dev: fsl_mc_device): Sleeps<number> {
  const dev = mc_dev.dev;
  const vdev = dev_get_drvdata<vfio_fsl_mc_device>(dev)!;

  yield* vfio_unregister_group_dev(vdev.vdev);
  yield* dprc_remove_devices(mc_dev, null, 0);
  yield* vfio_put_device(vdev.vdev);
  return 0;
}

const vfio_fsl_mc_ops: vfio_device_ops = {
  name: "vfio-fsl-mc",
  init: vfio_fsl_mc_init_dev,
  release: vfio_fsl_mc_release_dev,
  open_device: vfio_fsl_mc_open_device,
  close_device: vfio_fsl_mc_close_device,
  ioctl: vfio_fsl_mc_ioctl,
  read: vfio_fsl_mc_read,
  write: vfio_fsl_mc_write,
  mmap: vfio_fsl_mc_mmap,
};

const s = per_boot(() => {
  const vfio_fsl_mc_driver = initialise(new fsl_mc_driver(), {
    probe: vfio_fsl_mc_probe,
    remove: vfio_fsl_mc_remove,
    driver_managed_dma: true,
  });
  initialise(vfio_fsl_mc_driver.driver, { name: "vfio-fsl-mc", owner: THIS_MODULE });
  return { vfio_fsl_mc_driver };
});

function vfio_fsl_mc_driver_init(): Sleeps<number> {
  return fsl_mc_driver_register(s.vfio_fsl_mc_driver, THIS_MODULE);
}

function vfio_fsl_mc_driver_exit(): Sleeps {
  return fsl_mc_driver_unregister(s.vfio_fsl_mc_driver);
}

module_init(vfio_fsl_mc_driver_init);
module_exit(vfio_fsl_mc_driver_exit);

MODULE_LICENSE("Dual BSD/GPL");
