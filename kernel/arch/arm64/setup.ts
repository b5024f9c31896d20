// SPDX-License-Identifier: GPL-2.0-only
/** An arm64 machine comes up: its interrupt controller, its IOMMU, and devices from its device tree. */
import { on_arm64 } from "#asm/setup.ts";
import { fsl_mc_msi_create_irq_domain } from "#linux/fsl/mc.ts";
import { fs_initcall } from "#linux/init.ts";
import { of_platform_default_populate_init, of_set_root } from "#linux/of.ts";
import { pr_err } from "#linux/printk.ts";
import type { Sleeps } from "#linux/types.ts";
import { build_device_tree } from "./device_tree.ts";
import { smmu_init } from "./smmu.ts";

/** Where devices write their interrupt messages. */
export const ITS_DOORBELL = 0x8080040n;

/* In this order, and after the buses' notifiers: without it, drivers would have to wait for their device's IOMMU. */
function* arm64_init(): Sleeps<number> {
  fsl_mc_msi_create_irq_domain("its-fsl-mc-msi", ITS_DOORBELL);
  const ret = yield* smmu_init();
  if (ret) pr_err("smmu: failed to come up (%d)\n", ret);
  of_set_root(build_device_tree());
  return yield* of_platform_default_populate_init();
}
fs_initcall(on_arm64(arm64_init));
