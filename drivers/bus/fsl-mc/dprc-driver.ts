// SPDX-License-Identifier: GPL-2.0-only
/** Containers: finding their objects, and the kernel's own driver for them. Source: drivers/bus/fsl-mc/dprc-driver.c */
import {
  dev_dbg,
  dev_err,
  dev_get_msi_domain,
  dev_info,
  dev_name,
  dev_set_msi_domain,
  dev_warn,
  type device,
  device_attach,
  device_find_child,
  device_for_each_child,
  device_release_driver,
  devm_kfree,
  devm_kmalloc_array,
  put_device,
} from "#linux/device.ts";
import { EINVAL, ENOMEM, ENOTSUPP, ENXIO } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  dev_is_fsl_mc,
  fsl_mc_allocate_irqs,
  fsl_mc_cleanup_irq_pool,
  type fsl_mc_device,
  fsl_mc_driver,
  fsl_mc_driver_register,
  fsl_mc_driver_unregister,
  fsl_mc_free_irqs,
  type fsl_mc_io,
  FSL_MC_IO_ATOMIC_CONTEXT_PORTAL,
  FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS,
  FSL_MC_IS_DPRC,
  fsl_mc_obj_desc,
  FSL_MC_OBJ_FLAG_NO_MEM_SHAREABILITY,
  FSL_MC_OBJ_STATE_PLUGGED,
  fsl_mc_populate_irq_pool,
  is_fsl_mc_bus_dprc,
  to_fsl_mc_device,
} from "#linux/fsl/mc.ts";
import { FSL_MC_VENDOR_FREESCALE } from "#linux/fsl/mc_numbers.ts";
import {
  devm_free_irq,
  devm_request_threaded_irq,
  IRQ_HANDLED,
  IRQ_WAKE_THREAD,
  IRQF_NO_SUSPEND,
  IRQF_ONESHOT,
  type irqreturn_t,
} from "#linux/interrupt.ts";
import { resource_size } from "#linux/ioport.ts";
import type { fsl_mc_device_id } from "#linux/mod_devicetable.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL } from "#linux/slab.ts";
import { embed, initialise, type Sleeps, type struct_array } from "#linux/types.ts";
import {
  dprc_clear_irq_status,
  dprc_close,
  dprc_get_api_version,
  dprc_get_attributes,
  dprc_get_irq_status,
  dprc_get_obj,
  dprc_get_obj_count,
  DPRC_IRQ_EVENT_CONTAINER_DESTROYED,
  DPRC_IRQ_EVENT_OBJ_ADDED,
  DPRC_IRQ_EVENT_OBJ_CREATED,
  DPRC_IRQ_EVENT_OBJ_DESTROYED,
  DPRC_IRQ_EVENT_OBJ_REMOVED,
  DPRC_MIN_VER_MAJOR,
  dprc_open,
  dprc_set_irq_enable,
  dprc_set_irq_mask,
  fsl_create_mc_io,
  fsl_destroy_mc_io,
  fsl_mc_cleanup_all_resource_pools,
  fsl_mc_device_add,
  fsl_mc_device_remove,
  fsl_mc_find_msi_domain,
  fsl_mc_init_all_resource_pools,
  fsl_mc_is_root_dprc,
  to_fsl_mc_bus,
} from "./fsl-mc-private.ts";

