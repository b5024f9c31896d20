// SPDX-License-Identifier: GPL-2.0-only
/** A display on a PCI card that is not there, a framebuffer and nothing else. Port of samples/vfio-mdev/mdpy.c. */
import { cdev, cdev_add, cdev_del, cdev_init } from "#linux/cdev.ts";
import {
  type class_,
  class_create,
  class_destroy,
  dev_get_drvdata,
  dev_info,
  dev_set_drvdata,
  dev_set_name,
  device,
  DEVICE_ATTR_RO,
  type device_attribute,
  device_register,
  device_unregister,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, EINVAL, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { alloc_chrdev_region, type file_operations, type loff_ptr, unregister_chrdev_region } from "#linux/fs.ts";
import { on_stack } from "#linux/kasan.ts";
import { MAJOR, MINORMASK } from "#linux/kdev_t.ts";
import { roundup_pow_of_two } from "#linux/log2.ts";
import {
  mdev_dev,
  type mdev_device,
  mdev_driver,
  mdev_parent,
  mdev_register_driver,
  mdev_register_parent,
  mdev_type,
  mdev_unregister_driver,
  mdev_unregister_parent,
  to_mdev_device,
} from "#linux/mdev.ts";
import { PAGE_SHIFT, PAGE_SIZE, VM_SHARED, type vm_area_struct } from "#linux/mm.ts";
import { kbuild } from "#linux/module.ts";
import { param_int } from "#linux/moduleparam.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_32,
  PCI_BASE_ADDRESS_SPACE_MEMORY,
  PCI_CAPABILITY_LIST,
  PCI_CLASS_DEVICE,
  PCI_CLASS_DISPLAY_OTHER,
  PCI_CLASS_REVISION,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID,
} from "#linux/pci.ts";
import { pr_err, pr_info } from "#linux/printk.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { byte_at, memcpy, memset, set_byte_at, set_u16_at, set_u32_at, u32_at } from "#linux/string.ts";
import { type attribute_group, type attribute_groups, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import {
  b16,
  b32,
  b8,
  type byte_memory,
  bytes_at,
  bytestruct,
  container_of,
  embed,
  initialise,
  type kbuf,
  offsetofend,
  ptr,
  sizeof,
  type Sleeps,
  struct,
  u32,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import {
  type out,
  vfio_alloc_device,
  vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import { remap_vmalloc_range, vfree, vmalloc_user } from "#linux/vmalloc.ts";
import { DRM_FORMAT_XRGB8888 } from "#uapi/drm/drm_fourcc.ts";
import {
  VFIO_DEVICE_API_PCI_STRING,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_QUERY_GFX_PLANE,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  VFIO_GFX_PLANE_TYPE_PROBE,
  VFIO_GFX_PLANE_TYPE_REGION,
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_device_gfx_plane_info,
  vfio_device_info,
  vfio_irq_info,
  vfio_region_info,
} from "#uapi/linux/vfio.ts";
import {
  MDPY_FORMAT_OFFSET,
  MDPY_HEIGHT_OFFSET,
  MDPY_PCI_DEVICE_ID,
  MDPY_PCI_SUBDEVICE_ID,
  MDPY_PCI_SUBVENDOR_ID,
  MDPY_PCI_VENDOR_ID,
  MDPY_VENDORCAP_OFFSET,
  MDPY_VENDORCAP_SIZE,
  MDPY_WIDTH_OFFSET,
} from "./mdpy-defs.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot, module_init, module_exit, module_param_named, MODULE_LICENSE } = kbuild(
  import.meta.url,
);

const MDPY_NAME = "mdpy";
const MDPY_CLASS_NAME = "mdpy";

const MDPY_CONFIG_SPACE_SIZE = 0xff;
const MDPY_MEMORY_BAR_OFFSET = PAGE_SIZE;
const MDPY_DISPLAY_REGION = 16;

MODULE_LICENSE("GPL v2");

const MDPY_TYPE_1 = "vga";
const MDPY_TYPE_2 = "xga";
const MDPY_TYPE_3 = "hd";

class mdpy_type extends struct("mdpy_type", {
  type: embed(() => mdev_type),
  format: u32(),
  bytepp: u32(),
  width: u32(),
  height: u32(),
}) {}

class mdev_state extends struct("mdev_state", {
  vdev: embed(() => vfio_device),
  vconfig: ptr<kbuf>(),
  bar_mask: u32(),
  ops_lock: embed(() => mutex),
  mdev: ptr<mdev_device>(),
  dev_info: embed(() => vfio_device_info),

  type: ptr<mdpy_type>(),
  memsize: u32(),
  memblk: ptr<kbuf>(),
}) {}

/** Variables on the stack. */
class val_u32 extends bytestruct("u32", { v: b32() }) {}
class val_u16 extends bytestruct("u16", { v: b16() }) {}
class val_u8 extends bytestruct("u8", { v: b8() }) {}

function mdpy_create_config_space(mdev_state: mdev_state): void {
  const vconfig = mdev_state.vconfig!;

  set_u16_at(vconfig, PCI_VENDOR_ID, MDPY_PCI_VENDOR_ID);
  set_u16_at(vconfig, PCI_DEVICE_ID, MDPY_PCI_DEVICE_ID);
  set_u16_at(vconfig, PCI_SUBSYSTEM_VENDOR_ID, MDPY_PCI_SUBVENDOR_ID);
  set_u16_at(vconfig, PCI_SUBSYSTEM_ID, MDPY_PCI_SUBDEVICE_ID);

  set_u16_at(vconfig, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
  set_u16_at(vconfig, PCI_STATUS, PCI_STATUS_CAP_LIST);
  set_u16_at(vconfig, PCI_CLASS_DEVICE, PCI_CLASS_DISPLAY_OTHER);
  set_byte_at(vconfig, PCI_CLASS_REVISION, 0x01);

  set_u32_at(
    vconfig,
    PCI_BASE_ADDRESS_0,
    PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_32 | PCI_BASE_ADDRESS_MEM_PREFETCH,
  );
  mdev_state.bar_mask = ~mdev_state.memsize + 1;

  // The capability of the vendor's own, which holds the registers
  set_byte_at(vconfig, PCI_CAPABILITY_LIST, MDPY_VENDORCAP_OFFSET);
  set_byte_at(vconfig, MDPY_VENDORCAP_OFFSET + 0, 0x09);
  set_byte_at(vconfig, MDPY_VENDORCAP_OFFSET + 1, 0x00);
  set_byte_at(vconfig, MDPY_VENDORCAP_OFFSET + 2, MDPY_VENDORCAP_SIZE);
  set_u32_at(vconfig, MDPY_FORMAT_OFFSET, mdev_state.type!.format);
  set_u32_at(vconfig, MDPY_WIDTH_OFFSET, mdev_state.type!.width);
  set_u32_at(vconfig, MDPY_HEIGHT_OFFSET, mdev_state.type!.height);
}

function handle_pci_cfg_write(mdev_state: mdev_state, offset: number, buf: byte_memory, _count: number): void {
  const dev = mdev_dev(mdev_state.mdev!);

  switch (offset) {
    case PCI_BASE_ADDRESS_0: {
      let cfg_addr = u32_at(buf, 0);

      if (cfg_addr === 0xffffffff) {
        cfg_addr = (cfg_addr & mdev_state.bar_mask) >>> 0;
      } else {
        cfg_addr = (cfg_addr & PCI_BASE_ADDRESS_MEM_MASK) >>> 0;
        if (cfg_addr) dev_info(dev, "BAR0 @ 0x%x\n", cfg_addr);
      }

      cfg_addr = (cfg_addr | (byte_at(mdev_state.vconfig!, offset) & ~PCI_BASE_ADDRESS_MEM_MASK)) >>> 0;
      set_u32_at(mdev_state.vconfig!, offset, cfg_addr);
      break;
    }
  }
}

function* mdev_access(
  mdev_state: mdev_state,
  buf: byte_memory,
  count: number,
  pos: bigint,
  is_write: boolean,
): Sleeps<number> {
  let ret = 0;

  yield* mutex_lock(mdev_state.ops_lock);

  accessfailed: {
    if (pos < MDPY_CONFIG_SPACE_SIZE) {
      if (is_write) handle_pci_cfg_write(mdev_state, Number(pos & 0xffffn), buf, count);
      else memcpy(buf, bytes_at(mdev_state.vconfig!, Number(pos)), count);
    } else if (
      pos >= MDPY_MEMORY_BAR_OFFSET &&
      pos + BigInt(count) <= BigInt(MDPY_MEMORY_BAR_OFFSET + mdev_state.memsize)
    ) {
      pos -= BigInt(MDPY_MEMORY_BAR_OFFSET);
      // Always the beginning of the memory: the place that was worked out is not used
      if (is_write) memcpy(mdev_state.memblk!, buf, count);
      else memcpy(buf, mdev_state.memblk!, count);
    } else {
      dev_info(mdev_state.vdev.dev, "%s: %s @0x%llx (unhandled)\n", "mdev_access", is_write ? "WR" : "RD", pos);
      ret = -1;
      break accessfailed;
    }

    ret = count;
  }
  mutex_unlock(mdev_state.ops_lock);

  return ret;
}

function mdpy_reset(mdev_state: mdev_state): number {
  const type = mdev_state.type!;

  // A gradient of grey
  const stride = type.width * type.bytepp;
  for (let i = 0; i < type.height; i++)
    memset(bytes_at(mdev_state.memblk!, i * stride), Math.floor((i * 255) / type.height), stride);
  return 0;
}

function mdpy_init_dev(vdev: vfio_device): number {
  const state = container_of(vdev, mdev_state, "vdev");
  const mdev = to_mdev_device(vdev.dev);
  const type = container_of(mdev.type, mdpy_type, "type");
  const ret = -ENOMEM;

  state.vconfig = kzalloc(MDPY_CONFIG_SPACE_SIZE, GFP_KERNEL);
  if (!state.vconfig) return ret;

  const fbsize = roundup_pow_of_two(type.width * type.height * type.bytepp);

  out_vconfig: {
    state.memblk = vmalloc_user(fbsize);
    if (!state.memblk) break out_vconfig;

    mutex_init(state.ops_lock, "&mdev_state->ops_lock");
    state.mdev = mdev;
    state.type = type;
    state.memsize = fbsize;
    mdpy_create_config_space(state);
    mdpy_reset(state);

    dev_info(vdev.dev, "%s: %s (%dx%d)\n", "mdpy_init_dev", type.type.pretty_name, type.width, type.height);
    return 0;
  }
  kfree(state.vconfig);
  return ret;
}

function* mdpy_probe(mdev: mdev_device): Sleeps<number> {
  const state = yield* vfio_alloc_device(mdev_state, "vdev", mdev.dev, mdpy_dev_ops);
  if (IS_ERR(state)) return PTR_ERR(state);

  const ret = yield* vfio_register_emulated_iommu_dev(state.vdev);
  err_put_vdev: {
    if (ret) break err_put_vdev;
    dev_set_drvdata(mdev.dev, state);
    return 0;
  }
  yield* vfio_put_device(state.vdev);
  return ret;
}

function mdpy_release_dev(vdev: vfio_device): void {
  const state = container_of(vdev, mdev_state, "vdev");

  vfree(state.memblk);
  kfree(state.vconfig);
  vfio_free_device(vdev);
}

function* mdpy_remove(mdev: mdev_device): Sleeps {
  const state = dev_get_drvdata<mdev_state>(mdev.dev);

  dev_info(mdev.dev, "%s\n", "mdpy_remove");

  yield* vfio_unregister_group_dev(state!.vdev);
  yield* vfio_put_device(state!.vdev);
}

function* mdpy_read(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const state = container_of(vdev, mdev_state, "vdev");
  let done = 0;
  let ret: number;

  read_err: {
    while (count) {
      let filled: number;

      if (count >= 4 && !(ppos.value % 4n)) {
        using val = on_stack(val_u32);

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, false);
        if (ret <= 0) break read_err;

        if (yield* copy_to_user(buf, val, sizeof(val))) break read_err;

        filled = 4;
      } else if (count >= 2 && !(ppos.value % 2n)) {
        using val = on_stack(val_u16);

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, false);
        if (ret <= 0) break read_err;

        if (yield* copy_to_user(buf, val, sizeof(val))) break read_err;

        filled = 2;
      } else {
        using val = on_stack(val_u8);

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, false);
        if (ret <= 0) break read_err;

        if (yield* copy_to_user(buf, val, sizeof(val))) break read_err;

        filled = 1;
      }

      count -= filled;
      done += filled;
      ppos.value += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

function* mdpy_write(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const state = container_of(vdev, mdev_state, "vdev");
  let done = 0;
  let ret: number;

  write_err: {
    while (count) {
      let filled: number;

      if (count >= 4 && !(ppos.value % 4n)) {
        using val = on_stack(val_u32);

        if (yield* copy_from_user(val, buf, sizeof(val))) break write_err;

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, true);
        if (ret <= 0) break write_err;

        filled = 4;
      } else if (count >= 2 && !(ppos.value % 2n)) {
        using val = on_stack(val_u16);

        if (yield* copy_from_user(val, buf, sizeof(val))) break write_err;

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, true);
        if (ret <= 0) break write_err;

        filled = 2;
      } else {
        using val = on_stack(val_u8);

        if (yield* copy_from_user(val, buf, sizeof(val))) break write_err;

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, true);
        if (ret <= 0) break write_err;

        filled = 1;
      }
      count -= filled;
      done += filled;
      ppos.value += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

function mdpy_mmap(vdev: vfio_device, vma: vm_area_struct): number {
  const state = container_of(vdev, mdev_state, "vdev");

  if (vma.vm_pgoff !== BigInt(MDPY_MEMORY_BAR_OFFSET >> PAGE_SHIFT)) return -EINVAL;
  if (vma.vm_end < vma.vm_start) return -EINVAL;
  if (vma.vm_end - vma.vm_start > state.memsize) return -EINVAL;
  if ((vma.vm_flags & BigInt(VM_SHARED)) === 0n) return -EINVAL;

  return remap_vmalloc_range(vma, state.memblk!, 0);
}

function mdpy_get_region_info(
  mdev_state: mdev_state,
  region_info: vfio_region_info,
  _cap_type_id: out<number>,
  _cap_type: out<object | null>,
): number {
  if (region_info.index >= VFIO_PCI_NUM_REGIONS && region_info.index !== MDPY_DISPLAY_REGION) return -EINVAL;

  switch (region_info.index) {
    case VFIO_PCI_CONFIG_REGION_INDEX:
      region_info.offset = 0n;
      region_info.size = BigInt(MDPY_CONFIG_SPACE_SIZE);
      region_info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      break;
    case VFIO_PCI_BAR0_REGION_INDEX:
    case MDPY_DISPLAY_REGION:
      region_info.offset = BigInt(MDPY_MEMORY_BAR_OFFSET);
      region_info.size = BigInt(mdev_state.memsize);
      region_info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP;
      break;
    default:
      region_info.size = 0n;
      region_info.offset = 0n;
      region_info.flags = 0;
  }

  return 0;
}

function mdpy_get_irq_info(irq_info: vfio_irq_info): number {
  irq_info.count = 0;
  return 0;
}

function mdpy_get_device_info(dev_info: vfio_device_info): number {
  dev_info.flags = VFIO_DEVICE_FLAGS_PCI;
  dev_info.num_regions = VFIO_PCI_NUM_REGIONS;
  dev_info.num_irqs = VFIO_PCI_NUM_IRQS;
  return 0;
}

function mdpy_query_gfx_plane(mdev_state: mdev_state, plane: vfio_device_gfx_plane_info): number {
  if (plane.flags & VFIO_GFX_PLANE_TYPE_PROBE) {
    if (plane.flags === (VFIO_GFX_PLANE_TYPE_PROBE | VFIO_GFX_PLANE_TYPE_REGION)) return 0;
    return -EINVAL;
  }

  if (plane.flags !== VFIO_GFX_PLANE_TYPE_REGION) return -EINVAL;

  plane.drm_format = mdev_state.type!.format;
  plane.width = mdev_state.type!.width;
  plane.height = mdev_state.type!.height;
  plane.stride = mdev_state.type!.width * mdev_state.type!.bytepp;
  plane.size = mdev_state.memsize;
  plane.region_index = MDPY_DISPLAY_REGION;

  // Not used
  plane.drm_format_mod = 0n;
  plane.x_pos = 0;
  plane.y_pos = 0;
  plane.x_hot = 0;
  plane.y_hot = 0;

  return 0;
}

function* mdpy_ioctl(vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  let ret = 0;
  const state = container_of(vdev, mdev_state, "vdev");

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      const info = new vfio_device_info();

      const minsz = offsetofend(vfio_device_info, "num_irqs");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = mdpy_get_device_info(info);
      if (ret) return ret;

      memcpy(state.dev_info, info, sizeof(info));

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      const info = new vfio_region_info();
      const cap_type_id = { value: 0 };
      const cap_type = { value: null };

      const minsz = offsetofend(vfio_region_info, "offset");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = mdpy_get_region_info(state, info, cap_type_id, cap_type);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_GET_IRQ_INFO: {
      const info = new vfio_irq_info();

      const minsz = offsetofend(vfio_irq_info, "count");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz || info.index >= state.dev_info.num_irqs) return -EINVAL;

      ret = mdpy_get_irq_info(info);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_QUERY_GFX_PLANE: {
      const plane = new vfio_device_gfx_plane_info();

      const minsz = offsetofend(vfio_device_gfx_plane_info, "region_index");

      if (yield* copy_from_user(plane, arg, minsz)) return -EFAULT;

      if (plane.argsz < minsz) return -EINVAL;

      ret = mdpy_query_gfx_plane(state, plane);
      if (ret) return ret;

      if (yield* copy_to_user(arg, plane, minsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_SET_IRQS:
      return -EINVAL;

    case VFIO_DEVICE_RESET:
      return mdpy_reset(state);
  }
  return -ENOTTY;
}

function resolution_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const state = dev_get_drvdata<mdev_state>(dev);

  return sysfs_emit(buf, "%dx%d\n", state!.type!.width, state!.type!.height);
}
const dev_attr_resolution = DEVICE_ATTR_RO("resolution", resolution_show);

const mdev_dev_group: attribute_group = {
  name: "vendor",
  attrs: [dev_attr_resolution.attr],
};

const mdev_dev_groups: attribute_groups = [mdev_dev_group];

function mdpy_show_description(mtype: mdev_type, buf: sysfs_buf): number {
  const type = container_of(mtype, mdpy_type, "type");

  return sysfs_emit(buf, "virtual display, %dx%d framebuffer\n", type.width, type.height);
}

const mdpy_dev_ops: vfio_device_ops = {
  init: mdpy_init_dev,
  release: mdpy_release_dev,
  read: mdpy_read,
  write: mdpy_write,
  ioctl: mdpy_ioctl,
  mmap: mdpy_mmap,
};

const vd_fops: file_operations = {
  owner: THIS_MODULE,
};

const d = per_boot(() => {
  const mdpy_types = [
    initialise(new mdpy_type(), {
      type: { sysfs_name: MDPY_TYPE_1, pretty_name: `${MDPY_CLASS_NAME}-${MDPY_TYPE_1}` },
      format: DRM_FORMAT_XRGB8888,
      bytepp: 4,
      width: 640,
      height: 480,
    }),
    initialise(new mdpy_type(), {
      type: { sysfs_name: MDPY_TYPE_2, pretty_name: `${MDPY_CLASS_NAME}-${MDPY_TYPE_2}` },
      format: DRM_FORMAT_XRGB8888,
      bytepp: 4,
      width: 1024,
      height: 768,
    }),
    initialise(new mdpy_type(), {
      type: { sysfs_name: MDPY_TYPE_3, pretty_name: `${MDPY_CLASS_NAME}-${MDPY_TYPE_3}` },
      format: DRM_FORMAT_XRGB8888,
      bytepp: 4,
      width: 1920,
      height: 1080,
    }),
  ];
  return {
    mdpy_mdev_types: mdpy_types.map((t) => t.type),
    mdpy_devt: { value: 0 },
    mdpy_class: null as class_ | null,
    mdpy_cdev: new cdev(),
    mdpy_dev: new device(),
    mdpy_parent: new mdev_parent(),
    mdpy_driver: initialise(new mdev_driver(), {
      device_api: VFIO_DEVICE_API_PCI_STRING,
      max_instances: 4,
      driver: {
        name: "mdpy",
        owner: THIS_MODULE,
        mod_name: KBUILD_MODNAME,
        dev_groups: mdev_dev_groups,
      },
      probe: mdpy_probe,
      remove: mdpy_remove,
      show_description: mdpy_show_description,
    }),
  };
});

/** There is nothing to free. */
function mdpy_device_release(_dev: device): void {}

function* mdpy_dev_init(): Sleeps<number> {
  let ret = 0;

  ret = yield* alloc_chrdev_region(d.mdpy_devt, 0, MINORMASK + 1, MDPY_NAME);
  if (ret < 0) {
    pr_err("Error: failed to register mdpy_dev, err: %d\n", ret);
    return ret;
  }
  cdev_init(d.mdpy_cdev, vd_fops);
  yield* cdev_add(d.mdpy_cdev, d.mdpy_devt.value, MINORMASK + 1);
  pr_info("%s: major %d\n", "mdpy_dev_init", MAJOR(d.mdpy_devt.value));

  err_cdev: {
    ret = yield* mdev_register_driver(d.mdpy_driver);
    if (ret) break err_cdev;

    err_driver: {
      d.mdpy_class = yield* class_create(THIS_MODULE, MDPY_CLASS_NAME);
      if (IS_ERR(d.mdpy_class)) {
        pr_err("Error: failed to register mdpy_dev class\n");
        ret = PTR_ERR(d.mdpy_class);
        break err_driver;
      }
      d.mdpy_dev.class = d.mdpy_class;
      d.mdpy_dev.release = mdpy_device_release;
      dev_set_name(d.mdpy_dev, "%s", MDPY_NAME);

      err_class: {
        ret = yield* device_register(d.mdpy_dev);
        if (ret) break err_class;

        err_device: {
          ret = yield* mdev_register_parent(
            d.mdpy_parent,
            d.mdpy_dev,
            d.mdpy_driver,
            d.mdpy_mdev_types,
            d.mdpy_mdev_types.length,
          );
          if (ret) break err_device;

          return 0;
        }
        yield* device_unregister(d.mdpy_dev);
      }
      yield* class_destroy(d.mdpy_class);
    }
    yield* mdev_unregister_driver(d.mdpy_driver);
  }
  yield* cdev_del(d.mdpy_cdev);
  yield* unregister_chrdev_region(d.mdpy_devt.value, MINORMASK + 1);
  return ret;
}

function* mdpy_dev_exit(): Sleeps {
  d.mdpy_dev.bus = null;
  yield* mdev_unregister_parent(d.mdpy_parent);

  yield* device_unregister(d.mdpy_dev);
  yield* mdev_unregister_driver(d.mdpy_driver);
  yield* cdev_del(d.mdpy_cdev);
  yield* unregister_chrdev_region(d.mdpy_devt.value, MINORMASK + 1);
  yield* class_destroy(d.mdpy_class);
  d.mdpy_class = null;
}

module_param_named(
  "count",
  param_int(() => d.mdpy_driver, "max_instances"),
  0o444,
);

module_init(mdpy_dev_init);
module_exit(mdpy_dev_exit);
