// SPDX-License-Identifier: GPL-2.0-only
/**
 * Functions of PCI devices: capabilities, power states, saved state, enabling, resets. Source: drivers/pci/pci.c
 *
 * Not here: power management by the platform (ACPI), PME and wakeup, D3cold, ASPM, hotplug slots and their resets, quirks and
 * ACPI methods among the resets, managed (pcim_) functions, and of the saved state what no device here has: LTR, DPC, AER,
 * PTM, virtual channels, resizable BARs, ATS, PRI, PASID, SR-IOV.
 */
import { atomic_dec, atomic_dec_return, atomic_inc_return, atomic_read } from "#linux/atomic.ts";
import { ffs, is_power_of_2 } from "#linux/bitops.ts";
import { msleep, udelay, usleep_range } from "#linux/delay.ts";
import { dev_WARN_ONCE, device_lock, device_trylock, device_unlock } from "#linux/device.ts";
import { EAGAIN, EBUSY, EINVAL, EIO, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_PREFETCH,
  IORESOURCE_UNSET,
  release_mem_region,
  release_region,
  request_mem_region,
  request_region,
  type resource,
  resource_type,
} from "#linux/ioport.ts";
import { might_sleep } from "#linux/kernel.ts";
import {
  hlist_add_head,
  hlist_for_each_entry,
  hlist_node,
  list_empty,
  list_first_entry,
  list_for_each_entry,
  list_for_each_entry_continue_reverse,
} from "#linux/list.ts";
import {
  PCI_ACS_CAP,
  PCI_ACS_CR,
  PCI_ACS_CTRL,
  PCI_ACS_EC,
  PCI_ACS_RR,
  PCI_ACS_SV,
  PCI_ACS_UF,
  PCI_AF_CAP,
  PCI_AF_CAP_FLR,
  PCI_AF_CAP_TP,
  PCI_AF_CTRL,
  PCI_AF_CTRL_FLR,
  PCI_AF_STATUS_TP,
  PCI_BRIDGE_CONTROL,
  PCI_BRIDGE_CTL_BUS_RESET,
  PCI_BRIDGE_RESOURCES,
  pci_bus,
  pci_bus_read_config_byte,
  pci_bus_read_config_word,
  PCI_CAP_ID_AF,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_PCIX,
  PCI_CAP_ID_PM,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_CB_CAPABILITY_LIST,
  pci_cfg_access_lock,
  pci_cfg_access_trylock,
  pci_cfg_access_unlock,
  PCI_CFG_SPACE_EXP_SIZE,
  PCI_CFG_SPACE_SIZE,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_MASTER,
  PCI_D0,
  PCI_D1,
  PCI_D2,
  PCI_D3cold,
  PCI_D3hot,
  pci_dbg,
  pci_dev,
  PCI_DEV_FLAGS_NO_BUS_RESET,
  PCI_DEV_FLAGS_NO_D3,
  PCI_DEV_FLAGS_NO_FLR_RESET,
  PCI_DEV_FLAGS_NO_PM_RESET,
  pci_dev_get,
  pci_dev_is_disconnected,
  pci_dev_put,
  pci_err,
  PCI_EXP_DEVCAP_FLR,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL_BCR_FLR,
  PCI_EXP_DEVCTL_PAYLOAD,
  PCI_EXP_DEVCTL_READRQ,
  PCI_EXP_DEVSTA,
  PCI_EXP_DEVSTA_TRPND,
  PCI_EXP_LNKCTL,
  PCI_EXP_LNKCTL2,
  PCI_EXP_RTCTL,
  PCI_EXP_SLTCTL,
  PCI_EXP_SLTCTL2,
  PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_ENDPOINT,
  PCI_EXP_TYPE_LEG_END,
  PCI_EXP_TYPE_PCI_BRIDGE,
  PCI_EXP_TYPE_PCIE_BRIDGE,
  PCI_EXP_TYPE_RC_EC,
  PCI_EXP_TYPE_RC_END,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXP_TYPE_UPSTREAM,
  PCI_EXT_CAP_ID,
  PCI_EXT_CAP_ID_ACS,
  PCI_EXT_CAP_NEXT,
  PCI_HEADER_TYPE_BRIDGE,
  PCI_HEADER_TYPE_CARDBUS,
  PCI_HEADER_TYPE_NORMAL,
  pci_info,
  pci_info_ratelimited,
  PCI_INTERRUPT_PIN,
  pci_is_bridge,
  pci_is_enabled,
  pci_is_pcie,
  pci_is_root_bus,
  PCI_LATENCY_TIMER,
  PCI_NUM_RESET_METHODS,
  pci_pcie_cap,
  pci_pcie_type,
  PCI_PM_CAP_D1,
  PCI_PM_CAP_D2,
  PCI_PM_CAP_VER_MASK,
  PCI_PM_CTRL,
  PCI_PM_CTRL_NO_SOFT_RESET,
  PCI_PM_CTRL_STATE_MASK,
  PCI_PM_D2_DELAY,
  PCI_PM_D3COLD_WAIT,
  PCI_PM_D3HOT_WAIT,
  PCI_PM_PMC,
  PCI_POSSIBLE_ERROR,
  pci_power_name,
  type pci_power_t,
  pci_read_config_byte,
  pci_read_config_dword,
  pci_read_config_word,
  PCI_RESET_DO_RESET,
  PCI_RESET_PROBE,
  pci_reset_supported,
  pci_resource_flags,
  pci_resource_len,
  pci_resource_start,
  PCI_ROM_RESOURCE,
  type pci_slot,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STATUS_IMM_READY,
  PCI_STATUS_INTERRUPT,
  PCI_STD_NUM_BARS,
  pci_upstream_bridge,
  pci_warn,
  pci_write_config_byte,
  pci_write_config_dword,
  pci_write_config_word,
  PCI_X_CMD,
  pcibios_err_to_errno,
  PCIBIOS_SUCCESSFUL,
  pcie_capability_read_word,
  pcie_capability_write_word,
  pcie_capability_clear_and_set_word,
  pcie_downstream_port,
  DEVICE_COUNT_RESOURCE,
} from "#linux/pci.ts";
import { pm_runtime_enable, pm_runtime_forbid, pm_runtime_set_active } from "#linux/pm_runtime.ts";
import { DECLARE_RWSEM, down_read, up_read } from "#linux/rwsem.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { array, bool, embed, opaque, READY, type Sleeps, type Spins, struct, u16, u32 } from "#linux/types.ts";
import { pci_lock } from "./access.ts";
import { pci_restore_msi_state } from "./msi/msi.ts";
import { pci_enable_resources, pci_update_resource } from "./setup-res.ts";

const { per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({ pci_bus_sem: DECLARE_RWSEM("pci_bus_sem") }));
/** `&pci_bus_sem`: the lists of devices and buses. */
export const pci_bus_sem = () => s.pci_bus_sem;

/** Words of a capability: as many as the longest has that is saved. */
const PCI_EXP_SAVE_REGS = 7;
class pci_cap_saved_data extends struct("pci_cap_saved_data", {
  cap_nr: u16(),
  cap_extended: bool(),
  /** Bytes; the rest of `data` is not used. */
  size: u32(),
  data: array(PCI_EXP_SAVE_REGS, u16()),
}) {}
class pci_cap_saved_state extends struct("pci_cap_saved_state", {
  next: embed(() => hlist_node),
  cap: embed(() => pci_cap_saved_data),
}) {}
/** A copy of a device's saved state. */
export class pci_saved_state extends struct("pci_saved_state", {
  config_space: array(16, u32()),
  /** One after the other at the end of the struct in C. */
  cap: opaque<pci_cap_saved_data[]>(() => []),
}) {}