const { THIS_MODULE, per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const FSL_MC_DPRC_DRIVER_NAME = "fsl_mc_dprc";

interface fsl_mc_child_objs {
  readonly child_count: number;
  readonly child_array: struct_array<fsl_mc_obj_desc> | null;
}

function fsl_mc_device_match(mc_dev: fsl_mc_device, obj_desc: fsl_mc_obj_desc): boolean {
  return mc_dev.obj_desc.id === obj_desc.id && mc_dev.obj_desc.type === obj_desc.type;
}

function fsl_mc_obj_desc_is_allocatable(obj: fsl_mc_obj_desc): boolean {
  return obj.type === "dpmcp" || obj.type === "dpcon" || obj.type === "dpbp";
}

function* __fsl_mc_device_remove_if_not_in_mc(dev: device, objs: fsl_mc_child_objs): Sleeps<number> {
  let i: number;

  if (!dev_is_fsl_mc(dev)) return 0;

  const mc_dev = to_fsl_mc_device(dev);

  for (i = 0; i < objs.child_count; i++) {
    const obj_desc = objs.child_array!.at(i);

    if (obj_desc.type.length !== 0 && fsl_mc_device_match(mc_dev, obj_desc)) break;
  }

  if (i === objs.child_count) yield* fsl_mc_device_remove(mc_dev);

  return 0;
}

function* __fsl_mc_device_remove(dev: device, _data: null): Sleeps<number> {
  if (!dev_is_fsl_mc(dev)) return 0;

  yield* fsl_mc_device_remove(to_fsl_mc_device(dev));
  return 0;
}

/** Removes the devices of objects that a container no longer has; with none, all of them. May sleep. */
export function* dprc_remove_devices(
  mc_bus_dev: fsl_mc_device,
  obj_desc_array: struct_array<fsl_mc_obj_desc> | null,
  num_child_objects_in_mc: number,
): Sleeps {
  if (num_child_objects_in_mc !== 0) {
    const objs: fsl_mc_child_objs = { child_count: num_child_objects_in_mc, child_array: obj_desc_array };

    yield* device_for_each_child(mc_bus_dev.dev, objs, __fsl_mc_device_remove_if_not_in_mc);
  } else {
    yield* device_for_each_child(mc_bus_dev.dev, null, __fsl_mc_device_remove);
  }
}
EXPORT_SYMBOL_GPL(dprc_remove_devices);

/*
 * C asks any child for its id. The vfio-dev of a container that VFIO has is a child too, and no object: what is read there is
 * half of a list pointer, which is nobody's id.
 */
function __fsl_mc_device_match(dev: device, obj_desc: fsl_mc_obj_desc): boolean {
  if (!dev_is_fsl_mc(dev)) return false;

  return fsl_mc_device_match(to_fsl_mc_device(dev), obj_desc);
}

/** The device of an object, with a reference, or NULL. May sleep. */
export function* fsl_mc_device_lookup(
  obj_desc: fsl_mc_obj_desc,
  mc_bus_dev: fsl_mc_device,
): Sleeps<fsl_mc_device | null> {
  const dev = yield* device_find_child(mc_bus_dev.dev, obj_desc, __fsl_mc_device_match);

  return dev ? to_fsl_mc_device(dev) : null;
}

/* An object that was plugged gets a driver, one that was unplugged loses it. */
function* check_plugged_state_change(mc_dev: fsl_mc_device, obj_desc: fsl_mc_obj_desc): Sleeps {
  const plugged_flag_at_mc = obj_desc.state & FSL_MC_OBJ_STATE_PLUGGED;

  if (plugged_flag_at_mc !== (mc_dev.obj_desc.state & FSL_MC_OBJ_STATE_PLUGGED)) {
    if (plugged_flag_at_mc) {
      mc_dev.obj_desc.state |= FSL_MC_OBJ_STATE_PLUGGED;
      const error = yield* device_attach(mc_dev.dev);
      if (error < 0) dev_err(mc_dev.dev, "device_attach() failed: %d\n", error);
    } else {
      mc_dev.obj_desc.state &= ~FSL_MC_OBJ_STATE_PLUGGED;
      yield* device_release_driver(mc_dev.dev);
    }
  }
}

function* fsl_mc_obj_device_add(mc_bus_dev: fsl_mc_device, obj_desc: fsl_mc_obj_desc): Sleeps {
  const child_dev = yield* fsl_mc_device_lookup(obj_desc, mc_bus_dev);
  if (child_dev) {
    yield* check_plugged_state_change(child_dev, obj_desc);
    yield* put_device(child_dev.dev);
  } else {
    yield* fsl_mc_device_add(obj_desc, null, mc_bus_dev.dev, { value: null });
  }
}

/* Those that can be handed out first: the drivers of the others may want them. */
function* dprc_add_new_devices(
  mc_bus_dev: fsl_mc_device,
  obj_desc_array: struct_array<fsl_mc_obj_desc> | null,
  num_child_objects_in_mc: number,
): Sleeps {
  for (let i = 0; i < num_child_objects_in_mc; i++) {
    const obj_desc = obj_desc_array!.at(i);

    if (obj_desc.type.length > 0 && fsl_mc_obj_desc_is_allocatable(obj_desc))
      yield* fsl_mc_obj_device_add(mc_bus_dev, obj_desc);
  }

  for (let i = 0; i < num_child_objects_in_mc; i++) {
    const obj_desc = obj_desc_array!.at(i);

    if (obj_desc.type.length > 0 && !fsl_mc_obj_desc_is_allocatable(obj_desc))
      yield* fsl_mc_obj_device_add(mc_bus_dev, obj_desc);
  }
}

/**
 * Looks which objects a container has, and makes devices come and go. @alloc_interrupts: take interrupts for them now
 * @return 0 or errno. Context: scan_mutex held, may sleep
 */
export function* dprc_scan_objects(mc_bus_dev: fsl_mc_device, alloc_interrupts: boolean): Sleeps<number> {
  const num_child_objects = { value: 0 };
  let irq_count: number = mc_bus_dev.obj_desc.irq_count;
  let child_obj_desc_array: struct_array<fsl_mc_obj_desc> | null = null;
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);

  let error = yield* dprc_get_obj_count(mc_bus_dev.mc_io!, 0, mc_bus_dev.mc_handle, num_child_objects);
  if (error < 0) {
    dev_err(mc_bus_dev.dev, "dprc_get_obj_count() failed: %d\n", error);
    return error;
  }

  if (num_child_objects.value !== 0) {
    child_obj_desc_array = yield* devm_kmalloc_array(
      mc_bus_dev.dev,
      num_child_objects.value,
      embed(() => fsl_mc_obj_desc),
      GFP_KERNEL,
    );
    if (!child_obj_desc_array) return -ENOMEM;

    let dprc_get_obj_failures = 0;
    for (let i = 0; i < num_child_objects.value; i++) {
      const obj_desc = child_obj_desc_array.at(i);

      error = yield* dprc_get_obj(mc_bus_dev.mc_io!, 0, mc_bus_dev.mc_handle, i, obj_desc);
      if (error < 0) {
        dev_err(mc_bus_dev.dev, "dprc_get_obj(i=%d) failed: %d\n", i, error);
        // Without a type it is passed over.
        obj_desc.type = "";
        obj_desc.id = error;
        dprc_get_obj_failures++;
        continue;
      }

      // Older ones are not coherent, whatever the firmware says.
      if (obj_desc.type === "dpseci" && obj_desc.ver_major < 4) obj_desc.flags |= FSL_MC_OBJ_FLAG_NO_MEM_SHAREABILITY;

      irq_count += obj_desc.irq_count;
      dev_dbg(mc_bus_dev.dev, "Discovered object: type %s, id %d\n", obj_desc.type, obj_desc.id);
    }

    if (dprc_get_obj_failures !== 0) {
      dev_err(
        mc_bus_dev.dev,
        "%d out of %d devices could not be retrieved\n",
        dprc_get_obj_failures,
        num_child_objects.value,
      );
    }
  }

  // Before the objects get their drivers
  if (dev_get_msi_domain(mc_bus_dev.dev)) {
    if (irq_count > FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS) {
      dev_warn(
        mc_bus_dev.dev,
        "IRQs needed (%u) exceed IRQs preallocated (%u)\n",
        irq_count,
        FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS,
      );
    }

    if (alloc_interrupts && !mc_bus.irq_resources) {
      error = yield* fsl_mc_populate_irq_pool(mc_bus_dev, FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS);
      if (error < 0) return error;
    }
  }

  yield* dprc_remove_devices(mc_bus_dev, child_obj_desc_array, num_child_objects.value);

  yield* dprc_add_new_devices(mc_bus_dev, child_obj_desc_array, num_child_objects.value);

  if (child_obj_desc_array) yield* devm_kfree(mc_bus_dev.dev, child_obj_desc_array);

  return 0;
}

