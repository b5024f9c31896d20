// SPDX-License-Identifier: GPL-2.0-only
/** Random calls of all three samples: nothing but errnos, and reports that Documentation/findings.md explains. */
import test from "ava";
import { EBADF, EFAULT, EINVAL, ENOTTY } from "#linux/errno.ts";
import { fuzz, fuzzBoot, unexplained } from "./vfio-fuzz.ts";

const IOCTLS = 200_000;
const SHARES = 4;

for (let share = 0; share < SHARES; share++)
  test(`errnos and known reports, seeds from ${1 + 1000 * share} on`, (t) => {
    const found = fuzz(IOCTLS / SHARES, 1 + 1000 * share);
    t.true(found.ioctls >= IOCTLS / SHARES);
    t.deepEqual(unexplained(found), []);
    // It gets somewhere: calls that succeed, and each of the usual errors
    for (const result of [0, 1, -EINVAL, -EFAULT, -ENOTTY, -EBADF]) t.true((found.results.get(result) ?? 0) > 100);
    t.true(found.reports.size >= 8);
    t.log(`${found.calls} calls in ${found.boots} boots`);
  });

test("a seed is a sequence: twice the same", (t) => {
  const [a, b] = [fuzzBoot(1, 2000), fuzzBoot(1, 2000)];
  t.deepEqual(a.reports, b.reports);
  t.deepEqual(a.program?.results, b.program?.results);
  t.true((a.program?.calls ?? 0) > 100);
});

test("what is not explained is told", (t) => {
  const reports = new Map([
    ["BUG: KASAN: slab-out-of-bounds in mdev_access [mtty]", 1],
    ["BUG: KASAN: slab-out-of-bounds in mtty_ioctl [mtty]", 2],
  ]);
  const seeds = new Map([["BUG: KASAN: slab-out-of-bounds in mtty_ioctl [mtty]", 9]]);
  t.deepEqual(unexplained({ ioctls: 0, calls: 0, boots: 0, results: new Map(), reports, seeds }), [
    "seed 9: BUG: KASAN: slab-out-of-bounds in mtty_ioctl [mtty]",
  ]);
});
