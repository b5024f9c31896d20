// SPDX-License-Identifier: GPL-2.0-only
/**
 * Finding out what is on a bus. Source: drivers/pci/probe.c
 *
 * Not here: firmware nodes, CardBus, bridges that the firmware has not configured, more than one domain, quirks, configuration
 * retries, what a device's payload sizes, tags, ordering and latency tolerance are set to.
 */
import {
  class_,
  class_register,
  dev_info,
  dev_set_msi_domain,
  dev_set_name,
  type device,
  device_add,
  device_del,
  device_initialize,
  device_register,
  get_device,
  put_device,
} from "#linux/device.ts";
import { WARN_ON } from "#linux/bug.ts";
import { EEXIST, EIO, ENODEV, ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { postcore_initcall } from "#linux/init.ts";
import {
  IORESOURCE_BUS,
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_MEM_64,
  IORESOURCE_PCI_FIXED,
  IORESOURCE_PREFETCH,
  IORESOURCE_READONLY,
  IORESOURCE_ROM_ENABLE,
  IORESOURCE_SIZEALIGN,
  release_resource,
  request_resource_conflict,
  resource,
} from "#linux/ioport.ts";
import { sprintf } from "#linux/kernel.ts";
import { INIT_LIST_HEAD, LIST_HEAD, list_add_tail, list_for_each_entry } from "#linux/list.ts";
import { DOMAIN_BUS_PCI_MSI, irq_find_host } from "#linux/msi.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  type config_value,
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_IO_MASK,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_MEM_TYPE_MASK,
  PCI_BASE_ADDRESS_SPACE,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_BRIDGE_CONTROL,
  PCI_BRIDGE_CTL_MASTER_ABORT,
  PCI_BRIDGE_RESOURCE_NUM,
  PCI_BRIDGE_RESOURCES,
  pci_bus,
  pci_bus_add_devices,
  PCI_BUS_FLAGS_NO_EXTCFG,
  pci_bus_read_config_dword,
  pci_bus_type,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_PCIX,
  PCI_CAP_ID_SSVID,
  PCI_CFG_SPACE_EXP_SIZE,
  PCI_CFG_SPACE_SIZE,
  PCI_CLASS_BRIDGE_HOST,
  PCI_CLASS_BRIDGE_PCI,
  PCI_CLASS_NOT_DEFINED,
  PCI_CLASS_REVISION,
  pci_channel_io_normal,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  pci_dev,
  pci_dev_is_added,
  pci_dev_put,
  pci_domain_nr,
  pci_err,
  PCI_EXP_DEVCAP,
  PCI_EXP_FLAGS,
  PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXP_TYPE_UPSTREAM,
  pci_find_bus,
  pci_find_capability,
  PCI_FUNC,
  pci_get_slot,
  PCI_HEADER_TYPE,
  PCI_HEADER_TYPE_BRIDGE,
  PCI_HEADER_TYPE_NORMAL,
  pci_host_bridge,
  pci_info,
  PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN,
  PCI_IO_BASE,
  PCI_IO_LIMIT,
  PCI_IO_RANGE_MASK,
  PCI_IO_RANGE_TYPE_MASK,
  pci_is_bridge,
  pci_is_pcie,
  pci_is_root_bus,
  PCI_MEMORY_BASE,
  PCI_MEMORY_LIMIT,
  PCI_MEMORY_RANGE_MASK,
  PCI_MEMORY_RANGE_TYPE_MASK,
  pci_name,
  type pci_ops,
  pci_pcie_type,
  PCI_POSSIBLE_ERROR,
  PCI_PREF_BASE_UPPER32,
  PCI_PREF_LIMIT_UPPER32,
  PCI_PREF_MEMORY_BASE,
  PCI_PREF_MEMORY_LIMIT,
  PCI_PREF_RANGE_MASK,
  PCI_PREF_RANGE_TYPE_64,
  PCI_PREF_RANGE_TYPE_MASK,
  PCI_PRIMARY_BUS,
  pci_read_config_byte,
  pci_read_config_dword,
  pci_read_config_word,
  PCI_ROM_ADDRESS,
  PCI_ROM_ADDRESS1,
  PCI_ROM_ADDRESS_ENABLE,
  PCI_ROM_ADDRESS_MASK,
  PCI_ROM_RESOURCE,
  PCI_SLOT,
  PCI_SSVID_DEVICE_ID,
  PCI_SSVID_VENDOR_ID,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_UNKNOWN,
  PCI_VENDOR_ID,
  pci_warn,
  pci_write_config_dword,
  pci_write_config_word,
  PCI_X_STATUS,
  PCI_X_STATUS_266MHZ,
  PCI_X_STATUS_533MHZ,
  PCIBIOS_SUCCESSFUL,
  pcie_downstream_port,
  to_pci_bus,
  to_pci_dev,
  to_pci_host_bridge,
} from "#linux/pci.ts";
import { pm_runtime_get_sync, pm_runtime_put } from "#linux/pm_runtime.ts";
import { pr_info } from "#linux/printk.ts";
import { down_write, up_write } from "#linux/rwsem.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { raw_spin_lock_init } from "#linux/spinlock.ts";
import { initialise, type Sleeps, type Spins } from "#linux/types.ts";
import { on_x86 } from "#asm/setup.ts";
import { pci_bus_get, pci_bus_put } from "./bus.ts";
import { pci_msi_init, pci_msix_init } from "./msi/pcidev_msi.ts";
import {
  pci_acs_init,
  pci_allocate_cap_save_buffers,
  pci_bus_sem,
  pci_free_cap_save_buffers,
  pci_init_reset_methods,
  pci_pm_init,
  pci_resource_name,
} from "./pci.ts";
import { pci_dev_type, pcibus_groups } from "./pci-sysfs.ts";
import { pci_assign_unassigned_bus_resources } from "./setup-bus.ts";
import { pci_vpd_init } from "./vpd.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => {
  const made = {
    pci_root_buses: LIST_HEAD(),
    pci_rescan_remove_lock: new mutex(),
    /** The numbers of all buses. */
    busn_resource: initialise(new resource(), { name: "PCI busn", start: 0n, end: 255n, flags: IORESOURCE_BUS }),
    pcibus_class: initialise(new class_(), {
      name: "pci_bus",
      dev_release: release_pcibus_dev,
      dev_groups: pcibus_groups,
    }),
  };
  mutex_init(made.pci_rescan_remove_lock, "pci_rescan_remove_lock");
  return made;
});
/** `&pci_root_buses` */
export const pci_root_buses = () => s.pci_root_buses;

