// SPDX-License-Identifier: GPL-2.0-only
/** The sample drivers: mdevs without a device behind them. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import type { Scenario } from "../../tools/klab/scenario.ts";
import { remove } from "../helpers/ccw.ts";

const SAMPLES: readonly (readonly [driver: string, type: string])[] = [
  ["mtty", "mtty-1"],
  ["mdpy", "mdpy-vga"],
  ["mbochs", "mbochs-small"],
];
const uuidOf = (n: number): string => `11111111-2222-3333-4444-55555555550${n}`;

function* init(u: user_process, record: (name: string, value: unknown) => void): Sleeps {
  for (const module of ["vfio", "vfio_iommu_type1", "mdev"]) yield* u.finit_module(module);
  for (const [n, [driver, type]] of SAMPLES.entries()) {
    record(`load ${driver}`, yield* u.finit_module(driver));
    const path = `/sys/class/mdev_bus/${driver}/mdev_supported_types/${type}/create`;
    record(`create ${type}`, yield* u.sysfs_write(path, uuidOf(n)));
  }
  for (const [n, [driver, type]] of SAMPLES.entries()) {
    record(`remove ${type}`, yield* remove(u, uuidOf(n)));
    record(`unload ${driver}`, yield* u.delete_module(driver, 0));
  }
}

export const scenarios: readonly Scenario[] = [
  {
    id: "samples-create-remove",
    summary: "an mdev of each of the sample drivers is created and removed",
    machine: { arch: "x86_64" },
    processes: ["init"],
    run: (lab) => void lab.run_user("init", (u) => init(u, lab.record)),
  },
];
