// SPDX-License-Identifier: GPL-2.0-only
// dup: PCI; without CardBus, ACPI, power management of platforms, ASPM, AER, hotplug slots and SR-IOV
// First of all: drivers need the numbers when they are loaded
export * from "#uapi/linux/pci_regs.ts";
export * from "#linux/pci_ids.ts";
import { atomic_read, atomic_t } from "./atomic.ts";
import {
  dev_dbg,
  dev_err,
  dev_info,
  dev_info_ratelimited,
  dev_name,
  dev_notice,
  dev_notice_ratelimited,
  dev_warn,
  device,
} from "./device.ts";
import { device_driver } from "./device/driver.ts";
import { EFAULT, EIO, ENODEV, ENOENT, ENOSPC, ENOTTY, ERANGE } from "./errno.ts";
import type { iomem } from "./io.ts";
import { resource, resource_size } from "./ioport.ts";
import { hlist_head, list_head } from "./list.ts";
import { mutex } from "./mutex.ts";
import { PCI_ANY_ID } from "./pci_ids.ts";
import type { printf_arg } from "./printk.ts";
import { spinlock_t } from "./spinlock.ts";
import type { attribute_groups, bin_attribute } from "./sysfs.ts";
import {
  array,
  bool,
  container_of,
  embed,
  fn,
  int,
  opaque,
  ptr,
  type Sleeps,
  str,
  struct,
  u16,
  u32,
  u8,
} from "./types.ts";
import {
  PCI_EXP_FLAGS_TYPE,
  PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_PCIE_BRIDGE,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_HEADER_TYPE_BRIDGE,
  PCI_HEADER_TYPE_CARDBUS,
} from "#uapi/linux/pci_regs.ts";

import { pci_bus_type } from "../../drivers/pci/pci-driver.ts";

/** Where a value goes that is read: `u8 *`, `u16 *` or `u32 *`. */
export interface config_value {
  value: number;
}

export const PCI_SLOT = (devfn: number): number => (devfn >> 3) & 0x1f;
export const PCI_FUNC = (devfn: number): number => devfn & 0x07;
export const PCI_DEVFN = (slot: number, func: number): number => ((slot & 0x1f) << 3) | (func & 0x07);
export const PCI_DEVID = (bus: number, devfn: number): number => ((bus & 0xff) << 8) | devfn;
export const PCI_BUS_NUM = (x: number): number => (x >> 8) & 0xff;

/* The resources of a device: BARs, ROM, and the windows of a bridge. */
export const PCI_STD_RESOURCES = 0;
export const PCI_STD_RESOURCE_END = 5;
export const PCI_ROM_RESOURCE = 6;
/** CONFIG_PCI_IOV has six more in between. */
export const PCI_BRIDGE_RESOURCES = 13;
export const PCI_BRIDGE_IO_WINDOW = PCI_BRIDGE_RESOURCES;
export const PCI_BRIDGE_MEM_WINDOW = PCI_BRIDGE_RESOURCES + 1;
export const PCI_BRIDGE_PREF_MEM_WINDOW = PCI_BRIDGE_RESOURCES + 2;
export const PCI_BRIDGE_RESOURCE_NUM = 4;
export const PCI_BRIDGE_RESOURCE_END = PCI_BRIDGE_RESOURCES + PCI_BRIDGE_RESOURCE_NUM - 1;
export const PCI_NUM_RESOURCES = PCI_BRIDGE_RESOURCES + PCI_BRIDGE_RESOURCE_NUM;
export const DEVICE_COUNT_RESOURCE = PCI_NUM_RESOURCES;

export type pci_power_t = number;
export const PCI_D0 = 0;
export const PCI_D1 = 1;
export const PCI_D2 = 2;
export const PCI_D3hot = 3;
export const PCI_D3cold = 4;
export const PCI_UNKNOWN = 5;
export const PCI_POWER_ERROR = -1;
const pci_power_names = ["error", "D0", "D1", "D2", "D3hot", "D3cold", "unknown"] as const;
export const pci_power_name = (state: pci_power_t): string => pci_power_names[1 + state] ?? "";

