// SPDX-License-Identifier: GPL-2.0-only
/**
 * kvmgt: virtual GPUs as mediated devices. Port of drivers/gpu/drm/i915/gvt/kvmgt.c. Not there yet: the aperture (intel_vgpu_aperture_rw,
 * intel_vgpu_mmap), planes (VFIO_DEVICE_QUERY_GFX_PLANE, VFIO_DEVICE_GET_GFX_DMABUF), what the service thread does
 * (intel_gvt_test_and_emulate_vblank), intel_gvt_pm_resume; registers and writes to configuration space are refused below.
 */
import { atomic_cmpxchg, atomic_set } from "#linux/atomic.ts";
import { WARN, WARN_ON, WARN_ON_ONCE, WARN_ONCE } from "#linux/bug.ts";
import { debugfs_create_ulong, debugfs_lookup, debugfs_remove } from "#linux/debugfs.ts";
import {
  dev_get_drvdata,
  dev_name,
  dev_set_drvdata,
  type device,
  DEVICE_ATTR_RO,
  type device_attribute,
} from "#linux/device.ts";
import { DMA_BIDIRECTIONAL, dma_map_page, dma_mapping_error, dma_unmap_page } from "#linux/dma-mapping.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EEXIST, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY, EPERM, ESRCH } from "#linux/errno.ts";
import { eventfd_ctx_fdget, eventfd_ctx_put } from "#linux/eventfd.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { hash_add, hash_del, hash_for_each_possible, hash_for_each_safe, hash_init } from "#linux/hashtable.ts";
import { idr_destroy, idr_for_each_entry, idr_init_base } from "#linux/idr.ts";
import { IOMMU_READ, IOMMU_WRITE } from "#linux/iommu.ts";
import { DIV_ROUND_UP, min, struct_size } from "#linux/kernel.ts";
import { kref, kref_get, kref_init, kref_put } from "#linux/kref.ts";
import { kthread_run, kthread_should_stop, kthread_stop } from "#linux/kthread.ts";
import {
  gfn_to_memslot,
  gpa_to_gfn,
  type kvm,
  kvm_get_kvm,
  type kvm_memory_slot,
  type kvm_page_track_notifier_node,
  kvm_page_track_register_notifier,
  kvm_page_track_unregister_notifier,
  KVM_PAGE_TRACK_WRITE,
  kvm_put_kvm,
  kvm_slot_page_track_add_page,
  kvm_slot_page_track_remove_page,
  type kvm_vcpu,
} from "#linux/kvm_host.ts";
import { hlist_node } from "#linux/list.ts";
import {
  mdev_dev,
  type mdev_device,
  mdev_driver,
  mdev_register_driver,
  mdev_register_parent,
  type mdev_type,
  mdev_unregister_driver,
  mdev_unregister_parent,
  to_mdev_device,
} from "#linux/mdev.ts";
import { type page, PAGE_ALIGN, PAGE_SHIFT, PAGE_SIZE, page_to_pfn, task_mm } from "#linux/mm.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { array_index_nospec } from "#linux/nospec.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_MEM_TYPE_MASK,
  PCI_CFG_SPACE_EXP_SIZE,
  to_pci_dev,
} from "#linux/pci.ts";
import {
  rb_entry,
  rb_erase,
  rb_first,
  rb_insert_color,
  rb_link_left,
  rb_link_node,
  rb_link_right,
  rb_link_root,
  rb_linked,
  rb_node,
} from "#linux/rbtree.ts";
import { current } from "#linux/sched.ts";
import { GFP_ATOMIC, GFP_KERNEL, kfree, krealloc, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "#linux/spinlock.ts";
import { memcpy, u32_at } from "#linux/string.ts";
import { type attribute_group, type attribute_groups, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import {
  array,
  b16,
  b32,
  b64,
  b8,
  type byte_memory,
  bytes_at,
  bytestruct,
  cast_to,
  container_of,
  embed,
  initialise,
  type kbuf,
  offsetof,
  offsetofend,
  opaque,
  ptr,
  type Sleeps,
  type Spins,
  sizeof,
  struct,
  u32,
  u64,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user, memdup_user } from "#linux/uaccess.ts";
import {
  type out,
  vfio_alloc_device,
  type vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_info_add_capability,
  vfio_info_cap,
  vfio_info_cap_shift,
  vfio_pin_pages,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_set_irqs_validate_and_prepare,
  vfio_unpin_pages,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import { init_waitqueue_head, wait_event_interruptible } from "#linux/wait.ts";
import {
  VFIO_DEVICE_API_PCI_STRING,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_GFX_DMABUF,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_GFX_LINK_STATE_DOWN,
  VFIO_DEVICE_GFX_LINK_STATE_UP,
  VFIO_DEVICE_QUERY_GFX_PLANE,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_device_info,
  vfio_info_cap_header,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  vfio_irq_info,
  vfio_irq_set,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_BAR1_REGION_INDEX,
  VFIO_PCI_BAR2_REGION_INDEX,
  VFIO_PCI_BAR3_REGION_INDEX,
  VFIO_PCI_BAR4_REGION_INDEX,
  VFIO_PCI_BAR5_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
  vfio_region_gfx_edid,
  vfio_region_info,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  vfio_region_info_cap_sparse_mmap,
  VFIO_REGION_INFO_CAP_TYPE,
  vfio_region_info_cap_type,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_region_sparse_mmap_area,
  VFIO_REGION_SUBTYPE_GFX_EDID,
  VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
  VFIO_REGION_TYPE_GFX,
  VFIO_REGION_TYPE_PCI_VENDOR_TYPE,
} from "#uapi/linux/vfio.ts";
import { type drm_i915_private, kdev_to_i915, to_gt } from "../i915_drv.ts";
import { intel_gvt_clear_ops, intel_gvt_set_ops, type intel_vgpu_ops } from "../intel_gvt.ts";
import { intel_vgpu_emulate_cfg_read, intel_vgpu_emulate_cfg_write } from "./cfg_space.ts";
import { gvt_dbg_core, gvt_err, gvt_vgpu_err } from "./debug.ts";
import { intel_gvt_debugfs_clean, intel_gvt_debugfs_init } from "./debugfs.ts";
import { drm_edid_block_valid } from "./edid.ts";
import { intel_gvt_free_firmware, intel_gvt_load_firmware } from "./firmware.ts";
import { intel_gvt_clean_gtt, intel_gvt_init_gtt } from "./gtt.ts";
import {
  BYTES_TO_MB,
  EDID_SIZE,
  type edid_bytes,
  gvt_aperture_sz,
  gvt_fence_sz,
  gvt_ggtt_sz,
  gvt_hidden_sz,
  HOST_FENCE,
  HOST_HIGH_GM_SIZE,
  HOST_LOW_GM_SIZE,
  intel_gvt,
  intel_vgpu,
  intel_vgpu_port_of,
  intel_vgpu_type,
  KVMGT_DEBUGFS_FILENAME,
  vgpu_aperture_offset,
  vgpu_aperture_sz,
  vgpu_edid_str,
  vgpu_edid_xres,
  vgpu_edid_yres,
} from "./gvt.ts";
import { intel_gvt_clean_mmio_info, intel_gvt_setup_mmio_info } from "./handlers.ts";
import { intel_vgpu_emulate_mmio_read, intel_vgpu_emulate_mmio_write } from "./mmio.ts";
import { intel_gvt_clean_sched_policy, intel_gvt_init_sched_policy } from "./sched_policy.ts";
import { intel_gvt_clean_workload_scheduler, intel_gvt_init_workload_scheduler } from "./scheduler.ts";
import {
  intel_gvt_activate_vgpu,
  intel_gvt_clean_vgpu_types,
  intel_gvt_create_idle_vgpu,
  intel_gvt_create_vgpu,
  intel_gvt_destroy_idle_vgpu,
  intel_gvt_destroy_vgpu,
  intel_gvt_init_vgpu_types,
  intel_gvt_release_vgpu,
  intel_gvt_reset_vgpu,
} from "./vgpu.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

const VFIO_PCI_OFFSET_SHIFT = 40;
const VFIO_PCI_OFFSET_TO_INDEX = (off: bigint): number => Number(off >> BigInt(VFIO_PCI_OFFSET_SHIFT));
const VFIO_PCI_INDEX_TO_OFFSET = (index: number): bigint => BigInt(index) << BigInt(VFIO_PCI_OFFSET_SHIFT);
const VFIO_PCI_OFFSET_MASK = (1n << BigInt(VFIO_PCI_OFFSET_SHIFT)) - 1n;

const EDID_BLOB_OFFSET = PAGE_SIZE / 2;

const OPREGION_SIGNATURE = "IntelGraphicsMem";

const PCI_VENDOR_ID_INTEL = 0x8086;
const OPREGION_SIZE = 8 * 1024;

interface intel_vgpu_regops {
  readonly rw: (vgpu: intel_vgpu, buf: byte_memory, count: number, ppos: loff_ptr, iswrite: boolean) => number;
  readonly release: (vgpu: intel_vgpu, region: vfio_region) => void;
}

export class vfio_region extends struct("vfio_region", {
  type: u32(),
  subtype: u32(),
  size: opaque(() => 0),
  flags: u32(),
  ops: ptr<intel_vgpu_regops>(),
  data: ptr<object>(),
}) {}

class vfio_edid_region extends struct("vfio_edid_region", {
  vfio_edid_regs: embed(() => vfio_region_gfx_edid),
  edid_blob: ptr<edid_bytes>(),
}) {}

class kvmgt_pgfn extends struct("kvmgt_pgfn", { gfn: u64(), hnode: embed(() => hlist_node) }) {}

class gvt_dma extends struct("gvt_dma", {
  vgpu: ptr<intel_vgpu>(),
  gfn_node: embed(() => rb_node),
  dma_addr_node: embed(() => rb_node),
  gfn: u64(),
  dma_addr: u64(),
  size: opaque(() => 0),
  ref: embed(() => kref),
}) {}

const vfio_dev_to_vgpu = (vfio_dev: vfio_device): intel_vgpu => container_of(vfio_dev, intel_vgpu, "vfio_device");

function intel_vgpu_show_description(mtype: mdev_type, buf: sysfs_buf): number {
  const { conf } = container_of(mtype, intel_vgpu_type, "type");

  return sysfs_emit(
    buf,
    "low_gm_size: %dMB\nhigh_gm_size: %dMB\nfence: %d\nresolution: %s\nweight: %d\n",
    BYTES_TO_MB(conf!.low_mm),
    BYTES_TO_MB(conf!.high_mm),
    conf!.fence,
    vgpu_edid_str(conf!.edid),
    conf!.weight,
  );
}

function* gvt_unpin_guest_page(vgpu: intel_vgpu, gfn: bigint, size: number): Sleeps {
  yield* vfio_unpin_pages(vgpu.vfio_device, gfn << BigInt(PAGE_SHIFT), DIV_ROUND_UP(size, PAGE_SIZE));
}

/** `struct page *` on the stack. */
class one_page extends struct("page_pointer", { pages: array(1, ptr<page>()) }) {}

/* Pins the pages one by one, which have to lie one behind the other. @page: gets the first one */
function* gvt_pin_guest_page(vgpu: intel_vgpu, gfn: bigint, size: number, page: out<page | null>): Sleeps<number> {
  const total_pages = DIV_ROUND_UP(size, PAGE_SIZE);
  let base_page: page | null = null;
  let npage = 0;
  let ret: number;

  err: {
    for (; npage < total_pages; npage++) {
      const cur_iova = (gfn + BigInt(npage)) << BigInt(PAGE_SHIFT);
      const cur = new one_page();

      ret = yield* vfio_pin_pages(vgpu.vfio_device, cur_iova, 1, IOMMU_READ | IOMMU_WRITE, cur.pages);
      if (ret !== 1) {
        gvt_vgpu_err(vgpu, "vfio_pin_pages failed for iova %pad, ret %d\n", cur_iova, ret);
        break err;
      }
      const cur_page = cur.pages.at(0)!;

      if (npage === 0) base_page = cur_page;
      else if (page_to_pfn(base_page!) + npage !== page_to_pfn(cur_page)) {
        gvt_vgpu_err(vgpu, "The pages are not continuous\n");
        ret = -EINVAL;
        npage++;
        break err;
      }
    }

    page.value = base_page;
    return 0;
  }
  yield* gvt_unpin_guest_page(vgpu, gfn, npage * PAGE_SIZE);
  return ret;
}

function* gvt_dma_map_page(vgpu: intel_vgpu, gfn: bigint, dma_addr: out<bigint>, size: number): Sleeps<number> {
  const { dev } = vgpu.gvt!.gt!.i915!.drm;
  const page = { value: null as page | null };

  const ret = yield* gvt_pin_guest_page(vgpu, gfn, size, page);
  if (ret) return ret;

  dma_addr.value = dma_map_page(dev, page.value!, 0, size, DMA_BIDIRECTIONAL);
  if (dma_mapping_error(dev, dma_addr.value)) {
    gvt_vgpu_err(vgpu, "DMA mapping failed for pfn 0x%lx, ret %d\n", page_to_pfn(page.value!), ret);
    yield* gvt_unpin_guest_page(vgpu, gfn, size);
    return -ENOMEM;
  }

  return 0;
}

function* gvt_dma_unmap_page(vgpu: intel_vgpu, gfn: bigint, dma_addr: bigint, size: number): Sleeps {
  const { dev } = vgpu.gvt!.gt!.i915!.drm;

  dma_unmap_page(dev, dma_addr, size, DMA_BIDIRECTIONAL);
  yield* gvt_unpin_guest_page(vgpu, gfn, size);
}

function __gvt_cache_find_dma_addr(vgpu: intel_vgpu, dma_addr: bigint): gvt_dma | null {
  let node = vgpu.dma_addr_cache.rb_node;

  while (node) {
    const itr = rb_entry(node, gvt_dma, "dma_addr_node");

    if (dma_addr < itr.dma_addr) node = node.rb_left;
    else if (dma_addr > itr.dma_addr) node = node.rb_right;
    else return itr;
  }
  return null;
}

function __gvt_cache_find_gfn(vgpu: intel_vgpu, gfn: bigint): gvt_dma | null {
  let node = vgpu.gfn_cache.rb_node;

  while (node) {
    const itr = rb_entry(node, gvt_dma, "gfn_node");

    if (gfn < itr.gfn) node = node.rb_left;
    else if (gfn > itr.gfn) node = node.rb_right;
    else return itr;
  }
  return null;
}

function __gvt_cache_add(vgpu: intel_vgpu, gfn: bigint, dma_addr: bigint, size: number): number {
  const new_ = kzalloc(gvt_dma, GFP_KERNEL);
  if (!new_) return -ENOMEM;

  new_.vgpu = vgpu;
  new_.gfn = gfn;
  new_.dma_addr = dma_addr;
  new_.size = size;
  kref_init(new_.ref);

  let link = rb_link_root(vgpu.gfn_cache);
  let parent: rb_node | null = null;
  for (let at = rb_linked(link); at; at = rb_linked(link)) {
    parent = at;
    link = gfn < rb_entry(at, gvt_dma, "gfn_node").gfn ? rb_link_left(at) : rb_link_right(at);
  }
  rb_link_node(new_.gfn_node, parent, link);
  rb_insert_color(new_.gfn_node, vgpu.gfn_cache);

  parent = null;
  link = rb_link_root(vgpu.dma_addr_cache);
  for (let at = rb_linked(link); at; at = rb_linked(link)) {
    parent = at;
    link = dma_addr < rb_entry(at, gvt_dma, "dma_addr_node").dma_addr ? rb_link_left(at) : rb_link_right(at);
  }
  rb_link_node(new_.dma_addr_node, parent, link);
  rb_insert_color(new_.dma_addr_node, vgpu.dma_addr_cache);

  vgpu.nr_cache_entries++;
  return 0;
}

function __gvt_cache_remove_entry(vgpu: intel_vgpu, entry: gvt_dma): void {
  rb_erase(entry.gfn_node, vgpu.gfn_cache);
  rb_erase(entry.dma_addr_node, vgpu.dma_addr_cache);
  kfree(entry);
  vgpu.nr_cache_entries--;
}

function* gvt_cache_destroy(vgpu: intel_vgpu): Sleeps {
  for (;;) {
    yield* mutex_lock(vgpu.cache_lock);
    const node = rb_first(vgpu.gfn_cache);
    if (!node) {
      mutex_unlock(vgpu.cache_lock);
      break;
    }
    const dma = rb_entry(node, gvt_dma, "gfn_node");
    yield* gvt_dma_unmap_page(vgpu, dma.gfn, dma.dma_addr, dma.size);
    __gvt_cache_remove_entry(vgpu, dma);
    mutex_unlock(vgpu.cache_lock);
  }
}

function gvt_cache_init(vgpu: intel_vgpu): void {
  vgpu.gfn_cache.rb_node = null;
  vgpu.dma_addr_cache.rb_node = null;
  vgpu.nr_cache_entries = 0;
  mutex_init(vgpu.cache_lock, "&vgpu->cache_lock");
}

function kvmgt_protect_table_init(info: intel_vgpu): void {
  hash_init(info.ptable);
}

function kvmgt_protect_table_destroy(info: intel_vgpu): void {
  for (const p of hash_for_each_safe(info.ptable, kvmgt_pgfn, "hnode")) {
    hash_del(p.hnode);
    kfree(p);
  }
}

function __kvmgt_protect_table_find(info: intel_vgpu, gfn: bigint): kvmgt_pgfn | null {
  for (const p of hash_for_each_possible(info.ptable, kvmgt_pgfn, "hnode", gfn)) if (gfn === p.gfn) return p;

  return null;
}

function kvmgt_gfn_is_write_protected(info: intel_vgpu, gfn: bigint): boolean {
  return __kvmgt_protect_table_find(info, gfn) !== null;
}

function kvmgt_protect_table_add(info: intel_vgpu, gfn: bigint): void {
  if (kvmgt_gfn_is_write_protected(info, gfn)) return;

  const p = kzalloc(kvmgt_pgfn, GFP_ATOMIC);
  if (WARN(!p, "gfn: 0x%llx\n", gfn)) return;

  p!.gfn = gfn;
  hash_add(info.ptable, p!.hnode, gfn);
}

function kvmgt_protect_table_del(info: intel_vgpu, gfn: bigint): void {
  const p = __kvmgt_protect_table_find(info, gfn);
  if (p) {
    hash_del(p.hnode);
    kfree(p);
  }
}

function intel_vgpu_reg_rw_opregion(
  vgpu: intel_vgpu,
  buf: byte_memory,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): number {
  const region = vgpu.region!.at(VFIO_PCI_OFFSET_TO_INDEX(ppos.value) - VFIO_PCI_NUM_REGIONS);
  const pos = Number(ppos.value & VFIO_PCI_OFFSET_MASK);

  if (pos >= region.size || iswrite) {
    gvt_vgpu_err(vgpu, "invalid op or offset for Intel vgpu OpRegion\n");
    return -EINVAL;
  }
  const n = min(count, region.size - pos);
  memcpy(buf, bytes_at(region.data as kbuf, pos), n);

  return n;
}

function intel_vgpu_reg_release_opregion(_vgpu: intel_vgpu, _region: vfio_region): void {}

const intel_vgpu_regops_opregion: intel_vgpu_regops = {
  rw: intel_vgpu_reg_rw_opregion,
  release: intel_vgpu_reg_release_opregion,
};

function handle_edid_regs(
  vgpu: intel_vgpu,
  region: vfio_edid_region,
  buf: byte_memory,
  count: number,
  offset: number,
  is_write: boolean,
): number {
  const regs = region.vfio_edid_regs;

  if (offset + count > sizeof(regs)) return -EINVAL;

  if (count !== 4) return -EINVAL;

  if (is_write) {
    const data = u32_at(buf, 0);
    switch (offset) {
      case offsetof(vfio_region_gfx_edid, "link_state"):
        if (data === VFIO_DEVICE_GFX_LINK_STATE_UP) {
          if (!drm_edid_block_valid(region.edid_blob!)) {
            gvt_vgpu_err(vgpu, "invalid EDID blob\n");
            return -EINVAL;
          }
          gvt_vgpu_err(vgpu, "the guest is not told of its monitor here\n");
        } else if (data === VFIO_DEVICE_GFX_LINK_STATE_DOWN)
          gvt_vgpu_err(vgpu, "the guest is not told of its monitor here\n");
        else {
          gvt_vgpu_err(vgpu, "invalid EDID link state %d\n", regs.link_state);
          return -EINVAL;
        }
        regs.link_state = data;
        break;
      case offsetof(vfio_region_gfx_edid, "edid_size"):
        if (data > regs.edid_max_size) {
          gvt_vgpu_err(vgpu, "EDID size is bigger than %d!\n", regs.edid_max_size);
          return -EINVAL;
        }
        regs.edid_size = data;
        break;
      default:
        gvt_vgpu_err(vgpu, "write read-only EDID region at offset %d\n", offset);
        return -EPERM;
    }
  } else {
    memcpy(buf, bytes_at(regs, offset), count);
  }

  return count;
}

function handle_edid_blob(
  region: vfio_edid_region,
  buf: byte_memory,
  count: number,
  offset: number,
  is_write: boolean,
): number {
  if (offset + count > region.vfio_edid_regs.edid_size) return -EINVAL;

  if (is_write) memcpy(bytes_at(region.edid_blob!, offset), buf, count);
  else memcpy(buf, bytes_at(region.edid_blob!, offset), count);

  return count;
}

function intel_vgpu_reg_rw_edid(
  vgpu: intel_vgpu,
  buf: byte_memory,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): number {
  const region = vgpu.region!.at(VFIO_PCI_OFFSET_TO_INDEX(ppos.value) - VFIO_PCI_NUM_REGIONS).data as vfio_edid_region;
  let pos = Number(ppos.value & VFIO_PCI_OFFSET_MASK);
  let ret: number;

  // Offsets are passed on as 16 bits
  if (pos < region.vfio_edid_regs.edid_offset) {
    ret = handle_edid_regs(vgpu, region, buf, count, pos & 0xffff, iswrite);
  } else {
    pos -= EDID_BLOB_OFFSET;
    ret = handle_edid_blob(region, buf, count, pos & 0xffff, iswrite);
  }

  if (ret < 0) gvt_vgpu_err(vgpu, "failed to access EDID region\n");

  return ret;
}

function intel_vgpu_reg_release_edid(_vgpu: intel_vgpu, region: vfio_region): void {
  kfree(region.data);
}

const intel_vgpu_regops_edid: intel_vgpu_regops = {
  rw: intel_vgpu_reg_rw_edid,
  release: intel_vgpu_reg_release_edid,
};

function intel_vgpu_register_reg(
  vgpu: intel_vgpu,
  type: number,
  subtype: number,
  ops: intel_vgpu_regops,
  size: number,
  flags: number,
  data: object,
): number {
  const region = krealloc(vgpu.region, vgpu.num_regions + 1, vfio_region, GFP_KERNEL);
  if (!region) return -ENOMEM;

  vgpu.region = region;
  vgpu.region.at(vgpu.num_regions).type = type;
  vgpu.region.at(vgpu.num_regions).subtype = subtype;
  vgpu.region.at(vgpu.num_regions).ops = ops;
  vgpu.region.at(vgpu.num_regions).size = size;
  vgpu.region.at(vgpu.num_regions).flags = flags;
  vgpu.region.at(vgpu.num_regions).data = data;
  vgpu.num_regions++;
  return 0;
}

/** Gives the vGPU a region with its firmware's pages. @return 0, -ENOMEM or -EINVAL. May sleep. */
export function intel_gvt_set_opregion(vgpu: intel_vgpu): number {
  const base = vgpu.opregion.va;
  if (!base) return -ENOMEM;

  for (const [i, c] of [...OPREGION_SIGNATURE].entries()) if (base.$bytes[i] !== c.charCodeAt(0)) return -EINVAL;

  return intel_vgpu_register_reg(
    vgpu,
    (PCI_VENDOR_ID_INTEL | VFIO_REGION_TYPE_PCI_VENDOR_TYPE) >>> 0,
    VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
    intel_vgpu_regops_opregion,
    OPREGION_SIZE,
    VFIO_REGION_INFO_FLAG_READ,
    base,
  );
}

/** Gives the vGPU a region with the EDID of the monitor on a port. @return 0 or -ENOMEM. May sleep. */
export function intel_gvt_set_edid(vgpu: intel_vgpu, port_num: number): number {
  const port = intel_vgpu_port_of(vgpu, port_num);

  const base = kzalloc(vfio_edid_region, GFP_KERNEL);
  if (!base) return -ENOMEM;

  base.vfio_edid_regs.edid_offset = EDID_BLOB_OFFSET;
  base.vfio_edid_regs.edid_max_size = EDID_SIZE;
  base.vfio_edid_regs.edid_size = EDID_SIZE;
  base.vfio_edid_regs.max_xres = vgpu_edid_xres(port.id);
  base.vfio_edid_regs.max_yres = vgpu_edid_yres(port.id);
  base.edid_blob = port.edid!.edid_block;

  return intel_vgpu_register_reg(
    vgpu,
    VFIO_REGION_TYPE_GFX,
    VFIO_REGION_SUBTYPE_GFX_EDID,
    intel_vgpu_regops_edid,
    EDID_SIZE,
    VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_CAPS,
    base,
  );
}

function* intel_vgpu_dma_unmap(vfio_dev: vfio_device, iova: bigint, length: bigint): Sleeps {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);
  let iov_pfn = iova >> BigInt(PAGE_SHIFT);
  const end_iov_pfn = iov_pfn + length / BigInt(PAGE_SIZE);

  yield* mutex_lock(vgpu.cache_lock);
  for (; iov_pfn < end_iov_pfn; iov_pfn++) {
    const entry = __gvt_cache_find_gfn(vgpu, iov_pfn);
    if (!entry) continue;

    yield* gvt_dma_unmap_page(vgpu, entry.gfn, entry.dma_addr, entry.size);
    __gvt_cache_remove_entry(vgpu, entry);
  }
  mutex_unlock(vgpu.cache_lock);
}

/* Whether another vGPU is open for the same machine. */
function* __kvmgt_vgpu_exist(vgpu: intel_vgpu): Sleeps<boolean> {
  let ret = false;

  yield* mutex_lock(vgpu.gvt!.lock);
  out: for (const [, itr] of idr_for_each_entry<intel_vgpu>(vgpu.gvt!.vgpu_idr)) {
    if (!itr.active) continue;
    if (!itr.attached) continue;

    if (vgpu.vfio_device.kvm === itr.vfio_device.kvm) {
      ret = true;
      break out;
    }
  }
  mutex_unlock(vgpu.gvt!.lock);
  return ret;
}

function* intel_vgpu_open_device(vfio_dev: vfio_device): Sleeps<number> {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);

  if (vgpu.attached) return -EEXIST;

  if (!vgpu.vfio_device.kvm || vgpu.vfio_device.kvm.mm !== task_mm(current())) {
    gvt_vgpu_err(vgpu, "KVM is required to use Intel vGPU\n");
    return -ESRCH;
  }

  if (yield* __kvmgt_vgpu_exist(vgpu)) return -EEXIST;

  vgpu.attached = true;

  kvmgt_protect_table_init(vgpu);
  gvt_cache_init(vgpu);

  vgpu.track_node.track_write = kvmgt_page_track_write;
  vgpu.track_node.track_flush_slot = kvmgt_page_track_flush_slot;
  kvm_get_kvm(vgpu.vfio_device.kvm);
  yield* kvm_page_track_register_notifier(vgpu.vfio_device.kvm, vgpu.track_node);

  debugfs_create_ulong(KVMGT_DEBUGFS_FILENAME, 0o444, vgpu.debugfs, vgpu, "nr_cache_entries");

  yield* intel_gvt_activate_vgpu(vgpu);

  atomic_set(vgpu.released, 0);
  return 0;
}

function intel_vgpu_release_msi_eventfd_ctx(vgpu: intel_vgpu): void {
  const trigger = vgpu.msi_trigger;
  if (trigger) {
    eventfd_ctx_put(trigger);
    vgpu.msi_trigger = null;
  }
}

function* intel_vgpu_close_device(vfio_dev: vfio_device): Sleeps {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);

  if (!vgpu.attached) return;

  if (atomic_cmpxchg(vgpu.released, 0, 1)) return;

  yield* intel_gvt_release_vgpu(vgpu);

  debugfs_remove(debugfs_lookup(KVMGT_DEBUGFS_FILENAME, vgpu.debugfs));

  yield* kvm_page_track_unregister_notifier(vgpu.vfio_device.kvm!, vgpu.track_node);
  kvm_put_kvm(vgpu.vfio_device.kvm!);

  kvmgt_protect_table_destroy(vgpu);
  yield* gvt_cache_destroy(vgpu);

  intel_vgpu_release_msi_eventfd_ctx(vgpu);

  vgpu.attached = false;
}

