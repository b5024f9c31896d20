// SPDX-License-Identifier: GPL-2.0-only
/** States: what they are called, how they are made, and what is left behind when that goes wrong. */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import test from "ava";
import { ROOT } from "../../tools/klab/paths.ts";
import { materialise } from "../../tools/klab/states/cache.ts";
import { state, statesOf } from "../../tools/klab/states/index.ts";
import { loadKernel } from "../../tools/klab/states/load.ts";
import { parseState } from "../../tools/klab/states/names.ts";
import { applyTo, readPatch } from "../../tools/klab/states/patch.ts";
import { readTree } from "../../tools/klab/states/tree.ts";
import { BASE, fixture, type Fixture, PATCH_1, PATCH_2, patchText, USER_DRV, writeFiles } from "./tree.ts";

/** What the fixture's kernel exports. */
interface TinyKernel {
  probe(): number;
  order: readonly string[];
  where: string;
  linked(): unknown;
}
const tiny = async (dir: string): Promise<TinyKernel> => (await loadKernel(dir)).kernel as unknown as TinyKernel;

const made = (f: Fixture): string[] =>
  existsSync(join(f.cache, "states")) ? readdirSync(join(f.cache, "states")) : [];

test("names of states", (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  for (const [text, name] of [
    ["base", "base"],
    ["v1", "v1:2"],
    ["v1:0", "v1:0"],
    ["v1:base", "v1:0"],
    ["v1:2", "v1:2"],
    [f.root, f.root],
  ] as const) {
    t.is(parseState(text, f.patches).name, name);
  }
  for (const [text, why] of [
    ["v1:3", /no state "v1:3": v1 has the states v1:0 to v1:2/],
    ["v1:-1", /v1:0 to v1:2/],
    ["v1:", /v1:0 to v1:2/],
    ["v1:1x", /v1:0 to v1:2/],
    ["v3:1", /no version "v3"; did you mean v1/],
    ["bsae", /did you mean base/],
    ["/nowhere/at/all", /nor a folder of that name/],
    ["/etc/passwd", /nor a folder of that name/],
    ["/etc/passwd/x", /nor a folder of that name/],
  ] as const) {
    t.throws(() => parseState(text, f.patches), { name: "InputError", message: why }, text);
  }
});

test("states load side by side, in link order, each with its own link table", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const states = await statesOf("v1", f);
  t.deepEqual(
    states.map((s) => [s.name, s.subject, s.files]),
    [
      ["v1:0", "base", []],
      ["v1:1", "user: count from ten", ["drivers/user/user_drv.ts"]],
      ["v1:2", "user: a new file", ["drivers/user/extra.ts"]],
    ],
  );
  const kernels = await Promise.all(states.map((s) => tiny(s.dir)));
  t.deepEqual(
    kernels.map((k) => k.probe()),
    [3, 13, 13],
  );
  t.deepEqual(kernels[0]?.order, ["core", "user"]);
  // No inlines of include/, no types, no classes, nothing of the module's own.
  t.deepEqual(kernels[0]?.linked(), {
    core: [],
    user: [
      { symbol: "core_alloc", from: "core" },
      { symbol: "core_free", from: "core" },
    ],
  });
  t.is(kernels[1]?.where, pathToFileURL(join(states[1]?.dir ?? "", "kernel/lab.ts")).href);
  const base = await state("base", f);
  t.is(base.dir, states[0]?.dir ?? "", "equal content is one folder");
});

test("a module of test/modules/ that a state does not provide for is named, and the rest loads", async (t) => {
  const f = fixture({
    ...BASE,
    "test/modules/good.ts":
      'import { core_alloc } from "#linux/core.ts";\nexport const one = (): number => core_alloc(0);\n',
    "test/modules/inlines.ts":
      'import { core_free_twice } from "#linux/core_inline.ts";\nexport const one = (): void => core_free_twice();\n',
    "test/modules/bad.ts": 'import { gone } from "#linux/core.ts";\nexport const one = (): number => gone();\n',
  });
  t.teardown(f.dispose);
  const { dir } = await state("base", f);
  const { broken, kernel } = await loadKernel(dir);
  t.deepEqual([...broken.keys()], ["test/modules/bad.ts"]);
  t.regex(broken.get("test/modules/bad.ts") ?? "", /gone/);
  t.deepEqual((kernel as unknown as TinyKernel).linked(), {
    core: [],
    user: [
      { symbol: "core_alloc", from: "core" },
      { symbol: "core_free", from: "core" },
    ],
    good: [{ symbol: "core_alloc", from: "core" }],
    bad: [],
    inlines: [{ symbol: "core_free", from: "core" }],
  });
});

