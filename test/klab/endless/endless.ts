// SPDX-License-Identifier: GPL-2.0-only
/** Scenarios that never end, each in its own way, for tests of what the tools do then. */
import type { Sleeps } from "../../../kernel/sched/types.ts";
import type { user_process } from "../../../kernel/fs/process.ts";
import type { Scenario } from "../../../tools/klab/scenario.ts";

function ofProcess(id: string, body: (u: user_process) => Sleeps): Scenario {
  return { id, summary: "", machine: {}, processes: [id], run: (lab) => void lab.run_user(id, body) };
}

export const scenarios: readonly Scenario[] = [
  ofProcess("loops", function* (u) {
    for (;;) yield* u.getpid();
  }),
  ofProcess("allocates", function* (u) {
    for (;;) yield* u.alloc(4096);
  }),
  ofProcess("throws", function* (u) {
    yield* u.getpid();
    throw new RangeError("a mistake of the scenario");
  }),
  // Nothing of the kernel's is called, so nobody can count.
  ofProcess("loops-alone", function* (u) {
    yield* u.getpid();
    for (;;);
  }),
  ofProcess("hoards", function* (u) {
    yield* u.getpid();
    for (const all: number[][] = []; ;) all.push(new Array<number>(1_000_000).fill(1));
  }),
];
