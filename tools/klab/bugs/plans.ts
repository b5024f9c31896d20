// SPDX-License-Identifier: GPL-2.0-only
/**
 * What `klab bugs` tries in a state: each scenario quietly; then, in turns, each thing that may fail in a driver, each thing that may happen,
 * and mixtures at random, from a seed; then what may fail elsewhere.
 */
import { prng } from "../../../kernel/explore/random.ts";
import type { plan } from "../../../kernel/explore/strategy.ts";
import type { Question } from "../explore/execution.ts";
import type { Mode } from "../explore/token.ts";

/** An execution to be done. */
export interface Try {
  /** Index of the scenario. */
  readonly scenario: number;
  readonly mode: Mode;
  readonly plan: plan;
  /** The quiet run, whose questions say what else there is to try. */
  readonly quiet: boolean;
}
/** What the quiet run of a scenario asked. */
export interface Quiet {
  readonly asked: number;
  readonly questions: readonly Question[];
}

/** Mixtures of each scenario before data races are looked for. */
const EARLY = 2;
const QUIET_MODE: Mode = { faults: 1, kcsan: false };

interface Single {
  readonly scenario: number;
  readonly at: number;
  readonly choice: number;
}

/** One of each list in turn. */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const all: T[] = [];
  for (let i = 0; lists.some((list) => i < list.length); i++)
    for (const list of lists) if (i < list.length) all.push(list[i] as T);
  return all;
}

function listed<T>(lists: Map<string, T[]>, name: string): T[] {
  let list = lists.get(name);
  if (!list) lists.set(name, (list = []));
  return list;
}

/**
 * The call that fails as a driver sees it: the driver's function and what it called, `device_add < f [m]`; null if no module is
 * in the way.
 */
function callOf(label: string): string | null {
  const frames = label.slice(label.indexOf(" in ") + 4).split(" < ");
  const at = frames.findIndex((frame) => frame.endsWith("]"));
  return at < 0 ? null : frames.slice(Math.max(0, at - 1), at + 1).join(" < ");
}

/** Every answer but the quiet one, to every question about what may fail or happen, one at a time. */
interface Singles {
  /** In drivers, which are modules: a call in turn, and each place in it once; then those that come again, in another scenario and in the same. */
  readonly drivers: readonly Single[];
  /** What happens: each thing in turn, and of each one moment after the other. */
  readonly events: readonly Single[];
  /** In the core, which has been tried for longer, and what comes again there. */
  readonly later: readonly Single[];
}
function singles(quiets: readonly Quiet[]): Singles {
  const seen = new Set<string>();
  const drivers = new Map<string, Single[]>();
  const events = new Map<string, Single[]>();
  const [elsewhere, here]: [Map<string, Single[]>, Map<string, Single[]>] = [new Map(), new Map()];
  const [core, again]: [Single[], Single[]] = [[], []];
  // What a failure leaves behind may show only when all is done once more, as it is in the longest scenario.
  const longestFirst = [...quiets.entries()].sort(([, a], [, b]) => b.questions.length - a.questions.length);
  for (const [scenario, { questions }] of longestFirst) {
    const tried = new Set<string>();
    for (const { at, kind, labels } of questions) {
      if (kind !== "fault") continue;
      const [label = ""] = labels;
      const one = { scenario, at, choice: 1 };
      const call = callOf(label);
      if (!seen.has(label)) (call === null ? core : listed(drivers, call)).push(one);
      // The second of its kind may be another variable; and a scenario that does not come to something worse shows what was lost.
      else if (call !== null) listed(tried.has(label) ? here : elsewhere, call).push(one);
      else again.push(one);
      seen.add(label);
      tried.add(label);
    }
  }
  for (const [scenario, { questions }] of quiets.entries())
    for (const { at, kind, labels } of questions)
      if (kind !== "fault")
        for (const [i, what] of labels.entries()) listed(events, what).push({ scenario, at, choice: i + 1 });
  const turns = (lists: Map<string, Single[]>): Single[] => inTurn([...lists.values()]);
  return {
    drivers: [...turns(drivers), ...inTurn([turns(elsewhere), turns(here)])],
    events: turns(events),
    later: [...core, ...again],
  };
}

/**
 * The tries of one state, without end. What the quiet runs asked is known only when they are over: `quiets` is filled by
 * who makes them, and null comes for as long as one that is needed is missing.
 */
export function* tries(scenarios: number, quiets: readonly Quiet[], seed: number): Generator<Try | null, never> {
  let nth = 0;
  const replay = (scenario: number, mode: Mode, decisions: readonly { at: number; choice: number }[]): Try => ({
    scenario,
    mode,
    plan: { kind: "replay", nth: nth++, decisions },
    quiet: false,
  });
  for (let scenario = 0; scenario < scenarios; scenario++) yield { ...replay(scenario, QUIET_MODE, []), quiet: true };
  while (quiets.length < scenarios) yield null;

  const seeds = new prng(seed);
  const lengths = quiets.map(({ asked, questions }) => ({
    length: asked,
    faults: questions.filter((q) => q.kind === "fault").length,
  }));
  const walk = (kcsan: boolean, scenario: number): Try => {
    const { length, faults } = lengths[scenario] ?? { length: 1, faults: 0 };
    const mixture = seeds.below(0x1_0000_0000);
    return {
      scenario,
      mode: { faults: 1, kcsan },
      plan: { kind: "mixture", nth: nth++, seed: mixture, length, faults },
      quiet: false,
    };
  };
  const single = ({ scenario, at, choice }: Single): Try => replay(scenario, QUIET_MODE, [{ at, choice }]);
  const { drivers, events, later } = singles(quiets);

  let walked = 0;
  function* others(): Generator<Try, never> {
    // Looking for data races takes three times as long, so what does without comes first.
    for (let i = 0; i < EARLY * scenarios; i++) yield walk(false, i % scenarios);
    for (let scenario = 0; scenario < scenarios; scenario++) yield replay(scenario, { faults: 0, kcsan: true }, []);
    for (;;) yield walk(walked % 2 === 0, walked++ % scenarios);
  }
  const more = others();
  for (let [d, e] = [0, 0]; d < drivers.length || e < events.length;) {
    for (const one of [drivers[d++], events[e++], events[e++]]) if (one) yield single(one);
    // Of what may take more than one thing at a time, a few; the rest comes with what is left.
    if (d % 2 === 0) yield more.next().value;
  }
  for (const [i, one] of later.entries()) {
    yield single(one);
    // What takes two things at once is not to wait until every single one has been tried.
    if (i % 3 === 2) yield walk(walked % 4 === 3, walked++ % scenarios);
  }
  for (; ; walked++) yield walk(walked % 2 === 0, walked % scenarios);
}
