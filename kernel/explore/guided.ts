// SPDX-License-Identifier: GPL-2.0-only
/**
 * The schedule of one execution of a search: it answers as its plan says, then as nobody interfering would, and writes down
 * every step with what it touched. With sleep sets it leaves tasks alone whose next step was had before and commutes with all since.
 */
import type { decision_kind, schedule, step_watcher } from "../sched/decide.ts";
import { conflicts, place_set, type touched } from "./places.ts";
import type { decision } from "./replay.ts";

/** Thrown out of an execution whose rest is one that was had before. */
export class run_cut extends Error {
  override readonly name = "run_cut";
}

/** Nobody to go on at this step but those who sleep. */
const NOBODY = -1;

/** One step of a task, from one scheduling point to the next. */
export interface step {
  readonly task: number;
  /** Who could have begun instead, in the order of the question. */
  readonly from: readonly number[];
  /** Whose step came before, if they could have gone on; else 0. */
  readonly me: number;
  /** The question whose answer this step is; -1 if there was only one way. */
  readonly question: number;
  readonly choice: number;
  /** Preemptions before it. */
  readonly preemptions: number;
  /** Somebody who could run found no CPU when it began. */
  readonly scarce: boolean;
  /** Everything before it came before time went on. */
  after_barrier: boolean;
  all: boolean;
  /** Something other than a switch was decided in it. */
  chose: boolean;
  /** Where its places begin and end in the flat lists. */
  begin: number;
  end: number;
  readonly sleep: readonly touched[];
}

/** A question other than who goes on. */
export interface other_question {
  readonly at: number;
  readonly n: number;
  /** Of the step that it was asked in. */
  readonly step: number;
}

export interface guide {
  /** In order of the questions; zeros count. */
  readonly decisions: readonly decision[];
  /** Tasks that sleep from the beginning of step number `sleep_at` on. */
  readonly sleep?: readonly touched[];
  readonly sleep_at?: number;
}

export class guided_schedule implements schedule, step_watcher {
  readonly interferes = true;
  readonly steps: step[] = [];
  readonly places: number[] = [];
  readonly written: boolean[] = [];
  readonly others: other_question[] = [];
  asked = 0;
  readonly #answers: Map<number, number>;
  readonly #last: number;
  readonly #guide: guide;
  readonly #set = new place_set();
  #now: step | null = null;
  #sleep: readonly touched[] = [];
  #barrier = false;
  #paused = false;
  #preemptions = 0;
  /** Who may begin the next step, while its question is asked. */
  #pending: { from: readonly number[]; me: number; scarce: boolean } | null = null;

  constructor(how: guide) {
    this.#guide = how;
    this.#answers = new Map(how.decisions.map((d) => [d.at, d.choice]));
    this.#last = how.decisions.at(-1)?.at ?? -1;
  }
  get watcher(): step_watcher {
    return this;
  }

  touch(place: number, write: boolean): void {
    if (this.#now) this.#set.add(place, write);
  }
  everything(): void {
    if (this.#now) this.#now.all = true;
  }
  barrier(): void {
    this.finish();
    this.#barrier = true;
    this.#sleep = [];
  }

  pause(): void {
    this.finish();
    this.#paused = true;
  }

  /** Ends the step that runs: at a scheduling point, and at the end of the execution. */
  finish(scarce = false): void {
    const done = this.#now;
    if (!done) return;
    this.#now = null;
    // Whether one more task finds a CPU depends on all of them.
    if (scarce || done.scarce) done.all = true;
    done.begin = this.places.length;
    for (const place of this.#set.list) {
      this.places.push(place);
      this.written.push(this.#set.get(place) === 2);
    }
    done.end = this.places.length;
    if (this.#sleep.length === 0) return;
    if (done.all) this.#sleep = [];
    else this.#sleep = this.#sleep.filter((t) => !t.all && !conflicts(this.#set, t));
  }

  step(from: readonly number[], me: number, scarce: boolean): void {
    this.finish(scarce);
    if (this.#guide.sleep && this.steps.length === this.#guide.sleep_at) this.#sleep = this.#guide.sleep;
    // Who can no longer go on did not commute with what was done since.
    if (this.#sleep.length > 0) this.#sleep = this.#sleep.filter((t) => from.includes(t.task));
    this.#pending = { from, me, scarce };
    if (from.length > 1) return;
    if (this.#sleeps(from[0] ?? 0) && this.asked > this.#last) throw new run_cut();
    this.#begin(0, -1);
  }
  #sleeps(task: number): boolean {
    return this.#sleep.some((t) => t.task === task);
  }
  #begin(choice: number, question: number): void {
    const { from, me, scarce } = this.#pending ?? { from: [], me: 0, scarce: false };
    const task = from[choice] ?? 0;
    this.#now = {
      task,
      from,
      me,
      question,
      choice,
      preemptions: this.#preemptions,
      scarce,
      after_barrier: this.#barrier,
      // What was done from outside is nobody's step, but the next one's.
      all: this.#paused && this.steps.length > 0,
      chose: false,
      begin: 0,
      end: 0,
      sleep: this.#sleep,
    };
    if (me !== 0 && task !== me) this.#preemptions++;
    this.#barrier = false;
    this.#paused = false;
    this.#set.clear();
    this.#pending = null;
    this.steps.push(this.#now);
  }

  decide(kind: decision_kind, n: number): number {
    const at = this.asked++;
    if (kind !== "switch" || !this.#pending) {
      if (this.#now) this.#now.chose = true;
      this.others.push({ at, n, step: this.steps.length - 1 });
      return this.#answers.get(at) ?? 0;
    }
    let choice = this.#answers.get(at) ?? 0;
    if (at > this.#last && this.#sleep.length > 0) {
      choice = this.#pending.from.findIndex((task) => !this.#sleeps(task));
      if (choice === NOBODY) throw new run_cut();
    }
    this.#begin(choice, at);
    return choice;
  }

  /** What step number `i` touched. */
  touched_by(i: number): touched {
    const { task, all, chose, begin, end } = this.steps[i] ?? { task: 0, all: true, chose: false, begin: 0, end: 0 };
    const places = this.places.slice(begin, end);
    const is_write = (_: number, k: number): boolean => this.written[begin + k] === true;
    const writes = places.filter(is_write);
    const reads = places.filter((_, k) => !is_write(0, k));
    // The same step may touch other things when other things are decided in it.
    return { task, all: all || chose, reads, writes };
  }
}
