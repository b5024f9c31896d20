// SPDX-License-Identifier: GPL-2.0-only
/** What the search for schedules costs and saves, side by side with fast-check's scheduler on the same model. */
import { join } from "node:path";
import fc from "fast-check";
import { loadBundle } from "./bundle.ts";
import { type Effort, type Group, interleave, median, type Row } from "./group.ts";
import type * as schedules from "./schedules.ts";

type Schedules = typeof schedules;

const TASKS = 4;
const ON = { kcsan: true, stacks: false };
const OFF = { checkers: false };
const QUIET = { stacks: false };

/**
 * The model once more, for a scheduler of promises: two tasks at a lock, twice, and who comes last; three points for each task. When it
 * begins is a choice as well, as in the kernel: both have 16!/(4!)^4 schedules.
 */
async function withPromises(s: fc.Scheduler): Promise<void> {
  const point = (): Promise<unknown> => s.schedule(Promise.resolve());
  const pairs = Array.from({ length: TASKS / 2 }, () => ({ count: 2, owner: null as object | null, freed: false }));
  const worker = async (shared: (typeof pairs)[number]): Promise<void> => {
    const me = {};
    await point(); // begins
    await point();
    // Nobody is taken off inside: the lock is free whenever somebody comes.
    shared.owner = me;
    shared.owner = null;
    await point();
    shared.owner = me;
    const last = --shared.count === 0;
    shared.owner = null;
    await point();
    if (last) shared.freed = true;
  };
  const all = Promise.all(pairs.flatMap((shared) => [worker(shared), worker(shared)]));
  await s.waitAll();
  await all;
  if (!pairs.every(({ freed }) => freed)) throw new Error("the model ended otherwise than it should");
}
async function walkWithPromises(times: number): Promise<void> {
  await fc.assert(fc.asyncProperty(fc.scheduler(), withPromises), { numRuns: times, seed: 1 });
}

interface Walks {
  readonly on: number;
  readonly off: number;
  readonly theirs: number;
}
/** They take turns. @return executions a second of the processor, a round each: the kernel's model with its checkers on and off, fast-check's */
async function besideFastCheck(on: Schedules, off: Schedules, { quick, step }: Effort): Promise<Walks[]> {
  const [mine, yours] = quick ? [500, 100] : [3000, 400];
  const timed = async (times: number, work: () => unknown): Promise<number> => {
    const start = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(start);
    return (times * 1e6) / (user + system);
  };
  const rounds: Walks[] = [];
  const [warming, counted] = quick ? [1, 3] : [5, 11];
  for (let round = 0; round < warming + counted; round++) {
    step("beside fast-check");
    rounds.push({
      on: await timed(mine, () => on.walk("pairs", TASKS, mine, ON)),
      off: await timed(mine, () => off.walk("pairs", TASKS, mine, OFF)),
      theirs: await timed(yours, () => walkWithPromises(yours)),
    });
  }
  return rounds.slice(warming);
}

const count = (name: string, value: number | null, most?: number): Row => ({
  name,
  value: value ?? NaN,
  unit: "executions",
  ratio: null,
  against: null,
  bound: most === undefined ? null : { of: "value", at: "most", limit: most },
});

async function measure(effort: Effort): Promise<Row[]> {
  const { quick, step } = effort;
  const copy = async (n: number): Promise<Schedules> =>
    (await loadBundle(join(import.meta.dirname, "schedules.ts"), n)) as Schedules;
  const [s, off] = [await copy(0), await copy(1)];
  const most = quick ? 2000 : 50_000;
  step("executions to exhaust");
  const reduced = s.exhaust("pairs", TASKS, "sleep", most, QUIET);
  const all = s.estimate("pairs", TASKS, quick ? 300 : 3000);
  const rows: Row[] = [
    count(`to exhaust ${TASKS} tasks and 12 points, reduced`, reduced, 200),
    { ...count("the same without reduction, estimated", all), ratio: all / (reduced ?? NaN), against: "reduced" },
  ];
  for (const model of ["locked", "independent"] as const)
    for (const tasks of [2, 3, 4, 5]) {
      step(`${tasks} tasks, ${model}`);
      // What has nothing to do with each other has one order that matters.
      const limit = model === "independent" ? 1 : undefined;
      const name = `to exhaust ${tasks} ${model === "locked" ? "tasks at one lock" : "independent tasks"}`;
      rows.push(count(name, s.exhaust(model, tasks, "sleep", most, QUIET), limit));
    }
  const { ns } = interleave(
    [
      { name: "on", run: (times) => repeat(times, () => s.exhaust("pairs", TASKS, "sleep", most, ON)) },
      { name: "off", run: (times) => repeat(times, () => off.exhaust("pairs", TASKS, "sleep", most, OFF)) },
    ],
    effort,
  );
  for (const how of ["on", "off"])
    rows.push({
      name: `searched with reduction, checkers ${how}`,
      value: ((reduced ?? NaN) * 1e9) / (ns.get(how) ?? NaN),
      unit: "1/s",
      ratio: null,
      against: null,
      bound: null,
    });
  const rounds = await besideFastCheck(s, off, effort);
  const theirs = "fast-check's scheduler";
  const perSecond = { unit: "1/s", ratio: null, against: null, bound: null };
  const walks = (how: "on" | "off"): Row => ({
    name: `random walks, checkers ${how}`,
    value: median(rounds.map((r) => r[how])),
    unit: "1/s",
    ratio: median(rounds.map((r) => r[how] / r.theirs)),
    against: theirs,
    bound: { of: "ratio", at: "least", limit: 10 },
  });
  return [
    ...rows,
    { name: theirs, value: median(rounds.map((r) => r.theirs)), ...perSecond },
    walks("on"),
    walks("off"),
  ];
}
function repeat(times: number, work: () => unknown): void {
  for (let i = 0; i < times; i++) work();
}

export const explore: Group = {
  name: "explore",
  summary: "schedules of a model of 4 tasks and 12 points: how many have to be tried, and how fast",
  measure,
};