const bar_name = ["BAR 0", "BAR 1", "BAR 2", "BAR 3", "BAR 4", "BAR 5", "ROM"] as const;
/** What a resource is called in messages. */
export function pci_resource_name(_dev: pci_dev, i: number): string {
  if (i < bar_name.length) return bar_name[i]!;
  if (i < PCI_BRIDGE_RESOURCES) return `VF BAR ${i - PCI_ROM_RESOURCE - 1}`;
  if (i < DEVICE_COUNT_RESOURCE - 1) return "bridge window";
  return "unknown";
}

/** The highest bus number at or below a bus. */
export function pci_bus_max_busnr(bus: pci_bus): number {
  let max = Number(bus.busn_res.end) & 0xff;
  for (const tmp of list_for_each_entry(bus.children, pci_bus, "node")) {
    const n = pci_bus_max_busnr(tmp);
    if (n > max) max = n;
  }
  return max;
}
EXPORT_SYMBOL_GPL(pci_bus_max_busnr);

const PCI_FIND_CAP_TTL = 48;

function __pci_find_next_cap(bus: pci_bus, devfn: number, start: number, cap: number): number {
  const pos = { value: 0 };
  const ent = { value: 0 };

  pci_bus_read_config_byte(bus, devfn, start, pos);

  for (let ttl = PCI_FIND_CAP_TTL; ttl > 0; ttl--) {
    if (pos.value < 0x40) break;
    pos.value &= ~3;
    pci_bus_read_config_word(bus, devfn, pos.value, ent);

    const id = ent.value & 0xff;
    if (id === 0xff) break;
    if (id === cap) return pos.value;
    pos.value = ent.value >> 8;
  }
  return 0;
}

/** The next capability of that kind behind `pos`; 0. Any context. */
export function pci_find_next_capability(dev: pci_dev, pos: number, cap: number): number {
  return __pci_find_next_cap(dev.bus!, dev.devfn, pos + PCI_CAP_LIST_NEXT, cap);
}
EXPORT_SYMBOL_GPL(pci_find_next_capability);

function __pci_bus_find_cap_start(bus: pci_bus, devfn: number, hdr_type: number): number {
  const status = { value: 0 };

  pci_bus_read_config_word(bus, devfn, PCI_STATUS, status);
  if (!(status.value & PCI_STATUS_CAP_LIST)) return 0;

  switch (hdr_type) {
    case PCI_HEADER_TYPE_NORMAL:
    case PCI_HEADER_TYPE_BRIDGE:
      return PCI_CAPABILITY_LIST;
    case PCI_HEADER_TYPE_CARDBUS:
      return PCI_CB_CAPABILITY_LIST;
  }

  return 0;
}

/** Where a capability is; 0 if there is none. Any context. */
export function pci_find_capability(dev: pci_dev, cap: number): number {
  let pos = __pci_bus_find_cap_start(dev.bus!, dev.devfn, dev.hdr_type);
  if (pos) pos = __pci_find_next_cap(dev.bus!, dev.devfn, pos, cap);

  return pos;
}
EXPORT_SYMBOL(pci_find_capability);

