// SPDX-License-Identifier: GPL-2.0-only
/** Running scenarios, and the matrix of a series. */
import test from "ava";
import { seriesMatrix, turns } from "../../tools/klab/matrix.ts";
import { plain } from "../../tools/klab/json.ts";
import {
  findings,
  type Outcome,
  type Report,
  type RunnableKernel,
  runScenario,
  type ScenarioFor,
  type KernelEvent,
} from "../../tools/klab/scenario.ts";
import { mustHold, type SeriesCase } from "../../tools/klab/series-tests.ts";
import { statesOf } from "../../tools/klab/states/index.ts";
import { fixture } from "./tree.ts";

interface FakeKernel extends RunnableKernel {
  readonly calls: string[];
  hit(): void;
}

function fakeKernel(ends: Outcome, reports: readonly Report[] = []): FakeKernel {
  const calls: string[] = [];
  let listener: ((event: KernelEvent) => void) | null = null;
  return {
    calls,
    hit: () => listener?.({ name: "hit", ns: 1, pid: 1, comm: "a", text: "x", fields: {} }),
    boot: (options) => (calls.push(`boot ${JSON.stringify(options)}`), "done"),
    run: () => (calls.push("run"), ends),
    log: () => [{ level: 6, ns: 0, text: "up" }],
    found: () => reports,
    kmemleak_scan: () => calls.push("scan"),
    trace_subscribe: (_name, on) => ((listener = on), () => (listener = null)),
  };
}
const scenario: ScenarioFor<FakeKernel> = {
  id: "s",
  summary: "one thing",
  machine: { cpus: 2 },
  processes: ["a"],
  run(lab) {
    lab.calls.push(`scenario in ${lab.state}`);
    lab.hit();
    lab.record("fd", 3n);
    lab.record("fd", -2);
  },
};

test("a run: boot, scenario, quiescence, leak scan", (t) => {
  const kernel = fakeKernel("done");
  const result = runScenario(kernel, scenario, { state: "v1:1", trace: true });
  t.deepEqual(kernel.calls, ['boot {"stacks":true,"cpus":2}', "scenario in v1:1", "run", "scan"]);
  t.deepEqual(result, {
    outcome: "done",
    reports: [],
    log: [{ level: 6, ns: 0, text: "up" }],
    events: [{ name: "hit", ns: 1, pid: 1, comm: "a", text: "x" }],
    results: { fd: 3n, "fd (2)": -2 },
    processes: ["a"],
    injected: [],
  });
  t.deepEqual(findings(result), []);
});

test("no leak scan on a machine that has stopped; an end without a report is a finding", (t) => {
  const oops = fakeKernel("oops", [
    { checker: "oops", title: "BUG: x", text: "BUG: x\n…" },
    { checker: "oops", title: "BUG: x", text: "again" },
  ]);
  t.deepEqual(findings(runScenario(oops, scenario)), ["BUG: x"]);
  t.false(oops.calls.includes("scan"));
  t.deepEqual(findings(runScenario(fakeKernel("endless"), scenario)), ["endless"]);
});

test("where a case must hold", (t) => {
  const c = (holds: SeriesCase["holds"]): SeriesCase => ({ id: "c", patch: 1, holds, title: "c", run: () => true });
  for (const [holds, version, number, expected] of [
    ["v1:4-7", "v1", 4, true],
    ["v1:4-7", "v1", 3, false],
    ["v1:4-7", "v2", 4, null],
    ["all:1,3-4", "v3", 3, true],
    ["all:1,3-4", "v3", 2, false],
    ["all:1", "mine", 1, null],
    ["v1:1, v2:0,2", "v2", 2, true],
    ["v1:1, v2:0,2", "v1", 2, false],
    ["v1:1, v3:none", "v3", 1, false],
    ["v1:1, v3:none", "v2", 1, null],
  ] as const) {
    t.is(mustHold(c(holds), version, number), expected, `${holds} ${version}:${number}`);
  }
  for (const holds of ["4-7", "v1:1-", "v1:1,v2:2", ""])
    t.throws(() => mustHold(c(holds), "v1", 1), { message: /names no states/ });
});

test("the matrix: results, expectations, turns, findings", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const probe = (lab: object): number => (lab as { probe(): number }).probe();
  const cases: SeriesCase[] = [
    { id: "ten", patch: 1, holds: "v1:1-2", title: "counts from ten", run: (lab) => probe(lab) > 10 },
    { id: "wrong", patch: 1, holds: "v1:2", title: "expects too late", run: () => true },
    {
      id: "throws",
      patch: 1,
      holds: "v1:0",
      title: "throws",
      run: (lab) => {
        if (probe(lab) > 10) throw new Error("no");
      },
    },
    { id: "other", patch: 1, holds: "v2:1", title: "speaks of v2", run: () => true },
  ];
  const scenarios = [
    { id: "quiet", summary: "", machine: {}, processes: [], run: () => {} },
    {
      id: "broken",
      summary: "",
      machine: {},
      processes: [],
      run: () => {
        throw new Error("what?\nmore");
      },
    },
  ];
  const matrix = await seriesMatrix("v1", await statesOf("v1", f), cases, scenarios);
  const names = ["v1:0", "v1:1", "v1:2"];
  t.deepEqual(
    matrix.tests.map((row) => names.map((s) => row.results[s])),
    [
      ["fail", "pass", "pass"],
      ["pass", "pass", "pass"],
      ["pass", "fail", "fail"],
      ["pass", "pass", "pass"],
    ],
  );
  t.deepEqual(
    matrix.tests.map((row) => row.unexpected),
    [[], ["v1:0", "v1:1"], [], []],
  );
  t.deepEqual(
    matrix.tests.map((row) => turns(row.results, names)),
    [["v1:1: fail → pass"], [], ["v1:1: pass → fail"], []],
  );
  t.deepEqual(
    matrix.tests.map((row) => row.expect),
    [["v1:1", "v1:2"], ["v1:2"], ["v1:0"], null],
  );
  t.deepEqual(matrix.scenarios[0]?.results, {
    "v1:0": [],
    "v1:1": ["WARNING: more than ten"],
    "v1:2": ["WARNING: more than ten"],
  });
  t.deepEqual(matrix.scenarios[1]?.results["v1:0"], ["error: what?"]);
});

test("a state that cannot be loaded is named, and the others run", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const states = await statesOf("v1", f);
  const [first, second] = states;
  if (!first || !second) return t.fail();
  const matrix = await seriesMatrix("v1", [{ ...first, dir: `${first.dir}/nowhere` }, second], [], []);
  t.deepEqual(Object.keys(matrix.broken), ["v1:0"]);
});

test("values as JSON", (t) => {
  const value = {
    a: 1n,
    b: -1n,
    c: 0xffff_ffff_ffff_0000n,
    d: new Uint8Array([1, 255]),
    e: new Map([["k", undefined]]),
    f: [null],
  };
  t.deepEqual(plain(value), { a: 1, b: -1, c: "0xffffffffffff0000", d: "01ff", e: { k: null }, f: [null] });
});
