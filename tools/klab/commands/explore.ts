// SPDX-License-Identifier: GPL-2.0-only
/** klab explore: looking for a schedule that makes a checker speak. */
import { threads } from "../explore/crew.ts";
import { type Choice, MAX_STEPS } from "../explore/execution.ts";
import { type ExploreResult, exploreWith, STRATEGIES, type Strategy } from "../explore/explore.ts";
import { explanationOf, readCatalogue } from "../bugs/catalogue.ts";
import type { Finding, Found } from "../explore/finding.ts";
import { placeOf, sourceOf, writeToken } from "../explore/token.ts";
import { InputError, suggestion } from "../errors.ts";
import { INTERRUPTED, interruptible } from "../interrupt.ts";
import type { Shell } from "../main.ts";
import { numberOf, workersOf } from "../options.ts";
import { scenarioOf } from "../scenario.ts";
import { state as stateOf } from "../states/index.ts";
import type { Terminal } from "../terminal.ts";

interface Options {
  readonly state?: string;
  readonly strategy?: string;
  readonly preemptions?: string;
  readonly faults?: string;
  readonly time?: string;
  readonly executions?: string;
  readonly workers?: string;
  readonly shard?: string;
  readonly seed?: string;
  readonly kcsan?: boolean;
  readonly json?: boolean;
}

function strategyOf(text: string): Strategy {
  const found = STRATEGIES.find((s) => s === text);
  if (!found) throw new InputError(`there is no strategy ${JSON.stringify(text)}${suggestion(text, STRATEGIES)}`);
  return found;
}

/** `2/8` is the second of eight parts. */
function shardOf(text: string | undefined): { index: number; of: number } | undefined {
  if (text === undefined) return undefined;
  const [, part = "0", of = "0"] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  const [index, all] = [Number(part) - 1, Number(of)];
  if (index < 0 || index >= all)
    throw new InputError(`--shard ${JSON.stringify(text)} is not a part of a whole; say 1/8, 2/8, … 8/8`);
  return { index, of: all };
}

/** `all`: no bound. */
function preemptionsOf(text: string | undefined): number | null {
  return text === "all" ? null : numberOf("preemptions", text, 3, 0);
}

function plural(n: number, one: string, more = `${one}s`): string {
  return `${n.toLocaleString("en").replaceAll(",", " ")} ${n === 1 ? one : more}`;
}
function percent(share: number): string {
  return share < 0.01 ? "less than 1 %" : `${Math.floor(share * 100)} %`;
}

function whyOf({ why, seconds, loading }: ExploreResult): string {
  if (why === "time") return ` after ${Math.round(seconds - loading)} s`;
  return why === "stopped" ? " by hand" : "";
}

/** The last word: what was proved, and what was not. @part: of a fleet */
function lastWord(r: ExploreResult, preemptions: number | null, part: string): string {
  const found = r.findings.length === 0 ? "nothing found" : `${r.findings.length} found`;
  const large = r.large === 0 ? "" : ` (${r.large} not made small: that takes more time)`;
  const count = `${part}${plural(r.executions, "execution")}, ${found}${large}`;
  if (r.why === "done") {
    if (r.complete) return `complete ${r.bound === null ? "for every schedule" : `at bound ${r.bound}`}: ${count}`;
    return `nothing is left to try, but ${plural(r.cut, "execution was", "executions were")} cut at a limit: ${count}`;
  }
  const within = preemptions === null ? "of all schedules" : `of bound ${preemptions}`;
  const estimate = r.covered === null ? "" : `, estimated ${percent(r.covered)} ${within} covered`;
  const proved = r.bound === null ? "nothing proved" : `complete at bound ${r.bound}`;
  const cut = r.cut === 0 ? "" : `, ${r.cut} of them cut at a limit`;
  return `stopped${whyOf(r)}: ${count}${cut}${estimate}; ${proved}`;
}

