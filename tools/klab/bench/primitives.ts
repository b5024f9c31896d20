// SPDX-License-Identifier: GPL-2.0-only
/** What a primitive costs against the plain JavaScript that does as much when nobody else is there. */
import { loadInKernel } from "./bundle.ts";
import { type Effort, type Group, interleave, type Row, type Subject } from "./group.ts";

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

/** The same things as anybody would write them. */
const PLAIN: readonly Subject[] = [
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
];

async function measure(effort: Effort): Promise<Row[]> {
  const kernel = await loadInKernel();
  const inKernel = {
    "kref get/put": kernel.krefGetPutTimes,
    "mutex lock/unlock": kernel.lockUnlockTimes,
    "queue_work and flush": kernel.queueAndFlushTimes,
  };
  const variants = { "checkers off": { checkers: false }, "checkers on": { stacks: false } };
  const pairs = Object.entries(inKernel).flatMap(([what, run], i) =>
    Object.entries(variants).map(([how, options]) => ({
      subject: { name: `${what}, ${how}`, run: (times: number) => run(times, options) },
      plain: PLAIN[i]?.name ?? "?",
    })),
  );
  const { ns, ratio } = interleave([...PLAIN, ...pairs.map(({ subject }) => subject)], effort);
  const row = (name: string, against: string | null): Row => ({
    name,
    value: ns.get(name) ?? NaN,
    unit: "ns",
    ratio: against === null ? null : ratio(name, against),
    against,
    bound: null,
  });
  return [...pairs.map(({ subject, plain }) => row(subject.name, plain)), ...PLAIN.map(({ name }) => row(name, null))];
}

export const primitives: Group = {
  name: "primitives",
  summary: "kernel primitives that nobody else wants, against plain JavaScript",
  measure,
};