/** The same for a container that is new to its driver. May sleep. @return 0 or errno */
export function* dprc_scan_container(mc_bus_dev: fsl_mc_device, alloc_interrupts: boolean): Sleeps<number> {
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);

  fsl_mc_init_all_resource_pools(mc_bus_dev);

  yield* mutex_lock(mc_bus.scan_mutex);
  const error = yield* dprc_scan_objects(mc_bus_dev, alloc_interrupts);
  mutex_unlock(mc_bus.scan_mutex);

  return error;
}
EXPORT_SYMBOL_GPL(dprc_scan_container);

function dprc_irq0_handler(_irq_num: number, _arg: object | null): irqreturn_t {
  return IRQ_WAKE_THREAD;
}

function* dprc_irq0_handler_thread(irq_num: number, arg: object | null): Sleeps<irqreturn_t> {
  const dev = arg as device;
  const mc_dev = to_fsl_mc_device(dev);
  const mc_bus = to_fsl_mc_bus(mc_dev);
  const mc_io = mc_dev.mc_io!;
  const irq = mc_dev.irqs!.at(0)!.virq;
  const status = { value: 0 };

  dev_dbg(dev, "DPRC IRQ %d triggered\n", irq_num);

  if (!(mc_dev.flags & FSL_MC_IS_DPRC)) return IRQ_HANDLED;

  yield* mutex_lock(mc_bus.scan_mutex);
  out: {
    if (irq !== irq_num) break out;

    let error = yield* dprc_get_irq_status(mc_io, 0, mc_dev.mc_handle, 0, status);
    if (error < 0) {
      dev_err(dev, "dprc_get_irq_status() failed: %d\n", error);
      break out;
    }

    error = yield* dprc_clear_irq_status(mc_io, 0, mc_dev.mc_handle, 0, status.value);
    if (error < 0) {
      dev_err(dev, "dprc_clear_irq_status() failed: %d\n", error);
      break out;
    }

    if (
      status.value &
      (DPRC_IRQ_EVENT_OBJ_ADDED |
        DPRC_IRQ_EVENT_OBJ_REMOVED |
        DPRC_IRQ_EVENT_CONTAINER_DESTROYED |
        DPRC_IRQ_EVENT_OBJ_DESTROYED |
        DPRC_IRQ_EVENT_OBJ_CREATED)
    ) {
      error = yield* dprc_scan_objects(mc_dev, true);
      if (error < 0) {
        // -ENXIO: an object went away while they were looked at
        if (error !== -ENXIO) dev_err(dev, "dprc_scan_objects() failed: %d\n", error);

        break out;
      }
    }
  }
  mutex_unlock(mc_bus.scan_mutex);
  return IRQ_HANDLED;
}

