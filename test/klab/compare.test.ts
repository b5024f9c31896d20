// SPDX-License-Identifier: GPL-2.0-only
/** klab compare: runs as lines, two of them side by side, and the pages that are made of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { align, sum } from "../../tools/klab/compare/align.ts";
import { firstSection, pageName, PAGES } from "../../tools/klab/compare/docs.ts";
import { compareRuns, compareScenario, recordRun } from "../../tools/klab/compare/scenario-diff.ts";
import { handovers, objectsOf, sumObjects } from "../../tools/klab/compare/objects.ts";
import { handoverLines, scenarioLines } from "../../tools/klab/compare/show.ts";
import { type Kind, Recorder, type Step } from "../../tools/klab/compare/stream.ts";
import { type KernelEvent, type RunnableKernel, type ScenarioFor, scenarioOf } from "../../tools/klab/scenario.ts";
import { statesOf } from "../../tools/klab/states/index.ts";
import { loadState } from "../../tools/klab/states/load.ts";

type Fields = Record<string, string | number>;
type Hit = readonly [system: string, name: string, fields: Fields];
const event = ([system, name, fields]: Hit): KernelEvent =>
  ({ system, name, ns: 0, pid: 1, comm: "init", fields, text: "a=1" }) as KernelEvent;
const RESULT = { outcome: "done", reports: [], log: [], events: [], results: {}, processes: [], injected: [] } as const;

function lines(...hits: readonly Hit[]): string[] {
  const recorder = new Recorder();
  for (const hit of hits) recorder.hear(event(hit));
  return recorder.end(RESULT, String).map(({ kind, line }) => `${kind}: ${line}`);
}
const END = "result: the run ends: done";
const alloc = (type: string, birth: number, site = "f"): Hit => [
  "kmem",
  "kmalloc",
  { type, birth, bytes_req: 8, call_site: site },
];
const free = (type: string, birth: number): Hit => ["kmem", "kfree", { type, birth, call_site: "g" }];

const STREAMS: readonly (readonly [what: string, hits: readonly Hit[], expected: readonly string[]])[] = [
  [
    "objects are numbered within their type, whatever their birth",
    [alloc("a", 70), alloc("b", 71), alloc("a", 90), free("a", 90)],
    [
      "allocation: init: a#1, 8 bytes, by f",
      "allocation: init: b#1, 8 bytes, by f",
      "allocation: init: a#2, 8 bytes, by f",
      "free: init: a#2 by g",
      END,
      "life time: a#1: f (init) … never",
      "life time: b#1: f (init) … never",
      "life time: a#2: f (init) … g (init)",
    ],
  ],
  [
    "byte memory is numbered by who asked for it",
    [alloc("buffer", 1, "f"), alloc("buffer", 2, "h"), free("buffer", 2)],
    [
      "allocation: init: buffer of f#1, 8 bytes, by f",
      "allocation: init: buffer of h#1, 8 bytes, by h",
      "free: init: buffer of h#1 by g",
      END,
    ],
  ],
  [
    "what is older than the recording; statics",
    [
      free("a", 3),
      ["refcount", "ref_get", { type: "static", birth: 0, member: "", refs: 2, call_site: "f" }],
      ["refcount", "ref_put", { type: "a", birth: 3, member: "dev.kobj", refs: 0, call_site: "f" }],
    ],
    [
      "free: init: old a#1 by g",
      "reference: init: +1 on a static object, now 2, by f",
      "reference: init: -1 on old a#1.dev.kobj, now 0, by f",
      END,
    ],
  ],
  [
    "system calls tell the time of a life",
    [
      ["raw_syscalls", "sys_enter", { id: "open" }],
      alloc("a", 1),
      ["raw_syscalls", "sys_exit", { id: "open", ret: -2 }],
    ],
    [
      "allocation: init: a#1, 8 bytes, by f",
      "return code: init: open() = -2",
      END,
      "life time: a#1: f (init's call 1, open) … never",
    ],
  ],
  [
    "completions, and on whose behalf memory is freed",
    [
      alloc("a", 1, "f [m]"),
      ["completion", "complete", { type: "a", birth: 1, member: "comp", done: 0, call_site: "f" }],
      ["completion", "wait_for_completion", { type: "a", birth: 1, member: "comp", done: 1, call_site: "g" }],
      ["kmem", "kfree", { type: "a", birth: 1, call_site: "h", path: "h < g [m]" }],
    ],
    [
      "allocation: init: a#1, 8 bytes, by f [m]",
      "wait: init: complete a#1.comp by f",
      "wait: init: wait for a#1.comp, which is done, in g",
      "free: init: a#1 by h < g [m]",
      END,
      "life time: a#1: f [m] (init) … h (init)",
    ],
  ],
  [
    "waits, modules, log, uevents, reports, tracepoints; no addresses, no pids",
    [
      ["sched", "sched_stat_blocked", { what: "mutex m", owner: "b", delay: 1_500_000_000, call_site: "f" }],
      ["module", "module_put", { name: "vfio", refcnt: 2, call_site: "f" }],
      ["printk", "console", { level: 3, text: "CPU: 1 PID: 12 at 0x80012340" }],
      ["kobject", "uevent", { header: "add@/devices/x" }],
      ["error_report", "error_report_end", { checker: "kasan", title: "BUG" }],
      ["vfio_ccw", "vfio_ccw_fsm_event", {}],
    ],
    [
      "wait: init: mutex m of b for 1.5 s in f",
      "reference: init: -1 on module vfio, now 1, by f",
      "log: init: CPU: N PID: N at ADDRESS",
      "uevent: init: add@/devices/x",
      "report: init: BUG",
      "tracepoint: init: vfio_ccw_fsm_event: a=1",
      END,
    ],
  ],
];
for (const [what, hits, expected] of STREAMS)
  test(`a run as lines: ${what}`, (t) => t.deepEqual(lines(...hits), expected));

const steps = (text: string, kind: Kind = "log"): Step[] => [...text].map((line) => ({ kind, line }));

const ALIGNED: readonly (readonly [
  one: string,
  two: string,
  after: number,
  gone: string,
  come: string,
  moved: number,
])[] = [
  ["abc", "abc", -1, "", "", 0],
  ["", "", -1, "", "", 0],
  ["abc", "abXc", 2, "", "X", 0],
  ["abc", "ab", 2, "c", "", 0],
  ["", "a", 0, "", "a", 0],
  ["abcd", "adbc", 1, "", "", 1],
  ["aabc", "abc", 1, "a", "", 0],
];
for (const [one, two, after, gone, come, moved] of ALIGNED) {
  test(`side by side: ${one || "nothing"} and ${two || "nothing"}`, (t) => {
    const found = align(steps(one), steps(two));
    t.is(found.same, after < 0);
    t.is(found.first?.after ?? -1, after);
    const [d] = found.diffs;
    t.is(d?.gone.map((c) => c.line.repeat(c.n)).join("") ?? "", gone);
    t.is(d?.come.map((c) => c.line.repeat(c.n)).join("") ?? "", come);
    t.is(d?.moved ?? 0, moved);
    t.deepEqual(
      sum([found.diffs, found.diffs]).map((s) => s.moved),
      found.diffs.map((s) => 2 * s.moved),
    );
  });
}

/** Two kernels that differ in one planted thing. */
function planted(hits: readonly Hit[], log = "up"): RunnableKernel {
  const listeners = new Map<string, (e: KernelEvent) => void>();
  return {
    boot: () => "done",
    run: () => {
      for (const hit of hits) listeners.get("kernel:*")?.(event(hit));
      listeners.get("kernel:*")?.(event(["printk", "console", { text: log }]));
      return "done";
    },
    log: () => [],
    found: () => [],
    trace_subscribe: (name, on) => (listeners.set(name, on), () => listeners.delete(name)),
  };
}
const SCENARIO: ScenarioFor<RunnableKernel> = { id: "s", summary: "", machine: {}, processes: [], run: () => {} };

