// SPDX-License-Identifier: GPL-2.0-only
/** klab bugs: how findings are told apart, recognised, made small and counted; and that what it finds in a few states is explained. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import test from "ava";
import { covers, type Explained, explanationOf, readCatalogue, recognises } from "../../tools/klab/bugs/catalogue.ts";
import { type FoundRecord, generalScenarios, huntState } from "../../tools/klab/bugs/hunt.ts";
import { othersOf, rowsOf } from "../../tools/klab/commands/bugs.ts";
import { columns } from "../../tools/klab/explore/columns.ts";
import { alone, type Crew, Member, type SubjectName } from "../../tools/klab/explore/crew.ts";
import type { Choice, Subject } from "../../tools/klab/explore/execution.ts";
import { type Finding, findingsOf, keyOf } from "../../tools/klab/explore/finding.ts";
import { leaveOut, sizeOf } from "../../tools/klab/explore/shrink.ts";
import { readToken, sourceOf } from "../../tools/klab/explore/token.ts";
import { story } from "../../tools/klab/explore/story.ts";
import { main } from "../../tools/klab/main.ts";
import { ROOT } from "../../tools/klab/paths.ts";
import type { Report, RunnableKernel, RunResult, ScenarioFor } from "../../tools/klab/scenario.ts";
import { canaryNames } from "../../tools/klab/states/canaries.ts";
import { state as stateOf } from "../../tools/klab/states/index.ts";
import { loadState } from "../../tools/klab/states/load.ts";
import { prng } from "../../kernel/explore/random.ts";
import type { schedule } from "../../kernel/sched/decide.ts";

const run = (reports: readonly Report[], more: Partial<RunResult> = {}): RunResult => ({
  outcome: "done",
  reports,
  log: [],
  events: [],
  results: {},
  processes: [],
  injected: [],
  ...more,
});
const KASAN: Report = {
  checker: "kasan",
  title: "BUG: KASAN: use-after-free in kobject_put",
  text: "BUG: KASAN: use-after-free in kobject_put\n\nCall Trace:\n <TASK>\n kobject_put\n f [m]\n </TASK>\n\nFreed by task 5:\n g [m]\n\n which belongs to the cache kmalloc-1k of size 8",
};

test("a finding knows its object and its two places", (t) => {
  const [kasan, leak, race, end] = findingsOf(
    run(
      [
        KASAN,
        {
          checker: "kmemleak",
          title: "unreferenced object: struct s (size 8)",
          text: "unreferenced object 0x1 (size 8):\n  comm\n  backtrace:\n    h [m]\n    i",
        },
        {
          checker: "kcsan",
          title: "BUG: KCSAN: data-race in a [m] / b",
          text: "BUG: KCSAN: data-race in a [m] / b\n\nmember: struct s.x\n",
        },
      ],
      { outcome: "oops" },
    ),
  ).values();
  t.like(kasan, { object: "kmalloc-1k", places: ["kobject_put < f [m]", "g [m]"] });
  t.like(leak, { object: "struct s (size 8)", places: ["", "h [m]"] });
  t.like(race, { object: "struct s.x", places: ["a [m]", "b"] });
  t.is(end, undefined);
  t.deepEqual(
    [...findingsOf(run([], { outcome: "endless" })).values()].map((f) => f.title),
    ["endless"],
  );
  const log = [{ level: 3, ns: 0, text: "m: Unknown symbol f (err -2)" }];
  t.deepEqual(
    [...findingsOf(run([], { log })).values()].map((f) => f.checker),
    ["link"],
  );
  t.is(findingsOf(run([], { log, injected: [{ what: "", place: "f", stack: ["f"] }] })).size, 0);
});

test("which states a specification names", (t) => {
  for (const [spec, state, expected] of [
    ["v1:4", "v1:4", true],
    ["v1:1-7", "v1:7", true],
    ["v1:1-7", "v1:0", false],
    ["v1:1-7", "v2:4", false],
    ["all:4-7", "v3:5", true],
    ["all:0-2", "base", true],
    ["all:4-7", "base", false],
    ["all", "v2:3", true],
    ["base", "v2:0", true],
    ["all:0", "canary:x", true],
    ["canary:x", "canary:x", true],
    ["canary:x", "canary:y", false],
  ] as const)
    t.is(covers(spec, state), expected, `${spec} ${state}`);
});

const [FINDING] = findingsOf(
  run([KASAN], { injected: [{ what: "", place: "k", stack: ["k", "l [m]"] }] }),
).values() as Iterable<Finding>;
const known = (id: string, states: readonly string[], seen: Explained["seen"]): Explained => ({
  id,
  states,
  what: id,
  source: "",
  seen,
});
test("a finding is recognised by its signs, each of them", (t) => {
  for (const [sign, expected] of [
    [{ checker: "kasan" }, true],
    [{ checker: "warn" }, false],
    [{ checker: "kasan", title: "in kobject_put$" }, true],
    [{ checker: "kasan", text: "^ f \\[m\\]$" }, true],
    [{ checker: "kasan", text: "^ x" }, false],
    [{ checker: "kasan", object: "kmalloc-2k" }, false],
    [{ checker: "kasan", fault: null }, false],
    [{ checker: "kasan", fault: "^k" }, true],
    // Of the whole stack, not of any line.
    [{ checker: "kasan", fault: "^l" }, false],
    [{ checker: "kasan", places: ["kobject_put < f"] }, true],
    [{ checker: "kasan", places: ["g", "kobject_put < f"] }, true],
    [{ checker: "kasan", places: ["g", "x"] }, false],
  ] as const)
    t.is(FINDING && recognises(known("F", ["all"], [sign]), FINDING), expected, JSON.stringify(sign));
});
test("an explanation for the state itself comes before one for another", (t) => {
  const catalogue = [known("there", ["v1:2"], [{ checker: "kasan" }]), known("here", ["v1:1"], [{ checker: "kasan" }])];
  t.is(FINDING && explanationOf([catalogue], FINDING, "v1:1")?.id, "here");
  t.is(FINDING && explanationOf([catalogue], FINDING, "v1:3")?.id, "there");
});

const choice = (kind: Choice["kind"], nth: number): Choice => ({ at: nth, nth, kind, choice: 1 });
test("made small: fewest switches first, then fewest failures", (t) => {
  const found = [...Array.from({ length: 20 }, (_, i) => choice("switch", i)), choice("fault", 3), choice("event", 1)];
  let runs = 0;
  const again = (choices: readonly Choice[]): readonly Choice[] | null => {
    runs++;
    const has = (kind: Choice["kind"], nth: number): boolean => choices.some((c) => c.kind === kind && c.nth === nth);
    return has("switch", 7) && has("event", 1) ? choices : null;
  };
  t.deepEqual(sizeOf(leaveOut(found, again, 100)), { switches: 1, faults: 1, decisions: 2 });
  t.true(runs < 40);
  t.is(leaveOut(found, again, 0), found);
});

/** Two events and three calls that may fail; the planted faults need the second event, and the third call failing. */
function planted(): RunnableKernel {
  let now: schedule | undefined;
  let found: Report[] = [];
  return {
    boot(options) {
      now = (options as { schedule?: schedule }).schedule;
      found = [];
      return "done";
    },
    run() {
      const events = [0, 1].map(() => now?.decide("event", 3, (i) => `event ${i}`));
      const faults = [0, 1, 2].map((f) => now?.decide("fault", 2, () => `failslab x in f${f} [m]`));
      if (events[1] === 2) found.push({ ...KASAN, checker: "warn", title: "WARNING: e" });
      if (faults[2] === 1) found.push(KASAN);
      return "done";
    },
    log: () => [],
    found: () => found,
  };
}
const scenario: ScenarioFor<RunnableKernel> = { id: "s", summary: "", machine: {}, processes: [], run: () => {} };

