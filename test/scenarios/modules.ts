// SPDX-License-Identifier: GPL-2.0-only
/** Unloading modules at each stage of the life cycle, and linking against symbols that come and go. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { bind, close, create, loadModules, open, remove, unbind, unloadModules } from "../helpers/ccw.ts";

const MODULES = ["vfio_ccw", "mdev", "vfio_iommu_type1", "vfio"] as const;
const O_NONBLOCK = 0o4000;

/** Tries to unload everything and loads again what went. */
function* tryUnload(u: user_process, lab: Lab, stage: string): Sleeps {
  for (const module of MODULES) lab.record(`${stage}: rmmod ${module}`, yield* u.delete_module(module, O_NONBLOCK));
  yield* loadModules(u);
}

function* stages(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  yield* tryUnload(u, lab, "loaded");
  yield* bind(u);
  yield* create(u);
  yield* tryUnload(u, lab, "created");
  // The mdev went with the driver.
  yield* bind(u);
  yield* create(u);
  const opened = yield* open(u);
  lab.record("open", opened.device >= 0 ? 0 : opened.device);
  yield* tryUnload(u, lab, "open");
  yield* close(u, opened);
  yield* remove(u);
  yield* unbind(u);
  yield* unloadModules(u);
}

/** vfio_ccw goes while a subchannel is bound to it: the driver core unbinds it. */
function* bound(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  lab.record("bind", yield* bind(u));
  lab.record("rmmod vfio_ccw", yield* u.delete_module("vfio_ccw", O_NONBLOCK));
  lab.record("driver is there", yield* u.exists("/sys/bus/css/drivers/vfio_ccw"));
  yield* unloadModules(u);
}

function* outOfTree(u: user_process, lab: Lab): Sleeps {
  yield* u.finit_module("vfio");
  lab.record("insmod vfio_init_user", yield* u.finit_module("vfio_init_user"));
  yield* u.delete_module("vfio_init_user", O_NONBLOCK);
  yield* u.delete_module("vfio", O_NONBLOCK);
}

function ofInit(id: string, summary: string, body: (u: user_process, lab: Lab) => Sleeps): Scenario {
  return { id, summary, machine: {}, processes: ["init"], run: (lab) => lab.run_user("init", (u) => body(u, lab)) };
}

export const scenarios: readonly Scenario[] = [
  ofInit("rmmod-stages", "modules are unloaded with nothing bound, with an mdev, with the device open", stages),
  ofInit("rmmod-bound", "vfio_ccw is unloaded while a subchannel is bound to it", bound),
  ofInit("out-of-tree", "a module that calls vfio_init_device() is loaded", outOfTree),
];