function* release_pcibus_dev(dev: device): Sleeps {
  const bus = to_pci_bus(dev);

  yield* put_device(bus.bridge);
  kfree(bus);
}

function pcibus_class_init(): Sleeps<number> {
  return class_register(s.pcibus_class);
}
postcore_initcall(on_x86(pcibus_class_init));

const u32 = (v: number): number => v >>> 0;

/** The size that a BAR's writable bits make. @return 0 if they make none */
function pci_size(base: bigint, maxbase: bigint, mask: bigint): bigint {
  let size = mask & maxbase;
  if (!size) return 0n;

  // The lowest bit that can be set.
  size = size & ~(size - 1n);

  // Bits that are hardwired to ones are no size.
  if (base === maxbase && ((base | (size - 1n)) & mask) !== mask) return 0n;

  return size;
}

function decode_bar(bar: number): number {
  if ((bar & PCI_BASE_ADDRESS_SPACE) === PCI_BASE_ADDRESS_SPACE_IO)
    return (bar & ~PCI_BASE_ADDRESS_IO_MASK) | IORESOURCE_IO;

  let flags = (bar & ~PCI_BASE_ADDRESS_MEM_MASK) | IORESOURCE_MEM;
  if (flags & PCI_BASE_ADDRESS_MEM_PREFETCH) flags |= IORESOURCE_PREFETCH;

  if ((bar & PCI_BASE_ADDRESS_MEM_TYPE_MASK) === PCI_BASE_ADDRESS_MEM_TYPE_64) flags |= IORESOURCE_MEM_64;
  return flags;
}

const PCI_COMMAND_DECODE_ENABLE = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;

