// SPDX-License-Identifier: GPL-2.0-only
/** One device of each of the buses that VFIO has a driver for besides PCI: bound, opened, and taken while it is open. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { close, type Opened, VFIO_DEVICE_RESET } from "../helpers/ccw.ts";
import {
  bind,
  type BusDevice,
  DPIO,
  DPRC,
  driverOf,
  loadModules,
  open,
  PL330,
  unbind,
  unloadModules,
  XGMAC,
} from "../helpers/vfio-bus.ts";

interface OnBus {
  readonly id: string;
  readonly what: string;
  readonly machine: object;
  /** What is bound, and what of it is opened. */
  readonly bound: BusDevice;
  readonly opened: BusDevice;
  /** Knows how to reset it. */
  readonly reset?: string;
}
const ON_BUS: readonly OnBus[] = [
  {
    id: "platform",
    what: "a network card on the platform bus",
    machine: { arch: "arm64" },
    bound: XGMAC,
    opened: XGMAC,
    reset: "vfio_platform_calxedaxgmac",
  },
  {
    id: "amba",
    what: "a DMA engine on the AMBA bus",
    machine: { arch: "arm64" },
    bound: PL330,
    opened: PL330,
    reset: "vfio_reset_pl330",
  },
  {
    id: "fsl-mc",
    what: "a container and a portal in it on the fsl-mc bus",
    machine: { arch: "arm64", board: "ls2088a" },
    bound: DPRC,
    opened: DPIO,
  },
];

function* setUp(u: user_process, lab: Lab, d: OnBus): Sleeps {
  lab.record("load", yield* loadModules(u, d.bound));
  if (d.reset !== undefined) lab.record("load the reset", yield* u.finit_module(d.reset));
  lab.record("bind", yield* bind(u, d.bound));
}
function* tearDown(u: user_process, lab: Lab, d: OnBus): Sleeps {
  lab.record("driver", yield* driverOf(u, d.bound));
  if (d.reset !== undefined) lab.record("unload the reset", yield* u.delete_module(d.reset, 0));
  lab.record("unload", yield* unloadModules(u, d.bound));
}

function* bindOpen(u: user_process, lab: Lab, d: OnBus): Sleeps {
  yield* setUp(u, lab, d);
  for (let round = 0; round < 2; round++) {
    const opened = yield* open(u, d.opened);
    lab.record("open", opened.device >= 0 ? 0 : opened.device);
    lab.record("reset", yield* u.ioctl(opened.device, VFIO_DEVICE_RESET, 0n));
    yield* close(u, opened);
  }
  lab.record("unbind", yield* unbind(u, d.bound));
  lab.record("bind again", yield* bind(u, d.bound));
  lab.record("unbind again", yield* unbind(u, d.bound));
  yield* tearDown(u, lab, d);
}
const opens = (d: OnBus): Scenario => ({
  id: `${d.id}-bind-open`,
  summary: `${d.what} is bound, opened and closed twice, and unbound`,
  machine: d.machine,
  processes: ["init"],
  run: (lab) => lab.run_user("init", (u) => bindOpen(u, lab, d)),
});

interface Ready {
  opened: Opened | null;
}
function* owner(u: user_process, lab: Lab, d: OnBus, ready: Ready): Sleeps {
  yield* setUp(u, lab, d);
  const opened = yield* open(u, d.opened);
  lab.record("open", opened.device >= 0 ? 0 : opened.device);
  ready.opened = opened;
  yield* u.sleep_ms(25_000);
  yield* close(u, opened);
}
function* taker(u: user_process, lab: Lab, d: OnBus, ready: Ready): Sleeps {
  while (!ready.opened) yield* u.sleep_ms(10);
  const began = lab.clock.ns;
  lab.record("unbind", yield* unbind(u, d.bound));
  lab.record("blocked for seconds", Math.round((lab.clock.ns - began) / 1e9));
  yield* tearDown(u, lab, d);
}
const takes = (d: OnBus): Scenario => ({
  id: `${d.id}-unbind-while-open`,
  summary: `${d.what} is unbound while somebody has it open`,
  machine: d.machine,
  processes: ["owner", "taker"],
  run(lab) {
    const ready: Ready = { opened: null };
    lab.run_user("owner", (u) => owner(u, lab, d, ready));
    lab.run_user("taker", (u) => taker(u, lab, d, ready));
  },
});

export const scenarios: readonly Scenario[] = ON_BUS.flatMap((d) => [opens(d), takes(d)]);