/** The next extended capability of that kind behind `start`; 0. Any context. */
export function pci_find_next_ext_capability(dev: pci_dev, start: number, cap: number): number {
  const header = { value: 0 };
  let pos = PCI_CFG_SPACE_SIZE;

  // Each has eight bytes at least.
  let ttl = (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8;

  if (dev.cfg_size <= PCI_CFG_SPACE_SIZE) return 0;

  if (start) pos = start;

  if (pci_read_config_dword(dev, pos, header) !== PCIBIOS_SUCCESSFUL) return 0;

  if (header.value === 0) return 0;

  while (ttl-- > 0) {
    if (PCI_EXT_CAP_ID(header.value) === cap && pos !== start) return pos;

    pos = PCI_EXT_CAP_NEXT(header.value);
    if (pos < PCI_CFG_SPACE_SIZE) break;

    if (pci_read_config_dword(dev, pos, header) !== PCIBIOS_SUCCESSFUL) break;
  }

  return 0;
}
EXPORT_SYMBOL_GPL(pci_find_next_ext_capability);
export function pci_find_ext_capability(dev: pci_dev, cap: number): number {
  return pci_find_next_ext_capability(dev, 0, cap);
}
EXPORT_SYMBOL_GPL(pci_find_ext_capability);

function resource_contains(r1: resource, r2: resource): boolean {
  if (resource_type(r1) !== resource_type(r2)) return false;
  if (r1.flags & IORESOURCE_UNSET || r2.flags & IORESOURCE_UNSET) return false;
  return r1.start <= r2.start && r1.end >= r2.end;
}

/** The window of the bus that a resource of a device is in; null. */
export function pci_find_parent_resource(dev: pci_dev, res: resource): resource | null {
  const bus = dev.bus!;

  for (const r of [...bus.resource, ...bus.resources]) {
    if (!r) continue;
    if (resource_contains(r, res)) {
      if (r.flags & IORESOURCE_PREFETCH && !(res.flags & IORESOURCE_PREFETCH)) return null;

      return r;
    }
  }
  return null;
}
EXPORT_SYMBOL(pci_find_parent_resource);

/** Waits for bits to go. @return 1, 0 if they do not within 700 ms. May sleep */
export function* pci_wait_for_pending(dev: pci_dev, pos: number, mask: number): Sleeps<number> {
  for (let i = 0; i < 4; i++) {
    const status = { value: 0 };
    if (i) yield* msleep((1 << (i - 1)) * 100);

    pci_read_config_word(dev, pos, status);
    if (!(status.value & mask)) return 1;
  }

  return 0;
}

function pci_std_enable_acs(dev: pci_dev): void {
  const cap = { value: 0 };
  const ctrl = { value: 0 };

  const pos = dev.acs_cap;
  if (!pos) return;

  pci_read_config_word(dev, pos + PCI_ACS_CAP, cap);
  pci_read_config_word(dev, pos + PCI_ACS_CTRL, ctrl);

  ctrl.value |= cap.value & (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);

  pci_write_config_word(dev, pos + PCI_ACS_CTRL, ctrl.value);
}
/** An IOMMU asks for ACS (pci_request_acs()), as on the machine that was recorded. */
function pci_enable_acs(dev: pci_dev): void {
  pci_std_enable_acs(dev);
}

function pci_restore_bars(dev: pci_dev): void {
  for (let i = 0; i < PCI_BRIDGE_RESOURCES; i++) pci_update_resource(dev, i);
}

/* Power states. The platform has no say: nothing here is managed by it. */

/** Finds out in what state the device is. @state: what to take for it if it cannot say */
export function pci_update_current_state(dev: pci_dev, state: pci_power_t): void {
  if (dev.pm_cap) {
    const pmcsr = { value: 0 };

    pci_read_config_word(dev, dev.pm_cap + PCI_PM_CTRL, pmcsr);
    if (PCI_POSSIBLE_ERROR(pmcsr.value, 16)) {
      dev.current_state = PCI_D3cold;
      return;
    }
    dev.current_state = pmcsr.value & PCI_PM_CTRL_STATE_MASK;
  } else {
    dev.current_state = state;
  }
}

function pci_platform_power_transition(dev: pci_dev, _state: pci_power_t): number {
  if (!dev.pm_cap) dev.current_state = PCI_D0;

  return -EINVAL;
}

function pci_dev_d3_sleep(dev: pci_dev): Sleeps {
  const delay_ms = dev.d3hot_delay;

  return delay_ms ? usleep_range(delay_ms * 1000, (delay_ms + Math.max(Math.round(delay_ms / 5), 1)) * 1000) : READY;
}

/** Brings a device to D0. @return 0, 1 if its state has to be restored, -EIO if it cannot be done or need not. May sleep */
export function* pci_power_up(dev: pci_dev): Sleeps<number> {
  const pmcsr = { value: 0 };

  if (!dev.pm_cap) {
    dev.current_state = PCI_D0;

    return -EIO;
  }

  if (pci_dev_is_disconnected(dev)) {
    dev.current_state = PCI_D3cold;
    return -EIO;
  }

  pci_read_config_word(dev, dev.pm_cap + PCI_PM_CTRL, pmcsr);
  if (PCI_POSSIBLE_ERROR(pmcsr.value, 16)) {
    pci_err(
      dev,
      "Unable to change power state from %s to D0, device inaccessible\n",
      pci_power_name(dev.current_state),
    );
    dev.current_state = PCI_D3cold;
    return -EIO;
  }

  const state = pmcsr.value & PCI_PM_CTRL_STATE_MASK;

  const need_restore =
    (state === PCI_D3hot || dev.current_state >= PCI_D3hot) && !(pmcsr.value & PCI_PM_CTRL_NO_SOFT_RESET);

  if (state !== PCI_D0) {
    pci_write_config_word(dev, dev.pm_cap + PCI_PM_CTRL, 0);

    if (state === PCI_D3hot) yield* pci_dev_d3_sleep(dev);
    else if (state === PCI_D2) udelay(PCI_PM_D2_DELAY);
  }
  dev.current_state = PCI_D0;
  if (need_restore) return 1;

  return 0;
}

function* pci_set_full_power_state(dev: pci_dev): Sleeps<number> {
  const pmcsr = { value: 0 };

  const ret = yield* pci_power_up(dev);
  if (ret < 0) {
    if (dev.current_state === PCI_D0) return 0;

    return ret;
  }

  pci_read_config_word(dev, dev.pm_cap + PCI_PM_CTRL, pmcsr);
  dev.current_state = pmcsr.value & PCI_PM_CTRL_STATE_MASK;
  if (dev.current_state !== PCI_D0) {
    pci_info_ratelimited(dev, "Refused to change power state from %s to D0\n", pci_power_name(dev.current_state));
  } else if (ret > 0) {
    // It may have been reset: where it is comes first.
    pci_restore_bars(dev);
  }

  return 0;
}

function* pci_set_low_power_state(dev: pci_dev, state: pci_power_t): Sleeps<number> {
  const pmcsr = { value: 0 };

  if (!dev.pm_cap) return -EIO;

  // From a low state only to a lower one.
  if (dev.current_state <= PCI_D3cold && dev.current_state > state) {
    pci_dbg(
      dev,
      "Invalid power transition (from %s to %s)\n",
      pci_power_name(dev.current_state),
      pci_power_name(state),
    );
    return -EINVAL;
  }

  if ((state === PCI_D1 && !dev.d1_support) || (state === PCI_D2 && !dev.d2_support)) return -EIO;

  if (dev.current_state === state) return 0;

  pci_read_config_word(dev, dev.pm_cap + PCI_PM_CTRL, pmcsr);
  if (PCI_POSSIBLE_ERROR(pmcsr.value, 16)) {
    pci_err(
      dev,
      "Unable to change power state from %s to %s, device inaccessible\n",
      pci_power_name(dev.current_state),
      pci_power_name(state),
    );
    dev.current_state = PCI_D3cold;
    return -EIO;
  }

  pmcsr.value &= ~PCI_PM_CTRL_STATE_MASK;
  pmcsr.value |= state;

  pci_write_config_word(dev, dev.pm_cap + PCI_PM_CTRL, pmcsr.value);

  if (state === PCI_D3hot) yield* pci_dev_d3_sleep(dev);
  else if (state === PCI_D2) udelay(PCI_PM_D2_DELAY);

  pci_read_config_word(dev, dev.pm_cap + PCI_PM_CTRL, pmcsr);
  dev.current_state = pmcsr.value & PCI_PM_CTRL_STATE_MASK;
  if (dev.current_state !== state)
    pci_info_ratelimited(
      dev,
      "Refused to change power state from %s to %s\n",
      pci_power_name(dev.current_state),
      pci_power_name(state),
    );

  return 0;
}

/** Whether D1 and D2 are of no use, as a bridge above cannot follow. */
function pci_no_d1d2(_dev: pci_dev): boolean {
  return false;
}

/**
 * Puts a device into a power state. @return 0, also where the state is not for this device; -EINVAL from a lower state to a
 * higher one but D0; -EIO. May sleep. Source: drivers/pci/pci.c
 */
export function* pci_set_power_state(dev: pci_dev, state: pci_power_t): Sleeps<number> {
  if (state > PCI_D3cold) state = PCI_D3cold;
  else if (state < PCI_D0) state = PCI_D0;
  else if ((state === PCI_D1 || state === PCI_D2) && pci_no_d1d2(dev)) return 0;

  if (dev.current_state === state) return 0;

  if (state === PCI_D0) return yield* pci_set_full_power_state(dev);

  if (state >= PCI_D3hot && dev.dev_flags & PCI_DEV_FLAGS_NO_D3) return 0;

  // D3cold is D3hot, and then the platform, which does nothing.
  const error = yield* pci_set_low_power_state(dev, state === PCI_D3cold ? PCI_D3hot : state);

  if (pci_platform_power_transition(dev, state)) return error;

  return 0;
}
EXPORT_SYMBOL(pci_set_power_state);

function pci_find_saved_cap(dev: pci_dev, cap: number): pci_cap_saved_state | null {
  return _pci_find_saved_cap(dev, cap, false);
}
function _pci_find_saved_cap(dev: pci_dev, cap: number, extended: boolean): pci_cap_saved_state | null {
  for (const tmp of hlist_for_each_entry(dev.saved_cap_space, pci_cap_saved_state, "next"))
    if (tmp.cap.cap_extended === extended && tmp.cap.cap_nr === cap) return tmp;
  return null;
}

/** In the order in which they are saved. */
const pcie_saved = [
  PCI_EXP_DEVCTL,
  PCI_EXP_LNKCTL,
  PCI_EXP_SLTCTL,
  PCI_EXP_RTCTL,
  PCI_EXP_DEVCTL2,
  PCI_EXP_LNKCTL2,
  PCI_EXP_SLTCTL2,
] as const;

function pci_save_pcie_state(dev: pci_dev): number {
  if (!pci_is_pcie(dev)) return 0;

  const save_state = pci_find_saved_cap(dev, PCI_CAP_ID_EXP);
  if (!save_state) {
    pci_err(dev, "buffer not found in %s\n", "pci_save_pcie_state");
    return -ENOMEM;
  }

  const val = { value: 0 };
  pcie_saved.forEach((pos, i) => {
    pcie_capability_read_word(dev, pos, val);
    save_state.cap.data.set(i, val.value);
  });

  return 0;
}

function pci_restore_pcie_state(dev: pci_dev): void {
  const save_state = pci_find_saved_cap(dev, PCI_CAP_ID_EXP);
  if (!save_state) return;

  pcie_saved.forEach((pos, i) => pcie_capability_write_word(dev, pos, save_state.cap.data.at(i)));
}

function pci_save_pcix_state(dev: pci_dev): number {
  const pos = pci_find_capability(dev, PCI_CAP_ID_PCIX);
  if (!pos) return 0;

  const save_state = pci_find_saved_cap(dev, PCI_CAP_ID_PCIX);
  if (!save_state) {
    pci_err(dev, "buffer not found in %s\n", "pci_save_pcix_state");
    return -ENOMEM;
  }

  const val = { value: 0 };
  pci_read_config_word(dev, pos + PCI_X_CMD, val);
  save_state.cap.data.set(0, val.value);

  return 0;
}

function pci_restore_pcix_state(dev: pci_dev): void {
  const save_state = pci_find_saved_cap(dev, PCI_CAP_ID_PCIX);
  const pos = pci_find_capability(dev, PCI_CAP_ID_PCIX);
  if (!save_state || !pos) return;

  pci_write_config_word(dev, pos + PCI_X_CMD, save_state.cap.data.at(0));
}

/** Saves the configuration, for pci_restore_state(). @return 0 or -ENOMEM if there is no room for a capability. Any context */
export function pci_save_state(dev: pci_dev): number {
  const val = { value: 0 };
  for (let i = 0; i < 16; i++) {
    pci_read_config_dword(dev, i * 4, val);
    dev.saved_config_space.set(i, val.value);
  }
  dev.state_saved = true;

  const ret = pci_save_pcie_state(dev);
  if (ret !== 0) return ret;

  return pci_save_pcix_state(dev);
}
EXPORT_SYMBOL(pci_save_state);

function pci_restore_config_dword(
  pdev: pci_dev,
  offset: number,
  saved_val: number,
  retry: number,
  force: boolean,
): void {
  const val = { value: 0 };

  pci_read_config_dword(pdev, offset, val);
  if (!force && val.value === saved_val) return;

  for (;;) {
    pci_write_config_dword(pdev, offset, saved_val);
    if (retry-- <= 0) return;

    pci_read_config_dword(pdev, offset, val);
    if (val.value === saved_val) return;

    udelay(1000);
  }
}

function pci_restore_config_space_range(
  pdev: pci_dev,
  start: number,
  end: number,
  retry: number,
  force: boolean,
): void {
  for (let index = end; index >= start; index--)
    pci_restore_config_dword(pdev, 4 * index, pdev.saved_config_space.at(index), retry, force);
}

function pci_restore_config_space(pdev: pci_dev): void {
  if (pdev.hdr_type === PCI_HEADER_TYPE_NORMAL) {
    pci_restore_config_space_range(pdev, 10, 15, 0, false);
    // BARs before the command register.
    pci_restore_config_space_range(pdev, 4, 9, 10, false);
    pci_restore_config_space_range(pdev, 0, 3, 0, false);
  } else if (pdev.hdr_type === PCI_HEADER_TYPE_BRIDGE) {
    pci_restore_config_space_range(pdev, 12, 15, 0, false);

    // Some bridges want these written in any case.
    pci_restore_config_space_range(pdev, 9, 11, 0, true);
    pci_restore_config_space_range(pdev, 0, 8, 0, false);
  } else {
    pci_restore_config_space_range(pdev, 0, 15, 0, false);
  }
}

/** Writes back what pci_save_state() saved, once. Any context. */
export function* pci_restore_state(dev: pci_dev): Sleeps {
  if (!dev.state_saved) return;

  pci_restore_pcie_state(dev);

  pci_restore_config_space(dev);

  pci_restore_pcix_state(dev);
  yield* pci_restore_msi_state(dev);

  pci_enable_acs(dev);

  dev.state_saved = false;
}
EXPORT_SYMBOL(pci_restore_state);

function copy_cap(to: pci_cap_saved_data, from: pci_cap_saved_data): void {
  to.cap_nr = from.cap_nr;
  to.cap_extended = from.cap_extended;
  to.size = from.size;
  for (let i = 0; i < from.data.length; i++) to.data.set(i, from.data.at(i));
}

/** A copy of what is saved, which the caller frees; null if nothing is, or without memory. */
export function pci_store_saved_state(dev: pci_dev): pci_saved_state | null {
  if (!dev.state_saved) return null;

  const state = kzalloc(pci_saved_state, GFP_KERNEL);
  if (!state) return null;

  for (let i = 0; i < 16; i++) state.config_space.set(i, dev.saved_config_space.at(i));

  for (const tmp of hlist_for_each_entry(dev.saved_cap_space, pci_cap_saved_state, "next")) {
    const cap = new pci_cap_saved_data();
    copy_cap(cap, tmp.cap);
    state.cap.push(cap);
  }

  return state;
}
EXPORT_SYMBOL_GPL(pci_store_saved_state);

/** The opposite. @state: null: nothing is saved any more. @return 0 or -EINVAL for the state of another device */
export function pci_load_saved_state(dev: pci_dev, state: pci_saved_state | null): number {
  dev.state_saved = false;

  if (!state) return 0;

  for (let i = 0; i < 16; i++) dev.saved_config_space.set(i, state.config_space.at(i));

  for (const cap of state.cap) {
    const tmp = _pci_find_saved_cap(dev, cap.cap_nr, cap.cap_extended);
    if (!tmp || tmp.cap.size !== cap.size) return -EINVAL;

    copy_cap(tmp.cap, cap);
  }

  dev.state_saved = true;
  return 0;
}
EXPORT_SYMBOL_GPL(pci_load_saved_state);

/** The same, and frees it. @state: where C has a pointer to the pointer */
export function pci_load_and_free_saved_state(dev: pci_dev, state: { value: pci_saved_state | null }): number {
  const ret = pci_load_saved_state(dev, state.value);
  kfree(state.value);
  state.value = null;
  return ret;
}
EXPORT_SYMBOL_GPL(pci_load_and_free_saved_state);

function* do_pci_enable_device(dev: pci_dev, bars: number): Sleeps<number> {
  const cmd = { value: 0 };
  const pin = { value: 0 };

  let err = yield* pci_set_power_state(dev, PCI_D0);
  if (err < 0 && err !== -EIO) return err;

  err = pcibios_enable_device(dev, bars);
  if (err < 0) return err;

  if (dev.msi_enabled || dev.msix_enabled) return 0;

  pci_read_config_byte(dev, PCI_INTERRUPT_PIN, pin);
  if (pin.value) {
    pci_read_config_word(dev, PCI_COMMAND, cmd);
    if (cmd.value & PCI_COMMAND_INTX_DISABLE)
      pci_write_config_word(dev, PCI_COMMAND, cmd.value & ~PCI_COMMAND_INTX_DISABLE);
  }

  return 0;
}
/** Of arch/x86/pci/common.c, without the routing of the interrupt. */
function pcibios_enable_device(dev: pci_dev, mask: number): number {
  return pci_enable_resources(dev, mask);
}

function* pci_enable_bridge(dev: pci_dev): Sleeps {
  const bridge = pci_upstream_bridge(dev);
  if (bridge) yield* pci_enable_bridge(bridge);

  if (pci_is_enabled(dev)) {
    if (!dev.is_busmaster) pci_set_master(dev);
    return;
  }

  const retval = yield* pci_enable_device(dev);
  if (retval) pci_err(dev, "Error enabling bridge (%d), continuing\n", retval);
  pci_set_master(dev);
}

function* pci_enable_device_flags(dev: pci_dev, flags: number): Sleeps<number> {
  let bars = 0;

  // It may be unknown, after boot and after a driver.
  pci_update_current_state(dev, dev.current_state);

  if (atomic_inc_return(dev.enable_cnt) > 1) return 0;

  const bridge = pci_upstream_bridge(dev);
  if (bridge) yield* pci_enable_bridge(bridge);

  for (let i = 0; i <= PCI_ROM_RESOURCE; i++) if (dev.resource.at(i).flags & flags) bars |= 1 << i;
  for (let i = PCI_BRIDGE_RESOURCES; i < DEVICE_COUNT_RESOURCE; i++)
    if (dev.resource.at(i).flags & flags) bars |= 1 << i;

  const err = yield* do_pci_enable_device(dev, bars);
  if (err < 0) atomic_dec(dev.enable_cnt);
  return err;
}

/** Wakes a device and lets it answer at its addresses; counted. @return 0 or -errno. May sleep. Source: drivers/pci/pci.c */
export function pci_enable_device(dev: pci_dev): Sleeps<number> {
  return pci_enable_device_flags(dev, IORESOURCE_MEM | IORESOURCE_IO);
}
EXPORT_SYMBOL(pci_enable_device);

function do_pci_disable_device(dev: pci_dev): void {
  const cmd = { value: 0 };

  pci_read_config_word(dev, PCI_COMMAND, cmd);
  if (cmd.value & PCI_COMMAND_MASTER) pci_write_config_word(dev, PCI_COMMAND, cmd.value & ~PCI_COMMAND_MASTER);
}

/** The opposite: the last one stops DMA, nothing more. Any context. */
export function pci_disable_device(dev: pci_dev): void {
  dev_WARN_ONCE(dev.dev, atomic_read(dev.enable_cnt) <= 0, "disabling already-disabled device");

  if (atomic_dec_return(dev.enable_cnt) !== 0) return;

  do_pci_disable_device(dev);

  dev.is_busmaster = false;
}
EXPORT_SYMBOL(pci_disable_device);

function __pci_set_master(dev: pci_dev, enable: boolean): void {
  const old_cmd = { value: 0 };

  pci_read_config_word(dev, PCI_COMMAND, old_cmd);
  const cmd = enable ? old_cmd.value | PCI_COMMAND_MASTER : old_cmd.value & ~PCI_COMMAND_MASTER;
  if (cmd !== old_cmd.value) {
    pci_dbg(dev, "%s bus mastering\n", enable ? "enabling" : "disabling");
    pci_write_config_word(dev, PCI_COMMAND, cmd);
  }
  dev.is_busmaster = enable;
}

function pcibios_set_master(dev: pci_dev): void {
  const lat = { value: 0 };

  // Only conventional PCI knows latencies.
  if (pci_is_pcie(dev)) return;

  pci_read_config_byte(dev, PCI_LATENCY_TIMER, lat);
  if (lat.value < 16) pci_write_config_byte(dev, PCI_LATENCY_TIMER, 64);
}

/** Lets a device do DMA. Any context. */
export function pci_set_master(dev: pci_dev): void {
  __pci_set_master(dev, true);
  pcibios_set_master(dev);
}
EXPORT_SYMBOL(pci_set_master);
export function pci_clear_master(dev: pci_dev): void {
  __pci_set_master(dev, false);
}
EXPORT_SYMBOL(pci_clear_master);

/** Lets a device raise INTx, or not. Any context. */
export function pci_intx(pdev: pci_dev, enable: boolean): void {
  const cmd = { value: 0 };

  pci_read_config_word(pdev, PCI_COMMAND, cmd);

  const new_ = enable ? cmd.value & ~PCI_COMMAND_INTX_DISABLE : cmd.value | PCI_COMMAND_INTX_DISABLE;

  if (new_ !== cmd.value) pci_write_config_word(pdev, PCI_COMMAND, new_);
}
EXPORT_SYMBOL_GPL(pci_intx);

function* pci_check_and_set_intx_mask(dev: pci_dev, mask: boolean): Spins<boolean> {
  const bus = dev.bus!;
  let mask_updated = true;
  const cmd_status_dword = { value: 0 };

  const flags = yield* raw_spin_lock_irqsave(pci_lock());

  // Command and status in one go
  bus.ops!.read(bus, dev.devfn, PCI_COMMAND, 4, cmd_status_dword);

  const irq_pending = ((cmd_status_dword.value >>> 16) & PCI_STATUS_INTERRUPT) !== 0;

  done: {
    // Was it this device, when masking; is there another one already, when unmasking?
    if (mask !== irq_pending) {
      mask_updated = false;
      break done;
    }

    const origcmd = cmd_status_dword.value & 0xffff;
    let newcmd = origcmd & ~PCI_COMMAND_INTX_DISABLE;
    if (mask) newcmd |= PCI_COMMAND_INTX_DISABLE;
    if (newcmd !== origcmd) bus.ops!.write(bus, dev.devfn, PCI_COMMAND, 2, newcmd);
  }
  yield* raw_spin_unlock_irqrestore(pci_lock(), flags);

  return mask_updated;
}

/** Masks INTx if the device raises it. @return whether it does. Any context */
export function pci_check_and_mask_intx(dev: pci_dev): Spins<boolean> {
  return pci_check_and_set_intx_mask(dev, true);
}
EXPORT_SYMBOL_GPL(pci_check_and_mask_intx);

/** Unmasks INTx unless the device raises it: then it stays masked. @return whether it was unmasked. Any context */
export function pci_check_and_unmask_intx(dev: pci_dev): Spins<boolean> {
  return pci_check_and_set_intx_mask(dev, false);
}
EXPORT_SYMBOL_GPL(pci_check_and_unmask_intx);

function pci_target_state(dev: pci_dev): pci_power_t {
  // Where it is already: let it.
  if (dev.current_state === PCI_D3cold) return PCI_D3cold;
  else if (!dev.pm_cap) return PCI_D0;

  return PCI_D3hot;
}

/** For the runtime suspend of the bus: as deep as it goes. @return 0 or -errno. May sleep */
export function pci_finish_runtime_suspend(dev: pci_dev): Sleeps<number> {
  return pci_set_power_state(dev, pci_target_state(dev));
}

/** What a new device has of power management. May sleep. */
export function* pci_pm_init(dev: pci_dev): Sleeps {
  const status = { value: 0 };
  const pmc = { value: 0 };

  yield* pm_runtime_forbid(dev.dev);
  yield* pm_runtime_set_active(dev.dev);
  yield* pm_runtime_enable(dev.dev);

  dev.pm_cap = 0;

  const pm = pci_find_capability(dev, PCI_CAP_ID_PM);
  if (!pm) return;
  pci_read_config_word(dev, pm + PCI_PM_PMC, pmc);

  if ((pmc.value & PCI_PM_CAP_VER_MASK) > 3) {
    pci_err(dev, "unsupported PM cap regs version (%u)\n", pmc.value & PCI_PM_CAP_VER_MASK);
    return;
  }

  dev.pm_cap = pm;
  dev.d3hot_delay = PCI_PM_D3HOT_WAIT;
  dev.d3cold_delay = PCI_PM_D3COLD_WAIT;
  dev.d3cold_allowed = true;

  dev.d1_support = false;
  dev.d2_support = false;
  if (!pci_no_d1d2(dev)) {
    if (pmc.value & PCI_PM_CAP_D1) dev.d1_support = true;
    if (pmc.value & PCI_PM_CAP_D2) dev.d2_support = true;

    if (dev.d1_support || dev.d2_support)
      pci_info(dev, "supports%s%s\n", dev.d1_support ? " D1" : "", dev.d2_support ? " D2" : "");
  }

  pci_read_config_word(dev, PCI_STATUS, status);
  if (status.value & PCI_STATUS_IMM_READY) dev.imm_ready = true;
}

function pci_add_cap_save_buffer(dev: pci_dev, cap: number, size: number): number {
  const pos = pci_find_capability(dev, cap);

  if (!pos) return 0;

  const save_state = kzalloc(pci_cap_saved_state, GFP_KERNEL);
  if (!save_state) return -ENOMEM;

  save_state.cap.cap_nr = cap;
  save_state.cap.cap_extended = false;
  save_state.cap.size = size;
  hlist_add_head(save_state.next, dev.saved_cap_space);

  return 0;
}

/** Room for what pci_save_state() saves. */
export function pci_allocate_cap_save_buffers(dev: pci_dev): void {
  let error = pci_add_cap_save_buffer(dev, PCI_CAP_ID_EXP, PCI_EXP_SAVE_REGS * 2);
  if (error) pci_err(dev, "unable to preallocate PCI Express save buffer\n");

  error = pci_add_cap_save_buffer(dev, PCI_CAP_ID_PCIX, 2);
  if (error) pci_err(dev, "unable to preallocate PCI-X save buffer\n");
}
export function pci_free_cap_save_buffers(dev: pci_dev): void {
  for (const tmp of [...hlist_for_each_entry(dev.saved_cap_space, pci_cap_saved_state, "next")]) kfree(tmp);
}

function pci_acs_flags_enabled(pdev: pci_dev, acs_flags: number): boolean {
  const cap = { value: 0 };
  const ctrl = { value: 0 };

  const pos = pdev.acs_cap;
  if (!pos) return false;

  // What is missing, but for egress control, is as good as enabled.
  pci_read_config_word(pdev, pos + PCI_ACS_CAP, cap);
  acs_flags &= cap.value | PCI_ACS_EC;

  pci_read_config_word(pdev, pos + PCI_ACS_CTRL, ctrl);
  return (ctrl.value & acs_flags) === acs_flags;
}

/** Whether a device keeps what goes through it apart, as the flags say. Any context. */
export function pci_acs_enabled(pdev: pci_dev, acs_flags: number): boolean {
  // On a shared bus everybody sees everything.
  if (!pci_is_pcie(pdev)) return false;

  switch (pci_pcie_type(pdev)) {
    case PCI_EXP_TYPE_PCIE_BRIDGE:
    case PCI_EXP_TYPE_PCI_BRIDGE:
    case PCI_EXP_TYPE_RC_EC:
      return false;
    case PCI_EXP_TYPE_DOWNSTREAM:
    case PCI_EXP_TYPE_ROOT_PORT:
      return pci_acs_flags_enabled(pdev, acs_flags);
    // Between functions of one device.
    case PCI_EXP_TYPE_ENDPOINT:
    case PCI_EXP_TYPE_UPSTREAM:
    case PCI_EXP_TYPE_LEG_END:
    case PCI_EXP_TYPE_RC_END:
      if (!pdev.multifunction) break;

      return pci_acs_flags_enabled(pdev, acs_flags);
  }

  return true;
}

/** The same for all devices from `start` up to `end`; null: up to the root bus. */
export function pci_acs_path_enabled(start: pci_dev, end: pci_dev | null, acs_flags: number): boolean {
  let pdev: pci_dev;
  let parent = start;

  do {
    pdev = parent;

    if (!pci_acs_enabled(pdev, acs_flags)) return false;

    if (pci_is_root_bus(pdev.bus!)) return end === null;

    parent = pdev.bus!.self!;
  } while (pdev !== end);

  return true;
}

export function pci_acs_init(dev: pci_dev): void {
  dev.acs_cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_ACS);

  pci_enable_acs(dev);
}

