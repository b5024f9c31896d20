// SPDX-License-Identifier: GPL-2.0-only
/** What `klab series check` says about a patch. */

/** True, or what is wrong. */
export type Verdict = true | readonly string[];

export interface PatchVerdict {
  readonly version: string;
  readonly number: number;
  readonly subject: string;
  readonly applies: Verdict;
  /** Null, here and below: there is no C patch to compare with. */
  readonly files: Verdict | null;
  readonly functions: Verdict | null;
  readonly members: Verdict | null;
  readonly exports: Verdict | null;
  readonly typechecks: Verdict;
  readonly lints: Verdict;
  readonly tests: Verdict | null;
  /** C files of the patch that are not ported: the other verdicts are about those that are. */
  readonly missing: readonly string[];
}
export const COLUMNS = ["applies", "files", "functions", "members", "exports", "typechecks", "lints", "tests"] as const;
