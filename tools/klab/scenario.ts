// SPDX-License-Identifier: GPL-2.0-only
/**
 * Scenarios: what user space and the hardware do, written once and run on every state. The files of test/scenarios/
 * export one as `scenario`, or several as `scenarios`.
 */
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { InputError, suggestion } from "./errors.ts";
import { ROOT } from "./paths.ts";
import { cameFrom } from "./source-files.ts";
import type { Kernel } from "./states/load.ts";

/** How a run ended, in the words of kernel/arch/machine.ts. */
export type Outcome = "done" | "oops" | "deadlock" | "endless";

export interface Report {
  readonly checker: string;
  readonly title: string;
  readonly text: string;
  /** The task that it was about, its CPU, and the function; the line in its file where `set_source_lines()` was told. */
  readonly pid?: number;
  readonly comm?: string;
  readonly cpu?: number;
  readonly at?: {
    readonly name: string;
    readonly file: string;
    readonly module: string | null;
    readonly line: number | null;
  } | null;
  /** The allocation that was made to fail, by the function that asked for it. */
  readonly fault?: string;
}
/** A call that was made to fail. */
export interface Injection {
  /** The slab cache or the function. */
  readonly what: string;
  /** The function that got the error, and the stack below it, innermost first. */
  readonly place: string;
  readonly stack: readonly string[];
}
export interface LogLine {
  readonly level: number;
  readonly ns: number;
  readonly text: string;
}
export interface TraceEvent {
  readonly name: string;
  readonly ns: number;
  readonly pid: number;
  readonly comm: string;
  readonly text: string;
}
/** What the kernel around the ports tells of itself: kernel/trace/events.ts. */
export interface KernelEvent extends TraceEvent {
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What running a scenario takes from a kernel; the tests have a small one of their own. */
export interface RunnableKernel {
  boot(options?: object): Outcome;
  run(until?: () => boolean): Outcome;
  log(): readonly LogLine[];
  found(): readonly Report[];
  /** Looks for leaked memory and reports it. */
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  kmemleak_scan?(): unknown;
  /** Whether a boot without stacks had to show one. */
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  stacks_missed?(): boolean;
  /** What was made to fail since boot(). */
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  fault_injections?(): readonly Injection[];
  /** Calls `listener` for each event called `name`, or for all with "*", until the function returned is called. */
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  trace_subscribe?(name: string, listener: (event: KernelEvent) => void): () => void;
}

/** A state's kernel as scenarios and tests see it: everything that kernel/lab.ts exports, and these. */
export interface LabHelpers {
  /** Name of the state, for messages; a scenario asserts nothing about states. */
  readonly state: string;
  /** Keeps a result of user space by name; a name used again is numbered. */
  record(name: string, value: unknown): void;
  /** What always holds, in every state and under every schedule, is told when it does not: a finding of the scenario's own. */
  must(holds: boolean, what: string): void;
  /** In a scenario with `faults`: which allocation is to fail in this run. Arm it with set_fail_nth(). */
  readonly faultNth: number;
}
export type LabOf<K> = K & LabHelpers;
export type Lab = LabOf<Kernel>;

export interface ScenarioFor<K> {
  readonly id: string;
  /** One line: what happens. */
  readonly summary: string;
  /** Options of boot(). */
  readonly machine: object;
  /** The user processes, by name. */
  readonly processes: readonly string[];
  /** Run again and again, each time with another allocation that fails, until a run is free of faults. */
  readonly faults?: boolean;
  /** Sets everything going. The machine has been booted, and runs on afterwards until nothing is left to do. */
  run(lab: LabOf<K>): void;
}
export type Scenario = ScenarioFor<Kernel>;

export interface RunOptions {
  readonly state?: string;
  /** Of kernel/sched/decide.ts. */
  readonly schedule?: unknown;
  /** Look for data races; changes nothing but the time it takes. */
  readonly kcsan?: boolean;
  /** Keep stacks of accesses to these members only, named as the reports name them. */
  readonly kcsanStacksOf?: ReadonlySet<string>;
  /** Failures that the schedule may choose, of all tasks. */
  readonly faults?: number;
  /** What the outside may do between any two steps counts among them: kernel/outside.ts. */
  readonly outside?: boolean;
  /** Steps of the machine after which the run is given up. */
  readonly maxSteps?: number;
  /** False: leave out the stacks of allocations and locks; the reports have the same titles. Only with a schedule. */
  readonly stacks?: boolean;
  /** Keep the events. */
  readonly trace?: boolean;
  /** Only the titles of reports are looked at, which are the same with and without stacks. */
  readonly titles?: boolean;
  /** Called for each event of ports and kernel once the machine is up, or from power-on. */
  readonly hear?: (event: KernelEvent) => void;
  readonly hearBoot?: boolean;
}

export interface RunResult {
  readonly outcome: Outcome;
  readonly reports: readonly Report[];
  readonly log: readonly LogLine[];
  readonly events: readonly TraceEvent[];
  readonly results: Readonly<Record<string, unknown>>;
  readonly processes: readonly string[];
  readonly injected: readonly Injection[];
}

/** A kernel with the helpers. @results: where record() keeps things */
export function makeLab<K extends object>(
  kernel: K,
  state: string,
  results: Record<string, unknown> = {},
  faultNth = 0,
  broken: Report[] = [],
): LabOf<K> {
  const record = (name: string, value: unknown): void => {
    let key = name;
    for (let n = 2; key in results; n++) key = `${name} (${n})`;
    results[key] = value;
  };
  const must = (holds: boolean, what: string): void => {
    if (!holds && !broken.some((b) => b.title === what)) broken.push({ checker: "scenario", title: what, text: what });
  };
  return { ...kernel, state, record, must, faultNth };
}

function hearing(kernel: RunnableKernel, hear: RunOptions["hear"]): () => void {
  if (!hear) return () => {};
  const ends = ["*", "kernel:*"].map((name) => kernel.trace_subscribe?.(name, hear));
  return () => ends.forEach((end) => end?.());
}

/** One boot, to the end and the leak scan after it. @stacks: keep those that reports show */
function bootOnce<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  options: RunOptions,
  faultNth: number,
  stacks: boolean,
): RunResult {
  const results: Record<string, unknown> = {};
  const broken: Report[] = [];
  const events: TraceEvent[] = [];
  const unsubscribe = options.trace ? kernel.trace_subscribe?.("*", (event) => events.push(event)) : undefined;
  let deafen = options.hearBoot ? hearing(kernel, options.hear) : null;
  let outcome: Outcome;
  try {
    outcome = kernel.boot({
      stacks,
      ...scenario.machine,
      ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
      ...(options.faults ? { faults: options.faults, outside: options.outside === true } : {}),
      ...(options.kcsan ? { kcsan: true, kcsan_stacks_of: options.kcsanStacksOf } : {}),
      ...(options.maxSteps === undefined ? {} : { max_steps: options.maxSteps }),
    });
    deafen ??= hearing(kernel, options.hear);
    if (outcome === "done") {
      scenario.run(makeLab(kernel, options.state ?? "", results, faultNth, broken));
      outcome = kernel.run();
    }
    // After an oops whatever the dead task held looks leaked.
    if (outcome === "done") kernel.kmemleak_scan?.();
  } finally {
    unsubscribe?.();
    deafen?.();
  }
  const injected = (kernel.fault_injections?.() ?? []).map(({ what, place, stack }) => ({ what, place, stack }));
  const fault = injected[0]?.place;
  // Copies: the next boot starts over with the kernel's own.
  return {
    outcome,
    reports: [...kernel.found(), ...broken].map((report) => ({ ...report, ...(fault === undefined ? {} : { fault }) })),
    log: kernel.log().map(({ level, ns, text }) => ({ level, ns, text })),
    events: events.map(({ name, ns, pid, comm, text }) => ({ name, ns, pid, comm, text })),
    results,
    processes: scenario.processes,
    injected,
  };
}

