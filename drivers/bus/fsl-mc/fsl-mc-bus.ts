// SPDX-License-Identifier: GPL-2.0-only
/**
 * The bus of Freescale's Management Complex: firmware that hands out objects, in containers that are objects too.
 * Source: drivers/bus/fsl-mc/fsl-mc-bus.c. Not here: ACPI, fsl_mc_get_endpoint().
 */
import { on_arm64 } from "#asm/setup.ts";
import { WARN_ON } from "#linux/bug.ts";
import {
  BUS_ATTR_RW,
  BUS_ATTR_WO,
  bus_for_each_dev,
  BUS_NOTIFY_ADD_DEVICE,
  bus_register,
  bus_register_notifier,
  bus_type,
  bus_unregister,
  bus_unregister_notifier,
  dev_dbg,
  dev_err,
  dev_get_drvdata,
  dev_get_msi_domain,
  dev_info,
  dev_name,
  dev_set_msi_domain,
  dev_set_name,
  dev_warn,
  type device,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  device_add,
  type device_attribute,
  device_del,
  type device_driver,
  device_initialize,
  device_lock,
  type device_type,
  device_unlock,
  devm_kcalloc,
  devm_kzalloc,
  driver_register,
  driver_set_override,
  driver_unregister,
  put_device,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, EINVAL, ENODEV, ENOMEM, EPROBE_DEFER } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  dev_is_fsl_mc,
  fsl_mc_bus_dpaiop_type,
  fsl_mc_bus_dpbp_type,
  fsl_mc_bus_dpci_type,
  fsl_mc_bus_dpcon_type,
  fsl_mc_bus_dpdbg_type,
  fsl_mc_bus_dpdcei_type,
  fsl_mc_bus_dpdmai_type,
  fsl_mc_bus_dpdmux_type,
  fsl_mc_bus_dpio_type,
  fsl_mc_bus_dpmac_type,
  fsl_mc_bus_dpmcp_type,
  fsl_mc_bus_dpni_type,
  fsl_mc_bus_dprc_type,
  fsl_mc_bus_dprtc_type,
  fsl_mc_bus_dpseci_type,
  fsl_mc_bus_dpsw_type,
  fsl_mc_device,
  type fsl_mc_driver,
  type fsl_mc_io,
  FSL_MC_IO_ATOMIC_CONTEXT_PORTAL,
  FSL_MC_IS_DPRC,
  fsl_mc_obj_desc,
  FSL_MC_OBJ_STATE_PLUGGED,
  FSL_MC_VENDOR_FREESCALE,
  is_fsl_mc_bus_dpio,
  is_fsl_mc_bus_dpmcp,
  is_fsl_mc_bus_dprc,
  mc_encode_cmd_header,
  mc_send_command,
  to_fsl_mc_device,
  to_fsl_mc_driver,
} from "#linux/fsl/mc.ts";
import { postcore_initcall } from "#linux/init.ts";
import { devm_ioremap_resource, type iomem, ioremap, iounmap, readl, writel } from "#linux/io.ts";
import { iommu_device_unuse_default_domain, iommu_device_use_default_domain } from "#linux/iommu.ts";
import { IORESOURCE_BITS, IORESOURCE_MEM, resource, resource_size } from "#linux/ioport.ts";
import { kstrtoul } from "#linux/kernel.ts";
import { add_uevent_var, type kobj_uevent_env } from "#linux/kobject.ts";
import type { module } from "#linux/module.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { notifier_block } from "#linux/notifier.ts";
import { of_get_property, of_match_device } from "#linux/of.ts";
import {
  type platform_device,
  platform_bus_type,
  platform_driver,
  platform_driver_register,
  platform_driver_unregister,
  platform_get_drvdata,
  platform_get_resource,
  platform_set_drvdata,
  to_platform_device,
} from "#linux/platform_device.ts";
import { pr_err } from "#linux/printk.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kmalloc_array, kzalloc } from "#linux/slab.ts";
import { copy_struct } from "#linux/string.ts";
import { type attribute_groups, ATTRIBUTE_GROUPS, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import { cast_to, embed, initialise, ptr, type Sleeps, struct, type struct_array, u32, u64, u8 } from "#linux/types.ts";
import {
  disable_dprc_irq,
  DPMNG_CMDID_GET_VERSION,
  dpmng_rsp_get_version,
  dprc_attributes,
  dprc_close,
  dprc_driver_exit,
  dprc_driver_init,
  dprc_get_api_version,
  dprc_get_attributes,
  dprc_get_container_id,
  dprc_get_obj_region,
  dprc_open,
  dprc_region_desc,
  DPRC_REGION_TYPE_MC_PORTAL,
  DPRC_REGION_TYPE_QBMAN_PORTAL,
  dprc_scan_objects,
  enable_dprc_irq,
  fsl_create_mc_io,
  fsl_destroy_mc_io,
  fsl_mc_allocator_driver_init,
  fsl_mc_bus,
  get_dprc_irq_state,
  to_fsl_mc_bus,
} from "./fsl-mc-private.ts";

const { THIS_MODULE, per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const FSL_MC_DEFAULT_DMA_MASK = (1n << 64n) - 1n;

export interface fsl_mc_version {
  major: number;
  minor: number;
  revision: number;
}

/** What the platform device of the firmware keeps. */
class fsl_mc extends struct("fsl_mc", {
  root_mc_bus_dev: ptr<fsl_mc_device>(),
  num_translation_ranges: u8(),
  translation_ranges: ptr<struct_array<fsl_mc_addr_translation_range>>(),
  fsl_mc_regs: ptr<iomem>(),
}) {}

/** Offsets that the firmware says, and the addresses that they are. */
class fsl_mc_addr_translation_range extends struct("fsl_mc_addr_translation_range", {
  mc_region_type: u32(),
  start_mc_offset: u64(),
  end_mc_offset: u64(),
  start_phys_addr: u64(),
}) {}

const FSL_MC_GCR1 = 0x0;
const GCR1_P1_STOP = 1 << 31;
const GCR1_P2_STOP = 1 << 30;

const s = per_boot(() => {
  const fsl_mc_bus_driver = initialise(new platform_driver(), {
    probe: fsl_mc_bus_probe,
    remove: fsl_mc_bus_remove,
    shutdown: fsl_mc_bus_shutdown,
  });
  initialise(fsl_mc_bus_driver.driver, { name: "fsl_mc_bus", of_match_table: fsl_mc_bus_match_table });
  return {
    mc_version: { major: 0, minor: 0, revision: 0 },
    mc_portal_base_phys_addr: 0n,
    fsl_mc_bus_type: initialise(new bus_type(), {
      name: "fsl-mc",
      match: fsl_mc_bus_match,
      uevent: fsl_mc_bus_uevent,
      dma_configure: fsl_mc_dma_configure,
      dma_cleanup: fsl_mc_dma_cleanup,
      dev_groups: fsl_mc_dev_groups,
      bus_groups: fsl_mc_bus_groups,
    }),
    fsl_mc_bus_driver,
    fsl_mc_nb: initialise(new notifier_block(), { notifier_call: fsl_mc_bus_notifier }),
  };
});
/** `&fsl_mc_bus_type` */
export const fsl_mc_bus_type = (): bus_type => s.fsl_mc_bus_type;
EXPORT_SYMBOL_GPL(fsl_mc_bus_type);

function fsl_mc_bus_match(dev: device, drv: device_driver): number {
  const mc_dev = to_fsl_mc_device(dev);
  const mc_drv = to_fsl_mc_driver(drv);
  let found = false;

  out: {
    if (mc_dev.driver_override !== null) {
      found = mc_dev.driver_override === mc_drv.driver.name;
      break out;
    }

    if (!mc_drv.match_id_table) break out;

    // Only the root may be unplugged
    if ((mc_dev.obj_desc.state & FSL_MC_OBJ_STATE_PLUGGED) === 0 && !fsl_mc_is_root_dprc(mc_dev.dev)) break out;

    for (const id of mc_drv.match_id_table) {
      if (id.vendor === 0x0) break;
      if (id.vendor === mc_dev.obj_desc.vendor && id.obj_type === mc_dev.obj_desc.type) {
        found = true;

        break;
      }
    }
  }
  dev_dbg(dev, "%smatched\n", found ? "" : "not ");
  return Number(found);
}

function fsl_mc_bus_uevent(dev: device, env: kobj_uevent_env): number {
  const mc_dev = to_fsl_mc_device(dev);

  if (add_uevent_var(env, "MODALIAS=fsl-mc:v%08Xd%s", mc_dev.obj_desc.vendor, mc_dev.obj_desc.type)) return -ENOMEM;

  return 0;
}

/* As platform_dma_configure(): the IOMMU knows the objects by their container's ICID. */
function* fsl_mc_dma_configure(dev: device): Sleeps<number> {
  const mc_drv = to_fsl_mc_driver(dev.driver);
  let ret = 0;

  if (!mc_drv.driver_managed_dma) ret = yield* iommu_device_use_default_domain(dev);

  return ret;
}

function* fsl_mc_dma_cleanup(dev: device): Sleeps {
  const mc_drv = to_fsl_mc_driver(dev.driver);

  if (!mc_drv.driver_managed_dma) yield* iommu_device_unuse_default_domain(dev);
}

function modalias_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const mc_dev = to_fsl_mc_device(dev);

  return sysfs_emit(buf, "fsl-mc:v%08Xd%s\n", mc_dev.obj_desc.vendor, mc_dev.obj_desc.type);
}
const dev_attr_modalias = DEVICE_ATTR_RO("modalias", modalias_show);

/* `&mc_dev->driver_override` */
class driver_override_of {
  readonly mc_dev: fsl_mc_device;
  constructor(mc_dev: fsl_mc_device) {
    this.mc_dev = mc_dev;
  }
  get value(): string | null {
    return this.mc_dev.driver_override;
  }
  set value(v: string | null) {
    this.mc_dev.driver_override = v;
  }
}

function* driver_override_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const mc_dev = to_fsl_mc_device(dev);

  if (WARN_ON(dev.bus !== fsl_mc_bus_type())) return -EINVAL;

  const ret = yield* driver_set_override(dev, new driver_override_of(mc_dev), buf, count);
  if (ret) return ret;

  return count;
}

