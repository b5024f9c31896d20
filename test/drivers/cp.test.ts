// SPDX-License-Identifier: GPL-2.0-only
/** Channel programs at random: the port and a second interpreter have to agree. */
import test from "ava";
import { agree, SEED } from "../helpers/cp-property.ts";

test.serial("programs do through vfio-ccw what they say", (t) => {
  const seen = agree(SEED, 2000);
  t.log(seen);
  t.pass();
});