const THROWER: ScenarioFor<RunnableKernel> = {
  ...scenario,
  id: "thrower",
  run() {
    throw new Error("planted");
  },
};
/** A search of planted(). */
async function hunted(crew: (member: Member<RunnableKernel>) => Crew): Promise<FoundRecord[]> {
  const kernel = planted();
  const find = ({ scenario: id, mode, maxSteps }: SubjectName): Promise<Subject<RunnableKernel>> =>
    Promise.resolve({ kernel, scenario: id === "s" ? scenario : THROWER, state: "v1:0", mode, maxSteps });
  const records: FoundRecord[] = [];
  const of = { name: "v1:0", dir: "" };
  const options = { state: of, scenarios: ["s", "thrower"], seed: 1, catalogue: [], explained: [] };
  const limits = {
    executions: 30,
    seconds: null,
    onFound: (r: FoundRecord) => void records.push({ ...r, seconds: 0 }),
  };
  await huntState(crew(new Member(find)), "0123456789ab", options, limits);
  return records;
}
const inOrder = (member: Member<RunnableKernel>): Crew => ({
  width: 1,
  loaded: Promise.resolve(),
  do: (task) => member.do(task),
  close: async () => {},
});
const late = (member: Member<RunnableKernel>): Crew => {
  const numbers = new prng(5);
  return {
    width: 7,
    loaded: Promise.resolve(),
    do: async (task) => {
      for (let n = numbers.below(5); n > 0; n--) await new Promise((next) => setImmediate(next));
      return member.do(task);
    },
    close: async () => {},
  };
};
test("every single failure and event is tried; a scenario that throws is a finding and not the end", async (t) => {
  const records = await hunted(inOrder);
  t.deepEqual(records.map((r) => r.title).sort(), [
    "BUG: KASAN: use-after-free in kobject_put",
    "Error: planted",
    "WARNING: e",
  ]);
  for (const { title, switches, faults } of records)
    t.deepEqual([switches, faults], [0, title === "Error: planted" ? 0 : 1], title);
  t.deepEqual(await hunted(late), records);
});