function* driver_override_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const mc_dev = to_fsl_mc_device(dev);

  yield* device_lock(dev);
  const len = sysfs_emit(buf, "%s\n", mc_dev.driver_override);
  device_unlock(dev);
  return len;
}
const dev_attr_driver_override = DEVICE_ATTR_RW("driver_override", driver_override_show, driver_override_store);

const fsl_mc_dev_groups: attribute_groups = ATTRIBUTE_GROUPS([dev_attr_modalias.attr, dev_attr_driver_override.attr]);

function* scan_fsl_mc_bus(dev: device, _data: null): Sleeps<number> {
  if (!fsl_mc_is_root_dprc(dev)) return 0;

  const root_mc_dev = to_fsl_mc_device(dev);
  const root_mc_bus = to_fsl_mc_bus(root_mc_dev);
  yield* mutex_lock(root_mc_bus.scan_mutex);
  yield* dprc_scan_objects(root_mc_dev, false);
  mutex_unlock(root_mc_bus.scan_mutex);

  return 0;
}

function* rescan_store(bus: bus_type, buf: string, count: number): Sleeps<number> {
  const val = { value: 0n };

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value) yield* bus_for_each_dev(bus, null, null, scan_fsl_mc_bus);

  return count;
}
const bus_attr_rescan = BUS_ATTR_WO("rescan", rescan_store);

