// SPDX-License-Identifier: GPL-2.0-only
/** Patch 1: what belongs to the subchannel lives in a struct of its own, from bind to unbind, counted by its device. */
import { bind, SCH, unbind, unbindFrom } from "../helpers/ccw.ts";
import { type SeriesCase, seriesTest } from "../helpers/states.ts";
import {
  diedOfNullIn,
  ENOMEM,
  freed,
  live,
  ofDriver,
  PARENT,
  play,
  type Refusal,
  refuse,
  watch,
  wentWell,
} from "./words.ts";
import type { Lab } from "../helpers/states.ts";

const PROBE = "vfio_ccw_sch_probe [vfio_ccw]";

/** Binding alone: the default driver has let go before. @return errno and how many objects of the driver are left */
function binding(lab: Lab): Refusal<readonly [number, number]> {
  return {
    setUp: (u) => unbindFrom(u, "io_subchannel"),
    act: (u) => u.sysfs_write("/sys/bus/css/drivers/vfio_ccw/bind", SCH),
    undo: unbind,
    *then(_u, ret) {
      return [ret, ofDriver(lab).length] as const;
    },
  };
}

const cases: readonly SeriesCase[] = [
  {
    id: "parent-born-at-bind",
    patch: 1,
    holds: "v1:1-7",
    title: "binding allocates one parent",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const before = live(lab, PARENT).length;
        yield* bind(u);
        return [before, ...live(lab, PARENT).map((o) => o.place)] as const;
      });
      wentWell(played, [0, PROBE]);
    },
  },
  {
    id: "parent-for-each-subchannel",
    patch: 1,
    holds: "v1:1-7",
    title: "each bound subchannel has a parent",
    run: (lab) => {
      const played = play(lab, function* (u) {
        for (const sch of ["0.0.0000", "0.0.0001", "0.0.0002"]) yield* bind(u, sch);
        return new Set(live(lab, PARENT).map((o) => o.birth)).size;
      });
      wentWell(played, 3);
    },
  },
  {
    id: "parent-gone-after-unbind",
    patch: 1,
    holds: "v1:1-2,4-7",
    title: "unbinding leaves no parent behind, nor anything else",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        const bound = live(lab, PARENT).length;
        yield* unbind(u);
        return [bound, ofDriver(lab).length];
      });
      wentWell(played, [1, 0]);
    },
  },
  {
    id: "parent-freed-by-last-put",
    patch: 1,
    holds: "v1:1-2,4-7",
    title: "the parent is freed by the release function of its device, on the last put in sch_remove",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* watch(u, PARENT);
        yield* unbind(u);
        return (yield* freed(u)).map(({ stack }) => [
          stack[0],
          ...stack.filter((f) => ["put_device", "vfio_ccw_sch_remove [vfio_ccw]"].includes(f)),
        ]);
      });
      wentWell(played, [["vfio_ccw_free_parent [vfio_ccw]", "put_device", "vfio_ccw_sch_remove [vfio_ccw]"]]);
    },
  },
  {
    id: "parent-no-memory",
    patch: 1,
    holds: "v1:1-7",
    title: "binding without memory for the parent oopses: NULL is tested with IS_ERR",
    run: (lab) => {
      diedOfNullIn(refuse(lab, /^vfio_ccw_sch_probe /, binding(lab)), PROBE);
    },
  },
  {
    id: "private-no-memory-puts-parent",
    patch: 1,
    holds: "v1:1-3",
    title: "binding without memory for what comes after the parent fails with -ENOMEM, and the parent is put",
    run: (lab) => {
      const played = refuse(lab, /^vfio_ccw_alloc_private /, binding(lab));
      wentWell(played, [ENOMEM, 0]);
      return played.places.at(-2) === PROBE;
    },
  },
];

for (const c of cases) seriesTest(c);
