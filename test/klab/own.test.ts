// SPDX-License-Identifier: GPL-2.0-only
/** Series of the user's own: what is read, what is refused, and that nothing is left of what was refused. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";
import { exportTo } from "../../tools/klab/export/repository.ts";
import { sourcesOf, statesOf } from "../../tools/klab/states/index.ts";
import { readMails } from "../../tools/klab/states/mbox.ts";
import { addSeries, removeSeries } from "../../tools/klab/states/own.ts";
import { versionNames } from "../../tools/klab/states/series.ts";
import type { Verdict } from "../../tools/klab/verdict.ts";
import { BASE, fixture, type Fixture, PATCH_1, PATCH_2, patchText, USER_DRV, writeFiles } from "./tree.ts";

const numbered = (patch: string, n: number, m: number): string => patch.replace("v1 1/2", `v1 ${n}/${m}`);
const ONE = numbered(PATCH_1, 1, 2);
const TWO = numbered(PATCH_2, 2, 2);
const separated = (patch: string): string => patch.replace(/^From 0 /, `From ${"0".repeat(40)} `);
const MBOX = [
  separated("From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH v1 0/2] two\n\nWhat for.\n"),
  separated(TWO),
  separated(ONE),
].join("\n");

const FINE = async (): Promise<Verdict> => true;
const BASE_ONLY = { on: "base", typecheck: FINE };

function put(f: Fixture, name: string, text: string): string {
  const path = join(dirname(f.root), name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
const made = (f: Fixture): string[] =>
  existsSync(join(f.cache, "states")) ? readdirSync(join(f.cache, "states")) : [];

test("an mbox becomes a version: in the order of its numbers, without its cover letter", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const { states, folder } = await addSeries("mine", put(f, "in.mbox", MBOX), BASE_ONLY, f);
  t.deepEqual(states, ["mine:0", "mine:1", "mine:2"]);
  t.deepEqual(readdirSync(folder).sort(), ["0001-user-count-from-ten.patch", "0002-user-a-new-file.patch", "series"]);
  t.deepEqual(
    (await statesOf("mine", f)).map((s) => `${s.name} ${s.subject} ${s.files.join()}`),
    [
      "mine:0 base ",
      "mine:1 user: count from ten drivers/user/user_drv.ts",
      "mine:2 user: a new file drivers/user/extra.ts",
    ],
  );
  t.is((await statesOf("mine", f))[2]?.dir, (await statesOf("v1", f))[2]?.dir, "the same content is the same state");
  t.deepEqual(versionNames(f.patches), ["mine", "v1"]);
  removeSeries("mine", f);
  t.deepEqual(versionNames(f.patches), ["v1"]);
  t.deepEqual(readdirSync(f.patches), ["s"]);
});

test("a patch without a subject goes by the name of its file", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const bare = patchText("user: more", { "drivers/user/extra.ts": [null, "export {};\n"] }).replace(
    /^Subject:.*\n/m,
    "",
  );
  await addSeries("mine", put(f, "0003-forget-one-put.patch", bare), BASE_ONLY, f);
  t.deepEqual(
    (await statesOf("mine", f)).map((s) => s.subject),
    ["base", "forget-one-put"],
  );
});

test("a folder of patches, on top of a state of another series", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const more = patchText("user: more", {
    "drivers/user/extra.ts": ["export function extra(): number { return 5; }\n", null],
  });
  put(f, "in/0001-more.patch", more);
  put(f, "in/README", "not a patch");
  const { states } = await addSeries("on-two", join(dirname(f.root), "in"), { on: "v1:2", typecheck: FINE }, f);
  t.is(states.at(-1), "on-two:3");
  const sources = await sourcesOf("on-two", f);
  t.false(sources[3]?.tree.has("drivers/user/extra.ts"));
  t.true(sources[2]?.tree.has("drivers/user/extra.ts"));
});

const MAIL = (encoding: string, body: string): string =>
  `From: =?UTF-8?q?J=C3=BCrgen?= <j@example.org>\nSubject: =?utf-8?B?${Buffer.from("[PATCH] döner").toString("base64")}?=\nX-Mailer: y\nContent-Transfer-Encoding: ${encoding}\n\n${body}`;
const DIFF = "Words.\n---\ndiff --git a/kernel/x.ts b/kernel/x.ts\n+const a = 1;\n";
const MAILS: readonly (readonly [string, string])[] = [
  ["8bit", DIFF],
  ["quoted-printable", DIFF.replace("a = 1", "a =3D=\n 1")],
  ["base64", Buffer.from(DIFF).toString("base64")],
];
for (const [encoding, body] of MAILS) {
  test(`a mail in ${encoding}`, (t) => {
    const f = fixture();
    t.teardown(f.dispose);
    const [mail] = readMails(put(f, "one.eml", MAIL(encoding, body)));
    t.is(
      mail?.text.trim(),
      `From ${"0".repeat(40)} Mon Sep 17 00:00:00 2001\nFrom: Jürgen <j@example.org>\nSubject: [PATCH] döner\n\n${DIFF}`.trim(),
    );
  });
}

const moved = (before: string, after: string): string =>
  `diff --git a/${before} b/${after}\nsimilarity index 100%\nrename from ${before}\nrename to ${after}\n`;
const USER = "drivers/user/user.ts";
const REFUSED: readonly (readonly [what: string, text: string, why: RegExp])[] = [
  ["nothing in it", "Subject: hello\n\nnothing\n", /no `diff --git` in it/],
  [
    "half a series",
    `${separated(numbered(PATCH_1, 1, 3))}\n${separated(numbered(PATCH_2, 3, 3))}`,
    /patch 2\/3 is missing/,
  ],
  ["two versions of one", `${separated(ONE)}\n${separated(ONE)}\n${separated(TWO)}`, /2 mails are patch 1\/2/],
  [
    "does not apply",
    PATCH_1.replace("core_free();", "core_fere();"),
    /does not apply: drivers\/user\/user_drv\.ts: hunk 1 of 1/,
  ],
  ["another file", PATCH_1.replaceAll("user_drv.ts", "none.ts"), /none\.ts: there is no such file/],
  [
    "a patch of the C code",
    PATCH_1.replaceAll("user_drv.ts", "user_drv.c"),
    /user_drv\.c: .*the port of it is drivers\/user\/user_drv\.ts/,
  ],
  ["up and out", PATCH_2.replaceAll("drivers/user/extra.ts", "../evil.ts"), /leads out of the tree/],
  ["absolute", PATCH_2.replaceAll("b/drivers/user/extra.ts", "/etc/evil.ts"), /leads out of the tree/],
  ["a link", PATCH_2.replace("100644", "120000"), /extra\.ts: mode 120000/],
  ["a submodule", PATCH_2.replace("100644", "160000"), /extra\.ts: mode 160000/],
  [
    "a file becomes a link",
    `diff --git a/${USER} b/${USER}\nold mode 100644\nnew mode 120000\n--- a/${USER}\n+++ b/${USER}\n@@ -1,1 +1,1 @@\n-x\n+/etc/passwd\n`,
    /user\.ts: mode 120000/,
  ],
  [
    "a file becomes a link, and nothing else",
    `diff --git a/${USER} b/${USER}\nold mode 100644\nnew mode 120000\n`,
    /user\.ts: mode 120000/,
  ],
  ["a rename", moved(USER, "drivers/user/u.ts"), /--no-renames/],
  ["a rename out", moved(USER, "../../u.ts"), /--no-renames|leads out of the tree/],
  [
    "does not type-check",
    ONE + "\n" + separated(TWO),
    /in\.patch, patch 2 does not type-check: drivers\/x\.ts\(1,2\): error \(and 1 more\)/,
  ],
];
for (const [what, text, why] of REFUSED) {
  test(`refused: ${what}`, async (t) => {
    const f = fixture();
    t.teardown(f.dispose);
    let asked = 0;
    const typecheck = async (): Promise<Verdict> =>
      what.startsWith("does not type-check") && ++asked === 2 ? ["drivers/x.ts(1,2): error", "another"] : true;
    const error = await t.throwsAsync(addSeries("mine", put(f, "in.patch", text), { on: "base", typecheck }, f), {
      name: "InputError",
      message: why,
    });
    t.notRegex(error?.message ?? "", /\n/);
    t.deepEqual(versionNames(f.patches), ["v1"]);
    t.deepEqual(readdirSync(f.patches), ["s"]);
    t.is(made(f).length, asked === 2 ? 1 : 0, "only the state that was fine");
    t.deepEqual(existsSync(f.cache) ? readdirSync(f.cache).filter((name) => name.startsWith(".series")) : [], []);
  });
}

const NAMES: readonly (readonly [name: string, on: string, why: RegExp])[] = [
  ["v1", "base", /there is a series v1 already/],
  ["check", "base", /cannot be called check/],
  ["../x", "base", /is no name for a series/],
  ["mine", "v9", /no state "v9"/],
  ["mine", "v1:7", /v1:0 to v1:2/],
  ["mine", ".", /--on takes a state of a series/],
];
for (const [name, on, why] of NAMES) {
  test(`refused: ${name} on ${on}`, async (t) => {
    const f = fixture();
    t.teardown(f.dispose);
    const source = put(f, "in.patch", PATCH_1);
    await t.throwsAsync(addSeries(name, source, { on, typecheck: FINE }, f), { name: "InputError", message: why });
    await t.throwsAsync(addSeries("mine", join(f.root, "nothing"), BASE_ONLY, f), { message: /there is no .*nothing/ });
    await t.throwsAsync(addSeries("mine", f.root, BASE_ONLY, f), { message: /neither a file `series` nor any/ });
    t.throws(() => removeSeries("v1", f), { message: /belongs to this project/ });
  });
}

test("a folder with a tree stands where a version stands: the base, and it", async (t) => {
  const f = fixture();
  t.teardown(f.dispose);
  const tree = join(dirname(f.root), "own");
  writeFiles(tree, { ...BASE, "drivers/user/user_drv.ts": USER_DRV.replace("return inline", "return 10 + inline") });
  const states = await statesOf(tree, f);
  t.deepEqual(
    states.map((s) => s.name),
    ["base", tree],
  );
  t.is(states[0]?.dir, (await statesOf("v1", f))[0]?.dir);
  const out = join(dirname(f.root), "out");
  t.deepEqual(await exportTo(out, tree, f), ["own-0", "own-1"]);
});
