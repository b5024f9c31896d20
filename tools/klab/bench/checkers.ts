// SPDX-License-Identifier: GPL-2.0-only
/** What the checkers cost: executions of a model, each from power-on to the end of the last of four tasks. */
import { loadModel } from "./bundle.ts";
import { type Effort, type Group, interleave, type Row, type Subject } from "./group.ts";

type Options = Parameters<Awaited<ReturnType<typeof loadModel>>["runModel"]>[0];

const OFF = "all off";
const ON = "all on";
const STACKS = "all on, stacks kept at once";
/** Stacks that a report shows are made by running once more: that is how tools use the kernel. */
const SUBJECTS: Readonly<Record<string, Options>> = {
  [OFF]: { checkers: false },
  [ON]: { kcsan: true, stacks: false },
  "all on but KCSAN": { stacks: false },
  [STACKS]: { kcsan: true },
};

async function measure(effort: Effort): Promise<Row[]> {
  const subjects: Subject[] = [];
  for (const [name, options] of Object.entries(SUBJECTS)) {
    const { runModel } = await loadModel(subjects.length);
    subjects.push({ name, run: (times) => runModel(options, times) });
  }
  // Stacks leave so much to collect that the others, whose turns come next, would pay for it.
  const plain = subjects.filter(({ name }) => name !== STACKS);
  const measured = interleave(plain, effort);
  const heavy = interleave(
    subjects.filter(({ name }) => name === OFF || name === STACKS),
    effort,
  );
  const row = (name: string, { ns, ratio } = measured, limit: number | null = null): Row => ({
    name,
    value: 1e9 / (ns.get(name) ?? NaN),
    unit: "1/s",
    ratio: name === OFF ? null : ratio(name, OFF),
    against: name === OFF ? null : OFF,
    bound: limit === null ? null : { of: "value", at: "least", limit },
  });
  const limits: Readonly<Record<string, number>> = { [OFF]: 100_000, [ON]: 20_000 };
  return [
    ...plain.map(({ name }) => row(name, measured, limits[name] ?? null)),
    row(STACKS, heavy),
    {
      name: "one execution, all on",
      value: (measured.ns.get(ON) ?? NaN) / 1000,
      unit: "us",
      ratio: measured.ratio(ON, OFF),
      against: OFF,
      bound: { of: "ratio", at: "most", limit: 5 },
    },
  ];
}

export const checkers: Group = {
  name: "checkers",
  summary: "executions of a model of 4 tasks and 12 points, with the checkers on and off",
  measure,
};
