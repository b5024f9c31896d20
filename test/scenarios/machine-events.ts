// SPDX-License-Identifier: GPL-2.0-only
/** What the machine does to a bound subchannel, with and without an mdev: reboot, unplug, paths, interrupts. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import {
  bind,
  close,
  create,
  CRW_IRQ,
  eventfdFor,
  loadModules,
  open,
  remove,
  SCH,
  SCH_NO,
  unbind,
  unloadModules,
} from "../helpers/ccw.ts";

type Event = (u: user_process, lab: Lab) => Sleeps;
type Stage = "no-mdev" | "mdev" | "open";

const STAGE: Record<Stage, string> = {
  "no-mdev": "without an mdev",
  mdev: "with an mdev",
  open: "with the device open",
};

/** `event` happens at a stage; afterwards everything is taken apart that is still there. */
function at(stage: Stage, name: string, what: string, event: Event): Scenario {
  function* init(u: user_process, lab: Lab): Sleeps {
    yield* loadModules(u);
    lab.record("bind", yield* bind(u));
    if (stage !== "no-mdev") lab.record("create", yield* create(u));
    const opened = stage === "open" ? yield* open(u) : null;
    if (opened) yield* eventfdFor(u, opened.device, CRW_IRQ);
    yield* event(u, lab);
    if (opened) yield* close(u, opened);
    if (stage !== "no-mdev") lab.record("remove", yield* remove(u));
    lab.record("unbind", yield* unbind(u));
    yield* unloadModules(u);
  }
  return {
    id: `${name}-${stage}`,
    summary: `${what} ${STAGE[stage]}`,
    machine: {},
    processes: ["init"],
    run: (lab) => lab.run_user("init", (u) => init(u, lab)),
  };
}

const LINUX_REBOOT_CMD_RESTART = 0x01234567;

function* reboot(u: user_process): Sleeps {
  yield* u.reboot(LINUX_REBOOT_CMD_RESTART);
}

function* unplug(u: user_process, lab: Lab): Sleeps {
  lab.hw.unplug(SCH_NO);
  yield* u.sleep_ms(100);
  lab.record("subchannel is there", yield* u.exists(`/sys/bus/css/devices/${SCH}`));
}

function* paths(u: user_process, lab: Lab): Sleeps {
  // The operator's side first, then the machine's.
  for (const state of ["off", "on"]) {
    lab.record(`vary ${state}`, yield* u.sysfs_write("/sys/devices/css0/chp0.00/status", state));
    yield* u.sleep_ms(100);
  }
  for (const event of ["offline", "online"] as const) {
    lab.hw.chp_event(0, event);
    yield* u.sleep_ms(100);
  }
}

function* interrupt(u: user_process, lab: Lab): Sleeps {
  lab.hw.spurious(SCH_NO);
  yield* u.sleep_ms(100);
}

const STAGES: readonly Stage[] = ["no-mdev", "mdev", "open"];

export const scenarios: readonly Scenario[] = [
  ...STAGES.map((stage) => at(stage, "reboot", "the machine is rebooted", reboot)),
  ...STAGES.map((stage) => at(stage, "unplug", "the subchannel's device goes away", unplug)),
  ...STAGES.map((stage) => at(stage, "paths", "channel paths go off and come back", paths)),
  ...STAGES.map((stage) => at(stage, "interrupt", "an interrupt comes that nobody asked for", interrupt)),
];
