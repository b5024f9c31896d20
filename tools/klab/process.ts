// SPDX-License-Identifier: GPL-2.0-only
/** Running the compiler, the linter and the test runner. */
import { spawn, type StdioOptions } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { InputError } from "./errors.ts";
import { ROOT } from "./paths.ts";

export interface Finished {
  /** null if a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a tool of node_modules/.bin. Ctrl-C ends it with us. @throws InputError if it is not installed */
export function runTool(
  name: string,
  args: readonly string[],
  cwd: string,
  options: { env?: NodeJS.ProcessEnv; show?: boolean } = {},
): Promise<Finished> {
  const tool = resolve(ROOT, "node_modules/.bin", name);
  if (!existsSync(tool)) throw new InputError(`${name} is not installed: run \`npm ci\` in ${ROOT}`);
  const stdio: StdioOptions = options.show ? "inherit" : ["ignore", "pipe", "pipe"];
  const child = spawn(process.execPath, [tool, ...args], { cwd, stdio, env: options.env ?? process.env });
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done({ code, stdout, stderr }));
  });
}
