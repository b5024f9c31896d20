// SPDX-License-Identifier: GPL-2.0-only
/** The workqueue of power management, which is all there is of it here. Source: kernel/power/main.c */
import { per_boot } from "../boot.ts";
import { core_initcall } from "../init.ts";
import { kconfig } from "../arch/kconfig.ts";
import { alloc_workqueue, WQ_FREEZABLE, type workqueue_struct } from "#linux/workqueue.ts";
import { ENOMEM } from "#linux/errno.ts";

const s = per_boot(() => ({ pm_wq: null as workqueue_struct | null }));

/** `pm_wq`: where devices are suspended and resumed. */
export const pm_wq = (): workqueue_struct | null => s.pm_wq;

function pm_init(): number {
  if (!kconfig.CONFIG_PM) return 0;
  s.pm_wq = alloc_workqueue("pm", WQ_FREEZABLE, 0);
  return s.pm_wq ? 0 : -ENOMEM;
}
core_initcall(pm_init);
