// SPDX-License-Identifier: GPL-2.0-only
/** Patch 6: the private struct is allocated by the vfio core, as every other driver's; vfio_init_device() is the core's own. */
import { bind, create, remove } from "../helpers/ccw.ts";
import { type SeriesCase, seriesTest } from "../helpers/states.ts";
import { ENOENT, freed, live, play, PRIVATE, watch, wentWell } from "./words.ts";

const cases: readonly SeriesCase[] = [
  {
    id: "private-from-vfio",
    patch: 6,
    holds: "all:6-7",
    title: "the private struct is kvmalloc's, by way of vfio_alloc_device",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        return live(lab, PRIVATE).map((o) => o.place);
      });
      wentWell(played, ["kvmalloc"]);
    },
  },
  {
    id: "private-freed-by-vfio-free-device",
    patch: 6,
    holds: "all:6",
    title: "the release callback ends with vfio_free_device, which frees the private struct",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        yield* watch(u, PRIVATE);
        yield* remove(u);
        return (yield* freed(u)).map(({ stack }) => stack.slice(0, 2));
      });
      wentWell(played, [["vfio_free_device [vfio]", "vfio_ccw_mdev_release_dev [vfio_ccw]"]]);
    },
  },
  {
    id: "vfio-init-device-not-exported",
    patch: 6,
    holds: "v1:6-7, v2:none, v3:none",
    title: "a module that uses vfio_init_device does not link (S25)",
    run: (lab) => {
      const played = play(lab, (u) => u.finit_module("vfio_init_user"));
      wentWell(played, ENOENT);
      return played.log.some((line) => line.trim() === "vfio_init_user: Unknown symbol vfio_init_device (err -2)");
    },
  },
  {
    id: "vfio-init-device-is-static",
    patch: 6,
    holds: "v1:none, v2:6-7, v3:6-7",
    title: "a module that uses vfio_init_device cannot be built: there is none to load",
    run: (lab) => {
      const played = play(lab, (u) => u.finit_module("vfio_init_user"));
      wentWell(played, ENOENT);
      return !played.log.some((line) => line.includes("Unknown symbol"));
    },
  },
];

for (const c of cases) seriesTest(c);
