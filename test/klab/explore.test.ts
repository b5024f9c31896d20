// SPDX-License-Identifier: GPL-2.0-only
/** klab explore and klab replay: tokens, walks over a planted race, and what is refused. */
import { spawn as spawnProcess } from "node:child_process";
import { resolve } from "node:path";
import test from "ava";
import fc from "fast-check";
import { InputError } from "../../tools/klab/errors.ts";
import { placeOf, readToken, type Token, writeToken } from "../../tools/klab/explore/token.ts";
import { cond_resched, type Sleeps } from "#linux/sched.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { boot, found, log, run, spawn, stacks_missed } from "../../kernel/arch/machine.ts";
import { prng } from "../../kernel/explore/random.ts";
import { type decision, decisions_to_token, replay_schedule } from "../../kernel/explore/replay.ts";
import { int, ptr, struct } from "../../kernel/lib/struct.ts";
import { trace_subscribe } from "../../kernel/trace/trace.ts";
import { type FoundRecord, huntState } from "../../tools/klab/bugs/hunt.ts";
import { alone, type Crew, Member, threads } from "../../tools/klab/explore/crew.ts";
import { execute, MAX_STEPS, type Subject } from "../../tools/klab/explore/execution.ts";
import { explore, type ExploreResult, exploreWith, type Strategy } from "../../tools/klab/explore/explore.ts";
import { main } from "../../tools/klab/main.ts";
import { ROOT } from "../../tools/klab/paths.ts";
import { state as stateOf } from "../../tools/klab/states/index.ts";
import type { Report, RunnableKernel, ScenarioFor } from "../../tools/klab/scenario.ts";
import type { schedule } from "../../kernel/sched/decide.ts";
import { differs, samplesOfModels, samplesOfState } from "./tokens.ts";

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
/** As they were written before they had a check. */
const UNCHECKED: readonly (readonly [string, Token])[] = [
  ["k2~s~v1:4~0123456789ab~f0~", TOKENS[0]!],
  ["k2~s-t~/a%20b%7ec%25~0123456789ab~f2c~0,7:3", TOKENS[1]!],
];
const anyToken: fc.Arbitrary<Token> = fc.record({
  scenario: fc.stringMatching(/^[a-z][a-z0-9-]{0,15}$/),
  state: fc.oneof(
    fc.constantFrom("v1:7", "base", "canary:cache-kept", "/a\u00a0b\u2003c"),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).map((path) => `/${path}`),
  ),
  source: fc.stringMatching(/^[0-9a-f]{12}$/),
  mode: fc
    .tuple(fc.nat(9999), fc.boolean(), fc.boolean())
    .map(([faults, outside, kcsan]) => ({ faults, ...(outside && { outside: true }), kcsan })),
  decisions: fc
    .uniqueArray(fc.record({ at: fc.nat(1e6), choice: fc.integer({ min: 1, max: 12 }) }), {
      selector: ({ at }) => at,
      maxLength: 8,
    })
    .map((some) => some.sort((a, b) => a.at - b.at)),
});
/** @return what is said of a text that is no token, null if it is taken for one */
function refusal(text: string): string | null {
  try {
    readToken(text);
    return null;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}
const MEND = /^[^\n]*; copy it whole,[^\n]*$/;

test("tokens are one line and come back as they were", (t) => {
  for (const token of TOKENS) t.regex(writeToken(token), /^k3~\S+$/);
  fc.assert(
    fc.property(anyToken, (token) => {
      const text = writeToken(token);
      t.regex(text, /^\S+$/);
      t.deepEqual(readToken(text), token);
      t.deepEqual(readToken(`  ${text}\n`), token);
    }),
    { seed: 1, numRuns: 300 },
  );
  for (const [text, token] of UNCHECKED) t.deepEqual(readToken(text), token);
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
    "k2~s~%zz~0123456789ab~f0~1",
  ])
    t.regex(refusal(bad) ?? "", /is not a replay token; copy it whole/, bad);
});