export const PCI_PM_D2_DELAY = 200;
export const PCI_PM_D3HOT_WAIT = 10;
export const PCI_PM_D3COLD_WAIT = 100;

export type pci_channel_state_t = number;
export const pci_channel_io_normal = 1;
export const pci_channel_io_frozen = 2;
export const pci_channel_io_perm_failure = 3;

export type pci_ers_result_t = number;
export const PCI_ERS_RESULT_NONE = 1;
export const PCI_ERS_RESULT_CAN_RECOVER = 2;
export const PCI_ERS_RESULT_NEED_RESET = 3;
export const PCI_ERS_RESULT_DISCONNECT = 4;
export const PCI_ERS_RESULT_RECOVERED = 5;
export const PCI_ERS_RESULT_NO_AER_DRIVER = 6;

/** Of tags of vital product data: a large resource, whose tag has three bytes. */
export const PCI_VPD_LRDT = 0x80;

export const PCI_DEV_FLAGS_NO_BUS_RESET = 1 << 6;
export const PCI_DEV_FLAGS_VPD_REF_F0 = 1 << 8;
export const PCI_DEV_FLAGS_NO_PM_RESET = 1 << 7;
export const PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT = 1 << 9;
export const PCI_DEV_FLAGS_NO_FLR_RESET = 1 << 10;
export const PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS = 1 << 5;
export const PCI_DEV_FLAGS_NO_D3 = 1 << 1;

export const PCI_BUS_FLAGS_NO_MSI = 1;

/** Kinds of interrupts, for pci_alloc_irq_vectors(). */
export const PCI_IRQ_LEGACY = 1 << 0;
export const PCI_IRQ_MSI = 1 << 1;
export const PCI_IRQ_MSIX = 1 << 2;
export const PCI_BUS_FLAGS_NO_EXTCFG = 8;

export const PCI_NUM_RESET_METHODS = 7;
export const PCI_RESET_PROBE = true;
export const PCI_RESET_DO_RESET = false;

/** What a device is asked for, and what a driver asks for. A table ends with an entry of nothing. */
export interface pci_device_id {
  readonly vendor?: number;
  readonly device?: number;
  readonly subvendor?: number;
  readonly subdevice?: number;
  /** Class, subclass and interface, as far as class_mask says. */
  readonly class?: number;
  readonly class_mask?: number;
  readonly driver_data?: bigint;
  /** Other than 0: only for devices whose driver_override names the driver. */
  readonly override_only?: number;
}
export const PCI_ID_F_VFIO_DRIVER_OVERRIDE = 1;
export const PCI_DEVICE = (vendor: number, dev: number): pci_device_id => ({
  vendor,
  device: dev,
  subvendor: PCI_ANY_ID,
  subdevice: PCI_ANY_ID,
});
export const PCI_DRIVER_OVERRIDE_DEVICE_VFIO = (vendor: number, dev: number): pci_device_id => ({
  vendor,
  device: dev,
  subvendor: PCI_ANY_ID,
  subdevice: PCI_ANY_ID,
  override_only: PCI_ID_F_VFIO_DRIVER_OVERRIDE,
});

/** How configuration cycles are made on a bus. @return 0 or PCIBIOS_… */
export interface pci_ops {
  readonly read: (bus: pci_bus, devfn: number, where: number, size: number, val: config_value) => number;
  readonly write: (bus: pci_bus, devfn: number, where: number, size: number, val: number) => number;
}
export const PCIBIOS_SUCCESSFUL = 0x00;
export const PCIBIOS_FUNC_NOT_SUPPORTED = 0x81;
export const PCIBIOS_BAD_VENDOR_ID = 0x83;
export const PCIBIOS_DEVICE_NOT_FOUND = 0x86;
export const PCIBIOS_BAD_REGISTER_NUMBER = 0x87;
export const PCIBIOS_SET_FAILED = 0x88;
export const PCIBIOS_BUFFER_TOO_SMALL = 0x89;