/** @rom: the register is that of the ROM. @return 1 for a BAR of 64 bits, which takes two registers */
function __pci_read_base(dev: pci_dev, rom: boolean, n: number, pos: number): number {
  const res = dev.resource.at(n);
  const l = { value: 0 };
  const sz = { value: 0 };
  const orig_cmd = { value: 0 };
  let l64: bigint;
  let sz64: bigint;
  let mask64: bigint;

  const mask = rom ? u32(PCI_ROM_ADDRESS_MASK) : 0xffffffff;

  // While it is sized it must not answer.
  pci_read_config_word(dev, PCI_COMMAND, orig_cmd);
  if (orig_cmd.value & PCI_COMMAND_DECODE_ENABLE)
    pci_write_config_word(dev, PCI_COMMAND, orig_cmd.value & ~PCI_COMMAND_DECODE_ENABLE);

  res.name = pci_name(dev);

  pci_read_config_dword(dev, pos, l);
  pci_write_config_dword(dev, pos, u32(l.value | mask));
  pci_read_config_dword(dev, pos, sz);
  pci_write_config_dword(dev, pos, l.value);

  // Nobody is there.
  if (PCI_POSSIBLE_ERROR(sz.value, 32)) sz.value = 0;

  if (PCI_POSSIBLE_ERROR(l.value, 32)) l.value = 0;

  if (!rom) {
    res.flags = decode_bar(l.value);
    res.flags |= IORESOURCE_SIZEALIGN;
    const bits = res.flags & IORESOURCE_IO ? PCI_BASE_ADDRESS_IO_MASK : PCI_BASE_ADDRESS_MEM_MASK;
    l64 = BigInt(u32(l.value & bits));
    sz64 = BigInt(u32(sz.value & bits));
    mask64 = BigInt(res.flags & IORESOURCE_IO ? bits & 0xffff : u32(bits));
  } else {
    if (l.value & PCI_ROM_ADDRESS_ENABLE) res.flags |= IORESOURCE_ROM_ENABLE;
    l64 = BigInt(u32(l.value & PCI_ROM_ADDRESS_MASK));
    sz64 = BigInt(u32(sz.value & PCI_ROM_ADDRESS_MASK));
    mask64 = BigInt(u32(PCI_ROM_ADDRESS_MASK));
  }

  if (res.flags & IORESOURCE_MEM_64) {
    pci_read_config_dword(dev, pos + 4, l);
    pci_write_config_dword(dev, pos + 4, 0xffffffff);
    pci_read_config_dword(dev, pos + 4, sz);
    pci_write_config_dword(dev, pos + 4, l.value);

    l64 |= BigInt(l.value) << 32n;
    sz64 |= BigInt(sz.value) << 32n;
    mask64 |= 0xffffffffn << 32n;
  }

  if (orig_cmd.value & PCI_COMMAND_DECODE_ENABLE) pci_write_config_word(dev, PCI_COMMAND, orig_cmd.value);

  fail: {
    if (!sz64) break fail;

    sz64 = pci_size(l64, sz64, mask64);
    if (!sz64) {
      pci_info(dev, "[Firmware Bug]: %s: invalid; can't size\n", pci_resource_name(dev, n));
      break fail;
    }

    res.start = l64;
    res.end = l64 + sz64 - 1n;

    pci_info(dev, "%s %pR\n", pci_resource_name(dev, n), res);
    return res.flags & IORESOURCE_MEM_64 ? 1 : 0;
  }
  res.flags = 0;
  return 0;
}

function pci_read_bases(dev: pci_dev, howmany: number, rom: number): void {
  if (dev.is_virtfn) return;

  for (let pos = 0; pos < howmany; pos++) pos += __pci_read_base(dev, false, pos, PCI_BASE_ADDRESS_0 + (pos << 2));

  if (rom) {
    const res = dev.resource.at(PCI_ROM_RESOURCE);
    dev.rom_base_reg = rom;
    res.flags = IORESOURCE_MEM | IORESOURCE_PREFETCH | IORESOURCE_READONLY | IORESOURCE_SIZEALIGN;
    __pci_read_base(dev, true, PCI_ROM_RESOURCE, rom);
  }
}

function pci_read_bridge_windows(bridge: pci_dev): void {
  const io = { value: 0 };
  const pmem = { value: 0 };
  const tmp = { value: 0 };

  pci_read_config_word(bridge, PCI_IO_BASE, io);
  if (!io.value) {
    pci_write_config_word(bridge, PCI_IO_BASE, 0xe0f0);
    pci_read_config_word(bridge, PCI_IO_BASE, io);
    pci_write_config_word(bridge, PCI_IO_BASE, 0x0);
  }
  if (io.value) bridge.io_window = true;

  pci_read_config_dword(bridge, PCI_PREF_MEMORY_BASE, pmem);
  if (!pmem.value) {
    pci_write_config_dword(bridge, PCI_PREF_MEMORY_BASE, 0xffe0fff0);
    pci_read_config_dword(bridge, PCI_PREF_MEMORY_BASE, pmem);
    pci_write_config_dword(bridge, PCI_PREF_MEMORY_BASE, 0x0);
  }
  if (!pmem.value) return;

  bridge.pref_window = true;

  if ((pmem.value & PCI_PREF_RANGE_TYPE_MASK) === PCI_PREF_RANGE_TYPE_64) {
    pci_read_config_dword(bridge, PCI_PREF_BASE_UPPER32, pmem);
    pci_write_config_dword(bridge, PCI_PREF_BASE_UPPER32, 0xffffffff);
    pci_read_config_dword(bridge, PCI_PREF_BASE_UPPER32, tmp);
    pci_write_config_dword(bridge, PCI_PREF_BASE_UPPER32, pmem.value);
    if (tmp.value) bridge.pref_64_window = true;
  }
}

function set_window(dev: pci_dev, res: resource, flags: number, base: bigint, end: bigint): void {
  res.flags = flags;
  res.start = base;
  res.end = end;
  pci_info(dev, "  bridge window %pR\n", res);
}

function pci_read_bridge_io(child: pci_bus): void {
  const dev = child.self!;
  const lo = { value: 0 };
  const hi = { value: 0 };

  pci_read_config_byte(dev, PCI_IO_BASE, lo);
  pci_read_config_byte(dev, PCI_IO_LIMIT, hi);
  const base = (lo.value & PCI_IO_RANGE_MASK) << 8;
  const limit = (hi.value & PCI_IO_RANGE_MASK) << 8;

  if (base <= limit)
    set_window(
      dev,
      child.resource.at(0)!,
      (lo.value & PCI_IO_RANGE_TYPE_MASK) | IORESOURCE_IO,
      BigInt(base),
      BigInt(limit + 0x1000 - 1),
    );
}

