// SPDX-License-Identifier: GPL-2.0-only
/** What the kernel says beside its answers: log, debug logs, tracepoints, references of modules. Drained after each record. */
import type { Sleeps } from "../../../kernel/sched/types.ts";
import type { Report } from "../scenario.ts";
import type { Kernel } from "../states/load.ts";
import type { Actor } from "./actor.ts";

const TRACED = "vfio_ccw";
const DEBUG_LOGS = { dbf_msg: "vfio_ccw_msg", dbf_trace: "vfio_ccw_trace" } as const;

export interface Drained {
  /** `<level>text` */
  readonly dmesg: readonly string[];
  readonly dbf_msg: readonly string[];
  readonly dbf_trace: readonly string[];
  readonly ftrace: readonly string[];
  /** Log lines without their level and tracepoints, in one order. */
  readonly events: readonly string[];
  /** What checkers found that a recorded kernel has not: said in the log, and taken out of it here. */
  readonly reports: readonly Report[];
}

/** Said once, after a report of a checker that the recorded kernels did not have. */
const UNRELIABLE = "Disabling lock debugging due to kernel taint";

interface Line {
  readonly level: number;
  readonly text: string;
}

/** The kernel warned: of its report, only the message and the function are kept, as in the recordings. */
function warned(report: Report): Line[] {
  const lines = report.text.split("\n");
  const head = lines.findIndex((line) => line.startsWith("WARNING: "));
  const where = /([A-Za-z_]\w*)(?:\+\S*)?(?: \[\w+\])?$/.exec(report.title)?.[1] ?? report.title;
  return [...lines.slice(1, Math.max(1, head)), `WARNING: ${where}`].map((text) => ({ level: 4, text }));
}

export class SideChannels {
  readonly #kernel: Kernel;
  readonly #unsubscribe: () => void;
  /** Hits of tracepoints, each with the number of log lines before it. */
  #hits: { after: number; line: string }[] = [];
  #logged = 0;
  #reported = 0;

  /** @kernel: booted; whatever it has said so far is left out */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#logged = kernel.log().length;
    this.#reported = kernel.found().length;
    this.#unsubscribe = kernel.trace_subscribe("*", (record) => {
      if (record.system !== TRACED || !kernel.trace_event_enabled(record.name)) return;
      this.#hits.push({ after: kernel.log().length, line: kernel.trace_line(record) });
    });
  }
  close(): void {
    this.#unsubscribe();
  }

  drain(): Drained {
    const kernel = this.#kernel;
    const hits = this.#hits;
    const from = this.#logged;
    const lines: (Line | null)[] = kernel
      .log()
      .slice(from)
      .map(({ level, text }) => ({ level, text }));
    const found = kernel.found().slice(this.#reported);
    this.#hits = [];
    this.#logged += lines.length;
    this.#reported += found.length;
    const extra = new Map<number, Line[]>();
    for (const report of found) {
      // A report is one piece of the log.
      const text = report.text.split("\n");
      const at = lines.findIndex((_, i) => text.every((line, k) => lines[i + k]?.text === line));
      if (at < 0) continue;
      lines.fill(null, at, at + text.length);
      // Some checkers draw a line above and below.
      for (const edge of [at - 1, at + text.length]) if (/^=+$/.test(lines[edge]?.text ?? "")) lines[edge] = null;
      // What a checker's taint brings with it.
      for (let i = at + text.length; i <= at + text.length + 1; i++) if (lines[i]?.text === UNRELIABLE) lines[i] = null;
      if (report.checker === "warn") extra.set(at, warned(report));
    }
    const kept = lines.map((line, i) => extra.get(i) ?? (line ? [line] : []));
    const events: string[] = [];
    for (let i = 0; i <= kept.length; i++) {
      for (const hit of hits) if (hit.after === from + i) events.push(hit.line);
      for (const line of kept[i] ?? []) events.push(line.text);
    }
    const logs = Object.entries(DEBUG_LOGS).map(([field, log]) => {
      const view = kernel.debug_view(log);
      kernel.debug_flush(log);
      return [field, view] as const;
    });
    return {
      dmesg: kept.flat().map(({ level, text }) => `<${level}>${text}`),
      ...(Object.fromEntries(logs) as Record<keyof typeof DEBUG_LOGS, string[]>),
      ftrace: hits.map((hit) => hit.line),
      events,
      reports: found.filter((r) => r.checker !== "warn"),
    };
  }
}

/** References of modules as /sys/module shows them, -1 for one that is not loaded. */
export function* moduleReferences(a: Actor, names: readonly string[]): Sleeps<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) {
    const { ret, text } = yield* a.u.sysfs_read(`/sys/module/${name}/refcnt`);
    counts[name] = ret < 0 ? -1 : Number(text);
  }
  return counts;
}