function* pci_release_region(pdev: pci_dev, bar: number): Spins {
  if (pci_resource_len(pdev, bar) === 0n) return;
  if (pci_resource_flags(pdev, bar) & IORESOURCE_IO)
    yield* release_region(pci_resource_start(pdev, bar), pci_resource_len(pdev, bar));
  else if (pci_resource_flags(pdev, bar) & IORESOURCE_MEM)
    yield* release_mem_region(pci_resource_start(pdev, bar), pci_resource_len(pdev, bar));
}

function* __pci_request_region(pdev: pci_dev, bar: number, res_name: string): Sleeps<number> {
  if (pci_resource_len(pdev, bar) === 0n) return 0;

  const start = pci_resource_start(pdev, bar);
  const n = pci_resource_len(pdev, bar);
  err_out: {
    if (pci_resource_flags(pdev, bar) & IORESOURCE_IO) {
      if (!(yield* request_region(start, n, res_name))) break err_out;
    } else if (pci_resource_flags(pdev, bar) & IORESOURCE_MEM) {
      if (!(yield* request_mem_region(start, n, res_name))) break err_out;
    }

    return 0;
  }
  pci_warn(pdev, "BAR %d: can't reserve %pR\n", bar, pdev.resource.at(bar));
  return -EBUSY;
}

