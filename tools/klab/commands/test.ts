// SPDX-License-Identifier: GPL-2.0-only
/** klab test: the test suite in a state. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { InputError } from "../errors.ts";
import type { Shell } from "../main.ts";
import { ROOT } from "../paths.ts";
import { runTool } from "../process.ts";
import { state as stateOf } from "../states/index.ts";

/** Titles of a TAP stream with their results. */
function tapResults(tap: string): { title: string; ok: boolean }[] {
  return [...tap.matchAll(/^(not )?ok \d+ - (.*?)(?: # .*)?$/gm)].map((m) => ({
    title: m[2] ?? "",
    ok: m[1] === undefined,
  }));
}

export function test({ program, does }: Shell): void {
  program
    .command("test")
    .description("the test suite in a state")
    .argument("[pattern]", "a test file, or part of titles")
    .option("--state <state>", "v1:4, v1, base, or a folder; without it, tests about states look at all of them")
    .option("--json", "print one JSON document")
    .action((pattern: string | undefined, options: { state?: string; json?: boolean }) =>
      does(options, async (terminal) => {
        const { state } = options;
        const env = { ...process.env };
        delete env["KLAB_STATE"];
        if (state !== undefined) {
          await stateOf(state);
          // A folder is named from where we are, and ava runs in the checkout.
          env["KLAB_STATE"] = existsSync(resolve(state)) && !/^[\w.-]+:\d+$/.test(state) ? resolve(state) : state;
        }
        const isFile = pattern !== undefined && /[/\\]|\.ts$/.test(pattern);
        if (isFile && !existsSync(resolve(ROOT, pattern)))
          throw new InputError(`there is no file ${pattern} in the checkout; its tests are test/**/*.test.ts`);
        const args = pattern === undefined ? [] : isFile ? [pattern] : ["--match", `*${pattern}*`];
        const { code, stdout, stderr } = await runTool("ava", terminal.json ? ["--tap", ...args] : args, ROOT, {
          env,
          show: !terminal.json,
        });
        const tests = tapResults(stdout);
        if (terminal.json && tests.length === 0) {
          const [first] = stderr.split("\n").filter((line) => line.trim() !== "");
          throw new InputError(`ava ran no test: ${first ?? `nothing matches ${pattern ?? ""}`}`);
        }
        terminal.document({ state: state ?? null, pattern: pattern ?? null, ok: code === 0, tests });
        return code === 0 ? 0 : 1;
      }),
    );
}
