// SPDX-License-Identifier: GPL-2.0-only
/** The model that executions are counted with. It is bundled by itself (see bundle.ts), so it imports nothing that it does not need. */
import { kref, kref_get, kref_init, kref_put } from "../../../include/linux/kref.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "../../../include/linux/mutex.ts";
import { cond_resched, type Sleeps } from "../../../include/linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../../include/linux/slab.ts";
import { container_of, embed, struct, u32 } from "../../../include/linux/types.ts";
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
  const booted = { ...options, schedule: random_schedule(0) };
  for (let seed = 0; seed < times; seed++) {
    // Not another copy for each: a spread object costs more to read than the machine to boot.
    booted.schedule = random_schedule(seed);
    execute(booted);
  }
}