/** Turns a container's interrupt off and forgets what has come. @return 0 or errno. May sleep */
export function* disable_dprc_irq(mc_dev: fsl_mc_device): Sleeps<number> {
  const mc_bus = to_fsl_mc_bus(mc_dev);
  const mc_io = mc_dev.mc_io!;

  let error = yield* dprc_set_irq_enable(mc_io, 0, mc_dev.mc_handle, 0, 0);
  if (error < 0) {
    dev_err(mc_dev.dev, "Disabling DPRC IRQ failed: dprc_set_irq_enable() failed: %d\n", error);
    return error;
  }

  error = yield* dprc_set_irq_mask(mc_io, 0, mc_dev.mc_handle, 0, 0x0);
  if (error < 0) {
    dev_err(mc_dev.dev, "Disabling DPRC IRQ failed: dprc_set_irq_mask() failed: %d\n", error);
    return error;
  }

  error = yield* dprc_clear_irq_status(mc_io, 0, mc_dev.mc_handle, 0, 0xffffffff);
  if (error < 0) {
    dev_err(mc_dev.dev, "Disabling DPRC IRQ failed: dprc_clear_irq_status() failed: %d\n", error);
    return error;
  }

  mc_bus.irq_enabled = 0;

  return 0;
}

export function get_dprc_irq_state(mc_dev: fsl_mc_device): number {
  return to_fsl_mc_bus(mc_dev).irq_enabled;
}

function* register_dprc_irq_handler(mc_dev: fsl_mc_device): Sleeps<number> {
  const irq = mc_dev.irqs!.at(0)!;

  // The firmware is told where to send it on the way.
  const error = yield* devm_request_threaded_irq(
    mc_dev.dev,
    irq.virq,
    dprc_irq0_handler,
    dprc_irq0_handler_thread,
    IRQF_NO_SUSPEND | IRQF_ONESHOT,
    dev_name(mc_dev.dev),
    mc_dev.dev,
  );
  if (error < 0) {
    dev_err(mc_dev.dev, "devm_request_threaded_irq() failed: %d\n", error);
    return error;
  }

  return 0;
}

/** Turns a container's interrupt on. @return 0 or errno. May sleep */
export function* enable_dprc_irq(mc_dev: fsl_mc_device): Sleeps<number> {
  const mc_bus = to_fsl_mc_bus(mc_dev);

  let error = yield* dprc_set_irq_mask(mc_dev.mc_io!, 0, mc_dev.mc_handle, 0, 0xffffffff);
  if (error < 0) {
    dev_err(mc_dev.dev, "Enabling DPRC IRQ failed: dprc_set_irq_mask() failed: %d\n", error);

    return error;
  }

  error = yield* dprc_set_irq_enable(mc_dev.mc_io!, 0, mc_dev.mc_handle, 0, 1);
  if (error < 0) {
    dev_err(mc_dev.dev, "Enabling DPRC IRQ failed: dprc_set_irq_enable() failed: %d\n", error);

    return error;
  }

  mc_bus.irq_enabled = 1;

  return 0;
}

