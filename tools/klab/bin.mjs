#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
/** Starts the command line. Plain JavaScript, so that it can say in one line what is wrong with the installation. */
import { fileURLToPath } from "node:url";

const NEEDED = [20, 19];

function refuse(message) {
  process.stderr.write(`klab: ${message}\n`);
  process.exit(2);
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  refuse(`Node.js ${process.versions.node} is too old: install ${NEEDED.join(".")} or later`);
}

let tsx;
try {
  tsx = await import("tsx/esm/api");
} catch (error) {
  if (error?.code !== "ERR_MODULE_NOT_FOUND") throw error;
  refuse(`the dependencies are not installed: run \`npm ci\` in ${fileURLToPath(new URL("../..", import.meta.url))}`);
}
tsx.register();

process.stdout.on("error", (error) => {
  // `klab … | head`: who reads has read enough.
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});
try {
  const { main } = await import("./main.ts");
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const missing = /^Cannot find package '([^']+)'/.exec(error?.message ?? "");
  if (error?.code !== "ERR_MODULE_NOT_FOUND" || !missing) throw error;
  refuse(
    `the package ${missing[1]} is not installed: run \`npm ci\` in ${fileURLToPath(new URL("../..", import.meta.url))}`,
  );
}
