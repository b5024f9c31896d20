// SPDX-License-Identifier: GPL-2.0-only
/** The same as cp.test.ts, for longer. */
import test from "ava";
import { agree, SEED } from "../helpers/cp-property.ts";

test.serial("20 000 programs do through vfio-ccw what they say", (t) => {
  const seen = agree(SEED + 1, 20_000);
  t.log(seen);
  t.pass();
});
