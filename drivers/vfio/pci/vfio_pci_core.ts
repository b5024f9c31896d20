// SPDX-License-Identifier: GPL-2.0-only
/** What all drivers that give PCI devices to user space have in common. */
import { aperture_remove_conflicting_pci_devices } from "#linux/aperture.ts";
import { hweight8 } from "#linux/bitops.ts";
import { WARN_ON } from "#linux/bug.ts";
import {
  BUS_NOTIFY_ADD_DEVICE,
  BUS_NOTIFY_BOUND_DRIVER,
  bus_register_notifier,
  bus_unregister_notifier,
  dev_get_drvdata,
  type device,
  device_lock_assert,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import {
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  EIO,
  ENODEV,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  EPERM,
} from "#linux/errno.ts";
import { type eventfd_ctx, eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import { kbuild } from "#linux/export.ts";
import { fget, fput } from "#linux/file.ts";
import type { file, loff_ptr } from "#linux/fs.ts";
import { iommu_group_get, iommu_group_id, iommu_group_put } from "#linux/iommu.ts";
import {
  IORESOURCE_MEM,
  IORESOURCE_ROM_SHADOW,
  release_resource,
  request_resource,
  resource,
  resource_size,
} from "#linux/ioport.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD,
  list_add,
  list_add_tail,
  list_del,
  list_del_init,
  list_empty,
  list_first_entry,
  list_for_each_entry,
  list_for_each_entry_continue_reverse,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import {
  mmap_read_lock,
  mmap_read_trylock,
  mmap_read_unlock,
  mmget_not_zero,
  mmput,
  io_remap_pfn_range,
  PAGE_ALIGN,
  PAGE_MASK,
  PAGE_SHIFT,
  PAGE_SIZE,
  pgprot_noncached,
  type vm_area_struct,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  type vm_fault,
  VM_FAULT_NOPAGE,
  VM_FAULT_OOM,
  VM_FAULT_SIGBUS,
  type vm_fault_t,
  VM_IO,
  type vm_operations_struct,
  VM_PFNMAP,
  VM_SHARED,
  zap_vma_ptes,
} from "#linux/mm.ts";
import { mutex, mutex_destroy, mutex_init, mutex_lock, mutex_trylock, mutex_unlock } from "#linux/mutex.ts";
import { array_index_nospec } from "#linux/nospec.ts";
import type { notifier_block } from "#linux/notifier.ts";
import {
  __pci_reset_function_locked,
  pci_bus_max_busnr,
  pci_bus_type,
  type pci_channel_state_t,
  PCI_CLASS_DISPLAY_VGA,
  pci_clear_master,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_MEMORY,
  PCI_D0,
  PCI_D3hot,
  pci_dbg,
  type pci_dev,
  pci_dev_driver,
  pci_dev_put,
  pci_dev_trylock,
  pci_dev_unlock,
  pci_disable_device,
  pci_disable_sriov,
  pci_domain_nr,
  pci_enable_device,
  pci_enable_sriov,
  PCI_ERS_RESULT_CAN_RECOVER,
  type pci_ers_result_t,
  type pci_error_handlers,
  pci_get_class,
  PCI_HEADER_TYPE_NORMAL,
  pci_info,
  pci_info_ratelimited,
  pci_iomap,
  pci_iounmap,
  pci_map_rom,
  PCI_INTERRUPT_PIN,
  pci_intx,
  pci_intx_mask_supported,
  pci_is_pcie,
  pci_is_root_bus,
  pci_load_and_free_saved_state,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_QMASK,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_QSIZE,
  PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR,
  PCI_MSIX_TABLE_OFFSET,
  pci_name,
  pci_notice_ratelimited,
  pci_num_vf,
  pci_physfn,
  PCI_PM_CTRL,
  PCI_PM_CTRL_NO_SOFT_RESET,
  type pci_power_t,
  pci_probe_reset_bus,
  pci_probe_reset_slot,
  pci_read_config_dword,
  pci_read_config_word,
  pci_reset_bus,
  pci_release_selected_regions,
  pci_request_selected_regions,
  pci_resource_len,
  pci_resource_start,
  pci_restore_state,
  PCI_ROM_RESOURCE,
  pci_save_state,
  pci_set_power_state,
  type pci_slot,
  PCI_STD_NUM_BARS,
  PCI_STD_RESOURCES,
  pci_store_saved_state,
  pci_try_reset_function,
  pci_unmap_rom,
  PCI_VENDOR_ID_INTEL,
  pci_walk_bus,
  pci_warn,
  pci_write_config_word,
  to_pci_dev,
} from "#linux/pci.ts";
import type { dev_pm_ops } from "#linux/pm.ts";
import {
  pm_runtime_allow,
  pm_runtime_forbid,
  pm_runtime_get_noresume,
  pm_runtime_put,
  pm_runtime_put_noidle,
  pm_runtime_resume,
  pm_runtime_resume_and_get,
} from "#linux/pm_runtime.ts";
import { down_read, down_write, down_write_trylock, init_rwsem, up_read, up_write } from "#linux/rwsem.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, GFP_KERNEL_ACCOUNT, kasprintf, kcalloc, kfree, kmalloc, krealloc, kzalloc } from "#linux/slab.ts";
import { spin_lock_init } from "#linux/spinlock.ts";
import { byte_at, memdup_user, u32_at } from "#linux/string.ts";
import {
  cast_to,
  container_of,
  embed,
  int,
  initialise,
  kbuf,
  member_of,
  offsetofend,
  ptr,
  sizeof,
  type Sleeps,
  struct,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import { uuid_copy, uuid_equal, uuid_gen, uuid_parse, UUID_SIZE, UUID_STRING_LEN, uuid_t } from "#linux/uuid.ts";
import {
  VGA_RSRC_LEGACY_IO,
  VGA_RSRC_LEGACY_MEM,
  VGA_RSRC_NORMAL_IO,
  VGA_RSRC_NORMAL_MEM,
  vga_client_register,
  vga_client_unregister,
  vga_set_legacy_decoding,
} from "#linux/vgaarb.ts";
import {
  vfio_assign_device_set,
  vfio_check_feature,
  vfio_device,
  type vfio_device_set,
  vfio_device_set_open_count,
  vfio_file_has_dev,
  vfio_file_is_group,
  vfio_free_device,
  vfio_info_add_capability,
  vfio_info_cap,
  vfio_info_cap_shift,
  vfio_register_group_dev,
  vfio_set_irqs_validate_and_prepare,
  vfio_virqfd_disable,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import {
  vfio_pci_core_device,
  VFIO_PCI_INDEX_TO_OFFSET,
  VFIO_PCI_OFFSET_SHIFT,
  VFIO_PCI_OFFSET_TO_INDEX,
  vfio_pci_region,
  type vfio_pci_regops,
} from "#linux/vfio_pci_core.ts";
import {
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_DEVICE_FLAGS_CAPS,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  vfio_device_info,
  vfio_device_ioeventfd,
  VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_IOEVENTFD_SIZE_MASK,
  vfio_device_low_power_entry_with_wakeup,
  VFIO_DEVICE_PCI_HOT_RESET,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_iommu_type1_info,
  vfio_irq_info,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  vfio_irq_set,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_BAR1_REGION_INDEX,
  VFIO_PCI_BAR2_REGION_INDEX,
  VFIO_PCI_BAR3_REGION_INDEX,
  VFIO_PCI_BAR4_REGION_INDEX,
  VFIO_PCI_BAR5_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  vfio_pci_dependent_device,
  VFIO_PCI_ERR_IRQ_INDEX,
  vfio_pci_hot_reset,
  vfio_pci_hot_reset_info,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_REQ_IRQ_INDEX,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_MIGRATION_STOP_COPY,
  VFIO_PCI_VGA_REGION_INDEX,
  vfio_region_info,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_CAP_TYPE,
  vfio_region_info_cap_type,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_info_cap_header,
} from "#uapi/linux/vfio.ts";
import {
  __vfio_pci_memory_enabled,
  vfio_config_free,
  vfio_config_init,
  vfio_pci_config_rw,
  vfio_pci_init_perm_bits,
  vfio_pci_uninit_perm_bits,
} from "./vfio_pci_config.ts";
import { vfio_pci_intx_mask, vfio_pci_intx_unmask, vfio_pci_set_irqs_ioctl } from "./vfio_pci_intrs.ts";
import {
  vfio_pci_info_zdev_add_caps,
  vfio_pci_ioeventfd as vfio_pci_ioeventfd_struct,
  vfio_pci_is_vga,
  vfio_pci_zdev_close_device,
  vfio_pci_zdev_open_device,
} from "./vfio_pci_priv.ts";
import { vfio_pci_bar_rw, vfio_pci_ioeventfd, vfio_pci_vga_rw } from "./vfio_pci_rdwr.ts";

const { per_boot, module_init, module_exit, EXPORT_SYMBOL_GPL, MODULE_LICENSE } = kbuild(import.meta.url);

const s = per_boot(() => {
  const made = {
    nointxmask: false,
    disable_vga: false,
    disable_idle_d3: false,
    /** Physical functions that vfio_pci_core_sriov_configure() was called for. */
    vfio_pci_sriov_pfs_mutex: new mutex(),
    vfio_pci_sriov_pfs: LIST_HEAD(),
  };
  mutex_init(made.vfio_pci_sriov_pfs_mutex, "vfio_pci_sriov_pfs_mutex");
  return made;
});

class vfio_pci_dummy_resource extends struct("vfio_pci_dummy_resource", {
  resource: embed(() => resource),
  index: int(),
  res_next: embed(() => list_head),
}) {}

export class vfio_pci_vf_token extends struct("vfio_pci_vf_token", {
  lock: embed(() => mutex),
  uuid: embed(() => uuid_t),
  users: int(),
}) {}

class vfio_pci_mmap_vma extends struct("vfio_pci_mmap_vma", {
  vma: ptr<vm_area_struct>(),
  vma_next: embed(() => list_head),
}) {}

function vfio_vga_disabled(): boolean {
  return s.disable_vga;
}

/**
 * What a device decodes: as we know nothing of it, all; but behind a bridge, with no other VGA device there, not the legacy
 * addresses, to which no user gets then.
 */
function* vfio_pci_set_decode(pdev: pci_dev, single_vga: boolean): Sleeps<number> {
  let tmp: pci_dev | null = null;

  if (single_vga || !vfio_vga_disabled() || pci_is_root_bus(pdev.bus!))
    return VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM | VGA_RSRC_LEGACY_IO | VGA_RSRC_LEGACY_MEM;

  const max_busnr = pci_bus_max_busnr(pdev.bus!);
  let decodes = VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM;

  while ((tmp = yield* pci_get_class(PCI_CLASS_DISPLAY_VGA << 8, tmp)) !== null) {
    if (tmp === pdev || pci_domain_nr(tmp.bus!) !== pci_domain_nr(pdev.bus!) || pci_is_root_bus(tmp.bus!)) continue;

    if (tmp.bus!.number >= pdev.bus!.number && tmp.bus!.number <= max_busnr) {
      yield* pci_dev_put(tmp);
      decodes |= VGA_RSRC_LEGACY_IO | VGA_RSRC_LEGACY_MEM;
      break;
    }
  }

  return decodes;
}

function* vfio_pci_probe_mmaps(vdev: vfio_pci_core_device): Sleeps {
  for (let i = 0; i < PCI_STD_NUM_BARS; i++) {
    const bar = i + PCI_STD_RESOURCES;

    const res = vdev.pdev!.resource.at(bar);

    no_mmap: {
      if (!(res.flags & IORESOURCE_MEM)) break no_mmap;

      // A type but no size would be a mistake of the bus.
      if (!resource_size(res)) break no_mmap;

      if (resource_size(res) >= BigInt(PAGE_SIZE)) {
        vdev.bar_mmap_supported.set(bar, true);
        continue;
      }

      if (!(res.start & BigInt(~PAGE_MASK))) {
        // The rest of the page must not become that of a device which is plugged in later.
        const dummy_res = kzalloc(vfio_pci_dummy_resource, GFP_KERNEL_ACCOUNT);
        if (dummy_res === null) break no_mmap;

        dummy_res.resource.name = "vfio sub-page reserved";
        dummy_res.resource.start = res.end + 1n;
        dummy_res.resource.end = res.start + BigInt(PAGE_SIZE) - 1n;
        dummy_res.resource.flags = res.flags;
        if (yield* request_resource(res.parent!, dummy_res.resource)) {
          kfree(dummy_res);
          break no_mmap;
        }
        dummy_res.index = bar;
        list_add(dummy_res.res_next, vdev.dummy_resources_list);
        vdev.bar_mmap_supported.set(bar, true);
        continue;
      }
      // Inside a page: where in the guest's page it would have to be, nobody knows.
    }
    vdev.bar_mmap_supported.set(bar, false);
  }
}

/** Devices that can be kept from raising INTx, but do not say whether they do. */
function vfio_pci_nointx(pdev: pci_dev): boolean {
  switch (pdev.vendor) {
    case PCI_VENDOR_ID_INTEL: {
      const { device } = pdev;
      return (
        // i40e
        device === 0x1572 ||
        device === 0x1574 ||
        (device >= 0x1580 && device <= 0x1581) ||
        (device >= 0x1583 && device <= 0x158b) ||
        (device >= 0x37d0 && device <= 0x37d2) ||
        // X550
        device === 0x1563
      );
    }
  }

  return false;
}

function vfio_pci_probe_power_state(vdev: vfio_pci_core_device): void {
  const pdev = vdev.pdev!;
  const pmcsr = { value: 0 };

  if (!pdev.pm_cap) return;

  pci_read_config_word(pdev, pdev.pm_cap + PCI_PM_CTRL, pmcsr);

  vdev.needs_pm_restore = !(pmcsr.value & PCI_PM_CTRL_NO_SOFT_RESET);
}

/**
 * pci_set_power_state() for devices that are reset by going from D3hot to D0: their state is kept here, apart from what the
 * bus keeps, which a reset in between would use up. @return as pci_set_power_state(), -EBUSY with virtual functions. May sleep
 */
export function* vfio_pci_set_power_state(vdev: vfio_pci_core_device, state: pci_power_t): Sleeps<number> {
  const pdev = vdev.pdev!;
  let needs_restore = false;
  let needs_save = false;

  // Virtual functions need their physical one.
  if (pci_num_vf(pdev) && state > PCI_D0) return -EBUSY;

  if (vdev.needs_pm_restore) {
    if (pdev.current_state < PCI_D3hot && state >= PCI_D3hot) {
      pci_save_state(pdev);
      needs_save = true;
    }

    if (pdev.current_state >= PCI_D3hot && state <= PCI_D0) needs_restore = true;
  }

  const ret = yield* pci_set_power_state(pdev, state);

  if (!ret) {
    // Some devices are kept out of D3.
    if (needs_save && pdev.current_state >= PCI_D3hot) {
      // There may be an older one, if the device came to D0 some other way.
      kfree(vdev.pm_save);
      vdev.pm_save = pci_store_saved_state(pdev);
    } else if (needs_restore) {
      pci_load_and_free_saved_state(pdev, new member_of(vdev, "pm_save"));
      yield* pci_restore_state(pdev);
    }
  }

  return ret;
}

function* vfio_pci_runtime_pm_entry(vdev: vfio_pci_core_device, efdctx: eventfd_ctx | null): Sleeps<number> {
  yield* vfio_pci_zap_and_down_write_memory_lock(vdev);
  if (vdev.pm_runtime_engaged) {
    up_write(vdev.memory_lock);
    return -EINVAL;
  }

  vdev.pm_runtime_engaged = true;
  vdev.pm_wake_eventfd_ctx = efdctx;
  pm_runtime_put_noidle(vdev.pdev!.dev);
  up_write(vdev.memory_lock);

  return 0;
}

function* vfio_pci_core_pm_entry(device: vfio_device, flags: number, _arg: bigint, argsz: number): Sleeps<number> {
  const vdev = container_of(device, vfio_pci_core_device, "vdev");

  const ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
  if (ret !== 1) return ret;

  // Only the count goes down here: that of the ioctl itself is the last, and then the device may sleep.
  return yield* vfio_pci_runtime_pm_entry(vdev, null);
}

function* vfio_pci_core_pm_entry_with_wakeup(
  device: vfio_device,
  flags: number,
  arg: bigint,
  argsz: number,
): Sleeps<number> {
  const vdev = container_of(device, vfio_pci_core_device, "vdev");
  const entry = new vfio_device_low_power_entry_with_wakeup();

  let ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(entry));
  if (ret !== 1) return ret;

  if (yield* copy_from_user(entry, arg, sizeof(entry))) return -EFAULT;

  if (entry.wakeup_eventfd < 0) return -EINVAL;

  const efdctx = eventfd_ctx_fdget(entry.wakeup_eventfd);
  if (IS_ERR(efdctx)) return PTR_ERR(efdctx);

  ret = yield* vfio_pci_runtime_pm_entry(vdev, efdctx);
  if (ret) eventfd_ctx_put(efdctx);

  return ret;
}

function __vfio_pci_runtime_pm_exit(vdev: vfio_pci_core_device): void {
  if (vdev.pm_runtime_engaged) {
    vdev.pm_runtime_engaged = false;
    pm_runtime_get_noresume(vdev.pdev!.dev);

    if (vdev.pm_wake_eventfd_ctx) {
      eventfd_ctx_put(vdev.pm_wake_eventfd_ctx);
      vdev.pm_wake_eventfd_ctx = null;
    }
  }
}

function* vfio_pci_runtime_pm_exit(vdev: vfio_pci_core_device): Sleeps {
  yield* down_write(vdev.memory_lock);
  __vfio_pci_runtime_pm_exit(vdev);
  up_write(vdev.memory_lock);
}

function* vfio_pci_core_pm_exit(device: vfio_device, flags: number, _arg: bigint, argsz: number): Sleeps<number> {
  const vdev = container_of(device, vfio_pci_core_device, "vdev");

  const ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
  if (ret !== 1) return ret;

  // The ioctl has woken the device, and with a wakeup eventfd that was the exit already.
  yield* vfio_pci_runtime_pm_exit(vdev);
  return 0;
}

function* vfio_pci_core_runtime_suspend(dev: device): Sleeps<number> {
  const vdev = dev_get_drvdata<vfio_pci_core_device>(dev)!;

  yield* down_write(vdev.memory_lock);
  // The user may have put it into D3hot: from there the bus's own way down would lose the state.
  yield* vfio_pci_set_power_state(vdev, PCI_D0);
  up_write(vdev.memory_lock);

  // If the user has masked it, it stays so when the device wakes up.
  vdev.pm_intx_masked = vdev.irq_type === VFIO_PCI_INTX_IRQ_INDEX && (yield* vfio_pci_intx_mask(vdev));

  return 0;
}

function* vfio_pci_core_runtime_resume(dev: device): Sleeps<number> {
  const vdev = dev_get_drvdata<vfio_pci_core_device>(dev)!;

  // Waking up is the end of low power, if the user wants to be told.
  yield* down_write(vdev.memory_lock);
  if (vdev.pm_wake_eventfd_ctx) {
    yield* eventfd_signal(vdev.pm_wake_eventfd_ctx, 1);
    __vfio_pci_runtime_pm_exit(vdev);
  }
  up_write(vdev.memory_lock);

  if (vdev.pm_intx_masked) yield* vfio_pci_intx_unmask(vdev);

  return 0;
}

/** The bus saves and restores the state around these. */
const vfio_pci_core_pm_ops: dev_pm_ops = {
  runtime_suspend: vfio_pci_core_runtime_suspend,
  runtime_resume: vfio_pci_core_runtime_resume,
};

/**
 * Gets a device ready for its first user: awake, enabled, reset, its state saved, its configuration space virtual.
 * @return 0, -EAGAIN if somebody has the device's lock, -errno. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c
 */
export function* vfio_pci_core_enable(vdev: vfio_pci_core_device): Sleeps<number> {
  const pdev = vdev.pdev!;
  const cmd = { value: 0 };
  let ret: number;

  if (!s.disable_idle_d3) {
    ret = yield* pm_runtime_resume_and_get(pdev.dev);
    if (ret < 0) return ret;
  }

  // Bus mastering does not belong to the state that is saved.
  pci_clear_master(pdev);

  out_power: {
    ret = yield* pci_enable_device(pdev);
    if (ret) break out_power;

    out_disable_device: {
      // Somebody who has the lock may be waiting for us.
      ret = yield* pci_try_reset_function(pdev);
      if (ret === -EAGAIN) break out_disable_device;

      vdev.reset_works = !ret;
      pci_save_state(pdev);
      vdev.pci_saved_state = pci_store_saved_state(pdev);
      if (!vdev.pci_saved_state) pci_dbg(pdev, "%s: Couldn't store saved state\n", "vfio_pci_core_enable");

      if (!s.nointxmask) {
        if (vfio_pci_nointx(pdev)) {
          pci_info(pdev, "Masking broken INTx support\n");
          vdev.nointx = true;
          pci_intx(pdev, false);
        } else vdev.pci_2_3 = pci_intx_mask_supported(pdev);
      }

      pci_read_config_word(pdev, PCI_COMMAND, cmd);
      if (vdev.pci_2_3 && cmd.value & PCI_COMMAND_INTX_DISABLE) {
        cmd.value &= ~PCI_COMMAND_INTX_DISABLE;
        pci_write_config_word(pdev, PCI_COMMAND, cmd.value);
      }

      out_free_state: {
        ret = vfio_pci_zdev_open_device(vdev);
        if (ret) break out_free_state;

        ret = vfio_config_init(vdev);
        if (ret) {
          vfio_pci_zdev_close_device(vdev);
          break out_free_state;
        }

        const msix_pos = pdev.msix_cap;
        if (msix_pos) {
          const flags = { value: 0 };
          const table = { value: 0 };

          pci_read_config_word(pdev, msix_pos + PCI_MSIX_FLAGS, flags);
          pci_read_config_dword(pdev, msix_pos + PCI_MSIX_TABLE, table);

          vdev.msix_bar = table.value & PCI_MSIX_TABLE_BIR;
          vdev.msix_offset = table.value & PCI_MSIX_TABLE_OFFSET;
          vdev.msix_size = ((flags.value & PCI_MSIX_FLAGS_QSIZE) + 1) * 16;
        } else vdev.msix_bar = 0xff;

        if (!vfio_vga_disabled() && vfio_pci_is_vga(pdev)) vdev.has_vga = true;

        return 0;
      }
      kfree(vdev.pci_saved_state);
      vdev.pci_saved_state = null;
    }
    pci_disable_device(pdev);
  }
  if (!s.disable_idle_d3) yield* pm_runtime_put(pdev.dev);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_enable);

/** The last user has gone. Context: the device set's lock held; may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_disable(vdev: vfio_pci_core_device): Sleeps {
  const pdev = vdev.pdev!;

  // For needs_reset
  lockdep_assert_held(vdev.vdev.dev_set!.lock);

  // It may be asleep, by the user's low power feature or by the bits of its power register.
  yield* vfio_pci_runtime_pm_exit(vdev);
  yield* pm_runtime_resume(pdev.dev);

  // The reset below needs D0, and the state that was saved before D3hot has to be there again.
  yield* vfio_pci_set_power_state(vdev, PCI_D0);

  // No more DMA
  pci_clear_master(pdev);

  yield* vfio_pci_set_irqs_ioctl(vdev, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, vdev.irq_type, 0, 0, null);

  // Nobody else is there: without the mutex
  for (const ioeventfd of list_for_each_entry_safe(vdev.ioeventfds_list, vfio_pci_ioeventfd_struct, "next")) {
    yield* vfio_virqfd_disable(new member_of(ioeventfd, "virqfd"));
    list_del(ioeventfd.next);
    kfree(ioeventfd);
  }
  vdev.ioeventfds_nr = 0;

  vdev.virq_disabled = false;

  for (let i = 0; i < vdev.num_regions; i++) yield* either(vdev.region!.at(i).ops!.release(vdev, vdev.region!.at(i)));

  vdev.num_regions = 0;
  kfree(vdev.region);
  vdev.region = null;

  vfio_config_free(vdev);

  for (let i = 0; i < PCI_STD_NUM_BARS; i++) {
    const bar = i + PCI_STD_RESOURCES;
    if (!vdev.barmap.at(bar)) continue;
    pci_iounmap(pdev, vdev.barmap.at(bar)!);
    yield* pci_release_selected_regions(pdev, 1 << bar);
    vdev.barmap.set(bar, null);
  }

  for (const dummy_res of list_for_each_entry_safe(vdev.dummy_resources_list, vfio_pci_dummy_resource, "res_next")) {
    list_del(dummy_res.res_next);
    yield* release_resource(dummy_res.resource);
    kfree(dummy_res);
  }

  vdev.needs_reset = true;

  vfio_pci_zdev_close_device(vdev);

  out: {
    // What was there before the user came; even better with a reset in between.
    if (pci_load_and_free_saved_state(pdev, new member_of(vdev, "pci_saved_state"))) {
      pci_info(pdev, "%s: Couldn't reload saved state\n", "vfio_pci_core_disable");

      if (!vdev.reset_works) break out;

      pci_save_state(pdev);
    }

    // No interrupts during the reset
    pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);

    // pci_try_reset_function() would save the state over the one just loaded.
    if (vdev.reset_works && (yield* pci_dev_trylock(pdev))) {
      if (!(yield* __pci_reset_function_locked(pdev))) vdev.needs_reset = false;
      yield* pci_dev_unlock(pdev);
    }

    yield* pci_restore_state(pdev);
  }
  pci_disable_device(pdev);

  yield* vfio_pci_dev_set_try_reset(vdev.vdev.dev_set!);

  // That of enable
  if (!s.disable_idle_d3) yield* pm_runtime_put(pdev.dev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_disable);

/** close_device() of the drivers. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_close_device(core_vdev: vfio_device): Sleeps {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");

  if (vdev.sriov_pf_core_dev) {
    yield* mutex_lock(vdev.sriov_pf_core_dev.vf_token!.lock);
    WARN_ON(!vdev.sriov_pf_core_dev.vf_token!.users);
    vdev.sriov_pf_core_dev.vf_token!.users--;
    mutex_unlock(vdev.sriov_pf_core_dev.vf_token!.lock);
  }
  yield* vfio_pci_core_disable(vdev);

  yield* mutex_lock(vdev.igate);
  if (vdev.err_trigger) {
    eventfd_ctx_put(vdev.err_trigger);
    vdev.err_trigger = null;
  }
  if (vdev.req_trigger) {
    eventfd_ctx_put(vdev.req_trigger);
    vdev.req_trigger = null;
  }
  mutex_unlock(vdev.igate);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_close_device);

/** The end of a driver's open_device(), which cannot fail. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_finish_enable(vdev: vfio_pci_core_device): Sleeps {
  yield* vfio_pci_probe_mmaps(vdev);

  if (vdev.sriov_pf_core_dev) {
    yield* mutex_lock(vdev.sriov_pf_core_dev.vf_token!.lock);
    vdev.sriov_pf_core_dev.vf_token!.users++;
    mutex_unlock(vdev.sriov_pf_core_dev.vf_token!.lock);
  }
}
EXPORT_SYMBOL_GPL(vfio_pci_core_finish_enable);

function vfio_pci_get_irq_count(vdev: vfio_pci_core_device, irq_type: number): number {
  const flags = { value: 0 };

  if (irq_type === VFIO_PCI_INTX_IRQ_INDEX) {
    return byte_at(vdev.vconfig!, PCI_INTERRUPT_PIN) ? 1 : 0;
  } else if (irq_type === VFIO_PCI_MSI_IRQ_INDEX) {
    const pos = vdev.pdev!.msi_cap;
    if (pos) {
      pci_read_config_word(vdev.pdev!, pos + PCI_MSI_FLAGS, flags);
      return 1 << ((flags.value & PCI_MSI_FLAGS_QMASK) >> 1);
    }
  } else if (irq_type === VFIO_PCI_MSIX_IRQ_INDEX) {
    const pos = vdev.pdev!.msix_cap;
    if (pos) {
      pci_read_config_word(vdev.pdev!, pos + PCI_MSIX_FLAGS, flags);

      return (flags.value & PCI_MSIX_FLAGS_QSIZE) + 1;
    }
  } else if (irq_type === VFIO_PCI_ERR_IRQ_INDEX) {
    if (pci_is_pcie(vdev.pdev!)) return 1;
  } else if (irq_type === VFIO_PCI_REQ_IRQ_INDEX) {
    return 1;
  }

  return 0;
}

function vfio_pci_count_devs(_pdev: pci_dev, data: { value: number }): number {
  data.value++;
  return 0;
}

interface vfio_pci_fill_info {
  readonly max: number;
  cur: number;
  /** Of vfio_pci_dependent_device. */
  readonly devices: kbuf;
}

function* vfio_pci_fill_devs(pdev: pci_dev, fill: vfio_pci_fill_info): Sleeps<number> {
  // One came meanwhile
  if (fill.cur === fill.max) return -EAGAIN;

  const iommu_group = iommu_group_get(pdev.dev);
  // Who is not isolated is not reset
  if (!iommu_group) return -EPERM;

  const device = cast_to(vfio_pci_dependent_device, fill.devices, fill.cur * sizeof(vfio_pci_dependent_device));
  device.group_id = iommu_group_id(iommu_group);
  device.segment = pci_domain_nr(pdev.bus!);
  device.bus = pdev.bus!.number;
  device.devfn = pdev.devfn;
  fill.cur++;
  yield* iommu_group_put(iommu_group);
  return 0;
}

interface vfio_pci_group_info {
  readonly count: number;
  readonly files: { at(i: number): file | null };
}

function vfio_pci_dev_below_slot(pdev: pci_dev | null, slot: pci_slot): boolean {
  for (; pdev; pdev = pdev.bus!.self) if (pdev.bus === slot.bus) return pdev.slot === slot;
  return false;
}

interface vfio_pci_walk_info<T> {
  readonly fn: (pdev: pci_dev, data: T) => Sleeps<number> | number;
  readonly data: T;
  readonly pdev: pci_dev;
  readonly slot: boolean;
  ret: number;
}

function* vfio_pci_walk_wrapper<T>(pdev: pci_dev, walk: vfio_pci_walk_info<T>): Sleeps<number> {
  if (!walk.slot || vfio_pci_dev_below_slot(pdev, walk.pdev.slot!)) walk.ret = yield* either(walk.fn(pdev, walk.data));

  return walk.ret;
}

function* vfio_pci_for_each_slot_or_bus<T>(
  pdev: pci_dev,
  fn: (pdev: pci_dev, data: T) => Sleeps<number> | number,
  data: T,
  slot: boolean,
): Sleeps<number> {
  const walk: vfio_pci_walk_info<T> = { fn, data, pdev, slot, ret: 0 };

  yield* pci_walk_bus(pdev.bus!, vfio_pci_walk_wrapper<T>, walk);

  return walk.ret;
}

function msix_mmappable_cap(_vdev: vfio_pci_core_device, caps: vfio_info_cap): number {
  const header = new vfio_info_cap_header();
  header.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE;
  header.version = 1;

  return vfio_info_add_capability(caps, header, sizeof(header));
}

/**
 * A region of the driver's own, behind those that every device has; it goes with the user.
 * @size: bytes. @return 0 or -ENOMEM. Source: drivers/vfio/pci/vfio_pci_core.c
 */
export function vfio_pci_core_register_dev_region(
  vdev: vfio_pci_core_device,
  type: number,
  subtype: number,
  ops: vfio_pci_regops,
  size: bigint,
  flags: number,
  data: object | null,
): number {
  const region = krealloc(vdev.region, vdev.num_regions + 1, vfio_pci_region, GFP_KERNEL_ACCOUNT);
  if (!region) return -ENOMEM;

  vdev.region = region;
  const new_ = region.at(vdev.num_regions);
  new_.type = type;
  new_.subtype = subtype;
  new_.ops = ops;
  new_.size = size;
  new_.flags = flags;
  new_.data = data;

  vdev.num_regions++;

  return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_register_dev_region);

function* vfio_pci_ioctl_get_info(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  let minsz = offsetofend(vfio_device_info, "num_irqs");
  const info = new vfio_device_info();
  const caps = initialise(new vfio_info_cap(), { buf: null, size: 0 });

  // The offset is that of another struct, which is the same: as in C. Older callers do not have it.
  const capsz = offsetofend(vfio_iommu_type1_info, "cap_offset");

  if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

  if (info.argsz < minsz) return -EINVAL;

  if (info.argsz >= capsz) {
    minsz = capsz;
    info.cap_offset = 0;
  }

  info.flags = VFIO_DEVICE_FLAGS_PCI;

  if (vdev.reset_works) info.flags |= VFIO_DEVICE_FLAGS_RESET;

  info.num_regions = VFIO_PCI_NUM_REGIONS + vdev.num_regions;
  info.num_irqs = VFIO_PCI_NUM_IRQS;

  const ret = vfio_pci_info_zdev_add_caps(vdev, caps);
  if (ret && ret !== -ENODEV) {
    pci_warn(vdev.pdev!, "Failed to setup zPCI info capabilities\n");
    return ret;
  }

  if (caps.size) {
    info.flags |= VFIO_DEVICE_FLAGS_CAPS;
    if (info.argsz < sizeof(info) + caps.size) {
      info.argsz = sizeof(info) + caps.size;
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

  return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
}

function* vfio_pci_ioctl_get_region_info(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_region_info, "offset");
  const pdev = vdev.pdev!;
  const info = new vfio_region_info();
  const caps = initialise(new vfio_info_cap(), { buf: null, size: 0 });
  let ret: number;

  if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

  if (info.argsz < minsz) return -EINVAL;

  const { index } = info;
  if (index === VFIO_PCI_CONFIG_REGION_INDEX) {
    info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
    info.size = BigInt(pdev.cfg_size);
    info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  } else if (index >= VFIO_PCI_BAR0_REGION_INDEX && index <= VFIO_PCI_BAR5_REGION_INDEX) {
    info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
    info.size = pci_resource_len(pdev, info.index);
    if (!info.size) {
      info.flags = 0;
    } else {
      info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      if (vdev.bar_mmap_supported.at(info.index)) {
        info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
        if (info.index === vdev.msix_bar) {
          ret = msix_mmappable_cap(vdev, caps);
          if (ret) return ret;
        }
      }
    }
  } else if (index === VFIO_PCI_ROM_REGION_INDEX) {
    info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
    info.flags = 0;

    info.size = pci_resource_len(pdev, info.index);
    // The BAR's size, not the ROM's; that of a copy in memory is known.
    if (!info.size && pdev.resource.at(PCI_ROM_RESOURCE).flags & IORESOURCE_ROM_SHADOW) info.size = 0x20000n;
    if (info.size) {
      const size = { value: 0 };
      // Is there one? To look, memory has to be on.
      const cmd = yield* vfio_pci_memory_lock_and_enable(vdev);
      const io = yield* pci_map_rom(pdev, size);
      if (io) {
        info.flags = VFIO_REGION_INFO_FLAG_READ;
        pci_unmap_rom(pdev, io);
      } else {
        info.size = 0n;
      }
      vfio_pci_memory_unlock_and_restore(vdev, cmd);
    }
  } else if (index === VFIO_PCI_VGA_REGION_INDEX) {
    if (!vdev.has_vga) return -EINVAL;

    info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
    info.size = 0xc0000n;
    info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  } else {
    const cap_type = new vfio_region_info_cap_type();
    cap_type.header.id = VFIO_REGION_INFO_CAP_TYPE;
    cap_type.header.version = 1;

    if (info.index >= VFIO_PCI_NUM_REGIONS + vdev.num_regions) return -EINVAL;
    info.index = array_index_nospec(info.index, VFIO_PCI_NUM_REGIONS + vdev.num_regions);

    const region = vdev.region!.at(info.index - VFIO_PCI_NUM_REGIONS);

    info.offset = VFIO_PCI_INDEX_TO_OFFSET(info.index);
    info.size = region.size;
    info.flags = region.flags;

    cap_type.type = region.type;
    cap_type.subtype = region.subtype;

    ret = vfio_info_add_capability(caps, cap_type.header, sizeof(cap_type));
    if (ret) return ret;

    if (region.ops!.add_capability) {
      ret = yield* either(region.ops!.add_capability(vdev, region, caps));
      if (ret) return ret;
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
        return -EFAULT;
      }
      info.cap_offset = sizeof(info);
    }

    kfree(caps.buf);
  }

  return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
}

function* vfio_pci_ioctl_get_irq_info(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_irq_info, "count");
  const info = new vfio_irq_info();

  if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

  if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS) return -EINVAL;

  // Errors are told of by PCI Express only; all others are there.
  if (info.index === VFIO_PCI_ERR_IRQ_INDEX && !pci_is_pcie(vdev.pdev!)) return -EINVAL;

  info.flags = VFIO_IRQ_INFO_EVENTFD;

  info.count = vfio_pci_get_irq_count(vdev, info.index);

  if (info.index === VFIO_PCI_INTX_IRQ_INDEX) info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  else info.flags |= VFIO_IRQ_INFO_NORESIZE;

  return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
}

