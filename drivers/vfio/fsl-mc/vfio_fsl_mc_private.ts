// SPDX-License-Identifier: GPL-2.0-only
/** What the files of VFIO for fsl-mc share. Source: drivers/vfio/fsl-mc/vfio_fsl_mc_private.h */
import type { eventfd_ctx } from "#linux/eventfd.ts";
import type { fsl_mc_device } from "#linux/fsl/mc.ts";
import type { iomem } from "#linux/io.ts";
import { mutex } from "#linux/mutex.ts";
import { notifier_block } from "#linux/notifier.ts";
import { embed, ptr, str, struct, type struct_array, u32, u64 } from "#linux/types.ts";
import { vfio_device } from "#linux/vfio.ts";

export const VFIO_FSL_MC_OFFSET_SHIFT = 40n;
export const VFIO_FSL_MC_OFFSET_MASK = (1n << VFIO_FSL_MC_OFFSET_SHIFT) - 1n;

/** Assigned to an unsigned int in C. */
export const VFIO_FSL_MC_OFFSET_TO_INDEX = (off: bigint): number =>
  Number(BigInt.asUintN(32, off >> VFIO_FSL_MC_OFFSET_SHIFT));

export const VFIO_FSL_MC_INDEX_TO_OFFSET = (index: number): bigint => BigInt(index) << VFIO_FSL_MC_OFFSET_SHIFT;

export class vfio_fsl_mc_irq extends struct("vfio_fsl_mc_irq", {
  flags: u32(),
  count: u32(),
  trigger: ptr<eventfd_ctx>(),
  name: str(),
}) {}

export class vfio_fsl_mc_region extends struct("vfio_fsl_mc_region", {
  flags: u32(),
  type: u32(),
  addr: u64(),
  size: u64(),
  ioaddr: ptr<iomem>(),
}) {}

export class vfio_fsl_mc_device extends struct("vfio_fsl_mc_device", {
  vdev: embed(() => vfio_device),
  mc_dev: ptr<fsl_mc_device>(),
  nb: embed(() => notifier_block),
  regions: ptr<struct_array<vfio_fsl_mc_region>>(),
  igate: embed(() => mutex),
  mc_irqs: ptr<struct_array<vfio_fsl_mc_irq>>(),
}) {}

export { vfio_fsl_mc_irqs_cleanup, vfio_fsl_mc_set_irqs_ioctl } from "./vfio_fsl_mc_intr.ts";
