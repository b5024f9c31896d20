// SPDX-License-Identifier: GPL-2.0-only
/** Patch 7: the vfio core frees a device's memory itself, after a release callback that need not be there. */
import { bind, create, remove } from "../helpers/ccw.ts";
import { type SeriesCase, seriesTest } from "../helpers/states.ts";
import { ENOENT, freed, live, play, PRIVATE, regions, watch, wentWell, wentWithReports } from "./words.ts";

const cases: readonly SeriesCase[] = [
  {
    id: "private-freed-by-core",
    patch: 7,
    holds: "all:7",
    title: "the vfio core frees the private struct, after the release callback has returned",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        yield* watch(u, PRIVATE);
        yield* watch(u, "ccw_io_region");
        yield* remove(u);
        const who = yield* freed(u);
        return [...who.map(({ type, stack }) => [type, ...stack.slice(0, 2)]), [regions(lab).length]];
      });
      wentWell(played, [
        [PRIVATE, "vfio_device_release [vfio]", "device_release"],
        ["ccw_io_region", "vfio_ccw_mdev_release_dev [vfio_ccw]", "vfio_device_release [vfio]"],
        [0],
      ]);
    },
  },
  {
    id: "vfio-free-device-is-gone",
    patch: 7,
    holds: "all:7",
    title: "a module that uses vfio_free_device cannot be built: there is none to load",
    run: (lab) => {
      const played = play(lab, (u) => u.finit_module("vfio_free_user"));
      wentWell(played, ENOENT);
    },
  },
  {
    id: "release-may-be-missing",
    patch: 7,
    holds: "all:7",
    title: "a device whose driver has no release callback is released and freed",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const ret = yield* u.finit_module("vfio_no_release");
        return [ret, live(lab, "toy_device").length];
      });
      wentWell(played, [0, 0]);
    },
  },
  {
    id: "release-must-not-free",
    patch: 7,
    holds: "all:7",
    title: "a driver whose release callback still frees the memory frees it twice",
    run: (lab) => {
      const played = play(lab, (u) => u.finit_module("vfio_own_free"));
      wentWithReports(played, "BUG: KASAN: double-free in kfree");
    },
  },
];

for (const c of cases) seriesTest(c);
