// SPDX-License-Identifier: GPL-2.0-only
/** Matrix devices of AP queues: made, opened by a virtual machine, and taken away while it has them. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import {
  AP_MACHINE,
  assign,
  closeGuest,
  create,
  type Guest,
  openForGuest,
  queueStatus,
  rescan,
  setUp,
  show,
  tearDown,
} from "../helpers/ap.ts";
import { remove, VFIO_DEVICE_RESET } from "../helpers/ccw.ts";

function* createRemove(u: user_process, lab: Lab): Sleeps {
  yield* setUp(u);
  for (let round = 0; round < 2; round++) {
    lab.record("create", yield* create(u));
    yield* assignAll(u);
    lab.record("matrix", yield* show(u, "matrix"));
    lab.record("remove", yield* remove(u));
  }
  yield* tearDown(u);
}
function* assignAll(u: user_process): Sleeps {
  for (const adapter of [5, 6]) yield* assign(u, "assign_adapter", adapter);
  for (const domain of [4, 0x2b]) yield* assign(u, "assign_domain", domain);
  yield* assign(u, "assign_control_domain", 4);
}

function* openClose(u: user_process, lab: Lab): Sleeps {
  yield* setUp(u);
  yield* create(u);
  yield* assignAll(u);
  const guest = yield* openForGuest(u);
  lab.record("open", guest.opened.device >= 0 ? 0 : guest.opened.device);
  lab.record("queue", yield* queueStatus(u, "05.0004"));
  lab.record("reset", yield* u.ioctl(guest.opened.device, VFIO_DEVICE_RESET, 0n));
  yield* closeGuest(u, guest);
  lab.record("queue", yield* queueStatus(u, "05.0004"));
  lab.record("remove", yield* remove(u));
  yield* tearDown(u);
}

function* openAndExit(u: user_process, lab: Lab): Sleeps {
  const { opened } = yield* openForGuest(u);
  lab.record("open", opened.device >= 0 ? 0 : opened.device);
}
/** What is closed at the end of a process is released from the last one on: the device before the machine. */
function* exitOpen(u: user_process, lab: Lab): Sleeps {
  yield* setUp(u);
  yield* create(u);
  yield* assignAll(u);
  const pid = yield* u.fork((child) => openAndExit(child, lab));
  yield* u.waitpid(pid);
  lab.record("queue", yield* queueStatus(u, "05.0004"));
  lab.record("remove", yield* remove(u));
  yield* tearDown(u);
}

/** A guest has the device; somebody else does `take`, and takes everything down when that is done. */
function whileOpen(id: string, summary: string, take: (u: user_process, lab: Lab) => Sleeps): Scenario {
  function* owner(u: user_process, ready: { guest: Guest | null }): Sleeps {
    yield* setUp(u);
    yield* create(u);
    yield* assignAll(u);
    const guest = yield* openForGuest(u);
    ready.guest = guest;
    yield* u.sleep_ms(25_000);
    yield* closeGuest(u, guest);
  }
  function* taker(u: user_process, lab: Lab, ready: { guest: Guest | null }): Sleeps {
    while (!ready.guest) yield* u.sleep_ms(10);
    const began = lab.clock.ns;
    yield* take(u, lab);
    lab.record("blocked for seconds", Math.round((lab.clock.ns - began) / 1e9));
    while (yield* u.exists("/sys/bus/ap/drivers/vfio_ap")) {
      yield* u.sleep_ms(1000);
      if (lab.clock.ns - began < 30e9) continue;
      yield* remove(u);
      yield* tearDown(u);
    }
  }
  return {
    id,
    summary,
    machine: AP_MACHINE,
    processes: ["owner", "taker"],
    run(lab) {
      const ready = { guest: null as Guest | null };
      lab.run_user("owner", (u) => owner(u, ready));
      lab.run_user("taker", (u) => taker(u, lab, ready));
    },
  };
}

function* removeIt(u: user_process, lab: Lab): Sleeps {
  lab.record("remove", yield* remove(u));
}
function* unplugCard(u: user_process, lab: Lab): Sleeps {
  lab.ap_hw.unplug(5);
  lab.record("rescan", yield* rescan(u));
  lab.record("guest", yield* show(u, "guest_matrix"));
  lab.record("queue", yield* queueStatus(u, "06.0004"));
}

export const scenarios: readonly Scenario[] = [
  {
    id: "ap-create-remove",
    summary: "a matrix device is created, gets queues and is removed, twice",
    machine: AP_MACHINE,
    processes: ["init"],
    run: (lab) => lab.run_user("init", (u) => createRemove(u, lab)),
  },
  {
    id: "ap-open-close",
    summary: "a virtual machine opens a matrix device, resets its queues and closes it",
    machine: AP_MACHINE,
    processes: ["init"],
    run: (lab) => lab.run_user("init", (u) => openClose(u, lab)),
  },
  {
    id: "ap-exit-open",
    summary: "the process that runs a virtual machine ends without closing anything",
    machine: AP_MACHINE,
    processes: ["init"],
    run: (lab) => lab.run_user("init", (u) => exitOpen(u, lab)),
  },
  whileOpen("ap-remove-while-open", "a matrix device is removed while a virtual machine has it", removeIt),
  whileOpen("ap-unplug-while-open", "an adapter is pulled while a virtual machine has it", unplugCard),
];