test("a state is made once, and again when the sources change; never edited", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const first = await state("v1:1", f);
  const { ino } = statSync(first.dir);
  const again = await state("v1:1", f);
  t.is(again.dir, first.dir);
  t.is(statSync(again.dir).ino, ino);
  t.is(statSync(join(first.dir, "drivers/user/user_drv.ts")).mode & 0o222, 0);

  writeFiles(f.root, { "include/linux/note.ts": `${BASE["include/linux/note.ts"] ?? ""}// edited\n` });
  const edited = await state("v1:1", f);
  t.not(edited.dir, first.dir);
  t.regex(readFileSync(join(edited.dir, "include/linux/note.ts"), "utf8"), /edited/);

  // Neither scripts nor dependencies make another state.
  writeFiles(f.root, { "package.json": (BASE["package.json"] ?? "").replace("1.0.0", "2.0.0") });
  t.is((await state("v1:1", f)).dir, edited.dir);

  // A folder of the user's own is copied too: what runs does not change under us.
  const own = await state(f.root, f);
  t.is((await tiny(own.dir)).probe(), 3);
});

test("patches: offsets, new files, deletions", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const tree = readTree(f.root);
  const shifted = new Map(tree).set("drivers/user/user_drv.ts", `// one\n// two\n${USER_DRV}`);
  const after = applyTo(shifted, readPatch("p", PATCH_1));
  t.regex(after.get("drivers/user/user_drv.ts") ?? "", /^\/\/ one\n[^]*return 10 \+/);
  const created = applyTo(tree, readPatch("p", PATCH_2));
  t.is(created.get("drivers/user/extra.ts"), "export function extra(): number { return 5; }\n");
  const removal = patchText("gone", {
    "drivers/user/extra.ts": ["export function extra(): number { return 5; }\n", null],
  });
  t.deepEqual([...applyTo(created, readPatch("p", removal))], [...tree]);
  t.is(readPatch("p", PATCH_1).subject, "user: count from ten");
});

const text = (before: string, after: string): string => patchText("x", { "drivers/user/user_drv.ts": [before, after] });
const renamed = (to: string): string => PATCH_2.replaceAll("drivers/user/extra.ts", to);
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  [
    "context that is not there",
    text(
      USER_DRV.replace("core_free();", "core_free(1);"),
      USER_DRV.replace("core_free();", "core_free(1); // x").replace("return", "return 1 +"),
    ),
    /user_drv\.ts: hunk 1 of 1 \(@@ -\d+,\d+ @@\) does not fit/,
  ],
  ["context nearly there: no fuzz", text(`// other\n${USER_DRV}`, `// other\n// more\n${USER_DRV}`), /hunk 1 of 1/],
  [
    "file that is not there",
    patchText("x", { "drivers/no.ts": ["a\n", "b\n"] }),
    /drivers\/no\.ts: there is no such file/,
  ],
  [
    "new file that is there",
    patchText("x", { "drivers/user/user.ts": [null, "a\n"] }),
    /user\.ts: it is there already/,
  ],
  [
    "deletion of unknown lines",
    patchText("x", { "drivers/user/user.ts": ["export {};\n", null] }),
    /does not fit|does not know/,
  ],
  ["up and out", renamed("../evil.ts"), /leads out of the tree/],
  ["up and out, deeper", renamed("drivers/../../evil.ts"), /leads out of the tree/],
  ["absolute", renamed("/etc/evil.ts"), /leads out of the tree/],
  ["another room", renamed("tools/klab/evil.ts"), /is not in include\//],
  ["the manifest", renamed("package.json"), /is not in include\//],
  ["a symbolic link", PATCH_2.replace("100644", "120000"), /mode 120000/],
  ["a program", PATCH_2.replace("100644", "100755"), /mode 100755/],
  [
    "a rename",
    "diff --git a/drivers/user/user.ts b/drivers/user/u.ts\nsimilarity index 100%\nrename from drivers/user/user.ts\nrename to drivers/user/u.ts\n",
    /--no-renames/,
  ],
  ["no patch", "Subject: hello\n\nnothing here\n", /no `diff --git`/],
  ["cut off", PATCH_1.slice(0, PATCH_1.indexOf("+  return 10")), /not a patch/],
];
for (const [what, patch, why] of REFUSED) {
  test(`refused: ${what}`, async (t) => {
    const f = fixture(BASE, { v1: [patch] });
    t.teardown(f.dispose);
    const error = await t.throwsAsync(state("v1:1", f), { name: "InputError", message: why });
    t.notRegex(error?.message ?? "", /\n/);
    t.regex(error?.message ?? "", /0001-x\.patch/);
    t.deepEqual(made(f), []);
  });
}

test("a tree with a link in it, and one that is no tree, are refused", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  await t.throwsAsync(state(f.patches, f), { message: /no kernel\/Kbuild\.ts/ });
  symlinkSync("/etc/passwd", join(f.root, "drivers/link.ts"));
  await t.throwsAsync(state("base", f), { message: /link\.ts is neither a file nor a folder/ });
});

