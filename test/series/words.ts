// SPDX-License-Identifier: GPL-2.0-only
/** What the tests of the patches are written with: one boot with one process, and what can be seen of it. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { loadModules } from "../helpers/ccw.ts";
import type { Lab } from "../helpers/states.ts";

export const ENOENT = -2;
export const ENOMEM = -12;
export const ENODEV = -19;

export const PRIVATE = "vfio_ccw_private";
export const PARENT = "vfio_ccw_parent";
export const NULL_POINTER = "BUG: kernel NULL pointer dereference";

type Program<T> = (u: user_process) => Sleeps<T>;

/** What can be said of a run that is over. */
export interface Played<T> {
  /** How it ended, in the words of lab.run(). */
  readonly end: string;
  /** What the program returned; undefined if it did not get so far. */
  readonly got: T | undefined;
  /** Titles of the reports. */
  readonly reports: readonly string[];
  readonly log: readonly string[];
}

function* mainOf<T>(u: user_process, program: Program<T>, into: { got?: T }): Sleeps {
  yield* loadModules(u);
  into.got = yield* program(u);
}

/** Boots, loads the modules, runs one process to its end. */
export function play<T>(lab: Lab, program: Program<T>): Played<T> {
  const into: { got?: T } = {};
  lab.boot();
  lab.run_user("init", (u) => mainOf(u, program, into));
  const end = lab.run();
  return { end, got: into.got, reports: lab.found().map((r) => r.title), log: lab.log().map((line) => line.text) };
}

const json = (value: unknown): string => JSON.stringify(value) ?? "nothing";

function compare(actual: object, expected: object): void {
  if (json(actual) !== json(expected)) throw new Error(`${json(actual)} instead of ${json(expected)}`);
}

/** It ended well, nothing was reported, and the program returned what is expected. @throws with what it was instead */
export function wentWell<T>({ end, reports, got }: Played<T>, expected: T): void {
  compare({ end, reports, got }, { end: "done", reports: [], got: expected });
}

/** The same where something was reported. */
export function wentWithReports({ end, reports }: Played<unknown>, ...expected: readonly string[]): void {
  compare({ end, reports }, { end: "done", reports: expected });
}

/** What one put too many of a freed device is reported as. */
export const PUT_OF_FREED = [
  "BUG: KASAN: use-after-free in kobject_put",
  "BUG: KASAN: use-after-free in refcount_warn_saturate",
  "WARNING: refcount_warn_saturate",
];

/** The run without these reports, which another case is about. */
export function apartFrom<T>(titles: readonly string[], played: Played<T>): Played<T> {
  return { ...played, reports: played.reports.filter((title) => !titles.includes(title)) };
}

/** It died of a NULL pointer, in this function and for no other reason. @throws with what it was instead */
export function diedOfNullIn({ end, reports, log }: Played<unknown>, place: string): void {
  const rip = log.map((line) => line.trim()).find((line) => line.startsWith("RIP: "));
  compare({ end, reports, rip }, { end: "oops", reports: [`${NULL_POINTER} in ${place}`], rip: `RIP: ${place}` });
}

type Live = ReturnType<Lab["live_objects"]>;

/** Objects of a type that are allocated now. */
export function live(lab: Lab, type: string): Live {
  return lab.live_objects().filter((o) => o.type === type);
}
/** What vfio_ccw keeps for subchannels and mdevs: the structs, the regions and channel report words. */
export function ofDriver(lab: Lab): Live {
  return lab.live_objects().filter((o) => /^vfio_ccw_|^ccw_\w+_region$/.test(o.type));
}
export function regions(lab: Lab): Live {
  return lab.live_objects().filter((o) => /^ccw_\w+_region$/.test(o.type));
}

const WATCH = "/sys/kernel/debug/free_traces/watch";

