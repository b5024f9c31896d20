// SPDX-License-Identifier: GPL-2.0-only
/**
 * Tracepoints. A tracepoint is an event of the one emitter, named after itself; with nobody listening a hit costs one look-up.
 */
import { type printf_arg, sprintf } from "../lib/vsprintf.ts";
import { current_name } from "../panic.ts";
import { clock } from "../time/clock.ts";
import { ALL_EVENTS, events, type trace_record } from "./emitter.ts";

export { ALL_EVENTS, KERNEL_EVENTS, trace_subscribe, type trace_record } from "./emitter.ts";

const defined = new Map<string, string>();

/** Tracepoints of this tree, name to system. */
export function trace_events(): ReadonlyMap<string, string> {
  return defined;
}

/** `name: fields`, as a line of the trace file shows it. */
export function trace_line(r: trace_record): string {
  return `${r.name}: ${r.text}`;
}

export type trace_call<A extends readonly unknown[]> = (...args: A) => void;

/**
 * Defines a tracepoint. File scope.
 * @system: TRACE_SYSTEM; @name: its name; @assign: the entry made from the arguments; @format, @print: TP_printk's format
 * and the members it prints, in order
 * @return the function that the C macro calls trace_NAME. Context: any; it never waits.
 */
export function TRACE_EVENT<A extends readonly unknown[], K extends string>(
  system: string,
  name: string,
  assign: (...args: A) => Record<K, printf_arg>,
  format: string,
  print: readonly K[],
): trace_call<A> {
  defined.set(name, system);
  return (...args) => {
    const wanted = events.listenerCount(name) > 0;
    if (!wanted && events.listenerCount(ALL_EVENTS) === 0) return;
    const fields = assign(...args);
    const text = sprintf(format, ...print.map((member) => fields[member]));
    const record = { system, name, ns: clock.ns, ...current_name(), fields, text };
    if (wanted) events.emit(name, record);
    events.emit(ALL_EVENTS, record);
  };
}