function* vfio_pci_ioctl_set_irqs(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_irq_set, "count");
  const hdr = new vfio_irq_set();
  let data: kbuf | null = null;
  const data_size = { value: 0 };

  if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

  const max = vfio_pci_get_irq_count(vdev, hdr.index);

  let ret = vfio_set_irqs_validate_and_prepare(hdr, max, VFIO_PCI_NUM_IRQS, data_size);
  if (ret) return ret;

  if (data_size.value) {
    data = yield* memdup_user(arg + BigInt(minsz), data_size.value);
    if (IS_ERR(data)) return PTR_ERR(data);
  }

  yield* mutex_lock(vdev.igate);

  ret = yield* vfio_pci_set_irqs_ioctl(vdev, hdr.flags, hdr.index, hdr.start, hdr.count, data);

  mutex_unlock(vdev.igate);
  kfree(data);

  return ret;
}

function* vfio_pci_ioctl_reset(vdev: vfio_pci_core_device, _arg: bigint): Sleeps<number> {
  if (!vdev.reset_works) return -EINVAL;

  yield* vfio_pci_zap_and_down_write_memory_lock(vdev);

  // The reset would bring it to D0 without giving back the state from before D3hot.
  yield* vfio_pci_set_power_state(vdev, PCI_D0);

  const ret = yield* pci_try_reset_function(vdev.pdev!);
  up_write(vdev.memory_lock);

  return ret;
}

