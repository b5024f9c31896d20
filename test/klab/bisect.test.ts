// SPDX-License-Identifier: GPL-2.0-only
/** klab bisect: git's rules, the log, and the command line around it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { bisectStates, type Judgement, judgementOf, logLine, readLog, TERMS } from "../../tools/klab/bisect.ts";
import { main } from "../../tools/klab/main.ts";

const WORDS: Readonly<Record<string, Judgement>> = { g: "good", b: "bad", s: "skip" };

/** One letter per state from the first to the last; what is asked about, and the answer. */
const CASES: readonly (readonly [truth: string, first: number | null, candidates: readonly number[], steps: number])[] =
  [
    ["ggggbbbb", 4, [4], 3],
    ["gb", 1, [1], 0],
    ["gbbbbbbb", 1, [1], 2],
    ["gggggggb", 7, [7], 3],
    ["gggssbbb", null, [3, 4, 5], 4],
    ["gssssssb", null, [1, 2, 3, 4, 5, 6, 7], 6],
    ["ggsbb", null, [2, 3], 3],
    ["gsgbb", 3, [3], 2],
  ];
for (const [truth, first, candidates, most] of CASES) {
  test(`bisecting ${truth}`, async (t) => {
    const asked: number[] = [];
    const found = await bisectStates(
      0,
      truth.length - 1,
      (n) => (asked.push(n), Promise.resolve(WORDS[truth[n] ?? ""] ?? "skip")),
      (n) => `v1:${n}`,
    );
    t.is(found.first, first);
    if (first !== null) t.deepEqual(found.candidates, candidates);
    else t.true(candidates.every((n) => found.candidates.includes(n)));
    t.is(new Set(asked).size, asked.length, "no state twice");
    t.true(asked.length <= most, `${asked.length} steps`);
    t.deepEqual(
      found.steps.map((s) => s.state),
      asked.map((n) => `v1:${n}`),
    );
  });
}

test("exit codes", (t) => {
  for (const [code, wanted] of [
    [0, "good"],
    [1, "bad"],
    [124, "bad"],
    [125, "skip"],
    [126, "bad"],
    [127, "bad"],
  ] as const)
    t.is(judgementOf(code), wanted, String(code));
  for (const code of [128, 130, 255, null]) t.throws(() => judgementOf(code), { message: /stops a bisection/ });
});

test("the log", (t) => {
  const terms = { old: "slow", new: "fast" };
  const text = `# terms: slow fast\n${logLine("v1:1", "good", terms, "one")}${logLine("v1:3", "bad", terms, "three")}${logLine("v1:2", "skip", terms, "two")}`;
  const { terms: read, said } = readLog("l", text);
  t.deepEqual(read, terms);
  t.deepEqual(
    [...said],
    [
      ["v1:1", "good"],
      ["v1:3", "bad"],
      ["v1:2", "skip"],
    ],
  );
  t.deepEqual(readLog("l", "").terms, TERMS);
  t.throws(() => readLog("l", "klab bisect good v1:0\nwhat\n"), { message: /^l:2: not a line/ });
  t.throws(() => readLog("l", "klab bisect fast v1:0\n"), { message: /klab bisect good v1:2/ });
});