/** What PCIBIOS_… is as an errno; an errno stays one. */
export function pcibios_err_to_errno(err: number): number {
  switch (err) {
    case PCIBIOS_FUNC_NOT_SUPPORTED:
      return -ENOENT;
    case PCIBIOS_BAD_VENDOR_ID:
      return -ENOTTY;
    case PCIBIOS_DEVICE_NOT_FOUND:
      return -ENODEV;
    case PCIBIOS_BAD_REGISTER_NUMBER:
      return -EFAULT;
    case PCIBIOS_SET_FAILED:
      return -EIO;
    case PCIBIOS_BUFFER_TOO_SMALL:
      return -ENOSPC;
  }
  return err <= PCIBIOS_SUCCESSFUL ? err : -ERANGE;
}

/** A slot that a hotplug driver knows of; there are none here. */
export class pci_slot extends struct("pci_slot", {
  bus: ptr<pci_bus>(),
  list: embed(() => list_head),
  number: u8(),
}) {}

class pci_bus_base extends struct("pci_bus", {
  node: embed(() => list_head),
  parent: ptr<pci_bus>(),
  children: embed(() => list_head),
  devices: embed(() => list_head),
  /** The bridge that leads here, as the bus above sees it; NULL for a root bus. */
  self: ptr<pci_dev>(),
  slots: embed(() => list_head),
  /** The windows of the bridge. */
  resource: array(PCI_BRIDGE_RESOURCE_NUM, ptr<resource>()),
  /** Those of the host bridge: a list in C. */
  resources: opaque<resource[]>(() => []),
  busn_res: embed(() => resource),
  ops: opaque<pci_ops | null>(() => null),
  number: u8(),
  primary: u8(),
  name: str(),
  bridge_ctl: u16(),
  bus_flags: u16(),
  bridge: ptr<device>(),
  dev: embed(() => device),
  is_added: bool(),
}) {}
export class pci_bus extends pci_bus_base {}
export const to_pci_bus = (n: device): pci_bus => container_of(n, pci_bus, "dev");

export class pci_host_bridge extends struct("pci_host_bridge", {
  dev: embed(() => device),
  bus: ptr<pci_bus>(),
  ops: opaque<pci_ops | null>(() => null),
  busnr: int(),
  /** What it passes on: a list in C. */
  windows: opaque<resource[]>(() => []),
}) {}
export const to_pci_host_bridge = (n: device): pci_host_bridge => container_of(n, pci_host_bridge, "dev");

export class pci_vpd extends struct("pci_vpd", {
  lock: embed(() => mutex),
  /** Bytes; 0: not known yet. */
  len: u32(),
  cap: u8(),
}) {}

