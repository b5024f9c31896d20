// SPDX-License-Identifier: GPL-2.0-only
/** The searches of several states, a thread each, as many at a time as there are workers. */
import { Worker } from "node:worker_threads";
import type { FoundRecord, Listener, StateEnd, StateJob } from "./state-job.ts";

type Message =
  | { readonly found: FoundRecord }
  | { readonly progress: number }
  | { readonly end: StateEnd }
  | { readonly error: string };

/** How often those who only listen look whether they are to stop. */
const LOOK_MS = 100;
/** For a thread that is in the middle of an execution; longer than any takes that is within its limits. */
const PATIENCE_MS = 20_000;

function inThread(job: StateJob, listener: Listener): Promise<StateEnd> {
  return new Promise((done, failed) => {
    const worker = new Worker(new URL("./thread.mjs", import.meta.url), { workerData: job });
    let told = false;
    let patience: NodeJS.Timeout | undefined;
    const look = setInterval(() => {
      if (told || !listener.stopped()) return;
      told = true;
      worker.postMessage("stop");
      patience = setTimeout(() => void worker.terminate(), PATIENCE_MS);
    }, LOOK_MS);
    const over = (): void => {
      clearInterval(look);
      clearTimeout(patience);
    };
    worker.on("message", (message: Message) => {
      if ("found" in message) listener.found(message.found);
      else if ("progress" in message) listener.progress(message.progress);
      else if ("end" in message) done(message.end);
      else failed(new Error(message.error));
    });
    worker.once("error", failed);
    worker.once("exit", (code) => {
      over();
      failed(new Error(`the thread of ${job.state.name} ended with ${code}`));
    });
  });
}

/**
 * Runs all jobs. What goes wrong in one ends that one alone.
 * @return by job, in their order: how it ended, or why it could not
 */
export async function runJobs(
  jobs: readonly StateJob[],
  workers: number,
  listener: (job: StateJob) => Listener,
): Promise<(StateEnd | { readonly error: string })[]> {
  const results: (StateEnd | { readonly error: string })[] = jobs.map(() => ({ error: "stopped before its turn" }));
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < jobs.length; i = next++) {
      const job = jobs[i];
      if (!job) return;
      const mine = listener(job);
      if (mine.stopped()) return;
      results[i] = await inThread(job, mine).catch((error: Error) => ({ error: error.message }));
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return results;
}
