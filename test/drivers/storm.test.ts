// SPDX-License-Identifier: GPL-2.0-only
/** Storms of interrupts and channel reports, unplugging and resetting under I/O, on random schedules. */
import test from "ava";
import { KINDS, storms } from "../helpers/storm.ts";

for (const kind of KINDS) {
  test.serial(`25 storms: ${kind}`, (t) => {
    t.log(storms(kind, 0, 25));
    t.pass();
  });
}