function* fsl_mc_bus_set_autorescan(dev: device, buf: string): Sleeps<number> {
  const val = { value: 0n };

  if (!fsl_mc_is_root_dprc(dev)) return 0;

  const root_mc_dev = to_fsl_mc_device(dev);

  if (kstrtoul(buf, 0, val) < 0) return -EINVAL;

  if (val.value) yield* enable_dprc_irq(root_mc_dev);
  else yield* disable_dprc_irq(root_mc_dev);

  return 0;
}

function fsl_mc_bus_get_autorescan(dev: device, buf: sysfs_buf): number {
  if (!fsl_mc_is_root_dprc(dev)) return 0;

  sysfs_emit(buf, "%d\n", get_dprc_irq_state(to_fsl_mc_device(dev)));
  return 0;
}

function* autorescan_store(bus: bus_type, buf: string, count: number): Sleeps<number> {
  yield* bus_for_each_dev(bus, null, buf, fsl_mc_bus_set_autorescan);

  return count;
}

function* autorescan_show(bus: bus_type, buf: sysfs_buf): Sleeps<number> {
  yield* bus_for_each_dev(bus, null, buf, fsl_mc_bus_get_autorescan);
  return buf.text.length;
}
const bus_attr_autorescan = BUS_ATTR_RW("autorescan", autorescan_show, autorescan_store);

const fsl_mc_bus_groups: attribute_groups = ATTRIBUTE_GROUPS([bus_attr_rescan.attr, bus_attr_autorescan.attr]);

