// SPDX-License-Identifier: GPL-2.0-only
/**
 * Portals to the Management Complex. Source: drivers/bus/fsl-mc/mc-io.c
 * Not here: portals that belong to a DPMCP object (fsl_mc_portal_allocate(), _free(), _reset()), which no driver here wants.
 */
import { dev_err, type device, devm_kfree, devm_kzalloc } from "#linux/device.ts";
import { EBUSY, ENOMEM, ENXIO } from "#linux/errno.ts";
import { fsl_mc_io, FSL_MC_IO_ATOMIC_CONTEXT_PORTAL } from "#linux/fsl/mc.ts";
import { devm_ioremap, devm_iounmap } from "#linux/io.ts";
import { devm_release_mem_region, devm_request_mem_region } from "#linux/ioport.ts";
import { mutex_init } from "#linux/mutex.ts";
import { GFP_KERNEL } from "#linux/slab.ts";
import { spin_lock_init } from "#linux/spinlock.ts";
import type { Sleeps } from "#linux/types.ts";

/**
 * Claims and maps a portal, for as long as `dev` has its driver. @flags: FSL_MC_IO_; @new_mc_io: set to it
 * @return 0; -ENOMEM; -EBUSY if somebody has it; -ENXIO if it cannot be mapped. May sleep
 */
export function* fsl_create_mc_io(
  dev: device,
  mc_portal_phys_addr: bigint,
  mc_portal_size: number,
  flags: number,
  new_mc_io: { value: fsl_mc_io | null },
): Sleeps<number> {
  const mc_io = yield* devm_kzalloc(dev, fsl_mc_io, GFP_KERNEL);
  if (!mc_io) return -ENOMEM;

  mc_io.dev = dev;
  mc_io.flags = flags;
  mc_io.portal_phys_addr = mc_portal_phys_addr;
  mc_io.portal_size = mc_portal_size;
  if (flags & FSL_MC_IO_ATOMIC_CONTEXT_PORTAL) spin_lock_init(mc_io.spinlock);
  else mutex_init(mc_io.mutex);

  const res = yield* devm_request_mem_region(dev, mc_portal_phys_addr, BigInt(mc_portal_size), "mc_portal");
  if (!res) {
    dev_err(dev, "devm_request_mem_region failed for MC portal %#018llx\n", mc_portal_phys_addr);
    return -EBUSY;
  }

  const mc_portal_virt_addr = yield* devm_ioremap(dev, mc_portal_phys_addr, BigInt(mc_portal_size));
  if (!mc_portal_virt_addr) {
    dev_err(dev, "devm_ioremap failed for MC portal %#018llx\n", mc_portal_phys_addr);
    return -ENXIO;
  }

  mc_io.portal_virt_addr = mc_portal_virt_addr;

  new_mc_io.value = mc_io;
  return 0;
}

/** The opposite; NULL is fine. May sleep. */
export function* fsl_destroy_mc_io(mc_io: fsl_mc_io | null): Sleeps {
  if (!mc_io) return;

  yield* devm_iounmap(mc_io.dev!, mc_io.portal_virt_addr);
  yield* devm_release_mem_region(mc_io.dev!, mc_io.portal_phys_addr, BigInt(mc_io.portal_size));

  mc_io.portal_virt_addr = null;
  yield* devm_kfree(mc_io.dev!, mc_io);
}