async function work(terminal: Terminal, id: string, options: Options): Promise<number> {
  const strategy = strategyOf(options.strategy ?? "dpor");
  const preemptions = preemptionsOf(options.preemptions);
  if (options.preemptions !== undefined && strategy !== "dpor")
    throw new InputError(`--preemptions is for --strategy dpor; ${strategy} has no bound`);
  const faults = numberOf("faults", options.faults, 0, 0);
  const seconds = options.time === undefined ? undefined : numberOf("time", options.time, 0, 1);
  // Something has to be the end of it.
  const unlimited = strategy === "dpor" || seconds !== undefined ? undefined : 100;
  const executions = options.executions === undefined ? unlimited : numberOf("executions", options.executions, 0, 1);
  const seed = numberOf("seed", options.seed, 1, 0);
  const workers = workersOf(options.workers);
  const shard = shardOf(options.shard);
  const kcsan = options.kcsan !== false;
  if (options.state === undefined)
    throw new InputError("in which state? say it with --state, for example --state v1:4");
  const scenario = await scenarioOf(id);
  if (scenario.faults)
    throw new InputError(`${id} lets every allocation fail in turn, which is not a schedule; klab run ${id} runs it`);
  const state = await stateOf(options.state);
  const source = sourceOf(state.tree);
  const place = placeOf(state.name);
  const mode = { faults, ...(faults > 0 && { outside: true }), kcsan };
  const token = (decisions: readonly Choice[]): string =>
    writeToken({ scenario: id, state: place, source, mode, decisions });
  const of = { state: { name: state.name, dir: state.dir }, scenario: id, mode, maxSteps: MAX_STEPS };
  const progress = terminal.progress(executions ?? Infinity);
  const catalogues = [readCatalogue("faults.json"), readCatalogue("findings.json")];
  const knownAs = (finding: Finding): string | null => explanationOf(catalogues, finding, state.name)?.id ?? null;
  const show = ({ finding, decisions, size, executions: n }: Found): void => {
    progress.end();
    // What is said of an end is one line.
    terminal.line(terminal.style("red", finding.checker === "end" ? finding.text : finding.title));
    const others = size.decisions - size.switches - size.faults;
    const more = others > 0 ? `, ${plural(others, "other decision")}` : "";
    terminal.line(
      `  in execution ${n}; ${plural(size.switches, "switch", "switches")}, ${plural(size.faults, "fault")}${more}; klab replay`,
    );
    terminal.line(`  ${token(decisions)}`);
    const known = knownAs(finding);
    if (known !== null) terminal.line(terminal.style("dim", `  known: ${known} of Documentation/findings.md`));
  };
  const result = await interruptible(terminal, async (stop) => {
    const crew = threads(workers);
    try {
      return await exploreWith(crew, of, {
        strategy,
        preemptions,
        seed,
        shard,
        executions,
        seconds,
        stop,
        onFound: show,
        onStep: (_n, found, covered) => {
          const estimate = covered === null ? "" : `, about ${percent(covered)} covered`;
          progress.step(`executions, ${found} found${estimate}`);
        },
      });
    } finally {
      await crew.close();
      progress.end();
    }
  });
  const part = shard ? `part ${shard.index + 1} of ${shard.of}, ` : "";
  terminal.line(`${plural(result.runs, "run")} with those that made findings small, ${result.perSecond} a second`);
  terminal.line(lastWord(result, preemptions, part));
  terminal.document({
    executions: result.executions,
    complete: result.complete,
    bound: result.bound,
    covered: result.covered,
    cut: result.cut,
    stopped: result.why === "done" ? null : result.why,
    per_second: result.perSecond,
    not_made_small: result.large,
    findings: result.findings.map(({ finding, decisions, size, executions: n }) => ({
      checker: finding.checker,
      title: finding.title,
      text: finding.text,
      known: knownAs(finding),
      switches: size.switches,
      faults: size.faults,
      executions: n,
      token: token(decisions),
    })),
  });
  if (result.findings.length > 0) return 1;
  return result.why === "stopped" ? INTERRUPTED : 0;
}

export function explore({ program, does }: Shell): void {
  program
    .command("explore")
    .description("look for a schedule that makes a checker speak")
    .argument("<scenario>", "one that `klab scenarios` lists")
    .option("--state <state>", "v1:4, v1, base, or a folder")
    .option(
      "--strategy <name>",
      "dpor (default): every schedule that makes a difference; random; or pct: priorities with a few points of change",
    )
    .option("--preemptions <n>", "dpor: up to so many, from 0 on (default 3), or all")
    .option("--faults <n>", "failures, signals and events that one run may have (default 0)")
    .option("--time <seconds>", "stop then")
    .option("--executions <n>", "stop then; for random and pct without --time 100 if not given")
    .option("--workers <n>", "threads (default: all cores); changes nothing but the time it takes")
    .option("--shard <i/n>", "only the i-th of n parts of the work")
    .option("--seed <n>", "default 1; the same seed gives the same walks")
    .option("--no-kcsan", "data races and unordered frees do not count: faster")
    .option("--json", "print one JSON document")
    .action((id: string, options: Options) => does(options, (terminal) => work(terminal, id, options)));
}
