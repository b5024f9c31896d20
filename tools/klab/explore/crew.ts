// SPDX-License-Identifier: GPL-2.0-only
/** Who makes the executions: this thread, or others, as many as there are cores. Who makes which changes nothing. */
import { Worker } from "node:worker_threads";
import type { dpor_execution } from "../../../kernel/explore/dpor.ts";
import { replay_schedule } from "../../../kernel/explore/replay.ts";
import { type plan, prepare } from "../../../kernel/explore/strategy.ts";
import type { decision_kind } from "../../../kernel/sched/decide.ts";
import { InputError } from "../errors.ts";
import type { RunnableKernel } from "../scenario.ts";
import { type Choice, execute, type Execution, type Subject } from "./execution.ts";
import { FlightRecorder } from "./flight.ts";
import { Shrinker, type Small, type Wanted } from "./shrink.ts";
import type { Mode } from "./token.ts";

/** What executions are of, as plain data: see Subject. */
export interface SubjectName {
  readonly state: { readonly name: string; readonly dir: string };
  readonly scenario: string;
  readonly mode: Mode;
  readonly maxSteps: number;
}

/** What a crew member can be asked for. */
export interface ExecuteTask {
  readonly kind: "execute";
  readonly of: SubjectName;
  readonly plan: plan;
  readonly listed: readonly decision_kind[];
}
/** An execution once more, with the stacks that its reports lack. */
export interface WholeTask {
  readonly kind: "whole";
  readonly of: SubjectName;
  readonly decisions: readonly Choice[];
  readonly members: readonly string[];
}
export interface ShrinkTask {
  readonly kind: "shrink";
  readonly of: SubjectName;
  readonly decisions: readonly Choice[];
  readonly wanted: readonly Wanted[];
  /** When it has to end, in ms of the calendar; null: when it is done. */
  readonly until: number | null;
}
export type Task = ExecuteTask | WholeTask | ShrinkTask;

/** What comes back of each. */
export interface Executed {
  /** Whose reports may lack stacks. */
  readonly seen: Execution;
  readonly learned: dpor_execution | undefined;
}
export interface Shrunk {
  readonly small: readonly Small[];
  readonly runs: number;
}
export type Result<T extends Task> = T extends ExecuteTask ? Executed : T extends WholeTask ? Execution : Shrunk;

export type Find<K> = (name: SubjectName) => Promise<Subject<K>>;

/** A run that was cut asks for as many others as it had time for, and nothing that they show makes the search complete. */
const ASKED_BY_ENDLESS = 1000;
function within({ end }: Execution, learned: dpor_execution | undefined): dpor_execution | undefined {
  return learned && end === "endless" ? { ...learned, wishes: learned.wishes.slice(0, ASKED_BY_ENDLESS) } : learned;
}

/** Does one thing after the other. @begun: told when everything is loaded; @flight: where decisions are written down besides */
export class Member<K extends RunnableKernel> {
  readonly #find: Find<K>;
  readonly #begun: () => void;
  readonly #flight: FlightRecorder | undefined;
  constructor(find: Find<K>, begun = (): void => {}, flight?: FlightRecorder) {
    this.#find = find;
    this.#begun = begun;
    this.#flight = flight;
  }
  async do<T extends Task>(task: T): Promise<Result<T>>;
  async do(task: Task): Promise<Executed | Execution | Shrunk> {
    const flight = this.#flight;
    flight?.restart();
    const subject = await this.#find(task.of);
    this.#begun();
    switch (task.kind) {
      case "execute": {
        // Keeping stacks costs more than the rest of a run, and few runs say anything new.
        const { schedule, learned } = prepare(task.plan);
        const seen = execute(subject, schedule, { stacks: false, listed: task.listed, flight });
        return { seen, learned: within(seen, learned(seen.decisions)) };
      }
      case "whole": {
        const kcsanStacksOf = new Set(task.members);
        return execute(subject, new replay_schedule(task.decisions), { kcsanStacksOf, flight });
      }
      case "shrink": {
        const shrinker = new Shrinker(subject, { flight }, task.until);
        const small = task.wanted.map((wanted) => shrinker.shrink(wanted, task.decisions));
        return { small, runs: shrinker.runs };
      }
    }
  }
}

export interface Crew {
  /** How many things it can usefully be given at a time. */
  readonly width: number;
  /** Somebody has loaded what was asked for first. */
  readonly loaded: Promise<void>;
  /** @throws Lost if whoever did it came to nothing, InputError if it cannot be done */
  do<T extends Task>(task: T): Promise<Result<T>>;
  /** Also of what is under way, which does not end then. */
  close(): Promise<void>;
}

/** This thread alone. It listens to the host in between. */
export function alone<K extends RunnableKernel>(find: Find<K>): Crew {
  let begun = (): void => {};
  const loaded = new Promise<void>((done) => (begun = done));
  const member = new Member(find, begun);
  return {
    width: 1,
    loaded,
    do: async (task) => {
      await new Promise((next) => setImmediate(next));
      return member.do(task);
    },
    close: async () => {},
  };
}

