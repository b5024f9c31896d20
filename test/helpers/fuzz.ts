// SPDX-License-Identifier: GPL-2.0-only
/** Random programs of primitives, under random schedules: whatever they do, the machine says so and does not break. */
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { Sleeps } from "#linux/types.ts";
import { boot, found, type outcome, run, spawn } from "../../kernel/arch/machine.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import { setup_fault_attr } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { LOTS, type op, ops, set_the_scene } from "../modules/fuzz_ops.ts";

type Step = readonly [op: number, lot: number, n: number];
interface Program {
  readonly tasks: readonly (readonly Step[])[];
  readonly seed: number;
  readonly faults: boolean;
  readonly kcsan: boolean;
}

const steps = fc.array(fc.tuple(fc.nat(ops.length - 1), fc.nat(LOTS - 1), fc.nat(7)), { maxLength: 7 });
export const program: fc.Arbitrary<Program> = fc.record({
  tasks: fc.array(steps, { minLength: 1, maxLength: 3 }),
  seed: fc.nat(),
  faults: fc.nat(9).map((n) => n === 0),
  kcsan: fc.nat(3).map((n) => n === 0),
});

function isWait(result: ReturnType<op>): result is Sleeps<unknown> {
  return typeof result === "object" && result !== null && Symbol.iterator in result;
}
/** Errors are small: anything below is no errno. */
const MAX_ERRNO = 4095;

function* play(program: readonly Step[]): Sleeps {
  for (const [which, lot, n] of program) {
    const result = ops[which]?.(lot, n);
    const got = isWait(result) ? yield* result : result;
    if (typeof got === "number" && got < -MAX_ERRNO) throw new Error(`operation ${which} gave ${got}`);
  }
}

/** Runs one. @return how it ended. @throws what is neither a report nor an errno */
export function execute({ tasks, seed, faults, kcsan }: Program): outcome {
  boot({ schedule: random_schedule(seed), stacks: false, max_steps: 20_000, kcsan });
  if (faults) setup_fault_attr({ probability: 20, seed }, { all_tasks: true });
  set_the_scene();
  for (const body of tasks) spawn("init", play(body));
  const end = run();
  if (seed % 64 === 0) kmemleak_scan();
  for (const { title, text } of found())
    if (/undefined|NaN|\[object/.test(`${title}${text}`)) throw new Error(`a report without words: ${text}`);
  return end;
}

/** @cases: how many programs. @return how they ended, and how many checkers were heard */
export function fuzz(t: ExecutionContext, seed: number, cases: number): void {
  const ends: Record<string, number> = {};
  const speakers = new Map<string, number>();
  fc.assert(
    fc.property(program, (p) => {
      const end = execute(p);
      ends[end] = (ends[end] ?? 0) + 1;
      for (const { checker } of found()) speakers.set(checker, (speakers.get(checker) ?? 0) + 1);
    }),
    { numRuns: cases, seed },
  );
  t.log({ ends, speakers: Object.fromEntries([...speakers].sort()) });
  // Random programs that make nobody speak would show nothing.
  t.true(speakers.size >= 8, [...speakers.keys()].join(" "));
  t.true((ends["done"] ?? 0) > cases / 20);
}
