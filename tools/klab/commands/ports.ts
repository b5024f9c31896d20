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

function print(terminal: Terminal, ports: readonly Port[]): void {
  const count = ({ have, missing }: Share): string =>
    have + missing.length === 0 ? "" : `${have}/${have + missing.length}`;
  const rows = ports.map((p) => [p.c, ...(p.ts === null ? ["not ported"] : KINDS.map((kind) => count(p[kind])))]);
  for (const line of table([["C file", ...KINDS], ...rows])) terminal.line(line);
  terminal.line();
  for (const p of ports.filter((port) => port.ts !== null)) {
    for (const kind of KINDS) {
      if (p[kind].missing.length > 0) terminal.line(`${p.ts ?? ""}: ${kind} missing: ${p[kind].missing.join(" ")}`);
    }
  }
  const whole = ports.filter((p) => p.ts !== null && KINDS.every((kind) => p[kind].missing.length === 0)).length;
  terminal.line(
    `${whole} of ${ports.length} C files are there with every name; names only, what they do is for the tests to say.`,
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
        const files = portsOf(await readTree(ROOT), inventory);
        print(terminal, files);
        terminal.document({ files });
        return files.every((p) => KINDS.every((kind) => p[kind].missing.length === 0)) ? 0 : 1;
      }),
    );
}
