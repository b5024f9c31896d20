// SPDX-License-Identifier: GPL-2.0-only
/** Every rule is seen to speak and seen to be silent, in the configuration that the project itself is linted with. */
import test from "ava";
import { type Findings, lintAll, type Snippet } from "./harness.ts";
import { RULE_CASES } from "./rule-cases.ts";
import { type Case, LOSES_COLOUR, POSTAMBLE, PREAMBLE, SILENT, SPEAKS } from "./yield-star-cases.ts";

interface Expectation extends Snippet {
  readonly title: string;
  /** What a finding starts with, or null when there must be none. */
  readonly finds: string | null;
  /** Findings of other rules do not count. */
  readonly among: RegExp;
  readonly compiles: boolean;
}

function typeCase([what, body]: Case, index: number, group: string, finds: string | null): Expectation {
  const code = `${PREAMBLE}export function* it(): Sleeps<any> {\n${body}\n}\n${POSTAMBLE}`;
  const path = `kernel/sched/lint-${group.replaceAll(/\W/g, "-")}-${index}.ts`;
  return { title: `${group}: ${what}`, path, code, finds, among: /^klab\/(yield-star|colour)/, compiles: true };
}

const expectations: Expectation[] = [
  ...Object.entries(SPEAKS).flatMap(([use, cases]) => cases.map((c, i) => typeCase(c, i, use, `is ${use}:`))),
  ...SILENT.map((c, i) => typeCase(c, i, "silent", null)),
  ...LOSES_COLOUR.map((c, i) => typeCase(c, i, "colour", "klab/colour:")),
  ...RULE_CASES.flatMap(({ rule, speaks, silent }) => {
    const one =
      (finds: string | null) =>
      ([path, code, says]: readonly [string, string, string?], i: number) => ({
        title: `${rule} ${finds === null ? "is silent" : "speaks"}: ${path}: ${code}`,
        // Each in a file of its own, in the folder that decides about it.
        path: path.replace(
          /\.(\w+)$/,
          `-${rule.replaceAll(/\W/g, "-")}-${finds === null ? "silent" : "speaks"}-${i}.$1`,
        ),
        code,
        finds: says ?? finds,
        among: new RegExp(`^${rule}:`),
        compiles: false,
      });
    return [...speaks.map(one(`${rule}:`)), ...silent.map(one(null))];
  }),
];

let findings: Findings[] = [];
test.before(async () => {
  findings = await lintAll(expectations);
});

for (const [i, { title, finds, among, compiles }] of expectations.entries()) {
  test(title, (t) => {
    const { lint, types } = findings[i]!;
    if (compiles) t.deepEqual(types, []);
    const ours = lint.filter((finding) => among.test(finding));
    if (finds === null) t.deepEqual(ours, []);
    else {
      t.true(ours.length > 0, `silent; others said ${JSON.stringify(lint)}`);
      for (const finding of ours) t.true(finding.includes(finds), finding);
    }
  });
}
