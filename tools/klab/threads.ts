// SPDX-License-Identifier: GPL-2.0-only
/** States side by side: columns of the matrix are worked out in threads, one for each core, unless they are known. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Column } from "./matrix.ts";
import { type FileResults, forgetOldResults, keepResults, knownResults } from "./results.ts";
import type { Scenario } from "./scenario.ts";
import type { SeriesCase } from "./series-tests.ts";
import { sourceFileOf } from "./source-files.ts";
import type { State } from "./states/index.ts";

/** What a thread is told: a state, and the files whose cases and scenarios are to be run in it. */
export interface Job {
  readonly state: { readonly name: string; readonly dir: string };
  readonly files: readonly string[];
}
export type Answer = { readonly column: Column } | { readonly error: string };

interface Waiting {
  /** Asked when its turn has come; null if there is nothing left to do then. */
  readonly job: () => Promise<Job | null>;
  readonly done: (column: Column) => void;
  readonly failed: (error: Error) => void;
}

/** Threads that live as long as there is work: starting one takes as long as a good part of a state. */
export class ThreadPool {
  readonly #queue: Waiting[] = [];
  /** With what each is at. */
  readonly #workers = new Map<Worker, Waiting | null>();

  #next(worker: Worker): void {
    const waiting = this.#queue.shift() ?? null;
    this.#workers.set(worker, waiting);
    if (!waiting) return;
    void waiting
      .job()
      .then((job) => {
        if (job) return worker.postMessage(job);
        waiting.done({ cases: {}, scenarios: {} });
        this.#next(worker);
      })
      .catch((error: unknown) => {
        waiting.failed(error instanceof Error ? error : new Error(String(error)));
        this.#next(worker);
      });
  }

  #start(): void {
    const worker = new Worker(new URL("./thread.mjs", import.meta.url));
    worker.on("message", (answer: Answer) => {
      const waiting = this.#workers.get(worker);
      if ("column" in answer) waiting?.done(answer.column);
      else waiting?.failed(new Error(answer.error));
      this.#next(worker);
    });
    const lost = (error: Error): void => {
      this.#workers.get(worker)?.failed(error);
      this.#workers.delete(worker);
      if (this.#workers.size === 0) for (const waiting of this.#queue.splice(0)) waiting.failed(error);
    };
    worker.on("error", lost);
    worker.on("exit", (code) => lost(new Error(`a thread ended with ${code}`)));
    this.#next(worker);
  }

  /** Runs a job as soon as a thread is free. @job: asked for then; null if there is nothing left to do */
  run(job: () => Promise<Job | null>): Promise<Column> {
    return new Promise((done, failed) => {
      this.#queue.push({ job, done, failed });
      const idle = [...this.#workers].find(([, waiting]) => waiting === null)?.[0];
      if (idle) this.#next(idle);
      else if (this.#workers.size < availableParallelism()) this.#start();
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers.keys()].map((worker) => worker.terminate()));
  }
}

/** The part of a column that came from a file. */
function partOf(column: Column, cases: readonly SeriesCase[], scenarios: readonly Scenario[]): FileResults {
  const pick = <T>(from: Readonly<Record<string, T>>, things: readonly { readonly id: string }[]): Record<string, T> =>
    Object.fromEntries(things.flatMap(({ id }) => (id in from ? [[id, from[id] as T] as const] : [])));
  return { cases: pick(column.cases, cases), scenarios: pick(column.scenarios, scenarios) };
}

/** Works out columns, of which it remembers what it can. */
export class ColumnMaker {
  readonly #pool = new ThreadPool();
  readonly #files = new Map<string, { readonly cases: SeriesCase[]; readonly scenarios: Scenario[] }>();
  readonly #fresh: boolean;

  /** @fresh: run everything, also what is known */
  constructor(cases: readonly SeriesCase[], scenarios: readonly Scenario[], fresh = false) {
    this.#fresh = fresh;
    const at = (thing: object): { cases: SeriesCase[]; scenarios: Scenario[] } => {
      const file = sourceFileOf(thing) ?? "";
      const known = this.#files.get(file) ?? { cases: [], scenarios: [] };
      this.#files.set(file, known);
      return known;
    };
    for (const c of cases) at(c).cases.push(c);
    for (const s of scenarios) at(s).scenarios.push(s);
  }

  /** @begun: told when something has to be run after all */
  async column(state: State, begun: () => void): Promise<Column> {
    const results = new Map<string, FileResults>();
    const files = [...this.#files.keys()];
    const missing = async (): Promise<readonly string[]> => {
      for (const file of this.#fresh ? [] : files) {
        const known = results.has(file) ? null : await knownResults(state, file);
        if (known) results.set(file, known);
      }
      return files.filter((file) => !results.has(file));
    };
    if ((await missing()).length > 0) {
      // When its turn comes, another state may have given what this one would give as well.
      const rest = await this.#pool.run(async () => {
        const todo = await missing();
        if (todo.length === 0) return null;
        begun();
        return { state: { name: state.name, dir: state.dir }, files: todo };
      });
      // A state that cannot be loaded may be loadable the next time: what it says then depends on more than its content.
      if (rest.broken !== undefined) return rest;
      for (const file of files.filter((f) => !results.has(f))) {
        const { cases = [], scenarios = [] } = this.#files.get(file) ?? {};
        const part = partOf(rest, cases, scenarios);
        results.set(file, part);
        // A case asks for more than its run shows.
        await keepResults(state, file, part, cases.length > 0 ? undefined : rest.modules?.[file]);
      }
    }
    const all = [...results.values()];
    return {
      cases: Object.assign({}, ...all.map((r) => r.cases)) as Column["cases"],
      scenarios: Object.assign({}, ...all.map((r) => r.scenarios)) as Column["scenarios"],
    };
  }

  async close(): Promise<void> {
    await this.#pool.close();
    forgetOldResults();
  }
}
