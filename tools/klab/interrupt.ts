// SPDX-License-Identifier: GPL-2.0-only
/** Ctrl-C, for work that has something to show when it ends early. */
import type { ExitCode } from "./main.ts";
import type { Terminal } from "./terminal.ts";

/** As a shell has it of a process that an interrupt ended. */
export const INTERRUPTED: ExitCode = 130;

/** Does `work`, which is to end soon once the signal is given. The second Ctrl-C ends the process at once. */
export async function interruptible<T>(terminal: Terminal, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (): void => {
    terminal.note("ending; Ctrl-C again ends at once");
    controller.abort();
  };
  process.once("SIGINT", stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off("SIGINT", stop);
  }
}
