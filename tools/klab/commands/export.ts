// SPDX-License-Identifier: GPL-2.0-only
/** klab export: the series as a git repository. */
import { exportTo } from "../export/repository.ts";
import type { Shell } from "../main.ts";

export function exportCommand({ program, does }: Shell): void {
  program
    .command("export")
    .description("make a git repository: the base, then one commit per patch, tagged v1-0, v1-1, …")
    .argument("<dir>", "a folder that is empty or not there yet")
    .argument("[version]", "default v1")
    .option("--json", "print one JSON document")
    .action((dir: string, version: string | undefined, options: { json?: boolean }) =>
      does(options, async (terminal) => {
        const tags = await exportTo(dir, version ?? "v1");
        terminal.line(`${dir}: ${tags.length} commits, tagged ${tags[0] ?? ""} to ${tags.at(-1) ?? ""}`);
        terminal.document({ dir, tags });
        return 0;
      }),
    );
}
