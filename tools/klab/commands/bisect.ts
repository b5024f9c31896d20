// SPDX-License-Identifier: GPL-2.0-only
/** klab bisect: the state in which something begins, with git's rules. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import {
  type Bisection,
  bisectStates,
  type Judgement,
  judgementOf,
  logLine,
  readLog,
  shows,
  stoppedBefore,
  TERMS,
} from "../bisect.ts";
import { InputError } from "../errors.ts";
import type { Shell } from "../main.ts";
import { findings, runScenario, scenarioOf } from "../scenario.ts";
import { type State, state as stateOf, statesOf } from "../states/index.ts";
import { loadState } from "../states/load.ts";
import type { Terminal } from "../terminal.ts";

interface Options {
  readonly good?: string;
  readonly old?: string;
  readonly bad?: string;
  readonly new?: string;
  readonly termOld?: string;
  readonly termNew?: string;
  readonly scenario?: string;
  readonly report?: string;
  readonly log?: string;
  readonly replay?: string;
  readonly json?: boolean;
}

interface Verdict {
  readonly judgement: Judgement;
  /** What was found, or what stood in the way, in one line. */
  readonly because: string | null;
  /** Something else stopped the machine before it could show it. */
  readonly masked?: boolean;
}
type Judge = (state: State) => Promise<Verdict>;

/**
 * A state is bad if the scenario finds something in it, or the report that is asked for. A state that cannot be loaded is skipped, and
 * one that stops of something else before the report that is asked for: nobody knows whether it has it.
 */
async function scenarioJudge(id: string, report: string | undefined): Promise<Judge> {
  const scenario = await scenarioOf(id);
  return async (state) => {
    let kernel;
    try {
      kernel = await loadState(state);
    } catch (error) {
      if (error instanceof InputError) return { judgement: "skip", because: error.message };
      throw error;
    }
    const result = runScenario(kernel, scenario, { state: state.name });
    // With faults there are many runs, and most of them stop.
    const why = scenario.faults ? null : stoppedBefore(result, report);
    if (why !== null) return { judgement: "skip", because: why, masked: true };
    if (!shows(result, report)) return { judgement: "good", because: null };
    const titles = report === undefined ? findings(result) : result.reports.map(({ title }) => title);
    const [first = null, ...more] = titles.filter((title) => report === undefined || title.includes(report));
    return {
      judgement: "bad",
      because: more.length > 0 && report === undefined ? `${first}, and ${more.length} more` : first,
    };
  };
}

const OPPOSITE: Readonly<Record<Judgement, Judgement>> = { good: "bad", bad: "good", skip: "skip" };

/** Something else in between, if both ends say the same: it comes and goes. */
async function between(judge: Judge, [old, ...states]: readonly State[], same: Judgement): Promise<string> {
  const now = states.pop();
  const ends = `${old?.name} and ${now?.name}`;
  const both = same === "bad" ? `found in both, ${ends}` : `found in neither, ${ends}`;
  for (const state of states) {
    const { judgement } = await judge(state);
    if (judgement === same || judgement === "skip") continue;
    if (same === "good")
      return `${both}, but in ${state.name}: --good ${old?.name} --bad ${state.name} says where it begins, --old ${state.name} --new ${now?.name} where it ends`;
    return `${both}, but not in ${state.name}: --old ${old?.name} --new ${state.name} says where it ends, --good ${state.name} --bad ${now?.name} where it begins again`;
  }
  return `${both}: nothing begins or ends between them`;
}

/**
 * Both ends are looked at first, as what does not differ between them begins somewhere else. What the old end has and the new one has
 * not ends in between. @states: from one end to the other
 */
async function directed(judge: Judge, states: readonly State[], isOld: boolean): Promise<Judge> {
  const [old, now] = [states[0], states.at(-1)];
  if (!old || !now) return judge;
  const [first, last] = [await judge(old), await judge(now)];
  for (const [state, { judgement, because }] of [
    [old, first],
    [now, last],
  ] as const)
    if (judgement === "skip")
      throw new InputError(`${state.name} cannot be tested; take another end: ${because ?? "it is skipped"}`);
  if (first.judgement === last.judgement) throw new InputError(await between(judge, states, first.judgement));
  if (first.judgement === "good") return judge;
  if (!isOld)
    throw new InputError(
      `found in ${old.name} and not in ${now.name}: for where it ends use --old ${old.name} --new ${now.name}`,
    );
  return async (state) => {
    const verdict = await judge(state);
    return { ...verdict, judgement: OPPOSITE[verdict.judgement] };
  };
}