/** Gives back those BARs whose bit is set. */
export function* pci_release_selected_regions(pdev: pci_dev, bars: number): Spins {
  for (let i = 0; i < PCI_STD_NUM_BARS; i++) if (bars & (1 << i)) yield* pci_release_region(pdev, i);
}
EXPORT_SYMBOL(pci_release_selected_regions);

/** Takes the addresses of BARs for oneself. @return 0 or -EBUSY. May sleep */
export function* pci_request_selected_regions(pdev: pci_dev, bars: number, res_name: string): Sleeps<number> {
  for (let i = 0; i < PCI_STD_NUM_BARS; i++) {
    if (!(bars & (1 << i))) continue;
    if (yield* __pci_request_region(pdev, i, res_name)) {
      while (--i >= 0) if (bars & (1 << i)) yield* pci_release_region(pdev, i);
      return -EBUSY;
    }
  }
  return 0;
}
EXPORT_SYMBOL(pci_request_selected_regions);

/* Resets. */

const PCI_RESET_WAIT = 1000;
const PCIE_RESET_READY_POLL_MS = 60000;

function* pci_dev_wait(dev: pci_dev, reset_type: string, timeout: number): Sleeps<number> {
  let delay = 1;
  const id = { value: 0 };

  // Who is not ready yet answers with ones.
  pci_read_config_dword(dev, PCI_COMMAND, id);
  while (PCI_POSSIBLE_ERROR(id.value, 32)) {
    if (delay > timeout) {
      pci_warn(dev, "not ready %dms after %s; giving up\n", delay - 1, reset_type);
      return -ENOTTY;
    }

    if (delay > PCI_RESET_WAIT) pci_info(dev, "not ready %dms after %s; waiting\n", delay - 1, reset_type);

    yield* msleep(delay);
    delay *= 2;
    pci_read_config_dword(dev, PCI_COMMAND, id);
  }

  if (delay > PCI_RESET_WAIT) pci_info(dev, "ready %dms after %s\n", delay - 1, reset_type);

  return 0;
}

