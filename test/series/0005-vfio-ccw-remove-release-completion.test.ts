// SPDX-License-Identifier: GPL-2.0-only
/** Patch 5: the private struct is freed by the release callback of its vfio_device, and nobody waits for that. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { bind, create, remove, SCH, unbind, UUID } from "../helpers/ccw.ts";
import { type SeriesCase, seriesTest } from "../helpers/states.ts";
import {
  apartFrom,
  ENOMEM,
  freed,
  hold,
  letGo,
  live,
  PARENT,
  play,
  PRIVATE,
  PUT_OF_FREED,
  refuse,
  watch,
  wentWell,
} from "./words.ts";

const RELEASE = "vfio_ccw_mdev_release_dev [vfio_ccw]";

/** Somebody holds a reference of the vfio_device for a second, while another process takes the mdev away. */
function* takeWhileHeld(
  u: user_process,
  take: (u: user_process) => Sleeps<number>,
  look: () => number,
): Sleeps<{ held: boolean; takenWhileHeld: boolean; seen: number }> {
  const taker = { done: false };
  yield* bind(u);
  yield* create(u);
  const held = (yield* hold(u, SCH, UUID, "vfio0")) > 0;
  const child = yield* u.fork(function* (other) {
    yield* take(other);
    taker.done = true;
  });
  yield* u.sleep_ms(1000);
  const takenWhileHeld = taker.done;
  const seen = look();
  yield* letGo(u);
  yield* u.waitpid(child, 0);
  return { held, takenWhileHeld, seen };
}

const cases: readonly SeriesCase[] = [
  {
    id: "private-freed-by-release",
    patch: 5,
    holds: "all:5-6",
    title: "the driver's release callback frees the private struct",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        yield* watch(u, PRIVATE);
        yield* remove(u);
        return (yield* freed(u)).map(({ stack }) => stack.includes(RELEASE));
      });
      wentWell(played, [true]);
    },
  },
  {
    id: "remove-does-not-wait",
    patch: 5,
    holds: "all:5-7",
    title:
      "remove is done although somebody holds a reference of the vfio_device; the private struct lives on until it is dropped",
    run: (lab) => {
      const played = play(lab, function* (u) {
        const while_ = yield* takeWhileHeld(u, remove, () => live(lab, PRIVATE).length);
        return { ...while_, left: live(lab, PRIVATE).length };
      });
      wentWell(played, { held: true, takenWhileHeld: true, seen: 1, left: 0 });
    },
  },
  {
    id: "unbind-does-not-wait",
    patch: 5,
    holds: "all:5-7",
    title: "nor does unbind, so that the private struct can outlive the parent",
    run: (lab) => {
      const played = play(lab, (u) =>
        takeWhileHeld(u, unbind, () => (live(lab, PARENT).length === 0 ? live(lab, PRIVATE).length : -1)),
      );
      wentWell(apartFrom(PUT_OF_FREED, played), { held: true, takenWhileHeld: true, seen: 1 });
    },
  },
  {
    id: "last-holder-frees",
    patch: 5,
    holds: "all:5-7",
    title: "whoever drops the last reference frees the private struct",
    run: (lab) => {
      const played = play(lab, function* (u) {
        yield* bind(u);
        yield* create(u);
        yield* watch(u, PRIVATE);
        yield* hold(u, SCH, UUID, "vfio0");
        const child = yield* u.fork(function* (other) {
          yield* remove(other);
        });
        yield* u.sleep_ms(1000);
        yield* letGo(u);
        yield* u.waitpid(child, 0);
        return (yield* freed(u)).map(({ pid }) => pid === u.pid);
      });
      wentWell(played, [true]);
    },
  },
  {
    id: "failed-registration-frees",
    patch: 5,
    holds: "all:5-7",
    title: "when vfio_register_emulated_iommu_dev fails, the private struct and its regions are freed at once",
    run: (lab) => {
      const played = refuse(lab, /^iommu_group_alloc /, {
        setUp: bind,
        act: create,
        undo: remove,
        *then(_u, ret) {
          return [ret, live(lab, PRIVATE).length, live(lab, "ccw_io_region").length];
        },
      });
      wentWell(played, [ENOMEM, 0, 0]);
    },
  },
];

for (const c of cases) seriesTest(c);