/** Runs a command with the state's tree as its folder. What it writes goes to stderr: stdout is for the result. */
function commandJudge(command: readonly string[]): Judge {
  const [program = "", ...args] = command;
  return (state) =>
    new Promise((done, fail) => {
      const env = { ...process.env, KLAB_STATE: state.name, KLAB_TREE: state.dir };
      const child = spawn(program, args, { cwd: state.dir, env, stdio: ["ignore", "pipe", "inherit"] });
      child.stdout.on("data", (text: Buffer) => process.stderr.write(text));
      child.on("error", (error) => fail(new InputError(`${program} cannot be run: ${error.message}`)));
      child.on("close", (code, signal) => {
        try {
          // A shell reports a signal as 128 and its number; so do we.
          const judgement = judgementOf(code ?? (signal ? 128 + constants.signals[signal] : null));
          done({ judgement, because: null });
        } catch (error) {
          fail(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
}

/** The two ends, out of the options in either wording. */
function ends(options: Options): { good: string; bad: string } {
  if (options.good !== undefined && options.old !== undefined)
    throw new InputError("--good and --old are the same end; give one");
  if (options.bad !== undefined && options.new !== undefined)
    throw new InputError("--bad and --new are the same end; give one");
  const [good, bad] = [options.good ?? options.old, options.bad ?? options.new];
  if (good === undefined || bad === undefined)
    throw new InputError("between which states? say it with --good and --bad, for example --good v1:0 --bad v1:7");
  return { good, bad };
}

async function statesBetween(good: string, bad: string): Promise<{ states: State[]; from: number; to: number }> {
  const [first, last] = [await stateOf(good), await stateOf(bad)];
  const version = last.version ?? first.version;
  if (version === null || (first.version ?? version) !== version || (first.version === null && first.name !== "base"))
    throw new InputError(`${good} and ${bad} are not states of one version; bisect from v1:0 to v1:7, for example`);
  if (last.version === null || first.number >= last.number)
    throw new InputError(
      `${good} does not come before ${bad}: --good is the earlier state; for the other way round use --old and --new`,
    );
  return { states: await statesOf(version), from: first.number, to: last.number };
}

/** @masked: states that stopped of something else: if nothing else is open, the first that shows it is what there is to say */
function show(
  terminal: Terminal,
  found: Bisection,
  states: readonly State[],
  word: string,
  masked: ReadonlySet<number>,
): number {
  const before = found.candidates.slice(0, -1);
  const open = before.length > 0 && before.every((n) => masked.has(n));
  const number = found.first ?? (open ? found.candidates.at(-1) : undefined);
  const first = number === undefined ? null : states[number];
  const names = found.candidates.map((n) => states[n]?.name ?? String(n));
  if (first) {
    terminal.line(`${terminal.style("bold", first.name)} is the first ${word} state: ${first.subject}`);
    if (open)
      terminal.line(`  as far as can be seen: ${names.slice(0, -1).join(", ")} stopped of something else before`);
  } else {
    terminal.line(`The first ${word} state is one of these; the others were skipped:`);
    for (const n of found.candidates) terminal.line(`  ${states[n]?.name ?? n} ${states[n]?.subject ?? ""}`);
  }
  terminal.document({
    first_bad: first?.name ?? null,
    subject: first?.subject ?? null,
    steps: found.steps,
    ...(found.first === null ? { candidates: names } : {}),
  });
  return first ? 0 : 125;
}

async function work(terminal: Terminal, command: readonly string[], options: Options): Promise<number> {
  const replayed = options.replay === undefined ? null : readLog(options.replay, readText(options.replay));
  const terms = {
    old: options.termOld ?? (options.old === undefined ? (replayed?.terms.old ?? TERMS.old) : "old"),
    new: options.termNew ?? (options.new === undefined ? (replayed?.terms.new ?? TERMS.new) : "new"),
  };
  const said = new Map(replayed?.said ?? []);
  const known = (wanted: Judgement): string | undefined => {
    const names = [...said].filter(([, j]) => j === wanted).map(([name]) => name);
    return wanted === "good" ? names[0] : names.at(wanted === "bad" ? 0 : -1);
  };
  const { good, bad } = ends({
    ...options,
    ...(replayed && options.good === undefined && options.old === undefined ? { good: known("good") ?? "" } : {}),
    ...(replayed && options.bad === undefined && options.new === undefined ? { bad: known("bad") ?? "" } : {}),
  });
  if (options.scenario !== undefined && command.length > 0)
    throw new InputError("--scenario and a command both judge; give one of them");
  if (options.report !== undefined && options.scenario === undefined)
    throw new InputError("--report is a title that a scenario reports; name the scenario with --scenario");
  if (options.scenario === undefined && command.length === 0 && !replayed)
    throw new InputError("what is to be tested? give --scenario X, or a command behind --");
  const { states, from, to } = await statesBetween(good, bad);
  const asked =
    options.scenario !== undefined
      ? await directed(
          await scenarioJudge(options.scenario, options.report),
          states.slice(from, to + 1),
          options.good === undefined && options.bad === undefined,
        )
      : command.length > 0
        ? commandJudge(command)
        : null;
  let log = `# terms: ${terms.old} ${terms.new}\n`;
  const note = async (state: State | undefined, judgement: Judgement): Promise<void> => {
    log += logLine(state?.name ?? "", judgement, terms, state?.subject ?? "");
    if (options.log === undefined) return;
    // After each step, and beside its place first: what is there is always a whole log.
    await writeFile(`${options.log}.new`, log);
    await rename(`${options.log}.new`, options.log);
  };
  await note(states[from], "good");
  await note(states[to], "bad");
  const masked = new Set<number>();
  const judge = async (n: number): Promise<Judgement> => {
    const state = states[n];
    if (!state) throw new InputError(`there is no state ${n}`);
    const before = said.get(state.name);
    if (before === undefined && !asked)
      throw new InputError(`${options.replay ?? "the log"} says nothing of ${state.name}; add --scenario or a command`);
    const verdict: Verdict | undefined = before ? { judgement: before, because: null } : await asked?.(state);
    const { judgement, because, masked: hidden } = verdict ?? { judgement: "skip", because: null };
    if (hidden) masked.add(n);
    terminal.line(
      `${state.name}: ${judgement === "good" ? terms.old : judgement === "bad" ? terms.new : "skip"}  ${state.subject}`,
    );
    if (because !== null) terminal.line(`  ${because}`);
    await note(state, judgement);
    return judgement;
  };
  const found = await bisectStates(from, to, judge, (n) => states[n]?.name ?? String(n));
  return show(terminal, found, states, terms.new, masked);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new InputError(`${path} cannot be read; --replay takes a log that --log has written`);
  }
}

export function bisect({ program, does }: Shell): void {
  program
    .command("bisect")
    .description("the state in which something begins: git's rules and exit codes")
    .argument(
      "[command...]",
      "behind --: 0 is good, 1 to 127 bad, 125 skip, 128 and above stop; runs in the state's tree",
    )
    .option("--good <state>", "a state without it")
    .option("--bad <state>", "a later state with it")
    .option("--old <state>", "the same as --good, in other words")
    .option("--new <state>", "the same as --bad, in other words")
    .option("--term-old <word>", "a word of your own instead of good")
    .option("--term-new <word>", "a word of your own instead of bad")
    .option("--scenario <id>", "bad is where it finds something; with --old and --new also where it no longer does")
    .option("--report <title>", "bad is where it finds this: part of a report's title")
    .option("--log <file>", "write what was found out, step by step")
    .option("--replay <file>", "take what such a log says as known")
    .option("--json", "print one JSON document")
    .action((command: readonly string[], options: Options) =>
      does(options, (terminal) => work(terminal, command, options)),
    );
}
