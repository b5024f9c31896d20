// SPDX-License-Identifier: GPL-2.0-only
/** What the explorer hands on. */
import type { decision } from "../../../kernel/explore/replay.ts";

export interface Found {
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  readonly decisions: readonly decision[];
  /** Decisions of the shrunk run by what they are about. */
  readonly switches: number;
  readonly faults: number;
  /** Executions until it was found. */
  readonly executions: number;
}
