// SPDX-License-Identifier: GPL-2.0-only
// `--import=tsx` does not reach the worker threads of ava; what ava itself requires there does.
import { register as registerHooks } from "node:module";
import { register as registerTsx } from "tsx/esm/api";

if (process.env.NODE_V8_COVERAGE === undefined) registerTsx();
else {
  // tsx writes a file as one line, and c8 then takes whole classes that never ran for covered.
  registerHooks("./coverage-loader.mjs", import.meta.url);
  process.setSourceMapsEnabled(true);
  // Processes and threads that a test starts run with tsx. Counts of the same file with other offsets would be garbage.
  delete process.env.NODE_V8_COVERAGE;
}
