// SPDX-License-Identifier: GPL-2.0-only
/**
 * Who runs on the recorded machine's one CPU: a kernel thread that was woken goes before the program, unless the program
 * has made itself a real-time task. Everything else is left as it is.
 */

/** What boot() takes as a schedule. */
export class Preemption {
  readonly interferes = true;
  /** The program is SCHED_FIFO. */
  realTime = false;
  readonly #program: string;

  /** @comm: name of the program and of its children */
  constructor(comm: string) {
    this.#program = `${comm}/`;
  }

  decide(kind: string, n: number, label: (i: number) => string): number {
    if (kind !== "switch" || this.realTime || !label(0).startsWith(this.#program)) return 0;
    for (let i = 1; i < n; i++) if (!label(i).startsWith(this.#program)) return i;
    return 0;
  }
}