/* The types themselves are in the header, where is_fsl_mc_bus_…() wants them. */
function fsl_mc_get_device_type(type: string): device_type | null {
  const dev_types: Readonly<Record<string, device_type>> = {
    dprc: fsl_mc_bus_dprc_type,
    dpni: fsl_mc_bus_dpni_type,
    dpio: fsl_mc_bus_dpio_type,
    dpsw: fsl_mc_bus_dpsw_type,
    dpbp: fsl_mc_bus_dpbp_type,
    dpcon: fsl_mc_bus_dpcon_type,
    dpmcp: fsl_mc_bus_dpmcp_type,
    dpmac: fsl_mc_bus_dpmac_type,
    dprtc: fsl_mc_bus_dprtc_type,
    dpseci: fsl_mc_bus_dpseci_type,
    dpdmux: fsl_mc_bus_dpdmux_type,
    dpdcei: fsl_mc_bus_dpdcei_type,
    dpaiop: fsl_mc_bus_dpaiop_type,
    dpci: fsl_mc_bus_dpci_type,
    dpdmai: fsl_mc_bus_dpdmai_type,
    dpdbg: fsl_mc_bus_dpdbg_type,
  };
  return dev_types[type] ?? null;
}

function* fsl_mc_driver_probe(dev: device): Sleeps<number> {
  const mc_dev = to_fsl_mc_device(dev);
  const mc_drv = to_fsl_mc_driver(dev.driver);

  const error = yield* either(mc_drv.probe!(mc_dev));
  if (error < 0) {
    if (error !== -EPROBE_DEFER) dev_err(dev, "%s failed: %d\n", "fsl_mc_driver_probe", error);
    return error;
  }

  return 0;
}

function* fsl_mc_driver_remove(dev: device): Sleeps<number> {
  const mc_drv = to_fsl_mc_driver(dev.driver);
  const mc_dev = to_fsl_mc_device(dev);

  const error = yield* either(mc_drv.remove!(mc_dev));
  if (error < 0) {
    dev_err(dev, "%s failed: %d\n", "fsl_mc_driver_remove", error);
    return error;
  }

  return 0;
}

function* fsl_mc_driver_shutdown(dev: device): Sleeps {
  const mc_drv = to_fsl_mc_driver(dev.driver);
  const mc_dev = to_fsl_mc_device(dev);

  yield* either(mc_drv.shutdown!(mc_dev));
}

/** Makes a driver known. @owner: THIS_MODULE. @return 0 or errno. May sleep */
export function* __fsl_mc_driver_register(mc_driver: fsl_mc_driver, owner: module | null): Sleeps<number> {
  mc_driver.driver.owner = owner;
  mc_driver.driver.bus = fsl_mc_bus_type();

  if (mc_driver.probe) mc_driver.driver.probe = fsl_mc_driver_probe;

  if (mc_driver.remove) mc_driver.driver.remove = fsl_mc_driver_remove;

  if (mc_driver.shutdown) mc_driver.driver.shutdown = fsl_mc_driver_shutdown;

  const error = yield* driver_register(mc_driver.driver);
  if (error < 0) {
    pr_err("fsl-mc: driver_register() failed for %s: %d\n", mc_driver.driver.name, error);
    return error;
  }

  return 0;
}
EXPORT_SYMBOL_GPL(__fsl_mc_driver_register);

/** The opposite: its devices lose it. May sleep. */
export function* fsl_mc_driver_unregister(mc_driver: fsl_mc_driver): Sleeps {
  yield* driver_unregister(mc_driver.driver);
}
EXPORT_SYMBOL_GPL(fsl_mc_driver_unregister);

function* mc_get_version(mc_io: fsl_mc_io, cmd_flags: number, mc_ver_info: fsl_mc_version): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPMNG_CMDID_GET_VERSION, cmd_flags, 0);

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  const rsp_params = cast_to(dpmng_rsp_get_version, cmd.params);
  mc_ver_info.revision = rsp_params.revision;
  mc_ver_info.major = rsp_params.version_major;
  mc_ver_info.minor = rsp_params.version_minor;

  return 0;
}

/** Version of the firmware, once the bus is there; or NULL. */
export function fsl_mc_get_version(): fsl_mc_version | null {
  if (s.mc_version.major) return s.mc_version;

  return null;
}
EXPORT_SYMBOL_GPL(fsl_mc_get_version);

/** The root of the containers that a device is in; NULL for one of another bus. */
export function fsl_mc_get_root_dprc(dev: device | null): device | null {
  if (!dev || !dev_is_fsl_mc(dev)) return null;
  let root_dprc_dev = dev;
  while (dev_is_fsl_mc(root_dprc_dev.parent!)) root_dprc_dev = root_dprc_dev.parent!;
  return root_dprc_dev;
}

function* get_dprc_attr(mc_io: fsl_mc_io, container_id: number, attr: dprc_attributes): Sleeps<number> {
  const dprc_handle = { value: 0 };

  let error = yield* dprc_open(mc_io, 0, container_id, dprc_handle);
  if (error < 0) {
    dev_err(mc_io.dev, "dprc_open() failed: %d\n", error);
    return error;
  }

  common_cleanup: {
    error = yield* dprc_get_attributes(mc_io, 0, dprc_handle.value, attr);
    if (error < 0) {
      dev_err(mc_io.dev, "dprc_get_attributes() failed: %d\n", error);
      break common_cleanup;
    }

    error = 0;
  }
  yield* dprc_close(mc_io, 0, dprc_handle.value);
  return error;
}

