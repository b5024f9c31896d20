// SPDX-License-Identifier: GPL-2.0-only
// stub: power management of a kernel without CONFIG_PM: the tables exist and nobody calls them
import type { device } from "./device.ts";
import type { Sleeps } from "./types.ts";

export type pm_callback = (dev: device) => Sleeps<number> | number;

export interface dev_pm_ops {
  readonly prepare?: pm_callback;
  readonly complete?: (dev: device) => void;
  readonly suspend?: pm_callback;
  readonly resume?: pm_callback;
  readonly freeze?: pm_callback;
  readonly thaw?: pm_callback;
  readonly poweroff?: pm_callback;
  readonly restore?: pm_callback;
  readonly runtime_suspend?: pm_callback;
  readonly runtime_resume?: pm_callback;
  readonly runtime_idle?: pm_callback;
}
