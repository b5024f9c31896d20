// SPDX-License-Identifier: GPL-2.0-only
/**
 * Asks a C compiler for the layout of uapi headers: node --import tsx tools/klab/source/uapi-layout.ts TREE [CC]
 *
 * TREE is a Linux source tree. The names come from the inventory; the sizes, offsets and numbers from the compiler, which is
 * given the headers by name. Writes patches/expected/uapi-layout.json.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { EXPECTED } from "../paths.ts";
import { type CFile, type HeaderLayout, withoutAnonymous } from "./inventory.ts";

const HEADERS = ["linux/vfio.h", "linux/vfio_ccw.h"];

/** A line of C for each name; one that the compiler refuses is no value (a macro with arguments, say). */
function linesOf({ members = [], macros = [], enumerators = [] }: CFile): string[] {
  const structs = new Map<string, string[]>();
  for (const member of members) {
    const [struct = "", name = ""] = withoutAnonymous(member).split(".");
    structs.set(struct, [...(structs.get(struct) ?? []), name]);
  }
  return [
    ...[...structs].flatMap(([struct, names]) => [
      `printf("s ${struct} %zu\\n", sizeof(struct ${struct}));`,
      ...names.map((name) => `printf("m ${struct} ${name} %zu\\n", __builtin_offsetof(struct ${struct}, ${name}));`),
    ]),
    ...[...macros, ...enumerators].map((name) => `SHOW(${name});`),
  ];
}

const program = (header: string, lines: readonly string[]): string =>
  [
    "#include <stdio.h>",
    `#include <${header}>`,
    'static void text(const char *n, const char *v) { printf("t %s %s\\n", n, v); }',
    'static void number(const char *n, unsigned long long v) { printf("c %s %llu\\n", n, v); }',
    "static void word(const char *n, unsigned v) { number(n, v); }",
    "#define SHOW(x) _Generic((x) + 0, char *: text, const char *: text, int: word, default: number)(#x, x)",
    "int main(void)",
    "{",
    ...lines,
    "}",
    "",
  ].join("\n");
const BEFORE = 8;

function compiled(dir: string, tree: string, cc: string, header: string, all: readonly string[]): string {
  const [source, binary] = [join(dir, "layout.c"), join(dir, "layout")];
  let lines = [...all];
  for (;;) {
    writeFileSync(source, program(header, lines));
    const made = spawnSync(cc, ["-w", "-idirafter", join(tree, "include/uapi"), "-o", binary, source], {
      encoding: "utf8",
    });
    if (made.status === 0) return execFileSync(binary, { encoding: "utf8" });
    const bad = new Set(
      [...made.stderr.matchAll(/layout\.c:(\d+):\d+: (?:error|note: in expansion)/g)].map(
        (m) => Number(m[1]) - BEFORE - 1,
      ),
    );
    const left = lines.filter((_, i) => !bad.has(i));
    if (left.length === lines.length) throw new Error(made.stderr);
    lines = left;
  }
}

function layoutOf(output: string): HeaderLayout {
  const structs: Record<string, { size: number; members: Record<string, number> }> = {};
  const constants: Record<string, number | string> = {};
  for (const line of output.split("\n")) {
    const [kind, name = "", a = "", b = ""] = line.split(" ");
    const value = Number(a);
    if (kind === "s") structs[name] = { size: value, members: {} };
    else if (kind === "m") (structs[name] ??= { size: 0, members: {} }).members[a] = Number(b);
    else if (kind === "c") constants[name] = Number.isSafeInteger(value) ? value : a;
    else if (kind === "t") constants[name] = a;
  }
  return { structs, constants };
}

function main([tree = "", cc = "cc"]: readonly string[]): void {
  const inventory = JSON.parse(readFileSync(resolve(EXPECTED, "inventory.json"), "utf8")) as Record<string, CFile>;
  const dir = mkdtempSync(join(tmpdir(), "klab-uapi-"));
  try {
    const layouts = HEADERS.map((header) => {
      const file = inventory[`include/uapi/${header}`] ?? {};
      return [header, layoutOf(compiled(dir, tree, cc, header, linesOf(file)))] as const;
    });
    writeFileSync(resolve(EXPECTED, "uapi-layout.json"), `${JSON.stringify(Object.fromEntries(layouts), null, 1)}\n`);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

main(process.argv.slice(2));