test("a planted difference is found, named, and shown with what came before it", (t) => {
  const one = planted([alloc("a", 1), free("a", 1)]);
  const two = planted([alloc("a", 5)]);
  t.true(compareScenario(one, one, SCENARIO).same);
  const diff = compareScenario(one, two, SCENARIO);
  t.deepEqual(scenarioLines(diff, ["v1:0", "v1:1"]), [
    "s",
    "  first difference, after 1 equal steps, the last: init: a#1, 8 bytes, by f",
    "    v1:0  init: a#1 by g",
    "    v1:1  init: up",
    "  frees: -1",
    "    - init: a#1 by g".replace("#1", "#"),
    "  life times: -1, +1",
    "    - a#: f (init) … g (init)",
    "    + a#: f (init) … never",
  ]);
  t.deepEqual(scenarioLines(compareScenario(two, two, SCENARIO), ["a", "b"]), ["s: the same"]);
});

test("who allocates and who frees, and who does it instead", (t) => {
  const fate = (object: string, allocated: string, freed: string): Step => ({
    kind: "life time",
    line: "",
    fate: { object, allocated, freed },
  });
  const one = [
    fate("a", "new [m]", "free [core] < a_release [m] < put [core]"),
    fate("b", "new [m]", "free [core] < b_release [n] < put [core]"),
    fate("k", "f", "g"),
    fate("same", "new [m]", "x"),
    fate("gone", "new [m]", "x"),
  ];
  const two = [
    fate("a", "new [m]", "put [core] < a_remove [m]"),
    fate("b", "new [m]", "put [core] < b_remove [n]"),
    fate("k", "f", "h"),
    fate("same", "new [m]", "x"),
  ];
  const objects = objectsOf(one, two);
  t.deepEqual(
    objects.map(({ object, gone, come }) => [object, gone.length, come.length]),
    [
      ["a", 1, 1],
      ["b", 1, 1],
      ["gone", 1, 0],
    ],
    "what no module has to do with is left out",
  );
  t.deepEqual(sumObjects([objects, objects]), objects, "the same twice is said once");
  t.deepEqual(handoverLines(handovers(objects)), [
    "  a, b: freed by put [core]; before by free [core], for a_release [m], b_release [n]",
  ]);
  const deeper = objectsOf(
    [fate("p", "new [m]", "free [m] < remove [m]")],
    [fate("p", "new [m]", "free [m] < release [m]")],
  );
  t.deepEqual(handoverLines(handovers(deeper)), ["  p: freed by release [m]; before by remove [m]"]);
  const leaked = objectsOf([fate("p", "new [m]", "never")], [fate("p", "new [m]", "free [m]")]);
  t.deepEqual(handoverLines(handovers(leaked)), ["  p: freed by free [m]; before by nobody"]);
});

