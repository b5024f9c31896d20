// SPDX-License-Identifier: GPL-2.0-only
/**
 * What an execution says about others: wherever two steps of different tasks do not commute and nothing orders them, the other order
 * is an execution of its own, and has to be asked for.
 *
 * Without a bound this is source-DPOR (Abdulla, Aronis, Jonsson, Sagonas, "Source Sets", JACM 2017): for two steps that race directly,
 * one of the tasks that can begin what does not depend on the first. With a bound on preemptions the order that is asked for may lie
 * beyond it, and an equivalent one within it, so more is asked for: for each other task its last step that does not commute, and
 * the beginning of that task's turn, where going elsewhere costs nothing (Coons, Musuvathi, McKinley, "Bounded Partial-Order
 * Reduction", OOPSLA 2013).
 */
import type { guided_schedule, step } from "./guided.ts";

/** At this step one of `tasks` is to go on: any one of them without a bound, each of them with one. */
export interface request {
  /** Number of the step. */
  readonly at: number;
  readonly tasks: readonly number[];
}

/** The order of the steps: a vector clock each, and who made whom able to go on. */
export class step_order {
  readonly #steps: readonly step[];
  readonly #run: guided_schedule;
  /** Tasks by number, from 0 on. */
  readonly #index = new Map<number, number>();
  readonly #tasks: number;
  readonly #clocks: Int32Array;
  /** Which of its task's steps a step is, from 1 on. */
  readonly #nth: Int32Array;
  /** Where in `#history` the last steps lie that wrote a place, one for each task, and after them those that read it; -1: none. */
  readonly #places = new Map<number, number>();
  readonly #history: number[] = [];
  readonly #requests: request[] = [];
  readonly #bounded: boolean;

