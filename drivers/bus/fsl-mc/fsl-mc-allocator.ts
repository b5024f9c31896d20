// SPDX-License-Identifier: GPL-2.0-only
/**
 * What containers hand out to the drivers of their objects: other objects, and interrupts. Source: drivers/bus/fsl-mc/fsl-mc-allocator.c
 * Not here: fsl_mc_object_allocate() and fsl_mc_object_free(), of the drivers of the data path.
 */
import { dev_dbg, dev_err, dev_name, devm_kcalloc, devm_kfree, devm_kzalloc } from "#linux/device.ts";
import { EBUSY, EINVAL, ENOMEM, ENOSPC, ENXIO } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  dev_is_fsl_mc,
  type fsl_mc_device,
  fsl_mc_device_irq,
  fsl_mc_driver,
  fsl_mc_driver_register,
  fsl_mc_driver_unregister,
  FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS,
  FSL_MC_NUM_POOL_TYPES,
  FSL_MC_POOL_IRQ,
  type fsl_mc_pool_type,
  fsl_mc_resource,
  is_fsl_mc_bus_dpbp,
  is_fsl_mc_bus_dpcon,
  is_fsl_mc_bus_dpmcp,
  is_fsl_mc_bus_dprc,
  to_fsl_mc_device,
  to_fsl_mc_irq,
} from "#linux/fsl/mc.ts";
import { FSL_MC_VENDOR_FREESCALE } from "#linux/fsl/mc_numbers.ts";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del_init,
  list_empty,
  list_first_entry_or_null,
  list_for_each_entry_safe,
} from "#linux/list.ts";
import type { fsl_mc_device_id } from "#linux/mod_devicetable.ts";
import { msi_get_virq } from "#linux/msi.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL } from "#linux/slab.ts";
import { embed, initialise, ptr, type Sleeps } from "#linux/types.ts";
import {
  type fsl_mc_bus,
  fsl_mc_msi_domain_alloc_irqs,
  fsl_mc_msi_domain_free_irqs,
  to_fsl_mc_bus,
} from "./fsl-mc-private.ts";

const { THIS_MODULE, per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

function fsl_mc_is_allocatable(mc_dev: fsl_mc_device): boolean {
  return is_fsl_mc_bus_dpbp(mc_dev) || is_fsl_mc_bus_dpmcp(mc_dev) || is_fsl_mc_bus_dpcon(mc_dev);
}

function* fsl_mc_resource_pool_add_device(
  mc_bus: fsl_mc_bus,
  pool_type: fsl_mc_pool_type,
  mc_dev: fsl_mc_device,
): Sleeps<number> {
  const mc_bus_dev = mc_bus.mc_dev;
  let error = -EINVAL;

  if (pool_type < 0 || pool_type >= FSL_MC_NUM_POOL_TYPES) return error;
  if (!fsl_mc_is_allocatable(mc_dev)) return error;
  if (mc_dev.resource) return error;

  const res_pool = mc_bus.resource_pools.at(pool_type);
  if (res_pool.type !== pool_type) return error;
  if (res_pool.mc_bus !== mc_bus) return error;

  yield* mutex_lock(res_pool.mutex);

  out_unlock: {
    if (res_pool.max_count < 0) break out_unlock;
    if (res_pool.free_count < 0 || res_pool.free_count > res_pool.max_count) break out_unlock;

    const resource = yield* devm_kzalloc(mc_bus_dev.dev, fsl_mc_resource, GFP_KERNEL);
    if (!resource) {
      error = -ENOMEM;
      dev_err(mc_bus_dev.dev, "Failed to allocate memory for fsl_mc_resource\n");
      break out_unlock;
    }

    resource.type = pool_type;
    resource.id = mc_dev.obj_desc.id;
    resource.data = mc_dev;
    resource.parent_pool = res_pool;
    INIT_LIST_HEAD(resource.node);
    list_add_tail(resource.node, res_pool.free_list);
    mc_dev.resource = resource;
    res_pool.free_count++;
    res_pool.max_count++;
    error = 0;
  }
  mutex_unlock(res_pool.mutex);
  return error;
}

function* fsl_mc_resource_pool_remove_device(mc_dev: fsl_mc_device): Sleeps<number> {
  let error = -EINVAL;

  if (!fsl_mc_is_allocatable(mc_dev)) return error;

  const resource = mc_dev.resource;
  if (!resource || resource.data !== mc_dev) return error;

  const mc_bus_dev = to_fsl_mc_device(mc_dev.dev.parent);
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);
  const res_pool = resource.parent_pool;
  if (res_pool !== mc_bus.resource_pools.at(resource.type)) return error;

  yield* mutex_lock(res_pool.mutex);

  out_unlock: {
    if (res_pool.max_count <= 0) break out_unlock;
    if (res_pool.free_count <= 0 || res_pool.free_count > res_pool.max_count) break out_unlock;

    // Somebody uses it
    if (list_empty(resource.node)) {
      error = -EBUSY;
      dev_err(mc_bus_dev.dev, "Device %s cannot be removed from resource pool\n", dev_name(mc_dev.dev));
      break out_unlock;
    }

    list_del_init(resource.node);
    res_pool.free_count--;
    res_pool.max_count--;

    yield* devm_kfree(mc_bus_dev.dev, resource);
    mc_dev.resource = null;
    error = 0;
  }
  mutex_unlock(res_pool.mutex);
  return error;
}

