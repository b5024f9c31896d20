// SPDX-License-Identifier: GPL-2.0-only
/** Replays a trace, and compares. Here: the s390 format, boot after boot; the other one is in x86.ts. */
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Outcome as End } from "../scenario.ts";
import type { Kernel } from "../states/load.ts";
import { Actor, type Outcome } from "./actor.ts";
import { Args } from "./args.ts";
import { callOf, cannotPerform, settleMs } from "./ccw-calls.ts";
import { type Difference, differences } from "./compare.ts";
import { powerOn } from "./ccw-machine.ts";
import { Preemption } from "./preemption.ts";
import type { GoldenRecord } from "./record.ts";
import { isX86, replayX86 } from "./x86.ts";
import { moduleReferences, SideChannels } from "./side-channels.ts";

export interface Skipped {
  readonly step: string;
  readonly why: string;
}
export interface Found {
  readonly step: string;
  readonly checker: string;
  readonly title: string;
}
export interface Replayed {
  readonly steps: number;
  readonly compared: number;
  readonly equal: number;
  readonly differing: readonly Difference[];
  readonly skipped: readonly Skipped[];
  /** What checkers found that the recorded kernel has not; no part of the comparison. */
  readonly reports: readonly Found[];
}

const PROGRAM = "init";

const ENDS: Readonly<Record<Exclude<End, "done">, string>> = {
  oops: "the kernel crashed",
  deadlock: "nobody could go on",
  endless: "it did not come to an end",
};

/** One boot of a trace: its `boot` record and those up to the next one. */
class BootReplay {
  readonly #kernel: Kernel;
  readonly #records: readonly GoldenRecord[];
  readonly #differing: Difference[] = [];
  readonly #skipped: Skipped[] = [];
  readonly #reports: Found[] = [];
  #compared = 0;
  /** Records that are done with. */
  #done = 0;
  #finished = false;

  constructor(kernel: Kernel, records: readonly GoldenRecord[]) {
    this.#kernel = kernel;
    this.#records = records;
  }

  run(): Omit<Replayed, "steps" | "equal"> {
    const [first, ...rest] = this.#records;
    if (!first || first.call !== "boot") throw new InputError("a trace begins with a boot record");
    const schedule = new Preemption(PROGRAM);
    powerOn(this.#kernel, new Args(first.args), schedule);
    const side = new SideChannels(this.#kernel);
    try {
      this.#kernel.run_user(PROGRAM, (u) => this.#program(new Actor(this.#kernel, u, schedule), first, rest, side));
      const end = this.#kernel.run(() => this.#finished);
      if (!this.#finished) this.#ended(end, side);
    } finally {
      side.close();
    }
    return { compared: this.#compared, differing: this.#differing, skipped: this.#skipped, reports: this.#reports };
  }

  *#program(a: Actor, boot: GoldenRecord, rest: readonly GoldenRecord[], side: SideChannels): Sleeps {
    for (const [name, path] of new Args(boot.args).entries("fds")) a.fds.set(name, yield* a.u.open(String(path), 2));
    yield* this.#settle(a, boot, { ret: 0 }, side);
    for (const record of rest) {
      const why = cannotPerform(record.call);
      if (why !== null) {
        this.#skipped.push({ step: record.step, why });
        this.#done += 1;
        continue;
      }
      const outcome = yield* perform(a, record);
      yield* this.#settle(a, record, outcome, side);
    }
    this.#finished = true;
  }

  /** Waits until the record has had all its effects, and compares. */
  *#settle(a: Actor, record: GoldenRecord, outcome: Outcome, side: SideChannels): Sleeps {
    yield* a.u.sleep_ms(settleMs(record.call));
    const refcnt = yield* moduleReferences(a, Object.keys((record.said["refcnt"] ?? {}) as object));
    this.#compare(record, outcome, side, refcnt);
  }

  #compare(record: GoldenRecord, outcome: Outcome, side: SideChannels, refcnt?: Record<string, number>): void {
    const drained = side.drain();
    for (const { checker, title } of drained.reports) this.#reports.push({ step: record.step, checker, title });
    this.#differing.push(...differences(record, { outcome, drained, ...(refcnt ? { refcnt } : {}) }));
    const crash = record.said["oops"];
    if (crash !== undefined) this.#differing.push({ step: record.step, field: "oops", expected: crash, got: null });
    this.#compared += 1;
    this.#done += 1;
  }

  /** The machine stopped before the program was through: in the record that is not done. */
  #ended(end: End, side: SideChannels): void {
    const record = this.#records[this.#done];
    if (!record) return;
    if (end === "done" && record.call === "reboot") this.#compare(record, {}, side);
    else {
      const { reports } = side.drain();
      const title = reports.at(-1)?.title ?? (end === "done" ? "the machine stopped" : ENDS[end]);
      const recorded = record.said["oops"] ?? record.said["ended"] ?? null;
      for (const r of reports.slice(0, end === "oops" ? -1 : undefined))
        this.#reports.push({ step: record.step, checker: r.checker, title: r.title });
      // That it crashes here is what counts, not in which words.
      if (recorded === null || end === "done")
        this.#differing.push({
          step: record.step,
          field: end === "oops" ? "oops" : "ended",
          expected: recorded,
          got: title,
        });
      this.#compared += 1;
      this.#done += 1;
    }
    const why = `not reached: ${end === "done" ? "the machine stopped" : ENDS[end]} in ${record.step}`;
    for (const later of this.#records.slice(this.#done)) this.#skipped.push({ step: later.step, why });
  }
}

function* perform(a: Actor, record: GoldenRecord): Sleeps<Outcome> {
  try {
    return yield* callOf(record.call)(a, new Args(record.args));
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`${record.step} (line ${record.line}): ${error.message}`);
    throw error;
  }
}

/** The boots of a trace. */
function bootsOf(records: readonly GoldenRecord[]): GoldenRecord[][] {
  const boots: GoldenRecord[][] = [];
  for (const record of records) {
    if (record.call === "boot" || boots.length === 0) boots.push([]);
    boots.at(-1)?.push(record);
  }
  return boots;
}

/** Replays a trace on a kernel. @progress: told before each boot */
export function replay(
  kernel: Kernel,
  records: readonly GoldenRecord[],
  progress: (what: string) => void = () => {},
): Replayed {
  if (isX86(records)) return replayX86(kernel, records);
  const boots = bootsOf(records).map((boot) => {
    progress(boot[0]?.step ?? "");
    return new BootReplay(kernel, boot).run();
  });
  const differing = boots.flatMap((b) => b.differing);
  const compared = boots.reduce((n, b) => n + b.compared, 0);
  return {
    steps: records.length,
    compared,
    equal: compared - new Set(differing.map((d) => d.step)).size,
    differing,
    skipped: boots.flatMap((b) => b.skipped),
    reports: boots.flatMap((b) => b.reports),
  };
}
