// SPDX-License-Identifier: GPL-2.0-only
/** Patch 4: the private struct comes with the mdev and goes with it; without an mdev there is none. */
import { bind, close, create, loadModules, open, remove, SCH_NO, unbind, unloadModules } from "../helpers/ccw.ts";
import { type Lab, type SeriesCase, seriesTest } from "../helpers/states.ts";
import {
  apartFrom,
  ENOMEM,
  live,
  ofDriver,
  play,
  type Played,
  PRIVATE,
  PUT_OF_FREED,
  type Refusal,
  refuse,
  regions,
  wentWell,
  wentWithReports,
} from "./words.ts";

const LINUX_REBOOT_CMD_RESTART = 0x01234567;
/** The region of channel report words. */
const CRW_REGION = 3n << 10n;

/** Creating alone; afterwards everything is unbound. @return errno and how many objects of the driver are left then */
function creating(lab: Lab): Refusal<readonly [number, number]> {
  return {
    setUp: bind,
    act: create,
    undo: remove,
    *then(u, ret) {
      yield* unbind(u);
      return [ret, ofDriver(lab).length] as const;
    },
  };
}

const reported = (played: Played<unknown>, report: RegExp): boolean =>
  played.reports.some((title) => report.test(title));

const cases: readonly SeriesCase[] = [
  {
    id: "private-lives-with-mdev",
    patch: 4,
    holds: "all:4-7",
    title: "there is a private struct from create to remove, and no longer",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const got: number[] = [];
        yield* bind(u);
        got.push(live(lab, PRIVATE).length);
        yield* create(u);
        got.push(live(lab, PRIVATE).length);
        yield* remove(u);
        got.push(live(lab, PRIVATE).length);
        return got;
      });
      wentWell(played, [0, 1, 0]);
    },
  },
  {
    id: "private-of-its-own",
    patch: 4,
    holds: "all:4-7",
    title: "two mdevs, one after the other, have two private structs",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const births = new Set<number>();
        yield* bind(u);
        for (let round = 0; round < 2; round++) {
          yield* create(u);
          for (const o of live(lab, PRIVATE)) births.add(o.birth);
          yield* remove(u);
        }
        return births.size;
      });
      wentWell(played, 2);
    },
  },
  {
    id: "regions-live-with-mdev",
    patch: 4,
    holds: "all:4-7",
    title: "the four regions are allocated when the mdev is probed, and gone when it is removed",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        const places = regions(lab).map((o) => o.place);
        yield* remove(u);
        return [places, regions(lab).length] as const;
      });
      wentWell(played, [Array<string>(4).fill("vfio_ccw_mdev_init_dev [vfio_ccw]"), 0]);
    },
  },
  {
    id: "mdev-on-dead-subchannel",
    patch: 4,
    holds: "all:4-7",
    title: "an mdev can be created again although the last one ended as not operational; opening it fails",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        const opened = yield* open(u);
        // What follows happens before the subchannel is taken away.
        lab.hw.unplug(SCH_NO);
        yield* close(u, opened);
        yield* remove(u);
        const ret = yield* create(u);
        return [opened.device >= 0, ret > 0, (yield* open(u)).device >= 0];
      });
      wentWell(apartFrom(PUT_OF_FREED, played), [true, true, false]);
    },
  },
  {
    id: "crws-go-with-mdev",
    patch: 4,
    holds: "all:4-7",
    title: "channel report words that nobody read are freed with the mdev; the next one does not get them",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        const opened = yield* open(u);
        for (const event of ["offline", "online"] as const) {
          lab.hw.chp_event(0, event);
          yield* u.sleep_ms(100);
        }
        const queued = live(lab, "vfio_ccw_crw").length;
        yield* close(u, opened);
        yield* remove(u);
        const left = live(lab, "vfio_ccw_crw").length;
        yield* create(u);
        const again = yield* open(u);
        const { bytes } = yield* u.pread_bytes(again.device, 4, CRW_REGION);
        return [queued, left, ...bytes];
      });
      wentWell(played, [2, 0, 0, 0, 0, 0]);
    },
  },
  {
    id: "interrupt-before-mdev-logged",
    patch: 4,
    holds: "all:4-7",
    title: "an interrupt without an mdev is logged as unexpected",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        lab.hw.spurious(SCH_NO);
        yield* u.sleep_ms(100);
      });
      const logged = lab.debug_view("vfio_ccw_msg").filter((line) => /sch 0\.0\.0001: unexpected interrupt/.test(line));
      wentWell(played, undefined);
      return logged.length === 1;
    },
  },
  {
    id: "path-events-before-mdev-ignored",
    patch: 4,
    holds: "all:4-7",
    title: "channel path events without an mdev pass unnoticed",
    run: (lab) => {
      const events: string[] = [];
      const stop = lab.trace_subscribe("vfio_ccw_chp_event", ({ text }) => events.push(text));
      const played = play(lab, function* (u) {
        const ret = yield* bind(u);
        yield* u.sysfs_write("/sys/devices/css0/chp0.00/status", "off");
        yield* u.sysfs_write("/sys/devices/css0/chp0.00/status", "on");
        return [ret > 0, ...events];
      });
      stop();
      wentWell(played, [true]);
    },
  },
  {
    id: "reboot-before-mdev-warns",
    patch: 4,
    holds: "all:4-7",
    title: "a reboot with a bound subchannel and no mdev WARNs in sch_shutdown (S16)",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* u.reboot(LINUX_REBOOT_CMD_RESTART);
      });
      wentWithReports(played, "WARNING: vfio_ccw_sch_shutdown [vfio_ccw]");
    },
  },
  {
    id: "private-no-memory-is-error-pointer",
    patch: 4,
    holds: "v1:4-5, v2:none, v3:none",
    title: "create without memory for the private struct faults at an error pointer: it is tested for NULL",
    run: (lab) => {
      const played = refuse(lab, /^vfio_ccw_alloc_private /, creating(lab));
      return played.end === "oops" && reported(played, /^BUG: unable to handle page fault for address/);
    },
  },
  {
    id: "private-no-memory-fails-create",
    patch: 4,
    holds: "v1:6-7, v2:4-7, v3:4-7",
    title: "create without memory for the private struct gives -ENOMEM and leaves nothing; the next one works",
    run: (lab) => {
      const played = refuse(lab, /^(vfio_ccw_mdev_probe|(kv\w+ < )*_vfio_alloc_device) /, {
        setUp: bind,
        act: create,
        undo: remove,
        *then(u, ret) {
          const left = live(lab, PRIVATE).length;
          const again = yield* create(u);
          yield* remove(u);
          yield* unbind(u);
          return [ret, left, again > 0, ofDriver(lab).length] as const;
        },
      });
      wentWell(apartFrom(PUT_OF_FREED, played), [ENOMEM, 0, true, 0]);
    },
  },
  {
    id: "region-no-memory-fails-create",
    patch: 4,
    holds: "all:4-7",
    title: "create without memory for a region gives -ENOMEM and leaves nothing",
    run: (lab) => {
      const played = refuse(lab, /^vfio_ccw_mdev_init_dev .* vfio_ccw_schib_region$/, creating(lab));
      wentWell(apartFrom(PUT_OF_FREED, played), [ENOMEM, 0]);
    },
  },
  {
    id: "failed-registration-leaks",
    patch: 4,
    holds: "all:4",
    title:
      "when vfio_register_emulated_iommu_dev fails, the private struct and its regions stay behind after unbind (S14)",
    run: (lab) => {
      const played = refuse(lab, /^iommu_group_alloc /, creating(lab));
      return played.end === "done" && played.got?.join() === `${ENOMEM},5`;
    },
  },
  {
    id: "failed-registration-shows-at-unload",
    patch: 4,
    holds: "all:4",
    title: "and unloading the driver finds the regions in their caches",
    run: (lab) => {
      const played = refuse(lab, /^iommu_group_alloc /, {
        ...creating(lab),
        *then(u) {
          yield* unbind(u);
          yield* unloadModules(u);
          yield* loadModules(u);
        },
      });
      return ["io", "cmd", "schib", "crw"].every((r) =>
        reported(played, new RegExp(`^BUG vfio_ccw_${r}_region .*: Objects remaining in`)),
      );
    },
  },
];

for (const c of cases) seriesTest(c);
