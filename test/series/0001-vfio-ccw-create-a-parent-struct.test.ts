// SPDX-License-Identifier: GPL-2.0-only
/** Patch 1: what belongs to the subchannel lives in a struct of its own, from bind to unbind, counted by its device. */
import { bind, SCH, unbind, unbindFrom } from "../helpers/ccw.ts";
import { type SeriesCase, seriesTest } from "../helpers/states.ts";
import {
  apartFrom,
  diedOfNullIn,
  ENOMEM,
  freed,
  live,
  ofDriver,
  PARENT,
  play,
  type Played,
  PUT_OF_FREED,
  type Refusal,
  refuse,
  watch,
  wentWell,
  wentWithReports,
} from "./words.ts";
import type { Lab } from "../helpers/states.ts";

const PROBE = "vfio_ccw_sch_probe [vfio_ccw]";
const FOLDER = `/sys/bus/css/devices/${SCH}/parent`;
/** What the driver allocates at bind: the parent, and while there is one the private struct. */
const ITS_OWN = /^vfio_ccw_(sch_probe|alloc_private) /;
/** The first allocation of registering the parent that makes it fail. */
const REGISTERING = /^device_private_init < device_add < vfio_ccw_sch_probe /;

/** How many parents there are, and whether one can be seen in sysfs. */
function parentFolder(lab: Lab): Played<readonly [number, boolean]> {
  return play(lab, function* (u) {
    yield* bind(u);
    return [live(lab, PARENT).length, yield* u.exists(FOLDER)] as const;
  });
}

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
    holds: "all:1-7",
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
    holds: "all:1-7",
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
    holds: "all:1-2,4-7",
    title: "unbinding leaves no parent behind, nor anything else",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        const bound = live(lab, PARENT).length;
        yield* unbind(u);
        return [bound, ofDriver(lab).length];
      });
      wentWell(apartFrom(PUT_OF_FREED, played), [1, 0]);
    },
  },
  {
    id: "parent-freed-in-sch-remove",
    patch: 1,
    holds: "all:1-2,4-7",
    title: "the parent is freed by the release function of its device, on a put in sch_remove",
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
      wentWell(apartFrom(PUT_OF_FREED, played), [
        ["vfio_ccw_free_parent [vfio_ccw]", "put_device", "vfio_ccw_sch_remove [vfio_ccw]"],
      ]);
    },
  },
  {
    id: "parent-not-in-sysfs",
    patch: 1,
    holds: "v1:1-7, v2:none, v3:none",
    title: "the parent device is never added: there is one, and no folder for it in sysfs (S02)",
    run: (lab) => wentWell(parentFolder(lab), [1, false]),
  },
  {
    id: "parent-below-subchannel",
    patch: 1,
    holds: "v1:none, v2:1-7, v3:1-7",
    title: "the parent device is registered, as a child of the subchannel called parent",
    run: (lab) => wentWell(parentFolder(lab), [1, true]),
  },
  {
    id: "unbind-puts-parent-twice",
    patch: 1,
    // In state 3 the machine dies on the way there, of private parts that nobody initialised.
    holds: "v1:none, v2:1-2,4-7, v3:none",
    title: "unbinding unregisters the parent, which frees it, and puts it once more (S03)",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* unbind(u);
      });
      wentWithReports(played, ...PUT_OF_FREED);
    },
  },
  {
    id: "parent-no-memory",
    patch: 1,
    holds: "v1:1-7, v2:1-7, v3:none",
    title: "binding without memory for the parent oopses: NULL is tested with IS_ERR (S01)",
    run: (lab) => {
      diedOfNullIn(refuse(lab, /^vfio_ccw_sch_probe /, binding(lab)), PROBE);
    },
  },
  {
    id: "parent-no-memory-fails-bind",
    patch: 1,
    holds: "v1:none, v2:none, v3:1-7",
    title: "binding without memory for the parent gives -ENOMEM and leaves nothing",
    run: (lab) => {
      wentWell(refuse(lab, /^vfio_ccw_sch_probe /, binding(lab)), [ENOMEM, 0]);
    },
  },
  {
    id: "private-no-memory-puts-parent",
    patch: 1,
    holds: "v1:1-3, v2:none, v3:1-3",
    title:
      "binding without memory for the private struct, which comes after the parent, gives -ENOMEM and leaves nothing",
    run: (lab) => {
      const played = refuse(lab, ITS_OWN, binding(lab), 2);
      wentWell(played, [ENOMEM, 0]);
      return played.places.includes(PROBE);
    },
  },
  {
    id: "private-no-memory-leaks-parent",
    patch: 1,
    holds: "v1:none, v2:1-2, v3:none",
    title: "binding without memory for the private struct puts the parent, which stays registered (S15a)",
    run: (lab) => {
      const played = refuse(
        lab,
        ITS_OWN,
        {
          ...binding(lab),
          *then(u, ret) {
            return [ret, live(lab, PARENT).length, yield* u.exists(FOLDER)] as const;
          },
        },
        2,
      );
      wentWell(played, [ENOMEM, 1, true]);
    },
  },
  {
    id: "failed-mdev-parent-puts-parent-twice",
    patch: 1,
    // Not in state 3, as above.
    holds: "v1:none, v2:1-2,4-7, v3:none",
    title: "when mdev_register_parent fails, the parent is unregistered, which frees it, and put once more (S04)",
    run: (lab) => {
      const { end, reports } = refuse(lab, /^kset_create_and_add /, binding(lab));
      return end === "done" && PUT_OF_FREED.every((title) => reports.includes(title));
    },
  },
  {
    id: "failed-mdev-parent-writes-to-freed-parent",
    patch: 1,
    holds: "v1:none, v2:1-3, v3:1-3",
    title: "when mdev_register_parent fails, the driver data of the parent is cleared after it was freed (F07)",
    run: (lab) => {
      const { reports } = refuse(lab, /^kset_create_and_add /, binding(lab));
      return reports.includes(`BUG: KASAN: use-after-free in ${PROBE}`);
    },
  },
  {
    id: "failed-register-leaks-parent",
    patch: 1,
    holds: "v1:none, v2:none, v3:1-7",
    title: "when device_register of the parent fails, nobody puts it (S05b)",
    run: (lab) => {
      const played = refuse(lab, REGISTERING, binding(lab));
      wentWell(played, [ENOMEM, 1]);
    },
  },
  {
    id: "failed-register-oopses",
    patch: 1,
    holds: "v1:none, v2:1-3, v3:none",
    title: "when device_register of the parent fails, a private struct is freed that was not yet allocated",
    run: (lab) => {
      diedOfNullIn(refuse(lab, REGISTERING, binding(lab)), "vfio_ccw_free_private [vfio_ccw]");
    },
  },
];

for (const c of cases) seriesTest(c);