  constructor(run: guided_schedule, bounded: boolean) {
    this.#run = run;
    this.#steps = run.steps;
    this.#bounded = bounded;
    for (const { from } of run.steps)
      for (const task of from) if (!this.#index.has(task)) this.#index.set(task, this.#index.size);
    this.#tasks = this.#index.size;
    this.#clocks = new Int32Array(run.steps.length * this.#tasks);
    this.#nth = new Int32Array(run.steps.length);
    this.#analyse();
  }
  get requests(): readonly request[] {
    return this.#requests;
  }

  #number(task: number): number {
    return this.#index.get(task) ?? 0;
  }
  /** Step i is before step j in every equivalent execution; i < j. */
  #ordered(i: number, j: number): boolean {
    return (this.#clocks[j * this.#tasks + this.#number(this.#at(i).task)] ?? 0) >= (this.#nth[i] ?? 0);
  }
  #at(i: number): step {
    const found = this.#steps[i];
    if (!found) throw new RangeError(`there is no step ${i}`);
    return found;
  }

  #analyse(): void {
    const n = this.#tasks;
    const last = new Int32Array(n).fill(-1);
    const last_all = new Int32Array(n).fill(-1);
    /** Step that made the task able to go on; -1 if none. */
    const enabled_by = new Int32Array(n).fill(-1);
    /** What was before time went on, for each task: all of it is before all that follows. */
    const base = new Int32Array(n);
    let before: readonly number[] = [];
    for (let j = 0; j < this.#steps.length; j++) {
      const now = this.#at(j);
      const t = this.#number(now.task);
      if (now.after_barrier) for (let k = 0; k < n; k++) base[k] = this.#nth[last[k] ?? -1] ?? 0;
      for (const task of now.from) if (!before.includes(task)) enabled_by[this.#number(task)] = j - 1;
      const runner = j > 0 ? this.#at(j - 1).task : 0;
      for (const task of before) {
        if (task !== runner && !now.from.includes(task)) this.#kept_from(j - 1, task);
      }
      before = now.from;

      const clock = this.#clocks.subarray(j * n, (j + 1) * n);
      const mine = last[t] ?? -1;
      if (mine >= 0) clock.set(this.#clocks.subarray(mine * n, (mine + 1) * n));
      for (let k = 0; k < n; k++) clock[k] = Math.max(clock[k] ?? 0, base[k] ?? 0);
      const conflicting = this.#conflicting(j, t, last, last_all).filter(
        (i) => (this.#nth[i] ?? 0) > (base[this.#number(this.#at(i).task)] ?? 0),
      );
      this.#races(j, t, clock, conflicting, enabled_by[t] ?? -1);
      this.#nth[j] = (mine >= 0 ? (this.#nth[mine] ?? 0) : 0) + 1;
      clock[t] = this.#nth[j] ?? 0;
      last[t] = j;
      if (now.all) last_all[t] = j;
    }
    // Who could have gone on when the machine stopped.
    const end = this.#steps.length - 1;
    const { task, from } = this.#steps[end] ?? { task: 0, from: [] };
    for (const left of from) if (left !== task) this.#kept_from(end, left);
  }
  /** Whoever keeps somebody from going on is somebody they could have come before. */
  #kept_from(i: number, task: number): void {
    if (this.#bounded) this.#ask_within_bound(i, task);
    else this.#requests.push({ at: i, tasks: [task] });
  }
  #join(clock: Int32Array, i: number): void {
    if (i < 0) return;
    const n = this.#tasks;
    for (let k = 0; k < n; k++) {
      const there = this.#clocks[i * n + k] ?? 0;
      if (there > (clock[k] ?? 0)) clock[k] = there;
    }
    const own = this.#number(this.#at(i).task);
    clock[own] = Math.max(clock[own] ?? 0, this.#nth[i] ?? 0);
  }

  /** Of each other task the last step that does not commute with step j, latest first; and j is entered in the places' histories. */
  #conflicting(j: number, t: number, last: Int32Array, last_all: Int32Array): number[] {
    const now = this.#at(j);
    const n = this.#tasks;
    const history = this.#history;
    const found = new Int32Array(now.all ? last : last_all);
    for (let k = now.begin; k < now.end; k++) {
      const place = this.#run.places[k] ?? 0;
      const write = this.#run.written[k] === true;
      let writes = this.#places.get(place);
      if (writes === undefined) {
        writes = history.length;
        this.#places.set(place, writes);
        for (let q = 0; q < 2 * n; q++) history.push(-1);
      } else
        for (let q = 0; q < n; q++) {
          const seen = Math.max(history[writes + q] ?? -1, write ? (history[writes + n + q] ?? -1) : -1);
          if (seen > (found[q] ?? -1)) found[q] = seen;
        }
      history[write ? writes + t : writes + n + t] = j;
    }
    found[t] = -1;
    return [...found].filter((i) => i >= 0).sort((a, b) => b - a);
  }

  #races(j: number, t: number, clock: Int32Array, conflicting: readonly number[], enabler: number): void {
    const { task } = this.#at(j);
    // Who was woken by it cannot have come before it, nor before what that was ordered after.
    if (enabler >= 0 && this.#at(enabler).task !== task) this.#join(clock, enabler);
    for (const i of conflicting) {
      const other = this.#number(this.#at(i).task);
      const ordered = (clock[other] ?? 0) >= (this.#nth[i] ?? 0);
      const caused = enabler >= 0 && (i === enabler || (i < enabler && this.#ordered(i, enabler)));
      if (this.#bounded) {
        if (!caused) this.#ask_within_bound(i, task);
      } else if (!ordered) this.#ask(i, j, clock);
      this.#join(clock, i);
    }
  }

  #ask_within_bound(i: number, task: number): void {
    this.#either(i, task);
    let begin = i;
    while (begin > 0 && this.#at(begin - 1).task === this.#at(begin).task) begin--;
    if (begin !== i) this.#either(begin, task);
  }
  /** The task if it could go on there, else everybody. */
  #either(at: number, task: number): void {
    const { from } = this.#at(at);
    this.#requests.push({ at, tasks: from.includes(task) ? [task] : from });
  }

  /** Steps i and j race: who can begin what comes after i and does not depend on it, with j at its end. */
  #ask(i: number, j: number, clock_of_j: Int32Array): void {
    const { from } = this.#at(i);
    const first = new Int32Array(this.#tasks).fill(-1);
    const tasks: number[] = [];
    const begins = (k: number, clock: Int32Array): void => {
      const { task } = this.#at(k);
      const t = this.#number(task);
      if (first[t] !== -1) return;
      first[t] = k;
      for (let q = 0; q < this.#tasks; q++) {
        const f = first[q] ?? -1;
        if (q !== t && f >= 0 && (clock[q] ?? 0) >= (this.#nth[f] ?? 0)) return;
      }
      if (from.includes(task)) tasks.push(task);
    };
    const n = this.#tasks;
    for (let k = i + 1; k < j; k++) if (!this.#ordered(i, k)) begins(k, this.#clocks.subarray(k * n, (k + 1) * n));
    begins(j, clock_of_j);
    this.#requests.push({ at: i, tasks: tasks.length > 0 ? tasks : from });
  }
}