function pci_read_bridge_mmio(child: pci_bus): void {
  const dev = child.self!;
  const lo = { value: 0 };
  const hi = { value: 0 };

  pci_read_config_word(dev, PCI_MEMORY_BASE, lo);
  pci_read_config_word(dev, PCI_MEMORY_LIMIT, hi);
  const base = BigInt(lo.value & PCI_MEMORY_RANGE_MASK) << 16n;
  const limit = BigInt(hi.value & PCI_MEMORY_RANGE_MASK) << 16n;
  if (base <= limit)
    set_window(
      dev,
      child.resource.at(1)!,
      (lo.value & PCI_MEMORY_RANGE_TYPE_MASK) | IORESOURCE_MEM,
      base,
      limit + 0xfffffn,
    );
}

function pci_read_bridge_mmio_pref(child: pci_bus): void {
  const dev = child.self!;
  const lo = { value: 0 };
  const hi = { value: 0 };
  const base_hi = { value: 0 };
  const limit_hi = { value: 0 };

  pci_read_config_word(dev, PCI_PREF_MEMORY_BASE, lo);
  pci_read_config_word(dev, PCI_PREF_MEMORY_LIMIT, hi);
  let base = BigInt(lo.value & PCI_PREF_RANGE_MASK) << 16n;
  let limit = BigInt(hi.value & PCI_PREF_RANGE_MASK) << 16n;

  if ((lo.value & PCI_PREF_RANGE_TYPE_MASK) === PCI_PREF_RANGE_TYPE_64) {
    pci_read_config_dword(dev, PCI_PREF_BASE_UPPER32, base_hi);
    pci_read_config_dword(dev, PCI_PREF_LIMIT_UPPER32, limit_hi);

    // Not set up, if it begins behind its end.
    if (base_hi.value <= limit_hi.value) {
      base |= BigInt(base_hi.value) << 32n;
      limit |= BigInt(limit_hi.value) << 32n;
    }
  }

  if (base <= limit) {
    let flags = (lo.value & PCI_PREF_RANGE_TYPE_MASK) | IORESOURCE_MEM | IORESOURCE_PREFETCH;
    if (flags & PCI_PREF_RANGE_TYPE_64) flags |= IORESOURCE_MEM_64;
    set_window(dev, child.resource.at(2)!, flags, base, limit + 0xfffffn);
  }
}

/** What a bridge passes on. For the fixups of a bus that has been found. */
function pci_read_bridge_bases(child: pci_bus): void {
  const dev = child.self;

  if (pci_is_root_bus(child) || !dev) return;

  pci_info(dev, "PCI bridge to %pR%s\n", child.busn_res, dev.transparent ? " (subtractive decode)" : "");

  pci_read_bridge_io(child);
  pci_read_bridge_mmio(child);
  pci_read_bridge_mmio_pref(child);
}

function pci_alloc_bus(): pci_bus | null {
  const b = kzalloc(pci_bus, GFP_KERNEL);
  if (!b) return null;

  INIT_LIST_HEAD(b.node);
  INIT_LIST_HEAD(b.children);
  INIT_LIST_HEAD(b.devices);
  INIT_LIST_HEAD(b.slots);
  return b;
}

function pci_release_host_bridge_dev(dev: device): void {
  kfree(to_pci_host_bridge(dev));
}

function pci_alloc_host_bridge(): pci_host_bridge | null {
  const bridge = kzalloc(pci_host_bridge, GFP_KERNEL);
  if (!bridge) return null;

  device_initialize(bridge.dev);
  bridge.dev.release = pci_release_host_bridge_dev;

  return bridge;
}

function* pci_register_host_bridge(bridge: pci_host_bridge): Sleeps<number> {
  const { parent } = bridge.dev;
  let bus_registered = false;
  let err: number;

  const bus = pci_alloc_bus();
  if (!bus) return -ENOMEM;

  bridge.bus = bus;

  bus.ops = bridge.ops;
  bus.number = bridge.busnr;
  bus.busn_res.start = BigInt(bridge.busnr);

  free: {
    if (yield* pci_find_bus(pci_domain_nr(bus), bridge.busnr)) {
      err = -EEXIST;
      break free;
    }

    dev_set_name(bridge.dev, "pci%04x:%02x", pci_domain_nr(bus), bridge.busnr);

    err = yield* device_add(bridge.dev);
    if (err) break free;

    bus.bridge = get_device(bridge.dev);

    bus.dev.class = s.pcibus_class;
    bus.dev.parent = bus.bridge;

    dev_set_name(bus.dev, "%04x:%02x", pci_domain_nr(bus), bus.number);

    err = yield* device_register(bus.dev);
    bus_registered = true;
    if (err) {
      yield* put_device(bridge.dev);
      yield* device_del(bridge.dev);
      break free;
    }

    if (parent) dev_info(parent, "PCI host bridge to bus %s\n", sprintf("%04x:%02x", pci_domain_nr(bus), bus.number));
    else pr_info("PCI host bridge to bus %s\n", sprintf("%04x:%02x", pci_domain_nr(bus), bus.number));

    for (const res of bridge.windows) {
      if (res.flags & IORESOURCE_BUS) yield* pci_bus_insert_busn_res(bus, bus.number, Number(res.end));
      else bus.resources.push(res);

      dev_info(bus.dev, "root bus resource %pR\n", res);
    }

    yield* down_write(pci_bus_sem());
    list_add_tail(bus.node, s.pci_root_buses);
    up_write(pci_bus_sem());

    return 0;
  }
  if (bus_registered) yield* put_device(bus.dev);
  else kfree(bus);

  return err;
}

