// SPDX-License-Identifier: GPL-2.0-only
/** What a primitive costs against the plain JavaScript that does as much when nobody else is there. */
import { kref, kref_get, kref_init, kref_put } from "../../../include/linux/kref.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "../../../include/linux/mutex.ts";
import type { Sleeps } from "../../../include/linux/sched.ts";
import {
  alloc_workqueue,
  destroy_workqueue,
  flush_work,
  INIT_WORK,
  queue_work,
  work_struct,
} from "../../../include/linux/workqueue.ts";
import { boot, run, spawn } from "../../../kernel/arch/machine.ts";
import { type Effort, type Group, interleave, type Row, type Subject } from "./group.ts";

/** Runs a kernel task to its end, on a machine just switched on. */
function inKernel(body: (times: number) => Sleeps): (times: number) => void {
  return (times) => {
    boot();
    spawn("bench", body(times));
    const outcome = run();
    if (outcome !== "done") throw new Error(`a benchmark's task ended with ${outcome}`);
  };
}

function* krefGetPut(times: number): Sleeps {
  const counter = new kref();
  kref_init(counter);
  for (let i = 0; i < times; i++) {
    kref_get(counter);
    yield* kref_put(counter, () => undefined);
  }
}
function* lockUnlock(times: number): Sleeps {
  const lock = DEFINE_MUTEX("bench_lock");
  for (let i = 0; i < times; i++) {
    yield* mutex_lock(lock);
    mutex_unlock(lock);
  }
}
function* nothing(): Sleeps {}
function* queueAndFlush(times: number): Sleeps {
  const queue = alloc_workqueue("bench", 0, 0);
  const work = new work_struct();
  INIT_WORK(work, nothing);
  for (let i = 0; i < times; i++) {
    queue_work(queue!, work);
    yield* flush_work(work);
  }
  yield* destroy_workqueue(queue!);
}

class Counter {
  refs = 1;
  get(): void {
    this.refs++;
  }
  put(release: () => void): void {
    if (--this.refs === 0) release();
  }
}
class Lock {
  owner: object | null = null;
  lock(me: object): void {
    if (this.owner !== null) throw new Error("held");
    this.owner = me;
  }
  unlock(): void {
    this.owner = null;
  }
}

/** In each pair, the same thing in the kernel and in JavaScript as anybody would write it. */
const PAIRS: readonly (readonly [Subject, Subject])[] = [
  [
    { name: "kref get/put", run: inKernel(krefGetPut) },
    {
      name: "object with a counter",
      run: (times) => {
        const counter = new Counter();
        for (let i = 0; i < times; i++) {
          counter.get();
          counter.put(() => undefined);
        }
      },
    },
  ],
  [
    { name: "mutex lock/unlock", run: inKernel(lockUnlock) },
    {
      name: "object with an owner",
      run: (times) => {
        const [lock, me] = [new Lock(), {}];
        for (let i = 0; i < times; i++) {
          lock.lock(me);
          lock.unlock();
        }
      },
    },
  ],
  [
    { name: "queue_work and flush", run: inKernel(queueAndFlush) },
    {
      name: "array as a queue",
      run: (times) => {
        const queue: (() => void)[] = [];
        for (let i = 0; i < times; i++) {
          queue.push(() => undefined);
          for (let work = queue.shift(); work; work = queue.shift()) work();
        }
      },
    },
  ],
];

function measure(effort: Effort): Row[] {
  const { ns, ratio } = interleave(PAIRS.flat(), effort);
  return PAIRS.flatMap(([{ name: kernel }, { name: plain }]): Row[] => [
    {
      name: kernel,
      value: ns.get(kernel) ?? NaN,
      unit: "ns",
      ratio: ratio(kernel, plain),
      against: plain,
      bound: null,
    },
    { name: plain, value: ns.get(plain) ?? NaN, unit: "ns", ratio: null, against: null, bound: null },
  ]);
}

export const primitives: Group = {
  name: "primitives",
  summary: "kernel primitives that nobody else wants, against plain JavaScript",
  measure,
};
