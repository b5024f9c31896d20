// SPDX-License-Identifier: GPL-2.0-only
/** What a thread of threads.ts runs. Plain JavaScript: a thread starts without the loader. */
import { parentPort } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();

const { columnOf } = await import("./matrix.ts");
const { allScenarios } = await import("./scenario.ts");
const { allCases } = await import("./series-tests.ts");
const { sourceFileOf } = await import("./source-files.ts");

parentPort.on("message", async ({ state, files }) => {
  try {
    const from = (thing) => files.includes(sourceFileOf(thing));
    const column = await columnOf(state, (await allCases()).filter(from), (await allScenarios()).filter(from));
    parentPort.postMessage({ column });
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
