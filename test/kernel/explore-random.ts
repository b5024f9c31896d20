// SPDX-License-Identifier: GPL-2.0-only
/** Models made at random: a few tasks with a few operations each on a few shared things. */
import fc from "fast-check";
import { complete, completion, init_completion, wait_for_completion_timeout } from "#linux/completion.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { cond_resched, type Sleeps } from "#linux/sched.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_unlock } from "#linux/spinlock.ts";
import { init_waitqueue_head, wait_event_timeout, wait_queue_head, wake_up } from "#linux/wait.ts";
import { spawn } from "../../kernel/arch/machine.ts";
import { int, struct } from "../../kernel/lib/struct.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import type { Model } from "./models.ts";

class pair extends struct("pair", { x: int(), y: int() }) {}

/** What is shared, of each kind two. */
class Things {
  readonly mutexes = ["m0", "m1"].map((name) => DEFINE_MUTEX(name));
  readonly locks = ["s0", "s1"].map((name) => DEFINE_SPINLOCK(name));
  readonly data = [new pair(), new pair()];
  readonly done = [new completion(), new completion()];
  readonly queue = new wait_queue_head();
  constructor() {
    this.done.forEach((c, i) => init_completion(c, `c${i}`));
    init_waitqueue_head(this.queue, "wq");
  }
}

const KINDS = [
  "set",
  "add",
  "get",
  "lock",
  "unlock",
  "spin",
  "complete",
  "wait",
  "wake",
  "sleep",
  "irq",
  "point",
] as const;
interface Op {
  readonly kind: (typeof KINDS)[number];
  readonly which: number;
}

/** One task. Locks are given back in reverse order at the end, if not before. */
function* task(ops: readonly Op[], things: Things, seen: (number | string)[]): Sleeps {
  const held: number[] = [];
  for (const { kind, which } of ops) {
    const data = things.data[which]!;
    switch (kind) {
      case "set":
        data.x = seen.length + 1;
        yield* cond_resched();
        break;
      case "add": {
        const old = data.x;
        yield* cond_resched();
        data.x = old + 1;
        break;
      }
      case "get":
        seen.push(data.x * 10 + data.y);
        yield* cond_resched();
        break;
      case "lock":
        if (held.includes(which)) break;
        yield* mutex_lock(things.mutexes[which]!);
        held.push(which);
        break;
      case "unlock":
        if (held.length > 0) mutex_unlock(things.mutexes[held.pop()!]!);
        break;
      case "spin":
        yield* spin_lock(things.locks[which]!);
        data.y++;
        yield* cond_resched();
        spin_unlock(things.locks[which]!);
        break;
      case "complete":
        complete(things.done[which]!);
        break;
      case "wait":
        seen.push((yield* wait_for_completion_timeout(things.done[which]!, 1 + which)) > 0 ? "c" : "t");
        break;
      case "wake":
        data.y++;
        yield* wake_up(things.queue);
        break;
      case "sleep":
        seen.push((yield* wait_event_timeout(things.queue, () => data.y > 0, 2)) > 0 ? "w" : "n");
        break;
      case "irq":
        raise_irq({
          name: "irq",
          handler: function* () {
            data.x += 100;
            yield* cond_resched();
            data.y += 1;
          },
        });
        yield* cond_resched();
        break;
      case "point":
        yield* cond_resched();
        break;
    }
  }
  while (held.length > 0) mutex_unlock(things.mutexes[held.pop()!]!);
}

/** @spec: `lock0 add1 | wait0`: two tasks, and the operations of each */
export function modelOf(spec: string, cpus: number, faults: number): Model {
  const tasks = spec
    .split(" | ")
    .map((ops) => ops.split(" ").map((op) => ({ kind: kindOf(op.slice(0, -1)), which: Number(op.slice(-1)) })));
  const start = (): (() => string) => {
    const things = new Things();
    const seen = tasks.map(() => [] as (number | string)[]);
    tasks.forEach((ops, i) => spawn(`t${i}`, task(ops, things, seen[i]!)));
    return () => [...things.data.map((d) => `${d.x}/${d.y}`), ...seen.map((s) => s.join())].join(" ");
  };
  return { name: `${spec} on ${cpus} CPUs with ${faults} faults`, cpus, faults, outside: true, start };
}
function kindOf(text: string): Op["kind"] {
  const found = KINDS.find((kind) => kind === text);
  if (!found) throw new RangeError(`there is no operation ${text}`);
  return found;
}

/** @most: operations of a task */
export function randomModel(most: number): fc.Arbitrary<Model> {
  const op = fc.record({ kind: fc.constantFrom(...KINDS), which: fc.nat(1) });
  const tasks = fc.array(fc.array(op, { minLength: 1, maxLength: most }), { minLength: 2, maxLength: 3 });
  const faults = fc.constantFrom(0, 0, 1);
  const spec = tasks.map((t) => t.map((ops) => ops.map(({ kind, which }) => `${kind}${which}`).join(" ")).join(" | "));
  return fc
    .record({ cpus: fc.integer({ min: 1, max: 3 }), faults, spec })
    .map((how) => modelOf(how.spec, how.cpus, how.faults));
}
