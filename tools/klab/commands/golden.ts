// SPDX-License-Identifier: GPL-2.0-only
/** klab golden: a trace recorded on a real kernel, replayed step by step. */
import { InputError } from "../errors.ts";
import type { Difference } from "../golden/compare.ts";
import { readTrace } from "../golden/record.ts";
import { type Replayed, replay } from "../golden/replay.ts";
import type { Shell } from "../main.ts";
import { state as stateOf } from "../states/index.ts";
import { loadKernel } from "../states/load.ts";
import type { Terminal } from "../terminal.ts";

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Lists are shown line by line, with what both have left unmarked. */
function showDifference(terminal: Terminal, { field, expected, got }: Difference): void {
  if (!Array.isArray(expected) || !Array.isArray(got)) {
    terminal.line(`  ${field}: ${terminal.style("red", `expected ${shown(expected)}`)}, got ${shown(got)}`);
    return;
  }
  terminal.line(`  ${field}:`);
  for (const line of expected)
    terminal.line(got.includes(line) ? `      ${shown(line)}` : terminal.style("red", `    - ${shown(line)}`));
  for (const line of got) if (!expected.includes(line)) terminal.line(terminal.style("green", `    + ${shown(line)}`));
}

function print(terminal: Terminal, result: Replayed): void {
  let step = "";
  for (const difference of result.differing) {
    if (difference.step !== step) terminal.line(terminal.style("bold", (step = difference.step)));
    showDifference(terminal, difference);
  }
  for (const { step: name, why } of result.skipped) terminal.line(terminal.style("dim", `${name} skipped: ${why}`));
  for (const { step: name, title } of result.reports)
    terminal.line(terminal.style("yellow", `${name} reported: ${title}`));
  const { steps, compared, equal, skipped } = result;
  const share = compared === 0 ? 0 : Math.floor((1000 * equal) / compared) / 10;
  terminal.line(
    `${steps} steps: ${compared} compared, ${equal} equal (${share} %), ${compared - equal} differing, ${skipped.length} skipped`,
  );
}

export function golden({ program, does }: Shell): void {
  program
    .command("golden")
    .description("replay a trace recorded on a real kernel and compare, step by step")
    .argument("<file>", "a trace, one JSON object a line")
    .option("--state <state>", "v1:4, v1, base, or a folder", "base")
    .option("--json", "print one JSON document")
    .action((file: string, options: { state: string; json?: boolean }) =>
      does(options, async (terminal) => {
        const records = readTrace(file);
        const state = await stateOf(options.state);
        const { kernel } = await loadKernel(state.dir).catch((error: unknown) => {
          throw new InputError(
            `${state.name} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
          );
        });
        const progress = terminal.progress(records.filter((r) => r.call === "boot").length);
        const result = replay(kernel, records, (what) => progress.step(what));
        progress.end();
        print(terminal, result);
        terminal.document(result);
        return result.differing.length > 0 ? 1 : 0;
      }),
    );
}
