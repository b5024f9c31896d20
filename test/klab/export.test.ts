// SPDX-License-Identifier: GPL-2.0-only
/** klab export: commits, tags, ids, and what is refused. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";
import { mailOf } from "../../tools/klab/export/mail.ts";
import { exportTo } from "../../tools/klab/export/repository.ts";
import { readPatch } from "../../tools/klab/states/patch.ts";
import { BASE, fixture, type Fixture, PATCH_1, PATCH_2, USER_DRV } from "./tree.ts";

const dated = (patch: string, date: string): string => patch.replace("Subject:", `Date: ${date}\nSubject:`);
const ONE = dated(PATCH_1, "Wed, 19 Oct 2022 18:21:29 +0200");
const TWO = dated(PATCH_2, "Thu, 20 Oct 2022 01:00:00 -0500");

function git(dir: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("git", ["-C", dir, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}
const place = (f: Fixture, name: string): string => join(dirname(f.root), name);

test("one commit per patch, with its author, date and words; the ids are always the same", async (t) => {
  const f = fixture(BASE, { v1: [ONE, TWO] });
  t.teardown(f.dispose);
  const [one, two] = [place(f, "one"), place(f, "deep/two")];
  t.deepEqual(await exportTo(one, "v1", f), ["v1-0", "v1-1", "v1-2"]);
  mkdirSync(two, { recursive: true });
  await exportTo(two, "v1", f);
  t.is(git(one, "rev-parse", "HEAD"), git(two, "rev-parse", "HEAD"));
  t.deepEqual(git(one, "log", "--reverse", "--format=%s|%an <%ae>|%ad|%cn", "--date=iso").split("\n"), [
    "The base of v1|klab <klab@localhost>|2022-10-16 22:36:24 +0000|klab",
    "user: count from ten|A <a@example.org>|2022-10-19 18:21:29 +0200|klab",
    "user: a new file|A <a@example.org>|2022-10-20 01:00:00 -0500|klab",
  ]);
  t.is(git(one, "log", "-1", "--format=%b", "v1-1"), "Words.");
  t.is(git(one, "status", "--porcelain"), "");
  t.is(git(one, "rev-parse", "v1-2"), git(one, "rev-parse", "main"));
  t.is(git(one, "show", "v1-0:drivers/user/user_drv.ts"), USER_DRV.trim());
  t.regex(git(one, "show", "v1-1:drivers/user/user_drv.ts"), /10 \+ inline_helper/);
  t.deepEqual(git(one, "diff", "--name-only", "v1-1", "v1-2").split("\n"), ["drivers/user/extra.ts"]);
  const { scripts, imports } = JSON.parse(readFileSync(join(one, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
    imports: object;
  };
  t.is(scripts["test"], "ava");
  t.truthy(imports);
  t.deepEqual(
    readdirSync(dirname(one)).filter((name) => name.startsWith(".")),
    [],
    "nothing is left beside it",
  );
});

test("refused: a folder in use, a file, a mail without a date; and then nothing is written", async (t) => {
  const f = fixture(BASE, { v1: [ONE], v2: [PATCH_1] });
  t.teardown(f.dispose);
  const used = place(f, "used");
  mkdirSync(used);
  writeFileSync(join(used, "mine"), "x");
  await t.throwsAsync(exportTo(used, "v1", f), { message: /is not empty/ });
  t.deepEqual(readdirSync(used), ["mine"]);
  await t.throwsAsync(exportTo(join(used, "mine"), "v1", f), { message: /is not a folder/ });
  await t.throwsAsync(exportTo(place(f, "new"), "v2", f), { message: /From: and Date:/ });
  await t.throwsAsync(exportTo(place(f, "new"), "v9", f), { message: /no version "v9"/ });
  t.false(existsSync(place(f, "new")));
});

test("a mail as a commit", (t) => {
  const mail = mailOf(readPatch("p", ONE));
  t.deepEqual(mail, {
    author: { who: "A <a@example.org>", when: "1666196489 +0200" },
    message: "user: count from ten\n\nWords.\n",
  });
  t.throws(() => mailOf(readPatch("p", ONE.replace("A <a@example.org>", "nobody"))), { message: /^p: a commit needs/ });
});
