// SPDX-License-Identifier: GPL-2.0-only
/** What holds for every run: the same again gives the same, listening changes nothing, and nothing stays behind. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import test from "ava";
import { boot, found, log, type outcome, run, spawn } from "../../kernel/lab.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { ALL_EVENTS, KERNEL_EVENTS, trace_subscribe } from "../../kernel/trace/trace.ts";
import { data_sections, per_boot } from "../../kernel/boot.ts";
import { initialise, type Sleeps, struct, u32 } from "#linux/types.ts";
import * as faults from "../modules/checker_faults.ts";
import * as locks from "../modules/rules_locks.ts";
import * as memory from "../modules/rules_memory.ts";

/** Files, memory, pipes of waiting, and a few mistakes: something of everything that tells of itself. */
function* busy(u: user_process): Sleeps {
  const fd = yield* u.open("/sys/kernel/uevent_seqnum", 0);
  yield* u.read(fd, yield* u.alloc(16), 16);
  yield* u.close(fd);
  yield* u.open("/nowhere", 0);
  yield* u.sleep_ms(5);
  yield* memory.work_cancelled_ok();
  yield* faults.ref_underflow();
}
function* other(u: user_process): Sleeps {
  yield* u.sleep_ms(3);
  yield* locks.cycle_of_three();
  yield* memory.rcu_over_ok();
}

interface Told {
  readonly outcome: outcome;
  readonly events: readonly string[];
  readonly log: readonly string[];
  readonly reports: readonly string[];
}
/** @listening: to everything from power-on */
function tell(seed: number, listening: boolean, options: object = {}): Told {
  const events: string[] = [];
  const offs = listening
    ? [ALL_EVENTS, KERNEL_EVENTS].map((name) => trace_subscribe(name, (event) => events.push(JSON.stringify(event))))
    : [];
  boot({ schedule: random_schedule(seed), ...options });
  run_user("busy", busy);
  run_user("other", other);
  const end = run();
  for (const off of offs) off();
  return {
    outcome: end,
    events,
    log: log().map(({ level, ns, text }) => `${level} ${ns} ${text}`),
    reports: found().map(({ text }) => text),
  };
}

test.serial("the same run twice gives the same events, log and reports, to the byte", (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const [once, again] = [tell(seed, true), tell(seed, true)];
    t.true(once.events.length > 100 && once.reports.length >= 2);
    t.is(once.events.join("\n"), again.events.join("\n"), `seed ${seed}`);
    t.deepEqual(once, again);
  }
  t.notDeepEqual(tell(1, true).events, tell(2, true).events, "another schedule is another run");
});

test.serial("a run that is listened to ends as one that is not, with the same log and reports", (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const { events, ...plain } = tell(seed, false);
    const { events: heard, ...traced } = tell(seed, true);
    t.is(events.length, 0);
    t.true(heard.length > 100);
    t.deepEqual(plain, traced, `seed ${seed}`);
  }
});

test.serial("without stacks the same reports come, by their titles, and data races change no step", (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const titles = (options: object): string[] => {
      tell(seed, false, options);
      return found().flatMap(({ checker, title }) => (checker === "kcsan" ? [] : [title]));
    };
    const whole = titles({});
    t.deepEqual(titles({ stacks: false }), whole);
    t.deepEqual(titles({ kcsan: true }), whole);
  }
});

test.serial("with the checkers off only those speak that every kernel has", (t) => {
  const { outcome, reports } = tell(1, false, { checkers: false });
  t.is(outcome, "done");
  t.deepEqual(
    reports.map((text) => text.split("\n")[1]),
    ["refcount_t: underflow; use-after-free."],
  );
});

/** Names and kinds of all file-scope statics, with what they hold as far as it can be counted. */
function statics(): string[] {
  return data_sections().flatMap((state, i) =>
    Object.entries(state).map(([name, value]: [string, unknown]) => {
      const size =
        value instanceof Map || value instanceof Set ? value.size : Array.isArray(value) ? value.length : undefined;
      const plain = ["number", "string", "boolean", "bigint"].includes(typeof value) ? String(value) : typeof value;
      return `${i}.${name} ${size ?? plain}`;
    }),
  );
}

class Cell extends struct("cell", { value: u32() }) {}
const first = per_boot(() => ({ cell: initialise(new Cell(), { value: 1 }) }));
const second = per_boot(() => ({ cell: initialise(new Cell(), { value: first.cell.value + 1 }) }));
const cells = { sum: 0 };
function* looksAt(inTurn: readonly (typeof first)[]): Sleeps {
  for (const { cell } of inTurn) cells.sum += cell.value;
}
/** Two tasks look at the statics in this order. @before: so has somebody before them. @return what came of it */
function look(
  inTurn: readonly (typeof first)[],
  before = false,
): { touches: number; ids: readonly number[]; titles: readonly string[] } {
  const watcher = {
    touches: 0,
    step: () => {},
    touch: () => void watcher.touches++,
    everything: () => {},
    barrier: () => {},
    pause: () => {},
  };
  boot({ kcsan: true, schedule: { interferes: true, decide: () => 0, watcher } });
  if (before) for (const { cell } of inTurn) cells.sum += cell.value;
  for (const comm of ["one", "other"]) spawn(comm, looksAt(inTurn));
  watcher.touches = 0;
  run();
  return {
    touches: watcher.touches,
    ids: [first.cell.$id, second.cell.$id, new Cell().$id],
    titles: found().map((r) => r.title),
  };
}
test.serial("in which order statics are looked at first, and by whom, shows nowhere", (t) => {
  boot();
  const seen = look([first, second]);
  t.deepEqual(look([second, first]), seen);
  t.deepEqual(look([first, second], true), seen);
  t.is(new Set(seen.ids).size, 3);
  t.deepEqual(seen.titles, []);
  first.cell = new Cell();
  boot();
  t.is(first.cell.value, 1);
});

const SLICES = 10;
const BOOTS = 1_000;
/** Caches of the host fill up first: it compiles as it goes. */
const SETTLED = 3;
const flat = { fresh: [] as string[], heaps: [] as number[] };
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
for (let slice = 1; slice <= SLICES; slice++)
  test.serial(`boots in one process: ${slice * BOOTS} of ${SLICES * BOOTS}`, (t) => {
    if (slice === 1) {
      // Statics are made when they are looked at; in the first boot of a process all are.
      boot();
      boot();
      flat.fresh = statics();
    }
    for (let i = 0; i < BOOTS; i++) {
      boot({ stacks: false });
      run_user("busy", busy);
      run_user("other", other);
      run();
    }
    flat.heaps.push(heapUsed());
    t.pass();
  });
test.serial("boots in one process: memory stays as it is, and nothing is carried over", (t) => {
  t.is(flat.heaps.length, SLICES);
  const grown = flat.heaps.map((heap) => heap - (flat.heaps[SETTLED - 1] ?? 0));
  t.log({ grown });
  // An object of a few words that stayed behind at each boot would be more.
  t.true(
    (grown.at(-1) ?? Infinity) < 1_500_000,
    `${grown.at(-1)} bytes more after ${(SLICES - SETTLED) * BOOTS} boots`,
  );
  boot();
  t.deepEqual(statics(), flat.fresh);
});