/**
 * One run. Keeping stacks costs more than all the rest and few runs show one, so the first try goes without; when it turns
 * out to need them the machine, which always does the same, does it all again. A schedule may remember what it was
 * asked, and who listens would hear everything twice.
 */
function runOnce<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  options: RunOptions,
  faultNth: number,
): RunResult {
  if (options.schedule === undefined && !options.hear && kernel.stacks_missed) {
    const result = bootOnce(kernel, scenario, options, faultNth, false);
    if (options.titles || !kernel.stacks_missed()) return result;
  }
  return bootOnce(kernel, scenario, options, faultNth, options.stacks ?? true);
}

const BAD_ENDS: readonly Outcome[] = ["oops", "deadlock", "endless"];
/** More allocations than any scenario makes: beyond it the loop has lost its end. */
const MOST_FAULTS = 10_000;

export interface FaultRun {
  readonly result: RunResult;
  /** The function whose allocation failed; null in the last run, which is free of faults. */
  readonly place: string | null;
}

/** Runs of a scenario with `faults`, one for each allocation that fails. */
export function* faultRuns<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  options: RunOptions,
): Generator<FaultRun> {
  for (let nth = 1; nth <= MOST_FAULTS; nth++) {
    const result = runOnce(kernel, scenario, options, nth);
    const place = kernel.fault_injections?.()[0]?.place ?? null;
    yield { result, place };
    if (place === null) return;
  }
}