function intel_vgpu_get_bar_addr(vgpu: intel_vgpu, bar: number): bigint {
  const space = vgpu.cfg_space.virtual_cfg_space;
  const start_lo = (u32_at(space, bar) & PCI_BASE_ADDRESS_MEM_MASK) >>> 0;
  const mem_type = u32_at(space, bar) & PCI_BASE_ADDRESS_MEM_TYPE_MASK;
  let start_hi: number;

  switch (mem_type) {
    case PCI_BASE_ADDRESS_MEM_TYPE_64:
      start_hi = u32_at(space, bar + 4);
      break;
    default:
      // The other types are taken for 32-bit ones
      start_hi = 0;
      break;
  }

  return (BigInt(start_hi) << 32n) | BigInt(start_lo);
}

function intel_vgpu_bar_rw(
  vgpu: intel_vgpu,
  bar: number,
  off: bigint,
  buf: byte_memory,
  count: number,
  is_write: boolean,
): number {
  const bar_start = intel_vgpu_get_bar_addr(vgpu, bar);

  if (is_write) return intel_vgpu_emulate_mmio_write(vgpu, bar_start + off, buf, count);
  return intel_vgpu_emulate_mmio_read(vgpu, bar_start + off, buf, count);
}

function intel_vgpu_rw(vgpu: intel_vgpu, buf: byte_memory, count: number, ppos: loff_ptr, is_write: boolean): number {
  let index = VFIO_PCI_OFFSET_TO_INDEX(ppos.value);
  const pos = ppos.value & VFIO_PCI_OFFSET_MASK;
  let ret = -EINVAL;

  if (index >= VFIO_PCI_NUM_REGIONS + vgpu.num_regions) {
    gvt_vgpu_err(vgpu, "invalid index: %u\n", index);
    return -EINVAL;
  }

  switch (index) {
    case VFIO_PCI_CONFIG_REGION_INDEX:
      if (is_write) ret = intel_vgpu_emulate_cfg_write(vgpu, Number(pos), buf, count);
      else ret = intel_vgpu_emulate_cfg_read(vgpu, Number(pos), buf, count);
      break;
    case VFIO_PCI_BAR0_REGION_INDEX:
      ret = intel_vgpu_bar_rw(vgpu, PCI_BASE_ADDRESS_0, pos, buf, count, is_write);
      break;
    case VFIO_PCI_BAR2_REGION_INDEX:
      gvt_vgpu_err(vgpu, "the aperture (0x%llx) is not there yet\n", pos);
      ret = -ENOTTY;
      break;
    case VFIO_PCI_BAR1_REGION_INDEX:
    case VFIO_PCI_BAR3_REGION_INDEX:
    case VFIO_PCI_BAR4_REGION_INDEX:
    case VFIO_PCI_BAR5_REGION_INDEX:
    case VFIO_PCI_VGA_REGION_INDEX:
    case VFIO_PCI_ROM_REGION_INDEX:
      break;
    default:
      if (index >= VFIO_PCI_NUM_REGIONS + vgpu.num_regions) return -EINVAL;

      index -= VFIO_PCI_NUM_REGIONS;
      return vgpu.region!.at(index).ops!.rw(vgpu, buf, count, ppos, is_write);
  }

  return ret === 0 ? count : ret;
}