function* vfio_pci_ioctl_get_pci_hot_reset_info(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_pci_hot_reset_info, "count");
  const hdr = new vfio_pci_hot_reset_info();
  const max = { value: 0 };
  let devices: kbuf | null = null;
  let slot = false;

  if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

  if (hdr.argsz < minsz) return -EINVAL;

  hdr.flags = 0;

  if (!pci_probe_reset_slot(vdev.pdev!.slot)) slot = true;
  else if (pci_probe_reset_bus(vdev.pdev!.bus!)) return -ENODEV;

  // How many?
  let ret = yield* vfio_pci_for_each_slot_or_bus(vdev.pdev!, vfio_pci_count_devs, max, slot);
  if (ret) return ret;

  WARN_ON(!max.value);

  reset_info_exit: {
    if (hdr.argsz < sizeof(hdr) + max.value * sizeof(vfio_pci_dependent_device)) {
      ret = -ENOSPC;
      hdr.count = max.value;
      break reset_info_exit;
    }

    devices = kcalloc(max.value, sizeof(vfio_pci_dependent_device), GFP_KERNEL);
    if (!devices) return -ENOMEM;

    const fill: vfio_pci_fill_info = { max: max.value, cur: 0, devices };

    ret = yield* vfio_pci_for_each_slot_or_bus(vdev.pdev!, vfio_pci_fill_devs, fill, slot);

    // Fewer, if one has gone meanwhile; if one has come, it was -EAGAIN.
    if (!ret) hdr.count = fill.cur;
  }
  if (yield* copy_to_user(arg, hdr, minsz)) ret = -EFAULT;

  if (!ret) {
    if (yield* copy_to_user(arg + BigInt(minsz), devices, hdr.count * sizeof(vfio_pci_dependent_device))) ret = -EFAULT;
  }

  kfree(devices);
  return ret;
}

