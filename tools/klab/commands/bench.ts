// SPDX-License-Identifier: GPL-2.0-only
/** klab bench: what things cost, as ratios measured in one run. */
import { GROUPS } from "../bench/index.ts";
import { type Bound, type Group, kept, type Row } from "../bench/group.ts";
import { InputError, suggestion } from "../errors.ts";
import type { Shell } from "../main.ts";
import { table, type Terminal } from "../terminal.ts";

interface Options {
  readonly quick?: boolean;
  readonly json?: boolean;
}

function chosen(pattern: string | undefined, groups: readonly Group[]): readonly Group[] {
  if (pattern === undefined) return groups;
  const found = groups.filter(({ name }) => name.includes(pattern));
  const names = groups.map(({ name }) => name);
  if (found.length === 0)
    throw new InputError(`there is no group ${JSON.stringify(pattern)}${suggestion(pattern, names)}`);
  return found;
}

/** Three digits, which is more than there is to know. */
function figure(n: number): string {
  if (!Number.isFinite(n)) return "?";
  const digits = n >= 100 || n === 0 ? 0 : n >= 10 ? 1 : 2;
  const [whole = "", rest] = (n >= 1000 ? Number(n.toPrecision(3)) : n).toFixed(digits).split(".");
  return whole.replaceAll(/\B(?=(\d{3})+$)/g, " ") + (rest === undefined ? "" : `.${rest}`);
}
function promise({ of, at, limit }: Bound, unit: string): string {
  return `at ${at} ${of === "ratio" ? `${figure(limit)}x` : `${figure(limit)} ${unit}`}`;
}
/** @judged: say whether promises are kept */
function cells(terminal: Terminal, row: Row, judged: boolean): string[] {
  const { name, value, unit, ratio, against, bound } = row;
  const verdict =
    bound && judged
      ? `${promise(bound, unit)}: ${kept(row) ? terminal.style("green", "kept") : terminal.style("red", "missed")}`
      : "";
  const compared = ratio === null ? "" : `${figure(ratio)}x ${against ?? ""}`;
  return [`  ${name}`, `${figure(value)} ${unit}`, compared, verdict];
}

/** @groups: what there is to choose from. @return 1 if a promise is not kept */
export async function showBench(
  terminal: Terminal,
  pattern: string | undefined,
  quick: boolean,
  groups: readonly Group[] = GROUPS,
): Promise<number> {
  // Of what was measured in passing nobody can say whether a promise is kept.
  const measured: { name: string; summary: string; rows: (Row & { kept: boolean | null })[] }[] = [];
  for (const group of chosen(pattern, groups)) {
    const progress = terminal.progress(Infinity);
    let rows: Row[];
    try {
      rows = await group.measure({ quick, step: (what) => progress.step(`${group.name}: ${what}`) });
    } finally {
      progress.end();
    }
    measured.push({
      name: group.name,
      summary: group.summary,
      rows: rows.map((row) => ({ ...row, kept: quick ? null : kept(row) })),
    });
    terminal.line(`${terminal.style("bold", group.name)}: ${group.summary}`);
    for (const line of table(rows.map((row) => cells(terminal, row, !quick)))) terminal.line(line);
  }
  if (quick) terminal.line("Measured quickly: the figures show that it runs, and no more.");
  terminal.document({ quick, groups: measured });
  return measured.some(({ rows }) => rows.some((row) => row.kept === false)) ? 1 : 0;
}

export function bench({ program, does }: Shell): void {
  program
    .command("bench")
    .description("what things cost, as ratios measured in one run")
    .argument("[group]", "only groups whose name has this in it")
    .option("--quick", "a few rounds: shows that it runs")
    .option("--json", "print one JSON document")
    .action((pattern: string | undefined, options: Options) =>
      does(options, (terminal) => showBench(terminal, pattern, options.quick === true)),
    );
}