function* dprc_setup_irq(mc_dev: fsl_mc_device): Sleeps<number> {
  let error = yield* fsl_mc_allocate_irqs(mc_dev);
  if (error < 0) return error;

  error_free_irqs: {
    error = yield* disable_dprc_irq(mc_dev);
    if (error < 0) break error_free_irqs;

    error = yield* register_dprc_irq_handler(mc_dev);
    if (error < 0) break error_free_irqs;

    error = yield* enable_dprc_irq(mc_dev);
    if (error < 0) break error_free_irqs;

    return 0;
  }
  yield* fsl_mc_free_irqs(mc_dev);
  return error;
}

/* `&mc_dev->mc_io`, `&mc_dev->mc_handle` */
class mc_io_of {
  readonly mc_dev: fsl_mc_device;
  constructor(mc_dev: fsl_mc_device) {
    this.mc_dev = mc_dev;
  }
  get value(): fsl_mc_io | null {
    return this.mc_dev.mc_io;
  }
  set value(v: fsl_mc_io | null) {
    this.mc_dev.mc_io = v;
  }
}
class mc_handle_of {
  readonly mc_dev: fsl_mc_device;
  constructor(mc_dev: fsl_mc_device) {
    this.mc_dev = mc_dev;
  }
  get value(): number {
    return this.mc_dev.mc_handle;
  }
  set value(v: number) {
    this.mc_dev.mc_handle = v;
  }
}

/**
 * Opens a container at the firmware, through a portal of its own unless it is the root.
 * @return 0; -EINVAL for what is none, is set up, or has no portal; -ENOTSUPP for old firmware; errno. May sleep
 */
export function* dprc_setup(mc_dev: fsl_mc_device): Sleeps<number> {
  const parent_dev = mc_dev.dev.parent!;
  const mc_bus = to_fsl_mc_bus(mc_dev);
  let mc_io_created = false;
  let msi_domain_set = false;
  const major_ver = { value: 0 };
  const minor_ver = { value: 0 };
  let error: number;

  if (!is_fsl_mc_bus_dprc(mc_dev)) return -EINVAL;

  if (dev_get_msi_domain(mc_dev.dev)) return -EINVAL;

  if (!mc_dev.mc_io) {
    // Not the root
    if (!dev_is_fsl_mc(parent_dev)) return -EINVAL;

    if (mc_dev.obj_desc.region_count === 0) return -EINVAL;

    const region = mc_dev.regions!.at(0);
    error = yield* fsl_create_mc_io(
      mc_dev.dev,
      region.start,
      Number(resource_size(region)),
      FSL_MC_IO_ATOMIC_CONTEXT_PORTAL,
      new mc_io_of(mc_dev),
    );
    if (error < 0) return error;

    mc_io_created = true;
  }

  const mc_msi_domain = fsl_mc_find_msi_domain(mc_dev.dev);
  if (!mc_msi_domain) {
    dev_warn(mc_dev.dev, "WARNING: MC bus without interrupt support\n");
  } else {
    dev_set_msi_domain(mc_dev.dev, mc_msi_domain);
    msi_domain_set = true;
  }

  error_cleanup_msi_domain: {
    error = yield* dprc_open(mc_dev.mc_io!, 0, mc_dev.obj_desc.id, new mc_handle_of(mc_dev));
    if (error < 0) {
      dev_err(mc_dev.dev, "dprc_open() failed: %d\n", error);
      break error_cleanup_msi_domain;
    }

    error_cleanup_open: {
      error = yield* dprc_get_attributes(mc_dev.mc_io!, 0, mc_dev.mc_handle, mc_bus.dprc_attr);
      if (error < 0) {
        dev_err(mc_dev.dev, "dprc_get_attributes() failed: %d\n", error);
        break error_cleanup_open;
      }

      error = yield* dprc_get_api_version(mc_dev.mc_io!, 0, major_ver, minor_ver);
      if (error < 0) {
        dev_err(mc_dev.dev, "dprc_get_api_version() failed: %d\n", error);
        break error_cleanup_open;
      }

      if (major_ver.value < DPRC_MIN_VER_MAJOR) {
        dev_err(mc_dev.dev, "ERROR: DPRC version %d.%d not supported\n", major_ver.value, minor_ver.value);
        error = -ENOTSUPP;
        break error_cleanup_open;
      }

      return 0;
    }
    yield* dprc_close(mc_dev.mc_io!, 0, mc_dev.mc_handle);
  }
  if (msi_domain_set) dev_set_msi_domain(mc_dev.dev, null);

  if (mc_io_created) {
    yield* fsl_destroy_mc_io(mc_dev.mc_io);
    mc_dev.mc_io = null;
  }

  return error;
}
EXPORT_SYMBOL_GPL(dprc_setup);

