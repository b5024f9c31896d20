// SPDX-License-Identifier: GPL-2.0-only
import test from "ava";
import { fuzz } from "../helpers/fuzz.ts";

for (let seed = 1; seed <= 40; seed++)
  test.serial(`random programs of primitives throw nothing but reports, seed ${seed}`, (t) => fuzz(t, seed, 2_500));
