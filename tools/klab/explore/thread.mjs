// SPDX-License-Identifier: GPL-2.0-only
/** What a thread of crew.ts runs. Plain JavaScript: a thread starts without the loader. */
import { parentPort, workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();

const { Member } = await import("./crew.ts");
const { FlightRecorder } = await import("./flight.ts");
const { InputError } = await import("../errors.ts");
const { scenarioOf } = await import("../scenario.ts");
const { loadState } = await import("../states/load.ts");

const scenarios = new Map();
function scenario(id) {
  if (!scenarios.has(id)) scenarios.set(id, scenarioOf(id, workerData.scenarios));
  return scenarios.get(id);
}
async function find({ state, scenario: id, mode, maxSteps }) {
  return { kernel: await loadState(state), scenario: await scenario(id), state: state.name, mode, maxSteps };
}
const member = new Member(find, () => parentPort.postMessage({ begun: true }), new FlightRecorder(workerData.flight));

// One after the other: whoever asked counts the answers.
let before = Promise.resolve();
parentPort.on("message", (task) => {
  before = before.then(async () => {
    try {
      parentPort.postMessage({ done: await member.do(task) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      parentPort.postMessage({ error: message, input: error instanceof InputError });
    }
  });
});
