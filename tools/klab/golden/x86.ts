// SPDX-License-Identifier: GPL-2.0-only
/** Replays a trace of the x86 format: one boot, and modules that are there before it begins unless it loads them itself. */
import { isDeepStrictEqual } from "node:util";
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Kernel } from "../states/load.ts";
import { Actor } from "./actor.ts";
import type { Difference } from "./compare.ts";
import { Preemption } from "./preemption.ts";
import type { GoldenRecord } from "./record.ts";
import type { Replayed, Skipped } from "./replay.ts";
import { type Drained, SideChannels } from "./side-channels.ts";
import { cannotPerformX86, performX86, type Said } from "./x86-calls.ts";

const PROGRAM = "init";
const SETTLE_MS = 2;
const STACK = ["vfio", "vfio_iommu_type1", "mdev"];
const SAMPLES = ["mtty", "mdpy", "mbochs"];

/** Whether a trace is of this format: its records are numbered. */
export function isX86(records: readonly GoldenRecord[]): boolean {
  return typeof records[0]?.said["n"] === "number";
}

/** The sample that a record is about, by name or in a path. */
function sampleOf({ args }: GoldenRecord): string | null {
  const words = Object.values(args).flatMap((v) => (typeof v === "string" ? v.split(/[/-]/) : []));
  return SAMPLES.find((name) => words.includes(name)) ?? null;
}

/** `n step`: a name alone may come twice. */
const nameOf = ({ said, step }: GoldenRecord): string => `${String(said["n"])} ${step}`;

/** Fields whose values are this machine's own or nobody's: by name in a list, or as the members of an object. */
function leftOpen(said: Said): Set<string> {
  const names = ["volatile", "config_dependent"].flatMap((key) => {
    const value = said[key];
    return Array.isArray(value) ? value.map(String) : Object.keys((value ?? {}) as object);
  });
  return new Set(said["ub"] === true ? [...names, "ret", "errname", "out"] : names);
}

const FIELDS = ["errname", "failed_at", "mode", "major", "minor", "out", "out_text", "entries", "refcnt"] as const;

function compare(record: GoldenRecord, got: Said, drained: Drained, uevents: readonly string[]): Difference[] {
  const { said } = record;
  const open = leftOpen(said);
  // Of a descriptor, and of an address, only matters whether there is one.
  const ret = (value: unknown): unknown => (said["ret_kind"] === undefined ? value : Number(value) < 0 ? -1 : 0);
  const pairs: [string, unknown, unknown][] = [
    ...(said["ret"] === undefined || record.call === "note"
      ? []
      : [["ret", ret(said["ret"]), ret(got["ret"])] as [string, unknown, unknown]]),
    ...FIELDS.map((field): [string, unknown, unknown] => [field, said[field] ?? null, got[field] ?? null]),
    ["dmesg", said["dmesg"] ?? [], drained.dmesg],
    ["uevents", said["uevents"] ?? [], uevents],
  ];
  return pairs
    .filter(([field, expected, value]) => !open.has(field) && !isDeepStrictEqual(expected, value))
    .map(([field, expected, value]) => ({ step: nameOf(record), field, expected, got: value }));
}

class X86Replay {
  readonly #kernel: Kernel;
  readonly #records: readonly GoldenRecord[];
  readonly #differing: Difference[] = [];
  readonly #skipped: Skipped[] = [];
  readonly #reports: Replayed["reports"][number][] = [];
  #compared = 0;
  #done = 0;
  #finished = false;
  #sent = 0;

  constructor(kernel: Kernel, records: readonly GoldenRecord[]) {
    this.#kernel = kernel;
    this.#records = records;
  }

  run(): Replayed {
    const schedule = new Preemption(PROGRAM);
    const end = this.#kernel.boot({ arch: "x86_64", cpus: 2, schedule });
    if (end !== "done") throw new InputError(`the machine does not come up: ${end}`);
    const side = new SideChannels(this.#kernel);
    try {
      this.#kernel.run_user(PROGRAM, (u) => this.#program(new Actor(this.#kernel, u, schedule), side));
      const stopped = this.#kernel.run(() => this.#finished);
      if (!this.#finished) this.#stopped(stopped);
    } finally {
      side.close();
    }
    return {
      steps: this.#records.length,
      compared: this.#compared,
      equal: this.#compared - new Set(this.#differing.map((d) => d.step)).size,
      differing: this.#differing,
      skipped: this.#skipped,
      reports: this.#reports,
    };
  }

  *#program(a: Actor, side: SideChannels): Sleeps {
    const loads = new Set(this.#records.filter((r) => r.call === "finit_module").map((r) => String(r.args["module"])));
    yield* this.#load(
      a,
      STACK.filter((name) => !loads.has(name) && !(name === "mdev" && loads.has("vfio"))),
      side,
    );
    for (const record of this.#records) {
      const sample = sampleOf(record);
      if (sample !== null && !this.#kernel.module_images().has(sample)) {
        const why = `needs the sample module ${sample}, which is not there, or what it would have set up`;
        for (const rest of this.#records.slice(this.#done)) this.#skipped.push({ step: nameOf(rest), why });
        break;
      }
      const why = cannotPerformX86(record);
      this.#done += 1;
      if (why !== null) {
        this.#skipped.push({ step: nameOf(record), why });
        continue;
      }
      if (sample !== null)
        yield* this.#load(
          a,
          [...STACK, ...SAMPLES].filter((name) => !loads.has(name)),
          side,
        );
      const got = yield* performX86(a, record);
      yield* a.u.sleep_ms(SETTLE_MS);
      this.#compare(record, got, side);
    }
    this.#finished = true;
  }

  /** Loads what is not loaded; what that says belongs to no record. */
  *#load(a: Actor, names: readonly string[], side: SideChannels): Sleeps {
    for (const name of names) if (!(yield* a.u.exists(`/sys/module/${name}`))) yield* a.u.finit_module(name);
    side.drain();
    this.#sent = this.#kernel.uevents().length;
  }

  #compare(record: GoldenRecord, got: Said, side: SideChannels): void {
    const drained = side.drain();
    const sent = this.#kernel.uevents().slice(this.#sent);
    this.#sent += sent.length;
    const uevents = sent.map((e) => [e.header, ...e.env.filter((line) => !line.startsWith("SEQNUM="))].join("|"));
    for (const { checker, title } of drained.reports) this.#reports.push({ step: nameOf(record), checker, title });
    this.#differing.push(...compare(record, got, drained, uevents));
    this.#compared += 1;
  }

  #stopped(end: string): void {
    const record = this.#records[this.#done - 1];
    if (!record) return;
    const got = this.#kernel.found().at(-1)?.title ?? end;
    this.#differing.push({ step: nameOf(record), field: end === "oops" ? "oops" : "ended", expected: null, got });
    this.#compared += 1;
    for (const later of this.#records.slice(this.#done))
      this.#skipped.push({ step: nameOf(later), why: `not reached: the machine stopped in ${nameOf(record)}` });
  }
}

/** Replays a trace of this format. */
export function replayX86(kernel: Kernel, records: readonly GoldenRecord[]): Replayed {
  return new X86Replay(kernel, records).run();
}
