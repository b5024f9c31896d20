// SPDX-License-Identifier: GPL-2.0-only
/**
 * A display on a PCI card that is not there, with as much of QEMU's stdvga as the driver bochs-drm needs: memory and the
 * registers of the dispi interface, and nothing of VGA. Port of samples/vfio-mdev/mbochs.c.
 */
import { IS_ALIGNED } from "#linux/align.ts";
import { atomic_add, atomic_read, atomic_set, atomic_t, atomic_try_cmpxchg } from "#linux/atomic.ts";
import { WARN_ON } from "#linux/bug.ts";
import { cdev, cdev_add, cdev_del, cdev_init } from "#linux/cdev.ts";
import {
  type class_,
  class_create,
  class_destroy,
  dev_dbg,
  dev_get_drvdata,
  dev_info,
  dev_info_ratelimited,
  dev_set_drvdata,
  dev_set_name,
  device,
  DEVICE_ATTR_RO,
  type device_attribute,
  device_register,
  device_unregister,
} from "#linux/device.ts";
import {
  DEFINE_DMA_BUF_EXPORT_INFO,
  type dma_buf,
  type dma_buf_attachment,
  dma_buf_export,
  dma_buf_fd,
  type dma_buf_ops,
} from "#linux/dma-buf.ts";
import { type dma_data_direction, dma_map_sgtable, dma_unmap_sgtable } from "#linux/dma-mapping.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, EINVAL, ENOENT, ENOMEM, ENOSPC, ENOTTY } from "#linux/errno.ts";
import { alloc_chrdev_region, type file_operations, type loff_ptr, unregister_chrdev_region } from "#linux/fs.ts";
import { on_stack } from "#linux/kasan.ts";
import { MAJOR, MINORMASK } from "#linux/kdev_t.ts";
import { DIV_ROUND_UP } from "#linux/kernel.ts";
import {
  INIT_LIST_HEAD,
  list_add,
  list_del,
  list_for_each_entry,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
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
import {
  alloc_pages,
  get_page,
  kmap,
  kunmap,
  type page,
  PAGE_SHIFT,
  PAGE_SIZE,
  put_page,
  VM_FAULT_SIGBUS,
  VM_SHARED,
  type vm_area_struct,
  type vm_fault,
  type vm_fault_t,
  type vm_operations_struct,
} from "#linux/mm.ts";
import { kbuild } from "#linux/module.ts";
import { param_int } from "#linux/moduleparam.ts";
import { mutex, mutex_init, mutex_is_locked, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_2,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_32,
  PCI_BASE_ADDRESS_SPACE_MEMORY,
  PCI_CLASS_DEVICE,
  PCI_CLASS_DISPLAY_OTHER,
  PCI_CLASS_REVISION,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_SUBDEVICE_ID_QEMU,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_SUBVENDOR_ID_REDHAT_QUMRANET,
  PCI_VENDOR_ID,
} from "#linux/pci.ts";
import { pr_err, pr_info } from "#linux/printk.ts";
import { sg_alloc_table_from_pages, sg_free_table, sg_table } from "#linux/scatterlist.ts";
import { __GFP_ZERO, GFP_HIGHUSER, GFP_KERNEL, kcalloc, kfree, kzalloc } from "#linux/slab.ts";
import { byte_at, memcmp, memcpy, memset, set_byte_at, set_u16_at, set_u32_at, u16_at, u32_at } from "#linux/string.ts";
import { type attribute_group, type attribute_groups, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import {
  array,
  b16,
  b32,
  b64,
  b8,
  bool,
  type byte_memory,
  bytes,
  bytes_at,
  bytestruct,
  container_of,
  embed,
  initialise,
  inner,
  type kbuf,
  offsetof,
  offsetofend,
  opaque,
  ptr,
  sizeof,
  type Sleeps,
  struct,
  type struct_array,
  u16,
  u32,
  u64,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user, get_user } from "#linux/uaccess.ts";
import {
  vfio_alloc_device,
  vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import { DRM_FORMAT_XRGB8888 } from "#uapi/drm/drm_fourcc.ts";
import { DRM_PLANE_TYPE_PRIMARY } from "#uapi/drm/drm_plane.ts";
import {
  VFIO_DEVICE_API_PCI_STRING,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_GET_GFX_DMABUF,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_GFX_LINK_STATE_UP,
  VFIO_DEVICE_QUERY_GFX_PLANE,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  VFIO_GFX_PLANE_TYPE_DMABUF,
  VFIO_GFX_PLANE_TYPE_PROBE,
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_BAR2_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  VFIO_REGION_SUBTYPE_GFX_EDID,
  VFIO_REGION_TYPE_GFX,
  vfio_device_gfx_plane_info,
  vfio_device_info,
  vfio_irq_info,
  vfio_region_gfx_edid,
  vfio_region_info,
  vfio_region_info_cap_type,
} from "#uapi/linux/vfio.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot, module_init, module_exit, module_param_named, MODULE_LICENSE } = kbuild(
  import.meta.url,
);

const VBE_DISPI_INDEX_ID = 0x0;
const VBE_DISPI_INDEX_XRES = 0x1;
const VBE_DISPI_INDEX_YRES = 0x2;
const VBE_DISPI_INDEX_BPP = 0x3;
const VBE_DISPI_INDEX_ENABLE = 0x4;
const VBE_DISPI_INDEX_BANK = 0x5;
const VBE_DISPI_INDEX_VIRT_WIDTH = 0x6;
const VBE_DISPI_INDEX_VIRT_HEIGHT = 0x7;
const VBE_DISPI_INDEX_X_OFFSET = 0x8;
const VBE_DISPI_INDEX_Y_OFFSET = 0x9;
const VBE_DISPI_INDEX_VIDEO_MEMORY_64K = 0xa;
const VBE_DISPI_INDEX_COUNT = 0xb;

const VBE_DISPI_ID5 = 0xb0c5;

const VBE_DISPI_ENABLED = 0x01;

const MBOCHS_NAME = "mbochs";
const MBOCHS_CLASS_NAME = "mbochs";

const MBOCHS_EDID_REGION_INDEX = VFIO_PCI_NUM_REGIONS;
const MBOCHS_NUM_REGIONS = MBOCHS_EDID_REGION_INDEX + 1;

const MBOCHS_CONFIG_SPACE_SIZE = 0xff;
const MBOCHS_MMIO_BAR_OFFSET = PAGE_SIZE;
const MBOCHS_MMIO_BAR_SIZE = PAGE_SIZE;
const MBOCHS_EDID_OFFSET = MBOCHS_MMIO_BAR_OFFSET + MBOCHS_MMIO_BAR_SIZE;
const MBOCHS_EDID_SIZE = PAGE_SIZE;
const MBOCHS_MEMORY_BAR_OFFSET = MBOCHS_EDID_OFFSET + MBOCHS_EDID_SIZE;

const MBOCHS_EDID_BLOB_OFFSET = MBOCHS_EDID_SIZE / 2;

MODULE_LICENSE("GPL v2");

module_param_named(
  "count",
  param_int(() => d, "max_mbytes"),
  0o444,
);

const MBOCHS_TYPE_1 = "small";
const MBOCHS_TYPE_2 = "medium";
const MBOCHS_TYPE_3 = "large";

class mbochs_type extends struct("mbochs_type", {
  type: embed(() => mdev_type),
  mbytes: u32(),
  max_x: u32(),
  max_y: u32(),
}) {}

class vfio_region_info_ext extends bytestruct("vfio_region_info_ext", {
  base: inner(() => vfio_region_info),
  type: inner(() => vfio_region_info_cap_type),
}) {}

/** Compared byte by byte. */
class mbochs_mode extends bytestruct("mbochs_mode", {
  drm_format: b32(),
  bytepp: b32(),
  width: b32(),
  height: b32(),
  stride: b32(),
  __pad: b32(),
  offset: b64(),
  size: b64(),
}) {}

type pages = struct_array<page | null>;

class mbochs_dmabuf extends struct("mbochs_dmabuf", {
  mode: embed(() => mbochs_mode),
  id: u32(),
  pages: ptr<pages>(),
  pagecount: opaque(() => 0),
  buf: ptr<dma_buf>(),
  mdev_state: ptr<mdev_state>(),
  next: embed(() => list_head),
  unlinked: bool(),
}) {}

class edid_blob extends bytestruct("edid_blob", { bytes: bytes(0x400) }) {}

class mdev_state_fields extends struct("mdev_state", {
  vdev: embed(() => vfio_device),
  vconfig: ptr<kbuf>(),
  bar_mask: array(3, u64()),
  memory_bar_mask: u32(),
  ops_lock: embed(() => mutex),
  mdev: ptr<mdev_device>(),

  type: ptr<mbochs_type>(),
  vbe: array(VBE_DISPI_INDEX_COUNT, u16()),
  memsize: u64(),
  pages: ptr<pages>(),
  pagecount: opaque(() => 0),
  edid_regs: embed(() => vfio_region_gfx_edid),
  edid_blob: embed(() => edid_blob),

  dmabufs: embed(() => list_head),
  active_id: u32(),
  next_id: u32(),
}) {}
class mdev_state extends mdev_state_fields {}

/** Variables on the stack. */
class val_u32 extends bytestruct("u32", { v: b32() }) {}
class val_u16 extends bytestruct("u16", { v: b16() }) {}
class val_u8 extends bytestruct("u8", { v: b8() }) {}

const vbe_name_list: Readonly<Record<number, string>> = {
  [VBE_DISPI_INDEX_ID]: "id",
  [VBE_DISPI_INDEX_XRES]: "xres",
  [VBE_DISPI_INDEX_YRES]: "yres",
  [VBE_DISPI_INDEX_BPP]: "bpp",
  [VBE_DISPI_INDEX_ENABLE]: "enable",
  [VBE_DISPI_INDEX_BANK]: "bank",
  [VBE_DISPI_INDEX_VIRT_WIDTH]: "virt-width",
  [VBE_DISPI_INDEX_VIRT_HEIGHT]: "virt-height",
  [VBE_DISPI_INDEX_X_OFFSET]: "x-offset",
  [VBE_DISPI_INDEX_Y_OFFSET]: "y-offset",
  [VBE_DISPI_INDEX_VIDEO_MEMORY_64K]: "video-mem",
};

function vbe_name(index: number): string {
  return vbe_name_list[index] ?? "(invalid)";
}

function mbochs_create_config_space(mdev_state: mdev_state): void {
  const vconfig = mdev_state.vconfig!;

  set_u16_at(vconfig, PCI_VENDOR_ID, 0x1234);
  set_u16_at(vconfig, PCI_DEVICE_ID, 0x1111);
  set_u16_at(vconfig, PCI_SUBSYSTEM_VENDOR_ID, PCI_SUBVENDOR_ID_REDHAT_QUMRANET);
  set_u16_at(vconfig, PCI_SUBSYSTEM_ID, PCI_SUBDEVICE_ID_QEMU);

  set_u16_at(vconfig, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
  set_u16_at(vconfig, PCI_CLASS_DEVICE, PCI_CLASS_DISPLAY_OTHER);
  set_byte_at(vconfig, PCI_CLASS_REVISION, 0x01);

  set_u32_at(
    vconfig,
    PCI_BASE_ADDRESS_0,
    PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_32 | PCI_BASE_ADDRESS_MEM_PREFETCH,
  );
  mdev_state.bar_mask.set(0, BigInt.asUintN(64, -mdev_state.memsize));

  set_u32_at(vconfig, PCI_BASE_ADDRESS_2, PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_32);
  mdev_state.bar_mask.set(2, BigInt.asUintN(64, BigInt(-MBOCHS_MMIO_BAR_SIZE)));
}

function mbochs_check_framebuffer(mdev_state: mdev_state, mode: mbochs_mode): number {
  const dev = mdev_dev(mdev_state.mdev!);
  const vbe = mdev_state.vbe;

  WARN_ON(!mutex_is_locked(mdev_state.ops_lock));

  nofb: {
    if (!(vbe.at(VBE_DISPI_INDEX_ENABLE) & VBE_DISPI_ENABLED)) break nofb;

    memset(mode, 0, sizeof(mode));
    switch (vbe.at(VBE_DISPI_INDEX_BPP)) {
      case 32:
        mode.drm_format = DRM_FORMAT_XRGB8888;
        mode.bytepp = 4;
        break;
      default:
        dev_info_ratelimited(
          dev,
          "%s: bpp %d not supported\n",
          "mbochs_check_framebuffer",
          vbe.at(VBE_DISPI_INDEX_BPP),
        );
        break nofb;
    }

    mode.width = vbe.at(VBE_DISPI_INDEX_XRES);
    mode.height = vbe.at(VBE_DISPI_INDEX_YRES);
    let virt_width = vbe.at(VBE_DISPI_INDEX_VIRT_WIDTH);
    if (virt_width < mode.width) virt_width = mode.width;
    mode.stride = virt_width * mode.bytepp;
    mode.size = BigInt(mode.stride) * BigInt(mode.height);
    mode.offset =
      BigInt(vbe.at(VBE_DISPI_INDEX_X_OFFSET)) * BigInt(mode.bytepp) +
      BigInt(vbe.at(VBE_DISPI_INDEX_Y_OFFSET)) * BigInt(mode.stride);

    if (mode.width < 64 || mode.height < 64) {
      dev_info_ratelimited(dev, "%s: invalid resolution %dx%d\n", "mbochs_check_framebuffer", mode.width, mode.height);
      break nofb;
    }
    if (mode.offset + mode.size > mdev_state.memsize) {
      dev_info_ratelimited(dev, "%s: framebuffer memory overflow\n", "mbochs_check_framebuffer");
      break nofb;
    }

    return 0;
  }
  memset(mode, 0, sizeof(mode));
  return -EINVAL;
}

function mbochs_modes_equal(mode1: mbochs_mode, mode2: mbochs_mode): boolean {
  return memcmp(mode1, mode2, sizeof(mbochs_mode)) === 0;
}

function handle_pci_cfg_write(mdev_state: mdev_state, offset: number, buf: byte_memory, _count: number): void {
  const dev = mdev_dev(mdev_state.mdev!);
  const index = Math.trunc((offset - PCI_BASE_ADDRESS_0) / 0x04);

  switch (offset) {
    case PCI_BASE_ADDRESS_0:
    case PCI_BASE_ADDRESS_2: {
      let cfg_addr = u32_at(buf, 0);

      if (cfg_addr === 0xffffffff) {
        cfg_addr = Number(BigInt(cfg_addr) & mdev_state.bar_mask.at(index));
      } else {
        cfg_addr = (cfg_addr & PCI_BASE_ADDRESS_MEM_MASK) >>> 0;
        if (cfg_addr) dev_info(dev, "BAR #%d @ 0x%x\n", index, cfg_addr);
      }

      cfg_addr = (cfg_addr | (byte_at(mdev_state.vconfig!, offset) & ~PCI_BASE_ADDRESS_MEM_MASK)) >>> 0;
      set_u32_at(mdev_state.vconfig!, offset, cfg_addr);
      break;
    }
  }
}

function handle_mmio_write(mdev_state: mdev_state, offset: number, buf: byte_memory, count: number): void {
  const dev = mdev_dev(mdev_state.mdev!);

  // VGA ports (0x400 to 0x41f) and QEMU's own registers (0x600 to 0x607) are not handled
  unhandled: {
    // The dispi interface
    if (offset >= 0x500 && offset <= 0x515) {
      if (count !== 2) break unhandled;
      const index = Math.trunc((offset - 0x500) / 2);
      const reg16 = u16_at(buf, 0);
      if (index < mdev_state.vbe.length) mdev_state.vbe.set(index, reg16);
      dev_dbg(dev, "%s: vbe write %d = %d (%s)\n", "handle_mmio_write", index, reg16, vbe_name(index));
      return;
    }
  }
  dev_dbg(dev, "%s: @0x%03x, count %d (unhandled)\n", "handle_mmio_write", offset, count);
}

function handle_mmio_read(mdev_state: mdev_state, offset: number, buf: byte_memory, count: number): void {
  const dev = mdev_dev(mdev_state.mdev!);
  let reg16 = 0;

  unhandled: {
    // The EDID block
    if (offset <= 0x3ff) {
      const edid = mdev_state.edid_regs;
      if (edid.link_state !== VFIO_DEVICE_GFX_LINK_STATE_UP || offset >= edid.edid_size) {
        memset(buf, 0, count);
        return;
      }
      memcpy(buf, bytes_at(mdev_state.edid_blob, offset), count);
      return;
    }
    // The dispi interface
    if (offset >= 0x500 && offset <= 0x515) {
      if (count !== 2) break unhandled;
      const index = Math.trunc((offset - 0x500) / 2);
      if (index < mdev_state.vbe.length) reg16 = mdev_state.vbe.at(index);
      dev_dbg(dev, "%s: vbe read %d = %d (%s)\n", "handle_mmio_read", index, reg16, vbe_name(index));
      set_u16_at(buf, 0, reg16);
      return;
    }
  }
  dev_dbg(dev, "%s: @0x%03x, count %d (unhandled)\n", "handle_mmio_read", offset, count);
  memset(buf, 0, count);
}

function handle_edid_regs(
  mdev_state: mdev_state,
  offset: number,
  buf: byte_memory,
  count: number,
  is_write: boolean,
): void {
  const regs = mdev_state.edid_regs;

  if (offset + count > sizeof(mdev_state.edid_regs)) return;
  if (count !== 4) return;
  if (offset % 4) return;

  if (is_write) {
    switch (offset) {
      case offsetof(vfio_region_gfx_edid, "link_state"):
      case offsetof(vfio_region_gfx_edid, "edid_size"):
        memcpy(bytes_at(regs, offset), buf, count);
        break;
      default:
        // Can only be read
        break;
    }
  } else {
    memcpy(buf, bytes_at(regs, offset), count);
  }
}

function handle_edid_blob(
  mdev_state: mdev_state,
  offset: number,
  buf: byte_memory,
  count: number,
  is_write: boolean,
): void {
  if (offset + count > mdev_state.edid_regs.edid_max_size) return;
  if (is_write) memcpy(bytes_at(mdev_state.edid_blob, offset), buf, count);
  else memcpy(buf, bytes_at(mdev_state.edid_blob, offset), count);
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
    if (pos < MBOCHS_CONFIG_SPACE_SIZE) {
      if (is_write) handle_pci_cfg_write(mdev_state, Number(pos & 0xffffn), buf, count);
      else memcpy(buf, bytes_at(mdev_state.vconfig!, Number(pos)), count);
    } else if (
      pos >= MBOCHS_MMIO_BAR_OFFSET &&
      pos + BigInt(count) <= BigInt(MBOCHS_MMIO_BAR_OFFSET + MBOCHS_MMIO_BAR_SIZE)
    ) {
      pos -= BigInt(MBOCHS_MMIO_BAR_OFFSET);
      if (is_write) handle_mmio_write(mdev_state, Number(pos), buf, count);
      else handle_mmio_read(mdev_state, Number(pos), buf, count);
    } else if (pos >= MBOCHS_EDID_OFFSET && pos + BigInt(count) <= BigInt(MBOCHS_EDID_OFFSET + MBOCHS_EDID_SIZE)) {
      pos -= BigInt(MBOCHS_EDID_OFFSET);
      if (pos < MBOCHS_EDID_BLOB_OFFSET) {
        handle_edid_regs(mdev_state, Number(pos), buf, count, is_write);
      } else {
        pos -= BigInt(MBOCHS_EDID_BLOB_OFFSET);
        handle_edid_blob(mdev_state, Number(pos), buf, count, is_write);
      }
    } else if (
      pos >= MBOCHS_MEMORY_BAR_OFFSET &&
      pos + BigInt(count) <= BigInt(MBOCHS_MEMORY_BAR_OFFSET) + mdev_state.memsize
    ) {
      // The offset of the other BAR: two pages too far
      pos -= BigInt(MBOCHS_MMIO_BAR_OFFSET);
      const poff = Number(pos % BigInt(PAGE_SIZE));
      const pg = __mbochs_get_page(mdev_state, Number(pos >> BigInt(PAGE_SHIFT)));
      const map = kmap(pg!);
      if (is_write) memcpy(bytes_at(map, poff), buf, count);
      else memcpy(buf, bytes_at(map, poff), count);
      kunmap(map);
      put_page(pg!);
    } else {
      dev_dbg(mdev_state.vdev.dev, "%s: %s @0x%llx (unhandled)\n", "mdev_access", is_write ? "WR" : "RD", pos);
      ret = -1;
      break accessfailed;
    }

    ret = count;
  }
  mutex_unlock(mdev_state.ops_lock);

  return ret;
}

function mbochs_reset(mdev_state: mdev_state): number {
  const size64k = Number(mdev_state.memsize / BigInt(64 * 1024));

  for (let i = 0; i < mdev_state.vbe.length; i++) mdev_state.vbe.set(i, 0);
  mdev_state.vbe.set(VBE_DISPI_INDEX_ID, VBE_DISPI_ID5);
  mdev_state.vbe.set(VBE_DISPI_INDEX_VIDEO_MEMORY_64K, size64k);
  return 0;
}

function mbochs_init_dev(vdev: vfio_device): number {
  const state = container_of(vdev, mdev_state, "vdev");
  const mdev = to_mdev_device(vdev.dev);
  const type = container_of(mdev.type, mbochs_type, "type");
  const avail_mbytes = { value: atomic_read(d.mbochs_avail_mbytes) };
  const ret = -ENOMEM;

  do {
    // Compared as unsigned
    if (avail_mbytes.value >>> 0 < type.mbytes) return -ENOSPC;
  } while (!atomic_try_cmpxchg(d.mbochs_avail_mbytes, avail_mbytes, avail_mbytes.value - type.mbytes));

  err_avail: {
    state.vconfig = kzalloc(MBOCHS_CONFIG_SPACE_SIZE, GFP_KERNEL);
    if (!state.vconfig) break err_avail;

    err_vconfig: {
      state.memsize = BigInt(type.mbytes * 1024 * 1024);
      state.pagecount = Number(state.memsize >> BigInt(PAGE_SHIFT));
      state.pages = kcalloc(state.pagecount, ptr<page>(), GFP_KERNEL);
      if (!state.pages) break err_vconfig;

      mutex_init(state.ops_lock, "&mdev_state->ops_lock");
      state.mdev = mdev;
      INIT_LIST_HEAD(state.dmabufs);
      state.next_id = 1;

      state.type = type;
      state.edid_regs.max_xres = type.max_x;
      state.edid_regs.max_yres = type.max_y;
      state.edid_regs.edid_offset = MBOCHS_EDID_BLOB_OFFSET;
      state.edid_regs.edid_max_size = sizeof(state.edid_blob);
      mbochs_create_config_space(state);
      mbochs_reset(state);

      dev_info(
        vdev.dev,
        "%s: %s, %d MB, %ld pages\n",
        "mbochs_init_dev",
        type.type.pretty_name,
        type.mbytes,
        state.pagecount,
      );
      return 0;
    }
    kfree(state.vconfig);
  }
  atomic_add(type.mbytes, d.mbochs_avail_mbytes);
  return ret;
}

function* mbochs_probe(mdev: mdev_device): Sleeps<number> {
  const state = yield* vfio_alloc_device(mdev_state, "vdev", mdev.dev, mbochs_dev_ops);
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

function mbochs_release_dev(vdev: vfio_device): void {
  const state = container_of(vdev, mdev_state, "vdev");

  atomic_add(state.type!.mbytes, d.mbochs_avail_mbytes);
  kfree(state.pages);
  kfree(state.vconfig);
  vfio_free_device(vdev);
}

function* mbochs_remove(mdev: mdev_device): Sleeps {
  const state = dev_get_drvdata<mdev_state>(mdev.dev);

  yield* vfio_unregister_group_dev(state!.vdev);
  yield* vfio_put_device(state!.vdev);
}

function* mbochs_read(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
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

function* mbochs_write(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
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

function __mbochs_get_page(mdev_state: mdev_state, pgoff: number): page | null {
  WARN_ON(!mutex_is_locked(mdev_state.ops_lock));

  const pages = mdev_state.pages!;
  if (!pages.at(pgoff)) {
    pages.set(pgoff, alloc_pages(GFP_HIGHUSER | __GFP_ZERO, 0));
    if (!pages.at(pgoff)) return null;
  }

  get_page(pages.at(pgoff)!);
  return pages.at(pgoff);
}

function* mbochs_get_page(mdev_state: mdev_state, pgoff: number): Sleeps<page | null> {
  if (WARN_ON(pgoff >= mdev_state.pagecount)) return null;

  yield* mutex_lock(mdev_state.ops_lock);
  const page = __mbochs_get_page(mdev_state, pgoff);
  mutex_unlock(mdev_state.ops_lock);

  return page;
}

function mbochs_put_pages(mdev_state: mdev_state): void {
  const dev = mdev_dev(mdev_state.mdev!);
  let count = 0;

  WARN_ON(!mutex_is_locked(mdev_state.ops_lock));

  for (let i = 0; i < mdev_state.pagecount; i++) {
    if (!mdev_state.pages!.at(i)) continue;
    put_page(mdev_state.pages!.at(i)!);
    mdev_state.pages!.set(i, null);
    count++;
  }
  dev_dbg(dev, "%s: %d pages released\n", "mbochs_put_pages", count);
}

function* mbochs_region_vm_fault(vmf: vm_fault): Sleeps<vm_fault_t> {
  const vma = vmf.vma!;
  const state = vma.vm_private_data as mdev_state;
  const page_offset = Number((vmf.address - vma.vm_start) >> BigInt(PAGE_SHIFT));

  if (page_offset >= state.pagecount) return VM_FAULT_SIGBUS;

  vmf.page = yield* mbochs_get_page(state, page_offset);
  if (!vmf.page) return VM_FAULT_SIGBUS;

  return 0;
}

const mbochs_region_vm_ops: vm_operations_struct = {
  fault: mbochs_region_vm_fault,
};

function mbochs_mmap(vdev: vfio_device, vma: vm_area_struct): number {
  const state = container_of(vdev, mdev_state, "vdev");

  if (vma.vm_pgoff !== BigInt(MBOCHS_MEMORY_BAR_OFFSET >> PAGE_SHIFT)) return -EINVAL;
  if (vma.vm_end < vma.vm_start) return -EINVAL;
  if (vma.vm_end - vma.vm_start > state.memsize) return -EINVAL;
  if ((vma.vm_flags & BigInt(VM_SHARED)) === 0n) return -EINVAL;

  vma.vm_ops = mbochs_region_vm_ops;
  vma.vm_private_data = state;
  return 0;
}

function mbochs_dmabuf_vm_fault(vmf: vm_fault): vm_fault_t {
  const vma = vmf.vma!;
  const dmabuf = vma.vm_private_data as mbochs_dmabuf;

  if (WARN_ON(vmf.pgoff >= dmabuf.pagecount)) return VM_FAULT_SIGBUS;

  vmf.page = dmabuf.pages!.at(Number(vmf.pgoff));
  get_page(vmf.page!);
  return 0;
}

const mbochs_dmabuf_vm_ops: vm_operations_struct = {
  fault: mbochs_dmabuf_vm_fault,
};

function mbochs_mmap_dmabuf(buf: dma_buf, vma: vm_area_struct): number {
  const dmabuf = buf.priv as mbochs_dmabuf;
  const dev = mdev_dev(dmabuf.mdev_state!.mdev!);

  dev_dbg(dev, "%s: %d\n", "mbochs_mmap_dmabuf", dmabuf.id);

  if ((vma.vm_flags & BigInt(VM_SHARED)) === 0n) return -EINVAL;

  vma.vm_ops = mbochs_dmabuf_vm_ops;
  vma.vm_private_data = dmabuf;
  return 0;
}

function mbochs_print_dmabuf(dmabuf: mbochs_dmabuf, prefix: string): void {
  const dev = mdev_dev(dmabuf.mdev_state!.mdev!);
  const fourcc = dmabuf.mode.drm_format;
  const letter = (shift: number): string => (fourcc ? String.fromCharCode((fourcc >>> shift) & 0xff) : "-");

  dev_dbg(
    dev,
    "%s/%d: %c%c%c%c, %dx%d, stride %d, off 0x%llx, size 0x%llx, pages %ld\n",
    prefix,
    dmabuf.id,
    letter(0),
    letter(8),
    letter(16),
    letter(24),
    dmabuf.mode.width,
    dmabuf.mode.height,
    dmabuf.mode.stride,
    dmabuf.mode.offset,
    dmabuf.mode.size,
    dmabuf.pagecount,
  );
}

function mbochs_map_dmabuf(at: dma_buf_attachment, direction: dma_data_direction): sg_table {
  const dmabuf = at.dmabuf!.priv as mbochs_dmabuf;
  const dev = mdev_dev(dmabuf.mdev_state!.mdev!);

  dev_dbg(dev, "%s: %d\n", "mbochs_map_dmabuf", dmabuf.id);

  err1: {
    const sg = kzalloc(sg_table, GFP_KERNEL);
    if (!sg) break err1;
    err2: {
      if (sg_alloc_table_from_pages(sg, dmabuf.pages!, dmabuf.pagecount, 0, Number(dmabuf.mode.size), GFP_KERNEL) < 0)
        break err2;
      err3: {
        if (dma_map_sgtable(at.dev, sg, direction, 0)) break err3;

        return sg;
      }
      sg_free_table(sg);
    }
    kfree(sg);
  }
  return ERR_PTR(-ENOMEM);
}

function mbochs_unmap_dmabuf(at: dma_buf_attachment, sg: sg_table, direction: dma_data_direction): void {
  const dmabuf = at.dmabuf!.priv as mbochs_dmabuf;
  const dev = mdev_dev(dmabuf.mdev_state!.mdev!);

  dev_dbg(dev, "%s: %d\n", "mbochs_unmap_dmabuf", dmabuf.id);

  dma_unmap_sgtable(at.dev, sg, direction, 0);
  sg_free_table(sg);
  kfree(sg);
}

function* mbochs_release_dmabuf(buf: dma_buf): Sleeps {
  const dmabuf = buf.priv as mbochs_dmabuf;
  const state = dmabuf.mdev_state!;
  const dev = mdev_dev(state.mdev!);

  dev_dbg(dev, "%s: %d\n", "mbochs_release_dmabuf", dmabuf.id);

  for (let pg = 0; pg < dmabuf.pagecount; pg++) put_page(dmabuf.pages!.at(pg)!);

  yield* mutex_lock(state.ops_lock);
  dmabuf.buf = null;
  if (dmabuf.unlinked) kfree(dmabuf);
  mutex_unlock(state.ops_lock);
}

const mbochs_dmabuf_ops: dma_buf_ops = {
  map_dma_buf: mbochs_map_dmabuf,
  unmap_dma_buf: mbochs_unmap_dmabuf,
  release: mbochs_release_dmabuf,
  mmap: mbochs_mmap_dmabuf,
};

function mbochs_dmabuf_alloc(mdev_state: mdev_state, mode: mbochs_mode): mbochs_dmabuf | null {
  WARN_ON(!mutex_is_locked(mdev_state.ops_lock));

  const dmabuf = kzalloc(mbochs_dmabuf, GFP_KERNEL);
  if (!dmabuf) return null;

  err_free_dmabuf: {
    memcpy(dmabuf.mode, mode, sizeof(mode));
    dmabuf.id = mdev_state.next_id++;
    dmabuf.pagecount = DIV_ROUND_UP(Number(mode.size), PAGE_SIZE);
    dmabuf.pages = kcalloc(dmabuf.pagecount, ptr<page>(), GFP_KERNEL);
    if (!dmabuf.pages) break err_free_dmabuf;

    let pg: number;
    err_free_pages: {
      const page_offset = Number(dmabuf.mode.offset >> BigInt(PAGE_SHIFT));
      for (pg = 0; pg < dmabuf.pagecount; pg++) {
        dmabuf.pages.set(pg, __mbochs_get_page(mdev_state, page_offset + pg));
        if (!dmabuf.pages.at(pg)) break err_free_pages;
      }

      dmabuf.mdev_state = mdev_state;
      list_add(dmabuf.next, mdev_state.dmabufs);

      mbochs_print_dmabuf(dmabuf, "mbochs_dmabuf_alloc");
      return dmabuf;
    }
    while (pg > 0) put_page(dmabuf.pages.at(--pg)!);
    kfree(dmabuf.pages);
  }
  kfree(dmabuf);
  return null;
}

function mbochs_dmabuf_find_by_mode(mdev_state: mdev_state, mode: mbochs_mode): mbochs_dmabuf | null {
  WARN_ON(!mutex_is_locked(mdev_state.ops_lock));

  for (const dmabuf of list_for_each_entry(mdev_state.dmabufs, mbochs_dmabuf, "next"))
    if (mbochs_modes_equal(dmabuf.mode, mode)) return dmabuf;

  return null;
}

function mbochs_dmabuf_find_by_id(mdev_state: mdev_state, id: number): mbochs_dmabuf | null {
  WARN_ON(!mutex_is_locked(mdev_state.ops_lock));

  for (const dmabuf of list_for_each_entry(mdev_state.dmabufs, mbochs_dmabuf, "next"))
    if (dmabuf.id === id) return dmabuf;

  return null;
}

function* mbochs_dmabuf_export(dmabuf: mbochs_dmabuf): Sleeps<number> {
  const state = dmabuf.mdev_state!;
  const dev = state.vdev.dev;
  const exp_info = DEFINE_DMA_BUF_EXPORT_INFO(THIS_MODULE);

  WARN_ON(!mutex_is_locked(state.ops_lock));

  if (!IS_ALIGNED(dmabuf.mode.offset, BigInt(PAGE_SIZE))) {
    dev_info_ratelimited(dev, "%s: framebuffer not page-aligned\n", "mbochs_dmabuf_export");
    return -EINVAL;
  }

  exp_info.ops = mbochs_dmabuf_ops;
  exp_info.size = Number(dmabuf.mode.size);
  exp_info.priv = dmabuf;

  const buf = yield* dma_buf_export(exp_info);
  if (IS_ERR(buf)) {
    dev_info_ratelimited(dev, "%s: dma_buf_export failed: %ld\n", "mbochs_dmabuf_export", PTR_ERR(buf));
    return PTR_ERR(buf);
  }

  dmabuf.buf = buf;
  dev_dbg(dev, "%s: %d\n", "mbochs_dmabuf_export", dmabuf.id);
  return 0;
}

function mbochs_get_region_info(mdev_state: mdev_state, ext: vfio_region_info_ext): number {
  const region_info = ext.base;

  if (region_info.index >= MBOCHS_NUM_REGIONS) return -EINVAL;

  switch (region_info.index) {
    case VFIO_PCI_CONFIG_REGION_INDEX:
      region_info.offset = 0n;
      region_info.size = BigInt(MBOCHS_CONFIG_SPACE_SIZE);
      region_info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      break;
    case VFIO_PCI_BAR0_REGION_INDEX:
      region_info.offset = BigInt(MBOCHS_MEMORY_BAR_OFFSET);
      region_info.size = mdev_state.memsize;
      region_info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP;
      break;
    case VFIO_PCI_BAR2_REGION_INDEX:
      region_info.offset = BigInt(MBOCHS_MMIO_BAR_OFFSET);
      region_info.size = BigInt(MBOCHS_MMIO_BAR_SIZE);
      region_info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      break;
    case MBOCHS_EDID_REGION_INDEX:
      ext.base.argsz = sizeof(ext);
      ext.base.offset = BigInt(MBOCHS_EDID_OFFSET);
      ext.base.size = BigInt(MBOCHS_EDID_SIZE);
      ext.base.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_CAPS;
      ext.base.cap_offset = offsetof(vfio_region_info_ext, "type");
      ext.type.header.id = VFIO_REGION_INFO_CAP_TYPE;
      ext.type.header.version = 1;
      ext.type.header.next = 0;
      ext.type.type = VFIO_REGION_TYPE_GFX;
      ext.type.subtype = VFIO_REGION_SUBTYPE_GFX_EDID;
      break;
    default:
      region_info.size = 0n;
      region_info.offset = 0n;
      region_info.flags = 0;
  }

  return 0;
}

function mbochs_get_irq_info(irq_info: vfio_irq_info): number {
  irq_info.count = 0;
  return 0;
}

function mbochs_get_device_info(dev_info: vfio_device_info): number {
  dev_info.flags = VFIO_DEVICE_FLAGS_PCI;
  dev_info.num_regions = MBOCHS_NUM_REGIONS;
  dev_info.num_irqs = VFIO_PCI_NUM_IRQS;
  return 0;
}

function* mbochs_query_gfx_plane(mdev_state: mdev_state, plane: vfio_device_gfx_plane_info): Sleeps<number> {
  const mode = new mbochs_mode();

  if (plane.flags & VFIO_GFX_PLANE_TYPE_PROBE) {
    if (plane.flags === (VFIO_GFX_PLANE_TYPE_PROBE | VFIO_GFX_PLANE_TYPE_DMABUF)) return 0;
    return -EINVAL;
  }

  if (plane.flags !== VFIO_GFX_PLANE_TYPE_DMABUF) return -EINVAL;

  plane.drm_format_mod = 0n;
  plane.x_pos = 0;
  plane.y_pos = 0;
  plane.x_hot = 0;
  plane.y_hot = 0;

  yield* mutex_lock(mdev_state.ops_lock);

  let ret = -EINVAL;
  done: {
    if (plane.drm_plane_type === DRM_PLANE_TYPE_PRIMARY) ret = mbochs_check_framebuffer(mdev_state, mode);
    if (ret < 0) {
      plane.drm_format = 0;
      plane.width = 0;
      plane.height = 0;
      plane.stride = 0;
      plane.size = 0;
      plane.dmabuf_id = 0;
      break done;
    }

    const dmabuf = mbochs_dmabuf_find_by_mode(mdev_state, mode);
    // What is made here is only found the next time
    if (!dmabuf) mbochs_dmabuf_alloc(mdev_state, mode);
    if (!dmabuf) {
      mutex_unlock(mdev_state.ops_lock);
      return -ENOMEM;
    }

    plane.drm_format = dmabuf.mode.drm_format;
    plane.width = dmabuf.mode.width;
    plane.height = dmabuf.mode.height;
    plane.stride = dmabuf.mode.stride;
    plane.size = Number(BigInt.asUintN(32, dmabuf.mode.size));
    plane.dmabuf_id = dmabuf.id;
  }
  if (plane.drm_plane_type === DRM_PLANE_TYPE_PRIMARY && mdev_state.active_id !== plane.dmabuf_id) {
    dev_dbg(
      mdev_state.vdev.dev,
      "%s: primary: %d => %d\n",
      "mbochs_query_gfx_plane",
      mdev_state.active_id,
      plane.dmabuf_id,
    );
    mdev_state.active_id = plane.dmabuf_id;
  }
  mutex_unlock(mdev_state.ops_lock);
  return 0;
}

function* mbochs_get_gfx_dmabuf(mdev_state: mdev_state, id: number): Sleeps<number> {
  yield* mutex_lock(mdev_state.ops_lock);

  const dmabuf = mbochs_dmabuf_find_by_id(mdev_state, id);
  if (!dmabuf) {
    mutex_unlock(mdev_state.ops_lock);
    return -ENOENT;
  }

  if (!dmabuf.buf) yield* mbochs_dmabuf_export(dmabuf);

  mutex_unlock(mdev_state.ops_lock);

  if (!dmabuf.buf) return -EINVAL;

  // A buffer that is exported already has a descriptor that owns the file's reference
  return dma_buf_fd(dmabuf.buf, 0);
}

function* mbochs_ioctl(vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const state = container_of(vdev, mdev_state, "vdev");
  let ret = 0;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      const info = new vfio_device_info();

      const minsz = offsetofend(vfio_device_info, "num_irqs");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = mbochs_get_device_info(info);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      using info = on_stack(vfio_region_info_ext);

      const minsz = offsetof(vfio_region_info_ext, "base") + offsetofend(vfio_region_info, "offset");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      const outsz = info.base.argsz;
      if (outsz < minsz) return -EINVAL;
      if (outsz > sizeof(info)) return -EINVAL;

      ret = mbochs_get_region_info(state, info);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, outsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_GET_IRQ_INFO: {
      const info = new vfio_irq_info();

      const minsz = offsetofend(vfio_irq_info, "count");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS) return -EINVAL;

      ret = mbochs_get_irq_info(info);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_QUERY_GFX_PLANE: {
      const plane = new vfio_device_gfx_plane_info();

      const minsz = offsetofend(vfio_device_gfx_plane_info, "region_index");

      if (yield* copy_from_user(plane, arg, minsz)) return -EFAULT;

      if (plane.argsz < minsz) return -EINVAL;

      ret = yield* mbochs_query_gfx_plane(state, plane);
      if (ret) return ret;

      if (yield* copy_to_user(arg, plane, minsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_GET_GFX_DMABUF: {
      const dmabuf_id = { value: 0 };

      if (yield* get_user(dmabuf_id, arg, 4, false)) return -EFAULT;

      return yield* mbochs_get_gfx_dmabuf(state, dmabuf_id.value);
    }

    case VFIO_DEVICE_SET_IRQS:
      return -EINVAL;

    case VFIO_DEVICE_RESET:
      return mbochs_reset(state);
  }
  return -ENOTTY;
}

function* mbochs_close_device(vdev: vfio_device): Sleeps {
  const state = container_of(vdev, mdev_state, "vdev");

  yield* mutex_lock(state.ops_lock);

  for (const dmabuf of list_for_each_entry_safe(state.dmabufs, mbochs_dmabuf, "next")) {
    list_del(dmabuf.next);
    if (dmabuf.buf) {
      // mbochs_release_dmabuf() frees it
      dmabuf.unlinked = true;
    } else {
      kfree(dmabuf);
    }
  }
  mbochs_put_pages(state);

  mutex_unlock(state.ops_lock);
}

function memory_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const state = dev_get_drvdata<mdev_state>(dev);

  return sysfs_emit(buf, "%d MB\n", state!.type!.mbytes);
}
const dev_attr_memory = DEVICE_ATTR_RO("memory", memory_show);

const mdev_dev_group: attribute_group = {
  name: "vendor",
  attrs: [dev_attr_memory.attr],
};

const mdev_dev_groups: attribute_groups = [mdev_dev_group];

function mbochs_show_description(mtype: mdev_type, buf: sysfs_buf): number {
  const type: mbochs_type | null = container_of(mtype, mbochs_type, "type");

  return sysfs_emit(buf, "virtual display, %d MB video memory\n", type ? type.mbytes : 0);
}

function mbochs_get_available(mtype: mdev_type): number {
  const type = container_of(mtype, mbochs_type, "type");

  return Math.floor((atomic_read(d.mbochs_avail_mbytes) >>> 0) / type.mbytes);
}

const mbochs_dev_ops: vfio_device_ops = {
  close_device: mbochs_close_device,
  init: mbochs_init_dev,
  release: mbochs_release_dev,
  read: mbochs_read,
  write: mbochs_write,
  ioctl: mbochs_ioctl,
  mmap: mbochs_mmap,
};

const vd_fops: file_operations = {
  owner: THIS_MODULE,
};

const d = per_boot(() => {
  const mbochs_types = [
    initialise(new mbochs_type(), {
      type: { sysfs_name: MBOCHS_TYPE_1, pretty_name: `${MBOCHS_CLASS_NAME}-${MBOCHS_TYPE_1}` },
      mbytes: 4,
      max_x: 800,
      max_y: 600,
    }),
    initialise(new mbochs_type(), {
      type: { sysfs_name: MBOCHS_TYPE_2, pretty_name: `${MBOCHS_CLASS_NAME}-${MBOCHS_TYPE_2}` },
      mbytes: 16,
      max_x: 1920,
      max_y: 1440,
    }),
    initialise(new mbochs_type(), {
      type: { sysfs_name: MBOCHS_TYPE_3, pretty_name: `${MBOCHS_CLASS_NAME}-${MBOCHS_TYPE_3}` },
      mbytes: 64,
      max_x: 0,
      max_y: 0,
    }),
  ];
  return {
    max_mbytes: 256,
    mbochs_mdev_types: mbochs_types.map((t) => t.type),
    mbochs_devt: { value: 0 },
    mbochs_class: null as class_ | null,
    mbochs_cdev: new cdev(),
    mbochs_dev: new device(),
    mbochs_parent: new mdev_parent(),
    mbochs_avail_mbytes: new atomic_t(),
    mbochs_driver: initialise(new mdev_driver(), {
      device_api: VFIO_DEVICE_API_PCI_STRING,
      driver: {
        name: "mbochs",
        owner: THIS_MODULE,
        mod_name: KBUILD_MODNAME,
        dev_groups: mdev_dev_groups,
      },
      probe: mbochs_probe,
      remove: mbochs_remove,
      get_available: mbochs_get_available,
      show_description: mbochs_show_description,
    }),
  };
});

/** There is nothing to free. */
function mbochs_device_release(_dev: device): void {}

function* mbochs_dev_init(): Sleeps<number> {
  let ret = 0;

  atomic_set(d.mbochs_avail_mbytes, d.max_mbytes);

  ret = yield* alloc_chrdev_region(d.mbochs_devt, 0, MINORMASK + 1, MBOCHS_NAME);
  if (ret < 0) {
    pr_err("Error: failed to register mbochs_dev, err: %d\n", ret);
    return ret;
  }
  cdev_init(d.mbochs_cdev, vd_fops);
  yield* cdev_add(d.mbochs_cdev, d.mbochs_devt.value, MINORMASK + 1);
  pr_info("%s: major %d\n", "mbochs_dev_init", MAJOR(d.mbochs_devt.value));

  err_cdev: {
    ret = yield* mdev_register_driver(d.mbochs_driver);
    if (ret) break err_cdev;

    err_driver: {
      d.mbochs_class = yield* class_create(THIS_MODULE, MBOCHS_CLASS_NAME);
      if (IS_ERR(d.mbochs_class)) {
        pr_err("Error: failed to register mbochs_dev class\n");
        ret = PTR_ERR(d.mbochs_class);
        break err_driver;
      }
      d.mbochs_dev.class = d.mbochs_class;
      d.mbochs_dev.release = mbochs_device_release;
      dev_set_name(d.mbochs_dev, "%s", MBOCHS_NAME);

      err_class: {
        ret = yield* device_register(d.mbochs_dev);
        if (ret) break err_class;

        err_device: {
          ret = yield* mdev_register_parent(
            d.mbochs_parent,
            d.mbochs_dev,
            d.mbochs_driver,
            d.mbochs_mdev_types,
            d.mbochs_mdev_types.length,
          );
          if (ret) break err_device;

          return 0;
        }
        yield* device_unregister(d.mbochs_dev);
      }
      yield* class_destroy(d.mbochs_class);
    }
    yield* mdev_unregister_driver(d.mbochs_driver);
  }
  yield* cdev_del(d.mbochs_cdev);
  yield* unregister_chrdev_region(d.mbochs_devt.value, MINORMASK + 1);
  return ret;
}

function* mbochs_dev_exit(): Sleeps {
  d.mbochs_dev.bus = null;
  yield* mdev_unregister_parent(d.mbochs_parent);

  yield* device_unregister(d.mbochs_dev);
  yield* mdev_unregister_driver(d.mbochs_driver);
  yield* cdev_del(d.mbochs_cdev);
  yield* unregister_chrdev_region(d.mbochs_devt.value, MINORMASK + 1);
  yield* class_destroy(d.mbochs_class);
  d.mbochs_class = null;
}

module_init(mbochs_dev_init);
module_exit(mbochs_dev_exit);