function* vfio_pci_ioctl_pci_hot_reset(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_pci_hot_reset, "count");
  const hdr = new vfio_pci_hot_reset();
  const count = { value: 0 };
  let slot = false;

  if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

  if (hdr.argsz < minsz || hdr.flags) return -EINVAL;

  if (!pci_probe_reset_slot(vdev.pdev!.slot)) slot = true;
  else if (pci_probe_reset_bus(vdev.pdev!.bus!)) return -ENODEV;

  // At most a group for each device.
  let ret = yield* vfio_pci_for_each_slot_or_bus(vdev.pdev!, vfio_pci_count_devs, count, slot);
  if (ret) return ret;

  if (!hdr.count || hdr.count > count.value) return -EINVAL;

  const group_fds = kcalloc(hdr.count, 4, GFP_KERNEL);
  const files = kcalloc(hdr.count, ptr<file>(), GFP_KERNEL);
  if (!group_fds || !files) {
    kfree(group_fds);
    kfree(files);
    return -ENOMEM;
  }

  if (yield* copy_from_user(group_fds, arg + BigInt(minsz), hdr.count * 4)) {
    kfree(group_fds);
    kfree(files);
    return -EFAULT;
  }

  // The files, and with them the groups, are held across the reset.
  let file_idx;
  for (file_idx = 0; file_idx < hdr.count; file_idx++) {
    const file = fget(u32_at(group_fds, 4 * file_idx) | 0);

    if (!file) {
      ret = -EBADF;
      break;
    }

    if (!vfio_file_is_group(file)) {
      fput(file);
      ret = -EINVAL;
      break;
    }

    files.set(file_idx, file);
  }

  kfree(group_fds);

  if (!ret) {
    const info: vfio_pci_group_info = { count: hdr.count, files };

    ret = yield* vfio_pci_dev_set_hot_reset(vdev.vdev.dev_set!, info);
  }

  for (file_idx--; file_idx >= 0; file_idx--) fput(files.at(file_idx)!);

  kfree(files);
  return ret;
}

