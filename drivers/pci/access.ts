// SPDX-License-Identifier: GPL-2.0-only
/**
 * Configuration space. The kernel's own accesses take no lock, as on x86 (CONFIG_PCI_LOCKLESS_CONFIG); those for user space
 * wait while access is blocked. Source: drivers/pci/access.c. Not here: accesses through memory that the kernel maps.
 */
import { WARN_ON } from "#linux/bug.ts";
import { EINVAL } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { might_sleep } from "#linux/kernel.ts";
import {
  type config_value,
  PCI_EXP_DEVCAP,
  PCI_EXP_DEVCAP2,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL2,
  PCI_EXP_DEVSTA,
  PCI_EXP_FLAGS,
  PCI_EXP_FLAGS_SLOT,
  PCI_EXP_FLAGS_VERS,
  PCI_EXP_LNKCAP,
  PCI_EXP_LNKCAP2,
  PCI_EXP_LNKCTL,
  PCI_EXP_LNKCTL2,
  PCI_EXP_LNKSTA,
  PCI_EXP_LNKSTA2,
  PCI_EXP_RTCAP,
  PCI_EXP_RTCTL,
  PCI_EXP_RTSTA,
  PCI_EXP_SLTCAP,
  PCI_EXP_SLTCTL,
  PCI_EXP_SLTSTA,
  PCI_EXP_SLTSTA_PDS,
  PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_ENDPOINT,
  PCI_EXP_TYPE_LEG_END,
  PCI_EXP_TYPE_PCI_BRIDGE,
  PCI_EXP_TYPE_PCIE_BRIDGE,
  PCI_EXP_TYPE_RC_EC,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXP_TYPE_UPSTREAM,
  type pci_bus,
  type pci_dev,
  pci_dev_is_disconnected,
  pci_is_pcie,
  pci_pcie_cap,
  pci_pcie_type,
  PCIBIOS_BAD_REGISTER_NUMBER,
  PCIBIOS_DEVICE_NOT_FOUND,
  pcibios_err_to_errno,
  pcie_caps_reg,
  pcie_downstream_port,
} from "#linux/pci.ts";
import {
  DEFINE_RAW_SPINLOCK,
  raw_spin_lock_irq,
  raw_spin_lock_irqsave,
  raw_spin_unlock_irq,
  raw_spin_unlock_irqrestore,
} from "#linux/spinlock.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { DECLARE_WAIT_QUEUE_HEAD, wait_event, wake_up_all } from "#linux/wait.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  pci_lock: DEFINE_RAW_SPINLOCK("pci_lock"),
  pci_cfg_wait: DECLARE_WAIT_QUEUE_HEAD("pci_cfg_wait"),
}));

export const pci_lock = (): typeof s.pci_lock => s.pci_lock;

type size = 1 | 2 | 4;
/** PCI_SET_ERROR_RESPONSE() */
const all_ones = (len: size): number => 2 ** (8 * len) - 1;

function bus_read(bus: pci_bus, devfn: number, pos: number, len: size, value: config_value): number {
  const data = { value: 0 };

  if (pos & (len - 1)) return PCIBIOS_BAD_REGISTER_NUMBER;
  const res = bus.ops!.read(bus, devfn, pos, len, data);
  value.value = res ? all_ones(len) : data.value;
  return res;
}
function bus_write(bus: pci_bus, devfn: number, pos: number, len: size, value: number): number {
  if (pos & (len - 1)) return PCIBIOS_BAD_REGISTER_NUMBER;
  return bus.ops!.write(bus, devfn, pos, len, value);
}

