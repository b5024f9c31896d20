// SPDX-License-Identifier: GPL-2.0-only
/**
 * Tracepoints. A tracepoint is an event of the one emitter, named after itself; with nobody listening a hit costs one look-up.
 */
import { EventEmitter } from "eventemitter3";
import { type printf_arg, sprintf } from "../lib/vsprintf.ts";
import { current_name } from "../panic.ts";
import { clock } from "../time/clock.ts";

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

/** Hears every event, whatever its name. */
export const ALL_EVENTS = "*";
const events = new EventEmitter<Record<string, (r: trace_record) => void>>();
const defined = new Map<string, string>();

/** Calls `listener` at each hit of `name` from now on, across boots, until the function returned is called. */
export function trace_subscribe(name: string, listener: (r: trace_record) => void): () => void {
  events.on(name, listener);
  return () => {
    events.off(name, listener);
  };
}
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
