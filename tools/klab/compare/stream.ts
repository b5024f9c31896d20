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

export interface Step {
  readonly kind: Kind;
  readonly line: string;
}

/** Where an object came into being and where it went. */
interface Life {
  readonly name: string;
  readonly born: string;
  freed: string;
}

const KIND_OF: Readonly<Record<string, Kind>> = {
  kmalloc: "allocation",
  kfree: "free",
  ref_get: "reference",
  ref_put: "reference",
  module_get: "reference",
  module_put: "reference",
  sched_stat_blocked: "wait",
  sys_exit: "return code",
  console: "log",
  uevent: "uevent",
  error_report_end: "report",
};
const KERNEL_SYSTEMS = ["kmem", "refcount", "module", "sched", "raw_syscalls", "printk", "kobject", "error_report"];

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

  #born(type: string, birth: number, site: string, comm: string): string {
    // Byte memory has no type of its own: one more somewhere would rename all that come after it.
    const plainMemory = type === "buffer" || type.endsWith("[]");
    const name = plainMemory ? this.#numbered(`${type} of ${site}`) : this.#numbered(type);
    this.#names.set(birth, name);
    if (!plainMemory) this.#lives.set(birth, { name, born: `${site} (${this.#when(comm)})`, freed: "never" });
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
        if (life) life.freed = `${site} (${this.#when(comm)})`;
        return `${this.#object(field("type"), number("birth"))} by ${site}`;
      }
      case "ref_get":
      case "ref_put": {
        const object = this.#object(field("type"), number("birth"));
        const member = field("member");
        const counter = member === "" || member === "undefined" ? object : `${object}.${member}`;
        return `${name === "ref_get" ? "+1" : "-1"} on ${counter}, now ${field("refs")}, by ${site}`;
      }
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
    for (const { name, born, freed } of this.#lives.values())
      this.steps.push({ kind: "life time", line: `${name}: ${born} … ${freed}` });
    return this.steps;
  }
}