/** Remembers the live objects of a type, to see who frees them. The first call loads the module that does it. */
export function* watch(u: user_process, type: string): Sleeps {
  if (!(yield* u.exists(WATCH))) yield* u.finit_module("free_traces");
  yield* u.sysfs_write(WATCH, type);
}
export interface Freed {
  readonly type: string;
  readonly pid: number;
  /** Function names, innermost first, without the allocator's own. */
  readonly stack: readonly string[];
}
/** Who freed what was watched. */
export function* freed(u: user_process): Sleeps<Freed[]> {
  const { text } = yield* u.sysfs_read(WATCH);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, type = "", pid = "", stack = ""] = /^(\S+) by (\d+): (.*)$/.exec(line) ?? [];
      return { type, pid: Number(pid), stack: stack.split(" < ").filter((f) => f !== "kvfree") };
    });
}

const HOLD = "/sys/kernel/debug/hold_device";

/** Takes a reference of the device that is reached from a subchannel through these names. @return as write() */
export function* hold(u: user_process, ...names: readonly string[]): Sleeps<number> {
  yield* u.finit_module("hold_device");
  return yield* u.sysfs_write(`${HOLD}/get`, names.join(" "));
}
export function* letGo(u: user_process): Sleeps<number> {
  return yield* u.sysfs_write(`${HOLD}/put`, "1");
}

export interface Refusal<T> {
  readonly setUp: Program<unknown>;
  /** What runs out of memory. @return an error if it notices */
  readonly act: Program<number>;
  /** Undoes what `act` did, where it went well all the same. */
  readonly undo: Program<unknown>;
  /** Looks around afterwards. */
  readonly then: (u: user_process, ret: number) => Sleeps<T>;
}
export interface Refused<T> extends Played<T> {
  /** The functions whose allocations fail when they are refused one by one, this one last. */
  readonly places: readonly string[];
}

/** More than any of the actions here makes. */
const MANY = 200;

function* actWithout(lab: Lab, u: user_process, act: Program<number>, nth: number): Sleeps<number> {
  lab.make_it_fail(u.task);
  lab.set_fail_nth(nth);
  const ret = yield* act(u);
  lab.make_it_fail(u.task, false);
  return ret;
}

type Injection = ReturnType<Lab["fault_injections"]>[number];
const who = (f: Injection): string => `${f.stack.join(" < ")} ${f.what}`;

/** Refuses one allocation after the other within one boot, for as long as that goes well. */
function* search<T>(lab: Lab, u: user_process, plan: Refusal<T>, which: RegExp, from: number): Sleeps {
  yield* plan.setUp(u);
  for (let nth = from; nth < MANY; nth++) {
    const ret = yield* actWithout(lab, u, plan.act, nth);
    const last = lab.fault_injections().at(-1);
    if (last?.nth !== nth || which.test(who(last))) return;
    if (ret >= 0) yield* plan.undo(u);
  }
}

/**
 * Acts while one allocation is refused: the first one whose "INNERMOST < CALLER < … CACHE" matches, or the `nth`. It is looked for in
 * boots of their own, so that what the others do when they are refused does not matter.
 * @throws if there is no such allocation
 */
export function refuse<T>(lab: Lab, which: RegExp, plan: Refusal<T>, nth = 1): Refused<T> {
  const places: string[] = [];
  let matches = 0;
  for (;;) {
    play(lab, (u) => search(lab, u, plan, which, places.length + 1));
    const tried = lab.fault_injections();
    places.push(...tried.map((f) => f.place));
    const last = tried.at(-1);
    // An oops stops the machine, and some refusals spoil the next attempt; neither ends the search.
    if (!last) throw new Error(`no allocation is that of ${which.source}`);
    if (which.test(who(last)) && ++matches === nth) break;
  }
  function* program(u: user_process): Sleeps<T> {
    yield* plan.setUp(u);
    const ret = yield* actWithout(lab, u, plan.act, places.length);
    return yield* plan.then(u, ret);
  }
  const played = play(lab, program);
  const [fault] = lab.fault_injections();
  if (!fault || !which.test(who(fault)))
    throw new Error(`allocation ${places.length} fails in ${fault?.place ?? "nothing"} when it is refused alone`);
  return { ...played, places };
}
