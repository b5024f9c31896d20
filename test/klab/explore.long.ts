// SPDX-License-Identifier: GPL-2.0-only
/** As explore.test.ts, with more executions of real scenarios. */
import test from "ava";
import { differs, samplesOfState } from "./tokens.ts";

// Before the series, in its midst, where most ends with an oops, and at its end.
for (const state of ["base", "v1:4", "v2:3", "v3:7"])
  test.serial(`tokens of 250 random executions of the general scenarios in ${state} replay exactly`, async (t) => {
    t.timeout(30 * 60_000);
    for (const sample of await samplesOfState(state, 250)) t.is(differs(sample), null);
  });
