// SPDX-License-Identifier: GPL-2.0-only
/** The command line: what wrong input gets, and the shapes of --json. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test from "ava";
import { type Group, interleave, median, type Row, type Subject } from "../../tools/klab/bench/group.ts";
import { showBench } from "../../tools/klab/commands/bench.ts";
import type { Share } from "../../tools/klab/source/inventory.ts";
import { LEFT_OUT } from "../../tools/klab/source/left-out.ts";
import { main } from "../../tools/klab/main.ts";
import { ROOT } from "../../tools/klab/paths.ts";
import { Terminal } from "../../tools/klab/terminal.ts";

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function klab(...args: string[]): Promise<Ended> {
  let [out, err] = ["", ""];
  const code = await main(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

const BAD: readonly (readonly [string, RegExp])[] = [
  ["sereis", /no command "sereis"; did you mean series\?/],
  ["frobnicate", /no command "frobnicate"; there is series/],
  ["--jsn", /unknown option '--jsn'; did you mean --json\?/],
  ["series --jsn", /did you mean --json/],
  ["series v1 v2", /too many arguments/],
  ["series chekc", /did you mean klab series check/],
  ["series v77", /no version "v77"/],
  ["series check v77", /no version "v77"/],
  ["run", /missing required argument 'scenario'/],
  ["run x", /--state v1:4/],
  ["run x --state", /argument missing/],
  ["run no-such-scenario --state base", /no scenario "no-such-scenario"/],
  ["test --state v77:1", /no version "v77"/],
  ["test --state /nowhere", /no state "\/nowhere", nor a folder/],
  ["test test/series/0001.test.ts --state v2:1", /no file test\/series\/0001\.test\.ts in the checkout/],
  ["test --state ", /a state has a name; say v1:4/],
  ["series add v1 x.patch", /a series v1 already; take another name$/m],
  ["explore start-io --state v1:0 --faults 9999999999", /not a whole number from 0 to 999999999/],
  ["ports extra", /too many arguments/],
  ["scenarios --state v1", /unknown option '--state'/],
  ["golden", /missing required argument 'file'/],
  ["golden no-such-trace.jsonl", /no-such-trace\.jsonl/],
  ["golden a --b c", /unknown option '--b'/],
  ["compare v1:0", /name two states, for example/],
  ["compare v1:0 v1:9", /v1:0 to v1:7/],
  ["compare v1:0 v1:1 no-such-scenario", /no scenario "no-such-scenario"/],
  ["compare v1:0 --docs", /leave the states out/],
  ["bisect --good v1:0", /--good v1:0 --bad v1:7/],
  ["bisect --good v1:0 --old v1:0 --bad v1:7", /the same end/],
  ["bisect --good v1:0 --bad v1:7", /--scenario X, or a command behind --/],
  ["bisect --good v1:0 --bad v1:7 --report x -- true", /name the scenario with --scenario/],
  ["bisect --good v1:0 --bad v1:7 --scenario x -- true", /both judge/],
  ["bisect --good v1:7 --bad v1:0 -- true", /v1:7 does not come before v1:0/],
  ["bisect --good . --bad v1:7 -- true", /not states of one version/],
  ["bisect --replay no-such-log", /no-such-log cannot be read/],
  ["explore start-io", /--state v1:4/],
  ["explore start-io --state v1:0 --strategy rnadom", /did you mean random\?/],
  ["explore start-io --state v1:0 --executions 0", /not a whole number from 1 on/],
  ["explore start-io --state v1:0 --seed x", /not a whole number from 0 on/],
  ["explore fault-each --state v1:0", /klab run fault-each/],
  ["explore start-io --state v1:0 --shard 2", /--shard "2" is not a part of a whole/],
  ...["preemptions", "faults"].map(
    (name) =>
      [
        `explore start-io --state v1:0 --${name} x`,
        new RegExp(`--${name} "x" is not a whole number from 0 on`),
      ] as const,
  ),
  ...["time", "workers"].map(
    (name) =>
      [`explore start-io --state v1:0 --${name} 0`, new RegExp(`--${name} "0" is not a whole number from 1`)] as const,
  ),
  ["replay nonsense", /"nonsense" is not a replay token/],
  ["run start-io --state v1:0 --schedule nonsense", /is not a replay token/],
  ["replay k3~start-io~v1:0~0123456789ab~f1o~168~00000000", /cut short or changed[^;]*; copy it whole/],
  [
    "run start-io --state v1:0 --schedule k3~start-io~v1:0~0123456789ab~f1o~1",
    /cut short or changed[^;]*; copy it whole/,
  ],
  ["export package.json", /package\.json is not a folder/],
  ["export tools", /tools is not empty/],
  ["bench no-such-group", /no group "no-such-group"; there is/],
  ["bench --qick", /did you mean --quick/],
  ["bugs v9", /there is no version "v9"/],
  ["bugs v1 --executions 0", /not a whole number from 1 on/],
];
for (const [line, why] of BAD) {
  test(`refused: klab ${line}`, async (t) => {
    const words = line.split(" ");
    for (const args of [words, ["--json", ...words]]) {
      const { code, out, err } = await klab(...args);
      t.is(code, 2);
      t.is(out, "", "stdout is for results");
      t.regex(err, why);
      t.regex(err, /^klab: [^\n]+\n$/, "one line");
    }
  });
}

test("help lists what is there", async (t) => {
  const { code, out } = await klab("--help");
  t.is(code, 0);
  for (const name of ["series", "scenarios", "run", "test", "explore", "bugs", "bench", "ports", "golden"])
    t.regex(out, new RegExp(`^  ${name} `, "m"));
});

test("--json gives one document", async (t) => {
  const scenarios = await klab("scenarios", "--json");
  t.is(scenarios.code, 0);
  for (const s of JSON.parse(scenarios.out) as object[])
    t.deepEqual(Object.keys(s), ["id", "summary", "machine", "processes"]);

  const ports = await klab("ports", "--json");
  const { files } = JSON.parse(ports.out) as {
    files: {
      c: string;
      ts: string | null;
      functions: Share;
      members: Share;
      macros: Share;
      enumerators: Share;
    }[];
  };
  t.true(files.length > 40);
  t.deepEqual(Object.keys(files[0] ?? {}), ["c", "ts", "functions", "members", "macros", "enumerators", "leftOut"]);
  t.is(ports.code, files.every((f) => f.ts !== null && f.functions.missing.length === 0) ? ports.code : 1);
  // What is left out has a reason, is a name of the C file, and is not there after all.
  for (const [c, reasons] of Object.entries(LEFT_OUT)) {
    const file = files.find((f) => f.c === c);
    const absent = file ? [file.functions, file.members, file.macros, file.enumerators].flatMap((s) => s.leftOut) : [];
    t.deepEqual(Object.fromEntries(absent.map((l) => [l.name, l.why])), reasons, c);
  }
});

test("bench: a row says what was promised, and the exit code whether it was kept", async (t) => {
  const row = (name: string, value: number, limit: number): Row => ({
    name,
    value,
    unit: "ns",
    ratio: value / 10,
    against: "ten",
    bound: { of: "ratio", at: "most", limit },
  });
  const group = (name: string, rows: Row[]): Group => ({ name, summary: `about ${name}`, measure: () => rows });
  const groups = [group("good", [row("fits", 1234.5, 200)]), group("bad", [row("does not", 50, 3)])];
  const asked = async (json: boolean, pattern?: string): Promise<Ended> => {
    let out = "";
    const terminal = new Terminal(json, { stdout: { write: (text) => (out += text) }, stderr: { write: () => true } });
    const code = await showBench(terminal, pattern, false, groups);
    return { code, out, err: "" };
  };
  t.deepEqual(await asked(false, "goo"), {
    code: 0,
    out: "good: about good\n  fits  1 230 ns  123x ten  at most 200x: kept\n",
    err: "",
  });
  const { code, out } = await asked(true);
  t.is(code, 1);
  t.deepEqual(JSON.parse(out), {
    quick: false,
    groups: groups.map(({ name, summary, measure }) => ({
      name,
      summary,
      rows: (measure({ quick: true, step: () => undefined }) as Row[]).map((r) => ({ ...r, kept: name === "good" })),
    })),
  });
});

test("bench: subjects take turns, and a ratio is one of the same rounds", (t) => {
  const turns: string[] = [];
  const subject = (name: string): Subject => ({ name, times: 1, run: () => void turns.push(name) });
  const { ns, ratio } = interleave([subject("a"), subject("b")], { quick: true, step: () => undefined });
  t.deepEqual(turns, ["a", "b", "a", "b", "a", "b"]);
  t.deepEqual([...ns.keys()], ["a", "b"]);
  t.is(ratio("a", "a"), 1);
  t.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
});

test("colours and progress are for terminals", (t) => {
  let err = "";
  const stderr = { isTTY: false, write: (text: string) => (err += text) };
  const dumb = new Terminal(false, { stdout: { write: () => true }, stderr });
  t.is(dumb.style("red", "x"), "x");
  const progress = dumb.progress(1);
  progress.step("work");
  progress.end();
  t.is(err, "");
  t.is(
    new Terminal(false, { stdout: { isTTY: true, write: () => true }, stderr }).style("red", "x"),
    process.env["NO_COLOR"] === undefined && process.env["TERM"] !== "dumb" ? "\u001b[31mx\u001b[39m" : "x",
  );
});

test("the program itself: exit code, one line, nothing on stdout", (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve(ROOT, "tools/klab/bin.mjs"), "bugs", "v9"], {
    encoding: "utf8",
  });
  t.is(status, 2);
  t.is(stdout, "");
  t.regex(stderr, /^klab: there is no version "v9"[^\n]*\n$/);
});

test("without node_modules it says how to install them", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "klab-bare-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "tools/klab"), { recursive: true });
  copyFileSync(resolve(ROOT, "tools/klab/bin.mjs"), join(folder, "tools/klab/bin.mjs"));
  const { status, stderr } = spawnSync(process.execPath, [join(folder, "tools/klab/bin.mjs")], { encoding: "utf8" });
  t.is(status, 2);
  t.regex(stderr, /^klab: the dependencies are not installed: run `npm ci` in [^\n]+\n$/);
});