/* Whether an access is one to the global GTT; a region's number is compared with the offset of a register. */
function gtt_entry(vgpu: intel_vgpu, ppos: loff_ptr): boolean {
  const index = VFIO_PCI_OFFSET_TO_INDEX(ppos.value);
  const gvt = vgpu.gvt!;

  if (index !== PCI_BASE_ADDRESS_0) return false;

  const offset = Number((ppos.value & VFIO_PCI_OFFSET_MASK) - intel_vgpu_get_bar_addr(vgpu, PCI_BASE_ADDRESS_0));

  return offset >= gvt.device_info.gtt_start_offset && offset < gvt.device_info.gtt_start_offset + gvt_ggtt_sz(gvt);
}

/** Variables on the stack. */
class val_u64 extends bytestruct("u64", { v: b64() }) {}
class val_u32 extends bytestruct("u32", { v: b32() }) {}
class val_u16 extends bytestruct("u16", { v: b16() }) {}
class val_u8 extends bytestruct("u8", { v: b8() }) {}

/* The widest access that C would make next. */
function next_access(vgpu: intel_vgpu, count: number, ppos: loff_ptr): byte_memory {
  if (count >= 8 && !(ppos.value % 8n) && gtt_entry(vgpu, ppos)) return new val_u64();
  if (count >= 4 && !(ppos.value % 4n)) return new val_u32();
  if (count >= 2 && !(ppos.value % 2n)) return new val_u16();
  return new val_u8();
}

