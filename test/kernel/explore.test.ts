// SPDX-License-Identifier: GPL-2.0-only
/** The search with reduction reaches what full enumeration reaches, on small models; within a bound, what enumeration within it reaches. */
import test from "ava";
import fc from "fast-check";
import { MODELS } from "./explore-models.ts";
import { modelOf, randomModel } from "./explore-random.ts";
import { misses } from "./models.ts";

for (const model of MODELS)
  test.serial(`nothing is missed: ${model.name}`, (t) => {
    const { missed, said } = misses(model, { most: 60_000, bounds: [0, 1, 2] });
    for (const line of said) t.log(line);
    t.deepEqual(missed, []);
  });

/** Each was missed once. */
const HARD: readonly [spec: string, cpus: number, faults: number][] = [
  // A CPU with nothing to do could have taken the interrupt, and never got another chance.
  ["irq1 complete0 add0 | add1 wait0", 2, 1],
];
for (const [spec, cpus, faults] of HARD)
  test.serial(`nothing is missed: ${spec}`, (t) => {
    t.deepEqual(misses(modelOf(spec, cpus, faults), { most: 5000, bounds: [0, 1, 2] }).missed, []);
  });

test.serial("nothing is missed in models made at random", (t) => {
  for (const model of fc.sample(randomModel(2), { seed: 5, numRuns: 15 }))
    t.deepEqual(misses(model, { most: 1500, bounds: [0, 1] }).missed, [], model.name);
});
