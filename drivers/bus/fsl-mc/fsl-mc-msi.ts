// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts of objects: messages that a container's firmware sends. Source: drivers/bus/fsl-mc/fsl-mc-msi.c */
import { dev_err, dev_get_msi_domain, type device } from "#linux/device.ts";
import { EINVAL } from "#linux/errno.ts";
import {
  type fsl_mc_device,
  type fsl_mc_device_irq,
  MC_CMD_FLAG_INTR_DIS,
  MC_CMD_FLAG_PRI,
  to_fsl_mc_device,
} from "#linux/fsl/mc.ts";
import {
  DOMAIN_BUS_FSL_MC_MSI,
  type irq_domain,
  irq_domain_add_msi_remap,
  type msi_desc,
  msi_domain_alloc_irqs,
  msi_domain_free_irqs,
  msi_first_desc,
  msi_lock_descs,
  type msi_msg,
  msi_setup_device_data,
  msi_unlock_descs,
} from "#linux/msi.ts";
import { of_msi_get_domain } from "#linux/of_irq.ts";
import { atomic_context } from "#linux/sched.ts";
import { copy_struct } from "#linux/string.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { dprc_set_irq, dprc_set_obj_irq, fsl_mc_get_root_dprc, to_fsl_mc_bus } from "./fsl-mc-private.ts";

function* __fsl_mc_msi_write_msg(mc_bus_dev: fsl_mc_device, mc_dev_irq: fsl_mc_device_irq, msi_desc: msi_desc): Spins {
  const owner_mc_dev = mc_dev_irq.mc_dev;

  // When the last handler goes, the firmware is not told.
  if (msi_desc.msg.address === 0n) return;

  if (!owner_mc_dev) return;

  const irq_cfg = { paddr: msi_desc.msg.address, val: msi_desc.msg.data, irq_num: msi_desc.irq };

  if (owner_mc_dev === mc_bus_dev) {
    const error = yield* atomic_context(
      dprc_set_irq(
        mc_bus_dev.mc_io!,
        MC_CMD_FLAG_INTR_DIS | MC_CMD_FLAG_PRI,
        mc_bus_dev.mc_handle,
        mc_dev_irq.dev_irq_index,
        irq_cfg,
      ),
    );
    if (error < 0) dev_err(owner_mc_dev.dev, "dprc_set_irq() failed: %d\n", error);
  } else {
    const error = yield* atomic_context(
      dprc_set_obj_irq(
        mc_bus_dev.mc_io!,
        MC_CMD_FLAG_INTR_DIS | MC_CMD_FLAG_PRI,
        mc_bus_dev.mc_handle,
        owner_mc_dev.obj_desc.type,
        owner_mc_dev.obj_desc.id,
        mc_dev_irq.dev_irq_index,
        irq_cfg,
      ),
    );
    if (error < 0) dev_err(owner_mc_dev.dev, "dprc_obj_set_irq() failed: %d\n", error);
  }
}

/* Interrupts are off. */
function* fsl_mc_msi_write_msg(msi_desc: msi_desc, msg: msi_msg): Spins {
  const mc_bus_dev = to_fsl_mc_device(msi_desc.dev);
  const mc_bus = to_fsl_mc_bus(mc_bus_dev);
  const mc_dev_irq = mc_bus.irq_resources!.at(msi_desc.msi_index);

  copy_struct(msi_desc.msg, msg);

  yield* __fsl_mc_msi_write_msg(mc_bus_dev, mc_dev_irq, msi_desc);
}

/** The domain that containers take their interrupts from. @doorbell: address that the messages go to. From the machine */
export function fsl_mc_msi_create_irq_domain(name: string, doorbell: bigint): irq_domain {
  const domain = irq_domain_add_msi_remap(name, doorbell, DOMAIN_BUS_FSL_MC_MSI);
  domain.$write_msg = fsl_mc_msi_write_msg;
  return domain;
}

/** The domain of the bus that a device is on, or NULL. */
export function fsl_mc_find_msi_domain(dev: device): irq_domain | null {
  const bus_dev = fsl_mc_get_root_dprc(dev)!.parent!;

  return of_msi_get_domain(bus_dev.of_node, DOMAIN_BUS_FSL_MC_MSI);
}

/** Takes interrupts for a container. @return 0; -EINVAL without a domain or if it has some; errno. May sleep */
export function* fsl_mc_msi_domain_alloc_irqs(dev: device, irq_count: number): Sleeps<number> {
  const msi_domain = dev_get_msi_domain(dev);
  if (!msi_domain) return -EINVAL;

  let error = yield* msi_setup_device_data(dev);
  if (error) return error;

  yield* msi_lock_descs(dev);
  if (msi_first_desc(dev)) error = -EINVAL;
  msi_unlock_descs(dev);
  if (error) return error;

  error = yield* msi_domain_alloc_irqs(msi_domain, dev, irq_count);

  if (error) dev_err(dev, "Failed to allocate IRQs\n");
  return error;
}

/** The opposite. May sleep. */
export function* fsl_mc_msi_domain_free_irqs(dev: device): Sleeps {
  const msi_domain = dev_get_msi_domain(dev);
  if (!msi_domain) return;

  yield* msi_domain_free_irqs(msi_domain, dev);
}