/** By fsl_mc_pool_type. */
const fsl_mc_pool_type_strings = ["dpmcp", "dpbp", "dpcon", "irq"] as const;

function object_type_to_pool_type(object_type: string, pool_type: { value: fsl_mc_pool_type }): number {
  for (const [i, name] of fsl_mc_pool_type_strings.entries()) {
    if (object_type === name) {
      pool_type.value = i;
      return 0;
    }
  }

  return -EINVAL;
}

/** Takes something out of a pool. @new_resource: set to it. @return 0; -ENXIO if there is nothing left; -EINVAL. May sleep */
export function* fsl_mc_resource_allocate(
  mc_bus: fsl_mc_bus,
  pool_type: fsl_mc_pool_type,
  new_resource: { value: fsl_mc_resource | null },
): Sleeps<number> {
  const mc_bus_dev = mc_bus.mc_dev;
  let error = -EINVAL;

  new_resource.value = null;
  if (pool_type < 0 || pool_type >= FSL_MC_NUM_POOL_TYPES) return error;

  const res_pool = mc_bus.resource_pools.at(pool_type);
  if (res_pool.mc_bus !== mc_bus) return error;

  yield* mutex_lock(res_pool.mutex);
  const resource = list_first_entry_or_null(res_pool.free_list, fsl_mc_resource, "node");

  out_unlock: {
    if (!resource) {
      error = -ENXIO;
      dev_err(mc_bus_dev.dev, "No more resources of type %s left\n", fsl_mc_pool_type_strings[pool_type]);
      break out_unlock;
    }

    if (resource.type !== pool_type) break out_unlock;
    if (resource.parent_pool !== res_pool) break out_unlock;
    if (res_pool.free_count <= 0 || res_pool.free_count > res_pool.max_count) break out_unlock;

    list_del_init(resource.node);

    res_pool.free_count--;
    error = 0;
  }
  mutex_unlock(res_pool.mutex);
  new_resource.value = resource;
  return error;
}
EXPORT_SYMBOL_GPL(fsl_mc_resource_allocate);

/** Puts it back. May sleep. */
export function* fsl_mc_resource_free(resource: fsl_mc_resource): Sleeps {
  const res_pool = resource.parent_pool!;
  if (resource.type !== res_pool.type) return;

  yield* mutex_lock(res_pool.mutex);
  out_unlock: {
    if (res_pool.free_count < 0 || res_pool.free_count >= res_pool.max_count) break out_unlock;

    if (!list_empty(resource.node)) break out_unlock;

    list_add_tail(resource.node, res_pool.free_list);
    res_pool.free_count++;
  }
  mutex_unlock(res_pool.mutex);
}
EXPORT_SYMBOL_GPL(fsl_mc_resource_free);

/**
 * Takes interrupts for a container and all its objects, if it has none yet: they share one device ID at the controller.
 * @return 0; -EINVAL for a number that is out of range; errno. May sleep
 */
