// SPDX-License-Identifier: GPL-2.0-only
/** The search of one state for everything that its general scenarios come to, told apart by what explains it. */
import type { Crew, SubjectName } from "../explore/crew.ts";
import { drive, type Driven, type Job, type Searching } from "../explore/drive.ts";
import { type Execution, MAX_STEPS } from "../explore/execution.ts";
import { type Finding, type Found, keyOf, keyWithFaults } from "../explore/finding.ts";
import { placeOf, writeToken } from "../explore/token.ts";
import { allScenarios, type Scenario } from "../scenario.ts";
import { type Explained, explanationOf } from "./catalogue.ts";
import { type Quiet, tries, type Try } from "./plans.ts";

/** Runs that making one finding small may take: what is in a catalogue is to be read by people. */
const SHRINKING = { catalogued: 60, new: 16, race: 0, explained: 0 };

export interface HuntOptions {
  readonly state: SubjectName["state"];
  /** Their ids. */
  readonly scenarios: readonly string[];
  readonly seed: number;
  /** Steps of the machine after which a run is cut. */
  readonly maxSteps?: number;
  /** Faults of the series or canaries: each is made as small as can be. */
  readonly catalogue: readonly Explained[];
  /** Everything else that is known. */
  readonly explained: readonly Explained[];
}

export class Hunt implements Searching {
  readonly #options: HuntOptions;
  readonly #quiets: Quiet[] = [];
  readonly #tries: Generator<Try | null, never>;
  readonly #isQuiet = new Set<number>();

  constructor(options: HuntOptions) {
    this.#options = options;
    this.#tries = tries(options.scenarios.length, this.#quiets, options.seed);
  }

  next(): Job | null {
    const one = this.#tries.next().value;
    if (!one) return null;
    const { state, scenarios, maxSteps = MAX_STEPS } = this.#options;
    if (one.quiet) this.#isQuiet.add(one.plan.nth);
    const of = { state, scenario: scenarios[one.scenario] ?? "", mode: one.mode, maxSteps };
    return { of, plan: one.plan, listed: one.quiet ? ["fault", "event"] : [] };
  }
  learn({ plan }: Job, { asked, questions }: Execution): void {
    if (this.#isQuiet.has(plan.nth)) this.#quiets.push({ asked: Math.max(1, asked), questions });
  }

  explanationOf(finding: Finding): Explained | null {
    const { catalogue, explained, state } = this.#options;
    return explanationOf([catalogue, explained], finding, state.name);
  }
  /** What is explained is told once for each explanation, whatever failed before; what is not, once for each failure. */
  nameOf(finding: Finding): string {
    const known = this.explanationOf(finding);
    return known ? `${keyOf(finding)}\0${known.id}` : keyWithFaults(finding);
  }
  shrinking(finding: Finding): number {
    const known = this.explanationOf(finding);
    if (known && this.#options.catalogue.includes(known)) return SHRINKING.catalogued;
    // Races come in nearly every schedule, the quiet one included, and looking for them takes long.
    if (finding.checker === "kcsan") return SHRINKING.race;
    return known ? SHRINKING.explained : SHRINKING.new;
  }
}

export function isGeneral({ id }: { readonly id: string }): boolean {
  return id.startsWith("general-");
}
export async function generalScenarios(): Promise<Scenario[]> {
  return (await allScenarios()).filter(isGeneral);
}

/** A finding as the table and the document show it. */
export interface FoundRecord {
  readonly state: string;
  readonly id: string | null;
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  readonly object: string;
  readonly places: readonly string[];
  /** Stack of what failed before, innermost first. */
  readonly fault: readonly string[] | null;
  readonly scenario: string;
  readonly token: string;
  readonly switches: number;
  readonly faults: number;
  readonly executions: number;
  readonly seconds: number;
}

export interface HuntLimits {
  readonly executions: number;
  /** null: as long as the executions take. */
  readonly seconds: number | null;
  readonly stop?: AbortSignal | undefined;
  readonly onFound?: (record: FoundRecord) => void;
  /** As soon as something is found. @id: what explains it */
  readonly onNews?: (id: string | null, finding: Finding, seconds: number) => void;
  readonly onStep?: () => void;
}

/** @source: fingerprint of the source, for the tokens @throws InputError if the state cannot be loaded */
export function huntState(crew: Crew, source: string, options: HuntOptions, limits: HuntLimits): Promise<Driven> {
  const hunt = new Hunt(options);
  const { onFound, onNews, onStep, executions, seconds, stop } = limits;
  const place = placeOf(options.state.name);
  const record = ({ finding, scenario, mode, decisions, size, executions, seconds }: Found): FoundRecord => {
    const { checker, title, text, object, places, injected } = finding;
    const state = options.state.name;
    return {
      state,
      id: hunt.explanationOf(finding)?.id ?? null,
      checker,
      title,
      text,
      object,
      places: places.filter((p) => p !== ""),
      fault: injected[0]?.stack ?? null,
      scenario,
      token: writeToken({ scenario, state: place, source, mode, decisions }),
      switches: size.switches,
      faults: size.faults,
      executions,
      seconds: Math.round(seconds * 10) / 10,
    };
  };
  return drive(crew, hunt, {
    executions,
    seconds: seconds ?? undefined,
    stop,
    // Making small takes its part of the time, if there is only so much.
    smallFirst: seconds !== null,
    onFound: (found) => onFound?.(record(found)),
    onNews: (finding, after) => onNews?.(hunt.explanationOf(finding)?.id ?? null, finding, after),
    onStep,
  });
}
