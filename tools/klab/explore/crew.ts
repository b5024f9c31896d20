// SPDX-License-Identifier: GPL-2.0-only
/** Who makes the executions: this thread, and as many others as there are cores. Who makes which changes nothing. */
import { Worker } from "node:worker_threads";
import type { dpor_execution } from "../../../kernel/explore/dpor.ts";
import { type plan, prepare } from "../../../kernel/explore/strategy.ts";
import type { RunnableKernel } from "../scenario.ts";
import { type Executed, Executor, type Subject } from "./execute.ts";
import { shrink, type Small } from "./shrink.ts";

/** What a crew member is asked to do, and what comes back. */
export type Task =
  | { readonly kind: "execute"; readonly plan: plan }
  | { readonly kind: "shrink"; readonly key: string; readonly decisions: Executed["decisions"] };
export interface Done {
  readonly seen: Executed;
  readonly learned: dpor_execution | undefined;
}

/** Does one thing after the other, at once. */
export class Member<K extends RunnableKernel> {
  readonly #subject: Subject<K>;
  readonly #executor: Executor<K>;
  constructor(subject: Subject<K>) {
    this.#subject = subject;
    this.#executor = new Executor(subject);
  }
  execute(p: plan): Done {
    const { schedule, learned } = prepare(p);
    const seen = this.#executor.run(schedule);
    return { seen, learned: learned(seen.decisions) };
  }
  shrink(key: string, decisions: Executed["decisions"]): Small {
    return shrink(this.#subject, key, decisions);
  }
  do(task: Task): Done | Small {
    return task.kind === "execute" ? this.execute(task.plan) : this.shrink(task.key, task.decisions);
  }
}

export interface Crew {
  /** How many things it can usefully be given at a time. */
  readonly width: number;
  do(task: Task): Promise<Done | Small>;
  close(): Promise<void>;
}

/** This thread alone. It listens to the host in between. */
export function alone<K extends RunnableKernel>(subject: Subject<K>): Crew {
  const member = new Member(subject);
  return {
    width: 1,
    do: async (task) => {
      await new Promise((next) => setImmediate(next));
      return member.do(task);
    },
    close: async () => {},
  };
}

/** What a thread has to load before it can do anything. */
export interface Assignment {
  readonly state: { readonly name: string; readonly dir: string };
  readonly scenario: string;
  readonly kcsan: boolean;
  readonly faults: number;
  readonly maxSteps: number;
}
/** Things that a thread has at hand, so that it need not wait for the next one. */
const AHEAD = 2;

type Answer = { readonly done: Done | Small } | { readonly error: string };

/** Threads, each with a kernel of its own. */
export function threads(n: number, assignment: Assignment): Crew {
  const idle: Worker[] = [];
  const waiting: ((worker: Worker) => void)[] = [];
  const busy = new Map<Worker, { done: (d: Done | Small) => void; failed: (error: Error) => void }[]>();
  const workers = Array.from({ length: n }, () => {
    const worker = new Worker(new URL("./thread.mjs", import.meta.url), { workerData: assignment });
    busy.set(worker, []);
    worker.on("message", (answer: Answer) => {
      const asked = busy.get(worker)?.shift();
      if ("done" in answer) asked?.done(answer.done);
      else asked?.failed(new Error(answer.error));
      free(worker);
    });
    worker.on("error", (error) =>
      busy
        .get(worker)
        ?.splice(0)
        .forEach((asked) => asked.failed(error)),
    );
    for (let i = 0; i < AHEAD; i++) idle.push(worker);
    return worker;
  });
  function free(worker: Worker): void {
    const next = waiting.shift();
    if (next) next(worker);
    else idle.push(worker);
  }
  return {
    width: n * AHEAD,
    do: async (task) => {
      const worker = idle.shift() ?? (await new Promise<Worker>((turn) => waiting.push(turn)));
      return new Promise((done, failed) => {
        busy.get(worker)?.push({ done, failed });
        worker.postMessage(task);
      });
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
