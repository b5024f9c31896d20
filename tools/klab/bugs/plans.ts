// SPDX-License-Identifier: GPL-2.0-only
/**
 * What `klab bugs` tries in a state, in this order: each scenario quietly, and with data races looked for; a few mixtures; each
 * thing that may fail or happen, alone; and then mixtures at random, from a seed.
 */
import { pct_schedule } from "../../../kernel/explore/pct.ts";
import { prng, random_schedule } from "../../../kernel/explore/random.ts";
import { replay_schedule } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule } from "../../../kernel/sched/decide.ts";
import type { Mode } from "../explore/token.ts";
import type { Question } from "./execution.ts";

/** An execution to be done. */
export interface Plan {
  /** Index of the scenario. */
  readonly scenario: number;
  readonly schedule: schedule;
  readonly mode: Mode;
  readonly why: "quiet" | "single" | "walk";
}
/** What the quiet run of a scenario asked. */
export interface Quiet {
  readonly asked: number;
  readonly questions: readonly Question[];
}

/** Mixtures of each scenario before anything else: much comes with the first change of order. */
const EARLY = 3;
const QUIET_MODE: Mode = { faults: 1, kcsan: false };

interface Single {
  readonly scenario: number;
  readonly at: number;
  readonly choice: number;
}

/**
 * Every answer but the quiet one, to every question of these kinds, one at a time. A failure in a driver that is a module comes
 * before one in the core, which has been tried for longer; and one at a place that was not seen before, before the next of its kind.
 */
function singles(quiets: readonly Quiet[]): { readonly first: readonly Single[]; readonly later: readonly Single[] } {
  const seen = new Set<string>();
  const [drivers, core, again, events, longest]: Single[][] = [[], [], [], [], []];
  const most = Math.max(...quiets.map((q) => q.questions.length));
  for (const [scenario, { questions }] of quiets.entries()) {
    const before = new Set(seen);
    const tried = new Set<string>();
    for (const { at, n, kind, label } of questions) {
      if (kind === "fault") {
        // In a driver the second of its kind may be another variable; elsewhere it is the same helper once more.
        const driver = label.includes("]");
        const first = !(driver ? before : seen).has(label);
        // What a failure leaves behind may show only when all is done once more, as the longest scenario does.
        const once = driver && questions.length === most && !tried.has(label);
        tried.add(label);
        const rank = first ? (driver ? drivers : core) : once ? longest : again;
        seen.add(label);
        rank?.push({ scenario, at, choice: 1 });
      } else for (let choice = 1; choice < n; choice++) events?.push({ scenario, at, choice });
    }
  }
  return {
    first: alternating(alternating(drivers ?? [], longest ?? []), events ?? []),
    later: [...(core ?? []), ...(again ?? [])],
  };
}
function alternating<T>(one: readonly T[], other: readonly T[]): T[] {
  const all: T[] = [];
  for (let i = 0; i < Math.max(one.length, other.length); i++)
    all.push(...one.slice(i, i + 1), ...other.slice(i, i + 1));
  return all;
}

/** Switches in one of several ways, events now and then, and perhaps one failure. */
class Mixture implements schedule {
  readonly interferes = true;
  readonly #numbers: prng;
  readonly #switching: schedule;
  readonly #event: number;
  /** Which of the calls that may fail does, or -1. */
  readonly #failing: number;
  #faults = 0;
  constructor(seed: number, quiet: Quiet) {
    const numbers = new prng(seed);
    this.#numbers = numbers;
    const way = numbers.below(4);
    const inner = numbers.below(0x1_0000_0000);
    this.#switching = way === 0 ? random_schedule(inner, { switch: 0.1 }) : pct_schedule(inner, 1 + way, quiet.asked);
    this.#event = [0, 0.15, 0.15, 0.4][numbers.below(4)] ?? 0;
    const faults = quiet.questions.filter((q) => q.kind === "fault").length;
    this.#failing = numbers.chance(0.25) ? numbers.below(Math.max(1, faults)) : -1;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    switch (kind) {
      case "fault":
        return this.#faults++ === this.#failing ? 1 : 0;
      case "event":
      case "signal":
        return this.#numbers.chance(this.#event) ? 1 + this.#numbers.below(n - 1) : 0;
      default:
        return this.#switching.decide(kind, n, label);
    }
  }
}

/**
 * The plans of one state, without end. What the quiet runs asked is known only when they are over: `quiets` is filled by
 * who runs the plans.
 */
export function* plans(scenarios: number, quiets: readonly Quiet[], seed: number): Generator<Plan, never> {
  for (let scenario = 0; scenario < scenarios; scenario++)
    yield { scenario, schedule: new replay_schedule([]), mode: QUIET_MODE, why: "quiet" };
  const single = ({ scenario, at, choice }: Single): Plan => ({
    scenario,
    schedule: new replay_schedule([{ at, choice }]),
    mode: QUIET_MODE,
    why: "single",
  });
  const seeds = new prng(seed);
  const walk = (kcsan: boolean, scenario: number): Plan => ({
    scenario,
    schedule: new Mixture(seeds.below(0x1_0000_0000), quiets[scenario] ?? { asked: 1, questions: [] }),
    mode: { faults: 1, kcsan },
    why: "walk",
  });
  for (let scenario = 0; scenario < scenarios; scenario++)
    yield { scenario, schedule: new replay_schedule([]), mode: { faults: 0, kcsan: true }, why: "single" };
  for (let i = 0; i < EARLY * scenarios; i++) yield walk(i < scenarios, i % scenarios);
  const { first, later } = singles(quiets);
  let walked = 0;
  for (const [i, one] of first.entries()) {
    yield single(one);
    if (i % 8 === 7) yield walk(true, walked++ % scenarios);
  }
  for (const one of later) {
    yield single(one);
    // What takes two things at once is not to wait until every single one has been tried.
    yield walk(walked % 4 === 3, walked++ % scenarios);
  }
  for (; ; walked++) yield walk(walked % 2 === 0, walked % scenarios);
}