function* intel_vgpu_read(vfio_dev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);
  let done = 0;

  read_err: {
    while (count) {
      const val = next_access(vgpu, count, ppos);
      const filled = sizeof(val);

      const ret = intel_vgpu_rw(vgpu, val, filled, ppos, false);
      if (ret <= 0) break read_err;

      if (yield* copy_to_user(buf, val, filled)) break read_err;

      count -= filled;
      done += filled;
      ppos.value += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

function* intel_vgpu_write(vfio_dev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);
  let done = 0;

  write_err: {
    while (count) {
      const val = next_access(vgpu, count, ppos);
      const filled = sizeof(val);

      if (yield* copy_from_user(val, buf, filled)) break write_err;

      const ret = intel_vgpu_rw(vgpu, val, filled, ppos, true);
      if (ret <= 0) break write_err;

      count -= filled;
      done += filled;
      ppos.value += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

function intel_vgpu_get_irq_count(_vgpu: intel_vgpu, type: number): number {
  if (type === VFIO_PCI_INTX_IRQ_INDEX || type === VFIO_PCI_MSI_IRQ_INDEX) return 1;

  return 0;
}

type set_irq = (
  vgpu: intel_vgpu,
  index: number,
  start: number,
  count: number,
  flags: number,
  data: kbuf | null,
) => number;

function intel_vgpu_set_intx_mask(
  _vgpu: intel_vgpu,
  _index: number,
  _start: number,
  _count: number,
  _flags: number,
  _data: kbuf | null,
): number {
  return 0;
}

function intel_vgpu_set_intx_unmask(
  _vgpu: intel_vgpu,
  _index: number,
  _start: number,
  _count: number,
  _flags: number,
  _data: kbuf | null,
): number {
  return 0;
}

function intel_vgpu_set_intx_trigger(
  _vgpu: intel_vgpu,
  _index: number,
  _start: number,
  _count: number,
  _flags: number,
  _data: kbuf | null,
): number {
  return 0;
}

function intel_vgpu_set_msi_trigger(
  vgpu: intel_vgpu,
  _index: number,
  _start: number,
  count: number,
  flags: number,
  data: kbuf | null,
): number {
  if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
    const fd = u32_at(data!, 0) | 0;

    const trigger = eventfd_ctx_fdget(fd);
    if (IS_ERR(trigger)) {
      gvt_vgpu_err(vgpu, "eventfd_ctx_fdget failed\n");
      return PTR_ERR(trigger);
    }
    vgpu.msi_trigger = trigger;
  } else if (flags & VFIO_IRQ_SET_DATA_NONE && !count) intel_vgpu_release_msi_eventfd_ctx(vgpu);

  return 0;
}

function intel_vgpu_set_irqs(
  vgpu: intel_vgpu,
  flags: number,
  index: number,
  start: number,
  count: number,
  data: kbuf | null,
): number {
  let func: set_irq | null = null;

  switch (index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_MASK:
          func = intel_vgpu_set_intx_mask;
          break;
        case VFIO_IRQ_SET_ACTION_UNMASK:
          func = intel_vgpu_set_intx_unmask;
          break;
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = intel_vgpu_set_intx_trigger;
          break;
      }
      break;
    case VFIO_PCI_MSI_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_MASK:
        case VFIO_IRQ_SET_ACTION_UNMASK:
          break;
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          func = intel_vgpu_set_msi_trigger;
          break;
      }
      break;
  }

  if (!func) return -ENOTTY;

  return func(vgpu, index, start, count, flags, data);
}

function* intel_vgpu_get_region_info(vgpu: intel_vgpu, arg: bigint): Sleeps<number> {
  const gvt = vgpu.gvt!;
  const info = new vfio_region_info();
  const caps = initialise(new vfio_info_cap(), { buf: null, size: 0 });
  let sparse: vfio_region_info_cap_sparse_mmap | null = null;
  let sparse_mem: kbuf | null = null;
  const nr_areas = 1;
  let ret: number;

  const minsz = offsetofend(vfio_region_info, "offset");

  if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

  if (info.argsz < minsz) return -EINVAL;

  switch (info.index) {
    case VFIO_PCI_CONFIG_REGION_INDEX:
      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.size = BigInt(gvt.device_info.cfg_space_size);
      info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      break;
    case VFIO_PCI_BAR0_REGION_INDEX:
      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.size = BigInt(vgpu.cfg_space.bar.at(info.index).size);
      if (!info.size) {
        info.flags = 0;
        break;
      }

      info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      break;
    case VFIO_PCI_BAR1_REGION_INDEX:
      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.size = 0n;
      info.flags = 0;
      break;
    case VFIO_PCI_BAR2_REGION_INDEX: {
      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.flags =
        VFIO_REGION_INFO_FLAG_CAPS |
        VFIO_REGION_INFO_FLAG_MMAP |
        VFIO_REGION_INFO_FLAG_READ |
        VFIO_REGION_INFO_FLAG_WRITE;
      info.size = BigInt(gvt_aperture_sz(gvt));

      const header = sizeof(vfio_region_info_cap_sparse_mmap);
      const size = struct_size(vfio_region_info_cap_sparse_mmap, nr_areas, sizeof(vfio_region_sparse_mmap_area));
      sparse_mem = kzalloc(size, GFP_KERNEL);
      if (!sparse_mem) return -ENOMEM;

      sparse = cast_to(vfio_region_info_cap_sparse_mmap, sparse_mem, 0);
      sparse.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
      sparse.header.version = 1;
      sparse.nr_areas = nr_areas;
      const area = cast_to(vfio_region_sparse_mmap_area, sparse_mem, header);
      area.offset = BigInt(PAGE_ALIGN(vgpu_aperture_offset(vgpu)));
      area.size = BigInt(vgpu_aperture_sz(vgpu));
      break;
    }

    case VFIO_PCI_BAR3_REGION_INDEX:
    case VFIO_PCI_BAR4_REGION_INDEX:
    case VFIO_PCI_BAR5_REGION_INDEX:
      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.size = 0n;
      info.flags = 0;

      gvt_dbg_core("get region info bar:%d\n", info.index);
      break;

    case VFIO_PCI_ROM_REGION_INDEX:
    case VFIO_PCI_VGA_REGION_INDEX:
      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.size = 0n;
      info.flags = 0;

      gvt_dbg_core("get region info index:%d\n", info.index);
      break;
    default: {
      const cap_type = new vfio_region_info_cap_type();
      cap_type.header.id = VFIO_REGION_INFO_CAP_TYPE;
      cap_type.header.version = 1;

      if (info.index >= VFIO_PCI_NUM_REGIONS + vgpu.num_regions) return -EINVAL;
      info.index = array_index_nospec(info.index, VFIO_PCI_NUM_REGIONS + vgpu.num_regions);

      const region = vgpu.region!.at(info.index - VFIO_PCI_NUM_REGIONS);

      info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
      info.size = BigInt(region.size);
      info.flags = region.flags;

      cap_type.type = region.type;
      cap_type.subtype = region.subtype;

      ret = vfio_info_add_capability(caps, cap_type.header, sizeof(cap_type));
      if (ret) return ret;
    }
  }

  if (info.flags & VFIO_REGION_INFO_FLAG_CAPS && sparse) {
    ret = vfio_info_add_capability(
      caps,
      cast_to(vfio_info_cap_header, sparse_mem!, 0),
      struct_size(vfio_region_info_cap_sparse_mmap, sparse.nr_areas, sizeof(vfio_region_sparse_mmap_area)),
    );
    if (ret) {
      kfree(sparse_mem);
      return ret;
    }
  }

  if (caps.size) {
    info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
    if (info.argsz < sizeof(info) + caps.size) {
      info.argsz = sizeof(info) + caps.size;
      info.cap_offset = 0;
    } else {
      vfio_info_cap_shift(caps, sizeof(info));
      if (yield* copy_to_user(arg + BigInt(sizeof(info)), caps.buf, caps.size)) {
        kfree(caps.buf);
        kfree(sparse_mem);
        return -EFAULT;
      }
      info.cap_offset = sizeof(info);
    }

    kfree(caps.buf);
  }

  kfree(sparse_mem);
  return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
}

function* intel_vgpu_ioctl(vfio_dev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);

  gvt_dbg_core("vgpu%d ioctl, cmd: %d\n", vgpu.id, cmd);

  if (cmd === VFIO_DEVICE_GET_INFO) {
    const info = new vfio_device_info();

    const minsz = offsetofend(vfio_device_info, "num_irqs");

    if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

    if (info.argsz < minsz) return -EINVAL;

    info.flags = VFIO_DEVICE_FLAGS_PCI;
    info.flags |= VFIO_DEVICE_FLAGS_RESET;
    info.num_regions = VFIO_PCI_NUM_REGIONS + vgpu.num_regions;
    info.num_irqs = VFIO_PCI_NUM_IRQS;

    return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
  } else if (cmd === VFIO_DEVICE_GET_REGION_INFO) {
    return yield* intel_vgpu_get_region_info(vgpu, arg);
  } else if (cmd === VFIO_DEVICE_GET_IRQ_INFO) {
    const info = new vfio_irq_info();

    const minsz = offsetofend(vfio_irq_info, "count");

    if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

    if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS) return -EINVAL;

    switch (info.index) {
      case VFIO_PCI_INTX_IRQ_INDEX:
      case VFIO_PCI_MSI_IRQ_INDEX:
        break;
      default:
        return -EINVAL;
    }

    info.flags = VFIO_IRQ_INFO_EVENTFD;

    info.count = intel_vgpu_get_irq_count(vgpu, info.index);

    if (info.index === VFIO_PCI_INTX_IRQ_INDEX) info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
    else info.flags |= VFIO_IRQ_INFO_NORESIZE;

    return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
  } else if (cmd === VFIO_DEVICE_SET_IRQS) {
    const hdr = new vfio_irq_set();
    let data: kbuf | null = null;
    const data_size = { value: 0 };

    const minsz = offsetofend(vfio_irq_set, "count");

    if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

    if (!(hdr.flags & VFIO_IRQ_SET_DATA_NONE)) {
      const max = intel_vgpu_get_irq_count(vgpu, hdr.index);

      const bad = vfio_set_irqs_validate_and_prepare(hdr, max, VFIO_PCI_NUM_IRQS, data_size);
      if (bad) {
        gvt_vgpu_err(vgpu, "intel:vfio_set_irqs_validate_and_prepare failed\n");
        return -EINVAL;
      }
      if (data_size.value) {
        data = yield* memdup_user(arg + BigInt(minsz), data_size.value);
        if (IS_ERR(data)) return PTR_ERR(data);
      }
    }

    const ret = intel_vgpu_set_irqs(vgpu, hdr.flags, hdr.index, hdr.start, hdr.count, data);
    kfree(data);

    return ret;
  } else if (cmd === VFIO_DEVICE_RESET) {
    yield* intel_gvt_reset_vgpu(vgpu);
    return 0;
  } else if (cmd === VFIO_DEVICE_QUERY_GFX_PLANE || cmd === VFIO_DEVICE_GET_GFX_DMABUF) {
    gvt_vgpu_err(vgpu, "planes are not there yet\n");
    return -ENOTTY;
  }

  return -ENOTTY;
}