function* vfio_pci_ioctl_ioeventfd(vdev: vfio_pci_core_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_device_ioeventfd, "fd");
  const ioeventfd = new vfio_device_ioeventfd();

  if (yield* copy_from_user(ioeventfd, arg, minsz)) return -EFAULT;

  if (ioeventfd.argsz < minsz) return -EINVAL;

  if (ioeventfd.flags & ~VFIO_DEVICE_IOEVENTFD_SIZE_MASK) return -EINVAL;

  const count = ioeventfd.flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK;

  if (hweight8(count) !== 1 || ioeventfd.fd < -1) return -EINVAL;

  return yield* vfio_pci_ioeventfd(vdev, ioeventfd.offset, ioeventfd.data, count, ioeventfd.fd);
}

/** ioctl() of the drivers. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_ioctl(core_vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO:
      return yield* vfio_pci_ioctl_get_info(vdev, arg);
    case VFIO_DEVICE_GET_IRQ_INFO:
      return yield* vfio_pci_ioctl_get_irq_info(vdev, arg);
    case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
      return yield* vfio_pci_ioctl_get_pci_hot_reset_info(vdev, arg);
    case VFIO_DEVICE_GET_REGION_INFO:
      return yield* vfio_pci_ioctl_get_region_info(vdev, arg);
    case VFIO_DEVICE_IOEVENTFD:
      return yield* vfio_pci_ioctl_ioeventfd(vdev, arg);
    case VFIO_DEVICE_PCI_HOT_RESET:
      return yield* vfio_pci_ioctl_pci_hot_reset(vdev, arg);
    case VFIO_DEVICE_RESET:
      return yield* vfio_pci_ioctl_reset(vdev, arg);
    case VFIO_DEVICE_SET_IRQS:
      return yield* vfio_pci_ioctl_set_irqs(vdev, arg);
    default:
      return -ENOTTY;
  }
}
EXPORT_SYMBOL_GPL(vfio_pci_core_ioctl);

function* vfio_pci_core_feature_token(device: vfio_device, flags: number, arg: bigint, argsz: number): Sleeps<number> {
  const vdev = container_of(device, vfio_pci_core_device, "vdev");
  const bytes = new kbuf(UUID_SIZE);

  if (!vdev.vf_token) return -ENOTTY;
  // It can be set only: it might be that of somebody who used the device before.
  const ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, UUID_SIZE);
  if (ret !== 1) return ret;

  if (yield* copy_from_user(bytes, arg, UUID_SIZE)) return -EFAULT;

  yield* mutex_lock(vdev.vf_token.lock);
  bytes.$bytes.forEach((b, i) => vdev.vf_token!.uuid.b.set(i, b));
  mutex_unlock(vdev.vf_token.lock);
  return 0;
}

/** device_feature() of the drivers. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_ioctl_feature(
  device: vfio_device,
  flags: number,
  arg: bigint,
  argsz: number,
): Sleeps<number> {
  switch (flags & VFIO_DEVICE_FEATURE_MASK) {
    case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
      return yield* vfio_pci_core_pm_entry(device, flags, arg, argsz);
    case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
      return yield* vfio_pci_core_pm_entry_with_wakeup(device, flags, arg, argsz);
    case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
      return yield* vfio_pci_core_pm_exit(device, flags, arg, argsz);
    case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
      return yield* vfio_pci_core_feature_token(device, flags, arg, argsz);
    default:
      return -ENOTTY;
  }
}
EXPORT_SYMBOL_GPL(vfio_pci_core_ioctl_feature);

function* vfio_pci_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): Sleeps<number> {
  let index = VFIO_PCI_OFFSET_TO_INDEX(ppos.value);

  if (index >= VFIO_PCI_NUM_REGIONS + vdev.num_regions) return -EINVAL;

  let ret = yield* pm_runtime_resume_and_get(vdev.pdev!.dev);
  if (ret) {
    pci_info_ratelimited(vdev.pdev!, "runtime resume failed %d\n", ret);
    return -EIO;
  }

  switch (index) {
    case VFIO_PCI_CONFIG_REGION_INDEX:
      ret = yield* vfio_pci_config_rw(vdev, buf, count, ppos, iswrite);
      break;

    case VFIO_PCI_ROM_REGION_INDEX:
      if (iswrite) ret = -EINVAL;
      else ret = yield* vfio_pci_bar_rw(vdev, buf, count, ppos, false);
      break;

    case VFIO_PCI_BAR0_REGION_INDEX:
    case VFIO_PCI_BAR1_REGION_INDEX:
    case VFIO_PCI_BAR2_REGION_INDEX:
    case VFIO_PCI_BAR3_REGION_INDEX:
    case VFIO_PCI_BAR4_REGION_INDEX:
    case VFIO_PCI_BAR5_REGION_INDEX:
      ret = yield* vfio_pci_bar_rw(vdev, buf, count, ppos, iswrite);
      break;

    case VFIO_PCI_VGA_REGION_INDEX:
      ret = yield* vfio_pci_vga_rw(vdev, buf, count, ppos, iswrite);
      break;

    default:
      index -= VFIO_PCI_NUM_REGIONS;
      ret = yield* either(vdev.region!.at(index).ops!.rw(vdev, buf, count, ppos, iswrite));
      break;
  }

  yield* pm_runtime_put(vdev.pdev!.dev);
  return ret;
}

/** read() of the drivers. @return bytes, or -errno. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_read(
  core_vdev: vfio_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");

  if (!count) return 0;

  return yield* vfio_pci_rw(vdev, buf, count, ppos, false);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_read);

/** write() of the drivers. @return bytes, or -errno. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_write(
  core_vdev: vfio_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");

  if (!count) return 0;

  return yield* vfio_pci_rw(vdev, buf, count, ppos, true);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_write);

/** @return 1 with vma_lock held and nothing mapped; 0 if @try_ and somebody is in the way */
function* vfio_pci_zap_and_vma_lock(vdev: vfio_pci_core_device, try_: boolean): Sleeps<number> {
  // mmap_lock is the outermost, vma_lock comes next, memory_lock last. To take mmap_lock vma_lock has to be dropped: hence the loop.
  for (;;) {
    let mm = null;

    if (try_) {
      if (!mutex_trylock(vdev.vma_lock)) return 0;
    } else {
      yield* mutex_lock(vdev.vma_lock);
    }
    while (!list_empty(vdev.vma_list)) {
      const mmap_vma = list_first_entry(vdev.vma_list, vfio_pci_mmap_vma, "vma_next");
      mm = mmap_vma.vma!.vm_mm!;
      if (mmget_not_zero(mm)) break;

      list_del(mmap_vma.vma_next);
      kfree(mmap_vma);
      mm = null;
    }
    if (!mm) return 1;
    mutex_unlock(vdev.vma_lock);

    if (try_) {
      if (!mmap_read_trylock(mm)) {
        yield* mmput(mm);
        return 0;
      }
    } else {
      yield* mmap_read_lock(mm);
    }
    if (try_) {
      if (!mutex_trylock(vdev.vma_lock)) {
        mmap_read_unlock(mm);
        yield* mmput(mm);
        return 0;
      }
    } else {
      yield* mutex_lock(vdev.vma_lock);
    }
    for (const mmap_vma of list_for_each_entry_safe(vdev.vma_list, vfio_pci_mmap_vma, "vma_next")) {
      const vma = mmap_vma.vma!;

      if (vma.vm_mm !== mm) continue;

      list_del(mmap_vma.vma_next);
      kfree(mmap_vma);

      zap_vma_ptes(vma, vma.vm_start, vma.vm_end - vma.vm_start);
    }
    mutex_unlock(vdev.vma_lock);
    mmap_read_unlock(mm);
    yield* mmput(mm);
  }
}