function pci_bridge_child_ext_cfg_accessible(bridge: pci_dev): boolean {
  const status = { value: 0 };

  if (bridge.bus!.bus_flags & PCI_BUS_FLAGS_NO_EXTCFG) return false;

  if (
    pci_is_pcie(bridge) &&
    (pci_pcie_type(bridge) === PCI_EXP_TYPE_ROOT_PORT ||
      pci_pcie_type(bridge) === PCI_EXP_TYPE_UPSTREAM ||
      pci_pcie_type(bridge) === PCI_EXP_TYPE_DOWNSTREAM)
  )
    return true;

  const pos = pci_find_capability(bridge, PCI_CAP_ID_PCIX);
  if (!pos) return false;

  pci_read_config_dword(bridge, pos + PCI_X_STATUS, status);
  return (status.value & (PCI_X_STATUS_266MHZ | PCI_X_STATUS_533MHZ)) !== 0;
}

function* pci_alloc_child_bus(parent: pci_bus, bridge: pci_dev, busnr: number): Sleeps<pci_bus | null> {
  const child = pci_alloc_bus();
  if (!child) return null;

  child.parent = parent;
  child.bus_flags = parent.bus_flags;
  child.ops = parent.ops;

  // Registered at the end, as its name depends on what comes first.
  child.dev.class = s.pcibus_class;
  dev_set_name(child.dev, "%04x:%02x", pci_domain_nr(child), busnr);

  child.number = busnr;
  child.busn_res.start = BigInt(busnr);
  child.primary = Number(parent.busn_res.start);
  child.busn_res.end = 0xffn;

  child.self = bridge;
  child.bridge = get_device(bridge.dev);
  child.dev.parent = child.bridge;

  if (!pci_bridge_child_ext_cfg_accessible(bridge)) {
    child.bus_flags |= PCI_BUS_FLAGS_NO_EXTCFG;
    dev_info(child.dev, "extended config space not accessible\n");
  }

  for (let i = 0; i < PCI_BRIDGE_RESOURCE_NUM; i++) {
    const res = bridge.resource.at(PCI_BRIDGE_RESOURCES + i);
    child.resource.set(i, res);
    res.name = child.name;
  }
  bridge.subordinate = child;

  const ret = yield* device_register(child.dev);
  if (WARN_ON(ret < 0)) {
    yield* put_device(child.dev);
    return null;
  }

  return child;
}

function* pci_add_new_bus(parent: pci_bus, dev: pci_dev, busnr: number): Sleeps<pci_bus | null> {
  const child = yield* pci_alloc_child_bus(parent, dev, busnr);
  if (child) {
    yield* down_write(pci_bus_sem());
    list_add_tail(child.node, parent.children);
    up_write(pci_bus_sem());
  }
  return child;
}

/** A bridge that the firmware has given bus numbers to. @return the highest number so far */
function* pci_scan_bridge(bus: pci_bus, dev: pci_dev, max: number): Sleeps<number> {
  const buses = { value: 0 };
  const bctl = { value: 0 };

  // It passes nothing on while it sleeps.
  yield* pm_runtime_get_sync(dev.dev);

  pci_read_config_dword(dev, PCI_PRIMARY_BUS, buses);
  const primary = buses.value & 0xff;
  const secondary = (buses.value >> 8) & 0xff;
  const subordinate = (buses.value >> 16) & 0xff;

  pci_read_config_word(dev, PCI_BRIDGE_CONTROL, bctl);
  out: {
    if (primary !== bus.number || secondary <= bus.number || secondary > subordinate) {
      pci_warn(
        dev,
        "bridge configuration invalid ([bus %02x-%02x]), and giving it another is not there yet\n",
        secondary,
        subordinate,
      );
      break out;
    }

    // No errors for devices that are not there.
    pci_write_config_word(dev, PCI_BRIDGE_CONTROL, bctl.value & ~PCI_BRIDGE_CTL_MASTER_ABORT);

    // On a rescan it is there already.
    let child = yield* pci_find_bus(pci_domain_nr(bus), secondary);
    if (!child) {
      child = yield* pci_add_new_bus(bus, dev, secondary);
      if (!child) break out;
      child.primary = primary;
      yield* pci_bus_insert_busn_res(child, secondary, subordinate);
      child.bridge_ctl = bctl.value;
    }

    const cmax = yield* pci_scan_child_bus(child);
    if (cmax > subordinate) pci_warn(dev, "bridge has subordinate %02x but max busn %02x\n", subordinate, cmax);

    if (subordinate > max) max = subordinate;

    child.name = sprintf("PCI Bus %04x:%02x", pci_domain_nr(bus), child.number);
  }
  pci_write_config_word(dev, PCI_BRIDGE_CONTROL, bctl.value);

  yield* pm_runtime_put(dev.dev);

  return max;
}