function* get_dprc_icid(mc_io: fsl_mc_io, container_id: number, mc_dev: fsl_mc_device): Sleeps<number> {
  const attr = new dprc_attributes();

  const error = yield* get_dprc_attr(mc_io, container_id, attr);
  if (error === 0) mc_dev.icid = attr.icid;

  return error;
}

function translate_mc_addr(mc_dev: fsl_mc_device, mc_region_type: number, mc_offset: bigint, region: resource): number {
  const root_dprc_dev = fsl_mc_get_root_dprc(mc_dev.dev)!;
  const mc = dev_get_drvdata<fsl_mc>(root_dprc_dev.parent!)!;

  if (mc.num_translation_ranges === 0) {
    region.start = mc_offset;
    return 0;
  }

  for (let i = 0; i < mc.num_translation_ranges; i++) {
    const range = mc.translation_ranges!.at(i);

    if (
      mc_region_type === range.mc_region_type &&
      mc_offset >= range.start_mc_offset &&
      mc_offset < range.end_mc_offset
    ) {
      region.start = range.start_phys_addr + (mc_offset - range.start_mc_offset);
      return 0;
    }
  }

  return -EFAULT;
}

function* fsl_mc_device_get_mmio_regions(mc_dev: fsl_mc_device, mc_bus_dev: fsl_mc_device): Sleeps<number> {
  const obj_desc = mc_dev.obj_desc;
  const parent_dev = mc_dev.dev.parent!;
  let mc_region_type: number;
  let error = 0;

  if (is_fsl_mc_bus_dprc(mc_dev) || is_fsl_mc_bus_dpmcp(mc_dev)) {
    mc_region_type = DPRC_REGION_TYPE_MC_PORTAL;
  } else if (is_fsl_mc_bus_dpio(mc_dev)) {
    mc_region_type = DPRC_REGION_TYPE_QBMAN_PORTAL;
  } else {
    // No others have registers
    return -EINVAL;
  }

  const regions = kmalloc_array(obj_desc.region_count, resource, GFP_KERNEL);
  if (!regions) return -ENOMEM;

  error_cleanup_regions: {
    for (let i = 0; i < obj_desc.region_count; i++) {
      const region_desc = new dprc_region_desc();
      const region = regions.at(i);

      error = yield* dprc_get_obj_region(
        mc_bus_dev.mc_io!,
        0,
        mc_bus_dev.mc_handle,
        obj_desc.type,
        obj_desc.id,
        i,
        region_desc,
      );
      if (error < 0) {
        dev_err(parent_dev, "dprc_get_obj_region() failed: %d\n", error);
        break error_cleanup_regions;
      }
      // Older firmware says only the offset
      if (region_desc.base_address) {
        region.start = region_desc.base_address + BigInt(region_desc.base_offset);
      } else {
        error = translate_mc_addr(mc_dev, mc_region_type, BigInt(region_desc.base_offset), region);

        // Some firmware says 0 for the portals of containers: they are where the root's is.
        if (is_fsl_mc_bus_dprc(mc_dev) && region.start === BigInt(region_desc.base_offset))
          region.start += s.mc_portal_base_phys_addr;
      }

      if (error < 0) {
        dev_err(
          parent_dev,
          "Invalid MC offset: %#x (for %s.%d's region %d)\n",
          region_desc.base_offset,
          obj_desc.type,
          obj_desc.id,
          i,
        );
        break error_cleanup_regions;
      }

      region.end = region.start + BigInt(region_desc.size) - 1n;
      region.name = "fsl-mc object MMIO region";
      region.flags = region_desc.flags & IORESOURCE_BITS;
      region.flags |= IORESOURCE_MEM;
    }

    mc_dev.regions = regions;
    return 0;
  }
  kfree(regions);
  return error;
}

/** Whether a device is the container that all others are in. */
export function fsl_mc_is_root_dprc(dev: device): boolean {
  const root_dprc_dev = fsl_mc_get_root_dprc(dev);
  if (!root_dprc_dev) return false;
  return dev === root_dprc_dev;
}

function fsl_mc_device_release(dev: device): void {
  const mc_dev = to_fsl_mc_device(dev);

  kfree(mc_dev.regions);

  if (is_fsl_mc_bus_dprc(mc_dev)) kfree(to_fsl_mc_bus(mc_dev));
  else kfree(mc_dev);
}

