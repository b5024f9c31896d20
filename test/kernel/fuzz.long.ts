// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import { fuzz } from "../helpers/fuzz.ts";

for (let seed = 101; seed <= 150; seed++)
  test.serial(`many random programs of primitives throw nothing but reports, seed ${seed}`, (t) =>
    fuzz(t, seed, 20_000),
  );
