// SPDX-License-Identifier: GPL-2.0-only
const long = process.env.KLAB_LONG === "1";

export default {
  files: ["test/**/*.test.ts", ...(long ? ["test/**/*.long.ts"] : [])],
  extensions: { ts: "module" },
  require: ["./test/register.mjs"],
  workerThreads: true,
  // Counted while nothing at all happens, so one test alone may not take longer.
  timeout: long ? "60m" : "2m",
};
