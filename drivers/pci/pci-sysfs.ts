// SPDX-License-Identifier: GPL-2.0-only
/**
 * What user space sees of the PCI bus in sysfs. Source: drivers/pci/pci-sysfs.c
 *
 * Not here: mapping and reading BARs through their files (resource0 and so on say -EIO), ROMs, legacy I/O and memory of a
 * bus, resizing BARs, links' speeds, the files of ACPI, SMBIOS, AER, ASPM and SR-IOV.
 */
import { atomic_read } from "#linux/atomic.ts";
import { fls64 } from "#linux/bitops.ts";
import { capable, CAP_SYS_ADMIN } from "#linux/capability.ts";
import {
  type bus_type,
  BUS_ATTR_WO,
  type device,
  DEVICE_ATTR,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  DEVICE_ATTR_WO,
  type device_attribute,
  device_lock,
  device_remove_file_self,
  type device_type,
  device_unlock,
  dev_info,
  driver_set_override,
  kobj_to_dev,
} from "#linux/device.ts";
import { EACCES, EBUSY, EINVAL, EIO, ENOMEM, EPERM } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { late_initcall } from "#linux/init.ts";
import { kstrtoul } from "#linux/kernel.ts";
import type { kobject } from "#linux/kobject.ts";
import {
  DEVICE_COUNT_RESOURCE,
  PCI_ANY_ID,
  pci_ari_enabled,
  PCI_BRIDGE_RESOURCES,
  PCI_BUS_FLAGS_NO_MSI,
  type pci_dev,
  pci_dev_put,
  pci_disable_device,
  PCI_D3cold,
  pci_enable_device,
  pci_find_next_bus,
  pci_get_device,
  pci_info,
  pci_is_bridge,
  pci_is_enabled,
  pci_lock_rescan_remove,
  PCI_NUM_RESET_METHODS,
  pci_power_name,
  pci_read_config_byte,
  pci_rescan_bus,
  pci_reset_function,
  PCI_RESET_PROBE,
  pci_reset_supported,
  pci_resource_len,
  PCI_SECONDARY_BUS,
  PCI_STD_NUM_BARS,
  pci_stop_and_remove_bus_device_locked,
  PCI_SUBORDINATE_BUS,
  pci_unlock_rescan_remove,
  pci_user_read_config_byte,
  pci_user_read_config_dword,
  pci_user_read_config_word,
  pci_user_write_config_byte,
  pci_user_write_config_dword,
  pci_user_write_config_word,
  to_pci_bus,
  to_pci_dev,
} from "#linux/pci.ts";
import {
  pm_runtime_barrier,
  pm_runtime_get_noresume,
  pm_runtime_get_sync,
  pm_runtime_put,
  pm_runtime_put_sync,
  pm_runtime_resume,
} from "#linux/pm_runtime.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  type attribute,
  type attribute_group,
  type attribute_groups,
  bin_attribute,
  type sysfs_buf,
  sysfs_create_bin_file,
  sysfs_emit,
  sysfs_emit_at,
  sysfs_remove_bin_file,
  sysfs_streq,
} from "#linux/sysfs.ts";
import { initialise, type kbuf, type Sleeps } from "#linux/types.ts";
import { on_x86 } from "#asm/setup.ts";
import { __pci_reset_bus, pci_reset_fn_methods } from "./pci.ts";
import { pci_dev_vpd_attr_group } from "./vpd.ts";

const { per_boot } = kbuild(import.meta.url);

const s = per_boot(() => ({ sysfs_initialized: false }));

const pci_config_attr = (
  name: "vendor" | "device" | "subsystem_vendor" | "subsystem_device" | "revision" | "class",
  format: string,
): device_attribute => DEVICE_ATTR_RO(name, (dev, _attr, buf) => sysfs_emit(buf, format, to_pci_dev(dev)[name]));
const dev_attr_vendor = pci_config_attr("vendor", "0x%04x\n");
const dev_attr_device = pci_config_attr("device", "0x%04x\n");
const dev_attr_subsystem_vendor = pci_config_attr("subsystem_vendor", "0x%04x\n");
const dev_attr_subsystem_device = pci_config_attr("subsystem_device", "0x%04x\n");
const dev_attr_revision = pci_config_attr("revision", "0x%02x\n");
const dev_attr_class = pci_config_attr("class", "0x%06x\n");

