// SPDX-License-Identifier: GPL-2.0-only
/** Call stacks, with the function names of the ported code and the module each one belongs to. */
import { module_of_file } from "./Kbuild.ts";

const KERNEL_PATH = /.*\/(?<!\/test\/)((?:include|kernel|drivers|samples|test\/modules)\/[^?:]*)/;
/** Machinery that C does not have, and what C inlines into its caller: frames of it are noise in a report. */
const MACHINERY =
  /^include\/|^kernel\/(kcsan|sched\/(core|task|types|interrupts|debug|decide|wait_event)|arch\/|locking\/debug_|mm\/(kasan|slab|object|track|vmalloc|failslab)|panic|stacktrace|boot|lib\/(string\.ts|fault-inject|struct|bytestruct|err_ptr|struct_access))/;

export interface stack_frame {
  readonly name: string;
  readonly file: string;
  readonly module: string | null;
  /** In `file`; null if nobody knows the lines of the source. */
  readonly line: number | null;
}

/**
 * Where in the source a place of the code that runs is: set by tools that show lines, null otherwise, as what runs is not what
 * was written. @where: the host's name of the file; @return null if that is not known
 */
export type line_of = (where: string, line: number, column: number) => number | null;
const source_lines: { of: line_of | null } = { of: null };
export function set_source_lines(of: line_of | null): void {
  source_lines.of = of;
}

interface source_file {
  readonly file: string;
  readonly module: string | null;
}
/** What is known of each file that stood in a stack: the same few come again and again. It outlives boots, as code does. */
const files = new Map<string, source_file | null>();

function file_of(where: string): source_file | null {
  let known = files.get(where);
  if (known === undefined) {
    const file = KERNEL_PATH.exec(where)?.[1];
    known = file && !MACHINERY.test(file) ? { file, module: module_of_file(file) } : null;
    files.set(where, known);
  }
  return known;
}

/** A frame of kernel code; null for the host's and for machinery. A method or an accessor shows as Object.name or get name. */
function frame(called: string | null, where: string | null, at: readonly [number, number] | null): stack_frame | null {
  const source = where === null ? null : file_of(where);
  const name = source && called?.replace(/ \[as .*\]$/, "").replace(/^.*[. ]/, "");
  if (!source || !name || name === "next") return null;
  return { name, ...source, line: at && where !== null ? line_at(where, at) : null };
}
function line_at(where: string, at: readonly [number, number]): number | null {
  if (!source_lines.of) return null;
  // A plain path is the host's word for a place in the source that it has looked up itself.
  return where.startsWith("file:") ? source_lines.of(where, ...at) : at[0];
}
function frame_of(site: NodeJS.CallSite): stack_frame | null {
  const at = source_lines.of && ([site.getLineNumber() ?? 1, site.getColumnNumber() ?? 1] as const);
  return frame(site.getFunctionName(), site.getFileName() ?? null, at);
}

function prepare(_error: Error, sites: NodeJS.CallSite[]): stack_frame[] {
  return sites.map(frame_of).filter((f) => f !== null);
}

/** The stack of kernel functions that led here, innermost first; at most `depth` frames of the host are looked at. */
export function stack_trace(depth = 40): stack_frame[] {
  const kept = { prepare: Error.prepareStackTrace, limit: Error.stackTraceLimit };
  const holder: { stack?: stack_frame[] } = {};
  try {
    Error.stackTraceLimit = depth;
    Error.prepareStackTrace = prepare;
    Error.captureStackTrace(holder, stack_trace);
    return holder.stack ?? [];
  } finally {
    Error.prepareStackTrace = kept.prepare;
    Error.stackTraceLimit = kept.limit;
  }
}

/** What the stacks of every allocation and every lock cost is more than all the rest of a run; few runs show one. */
export const captured_stacks = {
  /** Set at power-on: whether capture_stack() keeps anything. */
  kept: true,
  /** A stack was asked for that had not been kept: what the run says is not whole. */
  missed: false,
};
function not_kept(): readonly stack_frame[] {
  captured_stacks.missed = true;
  return [];
}

/**
 * The stack that stack_trace() would give here, worked out when it is asked for: cheap enough for every allocation.
 * @depth: frames of the host, each of which costs; @above: leaves out this function and what it called
 */
export function capture_stack(
  depth = 16,
  above: (...args: never[]) => unknown = capture_stack,
): () => readonly stack_frame[] {
  if (!captured_stacks.kept) return not_kept;
  const limit = Error.stackTraceLimit;
  let holder: { stack?: stack_frame[] } | null = {};
  let frames: readonly stack_frame[] = [];
  Error.stackTraceLimit = depth;
  Error.captureStackTrace(holder, above);
  Error.stackTraceLimit = limit;
  return () => {
    if (holder) {
      // The host formats a stack when it is first looked at.
      const kept = Error.prepareStackTrace;
      Error.prepareStackTrace = prepare;
      frames = holder.stack ?? [];
      Error.prepareStackTrace = kept;
      holder = null;
    }
    return frames;
  };
}

/** The frames of an error that the host raised; its stack was taken where it happened. */
export function stack_of(error: Error): stack_frame[] {
  const frames: stack_frame[] = [];
  for (const [, called, where] of (error.stack ?? "").matchAll(/^ +at (?:new )?(\S.*?) \((.*)\)$/gm)) {
    const [, url, line, column] = /^(.*?)(?::(\d+):(\d+))?$/.exec(where ?? "") ?? [];
    const f = frame(called ?? null, url ?? null, line === undefined ? null : [Number(line), Number(column)]);
    if (f) frames.push(f);
  }
  return frames;
}

/** As the kernel prints a frame, without the offsets, which nobody could look up. */
export function format_frame(f: stack_frame): string {
  return f.module ? `${f.name} [${f.module}]` : f.name;
}
/** The same with the place in the source, where that is known: as scripts/decode_stacktrace.sh prints it. */
export function format_call(f: stack_frame): string {
  if (f.line === null) return format_frame(f);
  return `${f.name} (${f.file}:${f.line})${f.module ? ` [${f.module}]` : ""}`;
}
/** What BUG() and WARN() print first: `drivers/foo.ts:12`, or the function, where the line is not known. */
export function format_position(stack: readonly stack_frame[]): string {
  const [first] = stack;
  return first && first.line !== null ? `${first.file}:${first.line}` : format_place(stack);
}
/** The innermost ported function: where a report says that it happened. */
export function format_place(stack: readonly stack_frame[]): string {
  const [first] = stack;
  return first ? format_frame(first) : "unknown";
}
