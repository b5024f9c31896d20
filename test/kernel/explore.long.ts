// SPDX-License-Identifier: GPL-2.0-only
/** As explore.test.ts, with many more models. */
import test from "ava";
import fc from "fast-check";
import { randomModel } from "./explore-random.ts";
import { misses } from "./models.ts";

for (const [operations, models] of [
  [2, 300],
  [3, 200],
] as const)
  test.serial(`nothing is missed in ${models} models of up to ${operations} operations for each task`, (t) => {
    for (const model of fc.sample(randomModel(operations), { seed: 1, numRuns: models }))
      t.deepEqual(misses(model, { most: 5000, bounds: [0, 1, 2] }).missed, [], model.name);
  });
