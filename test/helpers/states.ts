// SPDX-License-Identifier: GPL-2.0-only
/** Tests over the states of the series, for ava and for `klab series`. */
import { collect, isCollecting, mustHold, runCase, type SeriesCase } from "../../tools/klab/series-tests.ts";
import { expectedVersions } from "../../tools/klab/source/expected.ts";
import { type State, state, statesOf } from "../../tools/klab/states/index.ts";
import { versionNames } from "../../tools/klab/states/series.ts";

export type { SeriesCase } from "../../tools/klab/series-tests.ts";
export type { Lab } from "../../tools/klab/scenario.ts";

/** The state that `klab test --state` asks for, else the base. */
export function testedState(): Promise<State> {
  return state(process.env["KLAB_STATE"] ?? "base");
}

/** The states in which cases are checked: those of every version, or the one that `klab test --state` asks for. */
async function checkedStates(): Promise<State[]> {
  if (process.env["KLAB_STATE"] !== undefined) return [await testedState()];
  const versions = versionNames().filter((version) => expectedVersions().includes(version));
  const all = await Promise.all(versions.map((version) => statesOf(version)));
  return all.flat();
}

// Outside of its own process ava refuses to be loaded, and `klab series` loads the same files.
const ava = isCollecting() ? null : (await import("ava")).default;

/** Defines a case; the file name says the patch: test/series/0004-….test.ts. */
export function seriesTest(c: SeriesCase): void {
  if (collect(c) || !ava) return;
  ava(`${c.id}: ${c.title}`, async (t) => {
    const wrong: string[] = [];
    let checked = 0;
    for (const s of await checkedStates()) {
      const expected = s.version === null ? null : mustHold(c, s.version, s.number);
      if (expected === null) continue;
      checked += 1;
      const { holds, reason } = await runCase(c, s);
      if (holds !== expected) wrong.push(holds ? `${s.name}: holds, and should not` : `${s.name}: ${reason}`);
    }
    if (checked === 0) t.log("none of the states that it speaks of is there");
    t.deepEqual(wrong, []);
  });
}