/** Nobody can get at the device's memory until memory_lock is released. Context: may sleep. */
export function* vfio_pci_zap_and_down_write_memory_lock(vdev: vfio_pci_core_device): Sleeps {
  yield* vfio_pci_zap_and_vma_lock(vdev, false);
  yield* down_write(vdev.memory_lock);
  mutex_unlock(vdev.vma_lock);
}

/** Lets the device decode memory. @return the command register as it was. Context: may sleep; memory_lock is held afterwards */
export function* vfio_pci_memory_lock_and_enable(vdev: vfio_pci_core_device): Sleeps<number> {
  const cmd = { value: 0 };

  yield* down_write(vdev.memory_lock);
  pci_read_config_word(vdev.pdev!, PCI_COMMAND, cmd);
  if (!(cmd.value & PCI_COMMAND_MEMORY)) pci_write_config_word(vdev.pdev!, PCI_COMMAND, cmd.value | PCI_COMMAND_MEMORY);

  return cmd.value;
}

export function vfio_pci_memory_unlock_and_restore(vdev: vfio_pci_core_device, cmd: number): void {
  pci_write_config_word(vdev.pdev!, PCI_COMMAND, cmd);
  up_write(vdev.memory_lock);
}

function __vfio_pci_add_vma(vdev: vfio_pci_core_device, vma: vm_area_struct): number {
  const mmap_vma = kmalloc(vfio_pci_mmap_vma, GFP_KERNEL_ACCOUNT);
  if (!mmap_vma) return -ENOMEM;

  mmap_vma.vma = vma;
  list_add(mmap_vma.vma_next, vdev.vma_list);

  return 0;
}

/** The list has only what was touched since the last zap: a copy begins without pages. */
function vfio_pci_mmap_open(vma: vm_area_struct): void {
  zap_vma_ptes(vma, vma.vm_start, vma.vm_end - vma.vm_start);
}

function* vfio_pci_mmap_close(vma: vm_area_struct): Sleeps {
  const vdev = vma.vm_private_data as vfio_pci_core_device;

  yield* mutex_lock(vdev.vma_lock);
  for (const mmap_vma of list_for_each_entry(vdev.vma_list, vfio_pci_mmap_vma, "vma_next")) {
    if (mmap_vma.vma === vma) {
      list_del(mmap_vma.vma_next);
      kfree(mmap_vma);
      break;
    }
  }
  mutex_unlock(vdev.vma_lock);
}

function* vfio_pci_mmap_fault(vmf: vm_fault): Sleeps<vm_fault_t> {
  const vma = vmf.vma!;
  const vdev = vma.vm_private_data as vfio_pci_core_device;
  let ret = VM_FAULT_NOPAGE;

  yield* mutex_lock(vdev.vma_lock);
  yield* down_read(vdev.memory_lock);

  up_out: {
    // Asleep by the user's wish, or memory is off
    if (vdev.pm_runtime_engaged || !__vfio_pci_memory_enabled(vdev)) {
      ret = VM_FAULT_SIGBUS;
      break up_out;
    }

    // All of it is mapped at once, so somebody else may have done it meanwhile.
    for (const mmap_vma of list_for_each_entry(vdev.vma_list, vfio_pci_mmap_vma, "vma_next")) {
      if (mmap_vma.vma === vma) break up_out;
    }

    if (io_remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, vma.vm_end - vma.vm_start, vma.vm_page_prot)) {
      ret = VM_FAULT_SIGBUS;
      zap_vma_ptes(vma, vma.vm_start, vma.vm_end - vma.vm_start);
      break up_out;
    }

    if (__vfio_pci_add_vma(vdev, vma)) {
      ret = VM_FAULT_OOM;
      zap_vma_ptes(vma, vma.vm_start, vma.vm_end - vma.vm_start);
    }
  }
  up_read(vdev.memory_lock);
  mutex_unlock(vdev.vma_lock);
  return ret;
}

const vfio_pci_mmap_ops: vm_operations_struct = {
  open: vfio_pci_mmap_open,
  close: vfio_pci_mmap_close,
  fault: vfio_pci_mmap_fault,
};

/** mmap() of the drivers: BARs, and regions that can be mapped. @return 0 or -errno. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_mmap(core_vdev: vfio_device, vma: vm_area_struct): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");
  const pdev = vdev.pdev!;

  const index = Number(BigInt.asUintN(32, vma.vm_pgoff >> BigInt(VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT)));

  if (index >= VFIO_PCI_NUM_REGIONS + vdev.num_regions) return -EINVAL;
  if (vma.vm_end < vma.vm_start) return -EINVAL;
  if ((vma.vm_flags & BigInt(VM_SHARED)) === 0n) return -EINVAL;
  if (index >= VFIO_PCI_NUM_REGIONS) {
    const regnum = index - VFIO_PCI_NUM_REGIONS;
    const region = vdev.region!.at(regnum);

    if (region.ops && region.ops.mmap && region.flags & VFIO_REGION_INFO_FLAG_MMAP)
      return yield* either(region.ops.mmap(vdev, region, vma));
    return -EINVAL;
  }
  if (index >= VFIO_PCI_ROM_REGION_INDEX) return -EINVAL;
  if (!vdev.bar_mmap_supported.at(index)) return -EINVAL;

  const phys_len = BigInt(PAGE_ALIGN(Number(pci_resource_len(pdev, index))));
  const req_len = vma.vm_end - vma.vm_start;
  const pgoff = vma.vm_pgoff & ((1n << BigInt(VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT)) - 1n);
  const req_start = pgoff << BigInt(PAGE_SHIFT);

  if (req_start + req_len > phys_len) return -EINVAL;

  // The mapping is not needed here, but the region is, and where a BAR is mapped says that we have it.
  if (!vdev.barmap.at(index)) {
    const ret = yield* pci_request_selected_regions(pdev, 1 << index, "vfio-pci");
    if (ret) return ret;

    vdev.barmap.set(index, pci_iomap(pdev, index, 0));
    if (!vdev.barmap.at(index)) {
      yield* pci_release_selected_regions(pdev, 1 << index);
      return -ENOMEM;
    }
  }

  vma.vm_private_data = vdev;
  vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot);
  vma.vm_pgoff = (pci_resource_start(pdev, index) >> BigInt(PAGE_SHIFT)) + pgoff;

  // In the fault handler they could not be changed any more.
  vma.vm_flags |= BigInt(VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
  vma.vm_ops = vfio_pci_mmap_ops;

  return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_mmap);

/** request() of the drivers: somebody wants the device back. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_request(core_vdev: vfio_device, count: number): Sleeps {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");
  const pdev = vdev.pdev!;

  yield* mutex_lock(vdev.igate);

  if (vdev.req_trigger) {
    if (!(count % 10)) pci_notice_ratelimited(pdev, "Relaying device request to user (#%u)\n", count);
    yield* eventfd_signal(vdev.req_trigger, 1);
  } else if (count === 0) {
    pci_warn(pdev, "No device request channel registered, blocked until released by user\n");
  }

  mutex_unlock(vdev.igate);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_request);

/**
 * A virtual function whose physical one belongs to a user of vfio-pci is in that user's hands: who wants it has to know a
 * token that the other has set. The same holds the other way round, while virtual functions are in use.
 */
function* vfio_pci_validate_vf_token(vdev: vfio_pci_core_device, vf_token: boolean, uuid: uuid_t): Sleeps<number> {
  const pdev = vdev.pdev!;

  if (pdev.is_virtfn) {
    const pf_vdev = vdev.sriov_pf_core_dev;

    if (!pf_vdev) {
      if (!vf_token) return 0;

      pci_info_ratelimited(pdev, "VF token incorrectly provided, PF not bound to vfio-pci\n");
      return -EINVAL;
    }

    if (!vf_token) {
      pci_info_ratelimited(pdev, "VF token required to access device\n");
      return -EACCES;
    }

    yield* mutex_lock(pf_vdev.vf_token!.lock);
    const match = uuid_equal(uuid, pf_vdev.vf_token!.uuid);
    mutex_unlock(pf_vdev.vf_token!.lock);

    if (!match) {
      pci_info_ratelimited(pdev, "Incorrect VF token provided for device\n");
      return -EACCES;
    }
  } else if (vdev.vf_token) {
    yield* mutex_lock(vdev.vf_token.lock);
    if (vdev.vf_token.users) {
      if (!vf_token) {
        mutex_unlock(vdev.vf_token.lock);
        pci_info_ratelimited(pdev, "VF token required to access device\n");
        return -EACCES;
      }

      if (!uuid_equal(uuid, vdev.vf_token.uuid)) {
        mutex_unlock(vdev.vf_token.lock);
        pci_info_ratelimited(pdev, "Incorrect VF token provided for device\n");
        return -EACCES;
      }
    } else if (vf_token) {
      uuid_copy(vdev.vf_token.uuid, uuid);
    }

    mutex_unlock(vdev.vf_token.lock);
  } else if (vf_token) {
    pci_info_ratelimited(pdev, "VF token incorrectly provided, not a PF or VF\n");
    return -EINVAL;
  }

  return 0;
}