export function* fsl_mc_populate_irq_pool(mc_bus_dev: fsl_mc_device, irq_count: number): Sleeps<number> {
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);
  const res_pool = mc_bus.resource_pools.at(FSL_MC_POOL_IRQ);

  if (mc_bus.irq_resources) return 0;

  if (irq_count === 0 || irq_count > FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS) return -EINVAL;

  let error = yield* fsl_mc_msi_domain_alloc_irqs(mc_bus_dev.dev, irq_count);
  if (error < 0) return error;

  const irq_resources = yield* devm_kcalloc(
    mc_bus_dev.dev,
    irq_count,
    embed(() => fsl_mc_device_irq),
    GFP_KERNEL,
  );
  cleanup_msi_irqs: {
    if (!irq_resources) {
      error = -ENOMEM;
      break cleanup_msi_irqs;
    }

    for (let i = 0; i < irq_count; i++) {
      const mc_dev_irq = irq_resources.at(i);

      mc_dev_irq.resource.type = res_pool.type;
      mc_dev_irq.resource.data = mc_dev_irq;
      mc_dev_irq.resource.parent_pool = res_pool;
      mc_dev_irq.virq = yield* msi_get_virq(mc_bus_dev.dev, i);
      mc_dev_irq.resource.id = mc_dev_irq.virq;
      INIT_LIST_HEAD(mc_dev_irq.resource.node);
      list_add_tail(mc_dev_irq.resource.node, res_pool.free_list);
    }

    res_pool.max_count = irq_count;
    res_pool.free_count = irq_count;
    mc_bus.irq_resources = irq_resources;
    return 0;
  }
  yield* fsl_mc_msi_domain_free_irqs(mc_bus_dev.dev);
  return error;
}
EXPORT_SYMBOL_GPL(fsl_mc_populate_irq_pool);

/** Gives them back, unless some are in use. May sleep. */
export function* fsl_mc_cleanup_irq_pool(mc_bus_dev: fsl_mc_device): Sleeps {
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);
  const res_pool = mc_bus.resource_pools.at(FSL_MC_POOL_IRQ);

  if (!mc_bus.irq_resources) return;

  if (res_pool.max_count === 0) return;

  if (res_pool.free_count !== res_pool.max_count) return;

  INIT_LIST_HEAD(res_pool.free_list);
  res_pool.max_count = 0;
  res_pool.free_count = 0;
  mc_bus.irq_resources = null;
  yield* fsl_mc_msi_domain_free_irqs(mc_bus_dev.dev);
}
EXPORT_SYMBOL_GPL(fsl_mc_cleanup_irq_pool);

/** The bus that an object's interrupts come from. */
function irq_bus_of(mc_dev: fsl_mc_device): fsl_mc_bus {
  return to_fsl_mc_bus(is_fsl_mc_bus_dprc(mc_dev) ? mc_dev : to_fsl_mc_device(mc_dev.dev.parent));
}

/** Gives an object as many interrupts as it has. @return 0; -EINVAL; -ENOSPC; -ENOMEM. May sleep */
export function* fsl_mc_allocate_irqs(mc_dev: fsl_mc_device): Sleeps<number> {
  let res_allocated_count = 0;
  let error = -EINVAL;

  if (mc_dev.irqs) return -EINVAL;

  const irq_count = mc_dev.obj_desc.irq_count;
  if (irq_count === 0) return -EINVAL;

  const mc_bus = irq_bus_of(mc_dev);

  if (!mc_bus.irq_resources) return -EINVAL;

  const res_pool = mc_bus.resource_pools.at(FSL_MC_POOL_IRQ);
  if (res_pool.free_count < irq_count) {
    dev_err(mc_dev.dev, "Not able to allocate %u irqs for device\n", irq_count);
    return -ENOSPC;
  }

  const irqs = yield* devm_kcalloc(mc_dev.dev, irq_count, ptr<fsl_mc_device_irq>(), GFP_KERNEL);
  if (!irqs) return -ENOMEM;

  error_resource_alloc: {
    for (let i = 0; i < irq_count; i++) {
      const resource = { value: null as fsl_mc_resource | null };

      error = yield* fsl_mc_resource_allocate(mc_bus, FSL_MC_POOL_IRQ, resource);
      if (error < 0) break error_resource_alloc;

      const irq = to_fsl_mc_irq(resource.value!);
      irqs.set(i, irq);
      res_allocated_count++;

      irq.mc_dev = mc_dev;
      irq.dev_irq_index = i;
    }

    mc_dev.irqs = irqs;
    return 0;
  }
  for (let i = 0; i < res_allocated_count; i++) {
    irqs.at(i)!.mc_dev = null;
    yield* fsl_mc_resource_free(irqs.at(i)!.resource);
  }

  return error;
}
EXPORT_SYMBOL_GPL(fsl_mc_allocate_irqs);

