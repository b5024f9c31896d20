// SPDX-License-Identifier: GPL-2.0-only
/** The groups of `klab bench`, one file each. */
import { checkers } from "./checkers.ts";
import { explore } from "./explore.ts";
import { primitives } from "./primitives.ts";
import { type1 } from "./type1.ts";
import type { Group } from "./group.ts";

export const GROUPS: readonly Group[] = [checkers, explore, primitives, type1];