function pci_read_irq(dev: pci_dev): void {
  const irq = { value: 0 };

  if (dev.is_virtfn) {
    dev.pin = 0;
    dev.irq = 0;
    return;
  }

  pci_read_config_byte(dev, PCI_INTERRUPT_PIN, irq);
  dev.pin = irq.value;
  if (irq.value) pci_read_config_byte(dev, PCI_INTERRUPT_LINE, irq);
  dev.irq = irq.value;
}

function set_pcie_port_type(pdev: pci_dev): void {
  const reg16 = { value: 0 };
  const devcap = { value: 0 };

  const pos = pci_find_capability(pdev, PCI_CAP_ID_EXP);
  if (!pos) return;

  pdev.pcie_cap = pos;
  pci_read_config_word(pdev, pos + PCI_EXP_FLAGS, reg16);
  pdev.pcie_flags_reg = reg16.value;
  pci_read_config_dword(pdev, pos + PCI_EXP_DEVCAP, devcap);
  pdev.devcap = devcap.value;
}

function pci_cfg_space_size_ext(dev: pci_dev): number {
  const status = { value: 0 };

  if (pci_read_config_dword(dev, PCI_CFG_SPACE_SIZE, status) !== PCIBIOS_SUCCESSFUL) return PCI_CFG_SPACE_SIZE;
  if (PCI_POSSIBLE_ERROR(status.value, 32)) return PCI_CFG_SPACE_SIZE;

  return PCI_CFG_SPACE_EXP_SIZE;
}

function pci_cfg_space_size(dev: pci_dev): number {
  const status = { value: 0 };

  if (dev.is_virtfn) return PCI_CFG_SPACE_EXP_SIZE;

  if (dev.bus!.bus_flags & PCI_BUS_FLAGS_NO_EXTCFG) return PCI_CFG_SPACE_SIZE;

  if (dev.class >> 8 === PCI_CLASS_BRIDGE_HOST) return pci_cfg_space_size_ext(dev);

  if (pci_is_pcie(dev)) return pci_cfg_space_size_ext(dev);

  const pos = pci_find_capability(dev, PCI_CAP_ID_PCIX);
  if (!pos) return PCI_CFG_SPACE_SIZE;

  pci_read_config_dword(dev, pos + PCI_X_STATUS, status);
  if (status.value & (PCI_X_STATUS_266MHZ | PCI_X_STATUS_533MHZ)) return pci_cfg_space_size_ext(dev);

  return PCI_CFG_SPACE_SIZE;
}

function pci_intx_mask_broken(dev: pci_dev): boolean {
  const orig = { value: 0 };
  const new_ = { value: 0 };

  pci_read_config_word(dev, PCI_COMMAND, orig);
  const toggle = orig.value ^ PCI_COMMAND_INTX_DISABLE;
  pci_write_config_word(dev, PCI_COMMAND, toggle);
  pci_read_config_word(dev, PCI_COMMAND, new_);

  pci_write_config_word(dev, PCI_COMMAND, orig.value);

  // Before PCI 2.3 the bit could not be written.
  return new_.value !== toggle;
}

function read_ids(dev: pci_dev, vendor_at: number, device_at: number): void {
  const id = { value: 0 };

  pci_read_config_word(dev, vendor_at, id);
  dev.subsystem_vendor = id.value;
  pci_read_config_word(dev, device_at, id);
  dev.subsystem_device = id.value;
}

