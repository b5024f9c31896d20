// SPDX-License-Identifier: GPL-2.0-only
/** Many random executions, each again from its token: log, events and results must be the same, byte for byte. */
import test from "ava";
import fc from "fast-check";
import { boot, found, log, run, stacks_missed } from "../../kernel/arch/machine.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import {
  decisions_from_token,
  decisions_to_token,
  recording_schedule,
  replay_schedule,
} from "../../kernel/explore/replay.ts";
import { trace_subscribe } from "../../kernel/trace/trace.ts";
import { type RunnableKernel, runScenario, type ScenarioFor, scenarioOf } from "../../tools/klab/scenario.ts";
import { state } from "../../tools/klab/states/index.ts";
import { loadState } from "../../tools/klab/states/load.ts";
import { randomModel } from "../kernel/explore-random.ts";

const MODE = { trace: true, faults: 1, outside: true, kcsan: true };

/** @return what differs, null if nothing does */
function differs<K extends RunnableKernel>(kernel: K, scenario: ScenarioFor<K>, seed: number): string | null {
  const recorded = new recording_schedule(
    random_schedule(seed, { fault: 0.01, timer: 0.01, event: 0.01, signal: 0.01 }),
  );
  const first = JSON.stringify(runScenario(kernel, scenario, { ...MODE, schedule: recorded }), plain);
  const token = decisions_to_token(recorded.decisions);
  const replay = new replay_schedule(decisions_from_token(token) ?? []);
  const again = JSON.stringify(runScenario(kernel, scenario, { ...MODE, schedule: replay }), plain);
  return again === first && !replay.diverged ? null : `seed ${seed}: ${token}`;
}
const plain = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

test.serial("tokens of 1000 random executions of models replay exactly", (t) => {
  const machine: RunnableKernel = { boot, run, found, log, trace_subscribe, stacks_missed };
  const models = fc.sample(randomModel(4), { seed: 2, numRuns: 1000 });
  for (const [seed, { name, cpus, start }] of models.entries()) {
    const runIt = (): void => void start();
    const scenario = { id: name, summary: "", machine: { cpus }, processes: [], run: runIt };
    t.is(differs(machine, scenario, seed), null);
  }
});

test.serial("and those of 60 of a subchannel that is unplugged while its device is open", async (t) => {
  const kernel = await loadState(await state("base"));
  const scenario = await scenarioOf("unplug-open");
  for (let seed = 0; seed < 60; seed++) t.is(differs(kernel, scenario, seed), null);
});
