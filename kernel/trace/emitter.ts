// SPDX-License-Identifier: GPL-2.0-only
/** The one emitter of all events. It imports nothing of the kernel, so that everything may import it at any time. */
import { EventEmitter } from "eventemitter3";
import type { printf_arg } from "../lib/vsprintf.ts";

/** One hit of a tracepoint, as the listener sees it. */
export interface trace_record {
  readonly system: string;
  readonly name: string;
  /** Virtual nanoseconds since power-on. */
  readonly ns: number;
  readonly pid: number;
  readonly comm: string;
  /** The members of the entry, by name. */
  readonly fields: Readonly<Record<string, printf_arg>>;
  /** What the tracepoint prints, without its name. */
  readonly text: string;
}

/** Hears every tracepoint that TRACE_EVENT() defines, whatever its name. */
export const ALL_EVENTS = "*";
/** Hears what the kernel around the ports tells of itself: kernel/trace/events.ts. */
export const KERNEL_EVENTS = "kernel:*";

export const events = new EventEmitter<Record<string, (r: trace_record) => void>>();
/** How many hear KERNEL_EVENTS: looked at where even a call would be too much. */
export const traced = { kernel: 0 };

/** Calls `listener` at each hit of `name` from now on, across boots, until the function returned is called. */
export function trace_subscribe(name: string, listener: (r: trace_record) => void): () => void {
  const count = name === KERNEL_EVENTS ? 1 : 0;
  events.on(name, listener);
  traced.kernel += count;
  return () => {
    events.off(name, listener);
    traced.kernel -= count;
  };
}
