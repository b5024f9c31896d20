// SPDX-License-Identifier: GPL-2.0-only
/** What a file gave in a state: kept by content, and by nothing else. */
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { watchModules } from "../../tools/klab/modules-seen.ts";
import { contentOf, type FileResults, forgetOldResults, keepResults, knownResults } from "../../tools/klab/results.ts";
import type { Tree } from "../../tools/klab/states/tree.ts";
import { ThreadPool } from "../../tools/klab/threads.ts";
import { statesOf } from "../../tools/klab/states/index.ts";
import { fixture } from "./tree.ts";

function folder(t: { teardown(end: () => void): void }, files: Readonly<Record<string, string>> = {}): string {
  const made = mkdtempSync(join(tmpdir(), "klab-results-"));
  t.teardown(() => rmSync(made, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text);
  return made;
}

const FILES = {
  "a.ts":
    'import {\n  b,\n} from "./b.ts";\nimport type { t } from "./t.ts";\nexport * from "./c.ts";\nimport "./e.ts";\n',
  "b.ts": 'const d = await import("./d.mjs");\nimport "./a.ts";\nimport test from "ava";\n',
  "c.ts": "export {};\n",
  "d.mjs": "export {};\n",
  "e.ts": "",
  "t.ts": "export type t = 1;\n",
};

/** Changes of one file; does a.ts have another content then? */
const CHANGED: readonly (readonly [file: keyof typeof FILES, another: boolean])[] = [
  ["a.ts", true],
  ["b.ts", true],
  ["c.ts", true],
  ["d.mjs", true],
  ["e.ts", true],
  ["t.ts", false],
];
for (const [file, another] of CHANGED) {
  test(`content: a change of ${file}`, (t) => {
    const name = (files: Readonly<Record<string, string>>): string => contentOf(join(folder(t, files), "a.ts"));
    t.is(name(FILES), name(FILES));
    t.is(name({ ...FILES, [file]: `${FILES[file]}// more\n` }) !== name(FILES), another);
  });
}

const BETWEEN: Tree = new Map([
  [
    "kernel/Kbuild.ts",
    'export const modules = [{ name: "m", files: ["drivers/m.ts"] }, { name: "n", files: ["drivers/n.ts"] }];',
  ],
  ["drivers/m.ts", "m"],
  ["drivers/n.ts", "n"],
  ["test/modules/toy.ts", "toy"],
]);
const changed = (path: string): Tree => new Map([...BETWEEN, [path, "other"]]);

test("results are found again for the same state and the same file, or where only modules differ that do not matter", async (t) => {
  const cache = folder(t);
  const file = join(import.meta.dirname, "tree.ts");
  const results: FileResults = { cases: { a: { holds: false, reason: "why" } }, scenarios: { s: ["BUG"] } };
  const known = async (dir: string, tree: Tree, of = file): Promise<boolean> =>
    (await knownResults({ dir, tree }, of, cache)) !== null;
  t.false(await known("/states/1", BETWEEN));
  await keepResults({ dir: "/states/1", tree: BETWEEN }, file, results, undefined, cache);
  t.deepEqual(await knownResults({ dir: "/states/1", tree: BETWEEN }, file, cache), results);
  t.false(await known("/states/2", BETWEEN));
  t.false(await known("/states/1", BETWEEN, join(import.meta.dirname, "own.test.ts")));
  for (const name of readdirSync(cache)) writeFileSync(join(cache, name), '{"cases":');
  t.false(await known("/states/1", BETWEEN), "half a file is none");

  await keepResults({ dir: "/states/1", tree: BETWEEN }, file, results, ["m", "none"], cache);
  t.true(await known("/states/2", BETWEEN));
  t.true(await known("/states/2", changed("drivers/n.ts")));
  for (const path of ["drivers/m.ts", "include/linux/new.ts", "drivers/none.ts"])
    t.false(await known("/states/2", changed(path)), path);
  await keepResults({ dir: "/states/3", tree: BETWEEN }, file, results, ["toy"], cache);
  t.false(await known("/states/4", changed("drivers/m.ts")), "an out-of-tree module imports what it likes");

  const longAgo = new Date(Date.now() - 15 * 24 * 3600_000);
  for (const name of readdirSync(cache)) utimesSync(join(cache, name), longAgo, longAgo);
  forgetOldResults(cache);
  t.deepEqual(readdirSync(cache), []);
  await t.notThrowsAsync(
    keepResults({ dir: "/states/1", tree: BETWEEN }, file, results, ["m"], join(file, "no-folder")),
  );
});

test("the modules that a kernel is asked for", (t) => {
  const images = new Map([
    ["a", { aliases: ["x"] }],
    ["b", { aliases: [] }],
  ]);
  const kernel = { module_images: () => images };
  const seen = watchModules(kernel);
  t.deepEqual(images.get("a")?.aliases, ["x"]);
  images.get("none");
  t.deepEqual([...seen].sort(), ["a", "none"]);
  seen.clear();
  for (const m of images.values()) t.truthy(m);
  t.deepEqual([...watchModules(kernel)], [], "going through all of them is not yet asking");
  t.is([...images.values()].filter((m) => m.aliases.length > 0).length, 1);
  t.deepEqual([...seen].sort(), ["a", "b"], "looking at their aliases is");
});

test("threads: more jobs than threads, nothing to do, and a state that cannot be loaded", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const pool = new ThreadPool();
  t.teardown(() => pool.close());
  const [state] = await statesOf("v1", f);
  const dirs = ["nowhere", null, "nowhere", state?.dir ?? "", "nowhere"];
  const columns = await Promise.all(
    dirs.map((dir, i) => pool.run(async () => (dir === null ? null : { state: { name: String(i), dir }, files: [] }))),
  );
  t.deepEqual(
    columns.map((c) => c.broken !== undefined),
    [true, false, true, false, true],
  );
  await t.throwsAsync(
    pool.run(() => Promise.reject(new Error("no"))),
    { message: "no" },
  );
});