test("runs with faults are laid beside each other by what failed", (t) => {
  const faulty = (places: readonly string[]): RunnableKernel => {
    let run = 0;
    return {
      ...planted([]),
      boot: () => ((run += 1), "done"),
      fault_injections: () => places.slice(run - 1, run).map((place) => ({ what: "", place, stack: [] })),
    };
  };
  const diff = compareScenario(faulty(["f", "g"]), faulty(["f", "h", "g"]), { ...SCENARIO, faults: true });
  t.is(diff.first?.fault, "no memory in h, 1");
  t.deepEqual(diff.diffs, [{ kind: "result", gone: [], come: [{ line: "a run: no memory in h", n: 1 }], moved: 0 }]);
});

/** States that are looked at: a few, to be quick. series-pages.long.ts makes all pages again. */
const LOOKED_AT: readonly (readonly [version: string, first: number, last: number])[] = [
  ["v1", 0, 7],
  ["v2", 0, 1],
  ["v3", 3, 4],
];
for (const [version, from, to] of LOOKED_AT) {
  test(`Documentation/series/ says what ${version}:${from} to ${version}:${to} do now`, async (t) => {
    const scenarios = [await scenarioOf("create-remove"), await scenarioOf("interrupt-no-mdev")];
    let before: { name: string; runs: (readonly Step[])[] } | null = null;
    for (const state of (await statesOf(version)).slice(from, to + 1)) {
      const kernel = await loadState(state);
      const runs = scenarios.map((s) => recordRun(kernel, s as ScenarioFor<typeof kernel>));
      for (const [i, scenario] of (before ? scenarios : []).entries()) {
        const page = readFileSync(join(PAGES, pageName(state.number)), "utf8");
        const [, rest = ""] = page.split(`\n## ${state.name}\n`);
        const own = rest.split("\n## ")[0] ?? "";
        const as = /^\nAs in (v\d), in everything\.\n/.exec(own)?.[1];
        const part = as === undefined ? own : (page.split(`\n## ${as}:${state.number}\n`)[1] ?? "").split("\n## ")[0];
        const called = (name: string): string => name.replace(version, as ?? version);
        const diff = compareRuns(scenario.id, before?.runs[i] ?? [], runs[i] ?? []);
        const wanted = diff.same ? scenario.id : firstSection(diff, [called(before?.name ?? ""), called(state.name)]);
        const text = diff.same ? part?.slice(part.indexOf("### The same in both")) : part;
        t.true(text?.includes(wanted), `${pageName(state.number)} is stale: run npx klab compare --docs\n${wanted}`);
        t.true(page.includes(`# Patch ${state.number}: ${state.subject}`));
      }
      before = { name: state.name, runs };
    }
  });
}
