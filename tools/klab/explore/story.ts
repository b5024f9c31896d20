// SPDX-License-Identifier: GPL-2.0-only
/** The run of a token told from the beginning: what each task did, what was decided, and from when on the end was settled. */
import { type decision, replay_schedule } from "../../../kernel/explore/replay.ts";
import type { decision_kind, schedule } from "../../../kernel/sched/decide.ts";
import { type KernelEvent, type RunnableKernel, runScenario, type ScenarioFor } from "../scenario.ts";
import { columns, type Entry } from "./columns.ts";
import { execute, MAX_STEPS } from "./execution.ts";
import { type Finding, keyOf } from "./finding.ts";
import type { Mode } from "./token.ts";

/** Replays and says in words what was decided otherwise than the quiet way. */
class Telling implements schedule {
  readonly interferes = true;
  readonly #replay: replay_schedule;
  readonly #told: (nth: number, words: string) => void;
  #nth = 0;
  constructor(decisions: readonly decision[], told: (nth: number, words: string) => void) {
    this.#replay = new replay_schedule(decisions);
    this.#told = told;
  }
  decide(kind: decision_kind, n: number, label: (i: number) => string): number {
    const choice = this.#replay.decide(kind, n);
    if (choice !== 0)
      this.#told(this.#nth++, `${WORDS[kind]}${label(choice)}${kind === "switch" ? ` instead of ${label(0)}` : ""}`);
    return choice;
  }
}
const WORDS: Readonly<Record<decision_kind, string>> = {
  switch: "goes on: ",
  irq: "comes first: ",
  timer: "",
  fault: "fails: ",
  signal: "signal: ",
  event: "happens: ",
};

function field(event: KernelEvent, name: string): string {
  return String(event.fields[name] ?? "");
}
/** What of an event is worth a line; null if nothing. @about: functions that the report names */
function words(event: KernelEvent, about: ReadonlySet<string>): string | null {
  switch (event.name) {
    case "sys_enter":
      return `${field(event, "id")}(…`;
    case "sys_exit":
      return `${field(event, "id")} = ${field(event, "ret")}`;
    case "kmalloc":
      return about.has(field(event, "call_site")) ? `alloc ${field(event, "type")}` : null;
    case "kfree":
      return about.has(field(event, "call_site")) ? `free ${field(event, "type")}` : null;
    case "sched_stat_blocked":
      return `waited: ${event.text}`;
    case "ref_get":
    case "ref_put":
    case "module_get":
    case "module_put":
    case "uevent":
    case "console":
      return null;
    default:
      return `${event.name}: ${event.text}`;
  }
}

/** A system call that nothing came between is one line. */
function add(entries: Entry[], task: string, ns: number, text: string | null): void {
  if (text === null) return;
  const before = entries.at(-1);
  const begun = before?.text.endsWith("(…") === true && before.task === task ? before.text.slice(0, -2) : null;
  if (begun !== null && text.startsWith(`${begun} = `)) entries.pop();
  entries.push({ task, ns, text });
}

export interface Told {
  readonly kernel: RunnableKernel;
  readonly scenario: ScenarioFor<never>;
  readonly state: string;
  readonly mode: Mode;
  readonly decisions: readonly decision[];
}

function findingsWith(
  { kernel, scenario, state, mode }: Told,
  decisions: readonly decision[],
): ReadonlyMap<string, Finding> {
  const subject = { kernel, scenario: scenario as ScenarioFor<RunnableKernel>, state, mode, maxSteps: MAX_STEPS };
  return execute(subject, new replay_schedule(decisions)).reports;
}

/**
 * How many of the decisions it takes until the quiet way leads to the finding: with one less it does not.
 * @return 0 if the quiet run has it
 */
export function settledAfter(told: Told, finding: Finding): number {
  const key = keyOf(finding);
  let n = told.decisions.length;
  while (n > 0 && findingsWith(told, told.decisions.slice(0, n - 1)).has(key)) n--;
  return n;
}

/** @width: characters of a line @return lines; nothing of a run without a finding is called settled */
export function story(told: Told, width: number): string[] {
  const [finding] = findingsWith(told, told.decisions).values();
  const settled = finding ? settledAfter(told, finding) : -1;
  const about = new Set(finding?.text.split("\n").map((line) => line.trim()));
  const entries: Entry[] = [];
  let now = 0;
  const wide = (text: string): void =>
    void entries.push({ task: entries.at(-1)?.task ?? "", ns: now, text, wide: true });
  const schedule = new Telling(told.decisions, (nth, text) => {
    wide(`>>> ${nth + 1} of ${told.decisions.length}: ${text}`);
    if (nth + 1 === settled)
      wide(`=== from here on it is settled: left alone, the machine comes to ${finding?.title ?? ""}`);
  });
  const how = {
    state: told.state,
    schedule,
    faults: told.mode.faults,
    outside: told.mode.outside === true,
    kcsan: told.mode.kcsan,
    maxSteps: MAX_STEPS,
    hear: (event: KernelEvent) => {
      now = event.ns;
      if (event.name === "error_report_end") wide(`!!! ${field(event, "title")}`);
      else {
        add(entries, `${event.comm}-${event.pid}`, event.ns, words(event, about));
      }
    },
  };
  try {
    runScenario(told.kernel, told.scenario as ScenarioFor<RunnableKernel>, how);
  } catch (error) {
    wide(`!!! ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
  }
  const told0 = settled === 0 ? ["It is settled from the start: the quiet run comes to it as well.", ""] : [];
  return [...told0, ...columns(entries, width)];
}
