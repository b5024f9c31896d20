// SPDX-License-Identifier: GPL-2.0-only
/** What a thread is deciding, in memory that outlives it: of one that never answers, at least the decisions are known. */
import type { decision_kind } from "../../../kernel/sched/decide.ts";
import type { Choice } from "./execution.ts";

const KINDS: readonly decision_kind[] = ["switch", "irq", "timer", "fault", "signal", "event"];
/** Numbers for each decision. */
const WIDTH = 4;
/** More than a run has within its limits that anybody could make small. */
const MOST = 50_000;

export class FlightRecorder {
  readonly memory: SharedArrayBuffer;
  readonly #numbers: Int32Array;
  constructor(memory = new SharedArrayBuffer(4 * (1 + MOST * WIDTH))) {
    this.memory = memory;
    this.#numbers = new Int32Array(memory);
  }
  restart(): void {
    this.#numbers[0] = 0;
  }
  add({ at, choice, kind, nth }: Choice): void {
    const n = this.#numbers[0] ?? 0;
    if (n >= MOST) return;
    this.#numbers.set([at, choice, KINDS.indexOf(kind), nth], 1 + n * WIDTH);
    this.#numbers[0] = n + 1;
  }
  get choices(): Choice[] {
    return Array.from({ length: this.#numbers[0] ?? 0 }, (_, i) => {
      const [at = 0, choice = 0, kind = 0, nth = 0] = this.#numbers.subarray(1 + i * WIDTH, 1 + (i + 1) * WIDTH);
      return { at, choice, kind: KINDS[kind] ?? "switch", nth };
    });
  }
}