function vgpu_id_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const vgpu = dev_get_drvdata<intel_vgpu>(dev);

  return sysfs_emit(buf, "%d\n", vgpu!.id);
}
const dev_attr_vgpu_id = DEVICE_ATTR_RO("vgpu_id", vgpu_id_show);

const intel_vgpu_group: attribute_group = { name: "intel_vgpu", attrs: [dev_attr_vgpu_id.attr] };

const intel_vgpu_groups: attribute_groups = [intel_vgpu_group];

function* intel_vgpu_init_dev(vfio_dev: vfio_device): Sleeps<number> {
  const mdev = to_mdev_device(vfio_dev.dev);
  const vgpu = vfio_dev_to_vgpu(vfio_dev);
  const type = container_of(mdev.type, intel_vgpu_type, "type");

  vgpu.gvt = kdev_to_i915(mdev.type!.parent!.dev!)!.gvt;
  return yield* intel_gvt_create_vgpu(vgpu, type.conf!);
}

function* intel_vgpu_release_dev(vfio_dev: vfio_device): Sleeps {
  const vgpu = vfio_dev_to_vgpu(vfio_dev);

  yield* intel_gvt_destroy_vgpu(vgpu);
  vfio_free_device(vfio_dev);
}

const intel_vgpu_dev_ops: vfio_device_ops = {
  init: intel_vgpu_init_dev,
  release: intel_vgpu_release_dev,
  open_device: intel_vgpu_open_device,
  close_device: intel_vgpu_close_device,
  read: intel_vgpu_read,
  write: intel_vgpu_write,
  ioctl: intel_vgpu_ioctl,
  dma_unmap: intel_vgpu_dma_unmap,
};

