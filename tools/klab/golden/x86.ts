// SPDX-License-Identifier: GPL-2.0-only
/** Replays a trace of the x86 format: one boot, and modules that are there before it begins unless it loads them itself. */
import { isDeepStrictEqual } from "node:util";
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Kernel } from "../states/load.ts";
import { Actor, type OwnMemory } from "./actor.ts";
import type { Difference } from "./compare.ts";
import { Preemption } from "./preemption.ts";
import type { GoldenRecord } from "./record.ts";
import type { Replayed, Skipped } from "./replay.ts";
import { Roles } from "./roles.ts";
import { SideChannels } from "./side-channels.ts";
import { cannotPerformX86, expectedOut, givesHandle, performX86, type Said } from "./x86-calls.ts";

const PROGRAM = "init";
const SETTLE_MS = 2;
/** What the recording program had mapped: 2 MiB, and 64 KiB to read only. */
const MEMORY: readonly OwnMemory[] = [
  { addr: 0x200000000000n, length: 2 << 20, writable: true },
  { addr: 0x200010000000n, length: 64 << 10, writable: false },
];
const STACK = ["vfio", "vfio_iommu_type1", "mdev"];
const SAMPLES = ["mtty", "mdpy", "mbochs"];
/** What a device of the PCI bus needs to be given to user space. */
const PCI = ["vfio_virqfd", "vfio_pci_core", "vfio_pci"];

/** Whether a trace is of this format: its records are numbered. */
export function isX86(records: readonly GoldenRecord[]): boolean {
  return typeof records[0]?.said["n"] === "number";
}

/** Modules that have to be there for a record: it names a sample, or a path on the PCI bus. */
function driversOf({ args }: GoldenRecord): readonly string[] {
  const texts = Object.values(args).filter((v) => typeof v === "string");
  const words = texts.flatMap((text) => text.split(/[/-]/));
  return [
    ...(SAMPLES.some((name) => words.includes(name)) ? SAMPLES : []),
    ...(texts.some((text) => text.startsWith("/sys/bus/pci/")) ? PCI : []),
  ];
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

const FIELDS = ["errname", "failed_at", "mode", "minor", "count", "refcnt"] as const;
type Pair = [field: string, expected: unknown, got: unknown];

const lines = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
/** Without the numbers in it: what an original made of bytes that nobody had written. */
const blanked = (line: string): string => line.replace(/0x[0-9a-f]+/gi, "0x…");

/** Bytes of `out` that the original never wrote are made the same in both. */
function masked(out: unknown, { said }: GoldenRecord): unknown {
  const [, from] = /^out\[(\d+):argsz\]/.exec(typeof said["ub_bytes"] === "string" ? said["ub_bytes"] : "") ?? [];
  if (typeof out !== "string" || from === undefined) return out;
  const argsz = Buffer.from(String(said["in"]).slice(0, 8), "hex").readUInt32LE();
  return out.slice(0, 2 * Number(from)) + "..".repeat(argsz - Number(from)) + out.slice(2 * argsz);
}

interface Heard {
  readonly dmesg: readonly string[];
  readonly uevents: readonly string[];
}

function compare(a: Actor, roles: Roles, record: GoldenRecord, got: Said, heard: Heard): Difference[] {
  const { said } = record;
  const open = leftOpen(said);
  roles.learn(lines(said["dmesg"]), heard.dmesg);
  roles.learn(lines(said["uevents"]), heard.uevents);
  roles.learnMajor(said["major"], got["major"]);
  const text = typeof said["out_text"] === "string" ? roles.text(said["out_text"]) : null;
  // What is read has the length of its text, which has the length of the numbers in it.
  const longer = text === null ? 0 : text.length - String(said["out_text"]).length;
  const handle = givesHandle(record);
  const ret = (value: unknown, more: number): unknown => {
    if (handle) return Number(value) < 0 ? -1 : 0;
    return typeof value === "number" && value > 0 ? value + more : value;
  };
  const plain = (value: string): string => (said["ub"] === true ? blanked(value) : value);
  const pairs: Pair[] = [
    ...(said["ret"] === undefined || record.call === "note"
      ? []
      : [["ret", ret(said["ret"], longer), ret(got["ret"], 0)] as Pair]),
    ...FIELDS.map((field): Pair => [field, said[field] ?? null, got[field] ?? null]),
    ["major", roles.major(said["major"] ?? null), got["major"] ?? null],
    ["out_text", text, got["out_text"] ?? null],
    [
      "entries",
      said["entries"] === undefined ? null : roles.entries(lines(said["entries"]), String(record.args["path"])),
      got["entries"] ?? null,
    ],
    ["out", masked(expectedOut(a, record), record) ?? null, masked(got["out"], record) ?? null],
    ["dmesg", lines(said["dmesg"]).map((line) => plain(roles.text(line))), heard.dmesg.map(plain)],
    ["uevents", lines(said["uevents"]).map((line) => roles.text(line)), heard.uevents],
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
  readonly #roles = new Roles();
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
    const end = this.#kernel.boot({
      arch: "x86_64",
      cpus: 2,
      pci: this.#kernel.recorded_pci,
      schedule,
      bug_on_data_corruption: true,
      modules: { unsigned: true, out_of_tree: SAMPLES },
    });
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
    yield* a.owns(MEMORY);
    const loads = new Set(this.#records.filter((r) => r.call === "finit_module").map((r) => String(r.args["module"])));
    yield* this.#load(
      a,
      STACK.filter((name) => !loads.has(name) && !(name === "mdev" && loads.has("vfio"))),
      side,
    );
    for (const record of this.#records) {
      const drivers = driversOf(record);
      const why = cannotPerformX86(record);
      this.#done += 1;
      if (why !== null) {
        this.#skipped.push({ step: nameOf(record), why });
        continue;
      }
      if (drivers.length > 0)
        yield* this.#load(
          a,
          [...STACK, ...drivers].filter((name) => !loads.has(name)),
          side,
        );
      const got = yield* this.#performed(a, record);
      yield* a.u.sleep_ms(SETTLE_MS);
      if (got === null) {
        this.#forget(side);
        continue;
      }
      this.#compare(a, record, got, side);
    }
    this.#finished = true;
  }

  /** @return what came of it, or null if the record does not say enough, which is noted */
  *#performed(a: Actor, record: GoldenRecord): Sleeps<Said | null> {
    try {
      return yield* performX86(a, record, this.#translated(record));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#skipped.push({ step: nameOf(record), why: error.message });
      return null;
    }
  }

  #translated({ args }: GoldenRecord): Said {
    const path = args["path"];
    return typeof path === "string" ? { ...args, path: this.#roles.text(path) } : args;
  }

  /** Loads what is not loaded; what that says belongs to no record. */
  *#load(a: Actor, names: readonly string[], side: SideChannels): Sleeps {
    for (const name of names) if (!(yield* a.u.exists(`/sys/module/${name}`))) yield* a.u.finit_module(name);
    this.#forget(side);
  }
  #forget(side: SideChannels): void {
    side.drain();
    this.#sent = this.#kernel.uevents().length;
  }

  #compare(a: Actor, record: GoldenRecord, got: Said, side: SideChannels): void {
    const drained = side.drain();
    const sent = this.#kernel.uevents().slice(this.#sent);
    this.#sent += sent.length;
    const uevents = sent.map((e) => [e.header, ...e.env.filter((line) => !line.startsWith("SEQNUM="))].join("|"));
    for (const { checker, title } of drained.reports) this.#reports.push({ step: nameOf(record), checker, title });
    this.#differing.push(...compare(a, this.#roles, record, got, { dmesg: drained.dmesg, uevents }));
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
