// SPDX-License-Identifier: GPL-2.0-only
/** What is expected to be found: the faults of the series, and everything else that has an explanation. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { InputError } from "../errors.ts";
import type { Finding } from "../explore/finding.ts";
import { EXPECTED } from "../paths.ts";

/** How a fault is recognised. What is left out does not matter; the rest are regular expressions. */
export interface Sign {
  readonly checker: string;
  readonly title?: string;
  /** Anywhere in the report. */
  readonly text?: string;
  readonly object?: string;
  /** One of the two places, or each of them where there are two. */
  readonly places?: readonly string[];
  /** Stack of what was made to fail before, innermost first, one call a line; null: nothing was. */
  readonly fault?: string | null;
}
export interface Explained {
  readonly id: string;
  /** `v1:1-7`, `all:4`, `all`, `base`. */
  readonly states: readonly string[];
  readonly what: string;
  readonly source: string;
  /** None: the fault shows nothing at run time. */
  readonly seen: readonly Sign[];
  /** States that have the fault and never come to it, with the finding that ends the machine before. */
  readonly masked?: Readonly<Record<string, string>>;
}

/** Whether `state`, as `v1:4` or `base`, is one of those that a specification names. The base is state 0 of every version. */
export function covers(spec: string, state: string): boolean {
  if (spec === "all" || spec === state) return true;
  const found = /^(?:([\w-]+):)(\d+)(?:-(\d+))?$/.exec(spec);
  // A canary is the base and one fault more.
  const [version, number] = state === "base" || state.startsWith("canary:") ? ["base", "0"] : state.split(":");
  if (!found) return spec === "base" && number === "0";
  if (version !== "base" && found[1] !== "all" && found[1] !== version) return false;
  const n = Number(number);
  return n >= Number(found[2]) && n <= Number(found[3] ?? found[2]);
}
export function expectedIn({ states }: Explained, state: string): boolean {
  return states.some((spec) => covers(spec, state));
}

/** The same few patterns are tried on everything that is found. */
const compiled = new Map<string, RegExp>();
function pattern(source: string, flags = ""): RegExp {
  const key = `${flags}/${source}`;
  let known = compiled.get(key);
  if (!known) compiled.set(key, (known = new RegExp(source, flags)));
  return known;
}

function fits(source: string | undefined, text: string): boolean {
  return source === undefined || pattern(source, "m").test(text);
}
function placesFit(patterns: readonly string[] | undefined, places: readonly [string, string]): boolean {
  if (!patterns) return true;
  const [one, two] = patterns.map((p) => pattern(`^(?:${p})(?: \\[\\w+\\])?$`));
  if (!one) return true;
  if (!two) return places.some((p) => one.test(p));
  return (one.test(places[0]) && two.test(places[1])) || (one.test(places[1]) && two.test(places[0]));
}
function signFits(sign: Sign, { checker, title, text, object, places, injected }: Finding): boolean {
  if (sign.checker !== checker || !fits(sign.title, title) || !fits(sign.text, text) || !fits(sign.object, object))
    return false;
  if (sign.fault === null && injected.length > 0) return false;
  const { fault } = sign;
  if (typeof fault === "string" && !injected.some((i) => pattern(fault).test(i.stack.join("\n")))) return false;
  return placesFit(sign.places, places);
}
export function recognises({ seen }: Explained, finding: Finding): boolean {
  return seen.some((sign) => signFits(sign, finding));
}

/** Reads a catalogue. @throws InputError if it is none */
export function readCatalogue(name: "faults.json" | "findings.json" | "canaries.json"): readonly Explained[] {
  const path = resolve(EXPECTED, name);
  try {
    return JSON.parse(readFileSync(path, "utf8")) as readonly Explained[];
  } catch (error) {
    throw new InputError(
      `patches/expected/${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Which of the known ones a finding is: those that are expected in the state come first. @return null if none */
export function explanationOf(
  catalogues: readonly (readonly Explained[])[],
  finding: Finding,
  state: string,
): Explained | null {
  let elsewhere: Explained | null = null;
  for (const known of catalogues.flat()) {
    if (!recognises(known, finding)) continue;
    if (expectedIn(known, state)) return known;
    elsewhere ??= known;
  }
  return elsewhere;
}