function* intel_vgpu_probe(mdev: mdev_device): Sleeps<number> {
  const vgpu = yield* vfio_alloc_device(intel_vgpu, "vfio_device", mdev.dev, intel_vgpu_dev_ops);
  if (IS_ERR(vgpu)) {
    gvt_err("failed to create intel vgpu: %ld\n", PTR_ERR(vgpu));
    return PTR_ERR(vgpu);
  }

  dev_set_drvdata(mdev.dev, vgpu);
  const ret = yield* vfio_register_emulated_iommu_dev(vgpu.vfio_device);
  out_put_vdev: {
    if (ret) break out_put_vdev;

    gvt_dbg_core("intel_vgpu_create succeeded for mdev: %s\n", dev_name(mdev_dev(mdev)));
    return 0;
  }
  yield* vfio_put_device(vgpu.vfio_device);
  return ret;
}

function* intel_vgpu_remove(mdev: mdev_device): Sleeps {
  const vgpu = dev_get_drvdata<intel_vgpu>(mdev.dev)!;

  if (WARN_ON_ONCE(vgpu.attached)) return;

  yield* vfio_unregister_group_dev(vgpu.vfio_device);
  yield* vfio_put_device(vgpu.vfio_device);
}

function* intel_vgpu_get_available(mtype: mdev_type): Sleeps<number> {
  const { conf } = container_of(mtype, intel_vgpu_type, "type");
  const gvt = kdev_to_i915(mtype.parent!.dev!)!.gvt!;

  yield* mutex_lock(gvt.lock);
  const low_gm_avail = gvt_aperture_sz(gvt) - HOST_LOW_GM_SIZE - gvt.gm.vgpu_allocated_low_gm_size;
  const high_gm_avail = gvt_hidden_sz(gvt) - HOST_HIGH_GM_SIZE - gvt.gm.vgpu_allocated_high_gm_size;
  const fence_avail = gvt_fence_sz(gvt) - HOST_FENCE - gvt.fence.vgpu_allocated_fence_num;
  mutex_unlock(gvt.lock);

  return Math.min(
    Math.floor(low_gm_avail / conf!.low_mm),
    Math.floor(high_gm_avail / conf!.high_mm),
    Math.floor(fence_avail / conf!.fence),
  );
}

