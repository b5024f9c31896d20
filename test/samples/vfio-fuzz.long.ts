// SPDX-License-Identifier: GPL-2.0-only
/** A million random ioctls of all three samples. */
import test from "ava";
import { fuzz, unexplained } from "./vfio-fuzz.ts";

for (let share = 0; share < 10; share++)
  test(`a tenth of a million, seeds from ${100_001 + 10_000 * share} on`, (t) => {
    const found = fuzz(100_000, 100_001 + 10_000 * share);
    t.true(found.ioctls >= 100_000);
    t.deepEqual(unexplained(found), []);
  });
