// SPDX-License-Identifier: GPL-2.0-only
/** klab run: one scenario in one state. */
import { replay_schedule } from "../../../kernel/explore/replay.ts";
import { shows, stoppedBefore } from "../bisect.ts";
import { InputError } from "../errors.ts";
import { MAX_STEPS, thrownOut } from "../explore/execution.ts";
import { placeOf, readToken, sourceOf, type Token } from "../explore/token.ts";
import { story } from "../explore/story.ts";
import { plain } from "../json.ts";
import type { ExitCode, Shell } from "../main.ts";
import {
  findings,
  type LogLine,
  type Outcome,
  type RunnableKernel,
  type RunResult,
  runScenario,
  type Scenario,
  scenarioOf,
  type TraceEvent,
} from "../scenario.ts";
import { type State, state as stateOf } from "../states/index.ts";
import { lineOf } from "../states/lines.ts";
import { loadState } from "../states/load.ts";
import type { Terminal } from "../terminal.ts";

type End = Outcome | "threw";
const ENDS: Readonly<Record<End, string>> = {
  done: "everybody finished",
  oops: "the machine stopped with an oops",
  deadlock: "nobody could go on",
  endless: "it did not come to an end",
  threw: "the scenario, or the kernel under it, threw what nobody caught",
};

function stamp(ns: number): string {
  return `[${(ns / 1e9).toFixed(6).padStart(12)}]`;
}
const logLine = ({ ns, text }: LogLine): string => `${stamp(ns)} ${text}`;
const eventLine = ({ ns, comm, pid, name, text }: TraceEvent): string =>
  `${stamp(ns)} ${`${comm}-${pid}`.padStart(16)}: ${name}: ${text}`;

function print(terminal: Terminal, end: End, result: RunResult, trace: boolean, told: readonly string[] | null): void {
  terminal.line(terminal.style("bold", "Kernel log"));
  for (const line of result.log) terminal.line(logLine(line));
  if (told) {
    terminal.line(`\n${terminal.style("bold", "What happened")}`);
    for (const line of told) terminal.line(line);
  } else if (trace) {
    terminal.line(`\n${terminal.style("bold", "Events")}`);
    for (const event of result.events) terminal.line(eventLine(event));
  }
  const results = Object.entries(result.results);
  if (results.length > 0) terminal.line(`\n${terminal.style("bold", "What user space saw")}`);
  for (const [name, value] of results) terminal.line(`${name}: ${JSON.stringify(plain(value))}`);
  terminal.line();
  const found = findings(result);
  for (const title of found) terminal.line(terminal.style("red", title));
  terminal.line(
    `${ENDS[end]}; ${found.length === 0 ? "nothing found" : `${result.reports.length} report${result.reports.length === 1 ? "" : "s"}`}`,
  );
}

/**
 * Runs a scenario, shows what came of it, and gives the exit code. A state that cannot be loaded cannot be tested: 125.
 * @token: the decisions of the run; without one it is the quiet run
 */
export async function runAndShow(
  terminal: Terminal,
  scenario: Scenario,
  state: State,
  show: { readonly trace: boolean; readonly kcsan?: boolean; readonly report?: string; readonly columns?: boolean },
  token?: Token,
): Promise<ExitCode> {
  let kernel;
  try {
    kernel = await loadState(state);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    terminal.note(error.message);
    return 125;
  }
  // States of trees of the user's own may be older than this.
  (kernel as Partial<typeof kernel>).set_source_lines?.(lineOf);
  if (token && scenario.faults)
    throw new InputError(
      `${scenario.id} lets every allocation fail in turn and takes no schedule; leave --schedule out`,
    );
  const changed = token !== undefined && sourceOf(state.tree) !== token.source;
  // The source of another state is another one; whether it has changed as well cannot be seen.
  const moved = changed && token.state !== state.name && token.state !== placeOf(state.name);
  if (changed)
    terminal.note(
      moved
        ? `the token was made in ${token.state} and is run in ${state.name}; this may be another run`
        : "the source has changed since the token was made; this may be another run",
    );
  const schedule = token && new replay_schedule(token.decisions);
  const trace = show.trace || terminal.json;
  let end: End;
  let result: RunResult;
  try {
    result = runScenario(kernel, scenario, {
      state: state.name,
      trace,
      schedule,
      faults: token?.mode.faults ?? 0,
      outside: token?.mode.outside === true,
      kcsan: show.kcsan === true || token?.mode.kcsan === true,
      ...(token && { maxSteps: MAX_STEPS }),
    });
    end = result.outcome;
  } catch (error) {
    end = "threw";
    result = { ...thrownOut<RunnableKernel>(kernel, error), outcome: "done" };
  }
  const diverged = schedule !== undefined && (schedule.diverged || unasked(schedule.asked, token));
  if (diverged) terminal.note("a decision of the token did not fit: this is not the run that it was made from");
  const told =
    token && show.columns === true && show.trace && !terminal.json
      ? story({ kernel, scenario, state: state.name, mode: token.mode, decisions: token.decisions }, terminal.width)
      : null;
  print(terminal, end, result, trace, told);
  const { reports, log, events, results } = result;
  terminal.document({
    scenario: scenario.id,
    state: state.name,
    outcome: end,
    reports,
    log,
    events: plain(events),
    results: plain(results),
    ...(token ? { made_in: token.state, source_changed: moved ? null : changed, diverged } : {}),
  });
  const why = scenario.faults ? null : stoppedBefore(result, show.report);
  if (why !== null) terminal.note(why);
  return shows(result, show.report) ? 1 : 0;
}

/** Whether the run ended before the last decision was asked for. */
function unasked(asked: number, token: Token | undefined): boolean {
  return (token?.decisions.at(-1)?.at ?? -1) >= asked;
}

export function run({ program, does }: Shell): void {
  program
    .command("run")
    .description("run a scenario in a state: kernel log, results, reports")
    .argument("<scenario>", "one that `klab scenarios` lists")
    .option("--state <state>", "v1:4, v1, base, or a folder")
    .option("--kcsan", "look for data races and unordered frees")
    .option("--trace", "show the events too")
    .option("--schedule <token>", "a token of `klab explore`: the decisions of the run")
    .option("--report <title>", "end with 1 only if a report has this in its title")
    .option("--json", "print one JSON document")
    .action(
      (
        id: string,
        options: {
          state?: string;
          trace?: boolean;
          kcsan?: boolean;
          schedule?: string;
          report?: string;
          json?: boolean;
        },
      ) =>
        does(options, async (terminal) => {
          if (options.state === undefined)
            throw new InputError("in which state? say it with --state, for example --state v1:4");
          const scenario = await scenarioOf(id);
          const token = options.schedule === undefined ? undefined : readToken(options.schedule);
          if (token && token.scenario !== id)
            throw new InputError(
              `the token is one of ${token.scenario}, not of ${id}; klab replay takes both from the token`,
            );
          return runAndShow(
            terminal,
            scenario,
            await stateOf(options.state),
            {
              trace: options.trace === true,
              kcsan: options.kcsan === true,
              ...(options.report === undefined ? {} : { report: options.report }),
            },
            token,
          );
        }),
    );
}
