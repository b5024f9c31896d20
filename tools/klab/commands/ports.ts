// SPDX-License-Identifier: GPL-2.0-only
/** klab ports: what of each C file is there, against the inventory of the C files. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Shell } from "../main.ts";
import { EXPECTED, ROOT } from "../paths.ts";
import type { CFile, Port, Share } from "../source/inventory.ts";
import { readTree } from "../states/tree.ts";
import { table, type Terminal } from "../terminal.ts";

const KINDS = ["functions", "members", "macros", "enumerators"] as const;

/** A file is done with if nothing is missing in it, or if it is left out as a whole. */
const done = (p: Port): boolean =>
  p.leftOut !== null || (p.ts !== null && KINDS.every((kind) => p[kind].missing.length === 0));

function print(terminal: Terminal, ports: readonly Port[]): void {
  const count = ({ have, missing }: Share): string =>
    have + missing.length === 0 ? "" : `${have}/${have + missing.length}`;
  const cells = (p: Port): string[] => {
    if (p.leftOut !== null) return ["left out"];
    return p.ts === null ? ["not ported"] : KINDS.map((kind) => count(p[kind]));
  };
  for (const line of table([["C file", ...KINDS], ...ports.map((p) => [p.c, ...cells(p)])])) terminal.line(line);
  terminal.line();
  for (const p of ports) {
    if (p.leftOut !== null) terminal.line(`${p.c} left out: ${p.leftOut}`);
    if (p.leftOut !== null || p.ts === null) continue;
    const leftOut = KINDS.flatMap((kind) => p[kind].leftOut);
    for (const why of new Set(leftOut.map((l) => l.why)))
      terminal.line(
        `${p.ts} left out: ${leftOut
          .filter((l) => l.why === why)
          .map((l) => l.name)
          .join(" ")} (${why})`,
      );
    for (const kind of KINDS)
      if (p[kind].missing.length > 0) terminal.line(`${p.ts}: ${kind} missing: ${p[kind].missing.join(" ")}`);
  }
  const whole = ports.filter((p) => p.leftOut === null && done(p)).length;
  const out = ports.filter((p) => p.leftOut !== null).length;
  terminal.line(
    `${whole} of ${ports.length - out} C files are there with every name, but for what is left out; names only, what they do is for the tests to say.`,
  );
}

export function ports({ program, does }: Shell): void {
  program
    .command("ports")
    .description("what of each C file is there and what is missing")
    .option("--json", "print one JSON document")
    .action((options: { json?: boolean }) =>
      does(options, async (terminal) => {
        const { portsOf } = await import("../source/inventory.ts");
        const inventory = JSON.parse(readFileSync(resolve(EXPECTED, "inventory.json"), "utf8")) as Record<
          string,
          CFile
        >;
        const files = portsOf(readTree(ROOT), inventory);
        print(terminal, files);
        terminal.document({ files });
        return files.every(done) ? 0 : 1;
      }),
    );
}
