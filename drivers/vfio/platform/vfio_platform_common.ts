// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the drivers of VFIO for platform and for AMBA devices have in common. Source: drivers/vfio/platform/vfio_platform_common.c
 * The kernel is one without CONFIG_ACPI.
 */
import { WARN_ON } from "#linux/bug.ts";
import { dev_err, dev_info, dev_warn, type device } from "#linux/device.ts";
import { EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { ioread16, ioread32, ioread8, ioremap, iounmap, iowrite16, iowrite32, iowrite8 } from "#linux/io.ts";
import { IORESOURCE_IO, IORESOURCE_MEM, IORESOURCE_READONLY, resource_size, resource_type } from "#linux/ioport.ts";
import {
  INIT_LIST_HEAD,
  list_add,
  list_del,
  list_for_each_entry,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
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
import { kbuild, type module, module_put, request_module, try_module_get } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { pm_runtime_get_sync, pm_runtime_put } from "#linux/pm_runtime.ts";
import { device_property_read_string } from "#linux/property.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kcalloc, kfree } from "#linux/slab.ts";
import { set_byte_at, set_u16_at, set_u32_at, byte_at, u16_at, u32_at } from "#linux/string.ts";
import { container_of, kbuf, offsetofend, type Sleeps } from "#linux/types.ts";
import { copy_from_user, copy_to_user, memdup_user } from "#linux/uaccess.ts";
import { type out, type vfio_device, vfio_set_irqs_validate_and_prepare } from "#linux/vfio.ts";
import {
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_device_info,
  vfio_irq_info,
  vfio_irq_set,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_region_info,
} from "#uapi/linux/vfio.ts";
import {
  vfio_platform_device,
  VFIO_PLATFORM_INDEX_TO_OFFSET,
  vfio_platform_irq_cleanup,
  vfio_platform_irq_init,
  VFIO_PLATFORM_OFFSET_MASK,
  VFIO_PLATFORM_OFFSET_SHIFT,
  VFIO_PLATFORM_OFFSET_TO_INDEX,
  vfio_platform_region,
  VFIO_PLATFORM_REGION_TYPE_MMIO,
  VFIO_PLATFORM_REGION_TYPE_PIO,
  type vfio_platform_reset_fn_t,
  vfio_platform_reset_node,
  vfio_platform_set_irqs_ioctl,
} from "./vfio_platform_private.ts";

const { per_boot, EXPORT_SYMBOL_GPL, MODULE_LICENSE, MODULE_VERSION } = kbuild(import.meta.url);

const DRIVER_VERSION = "0.10";

const VFIO_PLATFORM_IS_ACPI = (vdev: vfio_platform_device): boolean => vdev.acpihid !== null;

/** ~PAGE_MASK */
const NOT_PAGE_MASK = BigInt(PAGE_SIZE - 1);
const SHIFT = BigInt(PAGE_SHIFT);

/** The machine is booted with a device tree. */
const acpi_disabled = true;

const s = per_boot(() => {
  const made = { reset_list: new list_head(), driver_lock: new mutex() };
  INIT_LIST_HEAD(made.reset_list);
  mutex_init(made.driver_lock, "driver_lock");
  return made;
});

function* vfio_platform_lookup_reset(
  compat: string | null,
  module: out<module | null>,
): Sleeps<vfio_platform_reset_fn_t | null> {
  let reset_fn: vfio_platform_reset_fn_t | null = null;

  yield* mutex_lock(s.driver_lock);
  for (const iter of list_for_each_entry(s.reset_list, vfio_platform_reset_node, "link")) {
    if (iter.compat === compat && try_module_get(iter.owner)) {
      module.value = iter.owner;
      reset_fn = iter.of_reset;
      break;
    }
  }
  mutex_unlock(s.driver_lock);
  return reset_fn;
}

function vfio_platform_acpi_probe(vdev: vfio_platform_device, dev: device): number {
  if (acpi_disabled) return -ENOENT;

  dev_err(dev, "ACPI companion device not found for %s\n", vdev.name);
  return -ENODEV;
}

function vfio_platform_acpi_call_reset(_vdev: vfio_platform_device, _extra_dbg: out<string | null> | null): number {
  return -ENOENT;
}

function vfio_platform_acpi_has_reset(_vdev: vfio_platform_device): boolean {
  return false;
}

function vfio_platform_has_reset(vdev: vfio_platform_device): boolean {
  if (VFIO_PLATFORM_IS_ACPI(vdev)) return vfio_platform_acpi_has_reset(vdev);

  return vdev.of_reset !== null;
}

/* `&vdev->reset_module` */
class reset_module_of {
  readonly vdev: vfio_platform_device;
  constructor(vdev: vfio_platform_device) {
    this.vdev = vdev;
  }
  get value(): module | null {
    return this.vdev.reset_module;
  }
  set value(v: module | null) {
    this.vdev.reset_module = v;
  }
}

function* vfio_platform_get_reset(vdev: vfio_platform_device): Sleeps<number> {
  if (VFIO_PLATFORM_IS_ACPI(vdev)) return vfio_platform_acpi_has_reset(vdev) ? 0 : -ENOENT;

  vdev.of_reset = yield* vfio_platform_lookup_reset(vdev.compat, new reset_module_of(vdev));
  if (!vdev.of_reset) {
    yield* request_module("vfio-reset:%s", vdev.compat);
    vdev.of_reset = yield* vfio_platform_lookup_reset(vdev.compat, new reset_module_of(vdev));
  }

  return vdev.of_reset ? 0 : -ENOENT;
}

function vfio_platform_put_reset(vdev: vfio_platform_device): void {
  if (VFIO_PLATFORM_IS_ACPI(vdev)) return;

  if (vdev.of_reset) module_put(vdev.reset_module);
}

function vfio_platform_regions_init(vdev: vfio_platform_device): number {
  let cnt = 0;

  while (vdev.get_resource!(vdev, cnt)) cnt++;

  vdev.regions = kcalloc(cnt, vfio_platform_region, GFP_KERNEL);
  if (!vdev.regions) return -ENOMEM;

  err: {
    for (let i = 0; i < cnt; i++) {
      const res = vdev.get_resource!(vdev, i);
      const region = vdev.regions.at(i);

      if (!res) break err;

      region.addr = res.start;
      region.size = resource_size(res);
      region.flags = 0;

      switch (resource_type(res)) {
        case IORESOURCE_MEM:
          region.type = VFIO_PLATFORM_REGION_TYPE_MMIO;
          region.flags |= VFIO_REGION_INFO_FLAG_READ;
          if (!(res.flags & IORESOURCE_READONLY)) region.flags |= VFIO_REGION_INFO_FLAG_WRITE;

          // Part of a page cannot be mapped without showing the rest of it.
          if (!(region.addr & NOT_PAGE_MASK) && !(region.size & NOT_PAGE_MASK))
            region.flags |= VFIO_REGION_INFO_FLAG_MMAP;

          break;
        case IORESOURCE_IO:
          region.type = VFIO_PLATFORM_REGION_TYPE_PIO;
          break;
        default:
          break err;
      }
    }

    vdev.num_regions = cnt;

    return 0;
  }
  kfree(vdev.regions);
  return -EINVAL;
}

function vfio_platform_regions_cleanup(vdev: vfio_platform_device): void {
  for (let i = 0; i < vdev.num_regions; i++) iounmap(vdev.regions!.at(i).ioaddr);

  vdev.num_regions = 0;
  kfree(vdev.regions);
}

function* vfio_platform_call_reset(vdev: vfio_platform_device, extra_dbg: out<string | null> | null): Sleeps<number> {
  if (VFIO_PLATFORM_IS_ACPI(vdev)) {
    dev_info(vdev.device, "VFIO: reset\n");
    return vfio_platform_acpi_call_reset(vdev, extra_dbg);
  } else if (vdev.of_reset) {
    dev_info(vdev.device, "VFIO: reset\n");
    return yield* either(vdev.of_reset(vdev));
  }

  dev_warn(vdev.device, "VFIO: no reset function found!\n");
  return -EINVAL;
}

/** Resets the device and gives back what opening took. Context: dev_set->lock held, may sleep. */
export function* vfio_platform_close_device(core_vdev: vfio_device): Sleeps {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");
  const extra_dbg: out<string | null> = { value: null };

  const ret = yield* vfio_platform_call_reset(vdev, extra_dbg);
  if (WARN_ON(ret !== 0 && vdev.reset_required)) {
    dev_warn(
      vdev.device,
      "VFIO: reset driver is required and reset call failed in release (%d) %s\n",
      ret,
      extra_dbg.value ?? "",
    );
  }
  yield* pm_runtime_put(vdev.device!);
  vfio_platform_regions_cleanup(vdev);
  yield* vfio_platform_irq_cleanup(vdev);
}
EXPORT_SYMBOL_GPL(vfio_platform_close_device);

/**
 * Looks up regions and interrupts, powers the device and resets it.
 * @return 0; -EINVAL for a region of no known kind, or what the reset said if one is required; -ENOMEM; errno. May sleep
 */
export function* vfio_platform_open_device(core_vdev: vfio_device): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");
  const extra_dbg: out<string | null> = { value: null };

  let ret = vfio_platform_regions_init(vdev);
  if (ret) return ret;

  err_irq: {
    ret = yield* vfio_platform_irq_init(vdev);
    if (ret) break err_irq;

    err_rst: {
      ret = yield* pm_runtime_get_sync(vdev.device!);
      if (ret < 0) break err_rst;

      ret = yield* vfio_platform_call_reset(vdev, extra_dbg);
      if (ret && vdev.reset_required) {
        dev_warn(
          vdev.device,
          "VFIO: reset driver is required and reset call failed in open (%d) %s\n",
          ret,
          extra_dbg.value ?? "",
        );
        break err_rst;
      }
      return 0;
    }
    yield* pm_runtime_put(vdev.device!);
    yield* vfio_platform_irq_cleanup(vdev);
  }
  vfio_platform_regions_cleanup(vdev);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_platform_open_device);

/** What user space asks of an open device. @arg: user address. @return 0; -EFAULT, -EINVAL, -ENOMEM, -ENOTTY. May sleep */
export function* vfio_platform_ioctl(core_vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");

  if (cmd === VFIO_DEVICE_GET_INFO) {
    const info = new vfio_device_info();

    const minsz = offsetofend(vfio_device_info, "num_irqs");

    if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

    if (info.argsz < minsz) return -EINVAL;

    if (vfio_platform_has_reset(vdev)) vdev.flags |= VFIO_DEVICE_FLAGS_RESET;
    info.flags = vdev.flags;
    info.num_regions = vdev.num_regions;
    info.num_irqs = vdev.num_irqs;

    return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
  } else if (cmd === VFIO_DEVICE_GET_REGION_INFO) {
    const info = new vfio_region_info();

    const minsz = offsetofend(vfio_region_info, "offset");

    if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

    if (info.argsz < minsz) return -EINVAL;

    if (info.index >= vdev.num_regions) return -EINVAL;

    info.offset = VFIO_PLATFORM_INDEX_TO_OFFSET(info.index);
    info.size = vdev.regions!.at(info.index).size;
    info.flags = vdev.regions!.at(info.index).flags;

    return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
  } else if (cmd === VFIO_DEVICE_GET_IRQ_INFO) {
    const info = new vfio_irq_info();

    const minsz = offsetofend(vfio_irq_info, "count");

    if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

    if (info.argsz < minsz) return -EINVAL;

    if (info.index >= vdev.num_irqs) return -EINVAL;

    info.flags = vdev.irqs!.at(info.index).flags;
    info.count = vdev.irqs!.at(info.index).count;

    return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
  } else if (cmd === VFIO_DEVICE_SET_IRQS) {
    const hdr = new vfio_irq_set();
    let data: kbuf | null = null;
    const data_size = { value: 0 };

    const minsz = offsetofend(vfio_irq_set, "count");

    if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

    let ret = vfio_set_irqs_validate_and_prepare(hdr, vdev.num_irqs, vdev.num_irqs, data_size);
    if (ret) return ret;

    if (data_size.value) {
      data = yield* memdup_user(arg + BigInt(minsz), data_size.value);
      if (IS_ERR(data)) return PTR_ERR(data);
    }

    yield* mutex_lock(vdev.igate);

    ret = yield* vfio_platform_set_irqs_ioctl(vdev, hdr.flags, hdr.index, hdr.start, hdr.count, data);
    mutex_unlock(vdev.igate);
    kfree(data);

    return ret;
  } else if (cmd === VFIO_DEVICE_RESET) {
    return yield* vfio_platform_call_reset(vdev, null);
  }

  return -ENOTTY;
}
EXPORT_SYMBOL_GPL(vfio_platform_ioctl);

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function* vfio_platform_read_mmio(reg: vfio_platform_region, buf: bigint, count: number, off: bigint): Sleeps<number> {
  let done = 0;

  if (off >= reg.size) return -EINVAL;

  count = Number(min(BigInt(count), reg.size - off));

  if (off >= reg.size) return -EINVAL;

  count = Number(min(BigInt(count), reg.size - off));

  if (!reg.ioaddr) {
    reg.ioaddr = ioremap(reg.addr, reg.size);

    if (!reg.ioaddr) return -ENOMEM;
  }

  err: {
    while (count) {
      let filled: number;

      if (count >= 4 && !(off % 4n)) {
        const val = new kbuf(4);

        set_u32_at(val, 0, ioread32(reg.ioaddr, Number(off)));
        if (yield* copy_to_user(buf, val, 4)) break err;

        filled = 4;
      } else if (count >= 2 && !(off % 2n)) {
        const val = new kbuf(2);

        set_u16_at(val, 0, ioread16(reg.ioaddr, Number(off)));
        if (yield* copy_to_user(buf, val, 2)) break err;

        filled = 2;
      } else {
        const val = new kbuf(1);

        set_byte_at(val, 0, ioread8(reg.ioaddr, Number(off)));
        if (yield* copy_to_user(buf, val, 1)) break err;

        filled = 1;
      }

      count -= filled;
      done += filled;
      off += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

/** Reads registers of a region, whose number is in the upper bits of `ppos`, in the widest units that fit. May sleep. */
export function* vfio_platform_read(
  core_vdev: vfio_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");
  const index = VFIO_PLATFORM_OFFSET_TO_INDEX(ppos.value);
  const off = ppos.value & VFIO_PLATFORM_OFFSET_MASK;

  if (index >= vdev.num_regions) return -EINVAL;

  const region = vdev.regions!.at(index);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_READ)) return -EINVAL;

  if (region.type & VFIO_PLATFORM_REGION_TYPE_MMIO) return yield* vfio_platform_read_mmio(region, buf, count, off);
  // C does not implement ports.
  else if (region.type & VFIO_PLATFORM_REGION_TYPE_PIO) return -EINVAL;

  return -EINVAL;
}
EXPORT_SYMBOL_GPL(vfio_platform_read);

function* vfio_platform_write_mmio(reg: vfio_platform_region, buf: bigint, count: number, off: bigint): Sleeps<number> {
  let done = 0;

  if (off >= reg.size) return -EINVAL;

  count = Number(min(BigInt(count), reg.size - off));

  if (off >= reg.size) return -EINVAL;

  count = Number(min(BigInt(count), reg.size - off));

  if (!reg.ioaddr) {
    reg.ioaddr = ioremap(reg.addr, reg.size);

    if (!reg.ioaddr) return -ENOMEM;
  }

  err: {
    while (count) {
      let filled: number;

      if (count >= 4 && !(off % 4n)) {
        const val = new kbuf(4);

        if (yield* copy_from_user(val, buf, 4)) break err;
        iowrite32(u32_at(val, 0), reg.ioaddr, Number(off));

        filled = 4;
      } else if (count >= 2 && !(off % 2n)) {
        const val = new kbuf(2);

        if (yield* copy_from_user(val, buf, 2)) break err;
        iowrite16(u16_at(val, 0), reg.ioaddr, Number(off));

        filled = 2;
      } else {
        const val = new kbuf(1);

        if (yield* copy_from_user(val, buf, 1)) break err;
        iowrite8(byte_at(val, 0), reg.ioaddr, Number(off));

        filled = 1;
      }

      count -= filled;
      done += filled;
      off += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

/** The same the other way round. May sleep. */
export function* vfio_platform_write(
  core_vdev: vfio_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");
  const index = VFIO_PLATFORM_OFFSET_TO_INDEX(ppos.value);
  const off = ppos.value & VFIO_PLATFORM_OFFSET_MASK;

  if (index >= vdev.num_regions) return -EINVAL;

  const region = vdev.regions!.at(index);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_WRITE)) return -EINVAL;

  if (region.type & VFIO_PLATFORM_REGION_TYPE_MMIO) return yield* vfio_platform_write_mmio(region, buf, count, off);
  else if (region.type & VFIO_PLATFORM_REGION_TYPE_PIO) return -EINVAL;

  return -EINVAL;
}
EXPORT_SYMBOL_GPL(vfio_platform_write);

function vfio_platform_mmap_mmio(region: vfio_platform_region, vma: vm_area_struct): number {
  const req_len = vma.vm_end - vma.vm_start;
  const pgoff = vma.vm_pgoff & ((1n << (VFIO_PLATFORM_OFFSET_SHIFT - SHIFT)) - 1n);
  const req_start = pgoff << SHIFT;

  if (region.size < BigInt(PAGE_SIZE) || req_start + req_len > region.size) return -EINVAL;

  vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot);
  vma.vm_pgoff = (region.addr >> SHIFT) + pgoff;

  return remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, req_len, vma.vm_page_prot);
}

/** Maps registers of a region, whose number is in the upper bits of the offset, to user space. @return 0 or -EINVAL. May sleep */
export function vfio_platform_mmap(core_vdev: vfio_device, vma: vm_area_struct): number {
  const vdev = container_of(core_vdev, vfio_platform_device, "vdev");

  const index = Number(BigInt.asUintN(32, vma.vm_pgoff >> (VFIO_PLATFORM_OFFSET_SHIFT - SHIFT)));

  if (vma.vm_end < vma.vm_start) return -EINVAL;
  if (!(vma.vm_flags & BigInt(VM_SHARED))) return -EINVAL;
  if (index >= vdev.num_regions) return -EINVAL;
  if (vma.vm_start & NOT_PAGE_MASK) return -EINVAL;
  if (vma.vm_end & NOT_PAGE_MASK) return -EINVAL;

  const region = vdev.regions!.at(index);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) return -EINVAL;

  if (!(region.flags & VFIO_REGION_INFO_FLAG_READ) && vma.vm_flags & BigInt(VM_READ)) return -EINVAL;

  if (!(region.flags & VFIO_REGION_INFO_FLAG_WRITE) && vma.vm_flags & BigInt(VM_WRITE)) return -EINVAL;

  vma.vm_private_data = vdev;

  if (region.type & VFIO_PLATFORM_REGION_TYPE_MMIO) return vfio_platform_mmap_mmio(region, vma);
  else if (region.type & VFIO_PLATFORM_REGION_TYPE_PIO) return -EINVAL;

  return -EINVAL;
}
EXPORT_SYMBOL_GPL(vfio_platform_mmap);