function irq_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%u\n", to_pci_dev(dev).irq);
}
const dev_attr_irq = DEVICE_ATTR_RO("irq", irq_show);

function broken_parity_status_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%u\n", to_pci_dev(dev).broken_parity_status);
}
function broken_parity_status_store(dev: device, _attr: device_attribute, buf: string, count: number): number {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  to_pci_dev(dev).broken_parity_status = val.value !== 0n;

  return count;
}
const dev_attr_broken_parity_status = DEVICE_ATTR_RW(
  "broken_parity_status",
  broken_parity_status_show,
  broken_parity_status_store,
);

function power_state_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%s\n", pci_power_name(to_pci_dev(dev).current_state));
}
const dev_attr_power_state = DEVICE_ATTR_RO("power_state", power_state_show);

function resource_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const pdev = to_pci_dev(dev);
  let len = 0;

  const max = pdev.subordinate ? DEVICE_COUNT_RESOURCE : PCI_BRIDGE_RESOURCES;

  for (let i = 0; i < max; i++) {
    const res = pdev.resource.at(i);
    len += sysfs_emit_at(buf, len, "0x%016llx 0x%016llx 0x%016llx\n", res.start, res.end, res.flags);
  }
  return len;
}
const dev_attr_resource = DEVICE_ATTR_RO("resource", resource_show);

/** For reading configuration space: who sleeps below a bridge that sleeps cannot answer. */
function* pci_config_pm_runtime_get(pdev: pci_dev): Sleeps {
  const { dev } = pdev;
  const { parent } = dev;

  if (parent) yield* pm_runtime_get_sync(parent);
  pm_runtime_get_noresume(dev);
  // No transition is in progress while it is read.
  yield* pm_runtime_barrier(dev);
  if (pdev.current_state === PCI_D3cold) yield* pm_runtime_resume(dev);
}
function* pci_config_pm_runtime_put(pdev: pci_dev): Sleeps {
  const { dev } = pdev;
  const { parent } = dev;

  yield* pm_runtime_put(dev);
  if (parent) yield* pm_runtime_put_sync(parent);
}

function* bus_number_show(dev: device, where: number, buf: sysfs_buf): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const bus = { value: 0 };

  yield* pci_config_pm_runtime_get(pdev);
  const err = pci_read_config_byte(pdev, where, bus);
  yield* pci_config_pm_runtime_put(pdev);

  if (err) return -EINVAL;

  return sysfs_emit(buf, "%u\n", bus.value);
}
const dev_attr_secondary_bus_number = DEVICE_ATTR_RO("secondary_bus_number", (dev, _attr, buf) =>
  bus_number_show(dev, PCI_SECONDARY_BUS, buf),
);
const dev_attr_subordinate_bus_number = DEVICE_ATTR_RO("subordinate_bus_number", (dev, _attr, buf) =>
  bus_number_show(dev, PCI_SUBORDINATE_BUS, buf),
);

function ari_enabled_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%u\n", pci_ari_enabled(to_pci_dev(dev).bus!));
}
const dev_attr_ari_enabled = DEVICE_ATTR_RO("ari_enabled", ari_enabled_show);

function modalias_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const pdev = to_pci_dev(dev);

  return sysfs_emit(
    buf,
    "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n",
    pdev.vendor,
    pdev.device,
    pdev.subsystem_vendor,
    pdev.subsystem_device,
    (pdev.class >> 16) & 0xff,
    (pdev.class >> 8) & 0xff,
    pdev.class & 0xff,
  );
}
const dev_attr_modalias = DEVICE_ATTR_RO("modalias", modalias_show);

function* enable_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const val = { value: 0n };
  let result = 0;

  if (!capable(CAP_SYS_ADMIN)) return -EPERM;

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  yield* device_lock(dev);
  if (dev.driver) result = -EBUSY;
  else if (val.value) result = yield* pci_enable_device(pdev);
  else if (pci_is_enabled(pdev)) pci_disable_device(pdev);
  else result = -EIO;
  device_unlock(dev);

  return result < 0 ? result : count;
}
function enable_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%u\n", atomic_read(to_pci_dev(dev).enable_cnt));
}
const dev_attr_enable = DEVICE_ATTR_RW("enable", enable_show, enable_store);