/**
 * Makes a device of an object that the firmware has told of, and adds it. @new_mc_dev: set to it
 * @return 0; -ENODEV for an unknown type; -EINVAL; -ENOMEM; errno. May sleep
 */
export function* fsl_mc_device_add(
  obj_desc: fsl_mc_obj_desc,
  mc_io: fsl_mc_io | null,
  parent_dev: device,
  new_mc_dev: { value: fsl_mc_device | null },
): Sleeps<number> {
  let mc_dev: fsl_mc_device;
  let error: number;

  const parent_mc_dev = dev_is_fsl_mc(parent_dev) ? to_fsl_mc_device(parent_dev) : null;

  if (obj_desc.type === "dprc") {
    const mc_bus = kzalloc(fsl_mc_bus, GFP_KERNEL);
    if (!mc_bus) return -ENOMEM;

    mutex_init(mc_bus.scan_mutex);
    mc_dev = mc_bus.mc_dev;
  } else {
    const plain = kzalloc(fsl_mc_device, GFP_KERNEL);
    if (!plain) return -ENOMEM;
    mc_dev = plain;
  }

  error_cleanup_dev: {
    copy_struct(mc_dev.obj_desc, obj_desc);
    mc_dev.mc_io = mc_io;
    device_initialize(mc_dev.dev);
    mc_dev.dev.parent = parent_dev;
    mc_dev.dev.bus = fsl_mc_bus_type();
    mc_dev.dev.release = fsl_mc_device_release;
    mc_dev.dev.type = fsl_mc_get_device_type(obj_desc.type);
    if (!mc_dev.dev.type) {
      error = -ENODEV;
      dev_err(parent_dev, "unknown device type %s\n", obj_desc.type);
      break error_cleanup_dev;
    }
    dev_set_name(mc_dev.dev, "%s.%d", obj_desc.type, obj_desc.id);

    if (obj_desc.type === "dprc") {
      let mc_io2: fsl_mc_io;

      mc_dev.flags |= FSL_MC_IS_DPRC;

      // Through the parent's portal: somebody may have opened it through its own, and one portal can open it only once.
      if (parent_mc_dev) {
        mc_io2 = parent_mc_dev.mc_io!;
      } else {
        if (!mc_io) {
          error = -EINVAL;
          break error_cleanup_dev;
        }

        mc_io2 = mc_io;
      }

      error = yield* get_dprc_icid(mc_io2, obj_desc.id, mc_dev);
      if (error < 0) break error_cleanup_dev;
    } else {
      // Always in a container, whose ICID and interrupts it has
      mc_dev.icid = parent_mc_dev!.icid;
      mc_dev.dma_mask = FSL_MC_DEFAULT_DMA_MASK;
      mc_dev.dev.dma_mask = new dma_mask_of(mc_dev);
      mc_dev.dev.coherent_dma_mask = mc_dev.dma_mask;
      dev_set_msi_domain(mc_dev.dev, dev_get_msi_domain(parent_mc_dev!.dev));
    }

    // The root's are in the device tree
    if (parent_mc_dev && obj_desc.region_count !== 0) {
      error = yield* fsl_mc_device_get_mmio_regions(mc_dev, parent_mc_dev);
      if (error < 0) break error_cleanup_dev;
    }

    error = yield* device_add(mc_dev.dev);
    if (error < 0) {
      dev_err(parent_dev, "device_add() failed for device %s: %d\n", dev_name(mc_dev.dev), error);
      break error_cleanup_dev;
    }

    dev_dbg(parent_dev, "added %s\n", dev_name(mc_dev.dev));

    new_mc_dev.value = mc_dev;
    return 0;
  }
  yield* put_device(mc_dev.dev);

  return error;
}
EXPORT_SYMBOL_GPL(fsl_mc_device_add);

/* `&mc_dev->dma_mask` */
class dma_mask_of {
  readonly mc_dev: fsl_mc_device;
  constructor(mc_dev: fsl_mc_device) {
    this.mc_dev = mc_dev;
  }
  get value(): bigint {
    return this.mc_dev.dma_mask;
  }
  set value(v: bigint) {
    this.mc_dev.dma_mask = v;
  }
}

/** Takes a device off the bus and drops the reference; the object stays. May sleep. */
export function* fsl_mc_device_remove(mc_dev: fsl_mc_device): Sleeps {
  kfree(mc_dev.driver_override);
  mc_dev.driver_override = null;

  yield* device_del(mc_dev.dev);
  yield* put_device(mc_dev.dev);
}
EXPORT_SYMBOL_GPL(fsl_mc_device_remove);