const s = per_boot(() => ({
  intel_vgpu_mdev_driver: initialise(new mdev_driver(), {
    device_api: VFIO_DEVICE_API_PCI_STRING,
    driver: {
      name: "intel_vgpu_mdev",
      owner: THIS_MODULE,
      dev_groups: intel_vgpu_groups,
    },
    probe: intel_vgpu_probe,
    remove: intel_vgpu_remove,
    get_available: intel_vgpu_get_available,
    show_description: intel_vgpu_show_description,
  }),
}));

/** Tracks writes of the guest to a page. The slots cannot change meanwhile, as SRCU sees to in C. @return 0, -ESRCH or -EINVAL. */
export function* intel_gvt_page_track_add(info: intel_vgpu, gfn: bigint): Spins<number> {
  if (!info.attached) return -ESRCH;

  const kvm = info.vfio_device.kvm!;
  const slot = gfn_to_memslot(kvm, gfn);
  if (!slot) return -EINVAL;

  yield* spin_lock(kvm.mmu_lock);

  out: {
    if (kvmgt_gfn_is_write_protected(info, gfn)) break out;

    kvm_slot_page_track_add_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
    kvmgt_protect_table_add(info, gfn);
  }
  spin_unlock(kvm.mmu_lock);
  return 0;
}

/** No more. @return 0 or -EINVAL */
export function* intel_gvt_page_track_remove(info: intel_vgpu, gfn: bigint): Spins<number> {
  if (!info.attached) return 0;

  const kvm = info.vfio_device.kvm!;
  const slot = gfn_to_memslot(kvm, gfn);
  if (!slot) return -EINVAL;

  yield* spin_lock(kvm.mmu_lock);

  out: {
    if (!kvmgt_gfn_is_write_protected(info, gfn)) break out;

    kvm_slot_page_track_remove_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
    kvmgt_protect_table_del(info, gfn);
  }
  spin_unlock(kvm.mmu_lock);
  return 0;
}

function* kvmgt_page_track_write(
  _vcpu: kvm_vcpu,
  gpa: bigint,
  _val: Uint8Array,
  _len: number,
  node: kvm_page_track_notifier_node,
): Spins {
  const info = container_of(node, intel_vgpu, "track_node");

  if (kvmgt_gfn_is_write_protected(info, gpa_to_gfn(gpa)))
    gvt_vgpu_err(info, "writes to page tables (0x%llx) are not followed here\n", gpa);
}

function* kvmgt_page_track_flush_slot(kvm: kvm, slot: kvm_memory_slot, node: kvm_page_track_notifier_node): Spins {
  const info = container_of(node, intel_vgpu, "track_node");

  yield* spin_lock(kvm.mmu_lock);
  for (let i = 0n; i < slot.npages; i++) {
    const gfn = slot.base_gfn + i;
    if (kvmgt_gfn_is_write_protected(info, gfn)) {
      kvm_slot_page_track_remove_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
      kvmgt_protect_table_del(info, gfn);
    }
  }
  spin_unlock(kvm.mmu_lock);
}

export function intel_vgpu_detach_regions(vgpu: intel_vgpu): void {
  if (!vgpu.region) return;

  for (let i = 0; i < vgpu.num_regions; i++) {
    const region = vgpu.region.at(i);
    region.ops!.release(vgpu, region);
  }
  vgpu.num_regions = 0;
  kfree(vgpu.region);
  vgpu.region = null;
}

/** Pins and maps pages of the guest, or counts them once more. @size: bytes. @return 0 or errno. May sleep. */
export function* intel_gvt_dma_map_guest_page(
  vgpu: intel_vgpu,
  gfn: bigint,
  size: number,
  dma_addr: out<bigint>,
): Sleeps<number> {
  let ret: number;

  if (!vgpu.attached) return -EINVAL;

  yield* mutex_lock(vgpu.cache_lock);

  err_unlock: {
    err_unmap: {
      const entry = __gvt_cache_find_gfn(vgpu, gfn);
      if (!entry) {
        ret = yield* gvt_dma_map_page(vgpu, gfn, dma_addr, size);
        if (ret) break err_unlock;

        ret = __gvt_cache_add(vgpu, gfn, dma_addr.value, size);
        if (ret) break err_unmap;
      } else if (entry.size !== size) {
        // The same page with another size
        yield* gvt_dma_unmap_page(vgpu, gfn, entry.dma_addr, entry.size);
        __gvt_cache_remove_entry(vgpu, entry);

        ret = yield* gvt_dma_map_page(vgpu, gfn, dma_addr, size);
        if (ret) break err_unlock;

        ret = __gvt_cache_add(vgpu, gfn, dma_addr.value, size);
        if (ret) break err_unmap;
      } else {
        kref_get(entry.ref);
        dma_addr.value = entry.dma_addr;
      }

      mutex_unlock(vgpu.cache_lock);
      return 0;
    }
    yield* gvt_dma_unmap_page(vgpu, gfn, dma_addr.value, size);
  }
  mutex_unlock(vgpu.cache_lock);
  return ret;
}

/** Counts what is mapped at an address once more. @return 0, -ENODEV, or -ENOMEM if nothing is. May sleep. */
export function* intel_gvt_dma_pin_guest_page(vgpu: intel_vgpu, dma_addr: bigint): Sleeps<number> {
  let ret = 0;

  if (!vgpu.attached) return -ENODEV;

  yield* mutex_lock(vgpu.cache_lock);
  const entry = __gvt_cache_find_dma_addr(vgpu, dma_addr);
  if (entry) kref_get(entry.ref);
  else ret = -ENOMEM;
  mutex_unlock(vgpu.cache_lock);

  return ret;
}

