// SPDX-License-Identifier: GPL-2.0-only
/** Replay tokens: one line that says which run, of what, made from which source. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type decision, decisions_from_token, decisions_to_token } from "../../../kernel/explore/replay.ts";
import { InputError } from "../errors.ts";
import { ROOT } from "../paths.ts";
import { SCENARIOS } from "../scenario.ts";
import { contentHash, type Tree } from "../states/tree.ts";

/** What a run is told before it begins, besides its schedule. */
export interface Mode {
  /** Failures that the schedule may choose: each call that can fail is a question for as long as there are any left. */
  readonly faults: number;
  /** What the outside may do between any two steps counts among them: kernel/outside.ts. */
  readonly outside?: boolean;
  /** Look for data races and unordered frees. */
  readonly kcsan: boolean;
}
export interface Token {
  readonly scenario: string;
  readonly state: string;
  /** Of the source: the state's tree, and the scenarios. */
  readonly source: string;
  readonly mode: Mode;
  readonly decisions: readonly decision[];
}

const VERSION = "k2";
const SEPARATOR = "~";

/** Fingerprint of everything that decides what a run does. */
export function sourceOf(tree: Tree): string {
  const hash = createHash("sha256").update(contentHash(tree, ""));
  for (const folder of [SCENARIOS, resolve(ROOT, "test/helpers")])
    for (const name of readdirSync(folder).sort())
      if (name.endsWith(".ts")) hash.update(`\0${name}\0`).update(readFileSync(resolve(folder, name), "utf8"));
  return hash.digest("hex").slice(0, 12);
}

/** A state's name may be a path. */
function quoted(state: string): string {
  return state.replace(/[%~\s]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
/** @return "" if it is not a name that was quoted */
function unquoted(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
/** `f2oc`: two failures, the outside's doings among them, and data races looked for. */
function writeMode({ faults, outside, kcsan }: Mode): string {
  return `f${faults}${outside ? "o" : ""}${kcsan ? "c" : ""}`;
}
function readMode(text: string): Mode | null {
  const found = /^f(\d{1,4})(o?)(c?)$/.exec(text);
  if (!found) return null;
  return { faults: Number(found[1]), ...(found[2] === "o" && { outside: true }), kcsan: found[3] === "c" };
}

export function writeToken({ scenario, state, source, mode, decisions }: Token): string {
  return [VERSION, scenario, quoted(state), source, writeMode(mode), decisions_to_token(decisions)].join(SEPARATOR);
}

/** @throws InputError if it is none */
export function readToken(text: string): Token {
  const [version, scenario = "", state = "", source = "", told = "", rest, ...more] = text.trim().split(SEPARATOR);
  const mode = readMode(told);
  const decisions = rest === undefined || more.length > 0 ? null : decisions_from_token(rest);
  const place = unquoted(state);
  const whole = version === VERSION && scenario !== "" && place !== "" && /^[0-9a-f]{12}$/.test(source);
  if (!whole || mode === null || decisions === null) {
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    throw new InputError(
      `${JSON.stringify(shown)} is not a replay token; klab explore and klab bugs print them, as ${VERSION}${SEPARATOR}SCENARIO${SEPARATOR}STATE${SEPARATOR}…`,
    );
  }
  return { scenario, state: place, source, mode, decisions };
}
