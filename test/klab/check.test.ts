// SPDX-License-Identifier: GPL-2.0-only
/** Is a patch an equivalent of its C patch? What is found to change, and what is said when that differs. */
import test from "ava";
import { checkVersion, type Judges } from "../../tools/klab/check.ts";
import { changesOf } from "../../tools/klab/source/changes.ts";
import { type Changes, type CPatch, expectedPatch } from "../../tools/klab/source/expected.ts";
import { portOf } from "../../tools/klab/paths.ts";
import { sourcesOf } from "../../tools/klab/states/index.ts";
import { summarise } from "../../tools/klab/source/summary.ts";
import { BASE, fixture, patchText, PATCH_1, PATCH_2, USER_DRV } from "./tree.ts";

const DRV = "drivers/x/drv.ts";
const HEADER = "drivers/x/private.ts";
const CHANGED: readonly (readonly [string, string, string, Partial<Changes>])[] = [
  [
    "comments and layout",
    "function f(a: number) {\n  return a;\n}",
    "/** Doc. */\nfunction f(\n  a: number, // why\n) { return a; }",
    {},
  ],
  ["a body", "function f() { return 1; }", "function f() { return 2; }", { functions_changed: ["f"] }],
  ["static no more", "function f() {}", "export function f() {}", { functions_changed: ["f"] }],
  ["colour", "function f() {}", "function* f() {}", { functions_changed: ["f"] }],
  ["moved, otherwise the same", "function f() {}\nfunction g() {}", "function g() {}\nfunction f() {}", {}],
  ["added and removed", "function f() {}", "const g = () => 1;", { functions_added: ["g"], functions_removed: ["f"] }],
  ["a table of functions", "const ops = { a: f };\nfunction f() {}", "const ops = {};\nfunction f() {}", {}],
  [
    "members",
    'class p extends struct("p", { sch: ptr<s>(), state: u32() }) {}',
    'class p extends struct("p", { state: u32(), next: embed(() => q) }) {}',
    { members_added: ["p.next"], members_removed: ["p.sch"] },
  ],
  [
    "members with bytes",
    'class r extends bytestruct("r", { a: b32() }) {}',
    'class r extends bytestruct("r", { a: b32(), b: b8() }) {}',
    { members_added: ["r.b"] },
  ],
  [
    "type of a member",
    'class p extends struct("p", { a: u32() }) {}',
    'class p extends struct("p", { a: u64() }) {}',
    {},
  ],
  ["an export", "function f() {}\nEXPORT_SYMBOL_GPL(f);", "function f() {}", { exports_removed: ["f"] }],
];

test("what changes in a file", (t) => {
  const nothing = Object.fromEntries(Object.keys(changesOf(new Map(), new Map(), "x")).map((list) => [list, []]));
  for (const [what, before, after, changes] of CHANGED) {
    t.deepEqual(
      { ...changesOf(new Map([[DRV, before]]), new Map([[DRV, after]]), DRV) },
      { ...nothing, ...changes } as Changes,
      what,
    );
  }
});

test("prototypes are the functions that a header hands on", (t) => {
  const drv = "export function f() {}\nexport class c {}\nexport const N = 1;";
  const before = new Map([
    [DRV, drv],
    [HEADER, ""],
  ]);
  const after = new Map([
    [DRV, drv],
    [HEADER, 'export { f, c, N } from "./drv.ts";\nexport type { t } from "./drv.ts";'],
  ]);
  t.deepEqual(changesOf(before, after, HEADER).prototypes_added, ["f"]);
  t.deepEqual(changesOf(after, before, HEADER).prototypes_removed, ["f"]);
});

test("summaries tell imports for run time from those of types", (t) => {
  const s = summarise(
    'import type { A } from "./a.ts";\nimport { type B, c as d } from "./b.ts";\nimport * as e from "./e.ts";\ne.f();\nexport * from "./g.ts";',
  );
  t.deepEqual(
    [...s.imports],
    [
      ["d", { from: "./b.ts", imported: "c" }],
      ["e", { from: "./e.ts", imported: "*" }],
    ],
  );
  t.deepEqual([...(s.members.get("e") ?? [])], ["f"]);
  t.deepEqual(s.reexportsAll, ["./g.ts"]);
});

