// SPDX-License-Identifier: GPL-2.0-only
/** The models of explore.test.ts: two or three tasks at a primitive each, small enough to try every schedule. */
import { atomic_add, atomic_dec_and_test, atomic_read, atomic_set, atomic_t } from "#linux/atomic.ts";
import { complete, completion, init_completion, wait_for_completion_timeout } from "#linux/completion.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_trylock, mutex_unlock } from "#linux/mutex.ts";
import { refcount_dec_and_test, refcount_inc_not_zero, refcount_set, refcount_t } from "#linux/refcount.ts";
import { down_read, down_write, init_rwsem, rw_semaphore, up_read, up_write } from "#linux/rwsem.ts";
import {
  cond_resched,
  schedule,
  set_current_state,
  type Sleeps,
  type Spins,
  TASK_UNINTERRUPTIBLE,
  type task_struct,
  wake_up_process,
} from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { WARN_ON } from "#linux/bug.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { del_timer_sync, mod_timer, timer_list, timer_setup } from "#linux/timer.ts";
import { init_waitqueue_head, wait_event, wait_queue_head, wake_up } from "#linux/wait.ts";
import { alloc_workqueue, flush_work, INIT_WORK, queue_work, work_struct } from "#linux/workqueue.ts";
import { spawn } from "../../kernel/arch/machine.ts";
import { int, ptr, struct } from "../../kernel/lib/struct.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import { may_happen } from "../../kernel/outside.ts";
import type { Model } from "./models.ts";

class cell extends struct("cell", { v: int(), w: int(), next: ptr<cell>() }) {}

