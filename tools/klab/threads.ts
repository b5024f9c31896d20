// SPDX-License-Identifier: GPL-2.0-only
/** States side by side: each column of the matrix is worked out in a thread of its own, as many at a time as there are cores. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Column } from "./matrix.ts";
import type { State } from "./states/index.ts";

export interface Job {
  readonly version: string;
  readonly state: State;
}
export type Answer = { readonly column: Column } | { readonly error: string };

/** One state in a thread. @throws what the thread could not deal with */
function inThread(job: Job): Promise<Column> {
  return new Promise((done, failed) => {
    const worker = new Worker(new URL("./thread.mjs", import.meta.url), { workerData: job });
    worker.once("message", (answer: Answer) => {
      if ("column" in answer) done(answer.column);
      else failed(new Error(answer.error));
    });
    worker.once("error", failed);
    worker.once("exit", (code) => failed(new Error(`the thread of ${job.state.name} ended with ${code}`)));
  });
}

/**
 * Runs states as seriesMatrix() wants it. @begun: told when a state's turn comes
 * @return the function to give it; it may be called for all states at once
 */
export function threadPool(version: string, begun: (state: State) => void): (state: State) => Promise<Column> {
  let free = availableParallelism();
  const waiting: (() => void)[] = [];
  return async (state) => {
    if (free > 0) free--;
    else await new Promise<void>((turn) => waiting.push(turn));
    try {
      begun(state);
      return await inThread({ version, state });
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}
