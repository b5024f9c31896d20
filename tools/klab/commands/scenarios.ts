// SPDX-License-Identifier: GPL-2.0-only
/** klab scenarios: what can be run. */
import { plain } from "../json.ts";
import type { Shell } from "../main.ts";
import { allScenarios } from "../scenario.ts";
import { table } from "../terminal.ts";

export function scenarios({ program, does }: Shell): void {
  program
    .command("scenarios")
    .description("list what `klab run` can run")
    .option("--json", "print one JSON document")
    .action((options: { json?: boolean }) =>
      does(options, async (terminal) => {
        const all = await allScenarios();
        if (all.length === 0) terminal.line("There is no scenario in test/scenarios/.");
        for (const line of table(all.map((s) => [terminal.style("bold", s.id), s.summary]))) terminal.line(line);
        terminal.document(
          all.map(({ id, summary, machine, processes }) => ({ id, summary, machine: plain(machine), processes })),
        );
        return 0;
      }),
    );
}