function* pci_wait_for_pending_transaction(dev: pci_dev): Sleeps<number> {
  if (!pci_is_pcie(dev)) return 1;

  return yield* pci_wait_for_pending(dev, pci_pcie_cap(dev) + PCI_EXP_DEVSTA, PCI_EXP_DEVSTA_TRPND);
}

function* pcie_flr(dev: pci_dev): Sleeps<number> {
  if (!(yield* pci_wait_for_pending_transaction(dev)))
    pci_err(dev, "timed out waiting for pending transaction; performing function level reset anyway\n");

  pcie_capability_clear_and_set_word(dev, PCI_EXP_DEVCTL, 0, PCI_EXP_DEVCTL_BCR_FLR);

  if (dev.imm_ready) return 0;

  // As long as a reset may take without an answer.
  yield* msleep(100);

  return yield* pci_dev_wait(dev, "FLR", PCIE_RESET_READY_POLL_MS);
}

function* pcie_reset_flr(dev: pci_dev, probe: boolean): Sleeps<number> {
  if (dev.dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET) return -ENOTTY;

  if (!(dev.devcap & PCI_EXP_DEVCAP_FLR)) return -ENOTTY;

  if (probe) return 0;

  return yield* pcie_flr(dev);
}

function* pci_af_flr(dev: pci_dev, probe: boolean): Sleeps<number> {
  const cap = { value: 0 };

  const pos = pci_find_capability(dev, PCI_CAP_ID_AF);
  if (!pos) return -ENOTTY;

  if (dev.dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET) return -ENOTTY;

  pci_read_config_byte(dev, pos + PCI_AF_CAP, cap);
  if (!(cap.value & PCI_AF_CAP_TP) || !(cap.value & PCI_AF_CAP_FLR)) return -ENOTTY;

  if (probe) return 0;

  if (!(yield* pci_wait_for_pending(dev, pos + PCI_AF_CTRL, PCI_AF_STATUS_TP << 8)))
    pci_err(dev, "timed out waiting for pending transaction; performing AF function level reset anyway\n");

  pci_write_config_byte(dev, pos + PCI_AF_CTRL, PCI_AF_CTRL_FLR);

  if (dev.imm_ready) return 0;

  yield* msleep(100);

  return yield* pci_dev_wait(dev, "AF_FLR", PCIE_RESET_READY_POLL_MS);
}

