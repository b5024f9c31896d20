// SPDX-License-Identifier: GPL-2.0-only
/** What a file gave in a state: kept by content, and by nothing else. */
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { contentOf, type FileResults, forgetOldResults, keepResults, knownResults } from "../../tools/klab/results.ts";
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

test("results are found again for the same state and the same file only", (t) => {
  const cache = folder(t);
  const file = join(import.meta.dirname, "tree.ts");
  const results: FileResults = { cases: { a: { holds: false, reason: "why" } }, scenarios: { s: ["BUG"] } };
  t.is(knownResults("/states/1", file, cache), null);
  keepResults("/states/1", file, results, cache);
  t.deepEqual(knownResults("/states/1", file, cache), results);
  t.is(knownResults("/states/2", file, cache), null);
  t.is(knownResults("/states/1", join(import.meta.dirname, "own.test.ts"), cache), null);
  const [name = ""] = readdirSync(cache);
  writeFileSync(join(cache, name), '{"cases":');
  t.is(knownResults("/states/1", file, cache), null, "half a file is none");
  keepResults("/states/1", file, results, cache);
  const longAgo = new Date(Date.now() - 15 * 24 * 3600_000);
  utimesSync(join(cache, name), longAgo, longAgo);
  forgetOldResults(cache);
  t.deepEqual(readdirSync(cache), []);
  t.notThrows(() => keepResults("/states/1", file, results, join(file, "no-folder")));
});

test("threads: more jobs than threads, and a state that cannot be loaded", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const pool = new ThreadPool();
  t.teardown(() => pool.close());
  const [state] = await statesOf("v1", f);
  const dirs = ["nowhere", "nowhere", state?.dir ?? "", "nowhere"];
  const begun: number[] = [];
  const columns = await Promise.all(
    dirs.map((dir, i) => pool.run({ state: { name: String(i), dir }, files: [] }, () => begun.push(i))),
  );
  t.deepEqual(
    columns.map((c) => c.broken !== undefined),
    [true, true, false, true],
  );
  t.deepEqual(begun, [0, 1, 2, 3]);
});