class pci_dev_base extends struct("pci_dev", {
  bus_list: embed(() => list_head),
  bus: ptr<pci_bus>(),
  /** The bus that this bridge leads to. */
  subordinate: ptr<pci_bus>(),
  slot: ptr<pci_slot>(),

  /** Of the machine. */
  sysdata: ptr<object>(),
  devfn: u32(),
  vendor: u16(),
  device: u16(),
  subsystem_vendor: u16(),
  subsystem_device: u16(),
  /** Base class, subclass, programming interface. */
  class: u32(),
  revision: u8(),
  hdr_type: u8(),
  devcap: u32(),
  pcie_cap: u8(),
  msi_cap: u8(),
  msix_cap: u8(),
  rom_base_reg: u8(),
  pin: u8(),
  pcie_flags_reg: u16(),

  driver: ptr<pci_driver>(),
  /** `u64` in C, and what dev.dma_mask points to. */
  dma_mask: opaque(() => ({ value: 0n })),

  current_state: int(),
  pm_cap: u8(),
  imm_ready: bool(),
  d1_support: bool(),
  d2_support: bool(),
  d3cold_allowed: bool(),
  /** Milliseconds. */
  d3hot_delay: u32(),
  d3cold_delay: u32(),

  error_state: int(),
  dev: embed(() => device),
  cfg_size: int(),
  irq: u32(),
  resource: array(
    DEVICE_COUNT_RESOURCE,
    embed(() => resource),
  ),
  match_driver: bool(),

  transparent: bool(),
  io_window: bool(),
  pref_window: bool(),
  pref_64_window: bool(),
  multifunction: bool(),
  is_busmaster: bool(),
  no_msi: bool(),
  block_cfg_access: bool(),
  broken_parity_status: bool(),
  /** Mapped as long as MSI-X is on. */
  msix_base: ptr<iomem>(),
  /** Of the mask of MSI. */
  msi_lock: embed(() => spinlock_t),
  msi_enabled: bool(),
  msix_enabled: bool(),
  is_physfn: bool(),
  is_virtfn: bool(),
  /** PCI_COMMAND_MEMORY is not there: memory is always decoded. */
  no_command_memory: bool(),
  is_probed: bool(),
  broken_intx_masking: bool(),
  state_saved: bool(),
  dev_flags: u16(),
  enable_cnt: embed(() => atomic_t),

  saved_config_space: array(16, u32()),
  saved_cap_space: embed(() => hlist_head),
  res_attr: array(DEVICE_COUNT_RESOURCE, ptr<bin_attribute>()),
  /** The physical function of a virtual one. */
  physfn: ptr<pci_dev>(),
  vpd: embed(() => pci_vpd),
  acs_cap: u16(),
  /** Kept by the slab: what user space wrote. */
  driver_override: str(),
  /** PCI_DEV_ADDED and PCI_DEV_DISCONNECTED. */
  priv_flags: u32(),
  /** Indices of the methods, 0 ends them. */
  reset_methods: array(PCI_NUM_RESET_METHODS, u8()),
}) {}
export class pci_dev extends pci_dev_base {}
export const to_pci_dev = (n: device): pci_dev => container_of(n, pci_dev, "dev");

/** What a driver does when the bus reports an error, and around resets. */
export interface pci_error_handlers {
  readonly error_detected?: (dev: pci_dev, error: pci_channel_state_t) => Sleeps<pci_ers_result_t> | pci_ers_result_t;
  readonly reset_prepare?: (dev: pci_dev) => Sleeps | void;
  readonly reset_done?: (dev: pci_dev) => Sleeps | void;
}

export class pci_dynids extends struct("pci_dynids", { lock: embed(() => spinlock_t), list: embed(() => list_head) }) {}

export class pci_driver extends struct("pci_driver", {
  name: str(),
  /** NULL matches nothing but dynamic ids and driver_override. */
  id_table: opaque<readonly pci_device_id[] | null>(() => null),
  /** Gives 0 or -errno. */
  probe: fn<(dev: pci_dev, id: pci_device_id) => Sleeps<number> | number>(),
  remove: fn<(dev: pci_dev) => Sleeps | void>(),
  shutdown: fn<(dev: pci_dev) => Sleeps | void>(),
  sriov_configure: fn<(dev: pci_dev, num_vfs: number) => Sleeps<number> | number>(),
  err_handler: opaque<pci_error_handlers | null>(() => null),
  groups: opaque<attribute_groups | null>(() => null),
  dev_groups: opaque<attribute_groups | null>(() => null),
  driver: embed(() => device_driver),
  dynids: embed(() => pci_dynids),
  /** The driver, not the kernel, uses the device's DMA. */
  driver_managed_dma: bool(),
}) {}
export const to_pci_driver = (drv: device_driver): pci_driver => container_of(drv, pci_driver, "driver");

export const dev_is_pci = (d: device): boolean => d.bus === pci_bus_type();
/** Without quirks of devices that use each other's requester IDs. */
export const pci_devs_are_dma_aliases = (_dev1: pci_dev, _dev2: pci_dev): boolean => false;