/** Reads from a function that may have no pci_dev yet. @return 0 or PCIBIOS_…, and all ones. Any context */
export function pci_bus_read_config_byte(bus: pci_bus, devfn: number, pos: number, value: config_value): number {
  return bus_read(bus, devfn, pos, 1, value);
}
EXPORT_SYMBOL(pci_bus_read_config_byte);
export function pci_bus_read_config_word(bus: pci_bus, devfn: number, pos: number, value: config_value): number {
  return bus_read(bus, devfn, pos, 2, value);
}
EXPORT_SYMBOL(pci_bus_read_config_word);
export function pci_bus_read_config_dword(bus: pci_bus, devfn: number, pos: number, value: config_value): number {
  return bus_read(bus, devfn, pos, 4, value);
}
EXPORT_SYMBOL(pci_bus_read_config_dword);
export function pci_bus_write_config_byte(bus: pci_bus, devfn: number, pos: number, value: number): number {
  return bus_write(bus, devfn, pos, 1, value);
}
EXPORT_SYMBOL(pci_bus_write_config_byte);
export function pci_bus_write_config_word(bus: pci_bus, devfn: number, pos: number, value: number): number {
  return bus_write(bus, devfn, pos, 2, value);
}
EXPORT_SYMBOL(pci_bus_write_config_word);
export function pci_bus_write_config_dword(bus: pci_bus, devfn: number, pos: number, value: number): number {
  return bus_write(bus, devfn, pos, 4, value);
}
EXPORT_SYMBOL(pci_bus_write_config_dword);

function* pci_wait_cfg(dev: pci_dev): Sleeps {
  do {
    yield* raw_spin_unlock_irq(s.pci_lock);
    yield* wait_event(s.pci_cfg_wait, () => !dev.block_cfg_access);
    yield* raw_spin_lock_irq(s.pci_lock);
  } while (dev.block_cfg_access);
}

function* user_read(dev: pci_dev, pos: number, len: size, val: config_value): Sleeps<number> {
  const data = { value: 0xffffffff };

  if (pos & (len - 1)) return -EINVAL;
  yield* raw_spin_lock_irq(s.pci_lock);
  if (dev.block_cfg_access) yield* pci_wait_cfg(dev);
  const ret = dev.bus!.ops!.read(dev.bus!, dev.devfn, pos, len, data);
  yield* raw_spin_unlock_irq(s.pci_lock);
  val.value = ret ? all_ones(len) : data.value;
  return pcibios_err_to_errno(ret);
}
function* user_write(dev: pci_dev, pos: number, len: size, val: number): Sleeps<number> {
  if (pos & (len - 1)) return -EINVAL;
  yield* raw_spin_lock_irq(s.pci_lock);
  if (dev.block_cfg_access) yield* pci_wait_cfg(dev);
  const ret = dev.bus!.ops!.write(dev.bus!, dev.devfn, pos, len, val);
  yield* raw_spin_unlock_irq(s.pci_lock);
  return pcibios_err_to_errno(ret);
}

/** Reads for user space: waits while access is blocked. @return 0 or -errno. May sleep */
export function pci_user_read_config_byte(dev: pci_dev, pos: number, val: config_value): Sleeps<number> {
  return user_read(dev, pos, 1, val);
}
EXPORT_SYMBOL_GPL(pci_user_read_config_byte);
export function pci_user_read_config_word(dev: pci_dev, pos: number, val: config_value): Sleeps<number> {
  return user_read(dev, pos, 2, val);
}
EXPORT_SYMBOL_GPL(pci_user_read_config_word);
export function pci_user_read_config_dword(dev: pci_dev, pos: number, val: config_value): Sleeps<number> {
  return user_read(dev, pos, 4, val);
}
EXPORT_SYMBOL_GPL(pci_user_read_config_dword);
export function pci_user_write_config_byte(dev: pci_dev, pos: number, val: number): Sleeps<number> {
  return user_write(dev, pos, 1, val);
}
EXPORT_SYMBOL_GPL(pci_user_write_config_byte);
export function pci_user_write_config_word(dev: pci_dev, pos: number, val: number): Sleeps<number> {
  return user_write(dev, pos, 2, val);
}
EXPORT_SYMBOL_GPL(pci_user_write_config_word);
export function pci_user_write_config_dword(dev: pci_dev, pos: number, val: number): Sleeps<number> {
  return user_write(dev, pos, 4, val);
}
EXPORT_SYMBOL_GPL(pci_user_write_config_dword);

