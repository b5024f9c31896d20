// SPDX-License-Identifier: GPL-2.0-only
/** Primitives of the kernel, any number of times. Bundled by itself: see bundle.ts. */
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
import { boot, type boot_options, run, spawn } from "../../../kernel/arch/machine.ts";

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