export const pci_name = (pdev: pci_dev): string => dev_name(pdev.dev) ?? "";
export const pci_dev_id = (dev: pci_dev): number => PCI_DEVID(dev.bus!.number, dev.devfn);
/** One domain: segment 0. */
export const pci_domain_nr = (_bus: pci_bus): number => 0;
export const pci_is_root_bus = (pbus: pci_bus): boolean => !pbus.parent;
export const pci_is_bridge = (dev: pci_dev): boolean =>
  dev.hdr_type === PCI_HEADER_TYPE_BRIDGE || dev.hdr_type === PCI_HEADER_TYPE_CARDBUS;
/** The bridge that leads to the device; NULL on a root bus. */
export function pci_upstream_bridge(dev: pci_dev): pci_dev | null {
  dev = pci_physfn(dev);
  if (pci_is_root_bus(dev.bus!)) return null;

  return dev.bus!.self;
}
export const pci_physfn = (dev: pci_dev): pci_dev => (dev.is_virtfn ? dev.physfn! : dev);
export const pci_pcie_cap = (dev: pci_dev): number => dev.pcie_cap;
export const pci_is_pcie = (dev: pci_dev): boolean => pci_pcie_cap(dev) !== 0;
export const pcie_caps_reg = (dev: pci_dev): number => dev.pcie_flags_reg;
export const pci_pcie_type = (dev: pci_dev): number => (pcie_caps_reg(dev) & PCI_EXP_FLAGS_TYPE) >> 4;
export function pcie_downstream_port(dev: pci_dev): boolean {
  const type = pci_pcie_type(dev);

  return type === PCI_EXP_TYPE_ROOT_PORT || type === PCI_EXP_TYPE_DOWNSTREAM || type === PCI_EXP_TYPE_PCIE_BRIDGE;
}
export const pci_is_enabled = (pdev: pci_dev): boolean => atomic_read(pdev.enable_cnt) > 0;
export const pci_reset_supported = (dev: pci_dev): boolean => dev.reset_methods.at(0) !== 0;
export const pci_ari_enabled = (_bus: pci_bus): boolean => false;
export const pci_resource_start = (dev: pci_dev, bar: number): bigint => dev.resource.at(bar).start;
export const pci_resource_end = (dev: pci_dev, bar: number): bigint => dev.resource.at(bar).end;
export const pci_resource_flags = (dev: pci_dev, bar: number): number => dev.resource.at(bar).flags;
/** Bytes; 0 for a BAR that is not there. */
export function pci_resource_len(dev: pci_dev, bar: number): bigint {
  const res = dev.resource.at(bar);
  return res.end ? resource_size(res) : 0n;
}
/** An all-ones answer: there may be nobody. */
export const PCI_POSSIBLE_ERROR = (val: number, bits: 16 | 32): boolean => val === 2 ** bits - 1;

const PCI_DEV_ADDED = 0;
export const pci_dev_is_added = (dev: pci_dev): boolean => (dev.priv_flags & (1 << PCI_DEV_ADDED)) !== 0;
export function pci_dev_assign_added(dev: pci_dev, added: boolean): void {
  if (added) dev.priv_flags |= 1 << PCI_DEV_ADDED;
  else dev.priv_flags &= ~(1 << PCI_DEV_ADDED);
}
/** Gone without a word: nothing is read from it or written to it any more. */
export const pci_dev_is_disconnected = (dev: pci_dev): boolean => dev.error_state === pci_channel_io_perm_failure;
export function pci_dev_set_disconnected(dev: pci_dev, _unused: unknown): number {
  dev.error_state = pci_channel_io_perm_failure;
  return 0;
}

export const pci_err = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_err(pdev.dev, fmt, ...args);
export const pci_warn = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_warn(pdev.dev, fmt, ...args);
export const pci_notice = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_notice(pdev.dev, fmt, ...args);
export const pci_info = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_info(pdev.dev, fmt, ...args);
export const pci_dbg = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_dbg(pdev.dev, fmt, ...args);
export const pci_notice_ratelimited = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_notice_ratelimited(pdev.dev, fmt, ...args);
export const pci_info_ratelimited = (pdev: pci_dev, fmt: string, ...args: readonly printf_arg[]): void =>
  dev_info_ratelimited(pdev.dev, fmt, ...args);

