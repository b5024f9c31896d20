// SPDX-License-Identifier: GPL-2.0-only
/** What is measured inside the kernel. It is bundled by itself: see bundle.ts. */
import { kref, kref_get, kref_init, kref_put } from "../../../include/linux/kref.ts";
import { DEFINE_MUTEX, mutex, mutex_init, mutex_lock, mutex_unlock } from "../../../include/linux/mutex.ts";
import { cond_resched, type Sleeps } from "../../../include/linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../../include/linux/slab.ts";
import { container_of, embed, struct, u32 } from "../../../include/linux/types.ts";
import {
  alloc_workqueue,
  destroy_workqueue,
  flush_work,
  INIT_WORK,
  queue_work,
  work_struct,
} from "../../../include/linux/workqueue.ts";
import { boot, type boot_options, found, run, spawn } from "../../../kernel/arch/machine.ts";
import { random_schedule } from "../../../kernel/explore/random.ts";

class Shared extends struct("shared", {
  refs: embed(() => kref),
  lock: embed(() => mutex),
  count: u32(),
}) {}

function release(counter: kref): void {
  kfree(container_of(counter, Shared, "refs"));
}

/** A task of the model: a lock, a count that it protects, a reference that goes: three points. */
function* worker(shared: Shared): Sleeps {
  yield* mutex_lock(shared.lock);
  const n = shared.count;
  yield* cond_resched();
  shared.count = n + 1;
  mutex_unlock(shared.lock);
  yield* cond_resched();
  yield* kref_put(shared.refs, release);
}

const TASKS = 4;

/** One execution of the model, from power-on. @throws if it ends otherwise than it should */
function execute(options: boot_options): void {
  boot(options);
  const shared = kzalloc(Shared, GFP_KERNEL)!;
  kref_init(shared.refs);
  mutex_init(shared.lock);
  for (let i = 1; i < TASKS; i++) kref_get(shared.refs);
  for (let i = 0; i < TASKS; i++) spawn("worker", worker(shared));
  const outcome = run();
  if (outcome !== "done" || found().length > 0) throw new Error(`the model ended with ${outcome}`);
}

/** `times` executions of the model: four tasks, three points each, every time under another schedule, always the same ones. */
export function runModel(options: boot_options, times: number): void {
  for (let seed = 0; seed < times; seed++) execute({ ...options, schedule: random_schedule(seed) });
}

/** Runs a kernel task to its end, on a machine just switched on. */
function inKernel(body: (times: number) => Sleeps): (times: number, options: boot_options) => void {
  return (times, options) => {
    boot(options);
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

export const krefGetPutTimes = inKernel(krefGetPut);
export const lockUnlockTimes = inKernel(lockUnlock);
export const queueAndFlushTimes = inKernel(queueAndFlush);