function dma_mask_bits_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", fls64(to_pci_dev(dev).dma_mask.value));
}
const dev_attr_dma_mask_bits = DEVICE_ATTR_RO("dma_mask_bits", dma_mask_bits_show);
function consistent_dma_mask_bits_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", fls64(dev.coherent_dma_mask));
}
const dev_attr_consistent_dma_mask_bits = DEVICE_ATTR_RO("consistent_dma_mask_bits", consistent_dma_mask_bits_show);

function msi_bus_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const pdev = to_pci_dev(dev);
  const { subordinate } = pdev;

  return sysfs_emit(buf, "%u\n", subordinate ? !(subordinate.bus_flags & PCI_BUS_FLAGS_NO_MSI) : !pdev.no_msi);
}
function msi_bus_store(dev: device, _attr: device_attribute, buf: string, count: number): number {
  const pdev = to_pci_dev(dev);
  const { subordinate } = pdev;
  const val = { value: 0n };

  if (!capable(CAP_SYS_ADMIN)) return -EPERM;

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  // Who has them already keeps them.
  if (!subordinate) {
    pdev.no_msi = !val.value;
    pci_info(pdev, "MSI/MSI-X %s for future drivers\n", val.value ? "allowed" : "disallowed");
    return count;
  }

  if (val.value) subordinate.bus_flags &= ~PCI_BUS_FLAGS_NO_MSI;
  else subordinate.bus_flags |= PCI_BUS_FLAGS_NO_MSI;

  dev_info(
    subordinate.dev,
    "MSI/MSI-X %s for future drivers of devices on this bus\n",
    val.value ? "allowed" : "disallowed",
  );
  return count;
}
const dev_attr_msi_bus = DEVICE_ATTR_RW("msi_bus", msi_bus_show, msi_bus_store);

function* rescan_store(_bus: bus_type, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value) {
    yield* pci_lock_rescan_remove();
    let b = yield* pci_find_next_bus(null);
    while (b !== null) {
      yield* pci_rescan_bus(b);
      b = yield* pci_find_next_bus(b);
    }
    pci_unlock_rescan_remove();
  }
  return count;
}
const bus_attr_rescan = BUS_ATTR_WO("rescan", rescan_store);

export const pci_bus_groups: attribute_groups = [{ attrs: [bus_attr_rescan.attr] }];

function* dev_rescan_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value) {
    yield* pci_lock_rescan_remove();
    yield* pci_rescan_bus(to_pci_dev(dev).bus!);
    pci_unlock_rescan_remove();
  }
  return count;
}
const dev_attr_dev_rescan = DEVICE_ATTR_WO("rescan", dev_rescan_store);

function* remove_store(dev: device, attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value && (yield* device_remove_file_self(dev, attr)))
    yield* pci_stop_and_remove_bus_device_locked(to_pci_dev(dev));
  return count;
}
const dev_attr_remove = DEVICE_ATTR("remove", 0o220, null, remove_store);
dev_attr_remove.attr.ignore_lockdep = true;

function* bus_rescan_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value) {
    yield* pci_lock_rescan_remove();
    yield* pci_rescan_bus(to_pci_bus(dev));
    pci_unlock_rescan_remove();
  }
  return count;
}
const dev_attr_bus_rescan = DEVICE_ATTR_WO("rescan", bus_rescan_store);

function* reset_subordinate_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const bus = to_pci_dev(dev).subordinate!;
  const val = { value: 0n };

  if (!capable(CAP_SYS_ADMIN)) return -EPERM;

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value) {
    const ret = yield* __pci_reset_bus(bus);

    if (ret) return ret;
  }

  return count;
}
const dev_attr_reset_subordinate = DEVICE_ATTR_WO("reset_subordinate", reset_subordinate_store);