export {
  pci_bus_read_config_byte,
  pci_bus_read_config_dword,
  pci_bus_read_config_word,
  pci_bus_write_config_byte,
  pci_bus_write_config_dword,
  pci_bus_write_config_word,
  pci_cfg_access_lock,
  pci_cfg_access_trylock,
  pci_cfg_access_unlock,
  pci_read_config_byte,
  pci_read_config_dword,
  pci_read_config_word,
  pci_user_read_config_byte,
  pci_user_read_config_dword,
  pci_user_read_config_word,
  pci_user_write_config_byte,
  pci_user_write_config_dword,
  pci_user_write_config_word,
  pci_write_config_byte,
  pci_write_config_dword,
  pci_write_config_word,
  pcie_capability_clear_and_set_word,
  pcie_capability_read_dword,
  pcie_capability_read_word,
  pcie_capability_write_word,
} from "../../drivers/pci/access.ts";
export { pci_bus_add_device, pci_bus_add_devices, pci_walk_bus } from "../../drivers/pci/bus.ts";
export {
  pci_alloc_irq_vectors,
  pci_free_irq_vectors,
  pci_irq_vector,
  pci_write_msi_msg,
} from "../../drivers/pci/msi/msi.ts";
export { pci_disable_sriov, pci_enable_sriov, pci_num_vf } from "../../drivers/pci/iov.ts";
export {
  __pci_reset_function_locked,
  pci_acs_enabled,
  pci_acs_path_enabled,
  pci_bus_max_busnr,
  pci_check_and_mask_intx,
  pci_check_and_unmask_intx,
  pci_clear_master,
  pci_dev_trylock,
  pci_dev_unlock,
  pci_disable_device,
  pci_enable_device,
  pci_find_capability,
  pci_find_ext_capability,
  pci_find_next_capability,
  pci_find_next_ext_capability,
  pci_intx,
  pci_load_and_free_saved_state,
  pci_load_saved_state,
  pci_probe_reset_bus,
  pci_probe_reset_slot,
  pci_release_selected_regions,
  pci_request_selected_regions,
  pci_reset_bus,
  pci_reset_function,
  pci_restore_state,
  type pci_saved_state,
  pci_save_state,
  pci_set_master,
  pci_set_power_state,
  pci_store_saved_state,
  pci_try_reset_function,
  pcie_get_mps,
  pcie_get_readrq,
  pcie_set_readrq,
} from "../../drivers/pci/pci.ts";
export {
  __pci_register_driver,
  pci_add_dynid,
  pci_bus_type,
  pci_dev_driver,
  pci_dev_get,
  pci_dev_put,
  pci_match_id,
  pci_unregister_driver,
} from "../../drivers/pci/pci-driver.ts";
export {
  pci_create_root_bus,
  pci_lock_rescan_remove,
  pci_rescan_bus,
  pci_scan_child_bus,
  pci_unlock_rescan_remove,
} from "../../drivers/pci/probe.ts";
export { pci_disable_rom, pci_enable_rom, pci_map_rom, pci_unmap_rom } from "../../drivers/pci/rom.ts";
export { pci_iomap, pci_iounmap } from "../../kernel/lib/pci_iomap.ts";
export { pci_stop_and_remove_bus_device, pci_stop_and_remove_bus_device_locked } from "../../drivers/pci/remove.ts";
export {
  pci_find_bus,
  pci_find_next_bus,
  pci_for_each_dma_alias,
  pci_get_class,
  pci_get_device,
  pci_get_domain_bus_and_slot,
  pci_get_slot,
} from "../../drivers/pci/search.ts";
export { pci_assign_resource, pci_claim_resource, pci_enable_resources } from "../../drivers/pci/setup-res.ts";
export { pci_read_vpd, pci_read_vpd_any, pci_write_vpd, pci_write_vpd_any } from "../../drivers/pci/vpd.ts";

/** Whether INTx can be masked by the command register. */
export const pci_intx_mask_supported = (pdev: pci_dev): boolean => !pdev.broken_intx_masking;