/** Cells of one entry of "ranges": an address of the firmware's, one of the machine's, a size. */
const MC_ADDR_CELLS = 3;
const PADDR_CELLS = 2;
const MC_SIZE_CELLS = 1;

function parse_mc_ranges(dev: device): readonly bigint[] | number {
  const ranges = [...(of_get_property(dev.of_node, "ranges") ?? [])].map(BigInt);
  if (ranges.length === 0) {
    dev_warn(dev, "missing or empty ranges property for device tree node '%s'\n", dev.of_node!.name);
    return [];
  }

  if (ranges.length % (PADDR_CELLS + MC_ADDR_CELLS + MC_SIZE_CELLS) !== 0) {
    dev_err(dev, "malformed ranges property '%s'\n", dev.of_node!.name);
    return -EINVAL;
  }

  return ranges;
}

function of_read_number(cells: readonly bigint[], at: number, size: number): bigint {
  return cells.slice(at, at + size).reduce((n, cell) => (n << 32n) | cell, 0n);
}

function* get_mc_addr_translation_ranges(dev: device, mc: fsl_mc): Sleeps<number> {
  const cells = parse_mc_ranges(dev);
  if (typeof cells === "number") return cells;

  const tuple = PADDR_CELLS + MC_ADDR_CELLS + MC_SIZE_CELLS;
  mc.num_translation_ranges = cells.length / tuple;
  if (cells.length === 0) {
    mc.translation_ranges = null;
    return 0;
  }

  mc.translation_ranges = yield* devm_kcalloc(
    dev,
    mc.num_translation_ranges,
    embed(() => fsl_mc_addr_translation_range),
    GFP_KERNEL,
  );
  if (!mc.translation_ranges) return -ENOMEM;

  for (let i = 0; i < mc.num_translation_ranges; i++) {
    const range = mc.translation_ranges.at(i);
    let cell = i * tuple;

    range.mc_region_type = Number(of_read_number(cells, cell, 1));
    range.start_mc_offset = of_read_number(cells, cell + 1, MC_ADDR_CELLS - 1);
    cell += MC_ADDR_CELLS;
    range.start_phys_addr = of_read_number(cells, cell, PADDR_CELLS);
    cell += PADDR_CELLS;
    range.end_mc_offset = range.start_mc_offset + of_read_number(cells, cell, MC_SIZE_CELLS);
  }

  return 0;
}

/* The firmware's processors are stopped, or let run. */
function mc_pause(regs: iomem, stop: boolean): void {
  const gcr1 = readl(regs, FSL_MC_GCR1);
  const bits = GCR1_P1_STOP | GCR1_P2_STOP;
  writel(stop ? gcr1 | bits : gcr1 & ~bits, regs, FSL_MC_GCR1);
}

function* fsl_mc_bus_probe(pdev: platform_device): Sleeps<number> {
  const obj_desc = new fsl_mc_obj_desc();
  const mc_bus_dev = { value: null as fsl_mc_device | null };
  const mc_io = { value: null as fsl_mc_io | null };
  const container_id = { value: 0 };
  let error: number;

  const mc = yield* devm_kzalloc(pdev.dev, fsl_mc, GFP_KERNEL);
  if (!mc) return -ENOMEM;

  platform_set_drvdata(pdev, mc);

  let plat_res = platform_get_resource(pdev, IORESOURCE_MEM, 1);
  if (plat_res) {
    mc.fsl_mc_regs = yield* devm_ioremap_resource(pdev.dev, plat_res);
    if (IS_ERR(mc.fsl_mc_regs)) return PTR_ERR(mc.fsl_mc_regs);
  }

  // By now its IOMMU is set up: fsl_mc_bus_notifier() had it wait for that.
  if (mc.fsl_mc_regs) mc_pause(mc.fsl_mc_regs, false);

  plat_res = platform_get_resource(pdev, IORESOURCE_MEM, 0);
  if (!plat_res) return -EINVAL;

  const mc_portal_phys_addr = plat_res.start;
  const mc_portal_size = Number(resource_size(plat_res));
  s.mc_portal_base_phys_addr = mc_portal_phys_addr & ~0x3ffffffn;

  error = yield* fsl_create_mc_io(
    pdev.dev,
    mc_portal_phys_addr,
    mc_portal_size,
    FSL_MC_IO_ATOMIC_CONTEXT_PORTAL,
    mc_io,
  );
  if (error < 0) return error;

  error_cleanup_mc_io: {
    error = yield* mc_get_version(mc_io.value!, 0, s.mc_version);
    if (error !== 0) {
      dev_err(pdev.dev, "mc_get_version() failed with error %d\n", error);
      break error_cleanup_mc_io;
    }

    dev_info(
      pdev.dev,
      "MC firmware version: %u.%u.%u\n",
      s.mc_version.major,
      s.mc_version.minor,
      s.mc_version.revision,
    );

    if (pdev.dev.of_node) {
      error = yield* get_mc_addr_translation_ranges(pdev.dev, mc);
      if (error < 0) break error_cleanup_mc_io;
    }

    error = yield* dprc_get_container_id(mc_io.value!, 0, container_id);
    if (error < 0) {
      dev_err(pdev.dev, "dprc_get_container_id() failed: %d\n", error);
      break error_cleanup_mc_io;
    }

    const ver_major = { value: 0 };
    const ver_minor = { value: 0 };
    error = yield* dprc_get_api_version(mc_io.value!, 0, ver_major, ver_minor);
    if (error < 0) break error_cleanup_mc_io;

    obj_desc.ver_major = ver_major.value;
    obj_desc.ver_minor = ver_minor.value;
    obj_desc.vendor = FSL_MC_VENDOR_FREESCALE;
    obj_desc.type = "dprc";
    obj_desc.id = container_id.value;
    obj_desc.irq_count = 1;
    obj_desc.region_count = 0;

    error = yield* fsl_mc_device_add(obj_desc, mc_io.value, pdev.dev, mc_bus_dev);
    if (error < 0) break error_cleanup_mc_io;

    mc.root_mc_bus_dev = mc_bus_dev.value;
    return 0;
  }
  yield* fsl_destroy_mc_io(mc_io.value);
  return error;
}

