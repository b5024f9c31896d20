// SPDX-License-Identifier: GPL-2.0-only
/** Exported versions in the hands of git alone: bisect run, log, range-diff. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { exportTo } from "../../tools/klab/export/repository.ts";
import { ROOT } from "../../tools/klab/paths.ts";

function git(dir: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("git", ["-C", dir, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

async function exported(t: { teardown(end: () => void): void }, version: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "klab-export-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const dir = join(folder, version);
  await exportTo(dir, version);
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  return dir;
}

const RUN = "node tools/klab/bin.mjs run --state .";
const FAULTS: readonly (readonly [what: string, old: string, now: string, command: string, first: string])[] = [
  ["S14 comes", "v1-0", "v1-4", `${RUN} fault-each --report 'Objects remaining'`, "v1-4"],
  ["S14 goes", "v1-4", "v1-7", `! ${RUN} fault-each --report 'Objects remaining'`, "v1-5"],
  ["S16 comes", "v1-0", "v1-7", `${RUN} reboot-no-mdev --report vfio_ccw_sch_shutdown`, "v1-4"],
  ["S03 comes", "v2-0", "v2-7", `${RUN} bind-unbind`, "v2-1"],
];
for (const [what, old, now, command, first] of FAULTS) {
  test(`git bisect run: ${what} with ${first}`, async (t) => {
    t.timeout(10 * 60_000);
    const dir = await exported(t, first.slice(0, 2));
    git(dir, "bisect", "start", "--term-old=old", "--term-new=new", now, old);
    git(dir, "bisect", "run", "sh", "-c", command);
    t.is(git(dir, "rev-parse", "refs/bisect/new").trim(), git(dir, "rev-parse", first).trim());
  });
}

test("git range-diff and git log -p between versions", async (t) => {
  t.timeout(5 * 60_000);
  const [one, three] = [await exported(t, "v1"), await exported(t, "v3")];
  git(one, "fetch", "--quiet", "--tags", three);
  const diff = git(one, "range-diff", "v1-0..v1-7", "v3-0..v3-7");
  const heads = diff.split("\n").filter((line) => /^\d+: /.test(line));
  t.deepEqual(
    heads.map((line) => line.replace(/[0-9a-f]{7,}/g, "ID").slice(0, 15)),
    [1, 2, 3, 4, 5, 6, 7].map((n) => `${n}:  ID ! ${n}:  ID`),
  );
  t.regex(diff, /device_register/);
  t.regex(git(three, "log", "-p", "-1", "v3-1"), /\+ {2}if \(!parent\) return -ENOMEM;/);
  t.is(git(one, "rev-parse", "v1-0^{tree}").length, git(three, "rev-parse", "v3-0^{tree}").length);
});
