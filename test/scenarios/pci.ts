// SPDX-License-Identifier: GPL-2.0-only
/** PCI devices that vfio-pci is given: bound, opened, reset, taken away while they are open, pulled out. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import {
  BUS3,
  closeAll,
  deviceOf,
  EDU,
  give,
  hotReset,
  hotResetInfo,
  MACHINE,
  NIC,
  opening,
  place,
  removeDevice,
  rescan,
  RESET,
  takeBack,
  withBound,
} from "../helpers/pci.ts";
import { driverOf, loadModules, open, sysDevice, unbind, unloadModules } from "../helpers/vfio-bus.ts";

function of(id: string, summary: string, body: (u: user_process, lab: Lab) => Sleeps, faults = false): Scenario {
  return {
    id,
    summary,
    machine: MACHINE,
    processes: ["init"],
    ...(faults ? { faults } : {}),
    run: (lab) => lab.run_user("init", (u) => body(u, lab)),
  };
}

function* bindUnbind(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u, EDU);
  lab.record("probe", yield* give(u, EDU));
  lab.record("driver", yield* driverOf(u, EDU));
  lab.record("unbind", yield* takeBack(u, EDU));
  lab.record("probe again", yield* give(u, EDU));
  lab.record("unbind again", yield* takeBack(u, EDU));
  yield* unloadModules(u, EDU);
}

function* openReset(u: user_process, lab: Lab): Sleeps {
  yield* withBound(u, [NIC], function* () {
    for (let i = 0; i < 2; i++) {
      yield* opening(u, NIC, function* ({ device }) {
        lab.record("reset", yield* u.ioctl(device, RESET));
      });
      yield* u.sleep_ms(300);
    }
  });
}

function* busReset(u: user_process, lab: Lab): Sleeps {
  yield* withBound(u, BUS3, function* () {
    const opened = yield* open(u, BUS3[0]!);
    lab.record("hot reset info", yield* hotResetInfo(u, opened.device));
    lab.record("hot reset", yield* hotReset(u, opened.device, [opened.group]));
    const second = yield* deviceOf(u, opened.group, BUS3[1]!.name);
    lab.record("hot reset with two open", yield* hotReset(u, second, [opened.group]));
    yield* u.close(second);
    yield* closeAll(u, opened);
  });
}

/** The device is open; `away` takes it from its driver in another process, which waits until it is closed. */
function whileOpen(id: string, summary: string, away: (u: user_process, lab: Lab) => Sleeps<number>): Scenario {
  function* other(u: user_process, lab: Lab): Sleeps {
    yield* u.sleep_ms(1000);
    lab.record("away", yield* away(u, lab));
  }
  function* init(u: user_process, lab: Lab): Sleeps {
    yield* withBound(u, [EDU], function* () {
      const opened = yield* open(u, EDU);
      yield* u.sleep_ms(25_000);
      yield* closeAll(u, opened);
      yield* u.sleep_ms(1000);
      lab.record("device is there", yield* u.exists(sysDevice(EDU)));
    });
  }
  return {
    id,
    summary,
    machine: MACHINE,
    processes: ["init", "other"],
    run: (lab) => {
      lab.run_user("init", (u) => init(u, lab));
      lab.run_user("other", (u) => other(u, lab));
    },
  };
}

function* pull(u: user_process, lab: Lab): Sleeps<number> {
  lab.pci_hw.pull(place(EDU));
  return yield* removeDevice(u, EDU);
}

function* removeRescan(u: user_process, lab: Lab): Sleeps {
  yield* withBound(u, [NIC], function* () {
    lab.record("remove", yield* removeDevice(u, NIC));
    lab.record("device is there", yield* u.exists(sysDevice(NIC)));
    lab.record("rescan", yield* rescan(u));
    lab.record("driver", yield* driverOf(u, NIC));
    lab.record("probe", yield* give(u, NIC));
  });
}

function* eachFault(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u, EDU);
  lab.make_it_fail(u.task);
  lab.set_fail_nth(lab.faultNth);
  yield* give(u, EDU);
  yield* opening(u, EDU, function* () {});
  lab.make_it_fail(u.task, false);
  // Whoever failed tries again.
  yield* give(u, EDU);
  yield* opening(u, EDU, function* () {});
  yield* takeBack(u, EDU);
  yield* unloadModules(u, EDU);
}

export const scenarios: readonly Scenario[] = [
  of("pci-bind-unbind", "a PCI device is given to vfio-pci and taken back, twice", bindUnbind),
  of("pci-open-reset", "a network card is opened, reset and closed, twice", openReset),
  of("pci-hot-reset", "three devices behind a bridge are reset together", busReset),
  of("pci-remove-rescan", "a bound device is removed and found again", removeRescan),
  whileOpen("pci-unbind-while-open", "unbind while the device is open", (u) => unbind(u, EDU)),
  whileOpen("pci-remove-while-open", "the device is removed while it is open", (u) => removeDevice(u, EDU)),
  whileOpen("pci-pull-while-open", "the device is pulled out while it is open, and then removed", pull),
  of("pci-fault-each", "bind and open a PCI device, each allocation failing in turn", eachFault, true),
];
