// SPDX-License-Identifier: GPL-2.0-only
/** What a thread of threads.ts runs. Plain JavaScript: a thread starts without the loader. */
import { parentPort, workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();

const { columnOf } = await import("./matrix.ts");
const { allScenarios } = await import("./scenario.ts");
const { allCases } = await import("./series-tests.ts");

const { version, state } = workerData;
try {
  parentPort.postMessage({ column: await columnOf(version, state, await allCases(), await allScenarios()) });
} catch (error) {
  parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
}
