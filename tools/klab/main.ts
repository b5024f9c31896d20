// SPDX-License-Identifier: GPL-2.0-only
/** The command line: which commands there are, and how it ends. */
import { Command, CommanderError } from "commander";
import { bench } from "./commands/bench.ts";
import { bugs } from "./commands/bugs.ts";
import { bisect } from "./commands/bisect.ts";
import { compare } from "./commands/compare.ts";
import { explore } from "./commands/explore.ts";
import { exportCommand } from "./commands/export.ts";
import { golden } from "./commands/golden.ts";
import { ports } from "./commands/ports.ts";
import { replay } from "./commands/replay.ts";
import { run } from "./commands/run.ts";
import { scenarios } from "./commands/scenarios.ts";
import { series, showSeries } from "./commands/series.ts";
import { test } from "./commands/test.ts";
import { InputError, suggestion } from "./errors.ts";
import { type Streams, Terminal } from "./terminal.ts";

/** Ends of a command: 0 nothing wrong, 1 something found or differing, 2 wrong usage or input. */
export type ExitCode = number;

/** A command's work. What it returns is the exit code. */
export type Work = (terminal: Terminal) => Promise<ExitCode>;

/** Lets the sub-commands say how the process ends. */
export interface Shell {
  readonly program: Command;
  /** Keeps `work` for after the arguments have been understood. */
  readonly does: (options: { json?: boolean }, work: Work) => void;
}

const COMMANDS = [
  series,
  scenarios,
  run,
  test,
  compare,
  bisect,
  explore,
  replay,
  bugs,
  exportCommand,
  ports,
  golden,
  bench,
];

/** One line out of what commander has to say, which may be two. */
function oneLine(text: string): string {
  return text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ")
    .replace(/ \(Did you mean ([^)]*?)\??\)$/, "; did you mean $1?");
}

/** Runs the command line. @args: without node and the script; @streams: the process's, but for tests @return the exit code */
export async function main(args: readonly string[], streams: Streams = process): Promise<ExitCode> {
  const refuse = (message: string): ExitCode => {
    streams.stderr.write(`klab: ${message}\n`);
    return 2;
  };
  const todo: { work: Work; json: boolean }[] = [];
  const program = new Command("klab");
  const does: Shell["does"] = (options, work) => {
    const { json } = { ...program.opts<{ json?: boolean }>(), ...options };
    todo.push({ work, json: json === true });
  };
  const shell: Shell = { program, does };
  let refusal = "";
  program
    .description("What each patch of a series changes, state by state, on a mock kernel.")
    .option("--json", "print one JSON document")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      outputError: (text) => (refusal = oneLine(text)),
    })
    .showHelpAfterError(false)
    // Without a command there is the main job, so that a word commander does not know comes in as an argument.
    .argument("[nothing...]")
    .addHelpText(
      "after",
      "\nStates: v1:4, v1 (its last), base, or a folder.\nExit codes: 0 nothing wrong, 1 something found or differing, 2 wrong usage or input.",
    )
    .usage("[options] [command]")
    .action((words: readonly string[], options: { json?: boolean }) => {
      const [word] = words;
      if (word !== undefined)
        throw new InputError(`there is no command ${JSON.stringify(word)}${suggestion(word, commandNames(program))}`);
      does(options, (terminal) => showSeries(terminal, "v1"));
    });
  for (const add of COMMANDS) add(shell);
  try {
    await program.parseAsync([...args], { from: "user" });
    const [first] = todo;
    return first ? await first.work(new Terminal(first.json, streams)) : 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      return refuse(refusal || oneLine(error.message));
    }
    if (error instanceof InputError) return refuse(error.message);
    throw error;
  }
}

function commandNames(program: Command): string[] {
  return program.commands.map((c) => c.name());
}
