// SPDX-License-Identifier: GPL-2.0-only
/**
 * Patch 3: the private struct is initialized when an mdev is probed. It is still allocated at bind, and zeros mean NOT_OPER: no mdev can be created
 * at all until the next patch, and whoever looks at what is zero oopses.
 */
import { bind, create, SCH, unbind, unbindFrom } from "../helpers/ccw.ts";
import { type Lab, type SeriesCase, seriesTest } from "../helpers/states.ts";
import {
  apartFrom,
  diedOfNullIn,
  ENODEV,
  live,
  ofDriver,
  PARENT,
  play,
  PRIVATE,
  type Refusal,
  refuse,
  regions,
  wentWell,
  wentWithReports,
} from "./words.ts";

const FREE = "vfio_ccw_free_private [vfio_ccw]";

/** What the driver has allocated besides its two structs. */
function pieces(lab: Lab): number {
  return lab
    .live_objects()
    .filter((o) => /^vfio_ccw_(alloc_private|sch_probe) /.test(o.place))
    .filter((o) => ![PARENT, PRIVATE].includes(o.type)).length;
}

/** Where the parent was registered, it is written to after it was freed, before the machine dies of the rest. */
const WRITE_TO_FREED = ["BUG: KASAN: use-after-free in vfio_ccw_sch_probe [vfio_ccw]"];

const binding: Refusal<unknown> = {
  setUp: (u) => unbindFrom(u, "io_subchannel"),
  act: (u) => u.sysfs_write("/sys/bus/css/drivers/vfio_ccw/bind", SCH),
  undo: unbind,
  *then() {},
};

const cases: readonly SeriesCase[] = [
  {
    id: "create-always-refused",
    patch: 3,
    holds: "all:3",
    title: "create gives -ENODEV, on every subchannel and again",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const got: number[] = [];
        for (const sch of ["0.0.0001", "0.0.0002"]) {
          yield* bind(u, sch);
          for (let round = 0; round < 2; round++) got.push(yield* create(u, undefined, sch));
        }
        return got;
      });
      wentWell(played, [ENODEV, ENODEV, ENODEV, ENODEV]);
    },
  },
  {
    id: "no-regions-at-bind",
    patch: 3,
    holds: "all:3-7",
    title: "binding allocates no regions",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const ret = yield* bind(u);
        return [ret > 0, regions(lab).length] as const;
      });
      wentWell(played, [true, 0]);
    },
  },
  {
    id: "private-empty-at-bind",
    patch: 3,
    holds: "all:3",
    title: "binding allocates the private struct, and none of its parts",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        return [live(lab, PRIVATE).length, ofDriver(lab).filter((o) => o.type !== PARENT).length, pieces(lab)];
      });
      wentWell(played, [1, 1, 0]);
    },
  },
  {
    id: "unbind-oopses",
    patch: 3,
    holds: "all:3",
    title: "unbinding walks a list that was never initialized",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* unbind(u);
      });
      diedOfNullIn(played, FREE);
    },
  },
  {
    id: "rmmod-oopses",
    patch: 3,
    holds: "all:3",
    title: "and so does unloading the driver while a subchannel is bound",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* u.delete_module("vfio_ccw", 0);
      });
      diedOfNullIn(played, FREE);
    },
  },
  {
    id: "failed-bind-oopses",
    patch: 3,
    holds: "all:3",
    title: "and so does a bind that fails after the private struct was allocated",
    run: (lab) => {
      const played = refuse(lab, /^kset_create_and_add /, binding);
      diedOfNullIn(apartFrom(WRITE_TO_FREED, played), FREE);
    },
  },
  {
    id: "private-no-memory-goes-on",
    patch: 3,
    holds: "v1:none, v2:3, v3:none",
    title: "binding without memory for the private struct does not notice: NULL is tested with IS_ERR",
    run: (lab) => {
      const played = refuse(
        lab,
        /^vfio_ccw_(sch_probe|alloc_private) /,
        {
          ...binding,
          *then(_u, ret) {
            return [ret > 0, live(lab, PARENT).length, live(lab, PRIVATE).length];
          },
        },
        2,
      );
      wentWell(played, [true, 1, 0]);
    },
  },
  {
    id: "path-loss-before-mdev-warns",
    patch: 3,
    holds: "all:3",
    title:
      "a path that goes away before there is an mdev is queued on a list that was never initialized, for work that was neither",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        lab.hw.chp_event(0, "offline");
        yield* u.sleep_ms(100);
      });
      wentWithReports(played, "WARNING: __list_add_valid", "WARNING: __queue_work");
    },
  },
];

for (const c of cases) seriesTest(c);