/** What each task saw, kept apart: nothing is shared here but through the kernel. */
class Seen {
  readonly #by = new Map<string, (number | string)[]>();
  of(task: string): (number | string)[] {
    let mine = this.#by.get(task);
    if (!mine) this.#by.set(task, (mine = []));
    return mine;
  }
  toString(): string {
    return [...this.#by]
      .map(([task, what]) => `${task}:${what.join()}`)
      .sort()
      .join(" ");
  }
}

export const MODELS: readonly Model[] = [
  {
    name: "a counter without a lock",
    start: () => {
      const c = new cell();
      function* add(): Sleeps {
        const old = c.v;
        yield* cond_resched();
        c.v = old + 1;
      }
      for (const name of ["a", "b", "c"]) spawn(name, add());
      return () => String(c.v);
    },
  },
  {
    name: "a contended mutex",
    start: () => {
      const [m, c, seen] = [DEFINE_MUTEX("m"), new cell(), new Seen()];
      function* body(name: string): Sleeps {
        yield* mutex_lock(m);
        const old = c.v;
        yield* cond_resched();
        c.v = old + 1;
        seen.of(name).push(c.v);
        mutex_unlock(m);
      }
      for (const name of ["a", "b"]) spawn(name, body(name));
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "mutex_trylock beside a holder",
    start: () => {
      const [m, seen] = [DEFINE_MUTEX("m"), new Seen()];
      function* holder(): Sleeps {
        yield* mutex_lock(m);
        yield* cond_resched();
        mutex_unlock(m);
      }
      function* tries(name: string): Sleeps {
        yield* cond_resched();
        const got = mutex_trylock(m);
        seen.of(name).push(got);
        yield* cond_resched();
        if (got) mutex_unlock(m);
      }
      spawn("holder", holder());
      spawn("a", tries("a"));
      spawn("b", tries("b"));
      return () => String(seen);
    },
  },
  ...[1, 2].map((cpus) => ({
    name: `a contended spinlock on ${cpus} CPUs`,
    cpus,
    start: () => {
      const [lock, c, seen] = [DEFINE_SPINLOCK("lock"), new cell(), new Seen()];
      function* body(name: string): Sleeps {
        yield* spin_lock(lock);
        c.v = c.v * 2 + 1;
        seen.of(name).push(c.v);
        yield* cond_resched();
        spin_unlock(lock);
        yield* cond_resched();
        c.w++;
      }
      for (const name of ["a", "b"]) spawn(name, body(name));
      function* looks(): Sleeps {
        yield* cond_resched();
        seen.of("l").push(c.w);
      }
      spawn("l", looks());
      return () => `${c.v} ${seen}`;
    },
  })),
  ...[false, true].map((reverse) => ({
    name: `two mutexes, ${reverse ? "in reverse order" : "in one order"}`,
    start: () => {
      const [one, two, seen] = [DEFINE_MUTEX("one"), DEFINE_MUTEX("two"), new Seen()];
      const c = new cell();
      function* body(name: string, first: typeof one, second: typeof one): Sleeps {
        yield* mutex_lock(first);
        yield* mutex_lock(second);
        seen.of(name).push(++c.v);
        mutex_unlock(second);
        mutex_unlock(first);
      }
      spawn("a", body("a", one, two));
      spawn("b", reverse ? body("b", two, one) : body("b", one, two));
      return () => String(seen);
    },
  })),
  {
    name: "a semaphore of readers and a writer",
    start: () => {
      const [sem, c, seen] = [new rw_semaphore(), new cell(), new Seen()];
      init_rwsem(sem, "sem");
      function* reads(name: string): Sleeps {
        yield* down_read(sem);
        seen.of(name).push(c.v);
        up_read(sem);
      }
      function* writes(): Sleeps {
        yield* down_write(sem);
        c.v = 1;
        yield* cond_resched();
        c.v = 2;
        up_write(sem);
      }
      spawn("r", reads("r"));
      spawn("w", writes());
      spawn("q", reads("q"));
      return () => String(seen);
    },
  },
  {
    name: "wait_event and wake_up",
    start: () => {
      const [wq, c, seen] = [new wait_queue_head(), new cell(), new Seen()];
      init_waitqueue_head(wq, "wq");
      function* waits(): Sleeps {
        yield* wait_event(wq, () => c.v > 0);
        seen.of("w").push(c.v);
      }
      function* wakes(by: number): Sleeps {
        c.v += by;
        yield* wake_up(wq);
      }
      spawn("w", waits());
      spawn("a", wakes(1));
      return () => String(seen);
    },
  },
  {
    name: "a completion with a timeout",
    start: () => {
      const [done, c, seen] = [new completion(), new cell(), new Seen()];
      init_completion(done, "done");
      function* waits(): Sleeps {
        seen.of("w").push((yield* wait_for_completion_timeout(done, 2)) > 0 ? "in time" : "too late");
        c.v = 1;
      }
      function* works(): Sleeps {
        yield* cond_resched();
        if (c.v) seen.of("c").push("nobody waits");
        complete(done);
        yield* cond_resched();
        c.w = 1;
      }
      spawn("w", waits());
      spawn("c", works());
      return () => `${c.w} ${seen}`;
    },
  },
  {
    name: "a completion that comes late",
    start: () => {
      const [done, lock, seen] = [new completion(), DEFINE_MUTEX("lock"), new Seen()];
      init_completion(done, "done");
      function* waits(): Sleeps {
        yield* mutex_lock(lock);
        seen.of("w").push((yield* wait_for_completion_timeout(done, 2)) > 0 ? "in time" : "too late");
        mutex_unlock(lock);
      }
      function* works(): Sleeps {
        // Behind the waiter it is only had when the time is up.
        yield* mutex_lock(lock);
        complete(done);
        mutex_unlock(lock);
      }
      spawn("w", waits());
      spawn("c", works());
      return () => String(seen);
    },
  },
  {
    name: "work that is queued and flushed",
    start: () => {
      const [c, seen, work] = [new cell(), new Seen(), new work_struct()];
      INIT_WORK(
        work,
        function* (): Sleeps {
          const old = c.v;
          yield* cond_resched();
          c.v = old + 1;
        },
        "work",
      );
      function* queues(): Sleeps {
        const wq = alloc_workqueue("wq", 0, 1);
        queue_work(wq!, work);
        yield* flush_work(work);
        seen.of("q").push(c.v);
      }
      function* adds(): Sleeps {
        yield* cond_resched();
        c.v += 10;
      }
      spawn("q", queues());
      spawn("a", adds());
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "a timer that is deleted",
    start: () => {
      const [c, seen, timer] = [new cell(), new Seen(), new timer_list()];
      timer_setup(
        timer,
        () => {
          c.v += 1;
        },
        0,
        "timer",
      );
      function* arms(): Sleeps {
        mod_timer(timer, 1);
        yield* cond_resched();
        c.w = 1;
      }
      function* deletes(): Sleeps {
        yield* cond_resched();
        seen.of("d").push(yield* del_timer_sync(timer));
      }
      spawn("a", arms());
      spawn("d", deletes());
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "an interrupt and who holds it off",
    start: () => {
      const [c, lock, seen] = [new cell(), DEFINE_SPINLOCK("lock"), new Seen()];
      function* handler(): Spins {
        yield* spin_lock(lock);
        c.v += 10;
        spin_unlock(lock);
      }
      function* raises(): Sleeps {
        yield* cond_resched();
        raise_irq({ name: "irq", handler });
        yield* cond_resched();
        c.w = 1;
      }
      function* works(): Sleeps {
        const flags = yield* spin_lock_irqsave(lock);
        const old = c.v;
        yield* cond_resched();
        c.v = old + 1;
        yield* spin_unlock_irqrestore(lock, flags);
        seen.of("w").push(c.v);
      }
      spawn("r", raises());
      spawn("w", works());
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "the last reference",
    start: () => {
      const [seen, holder] = [new Seen(), new cell()];
      const refs = new refcount_t();
      refcount_set(refs, 2);
      holder.next = kzalloc(cell, GFP_KERNEL);
      function* put(name: string): Sleeps {
        yield* cond_resched();
        if (refcount_dec_and_test(refs)) {
          seen.of(name).push("last");
          yield* cond_resched();
          kfree(holder.next);
        }
      }
      function* get(): Sleeps {
        yield* cond_resched();
        if (!refcount_inc_not_zero(refs)) return;
        yield* cond_resched();
        seen.of("g").push(holder.next!.v);
        yield* put("g");
      }
      spawn("a", put("a"));
      spawn("b", put("b"));
      spawn("g", get());
      return () => String(seen);
    },
  },
  {
    name: "use after free without a reference",
    start: () => {
      const [seen, holder] = [new Seen(), new cell()];
      holder.next = kzalloc(cell, GFP_KERNEL);
      function* frees(): Sleeps {
        const p = holder.next;
        yield* cond_resched();
        holder.next = null;
        yield* cond_resched();
        kfree(p);
      }
      function* uses(): Sleeps {
        const p = holder.next;
        yield* cond_resched();
        if (p) seen.of("u").push(p.w);
      }
      spawn("f", frees());
      spawn("u", uses());
      return () => String(seen);
    },
  },
  {
    name: "atomic counters",
    start: () => {
      const [a, b, seen] = [new atomic_t(), new atomic_t(), new Seen()];
      atomic_set(b, 2);
      function* body(name: string): Sleeps {
        yield* cond_resched();
        atomic_add(1, a);
        yield* cond_resched();
        if (atomic_dec_and_test(b)) seen.of(name).push(atomic_read(a));
      }
      spawn("x", body("x"));
      spawn("y", body("y"));
      return () => String(seen);
    },
  },
  {
    name: "a wake-up that can be lost",
    start: () => {
      const c = new cell();
      const sleeper: { task: task_struct | null } = { task: null };
      function* sleeps(): Sleeps {
        if (c.v) return;
        yield* cond_resched();
        set_current_state(TASK_UNINTERRUPTIBLE);
        yield* schedule();
      }
      function* wakes(): Sleeps {
        c.v = 1;
        yield* cond_resched();
        wake_up_process(sleeper.task!);
      }
      sleeper.task = spawn("s", sleeps());
      spawn("w", wakes());
      return () => String(c.v);
    },
  },
  {
    name: "a producer and two consumers",
    big: true,
    start: () => {
      const [m, wq, c, seen] = [DEFINE_MUTEX("m"), new wait_queue_head(), new cell(), new Seen()];
      init_waitqueue_head(wq, "wq");
      function* consumes(name: string): Sleeps {
        yield* wait_event(wq, () => c.v > 0);
        yield* mutex_lock(m);
        if (c.v > 0) seen.of(name).push(c.v--);
        mutex_unlock(m);
      }
      function* produces(): Sleeps {
        yield* mutex_lock(m);
        c.v += 1;
        mutex_unlock(m);
        yield* wake_up(wq);
      }
      spawn("p", produces());
      spawn("c", consumes("c"));
      spawn("d", consumes("d"));
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "an allocation that may fail",
    faults: 1,
    start: () => {
      const [c, seen] = [new cell(), new Seen()];
      function* body(name: string): Sleeps {
        const p = kzalloc(cell, GFP_KERNEL);
        yield* cond_resched();
        if (!p) c.v++;
        else c.w = c.w * 2 + c.v;
        seen.of(name).push(c.v);
        if (p) kfree(p);
      }
      spawn("a", body("a"));
      spawn("b", body("b"));
      return () => `${c.v} ${c.w} ${seen}`;
    },
  },
  {
    name: "a time-out that comes before the event, though nobody sleeps",
    faults: 1,
    outside: true,
    start: () => {
      const [done, c, seen] = [new completion(), new cell(), new Seen()];
      init_completion(done, "done");
      function* waits(): Sleeps {
        c.v = 1;
        seen.of("w").push((yield* wait_for_completion_timeout(done, 2)) > 0 ? "in time" : "too late");
        c.w += c.v;
      }
      function* works(): Sleeps {
        yield* cond_resched();
        c.v = 2;
        complete(done);
      }
      spawn("w", waits());
      spawn("c", works());
      return () => `${c.w} ${seen}`;
    },
  },
  {
    name: "something that may happen at any time",
    faults: 1,
    outside: true,
    start: () => {
      const [c, d, seen] = [new cell(), new cell(), new Seen()];
      may_happen("v is set", () => {
        c.v = d.v;
      });
      function* body(name: string, mine: cell): Sleeps {
        mine.v++;
        yield* cond_resched();
        mine.v++;
        seen.of(name).push(mine.v);
      }
      spawn("c", body("c", c));
      spawn("d", body("d", d));
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "one warns, another oopses, a third does neither",
    start: () => {
      const [c, holder, seen] = [new cell(), new cell(), new Seen()];
      function* warns(): Sleeps {
        yield* cond_resched();
        WARN_ON(true);
        yield* cond_resched();
        seen.of("w").push(1);
      }
      function* oopses(): Sleeps {
        yield* cond_resched();
        holder.next!.v = 1;
      }
      function* counts(): Sleeps {
        c.v++;
        yield* cond_resched();
        c.v++;
      }
      spawn("w", warns());
      spawn("o", oopses());
      spawn("c", counts());
      return () => `${c.v} ${seen}`;
    },
  },
  {
    name: "tasks that have nothing in common",
    start: () => {
      const cells = [new cell(), new cell()];
      function* body(c: cell): Sleeps {
        for (let i = 0; i < 3; i++) {
          c.v++;
          yield* cond_resched();
        }
      }
      cells.forEach((c, i) => spawn(`t${i}`, body(c)));
      return () => cells.map((c) => c.v).join();
    },
  },
];
