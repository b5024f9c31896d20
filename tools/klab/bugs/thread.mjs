// SPDX-License-Identifier: GPL-2.0-only
/** What a thread of pool.ts runs. Plain JavaScript: a thread starts without the loader. */
import { parentPort, workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();

const { runStateJob } = await import("./state-job.ts");

let stop = false;
parentPort.on("message", () => (stop = true));
try {
  const end = await runStateJob(workerData, {
    found: (record) => parentPort.postMessage({ found: record }),
    progress: (executions) => parentPort.postMessage({ progress: executions }),
    stopped: () => stop,
  });
  parentPort.postMessage({ end });
} catch (error) {
  parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
} finally {
  parentPort.close();
}