async function klab(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await main(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

test("a command judges in the state's own tree; what it found out can be replayed", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "klab-bisect-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const log = join(folder, "steps");
  const command = ["--", "sh", "-c", "! grep -q class.vfio_ccw_parent drivers/s390/cio/vfio_ccw_parent.ts"];
  const first = await klab("bisect", "--old", "v1:0", "--new", "v1:7", "--log", log, "--json", ...command);
  t.is(first.code, 0);
  const { first_bad, subject, steps } = JSON.parse(first.out) as {
    first_bad: string;
    subject: string;
    steps: object[];
  };
  t.is(first_bad, "v1:1");
  t.is(subject, "vfio/ccw: create a parent struct");
  t.true(steps.length <= 3);
  t.regex(readFileSync(log, "utf8"), /^# terms: old new\n# old: .*\nklab bisect old v1:0\n/);
  const again = await klab("bisect", "--replay", log, "--json");
  t.is(again.out, first.out);

  writeFileSync(log, "klab bisect good v1:0\nklab bisect bad v1:7\n");
  const unknown = await klab("bisect", "--replay", log);
  t.is(unknown.code, 2);
  t.regex(unknown.err, /says nothing of v1:3; add --scenario/);
});

test("the command stops it; everything skipped", async (t) => {
  const range = ["bisect", "--good", "v1:0", "--bad", "v1:2", "--"];
  const stopped = await klab(...range, "sh", "-c", "exit 128");
  t.is(stopped.code, 2);
  t.regex(stopped.err, /ended with 128, which stops a bisection/);
  const killed = await klab(...range, "sh", "-c", "kill -9 $$");
  t.regex(killed.err, /ended with 137/);
  const skipped = await klab(...range, "sh", "-c", "exit 125");
  t.is(skipped.code, 125);
  t.regex(skipped.out, /v1:1 .*\n {2}v1:2 /);
  const missing = await klab(...range, "no-such-program-here");
  t.is(missing.code, 2);
});

/** From a scenario alone: in which state a fault of the series comes, and in which it goes. */
const FAULTS: readonly (readonly [what: string, args: string, first: string])[] = [
  ["S14 comes", "--good v1:0 --bad v1:4 --scenario fault-each --report Objects.remaining", "v1:4"],
  ["S14 goes", "--old v1:4 --new v1:7 --scenario fault-each --report Objects.remaining", "v1:5"],
  ["S16 comes", "--good v1:0 --bad v1:7 --scenario reboot-no-mdev --report vfio_ccw_sch_shutdown", "v1:4"],
  ["S03 comes", "--good v2:0 --bad v2:7 --scenario bind-unbind", "v2:1"],
  // v2:3 stops of something else before: nobody knows whether it has it.
  [
    "S03 comes, by its title",
    "--good v2:0 --bad v2:7 --scenario bind-unbind --report use-after-free.in.kobject_put",
    "v2:1",
  ],
];
for (const [what, args, first] of FAULTS) {
  test(`${what} in ${first}`, async (t) => {
    const words = args
      .split(" ")
      .map((word) => (/^(Objects|use-after-free)\./.test(word) ? word.replaceAll(".", " ") : word));
    const { code, out, err } = await klab("bisect", ...words, "--json");
    t.is(code, 0, err);
    t.is((JSON.parse(out) as { first_bad: string }).first_bad, first);
  });
}

const NOTHING: readonly (readonly [args: string, why: RegExp])[] = [
  ["--good v1:0 --bad v1:1 --report vfio_ccw_sch_shutdown", /found in neither, v1:0 and v1:1: nothing begins/],
  ["--good v1:4 --bad v1:7 --report vfio_ccw_sch_shutdown", /found in both, v1:4 and v1:7/],
  ["--good v1:2 --bad v1:4 --report NULL.pointer", /found in v1:2 and not in v1:4: for where it ends use --old v1:2/],
  [
    "--good v1:0 --bad v1:2 --report vfio_ccw_sch_shutdown",
    /v1:2 cannot be tested.*the machine stopped before it could show .*NULL pointer/s,
  ],
  [
    "--good v1:0 --bad v1:7 --report NULL.pointer",
    /found in neither, v1:0 and v1:7, but in v1:2: --good v1:0 --bad v1:2/,
  ],
];
for (const [args, why] of NOTHING) {
  test(`refused: ${args}`, async (t) => {
    const { code, err } = await klab(
      "bisect",
      "--scenario",
      "reboot-no-mdev",
      ...args.replace("NULL.", "NULL ").split(/ (?!pointer)/),
    );
    t.is(code, 2);
    t.regex(err, why);
  });
}