const record = (id: string | null, state: string, more: Partial<FoundRecord> = {}): FoundRecord => ({
  state,
  id,
  checker: "kasan",
  title: "T",
  text: "",
  object: "",
  places: [],
  fault: null,
  scenario: "s",
  token: `${state}-token`,
  switches: 1,
  faults: 1,
  executions: 5,
  seconds: 1,
  ...more,
});
test("found, missed, unexpected and masked are kept apart", (t) => {
  const catalogue = [{ ...known("A", ["v1:1-3"], [{ checker: "kasan" }]), masked: { "v1:3": "B" } }];
  const small = record("A", "v1:1", { token: "small", switches: 0, executions: 9, seconds: 2 });
  const [row] = rowsOf(catalogue, ["v1:0", "v1:1", "v1:2", "v1:3"], [record("A", "v1:0"), record("A", "v1:1"), small]);
  t.deepEqual(row?.expected, ["v1:1", "v1:2"]);
  t.deepEqual(row?.missed, ["v1:2"]);
  t.deepEqual(row?.unexpected, ["v1:0"]);
  t.deepEqual(row?.masked, { "v1:3": "B" });
  // The smaller run, and when it was first found.
  t.deepEqual(row?.found["v1:1"], { token: "small", executions: 5, seconds: 1, switches: 0, faults: 1 });
});
test("what is explained for other states only is not explained", (t) => {
  const explained = [known("F", ["v1:1"], [])];
  const others = othersOf([], explained, [record("F", "v1:1"), record("F", "v1:2"), record(null, "v1:1")]);
  t.deepEqual(
    others.map(({ id, states }) => [id, states]),
    [
      ["F", ["v1:1"]],
      [null, ["v1:2", "v1:1"]],
    ],
  );
});

test("a task a column, time downwards", (t) => {
  const lines = columns(
    [
      { task: "a-1", ns: 0, text: "open(…" },
      { task: "b-2", ns: 2_500_000, text: "a text that is too long for its column, which ends here" },
      { task: "b-2", ns: 2_500_000, text: ">>> 1 of 1: fails", wide: true },
    ],
    60,
  );
  t.is(lines[0], "        ms  a-1                     b-2");
  t.is(lines[2], "     0.000  open(…");
  t.is(lines[3], `     2.500${" ".repeat(26)}a text that is too lo…`);
  t.is(lines[4], "            >>> 1 of 1: fails");
});

test("the catalogues are well formed, and findings.md names every one", (t) => {
  const page = readFileSync(resolve(ROOT, "Documentation/findings.md"), "utf8");
  for (const name of ["faults.json", "findings.json", "canaries.json"] as const) {
    const all = readCatalogue(name);
    t.is(new Set(all.map((e) => e.id)).size, all.length, name);
    for (const { id, states, seen, what, masked } of all) {
      t.true(states.length > 0 && what !== "", id);
      if (name !== "canaries.json") t.regex(page, new RegExp(`^\\| ${id} \\|`, "m"), `${id} is not in findings.md`);
      for (const { title, text, object, fault, places } of seen)
        for (const pattern of [title, text, object, fault, ...(places ?? [])])
          if (typeof pattern === "string") t.notThrows(() => new RegExp(pattern), id);
      for (const by of Object.values(masked ?? {}))
        t.true(
          readCatalogue("findings.json").some((e) => e.id === by),
          by,
        );
    }
  }
  t.deepEqual(
    readCatalogue("canaries.json").map((c) => c.id),
    canaryNames(),
  );
});