/** From here on accesses for user space, and others who lock, wait. May sleep. */
export function* pci_cfg_access_lock(dev: pci_dev): Sleeps {
  might_sleep();

  yield* raw_spin_lock_irq(s.pci_lock);
  if (dev.block_cfg_access) yield* pci_wait_cfg(dev);
  dev.block_cfg_access = true;
  yield* raw_spin_unlock_irq(s.pci_lock);
}
EXPORT_SYMBOL_GPL(pci_cfg_access_lock);

/** The same if nobody has locked it. @return whether. Any context */
export function* pci_cfg_access_trylock(dev: pci_dev): Spins<boolean> {
  let locked = true;

  const flags = yield* raw_spin_lock_irqsave(s.pci_lock);
  if (dev.block_cfg_access) locked = false;
  else dev.block_cfg_access = true;
  yield* raw_spin_unlock_irqrestore(s.pci_lock, flags);

  return locked;
}
EXPORT_SYMBOL_GPL(pci_cfg_access_trylock);

/** The opposite. Any context. */
export function* pci_cfg_access_unlock(dev: pci_dev): Spins {
  const flags = yield* raw_spin_lock_irqsave(s.pci_lock);

  WARN_ON(!dev.block_cfg_access);

  dev.block_cfg_access = false;
  yield* raw_spin_unlock_irqrestore(s.pci_lock, flags);

  yield* wake_up_all(s.pci_cfg_wait);
}
EXPORT_SYMBOL_GPL(pci_cfg_access_unlock);

const pcie_cap_version = (dev: pci_dev): number => pcie_caps_reg(dev) & PCI_EXP_FLAGS_VERS;

function pcie_cap_has_lnkctl(dev: pci_dev): boolean {
  const type = pci_pcie_type(dev);

  return (
    type === PCI_EXP_TYPE_ENDPOINT ||
    type === PCI_EXP_TYPE_LEG_END ||
    type === PCI_EXP_TYPE_ROOT_PORT ||
    type === PCI_EXP_TYPE_UPSTREAM ||
    type === PCI_EXP_TYPE_DOWNSTREAM ||
    type === PCI_EXP_TYPE_PCI_BRIDGE ||
    type === PCI_EXP_TYPE_PCIE_BRIDGE
  );
}
const pcie_cap_has_sltctl = (dev: pci_dev): boolean =>
  pcie_downstream_port(dev) && (pcie_caps_reg(dev) & PCI_EXP_FLAGS_SLOT) !== 0;
function pcie_cap_has_rtctl(dev: pci_dev): boolean {
  const type = pci_pcie_type(dev);

  return type === PCI_EXP_TYPE_ROOT_PORT || type === PCI_EXP_TYPE_RC_EC;
}

function pcie_capability_reg_implemented(dev: pci_dev, pos: number): boolean {
  if (!pci_is_pcie(dev)) return false;

  switch (pos) {
    case PCI_EXP_FLAGS:
      return true;
    case PCI_EXP_DEVCAP:
    case PCI_EXP_DEVCTL:
    case PCI_EXP_DEVSTA:
      return true;
    case PCI_EXP_LNKCAP:
    case PCI_EXP_LNKCTL:
    case PCI_EXP_LNKSTA:
      return pcie_cap_has_lnkctl(dev);
    case PCI_EXP_SLTCAP:
    case PCI_EXP_SLTCTL:
    case PCI_EXP_SLTSTA:
      return pcie_cap_has_sltctl(dev);
    case PCI_EXP_RTCTL:
    case PCI_EXP_RTCAP:
    case PCI_EXP_RTSTA:
      return pcie_cap_has_rtctl(dev);
    case PCI_EXP_DEVCAP2:
    case PCI_EXP_DEVCTL2:
    case PCI_EXP_LNKCAP2:
    case PCI_EXP_LNKCTL2:
    case PCI_EXP_LNKSTA2:
      return pcie_cap_version(dev) > 1;
    default:
      return false;
  }
}