test("what is expected is there for all patches of the three versions", (t) => {
  for (const version of ["v1", "v2", "v3"]) {
    for (let n = 1; n <= 7; n++) t.truthy(expectedPatch(version, n), `${version}:${n}`);
  }
  t.deepEqual(expectedPatch("v1", 6)?.["drivers/vfio/vfio_main.c"], { exports_removed: ["vfio_init_device"] });
});

test("the three versions change the files of the C patches; v1 as a whole 17", async (t) => {
  for (const [version, files] of [
    ["v1", 17],
    ["v2", 16],
    ["v3", 16],
  ] as const) {
    const sources = await sourcesOf(version);
    t.is(sources.length, 8);
    const changed = new Set<string>();
    for (const { number, patch } of sources.slice(1)) {
      const mine = (patch?.changes ?? []).map((c) => c.path).sort();
      t.deepEqual(mine, [...new Set(Object.keys(expectedPatch(version, number) ?? {}).map(portOf))].sort());
      for (const path of mine) changed.add(path);
    }
    t.is(changed.size, files, version);
  }
});

const FINE: Judges = { typecheck: async () => true, lint: async () => true, tests: async () => true };
const C_1: CPatch = { "drivers/user/user_drv.c": { functions_changed: ["user_probe"] } };
const C_2: CPatch = { "drivers/user/extra.h": { created: true, functions_added: ["extra"] } };
const none = (): void => {};

test("patches that do what the C patches do", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const seen: string[] = [];
  const verdicts = await checkVersion(
    "v1",
    f,
    { ...FINE, typecheck: async (dir) => (seen.push(dir), true) },
    none,
    (_, n) => (n === 1 ? C_1 : C_2),
  );
  const fine = {
    applies: true,
    files: true,
    functions: true,
    members: true,
    exports: true,
    typechecks: true,
    lints: true,
    tests: true,
    missing: [],
  };
  t.deepEqual(verdicts, [
    { version: "v1", number: 1, subject: "user: count from ten", ...fine },
    { version: "v1", number: 2, subject: "user: a new file", ...fine },
  ] as typeof verdicts);
  t.is(new Set(seen).size, 2);
});

test("what differs is said file by file, name by name", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const c: CPatch = {
    "drivers/user/user_drv.c": {
      functions_changed: ["user_remove"],
      members_removed: ["user.x"],
      prototypes_added: ["forward"],
    },
    "drivers/core/core.c": { exports_removed: ["core_free"] },
    "drivers/gpu/none.c": { functions_changed: ["gpu"] },
  };
  const [first] = await checkVersion("v1", f, FINE, none, () => c);
  t.deepEqual(first?.files, ["drivers/core/core.ts is not changed, and its C file is"]);
  t.deepEqual(first?.functions, [
    "drivers/user/user_drv.ts: user_remove is changed in C, not here",
    "drivers/user/user_drv.ts: user_probe is changed here, not in C",
  ]);
  t.deepEqual(first?.members, ["drivers/user/user_drv.ts: user.x is removed in C, not here"]);
  t.deepEqual(first?.exports, ["drivers/core/core.ts: core_free is no longer exported to modules in C, not here"]);
  t.deepEqual(first?.missing, ["drivers/gpu/none.c"]);
});

test("a patch that does not apply, and those after it", async (t) => {
  const other = patchText("user: other", {
    "drivers/user/user_drv.ts": [USER_DRV.replace("core_free", "core_fere"), USER_DRV],
  });
  const f = fixture(BASE, { v1: [PATCH_1, other, PATCH_2] });
  t.teardown(f.dispose);
  const verdicts = await checkVersion("v1", f, FINE, none, () => C_1);
  t.deepEqual(
    verdicts.map((v) => v.applies === true),
    [true, false, false],
  );
  t.regex(String(verdicts[1]?.applies), /0002-x\.patch does not apply: drivers\/user\/user_drv\.ts: hunk 1 of 1/);
  t.deepEqual(verdicts[2]?.applies, ["an earlier patch does not apply"]);
  t.regex(String(verdicts[2]?.tests), /not looked at/);
});
