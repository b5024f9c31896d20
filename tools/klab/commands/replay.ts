// SPDX-License-Identifier: GPL-2.0-only
/** klab replay: the run of a token again. */
import { readToken } from "../explore/token.ts";
import type { Shell } from "../main.ts";
import { scenarioOf } from "../scenario.ts";
import { state as stateOf } from "../states/index.ts";
import { runAndShow } from "./run.ts";

export function replay({ program, does }: Shell): void {
  program
    .command("replay")
    .description("the run of a token again; says when the source has changed since")
    .argument("<token>", "one that `klab explore` or `klab bugs` printed")
    .option("--trace", "show who did what, a task a column, and what was decided")
    .option("--json", "print one JSON document")
    .action((text: string, options: { trace?: boolean; json?: boolean }) =>
      does(options, async (terminal) => {
        const token = readToken(text);
        const scenario = await scenarioOf(token.scenario);
        const show = { trace: options.trace === true, columns: true };
        return runAndShow(terminal, scenario, await stateOf(token.state), show, token);
      }),
    );
}