function* dprc_probe(mc_dev: fsl_mc_device): Sleeps<number> {
  let error = yield* dprc_setup(mc_dev);
  if (error < 0) return error;

  cleanup: {
    error = yield* dprc_scan_container(mc_dev, true);
    if (error < 0) break cleanup;

    scan_cleanup: {
      error = yield* dprc_setup_irq(mc_dev);
      if (error < 0) break scan_cleanup;

      dev_info(mc_dev.dev, "DPRC device bound to driver");
      return 0;
    }
    yield* device_for_each_child(mc_dev.dev, null, __fsl_mc_device_remove);
  }
  yield* dprc_cleanup(mc_dev);
  return error;
}

function* dprc_teardown_irq(mc_dev: fsl_mc_device): Sleeps {
  const irq = mc_dev.irqs!.at(0)!;

  yield* disable_dprc_irq(mc_dev);

  yield* devm_free_irq(mc_dev.dev, irq.virq, mc_dev.dev);

  yield* fsl_mc_free_irqs(mc_dev);
}

/** The opposite of dprc_setup(), and what was taken for the objects. @return 0, -EINVAL for what is none. May sleep */
export function* dprc_cleanup(mc_dev: fsl_mc_device): Sleeps<number> {
  if (!is_fsl_mc_bus_dprc(mc_dev)) return -EINVAL;

  if (dev_get_msi_domain(mc_dev.dev)) {
    yield* fsl_mc_cleanup_irq_pool(mc_dev);
    dev_set_msi_domain(mc_dev.dev, null);
  }

  yield* fsl_mc_cleanup_all_resource_pools(mc_dev);

  // Without it the firmware cannot be told anything.
  if (!mc_dev.mc_io) {
    dev_err(mc_dev.dev, "mc_io is NULL, tear down cannot be performed in firmware\n");
    return -EINVAL;
  }

  const error = yield* dprc_close(mc_dev.mc_io, 0, mc_dev.mc_handle);
  if (error < 0) dev_err(mc_dev.dev, "dprc_close() failed: %d\n", error);

  if (!fsl_mc_is_root_dprc(mc_dev.dev)) {
    yield* fsl_destroy_mc_io(mc_dev.mc_io);
    mc_dev.mc_io = null;
  }

  return 0;
}
EXPORT_SYMBOL_GPL(dprc_cleanup);

function* dprc_remove(mc_dev: fsl_mc_device): Sleeps<number> {
  const mc_bus = to_fsl_mc_bus(mc_dev);

  if (!is_fsl_mc_bus_dprc(mc_dev)) return -EINVAL;

  if (!mc_bus.irq_resources) return -EINVAL;

  if (dev_get_msi_domain(mc_dev.dev)) yield* dprc_teardown_irq(mc_dev);

  yield* device_for_each_child(mc_dev.dev, null, __fsl_mc_device_remove);

  yield* dprc_cleanup(mc_dev);

  dev_info(mc_dev.dev, "DPRC device unbound from driver");
  return 0;
}

const match_id_table: readonly fsl_mc_device_id[] = [{ vendor: FSL_MC_VENDOR_FREESCALE, obj_type: "dprc" }];

const s = per_boot(() => {
  const dprc_driver = initialise(new fsl_mc_driver(), { match_id_table, probe: dprc_probe, remove: dprc_remove });
  initialise(dprc_driver.driver, { name: FSL_MC_DPRC_DRIVER_NAME, owner: THIS_MODULE });
  return { dprc_driver };
});

export function dprc_driver_init(): Sleeps<number> {
  return fsl_mc_driver_register(s.dprc_driver, THIS_MODULE);
}
export function dprc_driver_exit(): Sleeps {
  return fsl_mc_driver_unregister(s.dprc_driver);
}
