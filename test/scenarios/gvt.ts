// SPDX-License-Identifier: GPL-2.0-only
/** Virtual GPUs: made, opened by a virtual machine, and taken away while it has them. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { closeGuest, openForGuest } from "../helpers/ap.ts";
import { OTHER_UUID, remove, UUID, VFIO_DEVICE_RESET } from "../helpers/ccw.ts";
import { create, GVT_MACHINE, loadModules, typeDir, unloadModules } from "../helpers/gvt.ts";

function* createRemove(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  for (let round = 0; round < 2; round++) {
    lab.record("create", yield* create(u));
    lab.record("create of another type", yield* create(u, OTHER_UUID, "GVTg_V5_4"));
    lab.record("create another one", yield* create(u, OTHER_UUID));
    lab.record("left", (yield* u.sysfs_read(`${typeDir()}/available_instances`)).text.trim());
    for (const uuid of [UUID, OTHER_UUID]) lab.record("remove", yield* remove(u, uuid));
  }
  yield* unloadModules(u);
}

function* openClose(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  yield* create(u);
  const guest = yield* openForGuest(u);
  lab.record("open", guest.opened.device >= 0 ? 0 : guest.opened.device);
  lab.record("reset", yield* u.ioctl(guest.opened.device, VFIO_DEVICE_RESET, 0n));
  yield* closeGuest(u, guest);
  lab.record("remove", yield* remove(u));
  yield* unloadModules(u);
}

function* removeWhileOpen(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  yield* create(u);
  const guest = yield* openForGuest(u);
  lab.record("remove", yield* remove(u));
  yield* closeGuest(u, guest);
  yield* unloadModules(u);
}

function ofInit(id: string, summary: string, body: (u: user_process, lab: Lab) => Sleeps): Scenario {
  return {
    id,
    summary,
    machine: GVT_MACHINE,
    processes: ["init"],
    run: (lab) => lab.run_user("init", (u) => body(u, lab)),
  };
}

export const scenarios: readonly Scenario[] = [
  ofInit("gvt-create-remove", "two virtual GPUs are created, and removed, twice", createRemove),
  ofInit("gvt-open-close", "a virtual machine opens a virtual GPU, resets it and closes it", openClose),
  ofInit("gvt-remove-while-open", "a virtual GPU is removed while a virtual machine has it", removeWhileOpen),
];
