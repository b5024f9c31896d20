// SPDX-License-Identifier: GPL-2.0-only
/** Making what was found small: fewest switches first, then fewest failures and events, then the shortest. */
import { replay_schedule } from "../../../kernel/explore/replay.ts";
import type { RunnableKernel } from "../scenario.ts";
import { type Choice, execute, type Execution, FAULTS, type How, KindwiseReplay, type Subject } from "./execution.ts";
import { type Finding, keyOf, membersOf } from "./finding.ts";

/** What a schedule costs the reader, in the order in which it counts. */
export interface Size {
  readonly switches: number;
  readonly faults: number;
  readonly decisions: number;
}
export function sizeOf(choices: readonly Choice[]): Size {
  const switches = choices.filter((c) => c.kind === "switch").length;
  const faults = choices.filter((c) => FAULTS.includes(c.kind)).length;
  return { switches, faults, decisions: choices.length };
}
function smaller(a: Size, b: Size): boolean {
  if (a.switches !== b.switches) return a.switches < b.switches;
  if (a.faults !== b.faults) return a.faults < b.faults;
  return a.decisions < b.decisions;
}

/**
 * Leaves out decisions for as long as the finding stays.
 * @again: runs the decisions, each counted among its kind, and gives what was really decided if the finding came again
 * @most: how many runs it may take. @over: whether there is no time for another
 */
export function leaveOut(
  found: readonly Choice[],
  again: (choices: readonly Choice[]) => readonly Choice[] | null,
  most: number,
  over = (): boolean => false,
): readonly Choice[] {
  let best = found;
  let left = most;
  const without = (gone: ReadonlySet<Choice>): boolean => {
    if (left <= 0 || gone.size === 0) return false;
    if (over()) {
      left = 0;
      return false;
    }
    left--;
    const really = again(best.filter((c) => !gone.has(c)));
    if (!really || !smaller(sizeOf(really), sizeOf(best))) return false;
    best = really;
    return true;
  };
  // Switches are what is hard to read, and most of them are usually of no account.
  for (const mine of [(c: Choice) => c.kind === "switch", (c: Choice) => c.kind !== "switch"]) {
    if (without(new Set(best.filter(mine)))) continue;
    for (
      let size = Math.ceil(best.filter(mine).length / 2);
      size >= 1 && left > 0;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < best.filter(mine).length && left > 0;) {
        if (!without(new Set(best.filter(mine).slice(at, at + size)))) at += size;
      }
    }
  }
  return best;
}

/** A finding with the decisions that lead to it. */
export interface Small {
  readonly finding: Finding;
  readonly decisions: readonly Choice[];
  /** As small as was asked for; else there was no time. */
  readonly done: boolean;
}
/** Of one finding of an execution, how many runs making it small may take. */
export interface Wanted {
  readonly finding: Finding;
  readonly most: number;
}

/** Whether a report whose stacks are missing can be the finding. */
function couldBe(finding: Finding, rough: Finding): boolean {
  if (rough.checker !== finding.checker) return false;
  return finding.checker === "kcsan" ? rough.object === finding.object : rough.title === finding.title;
}

/** Makes the findings of one execution small. What was run for one of them is known for the next. */
export class Shrinker<K extends RunnableKernel> {
  readonly #subject: Subject<K>;
  readonly #how: How;
  readonly #until: number;
  readonly #known = new Map<string, { quick: Execution; whole: Execution | null }>();
  /** Runs of the machine. */
  runs = 0;

  /** @until: when it has to end, in ms of the calendar */
  constructor(subject: Subject<K>, how: Pick<How, "flight">, until: number | null = null) {
    this.#subject = subject;
    this.#how = how;
    this.#until = until ?? Infinity;
  }
  get #over(): boolean {
    return Date.now() > this.#until;
  }

  /** Without stacks, unless it takes them to say whether it is the finding. */
  #run(choices: readonly Choice[], finding: Finding): Execution {
    const name = choices.map(({ kind, nth, choice }) => `${kind} ${nth} ${choice}`).join();
    let known = this.#known.get(name);
    if (!known) {
      this.runs++;
      const quick = execute(this.#subject, new KindwiseReplay(choices), { ...this.#how, stacks: false });
      this.#known.set(name, (known = { quick, whole: quick.whole ? quick : null }));
    }
    if (known.whole) return known.whole;
    if (![...known.quick.reports.values()].some((rough) => couldBe(finding, rough))) return known.quick;
    this.runs++;
    known.whole = execute(this.#subject, new replay_schedule(known.quick.decisions), {
      ...this.#how,
      kcsanStacksOf: membersOf(known.quick),
    });
    return known.whole;
  }

  /** @decisions: of an execution that has it */
  shrink({ finding, most }: Wanted, decisions: readonly Choice[]): Small {
    const key = keyOf(finding);
    let best: Omit<Small, "done"> = { finding, decisions };
    const again = (choices: readonly Choice[]): readonly Choice[] | null => {
      const run = this.#run(choices, finding);
      const same = run.reports.get(key);
      if (!same) return null;
      best = { finding: same, decisions: run.decisions };
      return run.decisions;
    };
    const small = leaveOut(decisions, again, most, () => this.#over);
    const done = !this.#over;
    // The last that was tried need not be the best.
    if (best.decisions !== small) again(small);
    return { ...best, done };
  }
}