function capability_read(dev: pci_dev, pos: number, len: 2 | 4, val: config_value): number {
  val.value = 0;
  if (pos & (len - 1)) return PCIBIOS_BAD_REGISTER_NUMBER;

  if (pcie_capability_reg_implemented(dev, pos)) {
    const ret = dev_read(dev, pci_pcie_cap(dev) + pos, len, val);
    // Ones of a read that failed must not look like bits.
    if (ret) val.value = 0;
    return ret;
  }

  // A port without a slot has something in it.
  if (pci_is_pcie(dev) && pcie_downstream_port(dev) && pos === PCI_EXP_SLTSTA) val.value = PCI_EXP_SLTSTA_PDS;

  return 0;
}
/** Reads a register of the PCI Express capability, 0 if the device need not have it. @return 0 or PCIBIOS_…. Any context */
export function pcie_capability_read_word(dev: pci_dev, pos: number, val: config_value): number {
  return capability_read(dev, pos, 2, val);
}
EXPORT_SYMBOL(pcie_capability_read_word);
export function pcie_capability_read_dword(dev: pci_dev, pos: number, val: config_value): number {
  return capability_read(dev, pos, 4, val);
}
EXPORT_SYMBOL(pcie_capability_read_dword);
export function pcie_capability_write_word(dev: pci_dev, pos: number, val: number): number {
  if (pos & 1) return PCIBIOS_BAD_REGISTER_NUMBER;

  if (!pcie_capability_reg_implemented(dev, pos)) return 0;

  return pci_write_config_word(dev, pci_pcie_cap(dev) + pos, val);
}
EXPORT_SYMBOL(pcie_capability_write_word);

/** Read, change, write; without a lock, as for all registers but those of links and root ports. */
export function pcie_capability_clear_and_set_word(dev: pci_dev, pos: number, clear: number, set: number): number {
  const val = { value: 0 };

  let ret = pcie_capability_read_word(dev, pos, val);
  if (!ret) ret = pcie_capability_write_word(dev, pos, (val.value & ~clear) | set);

  return ret;
}

function dev_read(dev: pci_dev, where: number, len: size, val: config_value): number {
  if (pci_dev_is_disconnected(dev)) {
    val.value = all_ones(len);
    return PCIBIOS_DEVICE_NOT_FOUND;
  }
  return bus_read(dev.bus!, dev.devfn, where, len, val);
}
function dev_write(dev: pci_dev, where: number, len: size, val: number): number {
  if (pci_dev_is_disconnected(dev)) return PCIBIOS_DEVICE_NOT_FOUND;
  return bus_write(dev.bus!, dev.devfn, where, len, val);
}

/** Reads from a device. @return 0 or PCIBIOS_…, and all ones. Any context */
export function pci_read_config_byte(dev: pci_dev, where: number, val: config_value): number {
  return dev_read(dev, where, 1, val);
}
EXPORT_SYMBOL(pci_read_config_byte);
export function pci_read_config_word(dev: pci_dev, where: number, val: config_value): number {
  return dev_read(dev, where, 2, val);
}
EXPORT_SYMBOL(pci_read_config_word);
export function pci_read_config_dword(dev: pci_dev, where: number, val: config_value): number {
  return dev_read(dev, where, 4, val);
}
EXPORT_SYMBOL(pci_read_config_dword);
export function pci_write_config_byte(dev: pci_dev, where: number, val: number): number {
  return dev_write(dev, where, 1, val);
}
EXPORT_SYMBOL(pci_write_config_byte);
export function pci_write_config_word(dev: pci_dev, where: number, val: number): number {
  return dev_write(dev, where, 2, val);
}
EXPORT_SYMBOL(pci_write_config_word);
export function pci_write_config_dword(dev: pci_dev, where: number, val: number): number {
  return dev_write(dev, where, 4, val);
}
EXPORT_SYMBOL(pci_write_config_dword);