function* pci_pm_reset(dev: pci_dev, probe: boolean): Sleeps<number> {
  const csr = { value: 0 };

  if (!dev.pm_cap || dev.dev_flags & PCI_DEV_FLAGS_NO_PM_RESET) return -ENOTTY;

  pci_read_config_word(dev, dev.pm_cap + PCI_PM_CTRL, csr);
  if (csr.value & PCI_PM_CTRL_NO_SOFT_RESET) return -ENOTTY;

  if (probe) return 0;

  if (dev.current_state !== PCI_D0) return -EINVAL;

  csr.value &= ~PCI_PM_CTRL_STATE_MASK;
  csr.value |= PCI_D3hot;
  pci_write_config_word(dev, dev.pm_cap + PCI_PM_CTRL, csr.value);
  yield* pci_dev_d3_sleep(dev);

  csr.value &= ~PCI_PM_CTRL_STATE_MASK;
  csr.value |= PCI_D0;
  pci_write_config_word(dev, dev.pm_cap + PCI_PM_CTRL, csr.value);
  yield* pci_dev_d3_sleep(dev);

  return yield* pci_dev_wait(dev, "PM D3hot->D0", PCIE_RESET_READY_POLL_MS);
}

function pci_bus_max_d3cold_delay(bus: pci_bus): number {
  let min_delay = 100;
  let max_delay = 0;

  for (const pdev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    if (pdev.d3cold_delay < min_delay) min_delay = pdev.d3cold_delay;
    if (pdev.d3cold_delay > max_delay) max_delay = pdev.d3cold_delay;
  }

  return Math.max(min_delay, max_delay);
}

/** Waits until what is behind a bridge can be used after a reset. @return 0 or -ENOTTY. May sleep */
export function* pci_bridge_wait_for_secondary_bus(dev: pci_dev, reset_type: string): Sleeps<number> {
  if (pci_dev_is_disconnected(dev)) return 0;

  if (!pci_is_bridge(dev)) return 0;

  yield* down_read(pci_bus_sem());

  if (!dev.subordinate || list_empty(dev.subordinate.devices)) {
    up_read(pci_bus_sem());
    return 0;
  }

  const delay = pci_bus_max_d3cold_delay(dev.subordinate);
  if (!delay) {
    up_read(pci_bus_sem());
    return 0;
  }

  const child = pci_dev_get(list_first_entry(dev.subordinate.devices, pci_dev, "bus_list"));
  up_read(pci_bus_sem());

  let ret = 0;
  if (!pci_is_pcie(dev)) {
    yield* msleep(1000 + delay);
  } else if (pcie_downstream_port(dev)) {
    // Links of up to 5 GT/s, as all are here; faster ones say when they are up.
    yield* msleep(delay);
    ret = yield* pci_dev_wait(child, reset_type, PCIE_RESET_READY_POLL_MS - delay);
  }
  yield* pci_dev_put(child);
  return ret;
}

function* pci_reset_secondary_bus(dev: pci_dev): Sleeps {
  const ctrl = { value: 0 };

  pci_read_config_word(dev, PCI_BRIDGE_CONTROL, ctrl);
  ctrl.value |= PCI_BRIDGE_CTL_BUS_RESET;
  pci_write_config_word(dev, PCI_BRIDGE_CONTROL, ctrl.value);

  // Twice what is asked for.
  yield* msleep(2);

  ctrl.value &= ~PCI_BRIDGE_CTL_BUS_RESET;
  pci_write_config_word(dev, PCI_BRIDGE_CONTROL, ctrl.value);
}

function* pci_bridge_secondary_bus_reset(dev: pci_dev): Sleeps<number> {
  yield* pci_reset_secondary_bus(dev);

  return yield* pci_bridge_wait_for_secondary_bus(dev, "bus reset");
}

function* pci_parent_bus_reset(dev: pci_dev, probe: boolean): Sleeps<number> {
  if (pci_is_root_bus(dev.bus!) || dev.subordinate || !dev.bus!.self || dev.dev_flags & PCI_DEV_FLAGS_NO_BUS_RESET)
    return -ENOTTY;

  for (const pdev of list_for_each_entry(dev.bus!.devices, pci_dev, "bus_list")) if (pdev !== dev) return -ENOTTY;

  if (probe) return 0;

  return yield* pci_bridge_secondary_bus_reset(dev.bus!.self);
}

/** Without slots that can be reset, the bus is what there is. */
function pci_reset_bus_function(dev: pci_dev, probe: boolean): Sleeps<number> {
  return pci_parent_bus_reset(dev, probe);
}

function* pci_dev_lock(dev: pci_dev): Sleeps {
  yield* device_lock(dev.dev);
  yield* pci_cfg_access_lock(dev);
}

/** Keeps probe, remove and user space's configuration accesses away, if nobody has. @return 1 or 0. Any context */
export function* pci_dev_trylock(dev: pci_dev): Spins<number> {
  if (device_trylock(dev.dev)) {
    if (yield* pci_cfg_access_trylock(dev)) return 1;
    device_unlock(dev.dev);
  }

  return 0;
}
EXPORT_SYMBOL_GPL(pci_dev_trylock);
export function* pci_dev_unlock(dev: pci_dev): Spins {
  yield* pci_cfg_access_unlock(dev);
  device_unlock(dev.dev);
}
EXPORT_SYMBOL_GPL(pci_dev_unlock);

