// SPDX-License-Identifier: GPL-2.0-only
/** A run as a list of lines that can be laid beside another state's: no addresses, no numbers that only count. */
import type { KernelEvent, RunResult } from "../scenario.ts";

export const KINDS = [
  "tracepoint",
  "allocation",
  "free",
  "reference",
  "wait",
  "return code",
  "log",
  "uevent",
  "report",
  "result",
  "life time",
] as const;
export type Kind = (typeof KINDS)[number];

/** By whom an object was allocated, and by whom freed, "never" if it was not; each with its callers in modules. */
export interface Fate {
  readonly object: string;
  readonly allocated: string;
  readonly freed: string;
}
export interface Step {
  readonly kind: Kind;
  readonly line: string;
  /** Of a life time. */
  readonly fate?: Fate;
}

/** Where an object came into being and where it went. */
interface Life {
  readonly name: string;
  readonly type: string;
  readonly site: string;
  readonly born: string;
  /** By whom and, in the program, when. */
  freed: { readonly by: string; readonly when: string } | null;
}

const KIND_OF: Readonly<Record<string, Kind>> = {
  kmalloc: "allocation",
  kfree: "free",
  ref_get: "reference",
  ref_put: "reference",
  module_get: "reference",
  module_put: "reference",
  sched_stat_blocked: "wait",
  complete: "wait",
  wait_for_completion: "wait",
  sys_exit: "return code",
  console: "log",
  uevent: "uevent",
  error_report_end: "report",
};
const KERNEL_SYSTEMS = [
  "kmem",
  "refcount",
  "module",
  "sched",
  "completion",
  "raw_syscalls",
  "printk",
  "kobject",
  "error_report",
];

/** Addresses, and what only counts: pids, processors, sequence numbers. */
function mask(text: string): string {
  return text
    .replace(/\b(0x[0-9a-f]{6,}|[0-9a-f]{16})\b/g, "ADDRESS")
    .replace(/\b(PID: |pid: |pid=|task \S+?[/:])\d+/g, "$1N")
    .replace(/\bCPU: \d+/g, "CPU: N");
}

function seconds(ns: number): string {
  return `${Number((ns / 1e9).toFixed(6))} s`;
}

/** Hears one run. */
export class Recorder {
  readonly steps: Step[] = [];
  readonly #births = new Map<string, number>();
  readonly #names = new Map<number, string>();
  readonly #lives = new Map<number, Life>();
  /** System calls of each task, so that a time can be told without a clock. */
  readonly #calls = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  /** Where `comm` is in its program. */
  #when(comm: string): string {
    return this.#calls.get(comm) ?? comm;
  }

  #numbered(what: string): string {
    const n = (this.#births.get(what) ?? 0) + 1;
    this.#births.set(what, n);
    return `${what}#${n}`;
  }

  /** Objects that are older than the recording are numbered as they turn up. */
  #object(type: string, birth: number): string {
    if (birth === 0) return type === "static" ? "a static object" : `static ${type}`;
    let name = this.#names.get(birth);
    if (name === undefined) this.#names.set(birth, (name = this.#numbered(`old ${type}`)));
    return name;
  }

  /** A member of an object, in events that have one. */
  #member({ type, birth, member }: KernelEvent["fields"]): string {
    const object = this.#object(String(type), Number(birth));
    return member === undefined || member === "" ? object : `${object}.${String(member)}`;
  }

  #born(type: string, birth: number, site: string, comm: string): string {
    // Byte memory has no type of its own: one more somewhere would rename all that come after it.
    const plainMemory = type === "buffer" || type.endsWith("[]");
    const name = plainMemory ? this.#numbered(`${type} of ${site}`) : this.#numbered(type);
    this.#names.set(birth, name);
    const born = `${site} (${this.#when(comm)})`;
    if (!plainMemory) this.#lives.set(birth, { name, type, site, born, freed: null });
    return name;
  }

  #line(event: KernelEvent): string | null {
    const { name, comm, fields, text } = event;
    const field = (key: string): string => String(fields[key]);
    const number = (key: string): number => Number(fields[key]);
    const site = field("call_site");
    switch (name) {
      case "kmalloc": {
        const object = this.#born(field("type"), number("birth"), site, comm);
        return `${object}, ${field("bytes_req")} bytes, by ${site}`;
      }
      case "kfree": {
        const life = this.#lives.get(number("birth"));
        const by = "path" in fields ? field("path") : site;
        if (life) life.freed = { by, when: this.#when(comm) };
        return `${this.#object(field("type"), number("birth"))} by ${by}`;
      }
      case "ref_get":
      case "ref_put":
        return `${name === "ref_get" ? "+1" : "-1"} on ${this.#member(fields)}, now ${field("refs")}, by ${site}`;
      case "complete":
        return `complete ${this.#member(fields)} by ${site}`;
      case "wait_for_completion":
        return `wait for ${this.#member(fields)}${number("done") ? ", which is done" : ""}, in ${site}`;
      case "module_get":
      case "module_put":
        return `${name === "module_get" ? "+1" : "-1"} on module ${field("name")}, now ${number("refcnt") - 1}, by ${site}`;
      case "sched_stat_blocked": {
        const owner = field("owner");
        return `${field("what")}${owner === "" ? "" : ` of ${owner}`} for ${seconds(number("delay"))} in ${site}`;
      }
      case "sys_enter": {
        const n = (this.#counts.get(comm) ?? 0) + 1;
        this.#counts.set(comm, n);
        this.#calls.set(comm, `${comm}'s call ${n}, ${field("id")}`);
        return null;
      }
      case "sys_exit":
        return `${field("id")}() = ${field("ret")}`;
      case "console":
        return mask(field("text"));
      case "uevent":
        return field("header");
      case "error_report_end":
        return mask(field("title"));
      default:
        return mask(`${name}: ${text}`);
    }
  }

  /** One event of the run. */
  hear(event: KernelEvent): void {
    const { system = "" } = event as { system?: string };
    const line = this.#line(event);
    if (line === null) return;
    const kind = KERNEL_SYSTEMS.includes(system) ? (KIND_OF[event.name] ?? "tracepoint") : "tracepoint";
    // Who the daemons work for differs with what they are given; they are named all the same.
    this.steps.push({ kind, line: `${event.comm}: ${line}` });
  }

  /** The run is over. */
  end(result: RunResult, words: (value: unknown) => string): readonly Step[] {
    for (const [name, value] of Object.entries(result.results))
      this.steps.push({ kind: "result", line: `${name}: ${words(value)}` });
    this.steps.push({ kind: "result", line: `the run ends: ${result.outcome}` });
    for (const { name, type, site, born, freed } of this.#lives.values()) {
      // On whose behalf is the fate's to tell, once for all objects that share it.
      const end = freed ? `${freed.by.split(" < ")[0] ?? ""} (${freed.when})` : "never";
      const fate = { object: type, allocated: site, freed: freed?.by ?? "never" };
      this.steps.push({ kind: "life time", line: `${name}: ${born} … ${end}`, fate });
    }
    return this.steps;
  }
}