const VF_TOKEN_ARG = "vf_token=";

/**
 * match() of the drivers: "0000:00:05.0", or with " vf_token=" and a UUID behind it.
 * @return 1, 0 for another device, -EINVAL, -EACCES. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c
 */
export function* vfio_pci_core_match(core_vdev: vfio_device, buf: string): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");
  let vf_token = false;
  const uuid = new uuid_t();
  const name = pci_name(vdev.pdev!);

  if (!buf.startsWith(name)) return 0;

  if (buf.length > name.length) {
    buf = buf.slice(name.length);

    if (!buf.startsWith(" ")) return 0;

    while (buf !== "") {
      if (buf.startsWith(" ")) {
        buf = buf.slice(1);
        continue;
      }

      if (!vf_token && buf.startsWith(VF_TOKEN_ARG)) {
        buf = buf.slice(VF_TOKEN_ARG.length);

        if (buf.length < UUID_STRING_LEN) return -EINVAL;

        const ret = uuid_parse(buf, uuid);
        if (ret) return ret;

        vf_token = true;
        buf = buf.slice(UUID_STRING_LEN);
      } else {
        // Another word, or the same again
        return -EINVAL;
      }
    }
  }

  const ret = yield* vfio_pci_validate_vf_token(vdev, vf_token, uuid);
  if (ret) return ret;

  return 1;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_match);

function vfio_pci_bus_notifier(nb: notifier_block, action: number, data: unknown): number {
  const vdev = container_of(nb, vfio_pci_core_device, "nb");
  const pdev = to_pci_dev(data as device);
  const physfn = pci_physfn(pdev);

  if (action === BUS_NOTIFY_ADD_DEVICE && pdev.is_virtfn && physfn === vdev.pdev) {
    pci_info(vdev.pdev, "Captured SR-IOV VF %s driver_override\n", pci_name(pdev));
    pdev.driver_override = kasprintf(GFP_KERNEL, "%s", vdev.vdev.ops!.name ?? null);
  } else if (action === BUS_NOTIFY_BOUND_DRIVER && pdev.is_virtfn && physfn === vdev.pdev) {
    const drv = pci_dev_driver(pdev);

    if (drv && drv !== pci_dev_driver(vdev.pdev))
      pci_warn(
        vdev.pdev,
        "VF %s bound to driver %s while PF bound to driver %s\n",
        pci_name(pdev),
        drv.name,
        pci_dev_driver(vdev.pdev)!.name,
      );
  }

  return 0;
}

function* vfio_pci_vf_init(vdev: vfio_pci_core_device): Sleeps<number> {
  const pdev = vdev.pdev!;

  if (pdev.is_virtfn) {
    // If vfio_pci_core_sriov_configure() made it, its physical function is on the list, and stays while this driver is bound.
    const physfn = pci_physfn(pdev);
    yield* mutex_lock(s.vfio_pci_sriov_pfs_mutex);
    for (const cur of list_for_each_entry(s.vfio_pci_sriov_pfs, vfio_pci_core_device, "sriov_pfs_item")) {
      if (cur.pdev === physfn) {
        vdev.sriov_pf_core_dev = cur;
        break;
      }
    }
    mutex_unlock(s.vfio_pci_sriov_pfs_mutex);
    return 0;
  }

  if (!pdev.is_physfn) return 0;

  vdev.vf_token = kzalloc(vfio_pci_vf_token, GFP_KERNEL);
  if (!vdev.vf_token) return -ENOMEM;

  mutex_init(vdev.vf_token.lock);
  uuid_gen(vdev.vf_token.uuid);

  vdev.nb.notifier_call = vfio_pci_bus_notifier;
  const ret = yield* bus_register_notifier(pci_bus_type(), vdev.nb);
  if (ret) {
    kfree(vdev.vf_token);
    return ret;
  }
  return 0;
}

function* vfio_pci_vf_uninit(vdev: vfio_pci_core_device): Sleeps {
  if (!vdev.vf_token) return;

  yield* bus_unregister_notifier(pci_bus_type(), vdev.nb);
  WARN_ON(vdev.vf_token.users !== 0);
  mutex_destroy(vdev.vf_token.lock);
  kfree(vdev.vf_token);
}

function* vfio_pci_vga_init(vdev: vfio_pci_core_device): Sleeps<number> {
  const pdev = vdev.pdev!;

  if (!vfio_pci_is_vga(pdev)) return 0;

  let ret = aperture_remove_conflicting_pci_devices(pdev, vdev.vdev.ops!.name!);
  if (ret) return ret;

  ret = vga_client_register(pdev, vfio_pci_set_decode);
  if (ret) return ret;
  vga_set_legacy_decoding(pdev, yield* vfio_pci_set_decode(pdev, false));
  return 0;
}

function vfio_pci_vga_uninit(vdev: vfio_pci_core_device): void {
  const pdev = vdev.pdev!;

  if (!vfio_pci_is_vga(pdev)) return;
  vga_client_unregister(pdev);
  vga_set_legacy_decoding(pdev, VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM | VGA_RSRC_LEGACY_IO | VGA_RSRC_LEGACY_MEM);
}

/** init() of the drivers. @return 0. Source: drivers/vfio/pci/vfio_pci_core.c */
export function vfio_pci_core_init_dev(core_vdev: vfio_device): number {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");

  vdev.pdev = to_pci_dev(core_vdev.dev!);
  vdev.irq_type = VFIO_PCI_NUM_IRQS;
  mutex_init(vdev.igate);
  spin_lock_init(vdev.irqlock);
  mutex_init(vdev.ioeventfds_lock);
  INIT_LIST_HEAD(vdev.dummy_resources_list);
  INIT_LIST_HEAD(vdev.ioeventfds_list);
  mutex_init(vdev.vma_lock);
  INIT_LIST_HEAD(vdev.vma_list);
  INIT_LIST_HEAD(vdev.sriov_pfs_item);
  init_rwsem(vdev.memory_lock);

  return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_init_dev);