/** The opposite. May sleep. */
export function* fsl_mc_free_irqs(mc_dev: fsl_mc_device): Sleeps {
  const irqs = mc_dev.irqs;

  if (!irqs) return;

  const irq_count = mc_dev.obj_desc.irq_count;

  const mc_bus = irq_bus_of(mc_dev);

  if (!mc_bus.irq_resources) return;

  for (let i = 0; i < irq_count; i++) {
    irqs.at(i)!.mc_dev = null;
    yield* fsl_mc_resource_free(irqs.at(i)!.resource);
  }

  mc_dev.irqs = null;
}
EXPORT_SYMBOL_GPL(fsl_mc_free_irqs);

export function fsl_mc_init_all_resource_pools(mc_bus_dev: fsl_mc_device): void {
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);

  for (let pool_type = 0; pool_type < FSL_MC_NUM_POOL_TYPES; pool_type++) {
    const res_pool = mc_bus.resource_pools.at(pool_type);

    res_pool.type = pool_type;
    res_pool.max_count = 0;
    res_pool.free_count = 0;
    res_pool.mc_bus = mc_bus;
    INIT_LIST_HEAD(res_pool.free_list);
    mutex_init(res_pool.mutex);
  }
}

function* fsl_mc_cleanup_resource_pool(mc_bus_dev: fsl_mc_device, pool_type: fsl_mc_pool_type): Sleeps {
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);
  const res_pool = mc_bus.resource_pools.at(pool_type);

  for (const resource of list_for_each_entry_safe(res_pool.free_list, fsl_mc_resource, "node"))
    yield* devm_kfree(mc_bus_dev.dev, resource);
}

export function* fsl_mc_cleanup_all_resource_pools(mc_bus_dev: fsl_mc_device): Sleeps {
  for (let pool_type = 0; pool_type < FSL_MC_NUM_POOL_TYPES; pool_type++)
    yield* fsl_mc_cleanup_resource_pool(mc_bus_dev, pool_type);
}

function* fsl_mc_allocator_probe(mc_dev: fsl_mc_device): Sleeps<number> {
  const pool_type = { value: 0 };

  if (!fsl_mc_is_allocatable(mc_dev)) return -EINVAL;

  const mc_bus_dev = to_fsl_mc_device(mc_dev.dev.parent);
  if (!dev_is_fsl_mc(mc_bus_dev.dev)) return -EINVAL;

  const mc_bus = to_fsl_mc_bus(mc_bus_dev);
  let error = object_type_to_pool_type(mc_dev.obj_desc.type, pool_type);
  if (error < 0) return error;

  error = yield* fsl_mc_resource_pool_add_device(mc_bus, pool_type.value, mc_dev);
  if (error < 0) return error;

  dev_dbg(mc_dev.dev, "Allocatable fsl-mc device bound to fsl_mc_allocator driver");
  return 0;
}

function* fsl_mc_allocator_remove(mc_dev: fsl_mc_device): Sleeps<number> {
  if (!fsl_mc_is_allocatable(mc_dev)) return -EINVAL;

  if (mc_dev.resource) {
    const error = yield* fsl_mc_resource_pool_remove_device(mc_dev);
    if (error < 0) return error;
  }

  dev_dbg(mc_dev.dev, "Allocatable fsl-mc device unbound from fsl_mc_allocator driver");
  return 0;
}

const match_id_table: readonly fsl_mc_device_id[] = [
  { vendor: FSL_MC_VENDOR_FREESCALE, obj_type: "dpbp" },
  { vendor: FSL_MC_VENDOR_FREESCALE, obj_type: "dpmcp" },
  { vendor: FSL_MC_VENDOR_FREESCALE, obj_type: "dpcon" },
];

const s = per_boot(() => {
  const fsl_mc_allocator_driver = initialise(new fsl_mc_driver(), {
    match_id_table,
    probe: fsl_mc_allocator_probe,
    remove: fsl_mc_allocator_remove,
  });
  initialise(fsl_mc_allocator_driver.driver, { name: "fsl_mc_allocator" });
  return { fsl_mc_allocator_driver };
});

export function fsl_mc_allocator_driver_init(): Sleeps<number> {
  return fsl_mc_driver_register(s.fsl_mc_allocator_driver, THIS_MODULE);
}
export function fsl_mc_allocator_driver_exit(): Sleeps {
  return fsl_mc_driver_unregister(s.fsl_mc_allocator_driver);
}
