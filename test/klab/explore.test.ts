// SPDX-License-Identifier: GPL-2.0-only
/** klab explore and klab replay: tokens, walks over a planted race, and what is refused. */
import test from "ava";
import { readToken, type Token, writeToken } from "../../tools/klab/explore/token.ts";
import { Explorer, type Strategy } from "../../tools/klab/explore/explore.ts";
import { main } from "../../tools/klab/main.ts";
import type { Report, RunnableKernel, ScenarioFor } from "../../tools/klab/scenario.ts";
import type { schedule } from "../../kernel/sched/decide.ts";

const TOKENS: readonly Token[] = [
  { scenario: "s", state: "v1:4", source: "0123456789ab", mode: { faults: 0, kcsan: false }, decisions: [] },
  {
    scenario: "s-t",
    state: "/a b~c%",
    source: "0123456789ab",
    mode: { faults: 2, kcsan: true },
    decisions: [
      { at: 0, choice: 1 },
      { at: 7, choice: 3 },
    ],
  },
];
test("tokens are one line and come back as they were", (t) => {
  for (const token of TOKENS) {
    const text = writeToken(token);
    t.regex(text, /^\S+$/);
    t.deepEqual(readToken(text), token);
  }
  for (const bad of [
    "",
    "x",
    "k2~s",
    "k2~s~v1:4~0123456789ab",
    "k1~s~v1:4~0123456789ab~f0~",
    "k2~s~v1:4~zz~f0~",
    "k2~s~v1:4~0123456789ab~1~",
    "k2~s~v1:4~0123456789ab~f0~1,x",
    "k2~s~v1:4~0123456789ab~f0~1~",
  ])
    t.throws(() => readToken(bad), { message: /is not a replay token/ }, bad);
});

/** Ten questions; the planted bug needs the third one and the seventh answered with the second of two tasks. */
function racy(): RunnableKernel & { runs: number } {
  let reports: Report[] = [];
  let now: schedule | undefined;
  const kernel = {
    runs: 0,
    boot(options?: object) {
      now = (options as { schedule?: schedule }).schedule;
      reports = [];
      return "done" as const;
    },
    run() {
      kernel.runs += 1;
      const chosen = Array.from({ length: 10 }, () => now?.decide("switch", 2, (i) => `task/${i}`));
      if (chosen[2] === 1 && chosen[6] === 1)
        reports.push({ checker: "kasan", title: "BUG: planted", text: "BUG: planted\nCall Trace:\n <TASK>\n f [m]\n" });
      return "done" as const;
    },
    log: () => [],
    found: () => reports,
  };
  return kernel;
}
const SCENARIO: ScenarioFor<RunnableKernel> = { id: "s", summary: "", machine: {}, processes: [], run: () => {} };

const STRATEGIES: readonly Strategy[] = ["random", "pct"];
function walk(strategy: Strategy, seed: number, executions: number): Explorer<RunnableKernel> {
  const w = new Explorer<RunnableKernel>(racy(), SCENARIO, { state: "v1:0", strategy, seed });
  while (w.executions < executions) w.step();
  return w;
}

for (const strategy of STRATEGIES) {
  test(`${strategy} finds a planted race, once, and makes it small; the same seed gives the same walk`, (t) => {
    const { found } = walk(strategy, 3, 300);
    t.is(found.length, 1);
    const [f] = found;
    t.is(f?.title, "BUG: planted");
    // PCT with two tasks answers every question alike between two points of change.
    if (strategy === "random")
      t.deepEqual(f?.decisions, [
        { at: 2, choice: 1 },
        { at: 6, choice: 1 },
      ]);
    t.is(f?.switches, f?.decisions.length);
    t.is(f?.faults, 0);
    t.deepEqual(walk(strategy, 3, 300).found, found);
  });
}

test("an end without a report is a finding of its own", (t) => {
  const kernel: RunnableKernel = { boot: () => "done", run: () => "deadlock", log: () => [], found: () => [] };
  const w = new Explorer<RunnableKernel>(kernel, SCENARIO, { state: "v1:0", strategy: "random" });
  w.step();
  w.step();
  t.deepEqual(
    w.found.map(({ checker, title, decisions }) => ({ checker, title, decisions })),
    [{ checker: "end", title: "deadlock", decisions: [] }],
  );
});

async function klab(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await main(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

test("explore prints a token, and replay runs it again, to the byte", async (t) => {
  const options = ["interrupt-no-mdev", "--state", "v1:2", "--executions", "2", "--seed", "5"];
  const { code, out } = await klab("explore", ...options);
  t.is(code, 1);
  t.regex(out, /\ncomplete for every schedule: 1 execution, 3 found\n$/);
  const token = /^ {2}(k2~\S+)$/m.exec(out)?.[1] ?? "";
  const json = await klab("explore", ...options, "--json");
  const document = JSON.parse(json.out) as { complete: boolean; findings: { token: string; title: string }[] };
  t.true(document.complete);
  t.is(document.findings[0]?.token, token);

  const [one, two] = [await klab("replay", token, "--json"), await klab("replay", token, "--json")];
  t.is(one.code, 1);
  t.is(one.err, "");
  t.is(one.out, two.out);
  t.true(
    (JSON.parse(one.out) as { reports: { title: string }[] }).reports.some(
      (r) => r.title === document.findings[0]?.title,
    ),
  );
  const run = await klab("run", "interrupt-no-mdev", "--state", "v1:2", "--schedule", token, "--json");
  t.is(run.out, one.out);

  const stale = await klab("replay", token.replace(/~[0-9a-f]{12}~/, "~0123456789ab~"));
  t.regex(stale.err, /the source has changed since the token was made/);
  const beyond = await klab("replay", `${token}${token.endsWith("~") ? "" : ","}99999999`);
  t.regex(beyond.err, /a decision of the token did not fit/);
  const other = await klab("run", "bind-unbind", "--state", "v1:2", "--schedule", token);
  t.is(other.code, 2);
  t.regex(other.err, /one of interrupt-no-mdev, not of bind-unbind/);
});