function* d3cold_allowed_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  to_pci_dev(dev).d3cold_allowed = val.value !== 0n;

  yield* pm_runtime_resume(dev);

  return count;
}
function d3cold_allowed_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%u\n", to_pci_dev(dev).d3cold_allowed);
}
const dev_attr_d3cold_allowed = DEVICE_ATTR_RW("d3cold_allowed", d3cold_allowed_show, d3cold_allowed_store);

function* driver_override_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const override = {
    get value(): string | null {
      return pdev.driver_override;
    },
    set value(v: string | null) {
      const old = pdev.driver_override;
      pdev.driver_override = v;
      kfree(old);
    },
  };

  const ret = yield* driver_set_override(dev, override, buf, count);
  if (ret) return ret;

  return count;
}
function* driver_override_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  yield* device_lock(dev);
  const len = sysfs_emit(buf, "%s\n", to_pci_dev(dev).driver_override);
  device_unlock(dev);
  return len;
}
const dev_attr_driver_override = DEVICE_ATTR_RW("driver_override", driver_override_show, driver_override_store);

const pci_dev_attrs = [
  dev_attr_power_state.attr,
  dev_attr_resource.attr,
  dev_attr_vendor.attr,
  dev_attr_device.attr,
  dev_attr_subsystem_vendor.attr,
  dev_attr_subsystem_device.attr,
  dev_attr_revision.attr,
  dev_attr_class.attr,
  dev_attr_irq.attr,
  dev_attr_modalias.attr,
  dev_attr_dma_mask_bits.attr,
  dev_attr_consistent_dma_mask_bits.attr,
  dev_attr_enable.attr,
  dev_attr_broken_parity_status.attr,
  dev_attr_msi_bus.attr,
  dev_attr_d3cold_allowed.attr,
  dev_attr_driver_override.attr,
  dev_attr_ari_enabled.attr,
];

const pci_bridge_attrs = [
  dev_attr_subordinate_bus_number.attr,
  dev_attr_secondary_bus_number.attr,
  dev_attr_reset_subordinate.attr,
];

export const pcibus_groups: attribute_groups = [{ attrs: [dev_attr_bus_rescan.attr] }];

const kobj_to_pci_dev = (kobj: kobject): pci_dev => to_pci_dev(kobj_to_dev(kobj));

function* pci_read_config(kobj: kobject, _a: bin_attribute, buf: kbuf, off: number, count: number): Sleeps<number> {
  const dev = kobj_to_pci_dev(kobj);
  // Some devices lock up when more than the header is read.
  let size = capable(CAP_SYS_ADMIN) ? dev.cfg_size : 64;
  const init_off = off;
  const val = { value: 0 };
  const data = buf.$view;

  if (off > size) return 0;
  if (off + count > size) {
    size -= off;
    count = size;
  } else {
    size = count;
  }

  yield* pci_config_pm_runtime_get(dev);

  if (off & 1 && size) {
    yield* pci_user_read_config_byte(dev, off, val);
    data.setUint8(off - init_off, val.value);
    off++;
    size--;
  }

  if (off & 3 && size > 2) {
    yield* pci_user_read_config_word(dev, off, val);
    data.setUint16(off - init_off, val.value, true);
    off += 2;
    size -= 2;
  }

  while (size > 3) {
    yield* pci_user_read_config_dword(dev, off, val);
    data.setUint32(off - init_off, val.value, true);
    off += 4;
    size -= 4;
  }

  if (size >= 2) {
    yield* pci_user_read_config_word(dev, off, val);
    data.setUint16(off - init_off, val.value, true);
    off += 2;
    size -= 2;
  }

  if (size > 0) {
    yield* pci_user_read_config_byte(dev, off, val);
    data.setUint8(off - init_off, val.value);
  }

  yield* pci_config_pm_runtime_put(dev);

  return count;
}