/** release() of the drivers. Source: drivers/vfio/pci/vfio_pci_core.c */
export function vfio_pci_core_release_dev(core_vdev: vfio_device): void {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");

  mutex_destroy(vdev.igate);
  mutex_destroy(vdev.ioeventfds_lock);
  mutex_destroy(vdev.vma_lock);
  kfree(vdev.region);
  kfree(vdev.pm_save);
  vfio_free_device(core_vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_release_dev);

/**
 * Makes a device available to user space; the rest of a driver's probe(). The drvdata of the PCI device is @vdev.
 * @return 0 or -errno. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c
 */
export function* vfio_pci_core_register_device(vdev: vfio_pci_core_device): Sleeps<number> {
  const pdev = vdev.pdev!;
  const { dev } = pdev;
  let ret: number;

  if (WARN_ON(vdev !== dev_get_drvdata(dev))) return -EINVAL;

  if (pdev.hdr_type !== PCI_HEADER_TYPE_NORMAL) return -EINVAL;

  if (vdev.vdev.mig_ops) {
    if (
      !(vdev.vdev.mig_ops.migration_get_state && vdev.vdev.mig_ops.migration_set_state) ||
      !(vdev.vdev.migration_flags & VFIO_MIGRATION_STOP_COPY)
    )
      return -EINVAL;
  }

  if (
    vdev.vdev.log_ops &&
    !(vdev.vdev.log_ops.log_start && vdev.vdev.log_ops.log_stop && vdev.vdev.log_ops.log_read_and_clear)
  )
    return -EINVAL;

  // Virtual functions that are there already belong to somebody, and to disable them would have to wait for that.
  if (pci_num_vf(pdev)) {
    pci_warn(pdev, "Cannot bind to PF with SR-IOV enabled\n");
    return -EBUSY;
  }

  if (pci_is_root_bus(pdev.bus!) || pdev.is_virtfn) {
    ret = yield* vfio_assign_device_set(vdev.vdev, vdev);
  } else if (!pci_probe_reset_slot(pdev.slot)) {
    ret = yield* vfio_assign_device_set(vdev.vdev, pdev.slot);
  } else {
    // Without a reset of the slot it is the bus that is reset, with all that is on it.
    ret = yield* vfio_assign_device_set(vdev.vdev, pdev.bus);
  }

  if (ret) return ret;
  ret = yield* vfio_pci_vf_init(vdev);
  if (ret) return ret;
  out_vf: {
    ret = yield* vfio_pci_vga_init(vdev);
    if (ret) break out_vf;

    vfio_pci_probe_power_state(vdev);

    // The state is unknown after boot and after another driver, and from there only D0 can be reached: D3 is to follow.
    yield* vfio_pci_set_power_state(vdev, PCI_D0);

    dev.driver!.pm = vfio_pci_core_pm_ops;
    yield* pm_runtime_allow(dev);
    if (!s.disable_idle_d3) yield* pm_runtime_put(dev);

    out_power: {
      ret = yield* vfio_register_group_dev(vdev.vdev);
      if (ret) break out_power;
      return 0;
    }
    if (!s.disable_idle_d3) pm_runtime_get_noresume(dev);

    yield* pm_runtime_forbid(dev);
  }
  yield* vfio_pci_vf_uninit(vdev);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_register_device);

/** The opposite: waits until no user is left. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_unregister_device(vdev: vfio_pci_core_device): Sleeps {
  yield* vfio_pci_core_sriov_configure(vdev, 0);

  yield* vfio_unregister_group_dev(vdev.vdev);

  yield* vfio_pci_vf_uninit(vdev);
  vfio_pci_vga_uninit(vdev);

  if (!s.disable_idle_d3) pm_runtime_get_noresume(vdev.pdev!.dev);

  yield* pm_runtime_forbid(vdev.pdev!.dev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_unregister_device);

/** The bus reports an error of the device: the user is told. Context: may sleep. Source: drivers/vfio/pci/vfio_pci_core.c */
export function* vfio_pci_core_aer_err_detected(pdev: pci_dev, _state: pci_channel_state_t): Sleeps<pci_ers_result_t> {
  const vdev = dev_get_drvdata<vfio_pci_core_device>(pdev.dev)!;

  yield* mutex_lock(vdev.igate);

  if (vdev.err_trigger) yield* eventfd_signal(vdev.err_trigger, 1);

  mutex_unlock(vdev.igate);

  return PCI_ERS_RESULT_CAN_RECOVER;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_aer_err_detected);

/**
 * Makes virtual functions, or takes them away. @nr_virtfn: how many, 0 for none
 * @return how many, 0, -EINVAL if there are some, -errno. Context: device_lock held; may sleep.
 * Source: drivers/vfio/pci/vfio_pci_core.c
 */
export function* vfio_pci_core_sriov_configure(vdev: vfio_pci_core_device, nr_virtfn: number): Sleeps<number> {
  const pdev = vdev.pdev!;
  let ret = 0;

  device_lock_assert(pdev.dev);

  out_unlock: {
    out_del: {
      if (nr_virtfn) {
        yield* mutex_lock(s.vfio_pci_sriov_pfs_mutex);
        // Who puts the device onto the list is the one who may enable them, once.
        if (!list_empty(vdev.sriov_pfs_item)) {
          ret = -EINVAL;
          break out_unlock;
        }
        list_add_tail(vdev.sriov_pfs_item, s.vfio_pci_sriov_pfs);
        mutex_unlock(s.vfio_pci_sriov_pfs_mutex);

        // Virtual functions need a physical one in D0; the user's writes to its power register are kept off by memory_lock.
        ret = yield* pm_runtime_resume_and_get(pdev.dev);
        if (ret) break out_del;

        yield* down_write(vdev.memory_lock);
        yield* vfio_pci_set_power_state(vdev, PCI_D0);
        ret = pci_enable_sriov(pdev, nr_virtfn);
        up_write(vdev.memory_lock);
        if (ret) {
          yield* pm_runtime_put(pdev.dev);
          break out_del;
        }
        return nr_virtfn;
      }

      if (pci_num_vf(pdev)) {
        pci_disable_sriov(pdev);
        yield* pm_runtime_put(pdev.dev);
      }
    }
    yield* mutex_lock(s.vfio_pci_sriov_pfs_mutex);
    list_del_init(vdev.sriov_pfs_item);
  }
  mutex_unlock(s.vfio_pci_sriov_pfs_mutex);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_sriov_configure);

/** `vfio_pci_core_err_handlers` */
export function vfio_pci_core_err_handlers(): pci_error_handlers {
  return { error_detected: vfio_pci_core_aer_err_detected };
}
EXPORT_SYMBOL_GPL(vfio_pci_core_err_handlers);

function vfio_dev_in_groups(vdev: vfio_pci_core_device, groups: vfio_pci_group_info): boolean {
  for (let i = 0; i < groups.count; i++) if (vfio_file_has_dev(groups.files.at(i)!, vdev.vdev)) return true;
  return false;
}

/** Every vdev of a set. The link to the next one is read after the body has run, as by list_for_each_entry(). */
function* devices_of(dev_set: vfio_device_set): IterableIterator<vfio_pci_core_device> {
  for (const cur of list_for_each_entry(dev_set.device_list, vfio_device, "dev_set_list"))
    yield container_of(cur, vfio_pci_core_device, "vdev");
}

function vfio_pci_is_device_in_set(pdev: pci_dev, dev_set: vfio_device_set): number {
  for (const cur of list_for_each_entry(dev_set.device_list, vfio_device, "dev_set_list"))
    if (cur.dev === pdev.dev) return 0;
  return -EBUSY;
}

/**
 * A group counts as viable when devices in it have drivers that do no DMA, or none. A reset wants more: all it hits have to be
 * in the set, where they stay put and their drivers know of it.
 * @return a device for pci_reset_bus(), or null if the bus cannot be reset or somebody else is on it
 */
function* vfio_pci_dev_set_resettable(dev_set: vfio_device_set): Sleeps<pci_dev | null> {
  lockdep_assert_held(dev_set.lock);

  // They share the reset: any of them will do.
  const first = list_first_entry(dev_set.device_list, vfio_device, "dev_set_list");
  const pdev = container_of(first, vfio_pci_core_device, "vdev").pdev!;

  if (pci_probe_reset_slot(pdev.slot) && pci_probe_reset_bus(pdev.bus!)) return null;

  if (yield* vfio_pci_for_each_slot_or_bus(pdev, vfio_pci_is_device_in_set, dev_set, !pci_probe_reset_slot(pdev.slot)))
    return null;
  return pdev;
}

function* vfio_pci_dev_set_pm_runtime_get(dev_set: vfio_device_set): Sleeps<number> {
  let ret: number;

  for (const cur of devices_of(dev_set)) {
    ret = yield* pm_runtime_resume_and_get(cur.pdev!.dev);
    if (!ret) continue;

    for (const done of list_for_each_entry_continue_reverse(cur.vdev, dev_set.device_list, vfio_device, "dev_set_list"))
      yield* pm_runtime_put(container_of(done, vfio_pci_core_device, "vdev").pdev!.dev);

    return ret;
  }

  return 0;
}

/** Needs memory_lock of each device. They may share an mmap_lock: so first all are zapped and vma_lock is kept, then each memory_lock. */
function* vfio_pci_dev_set_hot_reset(dev_set: vfio_device_set, groups: vfio_pci_group_info): Sleeps<number> {
  let cur_vma: vfio_pci_core_device | null = null;
  let is_mem = true;
  let ret: number;

  yield* mutex_lock(dev_set.lock);
  let cur_mem: vfio_pci_core_device | null = container_of(
    list_first_entry(dev_set.device_list, vfio_device, "dev_set_list"),
    vfio_pci_core_device,
    "vdev",
  );

  err_unlock: {
    const pdev = yield* vfio_pci_dev_set_resettable(dev_set);
    if (!pdev) {
      ret = -EINVAL;
      break err_unlock;
    }

    // Some may be asleep.
    ret = yield* vfio_pci_dev_set_pm_runtime_get(dev_set);
    if (ret) break err_unlock;

    err_undo: {
      for (const cur of devices_of(dev_set)) {
        cur_vma = cur;
        // The user has to have them all.
        if (!vfio_dev_in_groups(cur, groups)) {
          ret = -EINVAL;
          break err_undo;
        }

        // The locks of several devices: not to be waited for.
        if (!(yield* vfio_pci_zap_and_vma_lock(cur, true))) {
          ret = -EBUSY;
          break err_undo;
        }
      }
      cur_vma = null;

      for (const cur of devices_of(dev_set)) {
        cur_mem = cur;
        if (!down_write_trylock(cur.memory_lock)) {
          ret = -EBUSY;
          break err_undo;
        }
        mutex_unlock(cur.vma_lock);
      }
      cur_mem = null;

      // The reset brings them to D0 without the state that some have saved before D3hot.
      for (const cur of devices_of(dev_set)) yield* vfio_pci_set_power_state(cur, PCI_D0);

      ret = yield* pci_reset_bus(pdev);
    }
    for (const cur of devices_of(dev_set)) {
      if (cur === cur_mem) is_mem = false;
      if (cur === cur_vma) break;
      if (is_mem) up_write(cur.memory_lock);
      else mutex_unlock(cur.vma_lock);
    }

    for (const cur of devices_of(dev_set)) yield* pm_runtime_put(cur.pdev!.dev);
  }
  mutex_unlock(dev_set.lock);
  return ret;
}

function vfio_pci_dev_set_needs_reset(dev_set: vfio_device_set): boolean {
  let needs_reset = false;

  // Nobody else has one of them open.
  if (vfio_device_set_open_count(dev_set) > 1) return false;

  for (const cur of devices_of(dev_set)) needs_reset = cur.needs_reset || needs_reset;
  return needs_reset;
}

/** Resets a bus that nobody uses any more, if some device on it could not be reset alone. */
function* vfio_pci_dev_set_try_reset(dev_set: vfio_device_set): Sleeps {
  let reset_done = false;

  if (!vfio_pci_dev_set_needs_reset(dev_set)) return;

  const pdev = yield* vfio_pci_dev_set_resettable(dev_set);
  if (!pdev) return;

  // Some may be asleep.
  if (!s.disable_idle_d3 && (yield* vfio_pci_dev_set_pm_runtime_get(dev_set))) return;

  if (!(yield* pci_reset_bus(pdev))) reset_done = true;

  for (const cur of devices_of(dev_set)) {
    if (reset_done) cur.needs_reset = false;

    if (!s.disable_idle_d3) yield* pm_runtime_put(cur.pdev!.dev);
  }
}

/** The parameters, which are the driver's. Source: drivers/vfio/pci/vfio_pci_core.c */
export function vfio_pci_core_set_params(
  is_nointxmask: boolean,
  is_disable_vga: boolean,
  is_disable_idle_d3: boolean,
): void {
  s.nointxmask = is_nointxmask;
  s.disable_vga = is_disable_vga;
  s.disable_idle_d3 = is_disable_idle_d3;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_set_params);

function vfio_pci_core_cleanup(): void {
  vfio_pci_uninit_perm_bits();
}

function vfio_pci_core_init(): number {
  return vfio_pci_init_perm_bits();
}

module_init(vfio_pci_core_init);
module_exit(vfio_pci_core_cleanup);

MODULE_LICENSE("GPL v2");