/** Reads what a function is. @return 0, -EIO for a header that nobody knows */
function pci_setup_device(dev: pci_dev): number {
  const hdr_type = { value: 0 };
  const revision = { value: 0 };

  pci_read_config_byte(dev, PCI_HEADER_TYPE, hdr_type);

  dev.dev.parent = dev.bus!.bridge;
  dev.dev.bus = pci_bus_type();
  dev.hdr_type = hdr_type.value & 0x7f;
  dev.multifunction = (hdr_type.value & 0x80) !== 0;
  dev.error_state = pci_channel_io_normal;
  set_pcie_port_type(dev);

  // Until a driver knows better.
  dev.dma_mask.value = 0xffffffffn;

  dev_set_name(
    dev.dev,
    "%04x:%02x:%02x.%d",
    pci_domain_nr(dev.bus!),
    dev.bus!.number,
    PCI_SLOT(dev.devfn),
    PCI_FUNC(dev.devfn),
  );

  pci_read_config_dword(dev, PCI_CLASS_REVISION, revision);

  dev.revision = revision.value & 0xff;
  dev.class = revision.value >>> 8;

  dev.cfg_size = pci_cfg_space_size(dev);

  dev.current_state = PCI_UNKNOWN;

  pci_info(dev, "[%04x:%04x] type %02x class %#08x\n", dev.vendor, dev.device, dev.hdr_type, dev.class);

  const cls = dev.class >> 8;

  dev.broken_intx_masking = pci_intx_mask_broken(dev);

  const bad = (): void => {
    pci_err(dev, "ignoring class %#08x (doesn't match header type %02x)\n", dev.class, dev.hdr_type);
    dev.class = PCI_CLASS_NOT_DEFINED << 8;
  };
  switch (dev.hdr_type) {
    case PCI_HEADER_TYPE_NORMAL:
      if (cls === PCI_CLASS_BRIDGE_PCI) {
        bad();
        break;
      }
      pci_read_irq(dev);
      pci_read_bases(dev, 6, PCI_ROM_ADDRESS);

      read_ids(dev, PCI_SUBSYSTEM_VENDOR_ID, PCI_SUBSYSTEM_ID);
      break;

    case PCI_HEADER_TYPE_BRIDGE: {
      pci_read_irq(dev);
      dev.transparent = (dev.class & 0xff) === 1;
      pci_read_bases(dev, 2, PCI_ROM_ADDRESS1);
      pci_read_bridge_windows(dev);
      const pos = pci_find_capability(dev, PCI_CAP_ID_SSVID);
      if (pos) read_ids(dev, pos + PCI_SSVID_VENDOR_ID, pos + PCI_SSVID_DEVICE_ID);
      break;
    }

    default:
      pci_err(dev, "unknown header type %02x, ignoring device\n", dev.hdr_type);
      return -EIO;
  }

  return 0;
}

function pci_release_capabilities(dev: pci_dev): void {
  pci_free_cap_save_buffers(dev);
}

function* pci_release_dev(dev: device): Sleeps {
  const pdev = to_pci_dev(dev);

  pci_release_capabilities(pdev);
  yield* pci_bus_put(pdev.bus);
  kfree(pdev.driver_override);
  kfree(pdev);
}

function pci_alloc_dev(bus: pci_bus): pci_dev | null {
  const dev = kzalloc(pci_dev, GFP_KERNEL);
  if (!dev) return null;

  INIT_LIST_HEAD(dev.bus_list);
  dev.dev.type = pci_dev_type;
  dev.bus = pci_bus_get(bus);
  raw_spin_lock_init(dev.msi_lock);
  return dev;
}

function pci_bus_read_dev_vendor_id(bus: pci_bus, devfn: number, l: config_value): boolean {
  if (pci_bus_read_config_dword(bus, devfn, PCI_VENDOR_ID, l)) return false;

  // An empty slot, also on boards that say so in other ways.
  return ![0xffffffff, 0x00000000, 0x0000ffff, 0xffff0000].includes(l.value);
}

function* pci_scan_device(bus: pci_bus, devfn: number): Sleeps<pci_dev | null> {
  const l = { value: 0 };

  if (!pci_bus_read_dev_vendor_id(bus, devfn, l)) return null;

  const dev = pci_alloc_dev(bus);
  if (!dev) return null;

  dev.devfn = devfn;
  dev.vendor = l.value & 0xffff;
  dev.device = l.value >>> 16;

  if (pci_setup_device(dev)) {
    yield* pci_bus_put(dev.bus);
    kfree(dev);
    return null;
  }

  return dev;
}

function* pci_init_capabilities(dev: pci_dev): Sleeps {
  pci_msi_init(dev);
  pci_msix_init(dev);

  pci_allocate_cap_save_buffers(dev);

  yield* pci_pm_init(dev);
  pci_vpd_init(dev);
  pci_acs_init(dev);

  yield* pci_init_reset_methods(dev);
}

function pci_set_msi_domain(dev: pci_dev): void {
  dev_set_msi_domain(dev.dev, irq_find_host(DOMAIN_BUS_PCI_MSI));
}

function* pci_device_add(dev: pci_dev, bus: pci_bus): Sleeps {
  device_initialize(dev.dev);
  dev.dev.release = pci_release_dev;

  dev.dev.dma_mask = dev.dma_mask;
  dev.dev.coherent_dma_mask = 0xffffffffn;

  dev.state_saved = false;

  yield* pci_init_capabilities(dev);

  pci_set_msi_domain(dev);

  yield* down_write(pci_bus_sem());
  list_add_tail(dev.bus_list, bus.devices);
  up_write(pci_bus_sem());

  // Drivers come when addresses have been dealt with.
  dev.match_driver = false;
  const ret = yield* device_add(dev.dev);
  WARN_ON(ret < 0);
}