/** A thread came to nothing over what it was given. */
export class Lost extends Error {
  override readonly name = "Lost";
  /** What had been decided until then. */
  readonly decisions: readonly Choice[];
  constructor(message: string, decisions: readonly Choice[]) {
    super(message);
    this.decisions = decisions;
  }
}

/** What a thread may take, beyond which it is ended and replaced. */
export interface ThreadLimits {
  /** Seconds of the host for one task, once everything is loaded. A run within its limits takes far less. */
  readonly seconds: number;
  /** Of memory. */
  readonly megabytes: number;
}
export const THREAD_LIMITS: ThreadLimits = { seconds: 300, megabytes: 2048 };

/** Loading a state may take so many times as long. */
const LOADING = 3;
/** Things that a thread has at hand, so that it need not wait for the next one. */
const AHEAD = 2;

export interface ThreadStart {
  readonly flight: SharedArrayBuffer;
  /** Another folder of scenarios, for tests. */
  readonly scenarios?: string | undefined;
}
type Answer =
  { readonly begun: true } | { readonly done: unknown } | { readonly error: string; readonly input: boolean };
interface Asked {
  readonly task: Task;
  readonly done: (result: never) => void;
  readonly failed: (error: Error) => void;
}

/** One thread, and what it was asked: it does the first of these. */
class Thread {
  readonly #start: ThreadStart;
  readonly #limits: ThreadLimits;
  readonly #flight = new FlightRecorder();
  readonly #begun: () => void;
  #asked: Asked[] = [];
  #worker: Worker;
  #patience: NodeJS.Timeout | undefined;
  #closed = false;
  /** It ended while nothing was asked of it; another one is for when something is, or there would be no end of them. */
  #gone = false;

  constructor(limits: ThreadLimits, scenarios: string | undefined, begun: () => void) {
    this.#limits = limits;
    this.#begun = begun;
    this.#start = { flight: this.#flight.memory, scenarios };
    this.#worker = this.#begin();
  }
  get room(): number {
    return AHEAD - this.#asked.length;
  }
  ask(asked: Asked): void {
    if (this.#gone) this.#worker = this.#begin();
    this.#asked.push(asked);
    this.#worker.postMessage(asked.task);
    if (this.#asked.length === 1) this.#wait(LOADING);
  }
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#patience);
    await this.#worker.terminate();
  }

  #begin(): Worker {
    this.#gone = false;
    const { megabytes } = this.#limits;
    const worker = new Worker(new URL("./thread.mjs", import.meta.url), {
      workerData: this.#start,
      resourceLimits: { maxOldGenerationSizeMb: megabytes },
    });
    worker.on("message", (answer: Answer) => {
      if (worker !== this.#worker) return;
      if ("begun" in answer) {
        this.#begun();
        return this.#wait(1);
      }
      const asked = this.#asked.shift();
      this.#wait(LOADING);
      if ("done" in answer) asked?.done(answer.done as never);
      else asked?.failed(answer.input ? new InputError(answer.error) : new Error(answer.error));
    });
    worker.on("error", (error: Error & { code?: string }) => {
      const memory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#lose(worker, memory ? `the run took more than ${megabytes} megabytes` : error.message);
    });
    worker.on("exit", (code) => this.#lose(worker, `the thread of the run ended with ${code}`));
    return worker;
  }
  /** @times: of what one task may take */
  #wait(times: number): void {
    clearTimeout(this.#patience);
    if (this.#asked.length === 0) return;
    const seconds = times * this.#limits.seconds;
    const lose = (): void => this.#lose(this.#worker, `the run did not end within ${seconds} seconds`);
    this.#patience = setTimeout(lose, 1000 * seconds);
  }
  /** The first task is what it came to nothing over; the others are for the next thread. */
  #lose(worker: Worker, why: string): void {
    if (this.#closed || worker !== this.#worker) return;
    const [over, ...rest] = this.#asked;
    const decisions = this.#flight.choices;
    this.#gone = !over;
    if (!over) return;
    this.#flight.restart();
    this.#worker = this.#begin();
    void worker.terminate();
    this.#asked = rest;
    for (const { task } of rest) this.#worker.postMessage(task);
    this.#wait(LOADING);
    over.failed(new Lost(why, decisions));
  }
}

/** Threads, each with kernels of its own. @scenarios: another folder of them, for tests */
export function threads(n: number, limits: ThreadLimits = THREAD_LIMITS, scenarios?: string): Crew {
  let begun = (): void => {};
  const loaded = new Promise<void>((done) => (begun = done));
  const all = Array.from({ length: n }, () => new Thread(limits, scenarios, begun));
  return {
    width: n * AHEAD,
    loaded,
    do: (task) =>
      new Promise((done, failed) => {
        // Whoever has least to do.
        const [thread] = [...all].sort((a, b) => b.room - a.room);
        thread?.ask({ task, done, failed });
      }),
    close: async () => {
      await Promise.all(all.map((thread) => thread.close()));
    },
  };
}