test("a token with any one character changed, gone or twice is refused, and so is one cut anywhere", (t) => {
  const refused = (text: string): boolean => t.regex(refusal(text) ?? "it is read", MEND, text);
  const spoil = (text: string, at: number, by: string): string => text.slice(0, at) + by + text.slice(at + 1);
  const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
  for (const text of TOKENS.map(writeToken))
    for (let at = 0; at < text.length; at++)
      for (const by of printable) if (by !== text[at]) refused(spoil(text, at, by));
  fc.assert(
    fc.property(anyToken, fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }), (token, by) => {
      const text = writeToken(token);
      for (let at = 0; at < text.length; at++) {
        if (by !== text[at]) refused(spoil(text, at, by));
        refused(spoil(text, at, ""));
        refused(spoil(text, at, `${text[at]}${text[at]}`));
        refused(text.slice(0, at));
        if (at > 0) refused(text.slice(at));
      }
    }),
    { seed: 2, numRuns: 100 },
  );
});

test("a token names a state so that it is found from anywhere", (t) => {
  for (const [state, place] of [
    ["v1:4", "v1:4"],
    ["base", "base"],
    ["canary:cache-kept", "canary:cache-kept"],
    ["test", resolve("test")],
  ] as const)
    t.is(placeOf(state), place);
  t.throws(() => placeOf("no-such-folder"), { instanceOf: InputError });
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

function subjectOf(
  kernel: RunnableKernel,
  scenario: ScenarioFor<RunnableKernel>,
  more: Partial<Subject<RunnableKernel>> = {},
): Subject<RunnableKernel> {
  return { kernel, scenario, state: "v1:0", mode: { faults: 0, kcsan: true }, maxSteps: MAX_STEPS, ...more };
}
/** Without what the host's clock says. */
function timeless(result: ExploreResult | undefined): object {
  const findings = result?.findings.map((found) => ({ ...found, seconds: 0 }));
  return { ...result, seconds: 0, loading: 0, perSecond: 0, findings };
}

const STRATEGIES: readonly Strategy[] = ["random", "pct"];
for (const strategy of STRATEGIES) {
  test(`${strategy} finds a planted race, once, and makes it small; the same seed gives the same walk`, async (t) => {
    const walk = (): Promise<ExploreResult> =>
      explore(subjectOf(racy(), SCENARIO), { strategy, seed: 3, executions: 300 });
    const walked = await walk();
    const found = walked.findings;
    t.is(found.length, 1);
    const [f] = found;
    t.is(f?.finding.title, "BUG: planted");
    // PCT with two tasks answers every question alike between two points of change.
    if (strategy === "random")
      t.deepEqual(
        f?.decisions.map(({ at, choice }) => [at, choice]),
        [
          [2, 1],
          [6, 1],
        ],
      );
    t.like(f?.size, { switches: f?.decisions.length, faults: 0 });
    t.deepEqual(timeless(await walk()), timeless(walked));
  });
}

test("what there is no time to make small stays as it was found, and is counted", async (t) => {
  const member = new Member(() => Promise.resolve(subjectOf(racy(), SCENARIO)));
  const late: Crew = {
    width: 1,
    loaded: Promise.resolve(),
    do: (task) => member.do(task.kind === "shrink" ? { ...task, until: 0 } : task),
    close: async () => {},
  };
  const of = { state: { name: "v1:0", dir: "" }, scenario: "s", mode: { faults: 0, kcsan: true }, maxSteps: MAX_STEPS };
  const options = { strategy: "random", seed: 3, executions: 300 } as const;
  const { large, findings } = await exploreWith(late, of, options);
  t.is(large, 1);
  t.is(findings[0]?.finding.title, "BUG: planted");
  t.true((findings[0]?.decisions.length ?? 0) > 2);
});

test("an end without a report is a finding of its own", async (t) => {
  const kernel: RunnableKernel = { boot: () => "done", run: () => "deadlock", log: () => [], found: () => [] };
  const { findings } = await explore(subjectOf(kernel, SCENARIO), { strategy: "random", executions: 2 });
  t.deepEqual(
    findings.map(({ finding: { checker, title }, decisions }) => ({ checker, title, decisions })),
    [{ checker: "end", title: "deadlock", decisions: [] }],
  );
});

/** A real kernel, without any drivers. */
const MACHINE: RunnableKernel = { boot, run, found, log, trace_subscribe, stacks_missed };

class counter extends struct("counter", { n: int(), next: ptr<counter>() }) {}

/** Two who count without a lock, beside one who frees what another uses; each task does a few other things before. */
const LOST: ScenarioFor<RunnableKernel> = {
  id: "lost",
  summary: "",
  machine: { cpus: 2 },
  processes: [],
  run: () => {
    const [lock, c] = [DEFINE_MUTEX("lock"), new counter()];
    c.next = kzalloc(counter, GFP_KERNEL);
    function* busy(): Sleeps {
      for (let i = 0; i < 3; i++) {
        yield* mutex_lock(lock);
        c.n++;
        mutex_unlock(lock);
      }
    }
    function* frees(): Sleeps {
      yield* busy();
      const p = c.next;
      c.next = null;
      yield* cond_resched();
      kfree(p);
    }
    function* uses(): Sleeps {
      yield* busy();
      const p = c.next;
      yield* cond_resched();
      if (p) p.n = 1;
    }
    spawn("frees", frees());
    spawn("uses", uses());
  },
};

for (const strategy of ["dpor", "random", "pct"] as const) {
  test.serial(`${strategy} finds a use after free and the races around it, twice the same`, async (t) => {
    const options = { strategy, executions: 60, seed: 4, preemptions: 2 };
    const subject = subjectOf(MACHINE, LOST);
    const [one, two] = [await explore(subject, options), await explore(subject, options)];
    t.true(one.findings.some(({ finding }) => finding.title.startsWith("BUG: KASAN: use-after-free")));
    t.true(one.findings.some(({ finding }) => finding.checker === "kcsan"));
    t.deepEqual(timeless(one), timeless(two));
    for (const { decisions, finding } of one.findings)
      t.true(
        [...execute(subject, new replay_schedule(decisions)).reports.values()].some((r) => r.title === finding.title),
      );
  });

  test.serial(`${strategy}: who makes the executions, and who is faster, changes nothing`, async (t) => {
    const options = { strategy, executions: 40, seed: 9, preemptions: 1 };
    const subject = subjectOf(MACHINE, LOST);
    const find = (): Promise<Subject<RunnableKernel>> => Promise.resolve(subject);
    const of = { state: { name: "v1:0", dir: "" }, scenario: "lost", mode: subject.mode, maxSteps: MAX_STEPS };
    const one = await exploreWith(alone(find), of, options);
    t.true(one.findings.length > 0);
    // Several who take turns at being late.
    const numbers = new prng(3);
    const member = new Member(find);
    const late: Crew = {
      width: 5,
      loaded: Promise.resolve(),
      do: async (task) => {
        for (let n = numbers.below(5); n > 0; n--) await new Promise((next) => setImmediate(next));
        return member.do(task);
      },
      close: async () => {},
    };
    t.deepEqual(timeless(await exploreWith(late, of, options)), timeless(one));
  });
}

const QUIET = { mode: { faults: 0, kcsan: false } };
test.serial("a small search is complete, and says at which bound", async (t) => {
  const of = (preemptions: number | null): Promise<ExploreResult> =>
    explore(subjectOf(MACHINE, LOST, QUIET), { strategy: "dpor", preemptions });
  const [none, one, all] = [await of(0), await of(1), await of(null)];
  t.like(none, { complete: true, bound: 0, covered: 1, findings: { length: 0 } });
  t.like(one, { complete: true, bound: 1, covered: 1, findings: { length: 1 } });
  t.like(all, { complete: true, bound: null, covered: 1 });
  const cut = await explore(subjectOf(MACHINE, LOST, QUIET), { strategy: "dpor", executions: 3 });
  t.like(cut, { complete: false, why: "executions", executions: 3 });
  t.true((cut.covered ?? 1) < 1);
});

test.serial("the parts of a fleet find together what one finds alone", async (t) => {
  const options = { strategy: "dpor", preemptions: 1 } as const;
  const part = (index: number, of: number): Promise<ExploreResult> =>
    explore(subjectOf(MACHINE, LOST), { ...options, shard: { index, of } });
  const whole = await explore(subjectOf(MACHINE, LOST), options);
  const parts = [await part(0, 3), await part(1, 3), await part(2, 3)];
  t.true(parts.every(({ complete }) => complete));
  const titles = (of: readonly ExploreResult[]): string[] =>
    [...new Set(of.flatMap((r) => r.findings.map(({ finding }) => finding.title)))].sort();
  t.deepEqual(titles(parts), titles([whole]));
});

const ENDLESS: Readonly<Record<string, () => Sleeps>> = {
  "loops for ever": function* () {
    const lock = DEFINE_MUTEX("lock");
    for (;;) {
      yield* mutex_lock(lock);
      mutex_unlock(lock);
    }
  },
  "allocates without end": function* () {
    for (;;) kzalloc(counter, GFP_KERNEL);
  },
  throws: function* () {
    yield* cond_resched();
    throw new RangeError("a mistake of the scenario");
  },
};
for (const [what, body] of Object.entries(ENDLESS)) {
  test.serial(`a scenario that ${what} is cut and reported`, async (t) => {
    const scenario = { ...LOST, run: () => void spawn("bad", body()) };
    const result = await explore(subjectOf(MACHINE, scenario, { maxSteps: 500 }), { strategy: "dpor" });
    const title = what === "throws" ? "RangeError: a mistake of the scenario" : "endless";
    t.deepEqual(
      result.findings.map(({ finding }) => finding.title),
      [title],
    );
    t.false(result.complete);
    t.true(result.cut > 0);
  });
}

/** What each scenario of test/klab/endless/ comes to, in threads that may take so much. */
const ENDS: Readonly<Record<string, string>> = {
  loops: "endless",
  throws: "RangeError: a mistake of the scenario",
  hoards: "the run took more than 250 megabytes",
  allocates: "endless",
};
const PATIENT = { seconds: 100, megabytes: 250 };
const ALONE: Readonly<Record<string, string>> = { "loops-alone": "the run did not end within 6 seconds" };
const IMPATIENT = { seconds: 6, megabytes: 250 };
for (const [ends, limits] of [
  [ENDS, PATIENT],
  [ALONE, IMPATIENT],
] as const)
  test.serial(
    `klab explore and klab bugs stay up, and tell what a scenario does: ${Object.keys(ends).join()}`,
    async (t) => {
      t.timeout(110_000);
      const { name, dir } = await stateOf("base");
      const state = { name, dir };
      const crew = threads(1, limits, resolve(ROOT, "test/klab/endless"));
      const scenarios = Object.keys(ends);
      try {
        const told: FoundRecord[] = [];
        const options = { state, scenarios, seed: 1, maxSteps: 500, catalogue: [], explained: [] };
        const onFound = (r: FoundRecord): void => void told.push(r);
        const executions = scenarios.length;
        const hunted = await huntState(crew, "0123456789ab", options, { executions, seconds: null, onFound });
        t.is(hunted.executions, executions);
        // Two that are endless are one finding.
        t.deepEqual(
          told.map(({ title }) => title),
          [...new Set(Object.values(ends))],
        );
        t.true(told.every(({ token }) => readToken(token).decisions.length === 0));

        for (const scenario of scenarios) {
          const of = { state, scenario, mode: { faults: 0, kcsan: true }, maxSteps: 500 };
          const { findings, complete, cut } = await exploreWith(crew, of, { strategy: "dpor", executions: 3 });
          t.deepEqual(
            findings.map(({ finding }) => finding.title),
            [ends[scenario]],
          );
          t.false(complete);
          t.is(cut, 1);
        }
      } finally {
        await crew.close();
      }
    },
  );

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}
/** A process of its own that gets Ctrl-C each time that it has written what is waited for. */
function interrupted(args: readonly string[], waits: readonly (readonly ["out" | "err", RegExp])[]): Promise<Ended> {
  return new Promise((done, failed) => {
    const child = spawnProcess(process.execPath, [...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    const text = { out: "", err: "" };
    let sent = 0;
    const hear = (from: "out" | "err") => (chunk: string) => {
      text[from] += chunk;
      const [where, what] = waits[sent] ?? [];
      if (!where || !what?.test(text[where])) return;
      sent++;
      child.kill("SIGINT");
    };
    child.stdout.setEncoding("utf8").on("data", hear("out"));
    child.stderr.setEncoding("utf8").on("data", hear("err"));
    child.once("error", failed);
    child.once("close", (code, signal) => done({ code, signal, ...text }));
  });
}
const KLAB = resolve(ROOT, "tools/klab/bin.mjs");
const ENDING = "klab: ending; Ctrl-C again ends at once\n";

test.serial("Ctrl-C: klab explore prints what it found until then, and how far it came", async (t) => {
  const args = ["explore", "interrupt-no-mdev", "--state", "v1:2", "--preemptions", "all", "--workers", "2"];
  const { code, signal, out, err } = await interrupted([KLAB, ...args], [["out", /k3~/]]);
  t.is(signal, null);
  t.is(code, 1);
  t.is(err, ENDING);
  t.regex(out, /^ {2}k3~\S+$/m);
  t.regex(out, /\nstopped by hand: \d+ executions?, [1-9]\d* found, estimated .* covered; nothing proved\n$/);
});

test.serial("Ctrl-C: klab bugs prints its table, and what it had not searched to the end", async (t) => {
  const { code, signal, out, err } = await interrupted(
    [KLAB, "bugs", "v2", "--executions", "40", "--workers", "1"],
    [["out", /^v2:1 S03, after [\d.]+ s: BUG: KASAN/m]],
  );
  t.is(signal, null);
  t.is(err, ENDING);
  // S03 of the state that it was at is found, so nothing is missed; but that some things are not explained may be.
  t.is(code, /; 0 missed, 0 unexpected, 0 not explained/.test(out) ? 130 : 1);
  t.regex(out, /^fault +v2:0 +v2:1/m);
  t.regex(out, /^S03 +· +[\d.]+s +\? /m);
  t.regex(out, /^S03 v2:1: \d switches, \d failures or events; k3~/m);
  t.regex(
    out,
    /\nstopped by hand after \d+ executions, .* 0 missed, .*; not searched to the end: .*v2:1, v2:2, .*v2:7\n$/,
  );
});

test.serial("Ctrl-C: a search that found nothing ends with 130; the second Ctrl-C ends at once", async (t) => {
  const wait = `
    import { register } from "tsx/esm/api";
    register();
    const { INTERRUPTED, interruptible } = await import(${JSON.stringify(resolve(ROOT, "tools/klab/interrupt.ts"))});
    const { Terminal } = await import(${JSON.stringify(resolve(ROOT, "tools/klab/terminal.ts"))});
    const alive = setInterval(() => {}, 1000);
    await interruptible(new Terminal(false), (stop) => {
      process.stdout.write("begun\\n");
      return process.argv.includes("--ends") ? new Promise((end) => stop.addEventListener("abort", end)) : new Promise(() => {});
    });
    clearInterval(alive);
    process.exitCode = INTERRUPTED;`;
  const run = ["--input-type=module", "--eval", wait, "--"];
  const once = await interrupted([...run, "--ends"], [["out", /begun/]]);
  t.like(once, { code: 130, signal: null, out: "begun\n", err: ENDING });
  const twice = await interrupted(run, [
    ["out", /begun/],
    ["err", /again/],
  ]);
  t.like(twice, { code: null, signal: "SIGINT", out: "begun\n", err: ENDING });
});

test.serial("tokens of 1000 random executions of models replay exactly", (t) => {
  for (const sample of samplesOfModels(1000)) t.is(differs(sample), null);
});
test.serial("and those of 30 of the general scenarios in v1:4", async (t) => {
  for (const sample of await samplesOfState("v1:4", 30)) t.is(differs(sample), null);
});
test.serial("with one decision more, or one less, the run is another one", async (t) => {
  const samples = [...samplesOfModels(60), ...(await samplesOfState("v1:4", 5))];
  const less = (of: readonly decision[]): decision[] => of.filter((_, i) => i !== of.length >> 1);
  const more = (of: readonly decision[]): decision[] => [{ at: 0, choice: 1 }, ...of.filter(({ at }) => at > 0)];
  for (const spoil of [less, more]) {
    let spoiled = 0;
    for (const sample of samples) {
      let changed = false;
      const wrong = differs(sample, (of) => {
        const other = spoil(of);
        changed = decisions_to_token(other) !== decisions_to_token(of);
        return other;
      });
      if (changed) spoiled++;
      if (changed) t.truthy(wrong, `seed ${sample.seed}`);
    }
    t.true(spoiled > 30, `${spoiled}`);
  }
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
  t.regex(
    out,
    /\nstopped: 2 executions, 3 found, estimated \d+ % of bound 3 covered; (nothing proved|complete at bound \d)\n$/,
  );
  const token = /^ {2}(k3~\S+)$/m.exec(out)?.[1] ?? "";
  const json = await klab("explore", ...options, "--json");
  const document = JSON.parse(json.out) as {
    complete: boolean;
    findings: { token: string; title: string; known: string | null }[];
  };
  t.false(document.complete);
  const known = document.findings.map((f) => f.known).filter((id) => id !== null);
  t.true(known.includes("F01"), known.join());
  for (const id of known) t.true(out.includes(`  known: ${id} of Documentation/findings.md`));
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

  // As it was printed before there was a check.
  const unchecked = await klab("replay", token.replace(/^k3(.*)~[^~]*$/, "k2$1"), "--json");
  t.is(unchecked.out, one.out);

  const told = readToken(token);
  const stale = await klab("replay", writeToken({ ...told, source: "0123456789ab" }));
  t.is(stale.err, "klab: the source has changed since the token was made; this may be another run\n");
  const decisions = [...told.decisions, { at: 99999999, choice: 1 }];
  const beyond = await klab("replay", writeToken({ ...told, decisions }));
  t.regex(beyond.err, /a decision of the token did not fit/);
  const elsewhere = ["run", "interrupt-no-mdev", "--state", "v1:1", "--schedule", token];
  const moved = await klab(...elsewhere);
  t.regex(moved.err, /^klab: the token was made in v1:2 and is run in v1:1; this may be another run\n/);
  t.notRegex(moved.err, /the source has changed/);
  t.like(JSON.parse((await klab(...elsewhere, "--json")).out), { made_in: "v1:2", source_changed: null });
  t.like(JSON.parse(one.out), { made_in: "v1:2", source_changed: false });
  const other = await klab("run", "bind-unbind", "--state", "v1:2", "--schedule", token);
  t.is(other.code, 2);
  t.regex(other.err, /one of interrupt-no-mdev, not of bind-unbind/);
});

test("a token of a canary, or of a folder, is found again from anywhere", async (t) => {
  for (const state of ["canary:cache-kept", "."]) {
    const options = [
      "interrupt-no-mdev",
      "--state",
      state,
      "--strategy",
      "random",
      "--executions",
      "1",
      "--workers",
      "1",
    ];
    const { out } = await klab("explore", ...options, "--json");
    const [found] = (JSON.parse(out) as { findings: { token: string }[] }).findings;
    t.is(readToken(found?.token ?? "").state, state === "." ? resolve(".") : state);
  }
});