test("a tree that does not compile is refused, and nothing is left", async (t) => {
  const f = fixture({ ...BASE, "drivers/user/user.ts": "export const = 4;\n" });
  t.teardown(f.dispose);
  await t.throwsAsync(state("base", f), { name: "InputError", message: /drivers\/user\/user\.ts does not compile/ });
  t.deepEqual(made(f), []);
});

/** Runs a script beside the sources in a process of its own; resolves at its first line of output. */
async function script(code: string): Promise<{ child: ReturnType<typeof spawn>; ended: Promise<number | null> }> {
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((done) => child.on("close", done));
  await new Promise((done) => child.stdout?.once("data", done));
  return { child, ended };
}
const CACHE_URL = JSON.stringify(pathToFileURL(join(ROOT, "tools/klab/states/cache.ts")).href);
const HASH = "0123456789abcdef0123456789abcdef";
const hangs = (root: string): string => `
  import { writeFileSync } from "node:fs";
  import { materialise } from ${CACHE_URL};
  setInterval(() => {}, 1000);
  await materialise(${JSON.stringify(root)}, "${HASH}", async (folder) => {
    writeFileSync(folder + "/half", "written");
    console.log("half");
    await new Promise(() => {});
  });`;

test("killed in the middle: nothing is taken for a state, and the next run cleans up", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const root = join(f.cache, "states");
  const { child, ended } = await script(hangs(root));
  // Somebody else's work that is going on stays.
  await materialise(root, "f".repeat(32), async () => {});
  t.is(readdirSync(root).filter((name) => name.startsWith(".tmp-")).length, 1);
  child.kill("SIGKILL");
  await ended;
  t.false(existsSync(join(root, HASH)));
  await materialise(root, HASH, async (folder) => writeFileSync(join(folder, "whole"), "yes"));
  t.deepEqual(readdirSync(root).sort(), [HASH, "f".repeat(32)]);
  t.deepEqual(readdirSync(join(root, HASH)), ["whole"]);
});

test("Ctrl-C in the middle leaves nothing", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const root = join(f.cache, "states");
  const { child, ended } = await script(hangs(root));
  child.kill("SIGINT");
  t.is(await ended, 130);
  t.deepEqual(readdirSync(root), []);
});

test("several at once make one state", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const dirs = await Promise.all([1, 2, 3, 4].map(() => state("v1:2", f)));
  t.is(new Set(dirs.map((s) => s.dir)).size, 1);
  t.is(made(f).length, 1);
  // Both past the look, one before the other at the rename.
  const root = join(f.cache, "states");
  let open = (): void => {};
  const gate = new Promise<void>((done) => (open = done));
  const both = [1, 2].map((n) =>
    materialise(root, HASH, async (folder) => {
      await gate;
      writeFileSync(join(folder, "by"), String(n));
    }),
  );
  open();
  t.is(new Set(await Promise.all(both)).size, 1);
  t.deepEqual(
    made(f).filter((name) => name.startsWith(".tmp-")),
    [],
  );
});

test("states that nobody has used for long are removed", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const root = join(f.cache, "states");
  const old = new Date(Date.now() - 30 * 24 * 3600_000);
  for (const hash of ["a".repeat(32), "b".repeat(32)]) mkdirSync(join(root, hash), { recursive: true });
  mkdirSync(join(root, "somebody's own"));
  utimesSync(join(root, "a".repeat(32)), old, old);
  await materialise(root, HASH, async () => {});
  t.deepEqual(readdirSync(root).sort(), [HASH, "b".repeat(32), "somebody's own"]);
});

test("a cache that cannot be written says so in one line", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  writeFileSync(f.cache, "a file where the folder should be");
  await t.throwsAsync(state("base", f), { name: "InputError", message: /cannot be written to .*; make it writable/ });
});
