// SPDX-License-Identifier: GPL-2.0-only
/** The same as storm.test.ts, for longer. */
import test from "ava";
import { KINDS, storms } from "../helpers/storm.ts";

for (const kind of KINDS) {
  test.serial(`1000 storms: ${kind}`, (t) => {
    t.log(storms(kind, 1000, 1000));
    t.pass();
  });
}