function* pci_write_config(kobj: kobject, _a: bin_attribute, buf: kbuf, off: number, count: number): Sleeps<number> {
  const dev = kobj_to_pci_dev(kobj);
  let size = count;
  const init_off = off;
  const data = buf.$view;

  if (off > dev.cfg_size) return 0;
  if (off + count > dev.cfg_size) {
    size = dev.cfg_size - off;
    count = size;
  }

  yield* pci_config_pm_runtime_get(dev);

  if (off & 1 && size) {
    yield* pci_user_write_config_byte(dev, off, data.getUint8(off - init_off));
    off++;
    size--;
  }

  if (off & 3 && size > 2) {
    yield* pci_user_write_config_word(dev, off, data.getUint16(off - init_off, true));
    off += 2;
    size -= 2;
  }

  while (size > 3) {
    yield* pci_user_write_config_dword(dev, off, data.getUint32(off - init_off, true));
    off += 4;
    size -= 4;
  }

  if (size >= 2) {
    yield* pci_user_write_config_word(dev, off, data.getUint16(off - init_off, true));
    off += 2;
    size -= 2;
  }

  if (size) yield* pci_user_write_config_byte(dev, off, data.getUint8(off - init_off));

  yield* pci_config_pm_runtime_put(dev);

  return count;
}
const bin_attr_config = initialise(new bin_attribute(), {
  attr: { name: "config", mode: 0o644 },
  read: pci_read_config,
  write: pci_write_config,
});

/** One attribute for all devices: its size is that of the one whose file is being made, as in C. */
function pci_dev_config_attr_is_visible(kobj: kobject, a: bin_attribute, _n: number): number {
  a.size = BigInt(kobj_to_pci_dev(kobj).cfg_size > 256 ? 4096 : 256);

  return a.attr.mode;
}
const pci_dev_config_attr_group: attribute_group = {
  bin_attrs: [bin_attr_config],
  is_bin_visible: pci_dev_config_attr_is_visible,
};

function* pci_remove_resource_files(pdev: pci_dev): Sleeps {
  for (let i = 0; i < PCI_STD_NUM_BARS; i++) {
    const res_attr = pdev.res_attr.at(i);
    if (!res_attr) continue;
    yield* sysfs_remove_bin_file(pdev.dev.kobj, res_attr);
    kfree(res_attr);
  }
}

function* pci_create_attr(pdev: pci_dev, num: number): Sleeps<number> {
  const res_attr = kzalloc(bin_attribute, GFP_KERNEL);
  if (!res_attr) return -ENOMEM;

  res_attr.attr.name = `resource${num}`;
  res_attr.attr.mode = 0o600;
  res_attr.size = pci_resource_len(pdev, num);
  const retval = yield* sysfs_create_bin_file(pdev.dev.kobj, res_attr);
  if (retval) {
    kfree(res_attr);
    return retval;
  }

  pdev.res_attr.set(num, res_attr);

  return 0;
}

function* pci_create_resource_files(pdev: pci_dev): Sleeps<number> {
  for (let i = 0; i < PCI_STD_NUM_BARS; i++) {
    if (!pci_resource_len(pdev, i)) continue;

    const retval = yield* pci_create_attr(pdev, i);
    if (retval) {
      yield* pci_remove_resource_files(pdev);
      return retval;
    }
  }
  return 0;
}

function* reset_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value !== 1n) return -EINVAL;

  yield* pm_runtime_get_sync(dev);
  const result = yield* pci_reset_function(to_pci_dev(dev));
  yield* pm_runtime_put(dev);
  if (result < 0) return result;

  return count;
}
const dev_attr_reset = DEVICE_ATTR_WO("reset", reset_store);

function pci_dev_reset_attr_is_visible(kobj: kobject, a: attribute, _n: number): number {
  if (!pci_reset_supported(kobj_to_pci_dev(kobj))) return 0;

  return a.mode;
}
const pci_dev_reset_attr_group: attribute_group = {
  attrs: [dev_attr_reset.attr],
  is_visible: pci_dev_reset_attr_is_visible,
};

