// SPDX-License-Identifier: GPL-2.0-only
/** What differs between two states, for people: on a terminal and as a page. */
import type { Counted, KindDiff } from "./align.ts";
import type { Handover, ObjectDiff } from "./objects.ts";
import type { ScenarioDiff } from "./scenario-diff.ts";

/** Where the lines go: plain here, coloured on a terminal. */
export interface Paint {
  gone(text: string): string;
  come(text: string): string;
  head(text: string): string;
}
export const PLAIN: Paint = { gone: (text) => text, come: (text) => text, head: (text) => text };

const HEADINGS: Readonly<Record<KindDiff["kind"], string>> = {
  tracepoint: "tracepoints",
  allocation: "allocations",
  free: "frees",
  reference: "references",
  wait: "waits",
  "return code": "return codes",
  log: "log",
  uevent: "uevents",
  report: "reports",
  result: "results",
  "life time": "life times",
};

/** More lines of one kind than this are counted, not shown. */
const MOST = 12;

function lines(sign: string, counted: readonly Counted[], paint: (text: string) => string): string[] {
  // What names a module is nearer to what the series is about than what the driver core did for it.
  const near = ({ line }: Counted): number => (/ \[\w+\]|\b(vfio|mdev)_/.test(line) ? 0 : 1);
  const sorted = [...counted].sort((a, b) => near(a) - near(b));
  const shown = sorted.slice(0, MOST).map(({ line, n }) => paint(`    ${sign} ${line}${n > 1 ? `  ×${n}` : ""}`));
  const rest = counted.length - shown.length;
  return rest > 0 ? [...shown, paint(`    ${sign} … ${rest} more`)] : shown;
}

/** What differs, by kind. */
export function kindLines(diffs: readonly KindDiff[], paint: Paint = PLAIN): string[] {
  return diffs.flatMap(({ kind, gone, come, moved }) => {
    const [less, more] = [gone, come].map((all) => all.reduce((n, c) => n + c.n, 0));
    const figures = [less ? `-${less}` : "", more ? `+${more}` : "", moved ? `${moved} at another place` : ""];
    return [
      `  ${HEADINGS[kind]}: ${figures.filter((f) => f !== "").join(", ")}`,
      ...lines("-", gone, (text) => paint.gone(text)),
      ...lines("+", come, (text) => paint.come(text)),
    ];
  });
}

/** The place where the two runs part. */
export function firstLines({ first }: ScenarioDiff, names: readonly [string, string], paint: Paint = PLAIN): string[] {
  if (!first) return [];
  const width = Math.max(...names.map((name) => name.length));
  const where =
    first.last === null ? "from the beginning" : `after ${first.after} equal steps, the last: ${first.last}`;
  return [
    `  first difference${first.fault === undefined ? "" : ` (${first.fault})`}, ${where}`,
    paint.gone(`    ${names[0].padEnd(width)}  ${first.first ?? "(the run is over)"}`),
    paint.come(`    ${names[1].padEnd(width)}  ${first.second ?? "(the run is over)"}`),
  ];
}

/** Who frees what somebody else freed, in a sentence each. */
export function handoverLines(all: readonly Handover[]): string[] {
  const words = (names: readonly string[]): string => names.join(", ").replace(/^never$/, "nobody");
  return all.map((h) => {
    const behalf = h.for.length > 0 ? `, for ${h.for.join(", ")}` : "";
    return `  ${h.objects.join(", ")}: freed by ${words(h.to)}; before by ${words(h.from)}${behalf}`;
  });
}

/** Who allocates and frees what, where that differs. */
export function objectLines(objects: readonly ObjectDiff[], paint: Paint = PLAIN): string[] {
  const line = (sign: string, { allocated, freed }: ObjectDiff["gone"][number]): string =>
    `    ${sign} allocated by ${allocated}, freed ${freed === "never" ? freed : `by ${freed}`}`;
  return objects.flatMap(({ object, gone, come }) => [
    `  ${object}`,
    ...gone.map((fate) => paint.gone(line("-", fate))),
    ...come.map((fate) => paint.come(line("+", fate))),
  ]);
}

/** All there is to say of one scenario. */
export function scenarioLines(diff: ScenarioDiff, names: readonly [string, string], paint: Paint = PLAIN): string[] {
  if (diff.same) return [`${paint.head(diff.id)}: the same`];
  return [paint.head(diff.id), ...firstLines(diff, names, paint), ...kindLines(diff.diffs, paint)];
}
