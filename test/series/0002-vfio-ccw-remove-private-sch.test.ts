// SPDX-License-Identifier: GPL-2.0-only
/**
 * Patch 2: the subchannel is found through the mdev. Without one there is no way to it, and as long as the private struct lives longer than its
 * mdevs, what happens to a subchannel without an mdev ends in an oops.
 */
import { bind, create, remove, SCH_NO } from "../helpers/ccw.ts";
import { type Lab, type SeriesCase, seriesTest } from "../helpers/states.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { diedOfNullIn, play } from "./words.ts";

const LINUX_REBOOT_CMD_RESTART = 0x01234567;

interface Event {
  readonly id: string;
  readonly what: string;
  readonly happen: (u: user_process, lab: Lab) => Sleeps;
}
const EVENTS: readonly Event[] = [
  {
    id: "reboot",
    what: "a reboot",
    *happen(u) {
      yield* u.reboot(LINUX_REBOOT_CMD_RESTART);
    },
  },
  {
    id: "unplug",
    what: "losing the device",
    *happen(u, lab) {
      lab.hw.unplug(SCH_NO);
      yield* u.sleep_ms(100);
    },
  },
  {
    id: "interrupt",
    what: "an interrupt",
    *happen(u, lab) {
      lab.hw.spurious(SCH_NO);
      yield* u.sleep_ms(100);
    },
  },
];

const FSM = "vfio_ccw_fsm_event [vfio_ccw]";

const cases: readonly SeriesCase[] = [
  ...EVENTS.map(({ id, what, happen }): SeriesCase => ({
    id: `${id}-before-mdev-oopses`,
    patch: 2,
    holds: "all:2-3",
    title: `${what} before there is an mdev: NULL pointer dereference in the state machine`,
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* happen(u, lab);
      });
      return diedOfNullIn(played, FSM);
    },
  })),
  ...EVENTS.map(({ id, what, happen }): SeriesCase => ({
    id: `${id}-after-mdev-oopses`,
    patch: 2,
    holds: "all:2",
    title: `${what} after an mdev has come and gone, and its release made it all zeros: the same`,
    run: (lab) => {
      const done: number[] = [];
      const played = play(lab, function* (u) {
        yield* bind(u);
        done.push(yield* create(u), yield* remove(u));
        yield* happen(u, lab);
      });
      diedOfNullIn(played, FSM);
      return done.length === 2 && done.every((ret) => ret > 0);
    },
  })),
];

for (const c of cases) seriesTest(c);