function* fsl_mc_bus_remove(pdev: platform_device): Sleeps<number> {
  const mc = platform_get_drvdata<fsl_mc>(pdev)!;

  if (!fsl_mc_is_root_dprc(mc.root_mc_bus_dev!.dev)) return -EINVAL;

  const mc_io = mc.root_mc_bus_dev!.mc_io;
  yield* fsl_mc_device_remove(mc.root_mc_bus_dev!);
  yield* fsl_destroy_mc_io(mc_io);

  yield* bus_unregister_notifier(fsl_mc_bus_type(), s.fsl_mc_nb);

  // So that it does not crash under the next kernel
  if (mc.fsl_mc_regs) mc_pause(mc.fsl_mc_regs, true);

  return 0;
}

function* fsl_mc_bus_shutdown(pdev: platform_device): Sleeps {
  yield* fsl_mc_bus_remove(pdev);
}

const fsl_mc_bus_match_table = [{ compatible: "fsl,qoriq-mc" }] as const;

/* Until its IOMMU is set up the firmware has to wait: it would crash. */
function fsl_mc_bus_notifier(_nb: notifier_block, action: number, data: unknown): number {
  const dev = data as device;

  if (action !== BUS_NOTIFY_ADD_DEVICE) return 0;

  if (!of_match_device(fsl_mc_bus_match_table, dev)) return 0;

  const res = platform_get_resource(to_platform_device(dev), IORESOURCE_MEM, 1);
  if (!res) return 0;

  const fsl_mc_regs = ioremap(res.start, resource_size(res));
  if (!fsl_mc_regs) return 0;

  mc_pause(fsl_mc_regs, true);
  iounmap(fsl_mc_regs);

  return 0;
}

function* fsl_mc_bus_driver_init(): Sleeps<number> {
  let error = yield* bus_register(fsl_mc_bus_type());
  if (error < 0) {
    pr_err("fsl-mc: bus type registration failed: %d\n", error);
    return error;
  }

  error_cleanup_bus: {
    error = yield* platform_driver_register(s.fsl_mc_bus_driver, THIS_MODULE);
    if (error < 0) {
      pr_err("fsl-mc: platform_driver_register() failed: %d\n", error);
      break error_cleanup_bus;
    }

    error_cleanup_driver: {
      error = yield* dprc_driver_init();
      if (error < 0) break error_cleanup_driver;

      error_cleanup_dprc_driver: {
        error = yield* fsl_mc_allocator_driver_init();
        if (error < 0) break error_cleanup_dprc_driver;

        return yield* bus_register_notifier(platform_bus_type(), s.fsl_mc_nb);
      }
      yield* dprc_driver_exit();
    }
    yield* platform_driver_unregister(s.fsl_mc_bus_driver);
  }
  yield* bus_unregister(fsl_mc_bus_type());
  return error;
}
postcore_initcall(on_arm64(fsl_mc_bus_driver_init));
