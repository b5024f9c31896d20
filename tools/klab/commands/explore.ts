// SPDX-License-Identifier: GPL-2.0-only
/** klab explore: looking for a schedule that makes a checker speak. */
import { resolve } from "node:path";
import { sourceOf, writeToken } from "../explore/token.ts";
import { STRATEGIES, type Strategy, Walk } from "../explore/walk.ts";
import { InputError, suggestion } from "../errors.ts";
import type { Shell } from "../main.ts";
import { scenarioOf } from "../scenario.ts";
import { state as stateOf } from "../states/index.ts";
import { loadState } from "../states/load.ts";
import type { Terminal } from "../terminal.ts";

interface Options {
  readonly state?: string;
  readonly strategy?: string;
  readonly executions?: string;
  readonly seed?: string;
  readonly json?: boolean;
}

/** Planned, and refused by name until they are there. */
const LATER = ["preemptions", "faults", "time", "workers", "shard"] as const;

function number(name: string, text: string | undefined, fallback: number, least: number): number {
  if (text === undefined) return fallback;
  const n = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (n < least) throw new InputError(`--${name} ${JSON.stringify(text)} is not a number from ${least} on`);
  return n;
}

function strategyOf(text: string): Strategy {
  if (text === "dpor") throw new InputError("--strategy dpor is not there yet; take random or pct");
  const found = STRATEGIES.find((s) => s === text);
  if (!found) throw new InputError(`there is no strategy ${JSON.stringify(text)}${suggestion(text, STRATEGIES)}`);
  return found;
}

async function work(terminal: Terminal, id: string, options: Options): Promise<number> {
  const later = LATER.find((name) => name in options);
  if (later !== undefined) throw new InputError(`--${later} is not there yet; leave it out`);
  const strategy = strategyOf(options.strategy ?? "random");
  const executions = number("executions", options.executions, 100, 1);
  const seed = number("seed", options.seed, 1, 0);
  if (options.state === undefined)
    throw new InputError("in which state? say it with --state, for example --state v1:4");
  const scenario = await scenarioOf(id);
  if (scenario.faults)
    throw new InputError(`${id} lets every allocation fail in turn, which is not a schedule; klab run ${id} runs it`);
  const state = await stateOf(options.state);
  const walk = new Walk(await loadState(state), scenario, state.name, strategy, seed);
  const source = sourceOf(state.tree);
  // A folder is named from where we are; the token may be used elsewhere.
  const place = state.version === null && state.name !== "base" ? resolve(state.name) : state.name;
  const token = (decisions: Walk<never>["found"][number]["decisions"]): string =>
    writeToken({ scenario: id, state: place, source, mode: { faults: 0, kcsan: false }, decisions });

  let stopped = false;
  const stop = (): void => void (stopped = true);
  process.once("SIGINT", stop);
  const progress = terminal.progress(executions);
  const start = performance.now();
  try {
    while (walk.executions < executions && !stopped) {
      progress.step(`${walk.found.length} found`);
      for (const found of walk.step()) {
        progress.end();
        terminal.line(`${terminal.style("red", found.title)}`);
        terminal.line(
          `  in execution ${found.executions}; ${found.switches} switches, ${found.decisions.length - found.switches} other decisions; klab replay`,
        );
        terminal.line(`  ${token(found.decisions)}`);
      }
      // Only between executions is there anybody who could hear of Ctrl-C.
      await new Promise((next) => setImmediate(next));
    }
  } finally {
    process.off("SIGINT", stop);
    progress.end();
  }
  const perSecond = Math.round((walk.runs / (performance.now() - start)) * 10_000) / 10;
  terminal.line(
    `${walk.found.length} found; ${walk.runs} runs with those that made the findings small, ${perSecond} a second`,
  );
  terminal.line(`stopped after ${walk.executions} executions, nothing proved`);
  terminal.document({
    executions: walk.executions,
    complete: false,
    bound: null,
    per_second: perSecond,
    findings: walk.found.map(({ decisions, ...found }) => ({ ...found, token: token(decisions) })),
  });
  return walk.found.length > 0 ? 1 : 0;
}

export function explore({ program, does }: Shell): void {
  const command = program
    .command("explore")
    .description("look for a schedule that makes a checker speak: random walks")
    .argument("<scenario>", "one that `klab scenarios` lists")
    .option("--state <state>", "v1:4, v1, base, or a folder")
    .option("--strategy <name>", "random, or pct: priorities with a few points of change")
    .option("--executions <n>", "default 100")
    .option("--seed <n>", "default 1; the same seed gives the same walks")
    .option("--json", "print one JSON document")
    .action((id: string, options: Options) => does(options, (terminal) => work(terminal, id, options)));
  for (const name of LATER) command.addOption(command.createOption(`--${name} <value>`).hideHelp());
}
