// SPDX-License-Identifier: GPL-2.0-only
/** One scenario under the quiet schedule and under many seeded random ones. */
import { boot, found, type outcome, run } from "../../kernel/arch/machine.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
// Not every scenario allocates; use after free is to be noticed in all of them.
import "../../kernel/mm/kasan.ts";
import { recording_schedule } from "../../kernel/explore/replay.ts";

export interface Run {
  /** null for the quiet schedule. */
  readonly seed: number | null;
  readonly outcome: outcome;
  /** Titles of the reports. */
  readonly titles: readonly string[];
}

/** Boots, lets `prepare` spawn tasks, runs to the end, and hands what came out to `check`; for each schedule. */
export function underSchedules(
  seeds: number,
  prepare: () => void,
  check: (run: Run) => void = () => {},
  cpus = 2,
): void {
  for (let seed = -1; seed < seeds; seed++) {
    const options = seed < 0 ? {} : { schedule: random_schedule(seed) };
    boot({ cpus, max_steps: 100_000, ...options });
    prepare();
    const outcome = run();
    check({ seed: seed < 0 ? null : seed, outcome, titles: found().map((r) => r.title) });
  }
}

/** As under a random schedule, written down. */
export function record(seed: number): recording_schedule {
  return new recording_schedule(random_schedule(seed));
}

/** What `prepare`'s tasks make the machine say, under the quiet schedule. */
export function reportsOf(prepare: () => void): { outcome: outcome; titles: string[]; texts: string[] } {
  boot();
  prepare();
  const outcome = run();
  return { outcome, titles: found().map((r) => r.title), texts: found().map((r) => r.text) };
}
