// SPDX-License-Identifier: GPL-2.0-only
/** klab run: one scenario in one state. */
import { InputError } from "../errors.ts";
import { plain } from "../json.ts";
import type { Shell } from "../main.ts";
import {
  findings,
  type LogLine,
  type Outcome,
  type RunResult,
  runScenario,
  scenarioOf,
  type TraceEvent,
} from "../scenario.ts";
import { state as stateOf } from "../states/index.ts";
import { loadKernel } from "../states/load.ts";
import type { Terminal } from "../terminal.ts";

const ENDS: Readonly<Record<Outcome, string>> = {
  done: "everybody finished",
  oops: "the machine stopped with an oops",
  deadlock: "nobody could go on",
  endless: "it did not come to an end",
};

function stamp(ns: number): string {
  return `[${(ns / 1e9).toFixed(6).padStart(12)}]`;
}
const logLine = ({ ns, text }: LogLine): string => `${stamp(ns)} ${text}`;
const eventLine = ({ ns, comm, pid, name, text }: TraceEvent): string =>
  `${stamp(ns)} ${`${comm}-${pid}`.padStart(16)}: ${name}: ${text}`;

function print(terminal: Terminal, result: RunResult, trace: boolean): void {
  terminal.line(terminal.style("bold", "Kernel log"));
  for (const line of result.log) terminal.line(logLine(line));
  if (trace) {
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
    `${ENDS[result.outcome]}; ${found.length === 0 ? "nothing found" : `${result.reports.length} report${result.reports.length === 1 ? "" : "s"}`}`,
  );
}

export function run({ program, does }: Shell): void {
  program
    .command("run")
    .description("run a scenario in a state: kernel log, results, reports")
    .argument("<scenario>", "one that `klab scenarios` lists")
    .option("--state <state>", "v1:4, v1, base, or a folder")
    .option("--kcsan", "look for data races and unordered frees")
    .option("--trace", "show the events too")
    .option("--schedule <token>", "the decisions of the run")
    .option("--json", "print one JSON document")
    .action(
      (id: string, options: { state?: string; trace?: boolean; kcsan?: boolean; schedule?: string; json?: boolean }) =>
        does(options, async (terminal) => {
          if (options.state === undefined)
            throw new InputError("in which state? say it with --state, for example --state v1:4");
          const scenario = await scenarioOf(id);
          const state = await stateOf(options.state);
          if (options.schedule !== undefined) {
            throw new InputError("--schedule is not there yet: nothing makes tokens so far; leave it out");
          }
          const { kernel } = await loadKernel(state.dir).catch((error: unknown) => {
            throw new InputError(
              `${state.name} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
            );
          });
          const trace = options.trace === true || terminal.json;
          const result = runScenario(kernel, scenario, { state: state.name, trace, kcsan: options.kcsan === true });
          print(terminal, result, trace);
          const { outcome, reports, log, events, results } = result;
          terminal.document({
            scenario: scenario.id,
            state: state.name,
            outcome,
            reports,
            log,
            events: plain(events),
            results: plain(results),
          });
          return findings(result).length > 0 ? 1 : 0;
        }),
    );
}