/* `&vdev->compat` */
class compat_of {
  readonly vdev: vfio_platform_device;
  constructor(vdev: vfio_platform_device) {
    this.vdev = vdev;
  }
  get value(): string | null {
    return this.vdev.compat;
  }
  set value(v: string | null) {
    this.vdev.compat = v;
  }
}

function vfio_platform_of_probe(vdev: vfio_platform_device, dev: device): number {
  const ret = device_property_read_string(dev, "compatible", new compat_of(vdev));
  if (ret) dev_err(dev, "VFIO: Cannot retrieve compat for %s\n", vdev.name);

  return ret;
}

/**
 * The part of a driver's init() that does not depend on the bus: what the device is compatible with, and who can reset it.
 * @return 0; -EINVAL for a device without a compatible string; -ENOENT without a reset, also if none is required. May sleep
 */
export function* vfio_platform_init_common(vdev: vfio_platform_device): Sleeps<number> {
  const dev = vdev.vdev.dev!;

  let ret = vfio_platform_acpi_probe(vdev, dev);
  if (ret) ret = vfio_platform_of_probe(vdev, dev);

  if (ret) return ret;

  vdev.device = dev;
  mutex_init(vdev.igate);

  ret = yield* vfio_platform_get_reset(vdev);
  if (ret && vdev.reset_required) dev_err(dev, "VFIO: No reset function found for device %s\n", vdev.name);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_platform_init_common);

/** The opposite. Any context. */
export function vfio_platform_release_common(vdev: vfio_platform_device): void {
  vfio_platform_put_reset(vdev);
}
EXPORT_SYMBOL_GPL(vfio_platform_release_common);

/** Makes a reset function known. @node: stays the module's. May sleep. */
export function* __vfio_platform_register_reset(node: vfio_platform_reset_node): Sleeps {
  yield* mutex_lock(s.driver_lock);
  list_add(node.link, s.reset_list);
  mutex_unlock(s.driver_lock);
}
EXPORT_SYMBOL_GPL(__vfio_platform_register_reset);

/** The opposite. May sleep. */
export function* vfio_platform_unregister_reset(compat: string, fn: vfio_platform_reset_fn_t): Sleeps {
  yield* mutex_lock(s.driver_lock);
  for (const iter of list_for_each_entry_safe(s.reset_list, vfio_platform_reset_node, "link")) {
    if (iter.compat === compat && iter.of_reset === fn) {
      list_del(iter.link);
      break;
    }
  }

  mutex_unlock(s.driver_lock);
}
EXPORT_SYMBOL_GPL(vfio_platform_unregister_reset);

MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE("GPL v2");
