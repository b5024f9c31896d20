// SPDX-License-Identifier: GPL-2.0-only
/** Replay tokens: one line that says which run, of what, made from which source. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { crc32 } from "node:zlib";
import { type decision, decisions_from_token, decisions_to_token } from "../../../kernel/explore/replay.ts";
import { InputError } from "../errors.ts";
import { ROOT } from "../paths.ts";
import { SCENARIOS } from "../scenario.ts";
import { parseState } from "../states/names.ts";
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

const VERSION = "k3";
/** As it was before there was a check: still read, and whether it is whole nobody can tell. */
const UNCHECKED = "k2";
const SEPARATOR = "~";

/** Of 32 bits, which no change within four bytes leaves as they were: a changed letter or digit is always seen. */
function checkOf(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

/** Fingerprint of everything that decides what a run does. */
export function sourceOf(tree: Tree): string {
  const hash = createHash("sha256").update(contentHash(tree, ""));
  for (const folder of [SCENARIOS, resolve(ROOT, "test/helpers")])
    for (const name of readdirSync(folder).sort())
      if (name.endsWith(".ts")) hash.update(`\0${name}\0`).update(readFileSync(resolve(folder, name), "utf8"));
  return hash.digest("hex").slice(0, 12);
}

/** What a token calls a state: a folder is named from where we are, and the token may be used elsewhere. @throws InputError if there is no such state */
export function placeOf(state: string): string {
  const place = parseState(state);
  return place.kind === "folder" ? place.folder : place.name;
}
/** A state's name may be a path. */
function quoted(state: string): string {
  return state.replace(/[%~\s]/g, (c) => (c === SEPARATOR ? "%7e" : encodeURIComponent(c)));
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
  const text = [VERSION, scenario, quoted(state), source, writeMode(mode), decisions_to_token(decisions)].join(
    SEPARATOR,
  );
  return `${text}${SEPARATOR}${checkOf(text)}`;
}

/** @return the token without its check, null if the check says that this is not what was written */
function checked(text: string): string | null {
  if (!text.startsWith(`${VERSION}${SEPARATOR}`)) return text;
  const end = text.lastIndexOf(SEPARATOR);
  const told = text.slice(0, end);
  return text.slice(end + 1) === checkOf(told) ? told : null;
}

/** @throws InputError if it is none, or no longer what was written */
export function readToken(given: string): Token {
  const text = given.trim();
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  const told = checked(text);
  if (told === null)
    throw new InputError(
      `the replay token ${shown} was cut short or changed after it was printed; copy it whole, from ${VERSION}${SEPARATOR} to its last character`,
    );
  const [version = "", scenario = "", state = "", source = "", how = "", rest, ...more] = told.split(SEPARATOR);
  const mode = readMode(how);
  const decisions = rest === undefined || more.length > 0 ? null : decisions_from_token(rest);
  const place = unquoted(state);
  const known = version === VERSION || version === UNCHECKED;
  const whole = known && scenario !== "" && place !== "" && /^[0-9a-f]{12}$/.test(source);
  if (!whole || mode === null || decisions === null)
    throw new InputError(
      `${shown} is not a replay token; copy it whole, as klab explore and klab bugs print it: ${VERSION}${SEPARATOR}SCENARIO${SEPARATOR}STATE${SEPARATOR}…`,
    );
  return { scenario, state: place, source, mode, decisions };
}
