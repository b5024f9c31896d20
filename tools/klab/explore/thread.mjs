// SPDX-License-Identifier: GPL-2.0-only
/** What a thread of crew.ts runs. Plain JavaScript: a thread starts without the loader. */
import { parentPort, workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();

const { Member } = await import("./crew.ts");
const { scenarioOf } = await import("../scenario.ts");
const { loadState } = await import("../states/load.ts");

const { state, scenario, ...how } = workerData;
let member = null;
async function begin() {
  const kernel = await loadState(state);
  return new Member({ kernel, scenario: await scenarioOf(scenario), state: state.name, ...how });
}
parentPort.on("message", async (task) => {
  try {
    member ??= begin();
    parentPort.postMessage({ done: (await member).do(task) });
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