function* pci_dev_save_and_disable(dev: pci_dev): Sleeps {
  const err_handler = dev.driver ? dev.driver.err_handler : null;

  if (err_handler?.reset_prepare) yield* either(err_handler.reset_prepare(dev));

  // After a reset it is in D0: so be it before.
  yield* pci_set_power_state(dev, PCI_D0);

  pci_save_state(dev);
  // No decoding, no DMA, no interrupts.
  pci_write_config_word(dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
}

function* pci_dev_restore(dev: pci_dev): Sleeps {
  const err_handler = dev.driver ? dev.driver.err_handler : null;

  yield* pci_restore_state(dev);

  if (err_handler?.reset_done) yield* either(err_handler.reset_done(dev));
}

interface pci_reset_fn_method {
  readonly name: string;
  readonly reset_fn: (dev: pci_dev, probe: boolean) => Sleeps<number>;
}
function* no_reset(_dev: pci_dev, _probe: boolean): Sleeps<number> {
  return -ENOTTY;
}
/** Numbered from 1 on: 0 ends a list of them. No device here has one of its own, or one by ACPI. */
export const pci_reset_fn_methods: readonly pci_reset_fn_method[] = [
  { name: "", reset_fn: no_reset },
  { name: "device_specific", reset_fn: no_reset },
  { name: "acpi", reset_fn: no_reset },
  { name: "flr", reset_fn: pcie_reset_flr },
  { name: "af_flr", reset_fn: pci_af_flr },
  { name: "pm", reset_fn: pci_pm_reset },
  { name: "bus", reset_fn: pci_reset_bus_function },
];

/**
 * Resets a function by the first method that can. Device and configuration access locked, state saved: pci_reset_function()
 * does all that. @return 0, -ENOTTY if none can, or what the method said. May sleep. Source: drivers/pci/pci.c
 */
export function* __pci_reset_function_locked(dev: pci_dev): Sleeps<number> {
  might_sleep();

  for (let i = 0; i < PCI_NUM_RESET_METHODS; i++) {
    const m = dev.reset_methods.at(i);
    if (!m) return -ENOTTY;

    const rc = yield* pci_reset_fn_methods[m]!.reset_fn(dev, PCI_RESET_DO_RESET);
    if (!rc) return 0;
    if (rc !== -ENOTTY) return rc;
  }

  return -ENOTTY;
}
EXPORT_SYMBOL_GPL(__pci_reset_function_locked);

/** Which methods a device has. May sleep. */
export function* pci_init_reset_methods(dev: pci_dev): Sleeps {
  might_sleep();

  let i = 0;
  for (let m = 1; m < PCI_NUM_RESET_METHODS; m++) {
    const rc = yield* pci_reset_fn_methods[m]!.reset_fn(dev, PCI_RESET_PROBE);
    if (!rc) dev.reset_methods.set(i++, m);
    else if (rc !== -ENOTTY) break;
  }

  dev.reset_methods.set(i, 0);
}

/** Resets a function and gives it back its state. @return 0, -ENOTTY. May sleep. Source: drivers/pci/pci.c */
export function* pci_reset_function(dev: pci_dev): Sleeps<number> {
  if (!pci_reset_supported(dev)) return -ENOTTY;

  yield* pci_dev_lock(dev);
  yield* pci_dev_save_and_disable(dev);

  const rc = yield* __pci_reset_function_locked(dev);

  yield* pci_dev_restore(dev);
  yield* pci_dev_unlock(dev);

  return rc;
}
EXPORT_SYMBOL_GPL(pci_reset_function);

/** The same, unless somebody has the device's lock: -EAGAIN. */
export function* pci_try_reset_function(dev: pci_dev): Sleeps<number> {
  if (!pci_reset_supported(dev)) return -ENOTTY;

  if (!(yield* pci_dev_trylock(dev))) return -EAGAIN;

  yield* pci_dev_save_and_disable(dev);
  const rc = yield* __pci_reset_function_locked(dev);
  yield* pci_dev_restore(dev);
  yield* pci_dev_unlock(dev);

  return rc;
}
EXPORT_SYMBOL_GPL(pci_try_reset_function);

function pci_bus_resetable(bus: pci_bus): boolean {
  if (bus.self && bus.self.dev_flags & PCI_DEV_FLAGS_NO_BUS_RESET) return false;

  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    if (dev.dev_flags & PCI_DEV_FLAGS_NO_BUS_RESET || (dev.subordinate && !pci_bus_resetable(dev.subordinate)))
      return false;
  }

  return true;
}

function* pci_bus_unlock(bus: pci_bus): Spins {
  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    if (dev.subordinate) yield* pci_bus_unlock(dev.subordinate);
    else yield* pci_dev_unlock(dev);
  }
  yield* pci_dev_unlock(bus.self!);
}

function* pci_bus_trylock(bus: pci_bus): Spins<number> {
  if (!(yield* pci_dev_trylock(bus.self!))) return 0;

  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    const locked = dev.subordinate ? yield* pci_bus_trylock(dev.subordinate) : yield* pci_dev_trylock(dev);
    if (locked) continue;

    for (const done of list_for_each_entry_continue_reverse(dev, bus.devices, pci_dev, "bus_list")) {
      if (done.subordinate) yield* pci_bus_unlock(done.subordinate);
      else yield* pci_dev_unlock(done);
    }
    yield* pci_dev_unlock(bus.self!);
    return 0;
  }
  return 1;
}

function* pci_bus_save_and_disable_locked(bus: pci_bus): Sleeps {
  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    yield* pci_dev_save_and_disable(dev);
    if (dev.subordinate) yield* pci_bus_save_and_disable_locked(dev.subordinate);
  }
}

function* pci_bus_restore_locked(bus: pci_bus): Sleeps {
  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    yield* pci_dev_restore(dev);
    if (dev.subordinate) {
      yield* pci_bridge_wait_for_secondary_bus(dev, "bus reset");
      yield* pci_bus_restore_locked(dev.subordinate);
    }
  }
}

/** Whether a slot can be reset. @return -ENOTTY: no hotplug driver knows of one here */
export function pci_probe_reset_slot(_slot: pci_slot | null): number {
  return -ENOTTY;
}
EXPORT_SYMBOL_GPL(pci_probe_reset_slot);

/** Whether a bus can be reset. @return 0 or -ENOTTY. Any context */
export function pci_probe_reset_bus(bus: pci_bus): number {
  if (!bus.self || !pci_bus_resetable(bus)) return -ENOTTY;

  return 0;
}
EXPORT_SYMBOL_GPL(pci_probe_reset_bus);

/** Resets all that is on a bus and below, unless somebody has the lock of a device. @return 0, -ENOTTY, -EAGAIN. May sleep */
export function* __pci_reset_bus(bus: pci_bus): Sleeps<number> {
  let rc = pci_probe_reset_bus(bus);
  if (rc) return rc;

  if (yield* pci_bus_trylock(bus)) {
    yield* pci_bus_save_and_disable_locked(bus);
    might_sleep();
    rc = yield* pci_bridge_secondary_bus_reset(bus.self!);
    yield* pci_bus_restore_locked(bus);
    yield* pci_bus_unlock(bus);
  } else rc = -EAGAIN;

  return rc;
}

/** The same for the bus that a device is on. */
export function pci_reset_bus(pdev: pci_dev): Sleeps<number> {
  return __pci_reset_bus(pdev.bus!);
}
EXPORT_SYMBOL_GPL(pci_reset_bus);

/* Sizes of packets on the link. */

/** How much a device asks for at once, in bytes. Any context. */
export function pcie_get_readrq(dev: pci_dev): number {
  const ctl = { value: 0 };

  pcie_capability_read_word(dev, PCI_EXP_DEVCTL, ctl);

  return 128 << ((ctl.value & PCI_EXP_DEVCTL_READRQ) >> 12);
}
EXPORT_SYMBOL(pcie_get_readrq);

/**
 * The opposite. Payloads are as the firmware left them (pcie_bus_config: PCIE_BUS_DEFAULT), and no host bridge here is
 * one that minds. @rq: a power of two from 128 to 4096. @return 0, -EINVAL, -errno. Any context
 */
export function pcie_set_readrq(dev: pci_dev, rq: number): number {
  if (rq < 128 || rq > 4096 || !is_power_of_2(rq)) return -EINVAL;

  const v = (ffs(rq) - 8) << 12;

  const ret = pcie_capability_clear_and_set_word(dev, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_READRQ, v);

  return pcibios_err_to_errno(ret);
}
EXPORT_SYMBOL(pcie_set_readrq);

/** How long the data of one packet may be, in bytes. Any context. */
export function pcie_get_mps(dev: pci_dev): number {
  const ctl = { value: 0 };

  pcie_capability_read_word(dev, PCI_EXP_DEVCTL, ctl);

  return 128 << ((ctl.value & PCI_EXP_DEVCTL_PAYLOAD) >> 5);
}
EXPORT_SYMBOL(pcie_get_mps);