/* Of drivers/pci/pci.c. */
function reset_method_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const pdev = to_pci_dev(dev);
  let len = 0;

  for (let i = 0; i < PCI_NUM_RESET_METHODS; i++) {
    const m = pdev.reset_methods.at(i);
    if (!m) break;

    len += sysfs_emit_at(buf, len, "%s%s", len ? " " : "", pci_reset_fn_methods[m]!.name);
  }

  if (len) len += sysfs_emit_at(buf, len, "\n");

  return len;
}
function* reset_method_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const pdev = to_pci_dev(dev);
  const wanted: number[] = [];

  if (sysfs_streq(buf, "")) {
    pdev.reset_methods.set(0, 0);
    pci_info(pdev, "All device reset methods disabled by user");
    return count;
  }
  if (sysfs_streq(buf, "default")) {
    pdev.reset_methods.set(0, 0);
    let n = 0;
    for (let m = 1; m < PCI_NUM_RESET_METHODS; m++)
      if (!(yield* pci_reset_fn_methods[m]!.reset_fn(pdev, PCI_RESET_PROBE))) pdev.reset_methods.set(n++, m);
    pdev.reset_methods.set(n, 0);
    return count;
  }
  for (const word of buf.split(" ").map((w) => w.trim())) {
    if (word === "") continue;

    const m = pci_reset_fn_methods.findIndex((method, i) => i > 0 && method.name === word);
    if (m < 0) {
      pci_info(pdev, "Invalid reset method '%s'", word);
      return -EINVAL;
    }

    if (yield* pci_reset_fn_methods[m]!.reset_fn(pdev, PCI_RESET_PROBE)) {
      pci_info(pdev, "Unsupported reset method '%s'", word);
      return -EINVAL;
    }

    if (wanted.length === PCI_NUM_RESET_METHODS - 1) {
      pci_info(pdev, "Too many reset methods\n");
      return -EINVAL;
    }

    wanted.push(m);
  }
  wanted.forEach((m, i) => pdev.reset_methods.set(i, m));
  pdev.reset_methods.set(wanted.length, 0);
  return count;
}
const dev_attr_reset_method = DEVICE_ATTR_RW("reset_method", reset_method_show, reset_method_store);
const pci_dev_reset_method_attr_group: attribute_group = {
  attrs: [dev_attr_reset_method.attr],
  is_visible: pci_dev_reset_attr_is_visible,
};

/** The files of a device that come with its addresses. @return 0, -EACCES before sysfs is there, -ENOMEM. May sleep */
export function* pci_create_sysfs_dev_files(pdev: pci_dev): Sleeps<number> {
  if (!s.sysfs_initialized) return -EACCES;

  return yield* pci_create_resource_files(pdev);
}
export function* pci_remove_sysfs_dev_files(pdev: pci_dev): Sleeps {
  if (!s.sysfs_initialized) return;

  yield* pci_remove_resource_files(pdev);
}

function* pci_sysfs_init(): Sleeps<number> {
  let pdev: pci_dev | null = null;

  s.sysfs_initialized = true;
  while ((pdev = yield* pci_get_device(PCI_ANY_ID, PCI_ANY_ID, pdev)) !== null) {
    const retval = yield* pci_create_sysfs_dev_files(pdev);
    if (retval) {
      yield* pci_dev_put(pdev);
      return retval;
    }
  }

  return 0;
}
late_initcall(on_x86(pci_sysfs_init));

function pci_dev_hp_attrs_are_visible(kobj: kobject, a: attribute, _n: number): number {
  if (kobj_to_pci_dev(kobj).is_virtfn) return 0;

  return a.mode;
}
function pci_bridge_attrs_are_visible(kobj: kobject, a: attribute, _n: number): number {
  if (pci_is_bridge(kobj_to_pci_dev(kobj))) return a.mode;

  return 0;
}

export const pci_dev_groups: attribute_groups = [
  { attrs: pci_dev_attrs },
  pci_dev_config_attr_group,
  pci_dev_reset_attr_group,
  pci_dev_reset_method_attr_group,
  pci_dev_vpd_attr_group,
];

const pci_dev_hp_attr_group: attribute_group = {
  attrs: [dev_attr_remove.attr, dev_attr_dev_rescan.attr],
  is_visible: pci_dev_hp_attrs_are_visible,
};
const pci_bridge_attr_group: attribute_group = {
  attrs: pci_bridge_attrs,
  is_visible: pci_bridge_attrs_are_visible,
};

export const pci_dev_type: device_type = { groups: [pci_dev_hp_attr_group, pci_bridge_attr_group] };
