// SPDX-License-Identifier: GPL-2.0-only
/** What user space does with GVT-g's virtual GPUs. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { UUID } from "./ccw.ts";

export const GVT_MACHINE = {
  arch: "x86_64",
  pci: [
    { slot: 0, device: "host-bridge" },
    { slot: 2, device: "skylake-gt2" },
  ],
} as const;

const ARGUMENTS: Readonly<Record<string, string>> = { i915: "enable_gvt=1" };
const MODULES = ["vfio", "vfio_iommu_type1", "mdev", "kvm", "i915", "kvmgt"] as const;

/** @return whether all of them could be loaded; the first one that cannot be is the last one tried */
export function* loadModules(u: user_process): Sleeps<boolean> {
  for (const module of MODULES) if ((yield* u.finit_module(module, ARGUMENTS[module])) < 0) return false;
  return true;
}
export function* unloadModules(u: user_process): Sleeps {
  for (const module of [...MODULES].reverse()) yield* u.delete_module(module);
}

export const GPU = "/sys/devices/pci0000:00/0000:00:02.0";
/** The smaller one of the two types that there is room for; the other one is V5_4. */
export const SMALL = "GVTg_V5_8";

export const typeDir = (type = SMALL): string => `${GPU}/mdev_supported_types/i915-${type}`;

export function create(u: user_process, uuid = UUID, type = SMALL): Sleeps<number> {
  return u.sysfs_write(`${typeDir(type)}/create`, uuid);
}