/** A short search in this thread, the same each time. */
async function searched(
  name: string,
  executions: number,
  catalogue: "faults.json" | "canaries.json",
): Promise<FoundRecord[]> {
  const [{ dir, tree }, scenarios] = [await stateOf(name), await generalScenarios()];
  const kernel: RunnableKernel = await loadState({ name, dir });
  const crew = alone(({ scenario: id, mode, maxSteps }) => {
    const of = scenarios.find((s) => s.id === id) as ScenarioFor<RunnableKernel> | undefined;
    return of
      ? Promise.resolve({ kernel, scenario: of, state: name, mode, maxSteps })
      : Promise.reject(new Error(`no scenario ${id}`));
  });
  const records: FoundRecord[] = [];
  const options = {
    state: { name, dir },
    scenarios: scenarios.map(({ id }) => id),
    seed: 1,
    catalogue: readCatalogue(catalogue),
    explained: readCatalogue("findings.json"),
  };
  await huntState(crew, sourceOf(tree), options, { executions, seconds: null, onFound: (r) => records.push(r) });
  return records;
}
const unexplained = (records: readonly FoundRecord[]): string[] =>
  othersOf(
    [...readCatalogue("faults.json"), ...readCatalogue("canaries.json")],
    readCatalogue("findings.json"),
    records,
  )
    .filter((o) => o.id === null)
    .map((o) => `${o.title} (${o.places.join(" / ")}) in ${o.states.join(", ")}: ${o.token}`);

// The whole table is in the long run; here is what comes at once, and that nothing comes that is not explained.
for (const [state, executions, ids] of [
  ["v2:1", 2, ["S03"]],
  ["base", 25, []],
] as const) {
  test(`${state}: the general scenarios find ${ids.join(", ") || "nothing"} of the catalogue, and nothing without an explanation`, async (t) => {
    t.timeout(110_000);
    const records = await searched(state, executions, "faults.json");
    const found = records.map((r) => r.id ?? "").filter((id) => id.startsWith("S"));
    t.deepEqual([...new Set(found)].sort(), [...ids]);
    t.deepEqual(unexplained(records), []);
  });
}

test("a canary is found; its token replays to the byte", async (t) => {
  t.timeout(110_000);
  const records = await searched("canary:cache-kept", 3, "canaries.json");
  const hit = records.find((r) => r.id === "cache-kept");
  t.truthy(hit);
  t.deepEqual(unexplained(records), []);
  const klab = async (): Promise<string> => {
    let out = "";
    await main(["replay", hit?.token ?? "", "--json"], {
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (out += text) },
    });
    return out;
  };
  const [one, two] = [await klab(), await klab()];
  t.is(one, two);
  t.true((JSON.parse(one) as { reports: { title: string }[] }).reports.some((r) => r.title === hit?.title));
});

test("the moment after which the quiet way leads to the finding", (t) => {
  const told = {
    kernel: planted(),
    scenario: scenario as ScenarioFor<never>,
    state: "v1:0",
    mode: { faults: 1, kcsan: false },
    decisions: [
      { at: 0, choice: 1 },
      { at: 1, choice: 2 },
    ],
  };
  const lines = story(told, 80);
  t.true(lines.includes("            >>> 2 of 2: happens: event 2"));
  t.regex(lines.join("\n"), /2 of 2[^\n]*\n +=== from here on it is settled[^\n]*WARNING: e$/m);
  const early = story(
    {
      ...told,
      decisions: [
        { at: 1, choice: 2 },
        { at: 4, choice: 1 },
      ],
    },
    80,
  );
  t.regex(early.join("\n"), /1 of 2[^\n]*\n +=== from here/);
});

test("a token of klab bugs says all that the run needs", (t) => {
  t.deepEqual(readToken("k2~s~canary:x~0123456789ab~f1c~12:3").mode, { faults: 1, kcsan: true });
  t.is(keyOf({ ...FINDING!, injected: [] }), keyOf(FINDING!));
});
