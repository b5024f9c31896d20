// SPDX-License-Identifier: GPL-2.0-only
/**
 * Random executions, each again from its token: log, events, reports and results must be the same, byte for byte, and every question
 * and its answer too, of which a run of a small model has more to tell than of anything else.
 */
import fc from "fast-check";
import { boot, found, log, run, stacks_missed } from "../../kernel/arch/machine.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import { recording_schedule, replay_schedule, type decision } from "../../kernel/explore/replay.ts";
import { fault_injections } from "../../kernel/lib/fault-inject.ts";
import { trace_subscribe } from "../../kernel/trace/trace.ts";
import { generalScenarios } from "../../tools/klab/bugs/hunt.ts";
import { readToken, writeToken } from "../../tools/klab/explore/token.ts";
import type { decision_kind, schedule } from "../../kernel/sched/decide.ts";
import { plain } from "../../tools/klab/json.ts";
import { type RunnableKernel, runScenario, type ScenarioFor } from "../../tools/klab/scenario.ts";
import { state as stateOf } from "../../tools/klab/states/index.ts";
import { loadState } from "../../tools/klab/states/load.ts";
import { randomModel } from "../kernel/explore-random.ts";

/** What is run again, and from which seed. */
export interface Sample {
  readonly kernel: RunnableKernel;
  readonly scenario: ScenarioFor<RunnableKernel>;
  readonly state: string;
  readonly seed: number;
  /** Look for data races. */
  readonly kcsan: boolean;
}
/** Writes down what was asked and answered, in words. */
class Listening implements schedule {
  readonly interferes = true;
  readonly heard: string[] = [];
  readonly #inner: schedule;
  constructor(inner: schedule) {
    this.#inner = inner;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const choice = this.#inner.decide(kind, n, label);
    this.heard.push(`${kind} ${choice} of ${n}: ${label(choice)}`);
    return choice;
  }
}

const NOW_AND_THEN = { fault: 0.01, timer: 0.01, event: 0.01, signal: 0.01 };

/**
 * @spoil: what becomes of the decisions on their way
 * @return the token and what is wrong with its run; null if nothing is
 */
export function differs(
  { kernel, scenario, state, seed, kcsan }: Sample,
  spoil: (decisions: readonly decision[]) => readonly decision[] = (same) => same,
): string | null {
  const mode = { faults: 1, outside: true, kcsan };
  const once = (inner: recording_schedule | replay_schedule): string => {
    const heard = new Listening(inner);
    const result = runScenario(kernel, scenario, { ...mode, trace: true, state, schedule: heard });
    return JSON.stringify(plain({ result, heard: heard.heard }));
  };
  const recorded = new recording_schedule(random_schedule(seed, NOW_AND_THEN));
  const first = once(recorded);
  const decisions = spoil(recorded.decisions);
  const token = writeToken({ scenario: scenario.id, state, source: "0123456789ab", mode, decisions });
  const replay = new replay_schedule(readToken(token).decisions);
  const again = once(replay);
  const why = replay.diverged ? "a decision did not fit" : again === first ? null : "the run is another one";
  return why && `seed ${seed}, ${why}: ${token}`;
}

/** As many models of up to four operations for each task, made at random. */
export function samplesOfModels(n: number): Sample[] {
  const kernel: RunnableKernel = { boot, run, found, log, trace_subscribe, stacks_missed, fault_injections };
  return fc.sample(randomModel(4), { seed: 2, numRuns: n }).map(({ name, cpus, start }, seed) => ({
    kernel,
    scenario: { id: "model", summary: name, machine: { cpus }, processes: [], run: () => void start() },
    state: "base",
    seed,
    kcsan: true,
  }));
}

/** Of the general scenarios in turn; looking for data races takes three times as long, so that is done for some. */
export async function samplesOfState(name: string, n: number): Promise<Sample[]> {
  const kernel: RunnableKernel = await loadState(await stateOf(name));
  const scenarios = (await generalScenarios()) as readonly ScenarioFor<never>[];
  return Array.from({ length: n }, (_, seed) => ({
    kernel,
    scenario: scenarios[seed % scenarios.length] as ScenarioFor<RunnableKernel>,
    state: name,
    seed,
    kcsan: seed % 8 === 0,
  }));
}