function* pci_scan_single_device(bus: pci_bus, devfn: number): Sleeps<pci_dev | null> {
  let dev = yield* pci_get_slot(bus, devfn);
  if (dev) {
    yield* pci_dev_put(dev);
    return dev;
  }

  dev = yield* pci_scan_device(bus, devfn);
  if (!dev) return null;

  yield* pci_device_add(dev, bus);

  return dev;
}

function next_fn(dev: pci_dev | null, fn: number): number {
  if (fn >= 7) return -ENODEV;
  if (dev && !dev.multifunction) return -ENODEV;

  return fn + 1;
}

function only_one_child(bus: pci_bus): boolean {
  const bridge = bus.self;

  // A link has one device at its other end.
  return bridge !== null && pci_is_pcie(bridge) && pcie_downstream_port(bridge);
}

function* pci_scan_slot(bus: pci_bus, devfn: number): Sleeps<number> {
  let fn = 0;
  let nr = 0;

  if (only_one_child(bus) && devfn > 0) return 0;

  do {
    const dev = yield* pci_scan_single_device(bus, devfn + fn);
    if (dev) {
      if (!pci_dev_is_added(dev)) nr++;
      if (fn > 0) dev.multifunction = true;
    } else if (fn === 0) {
      // No device is without function 0.
      break;
    }
    fn = next_fn(dev, fn);
  } while (fn >= 0);

  return nr;
}

/** Looks what is on a bus and behind its bridges. @return the highest bus number below it. May sleep */
export function* pci_scan_child_bus(bus: pci_bus): Sleeps<number> {
  let max = Number(bus.busn_res.start);

  for (let devfn = 0; devfn < 256; devfn += 8) yield* pci_scan_slot(bus, devfn);

  if (!bus.is_added) {
    pci_read_bridge_bases(bus);
    bus.is_added = true;
  }

  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list"))
    if (pci_is_bridge(dev)) max = yield* pci_scan_bridge(bus, dev, max);

  return max;
}
EXPORT_SYMBOL_GPL(pci_scan_child_bus);

/**
 * A root bus. @windows: what the host bridge passes on, memory of the caller that stays
 * @return the bus; null. May sleep. Source: drivers/pci/probe.c
 */
export function* pci_create_root_bus(
  parent: device | null,
  bus: number,
  ops: pci_ops,
  windows: readonly resource[],
): Sleeps<pci_bus | null> {
  const bridge = pci_alloc_host_bridge();
  if (!bridge) return null;

  bridge.dev.parent = parent;

  bridge.windows.push(...windows);
  bridge.busnr = bus;
  bridge.ops = ops;

  const error = yield* pci_register_host_bridge(bridge);
  if (error < 0) {
    yield* put_device(bridge.dev);
    return null;
  }

  return bridge.bus;
}
EXPORT_SYMBOL_GPL(pci_create_root_bus);

function* pci_bus_insert_busn_res(b: pci_bus, bus: number, bus_max: number): Spins<boolean> {
  const res = b.busn_res;
  let parent_res = s.busn_resource;

  res.start = BigInt(bus);
  res.end = BigInt(bus_max);
  res.flags = IORESOURCE_BUS;

  if (!pci_is_root_bus(b)) parent_res = b.parent!.busn_res;
  else res.flags |= IORESOURCE_PCI_FIXED;

  const conflict = yield* request_resource_conflict(parent_res, res);

  if (conflict)
    dev_info(
      b.dev,
      "busn_res: can not insert %pR under %s%pR (conflicts with %s %pR)\n",
      res,
      pci_is_root_bus(b) ? "domain " : "",
      parent_res,
      conflict.name,
      conflict,
    );

  return conflict === null;
}

export function* pci_bus_release_busn_res(b: pci_bus): Spins {
  const res = b.busn_res;

  if (!res.flags || !res.parent) return;

  const ret = yield* release_resource(res);
  dev_info(b.dev, "busn_res: %pR %s released\n", res, ret ? "can not be" : "is");
}

/** Looks for new devices on a bus and below, and lets drivers have them. @return the highest bus number. May sleep */
export function* pci_rescan_bus(bus: pci_bus): Sleeps<number> {
  const max = yield* pci_scan_child_bus(bus);
  yield* pci_assign_unassigned_bus_resources(bus);
  yield* pci_bus_add_devices(bus);

  return max;
}
EXPORT_SYMBOL_GPL(pci_rescan_bus);

/** Against devices that come and go. May sleep. */
export function pci_lock_rescan_remove(): Sleeps {
  return mutex_lock(s.pci_rescan_remove_lock);
}
EXPORT_SYMBOL_GPL(pci_lock_rescan_remove);
export function pci_unlock_rescan_remove(): void {
  mutex_unlock(s.pci_rescan_remove_lock);
}
EXPORT_SYMBOL_GPL(pci_unlock_rescan_remove);