function* __gvt_dma_release(ref: kref): Sleeps {
  const entry = container_of(ref, gvt_dma, "ref");

  yield* gvt_dma_unmap_page(entry.vgpu!, entry.gfn, entry.dma_addr, entry.size);
  __gvt_cache_remove_entry(entry.vgpu!, entry);
}

/** Drops a count; the last one unmaps and unpins. May sleep. */
export function* intel_gvt_dma_unmap_guest_page(vgpu: intel_vgpu, dma_addr: bigint): Sleeps {
  if (!vgpu.attached) return;

  yield* mutex_lock(vgpu.cache_lock);
  const entry = __gvt_cache_find_dma_addr(vgpu, dma_addr);
  if (entry) yield* kref_put(entry.ref, __gvt_dma_release);
  mutex_unlock(vgpu.cache_lock);
}

function init_device_info(gvt: intel_gvt): void {
  const info = gvt.device_info;

  info.max_support_vgpus = 8;
  info.cfg_space_size = PCI_CFG_SPACE_EXP_SIZE;
  info.mmio_size = 2 * 1024 * 1024;
  info.mmio_bar = 0;
  info.gtt_start_offset = 8 * 1024 * 1024;
  info.gtt_entry_size = 8;
  info.gtt_entry_size_shift = 3;
  info.gmadr_bytes_in_cmd = 8;
  info.max_surface_size = 36 * 1024 * 1024;
  info.msi_cap_offset = BigInt(to_pci_dev(gvt.gt!.i915!.drm.dev!).msi_cap);
}

/* Vertical blanks and scheduling are asked for by guests, of which there are none. */
function* gvt_service_thread(gvt: intel_gvt): Sleeps<number> {
  gvt_dbg_core("service thread start\n");

  while (!kthread_should_stop()) {
    const ret = yield* wait_event_interruptible(
      gvt.service_thread_wq,
      () => kthread_should_stop() || gvt.service_request !== 0n,
    );

    if (kthread_should_stop()) break;

    if (WARN_ONCE(ret !== 0, "service thread is waken up by signal.\n")) continue;
  }

  return 0;
}

function* clean_service_thread(gvt: intel_gvt): Sleeps {
  yield* kthread_stop(gvt.service_thread!);
}

function init_service_thread(gvt: intel_gvt): number {
  init_waitqueue_head(gvt.service_thread_wq, "&gvt->service_thread_wq");

  gvt.service_thread = kthread_run(gvt_service_thread, gvt, "gvt_service_thread");
  if (IS_ERR(gvt.service_thread)) {
    gvt_err("fail to start service thread.\n");
    return PTR_ERR(gvt.service_thread);
  }
  return 0;
}

/* The GVT device goes. Its memory stays: what is freed has been set to NULL by then. */
function* intel_gvt_clean_device(i915: drm_i915_private): Sleeps {
  const gvt = i915.gvt;
  i915.gvt = null;

  if (WARN_ON(!gvt)) return;

  yield* mdev_unregister_parent(gvt!.parent);
  yield* intel_gvt_destroy_idle_vgpu(gvt!.idle_vgpu!);
  intel_gvt_clean_vgpu_types(gvt!);

  intel_gvt_debugfs_clean(gvt!);
  yield* clean_service_thread(gvt!);
  yield* intel_gvt_clean_sched_policy(gvt!);
  yield* intel_gvt_clean_workload_scheduler(gvt!);
  intel_gvt_clean_gtt(gvt!);
  yield* intel_gvt_free_firmware(gvt!);
  intel_gvt_clean_mmio_info(gvt!);
  idr_destroy(gvt!.vgpu_idr);

  kfree(i915.gvt);
}

/* @return 0 or errno. The command parser, interrupts and engine contexts, which C sets up as well, are left out. */
function* intel_gvt_init_device(i915: drm_i915_private): Sleeps<number> {
  if (WARN_ON(i915.gvt !== null)) return -EEXIST;

  const gvt = kzalloc(intel_gvt, GFP_KERNEL);
  if (!gvt) return -ENOMEM;

  gvt_dbg_core("init gvt device\n");

  idr_init_base(gvt.vgpu_idr, 1);
  spin_lock_init(gvt.scheduler.mmio_context_lock, "&gvt->scheduler.mmio_context_lock");
  mutex_init(gvt.lock, "&gvt->lock");
  mutex_init(gvt.sched_lock, "&gvt->sched_lock");
  gvt.gt = to_gt(i915);
  i915.gvt = gvt;

  init_device_info(gvt);

  let ret: number;
  out_clean_idr: {
    ret = intel_gvt_setup_mmio_info(gvt);
    if (ret) break out_clean_idr;

    out_clean_mmio_info: {
      ret = yield* intel_gvt_load_firmware(gvt);
      if (ret) break out_clean_mmio_info;

      out_free_firmware: {
        ret = intel_gvt_init_gtt(gvt);
        if (ret) break out_free_firmware;

        out_clean_gtt: {
          ret = yield* intel_gvt_init_workload_scheduler(gvt);
          if (ret) break out_clean_gtt;

          out_clean_workload_scheduler: {
            ret = yield* intel_gvt_init_sched_policy(gvt);
            if (ret) break out_clean_workload_scheduler;

            out_clean_cmd_parser: {
              ret = init_service_thread(gvt);
              if (ret) break out_clean_cmd_parser;

              out_clean_thread: {
                ret = intel_gvt_init_vgpu_types(gvt);
                if (ret) break out_clean_thread;

                out_clean_types: {
                  const vgpu = yield* intel_gvt_create_idle_vgpu(gvt);
                  if (IS_ERR(vgpu)) {
                    ret = PTR_ERR(vgpu);
                    gvt_err("failed to create idle vgpu\n");
                    break out_clean_types;
                  }
                  gvt.idle_vgpu = vgpu;

                  intel_gvt_debugfs_init(gvt);

                  out_destroy_idle_vgpu: {
                    ret = yield* mdev_register_parent(
                      gvt.parent,
                      i915.drm.dev!,
                      s.intel_vgpu_mdev_driver,
                      gvt.mdev_types!,
                      gvt.num_types,
                    );
                    if (ret) break out_destroy_idle_vgpu;

                    gvt_dbg_core("gvt device initialization is done\n");
                    return 0;
                  }
                  yield* intel_gvt_destroy_idle_vgpu(gvt.idle_vgpu);
                  intel_gvt_debugfs_clean(gvt);
                }
                intel_gvt_clean_vgpu_types(gvt);
              }
              yield* clean_service_thread(gvt);
            }
            yield* intel_gvt_clean_sched_policy(gvt);
          }
          yield* intel_gvt_clean_workload_scheduler(gvt);
        }
        intel_gvt_clean_gtt(gvt);
      }
      yield* intel_gvt_free_firmware(gvt);
    }
    intel_gvt_clean_mmio_info(gvt);
  }
  idr_destroy(gvt.vgpu_idr);
  kfree(gvt);
  i915.gvt = null;
  return ret;
}

const intel_gvt_vgpu_ops: intel_vgpu_ops = {
  init_device: intel_gvt_init_device,
  clean_device: intel_gvt_clean_device,
};

function* kvmgt_init(): Sleeps<number> {
  let ret = yield* intel_gvt_set_ops(intel_gvt_vgpu_ops);
  if (ret) return ret;

  ret = yield* mdev_register_driver(s.intel_vgpu_mdev_driver);
  if (ret) yield* intel_gvt_clear_ops(intel_gvt_vgpu_ops);
  return ret;
}

function* kvmgt_exit(): Sleeps {
  yield* mdev_unregister_driver(s.intel_vgpu_mdev_driver);
  yield* intel_gvt_clear_ops(intel_gvt_vgpu_ops);
}

module_init(kvmgt_init);
module_exit(kvmgt_exit);

MODULE_LICENSE("GPL and additional rights");