/** Every allocation fails once; what the runs gave, one after the other. */
function runFaults<K extends RunnableKernel>(kernel: K, scenario: ScenarioFor<K>, options: RunOptions): RunResult {
  const runs: RunResult[] = [];
  for (const { result, place } of faultRuns(kernel, scenario, options)) {
    const text = `---- ${place === null ? "no fault" : `allocation ${runs.length + 1} fails, in ${place}`}`;
    runs.push({ ...result, log: [{ level: 6, ns: 0, text }, ...result.log] });
  }
  return {
    outcome: BAD_ENDS.find((end) => runs.some((r) => r.outcome === end)) ?? "done",
    reports: runs.flatMap((r) => r.reports),
    log: runs.flatMap((r) => r.log),
    events: runs.flatMap((r) => r.events),
    results: { "allocations that failed in turn": runs.length - 1 },
    processes: scenario.processes,
    injected: runs.flatMap((r) => r.injected),
  };
}

/** Runs a scenario on a fresh boot, or on as many as it takes. */
export function runScenario<K extends RunnableKernel>(
  kernel: K,
  scenario: ScenarioFor<K>,
  options: RunOptions = {},
): RunResult {
  return scenario.faults ? runFaults(kernel, scenario, options) : runOnce(kernel, scenario, options, 0);
}

/** What a run found, one line each; an end without a report speaks for itself. */
export function findings(result: RunResult): string[] {
  const faults = new Map<string, Set<string>>();
  for (const { title, fault } of result.reports) {
    const places = faults.get(title) ?? new Set();
    faults.set(title, fault === undefined ? places : places.add(fault));
  }
  const titles = [...faults].map(([title, places]) => {
    const [first] = places;
    if (first === undefined) return title;
    return `${title} (no memory in ${first}${places.size > 1 ? ` or ${places.size - 1} more` : ""})`;
  });
  return titles.length > 0 || result.outcome === "done" ? titles : [result.outcome];
}

export const SCENARIOS = resolve(ROOT, "test/scenarios");

async function loadScenarios(folder: string, name: string): Promise<readonly Scenario[]> {
  let file: { scenario?: Scenario; scenarios?: readonly Scenario[] };
  try {
    file = (await import(pathToFileURL(resolve(folder, name)).href)) as typeof file;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`test/scenarios/${name} cannot be loaded: ${reason}`);
  }
  const found = [...(file.scenario ? [file.scenario] : []), ...(file.scenarios ?? [])];
  if (found.length === 0) throw new InputError(`test/scenarios/${name} exports neither \`scenario\` nor \`scenarios\``);
  return found;
}

/** Every scenario there is, in the order of the files. @throws InputError if one cannot be loaded, or two have one id */
export async function allScenarios(folder: string = SCENARIOS): Promise<Scenario[]> {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.startsWith("."));
  } catch {
    return [];
  }
  const scenarios: Scenario[] = [];
  for (const name of names.sort()) {
    const found = await loadScenarios(folder, name);
    cameFrom(resolve(folder, name), found);
    for (const scenario of found) {
      if (scenarios.some((other) => other.id === scenario.id)) {
        throw new InputError(`test/scenarios/${name}: there is another scenario called ${scenario.id}`);
      }
      scenarios.push(scenario);
    }
  }
  return scenarios;
}

export async function scenarioOf(id: string, folder: string = SCENARIOS): Promise<Scenario> {
  const all = await allScenarios(folder);
  const found = all.find((scenario) => scenario.id === id);
  if (found) return found;
  const known = all.map((scenario) => scenario.id);
  if (known.length === 0) throw new InputError(`there is no scenario ${JSON.stringify(id)}: test/scenarios/ has none`);
  throw new InputError(`there is no scenario ${JSON.stringify(id)}${suggestion(id, known)}`);
}
