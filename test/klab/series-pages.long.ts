// SPDX-License-Identifier: GPL-2.0-only
/** Every page of Documentation/series/, made again. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { makePages, PAGES } from "../../tools/klab/compare/docs.ts";

test("the pages are what klab compare --docs makes", async (t) => {
  t.timeout(30 * 60_000);
  const made = await makePages();
  t.deepEqual(readdirSync(PAGES).sort(), [...made.keys()].sort());
  for (const [name, text] of made) t.is(readFileSync(join(PAGES, name), "utf8"), text, name);
});
