// SPDX-License-Identifier: GPL-2.0-only
/** What the repository itself looks like. Plain text only: what needs a parser is a lint rule. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import test from "ava";

const ROOT = resolve(import.meta.dirname, "..");
/** Somebody else's, or made by a program. Patches are text of another time. */
const NOT_OURS = ["node_modules", ".git", ".klab", "coverage", "patches"];
const SOURCES = [".ts", ".mjs", ".js", ".md", ".html", ".css", ".sh"];

/** Files of kernel/ that are longer than one sitting, and why they are not two files. */
const LONG_FILES: Readonly<Record<string, string>> = {};
const SITTING = 400;

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function* sources(folder = ""): Generator<Source> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name).replaceAll("\\", "/");
    if (NOT_OURS.includes(path)) continue;
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.isFile() && SOURCES.includes(extname(entry.name))) {
      const text = readFileSync(join(ROOT, path), "utf8");
      yield { path, text, lines: text.replace(/\n$/, "").split("\n") };
    }
  }
}

const all = [...sources()];
const code = all.filter(({ path }) => !path.endsWith(".md"));
const under = (folder: string): Source[] => all.filter(({ path }) => path.startsWith(`${folder}/`));

/** `path:line: text` of each line that matches. */
function linesWith(files: readonly Source[], pattern: RegExp): string[] {
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

test("every source file says its licence first", (t) => {
  const spdx = /^(\/\/|\/\*|<!--|#) SPDX-License-Identifier: GPL-2\.0-only\b/;
  const without = all.filter(({ lines }) => !spdx.test(lines[lines[0]?.startsWith("#!") ? 1 : 0] ?? ""));
  t.deepEqual(
    without.map(({ path }) => path),
    [],
  );
  t.regex(readFileSync(join(ROOT, "COPYING"), "utf8"), /GNU GENERAL PUBLIC LICENSE\s+Version 2, June 1991/);
});

test("every file of include/ says what it stands for: stub, dup or custom", (t) => {
  const without = under("include").filter(({ lines }) => !/^\/\/ (stub|dup|custom): \S/.test(lines[1] ?? ""));
  t.deepEqual(
    without.map(({ path, lines }) => `${path}:2: ${lines[1]}`),
    [],
  );
});

test("a file of kernel/ is read in one sitting", (t) => {
  const long = under("kernel").filter(({ lines }) => lines.length > SITTING);
  t.deepEqual(
    long.filter(({ path }) => !(path in LONG_FILES)).map(({ path, lines }) => `${path}: ${lines.length} lines`),
    [],
  );
  // An exemption that is not needed any more goes.
  t.deepEqual(
    Object.keys(LONG_FILES).filter((path) => !long.some((file) => file.path === path)),
    [],
  );
});

test("lint is silenced for one line, by the name of the rule, with a reason", (t) => {
  // A comment that sets rules, for a whole file, is one more way to silence them.
  const directives = linesWith(code, /(\/\/|\/\*)\s*eslint(-disable|-enable|\s)/);
  const good = /\/\/ eslint-disable-(next-)?line [\w@/-]+(, [\w@/-]+)* -- \S/;
  t.deepEqual(
    directives.filter((line) => !good.test(line)),
    [],
  );
});

test("nothing is left to be done", (t) => {
  // Not written as words, or this file would be the first finding.
  t.deepEqual(linesWith(all, new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X".repeat(3)].join("|")})\\b`)), []);
});

test("nothing depends on the machine it was written on", (t) => {
  const paths = ["work", "tmp", "home"].join("|");
  t.deepEqual(linesWith(all, new RegExp(`(?<![\\w.)}-])/(${paths})/`)), []);
  const lock = join(ROOT, "package-lock.json");
  if (existsSync(lock)) t.notRegex(readFileSync(lock, "utf8"), /"resolved": "[a-z+]+:/);
});
